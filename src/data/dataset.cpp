#include <algorithm>
#include <cmath>
#include <numeric>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "data/rows.hpp"
#include "io/hash.hpp"

namespace chainrule::data {
namespace {

Tensor select(const Tensor& tensor, std::span<const std::int64_t> rows) {
  const HostArray from = tensor.to_host();
  Shape shape = from.shape;
  shape[0] = static_cast<std::int64_t>(rows.size());
  HostArray to = HostArray::uninitialized(from.dtype, shape);
  copy_rows(from, rows, to.buffer.data());
  return Tensor(std::move(to));
}

void check_targets(const Dataset& d) {
  if (d.task == Task::regression) {
    if (is_floating(d.targets.dtype())) return;
    throw DTypeError({.function = "data::Dataset",
                      .argument = "targets",
                      .problem = "values to predict must be floating",
                      .got = std::string(dtype_name(d.targets.dtype())),
                      .wanted = "float32 or float64"});
  }
  if (d.targets.dtype() != DType::int64 || d.targets.rank() != 1) {
    throw DTypeError({.function = "data::Dataset",
                      .argument = "targets",
                      .problem = "class indices must be a list of int64",
                      .got = to_string(d.targets.shape()) + " " + std::string(dtype_name(d.targets.dtype())),
                      .wanted = "[n] int64"});
  }
  const HostArray labels = d.targets.to_host();
  for (std::int64_t i = 0; i < labels.size(); ++i) {
    const std::int64_t label = labels.data<std::int64_t>()[i];
    if (label >= 0 && label < d.classes()) continue;
    throw ArgumentError({.function = "data::Dataset",
                         .argument = "targets",
                         .problem = "a class index that no class has",
                         .got = std::to_string(label) + " for example " + std::to_string(i),
                         .wanted = "0 to " + std::to_string(d.classes() - 1)});
  }
}

std::vector<std::string> numbered_classes(const Tensor& targets) {
  std::int64_t highest = -1;
  for (const std::int64_t label : targets.to_vector<std::int64_t>()) highest = std::max(highest, label);
  constexpr std::int64_t most_classes = 1'000'000;
  if (highest >= most_classes) {
    throw ArgumentError({.function = "data::from",
                         .argument = "targets",
                         .problem = "class indices this large are hardly meant",
                         .got = std::to_string(highest),
                         .wanted = "0 to the number of classes − 1",
                         .hint = "floating targets make a regression"});
  }
  std::vector<std::string> names;
  for (std::int64_t i = 0; i <= highest; ++i) names.push_back(std::to_string(i));
  return names;
}

void add_to_hash(io::Sha256& hash, const Tensor& tensor) {
  const std::string head = std::string(dtype_name(tensor.dtype())) + to_string(tensor.shape());
  hash.add(head.data(), head.size());
  const HostArray array = tensor.to_host();
  hash.add(array.buffer.data(), array.bytes());
}

}  // namespace

Shape Dataset::example_shape() const {
  Shape shape = features.shape();
  shape.erase(0);
  return shape;
}

Dataset Dataset::subset(std::span<const std::int64_t> rows) const {
  for (const std::int64_t row : rows) {
    if (row >= 0 && row < size()) continue;
    throw ArgumentError({.function = "data::Dataset::subset",
                         .argument = "rows",
                         .problem = "there is no such example",
                         .got = std::to_string(row),
                         .wanted = "0 to " + std::to_string(size() - 1)});
  }
  Dataset result = *this;
  result.features = select(features, rows);
  result.targets = select(targets, rows);
  return result;
}

std::string Dataset::hash() const {
  io::Sha256 hash;
  add_to_hash(hash, features);
  add_to_hash(hash, targets);
  return hash.finish();
}

void Dataset::check() const {
  if (!features.defined() || features.rank() < 1 || !targets.defined() || targets.rank() < 1) {
    throw ShapeError({.function = "data::Dataset",
                      .argument = "features",
                      .problem = "a data set needs features and targets, one row for each example",
                      .wanted = "features [n, example…], targets [n]"});
  }
  if (features.size(0) != targets.size(0)) {
    throw ShapeError(
        {.function = "data::Dataset",
         .argument = "targets",
         .problem = "features and targets have different numbers of examples",
         .got = "features " + to_string(features.shape()) + ", targets " + to_string(targets.shape()),
         .wanted = std::to_string(features.size(0)) + " targets"});
  }
  const DType dtype = features.dtype();
  if (dtype == DType::boolean || dtype == DType::bfloat16) {
    throw DTypeError({.function = "data::Dataset",
                      .argument = "features",
                      .problem = "features can't have this dtype",
                      .got = std::string(dtype_name(dtype)),
                      .wanted = "uint8, int32, int64, float32 or float64",
                      .hint = "features.astype(DType::float32)"});
  }
  if (is_index(dtype) && scaling) {
    throw DTypeError({.function = "data::Dataset",
                      .argument = "scaling",
                      .problem = "int32 and int64 features are indices, which have no scale",
                      .got = std::string(dtype_name(dtype)),
                      .wanted = "no scaling, or floating features",
                      .hint = "features.astype(DType::float32)"});
  }
  check_targets(*this);
}

Dataset from(const Tensor& features, const Tensor& targets, std::vector<std::string> class_names) {
  Dataset result;
  result.name = "data";
  const bool narrow =
      features.defined() && (features.dtype() == DType::boolean || features.dtype() == DType::bfloat16);
  result.features = narrow ? features.astype(DType::float32).eval() : features;
  result.targets = targets;
  if (targets.defined() && is_floating(targets.dtype())) {
    result.task = Task::regression;
  } else if (targets.defined()) {
    result.targets = targets.astype(DType::int64).eval();
    result.class_names = class_names.empty() ? numbered_classes(targets) : std::move(class_names);
  }
  if (features.defined() && features.dtype() == DType::uint8) result.scaling = Scaling::bytes_to_unit();
  result.check();
  return result;
}

// ---- Scaling ----

Scaling Scaling::bytes_to_unit() {
  return {full({}, 0, DType::float64).eval(), full({}, 1.0 / 255, DType::float64).eval()};
}

Scaling Scaling::standardize(const Dataset& training) {
  if (training.size() == 0) {
    throw ArgumentError({.function = "data::Scaling::standardize",
                         .argument = "training",
                         .problem = "there is no example to take mean and deviation of"});
  }
  const auto width = static_cast<std::size_t>(element_count(training.example_shape()));
  const HostArray rows = training.features.astype(DType::float64).to_host();
  const double* values = rows.data<double>();
  std::vector<double> count(width), mean(width), squares(width);
  for (std::int64_t i = 0; i < training.size(); ++i) {
    for (std::size_t j = 0; j < width; ++j) {  // Welford's update: no cancellation for a large mean
      const double x = values[static_cast<std::size_t>(i) * width + j];
      if (std::isnan(x)) continue;
      count[j] += 1;
      const double step = x - mean[j];
      mean[j] += step / count[j];
      squares[j] += step * (x - mean[j]);
    }
  }
  std::vector<double> scale(width);
  for (std::size_t j = 0; j < width; ++j) {
    const double deviation = count[j] > 0 ? std::sqrt(squares[j] / count[j]) : 0;
    scale[j] = deviation > 1e-12 * std::abs(mean[j]) ? 1 / deviation : 1;
  }
  return {Tensor::from(mean, training.example_shape()), Tensor::from(scale, training.example_shape())};
}

Tensor Scaling::operator()(const Tensor& features) const {
  const DType dtype = features.dtype() == DType::float64 ? DType::float64 : DType::float32;
  const Tensor scaled = (features.astype(dtype) - shift.astype(dtype)) * scale.astype(dtype);
  return where(isnan(scaled), 0.0, scaled);
}

}  // namespace chainrule::data
