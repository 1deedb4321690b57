#include "kernels/cpu/copy.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/cpu/caches.hpp"
#include "kernels/cpu/streaming.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/cpu/transpose.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

/// Elements that are worth handing to a thread.
constexpr std::int64_t copy_grain = 32768;
/// Columns of the destination, and so rows of the source, that one task of a transpose handles.
constexpr std::int64_t transpose_band = 64;
/// A transpose of more bytes than this would evict everything else: it is written past the caches.
constexpr std::int64_t streamed_transpose_bytes = std::int64_t{12} << 20;

/// Calls f.template operator()<Size>() with the element size of `dtype`.
template <typename F>
void with_element_size(DType dtype, F&& f) {
  switch (dtype_size(dtype)) {
    case 1:
      return f.template operator()<1>();
    case 2:
      return f.template operator()<2>();
    case 4:
      return f.template operator()<4>();
    default:
      return f.template operator()<8>();
  }
}

/// dst[i · dst_stride] = src[i · src_stride], i < n.
template <std::size_t Size>
void copy_run(const std::byte* src_bytes, std::int64_t src_stride, std::byte* dst_bytes,
              std::int64_t dst_stride, std::int64_t n) {
  using W = typename Word<Size>::type;
  const auto* src = reinterpret_cast<const W*>(src_bytes);
  auto* dst = reinterpret_cast<W*>(dst_bytes);
  if (dst_stride != 1) {
    for (std::int64_t i = 0; i < n; ++i) dst[i * dst_stride] = src[i * src_stride];
  } else if (src_stride == 1) {
    if (n < 8) {  // a call of memcpy costs more than a few moves
      for (std::int64_t i = 0; i < n; ++i) dst[i] = src[i];
    } else {
      std::memcpy(dst_bytes, src_bytes, static_cast<std::size_t>(n) * Size);
    }
  } else if (src_stride == 0) {
    const typename Word<Size>::plain value = *src;
    for (std::int64_t i = 0; i < n; ++i) dst[i] = value;
  } else {
    for (std::int64_t i = 0; i < n; ++i) dst[i] = src[i * src_stride];
  }
}

/// dst[r · dst_stride + c] = src[c · src_stride + r] for r < rows, c < columns; strides in elements.
/// Streams where the destination's alignment allows that.
template <std::size_t Size>
void transpose_plane(const std::byte* src, std::int64_t src_stride, std::byte* dst, std::int64_t dst_stride,
                     std::int64_t rows, std::int64_t columns, Lines lines) {
  using W = typename Word<Size>::type;
  constexpr std::int64_t side = block_side<Size>;
  constexpr std::int64_t bytes = Size;
  const auto edge = [&](std::int64_t r0, std::int64_t r1, std::int64_t c0, std::int64_t c1) {
    const auto* from = reinterpret_cast<const W*>(src);
    auto* to = reinterpret_cast<W*>(dst);
    for (std::int64_t r = r0; r < r1; ++r) {
      for (std::int64_t c = c0; c < c1; ++c) to[r * dst_stride + c] = from[c * src_stride + r];
    }
  };
  const std::int64_t full_rows = rows - rows % side;
  const std::int64_t full_columns = columns - columns % side;
  const bool aligned = reinterpret_cast<std::uintptr_t>(dst) % 16 == 0 && dst_stride * bytes % 16 == 0;
  if (lines == Lines::streamed && !aligned) lines = Lines::far;
  const TransposeBlock block = best_transpose_block<Size>();
  for (std::int64_t r = 0; r < full_rows; r += side) {
    for (std::int64_t c = 0; c < full_columns; c += side) {
      block(src + (c * src_stride + r) * bytes, src_stride * bytes, dst + (r * dst_stride + c) * bytes,
            dst_stride * bytes, lines);
    }
  }
  if (lines == Lines::streamed) finish_streaming();
  edge(0, full_rows, full_columns, columns);
  edge(full_rows, rows, 0, columns);
}

/// A copy whose dimensions are ordered by the destination's memory and merged as far as possible.
struct CopyPlan {
  const std::byte* src = nullptr;
  std::byte* dst = nullptr;
  std::int64_t bytes = 0;  // of an element
  Shape shape;
  std::array<Strides, 2> strides;  // source, destination

  Strides& src_strides() { return strides[0]; }
  Strides& dst_strides() { return strides[1]; }
};

/// Copies may visit the elements in any order: dimensions run forwards and outermost first in `dst`.
CopyPlan plan_copy(const Array& src, const Array& dst) {
  CopyPlan plan{static_cast<const std::byte*>(src.data),
                static_cast<std::byte*>(dst.data),
                static_cast<std::int64_t>(dtype_size(src.dtype)),
                dst.shape,
                {src.strides, dst.strides}};
  Strides& from = plan.src_strides();
  Strides& to = plan.dst_strides();
  const int rank = plan.shape.size();
  for (int d = 0; d < rank; ++d) {
    if (to[d] >= 0) continue;
    plan.src += (plan.shape[d] - 1) * from[d] * plan.bytes;
    plan.dst += (plan.shape[d] - 1) * to[d] * plan.bytes;
    from[d] = -from[d];
    to[d] = -to[d];
  }
  for (int i = 1; i < rank; ++i) {  // insertion sort: at most eight dimensions
    for (int d = i; d > 0 && to[d - 1] < to[d]; --d) {
      std::swap(plan.shape[d - 1], plan.shape[d]);
      std::swap(from[d - 1], from[d]);
      std::swap(to[d - 1], to[d]);
    }
  }
  collapse_dimensions(plan.shape, plan.strides);
  return plan;
}

/// The dimension along which the source is contiguous while the destination is so along the last one;
/// −1 where the copy is no transpose, or too small a one for blocks.
int transpose_dimension(CopyPlan& plan) {
  const int last = plan.shape.size() - 1;
  const std::int64_t side = 64 / plan.bytes;
  const std::int64_t inner = plan.src_strides()[last];
  if (plan.dst_strides()[last] != 1 || inner == 1 || inner == 0 || plan.shape[last] < side) return -1;
  for (int d = 0; d < last; ++d) {
    if (plan.src_strides()[d] == 1 && plan.shape[d] >= side) return d;
  }
  return -1;
}

/// The outer dimensions of a plan: all but the ones that an inner loop handles.
StridedWalk<2> outer_walk(CopyPlan plan, int dropped, std::int64_t* count) {
  for (Dims* dims : {&plan.shape, &plan.strides[0], &plan.strides[1]}) {
    dims->erase(dims->size() - 1);
    if (dropped >= 0) dims->erase(dropped);
  }
  *count = element_count(plan.shape);
  return {plan.shape, plan.strides};
}

template <std::size_t Size>
void copy_transposed(CopyPlan& plan, int dimension) {
  constexpr std::int64_t bytes = Size;
  const int last = plan.shape.size() - 1;
  const std::int64_t rows = plan.shape[dimension];
  const std::int64_t columns = plan.shape[last];
  const std::int64_t from_stride = plan.src_strides()[last];
  const std::int64_t to_stride = plan.dst_strides()[dimension];
  std::int64_t planes = 0;
  const StridedWalk<2> start = outer_walk(plan, dimension, &planes);
  // One task reads `band` long rows of the source side by side: streams that the prefetcher follows.
  const std::int64_t band = std::max(transpose_band, block_side<Size>);
  const std::int64_t bands = (columns + band - 1) / band;
  const std::int64_t total = planes * rows * columns * bytes;
  const Lines lines = total > streamed_transpose_bytes ? Lines::streamed
                      : 2 * total > cache_sizes().l2   ? Lines::far
                                                       : Lines::near;
  parallel_for(planes * bands, std::max<std::int64_t>(1, copy_grain / (band * rows)),
               [&](std::int64_t begin, std::int64_t end) {
                 StridedWalk<2> walk = start;
                 walk.seek(begin / bands);
                 for (std::int64_t task = begin; task < end; ++task) {
                   const std::int64_t column = task % bands * band;
                   transpose_plane<Size>(plan.src + (walk.offset(0) + column * from_stride) * bytes,
                                         from_stride, plan.dst + (walk.offset(1) + column) * bytes, to_stride,
                                         rows, std::min(band, columns - column), lines);
                   if (task % bands == bands - 1) walk.next();
                 }
               });
}

template <std::size_t Size>
void copy_rows(CopyPlan& plan) {
  constexpr std::int64_t bytes = Size;
  const int last = plan.shape.size() - 1;
  const std::int64_t n = plan.shape[last];
  const std::int64_t from = plan.src_strides()[last];
  const std::int64_t to = plan.dst_strides()[last];
  std::int64_t rows = 0;
  const StridedWalk<2> start = outer_walk(plan, -1, &rows);
  const std::int64_t pieces = (n + copy_grain - 1) / copy_grain;  // of one row
  parallel_for(rows * pieces, std::max<std::int64_t>(1, copy_grain / n),
               [&](std::int64_t begin, std::int64_t end) {
                 StridedWalk<2> walk = start;
                 walk.seek(begin / pieces);
                 while (begin < end) {  // the pieces of a row that fall to this range are one run
                   const std::int64_t piece = begin % pieces;
                   const std::int64_t taken = std::min(pieces - piece, end - begin);
                   const std::int64_t first = piece * copy_grain;
                   copy_run<Size>(plan.src + (walk.offset(0) + first * from) * bytes, from,
                                  plan.dst + (walk.offset(1) + first * to) * bytes, to,
                                  std::min(n, (piece + taken) * copy_grain) - first);
                   begin += taken;
                   walk.next();
                 }
               });
}

/// Calls run(offset of the run in the view, its length, its first position in the tile) for the runs
/// along the last dimension that make up the range.
template <typename Run>
void for_each_run(const Array& view, std::int64_t begin, std::int64_t count, Run&& run) {
  const int last = view.shape.size() - 1;
  const std::int64_t n = view.shape[last];
  StridedWalk<1> walk(view.shape, {view.strides});
  walk.seek(begin);
  const std::int64_t skipped = walk.index(last);
  std::int64_t length = std::min(count, n - skipped);
  run(walk.offset(), length, std::int64_t{0});
  std::int64_t done = length;
  if (done == count) return;

  StridedWalk<1> rows(without_axis(view, last).shape, {without_axis(view, last).strides});
  for (rows.seek((begin + done) / n); done < count; rows.next()) {
    length = std::min(count - done, n);
    run(rows.offset(), length, done);
    done += length;
  }
}

/// The whole rows of a transposed view inside the range [begin, begin + count): where they start, and how
/// many there are in a block that is worth transposing at once; {0, 0} where there is none.
struct RowBlock {
  std::int64_t first = 0;
  std::int64_t rows = 0;
};

RowBlock transposed_rows(const Array& view, std::int64_t begin, std::int64_t count, std::int64_t side) {
  if (view.shape.size() != 2 || view.strides[0] != 1 || view.shape[1] < side) return {};
  const std::int64_t n = view.shape[1];
  const std::int64_t first = (begin + n - 1) / n;
  const std::int64_t rows = (begin + count) / n - first;
  return rows < side ? RowBlock{} : RowBlock{first, rows};
}

/// A view whose last two dimensions are a row, repeated: each row is read once, and then what has been
/// written is written again.
template <std::size_t Size>
void load_repeated_rows(const Array& view, std::int64_t begin, std::int64_t count, std::byte* dense) {
  constexpr std::int64_t bytes = Size;
  const int last = view.shape.size() - 1;
  const std::int64_t n = view.shape[last];
  const std::int64_t stride = view.strides[last];
  const std::int64_t block = n * view.shape[last - 1];
  const Array outer = without_axis(without_axis(view, last), last - 1);
  StridedWalk<1> walk(outer.shape, {outer.strides});
  walk.seek(begin / block);
  std::int64_t within = begin % block;
  for (std::int64_t done = 0; done < count; walk.next(), within = 0) {
    const std::byte* const row = element_address(view, walk.offset());
    const std::int64_t length = std::min(count - done, block - within);
    std::byte* const to = dense + done * bytes;
    const std::int64_t phase = within % n;
    const std::int64_t head = std::min(length, n - phase);
    copy_run<Size>(row + phase * stride * bytes, stride, to, 1, head);
    std::int64_t written = std::min(length, n);
    if (written > head) copy_run<Size>(row, stride, to + head * bytes, 1, written - head);
    while (written < length) {
      const std::int64_t more = std::min(written, length - written);
      std::memcpy(to + written * bytes, to, static_cast<std::size_t>(more * bytes));
      written += more;
    }
    done += length;
  }
}

template <std::size_t Size>
void load_tile_of(const Array& view, std::int64_t begin, std::int64_t count, std::byte* dense) {
  constexpr std::int64_t bytes = Size;
  const auto* data = static_cast<const std::byte*>(view.data);
  if (view.shape.empty()) return copy_run<Size>(data, 1, dense, 1, count);
  const std::int64_t stride = view.strides.back();
  if (view.shape.size() > 1 && view.strides[view.shape.size() - 2] == 0)
    return load_repeated_rows<Size>(view, begin, count, dense);
  const auto load_runs = [&](std::int64_t from, std::int64_t length, std::byte* to) {
    for_each_run(view, from, length, [&](std::int64_t offset, std::int64_t n, std::int64_t position) {
      copy_run<Size>(data + offset * bytes, stride, to + position * bytes, 1, n);
    });
  };
  const RowBlock block = transposed_rows(view, begin, count, block_side<Size>);
  if (block.rows == 0) return load_runs(begin, count, dense);

  const std::int64_t n = view.shape[1];
  const std::int64_t head = block.first * n - begin;
  const std::int64_t tail = count - head - block.rows * n;
  if (head > 0) load_runs(begin, head, dense);
  transpose_plane<Size>(data + block.first * bytes, stride, dense + head * bytes, n, block.rows, n,
                        Lines::near);
  if (tail > 0) load_runs(begin + count - tail, tail, dense + (count - tail) * bytes);
}

}  // namespace

void strided_copy(const Array& src, const Array& dst) {
  if (dst.size() == 0) return;
  CopyPlan plan = plan_copy(src, dst);
  if (plan.shape.empty()) {
    std::memcpy(plan.dst, plan.src, static_cast<std::size_t>(plan.bytes));
    return;
  }
  const int dimension = transpose_dimension(plan);
  with_element_size(src.dtype, [&]<std::size_t Size>() {
    if (dimension >= 0) {
      copy_transposed<Size>(plan, dimension);
    } else {
      copy_rows<Size>(plan);
    }
  });
}

void fill(const Array& dst, const void* value) {
  const Array repeated{const_cast<void*>(value), dst.dtype, dst.shape, Dims::filled(dst.shape.size(), 0)};
  strided_copy(repeated, dst);
}

void load_tile(const Array& view, std::int64_t begin, std::int64_t count, void* dense) {
  if (count <= 0) return;
  with_element_size(view.dtype, [&]<std::size_t Size>() {
    load_tile_of<Size>(view, begin, count, static_cast<std::byte*>(dense));
  });
}

void store_tile(const Array& view, std::int64_t begin, std::int64_t count, const void* dense) {
  if (count <= 0) return;
  const auto* from = static_cast<const std::byte*>(dense);
  with_element_size(view.dtype, [&]<std::size_t Size>() {
    constexpr std::int64_t bytes = Size;
    auto* data = static_cast<std::byte*>(view.data);
    if (view.shape.empty()) return copy_run<Size>(from, 1, data, 1, count);
    for_each_run(view, begin, count, [&](std::int64_t offset, std::int64_t n, std::int64_t position) {
      copy_run<Size>(from + position * bytes, 1, data + offset * bytes, view.strides.back(), n);
    });
  });
}

}  // namespace chainrule::kernels
