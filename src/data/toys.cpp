// Toy data sets, written in the library's own operations.

#include <numbers>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/text.hpp>

namespace chainrule::data {
namespace {

constexpr double pi = std::numbers::pi;

/// The random numbers of a toy set: each draw has a stream of its own.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : key_(random::key(seed)) {}
  Tensor uniform(const Shape& shape, double low = 0, double high = 1) {
    return random::uniform(next(), shape, low, high);
  }
  Tensor normal(const Shape& shape, double std) { return random::normal(next(), shape, 0, std); }

 private:
  Tensor next() { return random::fold_in(key_, Tensor(count_++)); }
  Tensor key_;
  std::int64_t count_ = 0;
};

void check_examples(const char* name, std::int64_t examples, std::int64_t least) {
  if (examples >= least) return;
  throw ArgumentError({.function = std::string("data::") + name,
                       .argument = "examples",
                       .problem = "too few examples",
                       .got = std::to_string(examples),
                       .wanted = "at least " + std::to_string(least)});
}

/// Example i belongs to class i mod `classes`.
Tensor alternating(std::int64_t examples, std::int64_t classes) {
  return remainder(arange(0, static_cast<double>(examples), 1, DType::int64), classes);
}

Dataset points(const char* name, const Tensor& x, const Tensor& y, const ToyOptions& options, Draws& draws,
               const Tensor& labels, std::int64_t classes) {
  const Tensor plane = stack({x, y}, 1) + draws.normal({options.examples, 2}, options.noise);
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < classes; ++i) names.push_back(std::to_string(i));
  Dataset result = from(plane.eval(), labels.eval(), std::move(names));
  result.name = name;
  result.feature_names = {"x1", "x2"};
  return result;
}

Dataset curve(const char* name, const Tensor& x, const Tensor& y, const ToyOptions& options, Draws& draws) {
  Dataset result = from(unsqueeze(x, 1).eval(), (y + draws.normal({options.examples}, options.noise)).eval());
  result.name = name;
  result.feature_names = {"x"};
  return result;
}

}  // namespace

Dataset xor_clouds(const ToyOptions& options) {
  check_examples("xor_clouds", options.examples, 4);
  Draws draws(options.seed);
  const Tensor corner = alternating(options.examples, 4);
  const Tensor right = remainder(corner, 2);
  const Tensor up = floor_divide(corner, 2);
  const auto sign_of = [](const Tensor& bit) { return bit.astype(DType::float32) * 2 - 1; };
  return points("xor", sign_of(right), sign_of(up), options, draws, not_equal(right, up).astype(DType::int64),
                2);
}

Dataset circles(const ToyOptions& options) {
  check_examples("circles", options.examples, 2);
  Draws draws(options.seed);
  const Tensor inner = alternating(options.examples, 2);
  const Tensor radius = 1 - 0.5 * inner.astype(DType::float32);
  const Tensor angle = draws.uniform({options.examples}, 0, 2 * pi);
  return points("circles", radius * cos(angle), radius * sin(angle), options, draws, inner, 2);
}

Dataset moons(const ToyOptions& options) {
  check_examples("moons", options.examples, 2);
  Draws draws(options.seed);
  const Tensor lower = alternating(options.examples, 2);
  const Tensor angle = draws.uniform({options.examples}, 0, pi);
  const Tensor is_lower = equal(lower, 1);
  const Tensor x = where(is_lower, 1 - cos(angle), cos(angle));
  const Tensor y = where(is_lower, 0.5 - sin(angle), sin(angle));
  return points("moons", x, y, options, draws, lower, 2);
}

Dataset spirals(const ToyOptions& options, std::int64_t arms) {
  check_examples("spirals", arms, 1);
  check_examples("spirals", options.examples, arms);
  Draws draws(options.seed);
  const Tensor arm = alternating(options.examples, arms);
  const Tensor along = sqrt(draws.uniform({options.examples}, 0.01, 1));
  const Tensor angle = along * (3 * pi) + arm.astype(DType::float32) * (2 * pi / static_cast<double>(arms));
  const ToyOptions narrow = {options.examples, options.noise * 0.3, options.seed};
  return points("spirals", along * 2 * cos(angle), along * 2 * sin(angle), narrow, draws, arm, arms);
}

Dataset blobs(const ToyOptions& options, std::int64_t centres) {
  check_examples("blobs", centres, 1);
  check_examples("blobs", options.examples, centres);
  Draws draws(options.seed);
  const Tensor blob = alternating(options.examples, centres);
  const Tensor angle = blob.astype(DType::float32) * (2 * pi / static_cast<double>(centres));
  return points("blobs", 2 * cos(angle), 2 * sin(angle), options, draws, blob, centres);
}

Dataset sine_curve(const ToyOptions& options) {
  check_examples("sine_curve", options.examples, 1);
  Draws draws(options.seed);
  const Tensor x = draws.uniform({options.examples}, -2, 2);
  return curve("sine", x, sin(3 * x) + x / 2, options, draws);
}

Dataset cubic_curve(const ToyOptions& options) {
  check_examples("cubic_curve", options.examples, 1);
  Draws draws(options.seed);
  const Tensor x = draws.uniform({options.examples}, -1.5, 1.5);
  return curve("cubic", x, x * x * x - x, options, draws);
}

const std::vector<std::string>& toy_names() {
  static const std::vector<std::string> names = {"xor",   "circles", "moons", "spirals",
                                                 "blobs", "sine",    "cubic"};
  return names;
}

Dataset toy(const std::string& name, const ToyOptions& options) {
  if (name == "xor") return xor_clouds(options);
  if (name == "circles") return circles(options);
  if (name == "moons") return moons(options);
  if (name == "spirals") return spirals(options);
  if (name == "blobs") return blobs(options);
  if (name == "sine") return sine_curve(options);
  if (name == "cubic") return cubic_curve(options);
  throw ArgumentError({.function = "data::toy",
                       .argument = "name",
                       .problem = "there is no such toy set",
                       .got = quote(name),
                       .hint = suggest(name, toy_names())});
}

}  // namespace chainrule::data
