#include "kernels/cpu/reduce.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "kernels/cpu/copy.hpp"
#include "kernels/cpu/reduce_kernels.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/parallel.hpp"

// The drivers: how a reduction is cut into runs and columns. Every cut depends on shapes and strides
// alone, never on threads. Letters: K positions that stay, R positions that are reduced.
namespace chainrule::kernels {
namespace {

constexpr std::int64_t reduce_grain = 32768;  // elements that are worth handing to a thread
constexpr std::int64_t chunk = 1024;          // elements gathered at once from a strided view
constexpr std::int64_t max_pieces = 128;      // of one result's elements
constexpr std::int64_t max_column_pieces = 16;
constexpr std::int64_t few_column_blocks = 16;  // fewer are shared out among threads by their rows, too
/// Of the accumulators of all pieces: on the stack, because a step allocates nothing.
constexpr std::int64_t partial_bytes = 131072;

struct Job {
  const ReduceKernels* kernels = nullptr;
  Array kept;     // the axes that stay; its data is the operand's
  Array reduced;  // the axes that go
  std::int64_t kept_count = 1;
  std::int64_t reduced_count = 1;
  std::int64_t item_bytes = 1;
  std::byte* out = nullptr;
  std::int64_t out_bytes = 1;
};

bool is_positional(Reduction kind) { return kind == Reduction::argmax || kind == Reduction::argmin; }

/// Lets the reduced axes run forwards and outermost first in memory: their order is free unless the
/// result is a position.
void order_by_memory(Array& view) {
  const int rank = view.shape.size();
  std::int64_t start = 0;
  for (int d = 0; d < rank; ++d) {
    if (view.strides[d] >= 0 || view.shape[d] == 0) continue;
    start += (view.shape[d] - 1) * view.strides[d];
    view.strides[d] = -view.strides[d];
  }
  view.data = element_address(view, start);
  for (int i = 1; i < rank; ++i) {
    for (int d = i; d > 0 && view.strides[d - 1] < view.strides[d]; --d) {
      std::swap(view.shape[d - 1], view.shape[d]);
      std::swap(view.strides[d - 1], view.strides[d]);
    }
  }
}

Job make_job(Reduction kind, const Array& in, std::uint32_t axes, void* out) {
  Job job;
  job.kernels = &reduce_kernels(kind, in.dtype);
  job.kept = job.reduced = Array{in.data, in.dtype, {}, {}};
  for (int d = 0; d < in.shape.size(); ++d) {
    Array& part = (axes >> d & 1U) != 0 ? job.reduced : job.kept;
    part.shape.push_back(in.shape[d]);
    part.strides.push_back(in.strides[d]);
  }
  if (!is_positional(kind)) order_by_memory(job.reduced);
  job.reduced = collapsed(job.reduced);
  job.kept = collapsed(job.kept);
  job.kept.data = job.reduced.data;
  job.kept_count = job.kept.size();
  job.reduced_count = job.reduced.size();
  job.item_bytes = static_cast<std::int64_t>(dtype_size(in.dtype));
  job.out = static_cast<std::byte*>(out);
  job.out_bytes = static_cast<std::int64_t>(dtype_size(reduction_dtype(kind, in.dtype)));
  return job;
}

/// Adds the elements [begin, end) of `view` to one accumulator.
void add_run(const ReduceKernels& kernels, const Array& view, std::int64_t begin, std::int64_t end,
             void* accumulator) {
  const int rank = view.shape.size();
  if (rank == 0 || (rank == 1 && view.strides[0] == 1)) {
    kernels.run(element_address(view, begin), end - begin, begin, accumulator);
    return;
  }
  if (view.strides.back() == 1 && view.shape.back() >= 64) {
    const std::int64_t n = view.shape.back();
    const Array outer = without_axis(view, rank - 1);
    StridedWalk<1> walk(outer.shape, {outer.strides});
    walk.seek(begin / n);
    for (std::int64_t i = begin; i < end; walk.next()) {
      const std::int64_t skipped = i % n;
      const std::int64_t length = std::min(n - skipped, end - i);
      kernels.run(element_address(view, walk.offset() + skipped), length, i, accumulator);
      i += length;
    }
    return;
  }
  alignas(64) std::byte tile[chunk * 8];
  for (std::int64_t i = begin; i < end; i += chunk) {
    const std::int64_t length = std::min(chunk, end - i);
    load_tile(view, i, length, tile);
    kernels.run(tile, length, i, accumulator);
  }
}

/// One result at a time, its elements in pieces that threads share.
void reduce_few_rows(const Job& job) {
  const ReduceKernels& kernels = *job.kernels;
  const std::int64_t wanted = std::min(max_pieces, (job.reduced_count + reduce_grain - 1) / reduce_grain);
  const std::int64_t length = ((job.reduced_count + wanted - 1) / wanted + chunk - 1) / chunk * chunk;
  const std::int64_t pieces = (job.reduced_count + length - 1) / length;
  const auto accumulator_bytes = static_cast<std::int64_t>(kernels.accumulator_bytes);
  alignas(64) std::byte partial[max_pieces * max_accumulator_bytes];
  StridedWalk<1> walk(job.kept.shape, {job.kept.strides});
  for (std::int64_t k = 0; k < job.kept_count; ++k, walk.next()) {
    Array view = job.reduced;
    view.data = element_address(job.kept, walk.offset());
    kernels.start(partial, pieces);
    parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        add_run(kernels, view, p * length, std::min(job.reduced_count, (p + 1) * length),
                partial + p * accumulator_bytes);
      }
    });
    for (std::int64_t p = 1; p < pieces; ++p) {
      kernels.combine(partial, partial + p * accumulator_bytes, 1);
    }
    kernels.finish(partial, 1, job.out + k * job.out_bytes);
  }
}

/// Ranges that give each thread some, or the one thread all.
std::int64_t ranges_wanted() { return thread_count() > 1 ? 2 * thread_count() : 1; }

/// Each result by one thread, in one run.
void reduce_many_rows(const Job& job) {
  const ReduceKernels& kernels = *job.kernels;
  constexpr std::int64_t most = 64;  // results that start and finish together
  const std::int64_t count = std::max<std::int64_t>(1, job.reduced_count);
  const std::int64_t block =
      std::clamp<std::int64_t>(std::max(job.kept_count / ranges_wanted(), reduce_grain / count), 1, most);
  const auto accumulator_bytes = static_cast<std::int64_t>(kernels.accumulator_bytes);
  const std::int64_t blocks = (job.kept_count + block - 1) / block;
  const std::int64_t grain = std::max<std::int64_t>(1, reduce_grain / (block * count));
  const bool is_matrix =
      job.kept.shape.size() == 1 && job.reduced.shape.size() == 1 && job.reduced.strides[0] == 1;
  const std::int64_t row_stride = is_matrix ? job.kept.strides[0] : 0;
  parallel_for(blocks, grain, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) std::byte accumulators[most * max_accumulator_bytes];
    StridedWalk<1> walk(job.kept.shape, {job.kept.strides});
    walk.seek(begin * block);
    Array view = job.reduced;
    for (std::int64_t first = begin * block; first < std::min(job.kept_count, end * block); first += block) {
      const std::int64_t n = std::min(block, job.kept_count - first);
      kernels.start(accumulators, n);
      if (is_matrix) {
        kernels.rows(element_address(job.kept, first * row_stride), row_stride, n, job.reduced_count,
                     accumulators);
      } else {
        for (std::int64_t k = 0; k < n; ++k, walk.next()) {
          view.data = element_address(job.kept, walk.offset());
          add_run(kernels, view, 0, job.reduced_count, accumulators + k * accumulator_bytes);
        }
      }
      kernels.finish(accumulators, n, job.out + first * job.out_bytes);
    }
  });
}

/// Adds the rows [begin, end) of the reduced axes to `width` accumulators, for the results first … first +
/// width − 1. `contiguous` says that these lie side by side in memory, from `offset` on.
struct ColumnBlock {
  std::int64_t first = 0;
  std::int64_t width = 0;
  std::int64_t offset = 0;
  bool contiguous = false;
};

void add_columns(const Job& job, const ColumnBlock& block, std::int64_t begin, std::int64_t end,
                 void* accumulators) {
  const ReduceKernels& kernels = *job.kernels;
  const int rank = job.reduced.shape.size();
  const std::int64_t n = rank == 0 ? 1 : job.reduced.shape.back();
  const std::int64_t stride = rank == 0 ? 0 : job.reduced.strides.back();
  StridedWalk<1> walk(job.reduced.shape, {job.reduced.strides});
  if (!block.contiguous) {
    alignas(64) std::byte tile[column_block * 8];
    Array view = job.kept;
    walk.seek(begin);
    for (std::int64_t r = begin; r < end; ++r, walk.next()) {
      view.data = element_address(job.kept, walk.offset());
      load_tile(view, block.first, block.width, tile);
      kernels.columns(tile, 0, 1, block.width, r, accumulators);
    }
    return;
  }
  for (std::int64_t r = begin; r < end;) {  // runs along the last reduced axis
    walk.seek(r);
    const std::int64_t length = std::min(end - r, n - r % n);
    kernels.columns(element_address(job.kept, block.offset + walk.offset()), stride, length, block.width, r,
                    accumulators);
    r += length;
  }
}

/// The results are cut into blocks that lie side by side in memory where that makes wide enough blocks.
struct ColumnCut {
  bool contiguous = false;
  std::int64_t width = 0;     // of a block
  std::int64_t per_line = 0;  // blocks along the last axis, or of all results
  std::int64_t blocks = 0;
};

ColumnCut cut_columns(const Job& job, std::int64_t width) {
  const Array& kept = job.kept;
  const int rank = kept.shape.size();
  const bool contiguous = rank == 0 || (kept.strides.back() == 1 && (rank == 1 || kept.shape.back() >= 32));
  const std::int64_t line = rank == 0 ? 1 : contiguous ? kept.shape.back() : job.kept_count;
  width = std::min(line, contiguous ? width : column_block);
  const std::int64_t per_line = (line + width - 1) / width;
  return {contiguous, width, per_line, job.kept_count / line * per_line};
}

ColumnBlock column_block_at(const Job& job, const ColumnCut& cut, std::int64_t number) {
  const std::int64_t line = number / cut.per_line;
  const std::int64_t within = number % cut.per_line * cut.width;
  if (!cut.contiguous) return {within, std::min(cut.width, job.kept_count - within), 0, false};
  const std::int64_t n = job.kept.shape.empty() ? 1 : job.kept.shape.back();
  StridedWalk<1> walk(job.kept.shape, {job.kept.strides});
  walk.seek(line * n + within);
  return {line * n + within, std::min(cut.width, n - within), walk.offset(), true};
}

/// Many results: each block of them by one thread, as wide as leaves every thread some blocks.
void reduce_many_columns(const Job& job, std::int64_t column_blocks) {
  const ReduceKernels& kernels = *job.kernels;
  const std::int64_t together = column_blocks / ranges_wanted();
  const ColumnCut cut =
      cut_columns(job, std::clamp<std::int64_t>(together * column_block, column_block, kernels.most_columns));
  const std::int64_t work = cut.width * std::max<std::int64_t>(1, job.reduced_count);
  parallel_for(cut.blocks, std::max<std::int64_t>(1, reduce_grain / work),
               [&](std::int64_t begin, std::int64_t end) {
                 alignas(64) std::byte accumulators[widest_column_block * max_accumulator_bytes];
                 for (std::int64_t b = begin; b < end; ++b) {
                   const ColumnBlock block = column_block_at(job, cut, b);
                   kernels.start(accumulators, block.width);
                   add_columns(job, block, 0, job.reduced_count, accumulators);
                   kernels.finish(accumulators, block.width, job.out + block.first * job.out_bytes);
                 }
               });
}

/// Many short lines of results, each with a matrix of its own to sum: lines start and finish together.
void reduce_many_lines(const Job& job) {
  const ReduceKernels& kernels = *job.kernels;
  const auto bytes = static_cast<std::int64_t>(kernels.accumulator_bytes);
  const std::int64_t width = job.kept.shape.back();
  const std::int64_t lines = job.kept_count / width;
  const std::int64_t together = column_block / width;
  const std::int64_t stride = job.reduced.strides[0];
  const Array starts = without_axis(job.kept, job.kept.shape.size() - 1);
  const std::int64_t grain = std::max<std::int64_t>(1, reduce_grain / (column_block * job.reduced_count));
  parallel_for((lines - 1) / together + 1, grain, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) std::byte accumulators[column_block * max_accumulator_bytes];
    StridedWalk<1> walk(starts.shape, {starts.strides});
    walk.seek(begin * together);
    for (std::int64_t line = begin * together; line < std::min(lines, end * together); line += together) {
      const std::int64_t n = std::min(together, lines - line);
      kernels.start(accumulators, n * width);
      for (std::int64_t i = 0; i < n; ++i, walk.next()) {
        kernels.columns(element_address(job.kept, walk.offset()), stride, job.reduced_count, width, 0,
                        accumulators + i * width * bytes);
      }
      kernels.finish(accumulators, n * width, job.out + line * width * job.out_bytes);
    }
  });
}

/// Whether there is so much to do that threads should share even few results.
bool is_worth_sharing(const Job& job) { return job.kept_count * job.reduced_count > 4 * reduce_grain; }

/// Whether lines are too short for a block of their own, long enough for vectors, and enough for all threads
/// where that matters.
bool has_short_lines(const Job& job) {
  const Array& kept = job.kept;
  return kept.shape.size() > 1 && job.reduced.shape.size() == 1 && kept.strides.back() == 1 &&
         kept.shape.back() >= 4 && kept.shape.back() <= column_block / 4 &&
         (job.kept_count > few_column_blocks * column_block || !is_worth_sharing(job));
}

/// Few results of many elements: threads share the rows, and the columns where those are not enough.
void reduce_few_columns(const Job& job) {
  const ReduceKernels& kernels = *job.kernels;
  const ColumnCut cut = cut_columns(job, kernels.most_columns);
  const auto bytes = static_cast<std::int64_t>(kernels.accumulator_bytes);
  alignas(64) std::byte partial[partial_bytes];
  static_assert(partial_bytes >= widest_column_block * max_accumulator_bytes);
  for (std::int64_t b = 0; b < cut.blocks; ++b) {
    const ColumnBlock block = column_block_at(job, cut, b);
    const std::int64_t most = std::min(max_column_pieces, partial_bytes / (block.width * bytes));
    const std::int64_t wanted =
        std::clamp<std::int64_t>(job.reduced_count * block.width / reduce_grain, 1, most);
    const std::int64_t rows = (job.reduced_count + wanted - 1) / wanted;
    const std::int64_t pieces = (job.reduced_count + rows - 1) / rows;
    const std::int64_t most_strips =
        std::min((ranges_wanted() - 1) / pieces + 1, (block.width - 1) / column_block + 1);
    const std::int64_t strip = (block.width - 1) / most_strips + 1;
    const std::int64_t strips = (block.width - 1) / strip + 1;
    kernels.start(partial, pieces * block.width);
    parallel_for(pieces * strips, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t p = i / strips, from = i % strips * strip;
        const ColumnBlock columns{block.first + from, std::min(strip, block.width - from),
                                  block.offset + from, block.contiguous};
        add_columns(job, columns, p * rows, std::min(job.reduced_count, (p + 1) * rows),
                    partial + (p * block.width + from) * bytes);
      }
    });
    for (std::int64_t p = 1; p < pieces; ++p) {
      kernels.combine(partial, partial + p * block.width * bytes, block.width);
    }
    kernels.finish(partial, block.width, job.out + block.first * job.out_bytes);
  }
}

/// Sums the rows of a dense [R, K] matrix with small K as rows of m·K elements, so that vectors are full,
/// and then the m groups of columns.
void reduce_narrow_columns(const Job& job, std::int64_t group) {
  const ReduceKernels& kernels = *job.kernels;
  const std::int64_t width = job.kept_count;
  const auto bytes = static_cast<std::int64_t>(kernels.accumulator_bytes);
  const std::int64_t wide_rows = job.reduced_count / group;
  const std::int64_t wanted =
      std::clamp<std::int64_t>(job.reduced_count * width / reduce_grain, 1, max_column_pieces);
  const std::int64_t rows = (wide_rows + wanted - 1) / wanted;
  const std::int64_t pieces = (wide_rows + rows - 1) / rows;
  const std::int64_t wide = group * width;
  alignas(64) std::byte partial[max_column_pieces * column_block * max_accumulator_bytes];
  kernels.start(partial, pieces * wide);
  parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      kernels.columns(element_address(job.kept, p * rows * wide), wide, std::min(rows, wide_rows - p * rows),
                      wide, 0, partial + p * wide * bytes);
    }
  });
  for (std::int64_t p = 1; p < pieces; ++p) kernels.combine(partial, partial + p * wide * bytes, wide);
  for (std::int64_t g = 1; g < group; ++g) kernels.combine(partial, partial + g * width * bytes, width);
  const std::int64_t done = wide_rows * group;
  kernels.columns(element_address(job.kept, done * width), width, job.reduced_count - done, width, 0,
                  partial);
  kernels.finish(partial, width, job.out);
}

/// Rows of the narrow matrix to take as one; 0 where this does not apply.
std::int64_t narrow_group(Reduction kind, const Job& job) {
  const Array& kept = job.kept;
  const Array& reduced = job.reduced;
  if (is_positional(kind) || kept.shape.size() != 1 || reduced.shape.size() != 1 || kept.strides[0] != 1 ||
      reduced.strides[0] != kept.shape[0] || kept.shape[0] > column_block / 4) {
    return 0;
  }
  const std::int64_t group = column_block / kept.shape[0];
  return job.reduced_count >= 4 * group ? group : 0;
}

/// Whether to go along the reduced axes (rows) or along the ones that stay (columns).
bool runs_along_rows(const Job& job) {
  if (job.kept.shape.empty()) return true;
  if (job.reduced.shape.empty()) return false;
  const std::int64_t row_step = std::abs(job.reduced.strides.back());
  const std::int64_t column_step = std::abs(job.kept.strides.back());
  if (row_step == 1) return true;
  if (column_step == 1) return false;
  return row_step <= column_step;
}

}  // namespace

DType reduction_dtype(Reduction kind, DType in) {
  switch (kind) {
    case Reduction::any:
    case Reduction::all:
      return DType::boolean;
    case Reduction::argmax:
    case Reduction::argmin:
      return DType::int64;
    case Reduction::max:
    case Reduction::min:
      return in;
    case Reduction::sum:
    case Reduction::prod:
    case Reduction::sum_squares:
      break;
  }
  return is_floating(in) ? in : DType::int64;
}

void reduce(Reduction kind, const Array& in, std::uint32_t axes, void* out) {
  const Job job = make_job(kind, in, axes, out);
  if (job.kept_count == 0) return;
  if (job.reduced_count == 0 || runs_along_rows(job)) {
    if (job.kept_count < 32 && job.reduced_count > 2 * reduce_grain) return reduce_few_rows(job);
    return reduce_many_rows(job);
  }
  if (const std::int64_t group = narrow_group(kind, job); group > 1) return reduce_narrow_columns(job, group);
  if (has_short_lines(job)) return reduce_many_lines(job);
  // Which of both, and with it the order of additions, is chosen by shape alone.
  const std::int64_t column_blocks = cut_columns(job, column_block).blocks;
  if (column_blocks < few_column_blocks && is_worth_sharing(job)) return reduce_few_columns(job);
  reduce_many_columns(job, column_blocks);
}

}  // namespace chainrule::kernels
