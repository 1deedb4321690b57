#include "data/batches.hpp"

#include <chainrule/error.hpp>

#include "graph/node.hpp"

namespace chainrule::data {
namespace {

/// Whether nobody but its owner holds the tensor or its memory.
bool is_free(const Tensor& tensor) {
  return tensor.node()->references.load(std::memory_order_acquire) == 1 &&
         storage_of(tensor).buffer.writable_in_place();
}

}  // namespace

BatchMaker::BatchMaker(const Dataset& dataset, const LoaderOptions& options)
    : is_classification_(dataset.task == Task::classification),
      features_(dataset.features.to_host()),
      targets_(dataset.targets.to_host()),
      dtype_(options.dtype) {
  if (!dataset.scaling) return;
  const auto shift = dataset.scaling->shift.to_vector<double>();
  const auto scale = dataset.scaling->scale.to_vector<double>();
  const std::size_t width = shift.size();
  if (width != scale.size() ||
      (width != 1 && width != static_cast<std::size_t>(element_count(dataset.example_shape())))) {
    throw ShapeError({.function = "data::Loader",
                      .argument = "scaling",
                      .problem = "the scaling was made for other features",
                      .got = to_string(dataset.scaling->shift.shape()),
                      .wanted = to_string(dataset.example_shape())});
  }
  scaling_.emplace(shift, scale, features_, options.dtype);
}

Batch& BatchMaker::free_batch(std::int64_t rows) {
  for (Batch& batch : pool_) {
    if (batch.size() == rows && is_free(batch.features) && is_free(batch.targets)) return batch;
  }
  Shape feature_shape = features_.shape;
  Shape target_shape = targets_.shape;
  feature_shape[0] = target_shape[0] = rows;
  const DType feature_dtype = is_index(features_.dtype) ? features_.dtype : dtype_;
  const DType target_dtype = is_classification_ ? DType::int64 : dtype_;
  pool_.push_back({Tensor(HostArray::uninitialized(feature_dtype, feature_shape)),
                   Tensor(HostArray::uninitialized(target_dtype, target_shape))});
  return pool_.back();
}

Batch BatchMaker::make(std::span<const std::int64_t> rows) {
  Batch& batch = free_batch(static_cast<std::int64_t>(rows.size()));
  void* x = storage_of(batch.features).buffer.data();
  void* y = storage_of(batch.targets).buffer.data();
  if (is_index(features_.dtype)) {
    copy_rows(features_, rows, x);
  } else if (scaling_) {
    (*scaling_)(features_, rows, x);
  } else {
    convert_rows(features_, rows, dtype_, x);
  }
  if (is_classification_) {
    copy_rows(targets_, rows, y);
  } else {
    convert_rows(targets_, rows, dtype_, y);
  }
  return batch;
}

}  // namespace chainrule::data
