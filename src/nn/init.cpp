#include <chainrule/nn/init.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/text.hpp>

namespace chainrule::nn::init {
namespace {

constexpr Description descriptions[] = {
    {"constant", "w = c", "Starts biases.", ""},
    {"kaiming_normal", "w ~ N(0, gain^2 / fan)", "Starts layers before ReLU.",
     "He et al., Delving deep into rectifiers, ICCV 2015"},
    {"kaiming_uniform", "w ~ U(-b, b), b = gain sqrt(3 / fan)", "Starts layers before ReLU.",
     "He et al., Delving deep into rectifiers, ICCV 2015"},
    {"lecun_normal", "w ~ N(0, 1 / fan_in)", "Starts layers before SELU.",
     "LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998"},
    {"lecun_uniform", "w ~ U(-b, b), b = sqrt(3 / fan_in)", "Starts layers before tanh.",
     "LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998"},
    {"orthogonal", "w = gain Q, Q R = N(0, 1)", "Starts deep and recurrent layers.",
     "Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning, ICLR 2014"},
    {"truncated_normal", "w ~ N(mean, std^2) given low <= w <= high", "Starts embeddings and transformers.",
     ""},
    {"xavier_normal", "w ~ N(0, 2 gain^2 / (fan_in + fan_out))", "Starts layers before tanh or sigmoid.",
     "Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS "
     "2010"},
    {"xavier_uniform", "w ~ U(-b, b), b = gain sqrt(6 / (fan_in + fan_out))",
     "Starts layers before tanh or sigmoid.",
     "Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS "
     "2010"},
};

Tensor uniform_within(const Shape& shape, double bound, DType dtype) {
  return random::uniform(shape, -bound, bound, dtype);
}

void check_option(const char* function, const char* option, double value, double least) {
  if (value >= least && std::isfinite(value)) return;
  throw ArgumentError({.function = function,
                       .argument = option,
                       .problem = "an option is outside its range",
                       .got = short_number(value),
                       .wanted = least == 0 ? "a finite number, 0 or more" : "a finite number"});
}

double kaiming_deviation(const Shape& shape, const KaimingOptions& options) {
  const Fans f = fans(shape);
  const double fan = static_cast<double>(options.mode == FanMode::fan_in ? f.in : f.out);
  return gain("leaky_relu", options.negative_slope) / std::sqrt(fan);
}

double xavier_deviation(const Shape& shape, const XavierOptions& options) {
  check_option("nn::init::xavier", "gain", options.gain, 0);
  const Fans f = fans(shape);
  return options.gain * std::sqrt(2.0 / static_cast<double>(f.in + f.out));
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

// Bisection: initial values are drawn once, and need no better method. Works for tails too, since the
// distribution function is taken where it is small.
double normal_quantile(double p, double low, double high) {
  for (int i = 0; i < 80 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    (normal_cdf(middle) < p ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

// Modified Gram-Schmidt, twice: the second pass makes the rows orthogonal to rounding. R's diagonal is
// positive.
void orthonormalize_rows(std::vector<double>& rows, std::size_t count, std::size_t length) {
  const auto row = [&](std::size_t i) { return std::span<double>(rows).subspan(i * length, length); };
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<double> v = row(i);
    for (std::size_t pass = 0; pass < 2; ++pass) {
      for (std::size_t j = 0; j < i; ++j) {
        const std::span<double> q = row(j);
        double product = 0;
        for (std::size_t k = 0; k < length; ++k) product += v[k] * q[k];
        for (std::size_t k = 0; k < length; ++k) v[k] -= product * q[k];
      }
    }
    double squares = 0;
    for (const double x : v) squares += x * x;
    for (double& x : v) x /= std::sqrt(squares);
  }
}

}  // namespace

std::span<const Description> table() { return descriptions; }

double gain(std::string_view activation, double negative_slope) {
  if (activation == "linear" || activation == "sigmoid") return 1;
  if (activation == "tanh") return 5.0 / 3;
  if (activation == "relu") return std::numbers::sqrt2;
  if (activation == "leaky_relu") {
    check_option("nn::init::gain", "negative_slope", negative_slope, std::numeric_limits<double>::lowest());
    return std::sqrt(2 / (1 + negative_slope * negative_slope));
  }
  if (activation == "selu") return 0.75;
  const std::vector<std::string> known{"linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"};
  throw ArgumentError({.function = "nn::init::gain",
                       .argument = "activation",
                       .problem = "no gain is known for it",
                       .got = quote(activation),
                       .wanted = "linear, sigmoid, tanh, relu, leaky_relu or selu",
                       .hint = suggest(activation, known)});
}

Fans fans(const Shape& shape) {
  if (shape.size() < 2 || element_count(shape) == 0) {
    throw ShapeError({.function = "nn::init",
                      .argument = "shape",
                      .problem = "a weight without elements or of rank below 2 has no fans",
                      .got = to_string(shape),
                      .wanted = "[fan_out, fan_in, ..]"});
  }
  const std::int64_t kernel = element_count(shape) / (shape[0] * shape[1]);
  return {.in = shape[1] * kernel, .out = shape[0] * kernel};
}

Tensor constant(const Shape& shape, double value, DType dtype) { return full(shape, value, dtype); }

Tensor xavier_uniform(const Shape& shape, const XavierOptions& options) {
  return uniform_within(shape, std::sqrt(3.0) * xavier_deviation(shape, options), options.dtype);
}
Tensor xavier_normal(const Shape& shape, const XavierOptions& options) {
  return random::normal(shape, 0, xavier_deviation(shape, options), options.dtype);
}
Tensor kaiming_uniform(const Shape& shape, const KaimingOptions& options) {
  return uniform_within(shape, std::sqrt(3.0) * kaiming_deviation(shape, options), options.dtype);
}
Tensor kaiming_normal(const Shape& shape, const KaimingOptions& options) {
  return random::normal(shape, 0, kaiming_deviation(shape, options), options.dtype);
}
Tensor lecun_uniform(const Shape& shape, DType dtype) {
  return uniform_within(shape, std::sqrt(3.0 / static_cast<double>(fans(shape).in)), dtype);
}
Tensor lecun_normal(const Shape& shape, DType dtype) {
  return random::normal(shape, 0, std::sqrt(1.0 / static_cast<double>(fans(shape).in)), dtype);
}

Tensor orthogonal(const Shape& shape, const OrthogonalOptions& options) {
  fans(shape);
  check_option("nn::init::orthogonal", "gain", options.gain, 0);
  const std::int64_t rows = shape[0];
  const std::int64_t columns = element_count(shape) / rows;
  const std::int64_t fewer = std::min(rows, columns);
  const std::int64_t more = std::max(rows, columns);
  std::vector<double> q = random::normal({fewer, more}, 0, 1, DType::float64).to_vector<double>();
  orthonormalize_rows(q, static_cast<std::size_t>(fewer), static_cast<std::size_t>(more));
  Tensor result = Tensor::from(q, {fewer, more});
  if (rows > columns) result = transpose(result);
  return astype(reshape(result * options.gain, shape), options.dtype);
}

Tensor truncated_normal(const Shape& shape, const TruncatedNormalOptions& options) {
  const double low = (options.low - options.mean) / options.std;
  const double high = (options.high - options.mean) / options.std;
  if (!(options.std > 0) || !(low < high)) {
    throw ArgumentError({.function = "nn::init::truncated_normal",
                         .argument = options.std > 0 ? "high" : "std",
                         .problem = "the interval or the deviation is empty",
                         .got = "[" + short_number(options.low) + ", " + short_number(options.high) +
                                "], std " + short_number(options.std),
                         .wanted = "low < high and std > 0"});
  }
  // In the upper tail the distribution function is 1 to rounding: by symmetry the lower one is used there.
  const bool mirrored = low > 0;
  const double from = mirrored ? -high : low;
  const double to = mirrored ? -low : high;
  std::vector<double> values =
      random::uniform(shape, normal_cdf(from), normal_cdf(to), DType::float64).to_vector<double>();
  for (double& value : values) {
    const double z = normal_quantile(value, std::max(from, -40.0), std::min(to, 40.0));
    value = std::clamp(options.mean + options.std * (mirrored ? -z : z), options.low, options.high);
  }
  return astype(Tensor::from(values, shape), options.dtype);
}

}  // namespace chainrule::nn::init
