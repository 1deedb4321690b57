#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/reduce.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t scan_grain = 32768;
constexpr std::int64_t lines_at_once = 64;  // neighbouring lines, so that cache lines are used whole
// Lines that are contiguous along the axis: as many as hide the latency of an addition. Where their distance
// is a power of two, all of them and all of their results lie in one set of the cache, which holds 8 lines
// or 12.
constexpr std::int64_t contiguous_at_once = 4;

template <typename T>
auto widen(T x) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    return static_cast<double>(static_cast<float>(x));
  } else if constexpr (std::is_floating_point_v<T>) {
    return static_cast<double>(x);
  } else {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(x));
  }
}

template <typename Out, typename Wide>
Out narrow(Wide x) {
  if constexpr (std::is_same_v<Out, bfloat16>) {
    return bfloat16(static_cast<float>(x));
  } else {
    return static_cast<Out>(x);
  }
}

/// Lines [first, first + count): out = running total of in, `steps` steps of the given strides.
struct Lines {
  std::int64_t steps = 0;
  std::int64_t in_step = 0;
  std::int64_t out_step = 0;
};

template <Scan kind, typename T, typename Out>
void scan_lines(const T* in, Out* out, const Lines& lines, const std::int64_t* in_offset,
                const std::int64_t* out_offset, std::int64_t count) {
  using Wide = decltype(widen(T{}));
  Wide total[lines_at_once];
  std::fill(total, total + count, static_cast<Wide>(kind == Scan::sum ? 0 : 1));
  for (std::int64_t s = 0; s < lines.steps; ++s) {
    for (std::int64_t k = 0; k < count; ++k) {
      const Wide x = widen(in[in_offset[k] + s * lines.in_step]);
      total[k] = kind == Scan::sum ? total[k] + x : total[k] * x;
      out[out_offset[k] + s * lines.out_step] = narrow<Out>(total[k]);
    }
  }
}

/// The same for lines whose elements are neighbours (`step` is 1 or −1); `count` is known, so that the totals
/// stay in registers.
template <Scan kind, std::int64_t count, typename T, typename Out>
void scan_contiguous(const T* in, Out* out, std::int64_t steps, std::int64_t step,
                     const std::int64_t* in_offset, const std::int64_t* out_offset) {
  using Wide = decltype(widen(T{}));
  std::array<Wide, count> total;
  total.fill(static_cast<Wide>(kind == Scan::sum ? 0 : 1));
  std::array<const T*, count> from;
  std::array<Out*, count> to;
  for (std::size_t k = 0; k < count; ++k) {
    from[k] = in + in_offset[k];
    to[k] = out + out_offset[k];
  }
  for (std::int64_t s = 0; s != steps * step; s += step) {
    for (std::size_t k = 0; k < count; ++k) {
      const Wide x = widen(from[k][s]);
      total[k] = kind == Scan::sum ? total[k] + x : total[k] * x;
      to[k][s] = narrow<Out>(total[k]);
    }
  }
}

/// One block of lines, in the way that suits their steps.
template <Scan kind, typename T, typename Out>
void scan_block(const T* in, Out* out, const Lines& lines, const std::int64_t* in_offset,
                const std::int64_t* out_offset, std::int64_t count) {
  if (lines.in_step != lines.out_step || (lines.in_step != 1 && lines.in_step != -1))
    return scan_lines<kind>(in, out, lines, in_offset, out_offset, count);
  std::int64_t k = 0;
  for (; k + contiguous_at_once <= count; k += contiguous_at_once) {
    scan_contiguous<kind, contiguous_at_once>(in, out, lines.steps, lines.in_step, in_offset + k,
                                              out_offset + k);
  }
  for (; k < count; ++k)
    scan_contiguous<kind, 1>(in, out, lines.steps, lines.in_step, in_offset + k, out_offset + k);
}

template <typename T>
void scan_typed(Scan kind, const Array& in, int axis, bool reverse, const Array& out) {
  using Out = std::conditional_t<std::is_integral_v<T>, std::int64_t, T>;
  Lines lines{in.shape[axis], in.strides[axis], out.strides[axis]};
  const T* from = in.as<T>();
  Out* to = out.as<Out>();
  if (reverse) {
    from += (lines.steps - 1) * lines.in_step;
    to += (lines.steps - 1) * lines.out_step;
    lines.in_step = -lines.in_step;
    lines.out_step = -lines.out_step;
  }
  const Array in_lines = without_axis(in, axis);
  const Array out_lines = without_axis(out, axis);
  const std::int64_t count = in_lines.size();
  const std::int64_t blocks = (count + lines_at_once - 1) / lines_at_once;
  const std::int64_t work = lines_at_once * lines.steps;
  parallel_for(blocks, std::max<std::int64_t>(1, scan_grain / work),
               [&](std::int64_t begin, std::int64_t end) {
                 StridedWalk<2> walk(in_lines.shape, {in_lines.strides, out_lines.strides});
                 walk.seek(begin * lines_at_once);
                 for (std::int64_t b = begin; b < end; ++b) {
                   std::int64_t in_offset[lines_at_once];
                   std::int64_t out_offset[lines_at_once];
                   const std::int64_t n = std::min(lines_at_once, count - b * lines_at_once);
                   for (std::int64_t k = 0; k < n; ++k, walk.next()) {
                     in_offset[k] = walk.offset(0);
                     out_offset[k] = walk.offset(1);
                   }
                   if (kind == Scan::sum) {
                     scan_block<Scan::sum>(from, to, lines, in_offset, out_offset, n);
                   } else {
                     scan_block<Scan::prod>(from, to, lines, in_offset, out_offset, n);
                   }
                 }
               });
}

}  // namespace

DType scan_dtype(DType in) { return is_floating(in) ? in : DType::int64; }

void scan(Scan kind, const Array& in, int axis, bool reverse, const Array& out) {
  if (in.size() == 0) return;
  switch (in.dtype) {
    case DType::boolean:
      return scan_typed<bool>(kind, in, axis, reverse, out);
    case DType::uint8:
      return scan_typed<std::uint8_t>(kind, in, axis, reverse, out);
    case DType::int32:
      return scan_typed<std::int32_t>(kind, in, axis, reverse, out);
    case DType::int64:
      return scan_typed<std::int64_t>(kind, in, axis, reverse, out);
    case DType::bfloat16:
      return scan_typed<bfloat16>(kind, in, axis, reverse, out);
    case DType::float32:
      return scan_typed<float>(kind, in, axis, reverse, out);
    case DType::float64:
      return scan_typed<double>(kind, in, axis, reverse, out);
  }
}

}  // namespace chainrule::kernels
