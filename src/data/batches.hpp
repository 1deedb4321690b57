#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <chainrule/data.hpp>

#include "data/rows.hpp"

namespace chainrule::data {

/// Makes batches, in memory that it uses again. One call at a time.
class BatchMaker {
 public:
  /// Throws ShapeError where the scaling was made for other features.
  BatchMaker(const Dataset& dataset, const LoaderOptions& options);
  /// The examples of these numbers, made on the threads of `thread_count()`.
  Batch make(std::span<const std::int64_t> rows);

 private:
  Batch& free_batch(std::int64_t rows);

  bool is_classification_;
  HostArray features_;
  HostArray targets_;
  DType dtype_;
  std::optional<RowScaling> scaling_;
  std::vector<Batch> pool_;  // every batch ever made; the free ones are used again
};

/// An epoch that is under way: its order, and the batch that comes next.
struct EpochOrder {
  std::vector<std::int64_t> examples;
  std::int64_t batch_size = 1;
  std::int64_t next = 0;
  std::int64_t end = 0;

  /// The examples of the next batch.
  std::span<const std::int64_t> batch() const {
    const std::span<const std::int64_t> rest =
        std::span(examples).subspan(static_cast<std::size_t>(next * batch_size));
    return rest.first(std::min(static_cast<std::size_t>(batch_size), rest.size()));
  }
};

}  // namespace chainrule::data
