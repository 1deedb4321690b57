#include <chainrule/check.hpp>

#include <cmath>
#include <random>

#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"

namespace chainrule {
namespace {

using TensorsFn = std::function<TensorList(const TensorList&)>;

// Numbers of the size of 1 without values near 0, which would hide an error.
Tensor random_direction(const Shape& shape, std::mt19937_64& bits) {
  std::vector<double> values(static_cast<std::size_t>(element_count(shape)));
  for (double& value : values) {
    const double unit = std::ldexp(static_cast<double>(bits() >> 11), -53);
    value = (bits() & 1) != 0 ? 0.5 + unit : -0.5 - unit;
  }
  return Tensor::from(values, shape);
}

// ⟨w, y⟩ over the outputs that have a weight.
double inner_product(const TensorList& w, const TensorList& y) {
  Tensor total = full({}, 0, DType::float64);
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (w[i].defined() && y[i].defined()) total = total + sum(w[i] * astype(y[i], DType::float64));
  }
  return total.item<double>();
}

TensorList pull(const TensorsFn& f, const TensorList& inputs, const TensorList& w) {
  return vjp(f, inputs, w).second;
}

TensorList push(const TensorsFn& f, const TensorList& inputs, const TensorList& v) {
  return jvp(f, inputs, v).second;
}

class Checker {
 public:
  explicit Checker(const GradientCheckOptions& options) : options_(options), bits_(options.seed + 1) {}

  void run(const TensorsFn& f, const TensorList& inputs, const std::string& suffix, int order) {
    const TensorList w = weights(f(inputs));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!is_floating(inputs[i].dtype())) continue;
      for (int direction = 0; direction < options_.directions; ++direction)
        compare(f, inputs, w, i, direction, suffix);
    }
    if (order < 2) return;
    run([&](const TensorList& x) { return defined(pull(f, x, w)); }, inputs, " of vjp" + suffix, order - 1);
    const TensorList v = directions(inputs);
    if (!options_.forward_mode) return;
    run([&](const TensorList& x) { return push(f, x, v); }, inputs, " of jvp" + suffix, order - 1);
  }

  GradientCheck result;

 private:
  static TensorList defined(const TensorList& tensors) {
    TensorList result;
    for (const Tensor& x : tensors) {
      if (x.defined()) result.push_back(x);
    }
    return result;
  }
  TensorList weights(const TensorList& outputs) {
    TensorList w;
    for (const Tensor& y : outputs)
      w.push_back(is_floating(y.dtype()) ? random_direction(y.shape(), bits_) : Tensor());
    return w;
  }
  TensorList directions(const TensorList& inputs) {
    TensorList v;
    for (const Tensor& x : inputs)
      v.push_back(is_floating(x.dtype()) ? random_direction(x.shape(), bits_) : x);
    return v;
  }

  // The fourth-order central difference of t ↦ ⟨w, f(x + t v)⟩.
  double difference(const TensorsFn& f, const TensorList& inputs, const TensorList& w, std::size_t i,
                    const Tensor& v) const {
    const auto at = [&](double t) {
      TensorList moved = inputs;
      moved[i] = inputs[i] + v * full({}, t, DType::float64);
      return inner_product(w, f(moved));
    };
    const double h = options_.step;
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  }

  void compare(const TensorsFn& f, const TensorList& inputs, const TensorList& w, std::size_t i,
               int direction, const std::string& suffix) {
    const Tensor v = random_direction(inputs[i].shape(), bits_);
    TensorList tangents;
    for (const Tensor& x : inputs) tangents.push_back(is_floating(x.dtype()) ? zeros_like(x) : x);
    tangents[i] = v;
    const double expected = difference(f, inputs, w, i, v);
    const double reverse = inner_product({v}, {pull(f, inputs, w)[i]});
    record({"vjp" + suffix, i, direction, expected, reverse}, options_.tolerance);
    if (!options_.forward_mode) return;
    const double forward = inner_product(w, push(f, inputs, tangents));
    record({"jvp" + suffix, i, direction, expected, forward}, options_.tolerance);
    // Both come from rules: they differ by rounding alone.
    record({"jvp = vjp" + suffix, i, direction, forward, reverse}, 1e-10);
  }

  void record(const GradientMismatch& found, double tolerance) {
    const double error = std::fabs(found.expected - found.got) / std::fmax(1, std::fabs(found.expected));
    ++result.cases;
    result.worst_error = std::isnan(error) ? error : std::fmax(result.worst_error, error);
    if (!(error <= tolerance)) result.failures.push_back(found);
  }

  GradientCheckOptions options_;
  std::mt19937_64 bits_;
};

}  // namespace

std::string to_string(const GradientMismatch& m) {
  return m.derivative + " of input " + std::to_string(m.input) + " along direction " +
         std::to_string(m.direction) + ": expected " + short_number(m.expected) + ", got " +
         short_number(m.got);
}

GradientCheck check_gradients(const TensorsFn& f, const TensorList& inputs,
                              const GradientCheckOptions& options) {
  TensorList wide;
  for (const Tensor& x : inputs) wide.push_back(is_floating(x.dtype()) ? astype(x, DType::float64) : x);
  Checker checker(options);
  checker.run(f, wide, "", options.order);
  return std::move(checker.result);
}

GradientCheck check_gradients(const std::function<Tensor(const Tensor&)>& f, const Tensor& x,
                              const GradientCheckOptions& options) {
  return check_gradients([&](const TensorList& inputs) { return TensorList{f(inputs[0])}; }, TensorList{x},
                         options);
}

}  // namespace chainrule
