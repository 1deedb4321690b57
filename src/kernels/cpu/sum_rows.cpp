#include "kernels/cpu/sum_rows.hpp"

#include <algorithm>
#include <limits>

#include "kernels/cpu/copy.hpp"
#include "kernels/cpu/dispatch.hpp"
#include "kernels/cpu/index.hpp"
#include "kernels/cpu/streaming.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

/// Rows of src are read in the order of out: measured, shorter ones from all over memory cost what is saved.
constexpr std::int64_t least_row_bytes = 4096;
constexpr std::int64_t piece_bytes = 4096;
constexpr std::int64_t grain_bytes = 65536;

/// Which rows of src belong to a row of out, as chains in the order of j.
struct Chains {
  std::int32_t* first;  // of each row of out; −1 for none
  std::int32_t* next;   // of each row of src
};

Chains chains_in(void* workspace, std::int64_t length) {
  auto* const memory = static_cast<std::int32_t*>(workspace);
  return {memory, memory + length};
}

template <typename I>
void link_rows(const Array& index, std::int64_t length, const Chains& chains) {
  std::fill_n(chains.first, length, -1);
  const std::int64_t step = index.shape.empty() ? 0 : index.strides[0];
  for (std::int64_t j = index.size() - 1; j >= 0; --j) {
    std::int32_t& first = chains.first[wrapped(index.as<I>()[j * step], length)];
    chains.next[j] = first;
    first = static_cast<std::int32_t>(j);
  }
}

/// One row of out: the sum of the rows of src that start with number j of `from`. The row of out behind it
/// starts with `coming`.
template <typename T>
void write_sum(const T* from, std::int64_t width, std::int32_t j, const std::int32_t* next, const T* coming,
               T* to) {
  constexpr std::int64_t piece = piece_bytes / static_cast<std::int64_t>(sizeof(T));
  alignas(64) T sum[piece];
  if (j < 0) std::fill_n(sum, piece, T{});
  for (std::int64_t begin = 0; begin < width; begin += piece) {
    const std::int64_t n = std::min(piece, width - begin);
    if (j >= 0) {
      const T* const row = from + j * width + begin;
      // Not a copy: 0 + −0 is 0.
      for (std::int64_t k = 0; k < n; ++k) sum[k] = add_elements(T{}, row[k]);
      for (std::int32_t more = next[j]; more >= 0; more = next[more]) {
        const T* const other = from + more * width + begin;
        for (std::int64_t k = 0; k < n; ++k) sum[k] = add_elements(sum[k], other[k]);
      }
    }
    const T* const same = j < 0 ? sum : from + j * width + begin + n;
    copy_past_caches(sum, to + begin, n * static_cast<std::int64_t>(sizeof(T)),
                     begin + n == width && coming != nullptr ? coming : same);
  }
}

std::int64_t length_of(const Shape& shape, int begin, int end) {
  std::int64_t length = 1;
  for (int d = begin; d < end; ++d) length *= shape[d];
  return length;
}

}  // namespace

std::size_t sum_rows_workspace_bytes(const Array& index, const Array& src, int axis, const Shape& out) {
  const auto element = static_cast<std::int64_t>(dtype_size(src.dtype));
  const std::int64_t rows = out[axis] + index.size();
  const bool fits = rows <= std::numeric_limits<std::int32_t>::max() && index.size() > 0;
  const bool large = element_count(out) * element > streaming_bytes &&
                     length_of(out, axis + 1, out.size()) * element >= least_row_bytes;
  if (!fits || !large || !is_dense(src) || collapsed(index).shape.size() > 1) return 0;
  return static_cast<std::size_t>(rows) * sizeof(std::int32_t);
}

std::int64_t sum_rows(const Array& index, const Array& src, int axis, const Array& out, void* workspace) {
  if (workspace == nullptr || !is_dense(out)) {
    constexpr double zero = 0;  // all bits are zero in every dtype
    fill(out, &zero);
    return put(ScatterMode::add, index, src, axis, out);
  }
  const std::int64_t length = out.shape[axis];
  if (const std::int64_t bad = first_bad_index(index, length); bad >= 0) return bad;
  const Array indices = collapsed(index);
  const Chains chains = chains_in(workspace, length);
  if (index.dtype == DType::int32) {
    link_rows<std::int32_t>(indices, length, chains);
  } else {
    link_rows<std::int64_t>(indices, length, chains);
  }
  const std::int64_t width = length_of(out.shape, axis + 1, out.shape.size());
  const std::int64_t outer = length_of(out.shape, 0, axis);
  with_element_type(out.dtype, [&]<typename T>() {
    const std::int64_t grain = grain_bytes / (width * static_cast<std::int64_t>(sizeof(T)));
    parallel_for(outer * length, std::max<std::int64_t>(1, grain), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* const from = src.as<T>() + row / length * indices.size() * width;
        const std::int32_t behind = row + 1 < end ? chains.first[(row + 1) % length] : -1;
        write_sum(from, width, chains.first[row % length], chains.next,
                  behind < 0 ? nullptr : from + behind * width, out.as<T>() + row * width);
      }
      finish_streaming();
    });
  });
  return -1;
}

}  // namespace chainrule::kernels
