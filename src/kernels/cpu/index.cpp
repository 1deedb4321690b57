#include "kernels/cpu/index.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "kernels/cpu/copy.hpp"
#include "kernels/cpu/dispatch.hpp"
#include "kernels/cpu/gather.hpp"
#include "kernels/cpu/streaming.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t index_grain = 16384;        // elements that are worth handing to a thread
constexpr std::int64_t index_chunk = 512;          // indices looked at together
constexpr std::int64_t least_streamed_row = 1024;  // bytes

/// An index read from memory, of either width.
std::int64_t index_at(const Array& index, std::int64_t offset) {
  return index.dtype == DType::int32 ? index.as<std::int32_t>()[offset] : index.as<std::int64_t>()[offset];
}

/// The first of n indices outside of [−length, length), −1 when all are inside.
template <typename I>
std::int64_t first_outside(const I* indices, std::int64_t n, std::int64_t length) {
  using U = std::make_unsigned_t<I>;
  const auto inside = [&](I index) { return index >= -length && index < length; };
  bool suspect = true;
  // The sign bit of index + length or of length − 1 − index is set where the index is outside; no sum of an
  // index inside and the length overflows. 64-bit comparisons are slower where the baseline is SSE2.
  if (length < std::int64_t{1} << (8 * sizeof(I) - 2)) {
    U bits = 0;
    for (std::int64_t k = 0; k < n; ++k) {
      const U index = static_cast<U>(indices[k]);
      bits |= (index + static_cast<U>(length)) | (static_cast<U>(length - 1) - index);
    }
    suspect = static_cast<I>(bits) < 0;
  }
  if (!suspect) return -1;
  const I* const end = indices + n;
  const I* const found = std::find_if_not(indices, end, inside);
  return found == end ? -1 : found - indices;
}

/// The least of the numbers that several threads come upon; −1 before the first.
class LeastFound {
 public:
  void found(std::int64_t number) {
    std::int64_t known = least_.load(std::memory_order_relaxed);
    while (number < known && !least_.compare_exchange_weak(known, number, std::memory_order_relaxed)) {
    }
  }
  std::int64_t least() const {
    const std::int64_t known = least_.load(std::memory_order_relaxed);
    return known == none ? -1 : known;
  }

 private:
  static constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::int64_t> least_{none};
};

template <typename I>
std::int64_t first_bad_of(const Array& index, std::int64_t length) {
  const Array view = collapsed(index);
  const std::int64_t count = view.size();
  const bool dense = is_dense(view);
  LeastFound bad;
  parallel_for((count + index_chunk - 1) / index_chunk, index_grain / index_chunk,
               [&](std::int64_t begin, std::int64_t end) {
                 I tile[index_chunk];
                 for (std::int64_t i = begin * index_chunk; i < std::min(count, end * index_chunk);
                      i += index_chunk) {
                   const std::int64_t n = std::min(index_chunk, count - i);
                   const I* chunk = view.as<I>() + i;
                   if (!dense) {
                     load_tile(view, i, n, tile);
                     chunk = tile;
                   }
                   const std::int64_t at = first_outside(chunk, n, length);
                   if (at < 0) continue;
                   bad.found(i + at);
                   return;
                 }
               });
  return bad.least();
}

template <typename F>
void with_index_type(DType dtype, F&& f) {
  if (dtype == DType::int32) {
    f.template operator()<std::int32_t>();
  } else {
    f.template operator()<std::int64_t>();
  }
}

std::int64_t grain_of(std::int64_t elements) {
  return std::max<std::int64_t>(1, index_grain / std::max<std::int64_t>(1, elements));
}

template <ScatterMode mode, typename T>
void put_one(T& to, T from) {
  if constexpr (mode == ScatterMode::set) {
    to = from;
  } else {
    to = add_elements(to, from);
  }
}

template <ScatterMode mode, typename T>
void put_run(T* to, std::int64_t to_step, const T* from, std::int64_t from_step, std::int64_t n) {
  if (to_step == 1 && from_step == 1) {
    for (std::int64_t i = 0; i < n; ++i) put_one<mode>(to[i], from[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) put_one<mode>(to[i * to_step], from[i * from_step]);
  }
}

/// The positions of take and put: outer i…, indexed j…, inner k…; `whole` is the operand that is indexed,
/// `part` the one that has index's shape in place of the axis.
struct TakeShape {
  Array outer_whole, outer_part;  // i…
  Array index, indexed_part;      // j…
  Array inner_whole, inner_part;  // k…
  std::int64_t length = 0;        // of the axis
  std::int64_t axis_step = 0;     // of the whole
  std::int64_t outer = 0, indexed = 0, inner = 0;
};

Array dimensions(const Array& a, int begin, int end) {
  Array part{a.data, a.dtype, {}, {}};
  for (int d = begin; d < end; ++d) {
    part.shape.push_back(a.shape[d]);
    part.strides.push_back(a.strides[d]);
  }
  return part;
}

TakeShape take_shape(const Array& whole, const Array& index, int axis, const Array& part) {
  TakeShape s;
  const int after = axis + index.shape.size();
  s.outer_whole = dimensions(whole, 0, axis);
  s.outer_part = dimensions(part, 0, axis);
  s.index = index;
  s.indexed_part = dimensions(part, axis, after);
  s.inner_whole = dimensions(whole, axis + 1, whole.shape.size());
  s.inner_part = dimensions(part, after, part.shape.size());
  std::array<Strides, 2> strides{s.inner_whole.strides, s.inner_part.strides};
  collapse_dimensions(s.inner_part.shape, strides);
  s.inner_whole.shape = s.inner_part.shape;
  s.inner_whole.strides = strides[0];
  s.inner_part.strides = strides[1];
  s.length = whole.shape[axis];
  s.axis_step = whole.strides[axis];
  s.outer = s.outer_part.size();
  s.indexed = s.indexed_part.size();
  s.inner = s.inner_part.size();
  return s;
}

/// Calls row(offset in whole, offset in part) for each position (i…, j…) of the range, counted row-major.
template <typename Row>
void for_each_row(const TakeShape& s, std::int64_t begin, std::int64_t end, Row&& row) {
  StridedWalk<2> outer(s.outer_part.shape, {s.outer_whole.strides, s.outer_part.strides});
  StridedWalk<2> indexed(s.indexed_part.shape, {s.index.strides, s.indexed_part.strides});
  outer.seek(begin / s.indexed);
  indexed.seek(begin % s.indexed);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t at = wrapped(index_at(s.index, indexed.offset(0)), s.length);
    row(outer.offset(0) + at * s.axis_step, outer.offset(1) + indexed.offset(1));
    indexed.next();
    if ((i + 1) % s.indexed == 0) outer.next();
  }
}

/// Copies the inner elements [0, s.inner) of one row, whole → part.
template <typename T>
void take_row(const TakeShape& s, std::int64_t whole_offset, std::int64_t part_offset, bool streamed) {
  const T* from = s.inner_whole.as<T>() + whole_offset;
  T* to = s.inner_part.as<T>() + part_offset;
  const int rank = s.inner_part.shape.size();
  if (rank == 0) {
    *to = *from;
  } else if (rank == 1) {
    const std::int64_t from_step = s.inner_whole.strides[0];
    const std::int64_t to_step = s.inner_part.strides[0];
    if (from_step == 1 && to_step == 1) {
      if (streamed) {
        constexpr std::int64_t ahead = 512 / sizeof(T);  // the processor itself looks no further than a page
        return copy_past_caches(from, to, s.inner * static_cast<std::int64_t>(sizeof(T)), from + ahead);
      }
      std::copy_n(from, s.inner, to);
    } else {
      for (std::int64_t k = 0; k < s.inner; ++k) to[k * to_step] = from[k * from_step];
    }
  } else {
    Array src = s.inner_whole;
    Array dst = s.inner_part;
    src.data = const_cast<T*>(from);
    dst.data = to;
    strided_copy(src, dst);
  }
}

/// All rows onto the inner positions [begin, end): rows may meet in one place, inner positions never do.
template <ScatterMode mode, typename T>
void put_slice(const TakeShape& s, std::int64_t begin, std::int64_t end) {
  T* to = s.inner_whole.as<T>();
  const T* from = s.inner_part.as<T>();
  const int rank = s.inner_part.shape.size();
  StridedWalk<2> inner(s.inner_part.shape, {s.inner_whole.strides, s.inner_part.strides});
  for_each_row(s, 0, s.outer * s.indexed, [&](std::int64_t whole, std::int64_t part) {
    if (rank == 0) return put_one<mode>(to[whole], from[part]);
    if (rank == 1) {
      const std::int64_t to_step = s.inner_whole.strides[0];
      const std::int64_t from_step = s.inner_part.strides[0];
      return put_run<mode>(to + whole + begin * to_step, to_step, from + part + begin * from_step, from_step,
                           end - begin);
    }
    inner.seek(begin);
    for (std::int64_t k = begin; k < end; ++k, inner.next()) {
      put_one<mode>(to[whole + inner.offset(0)], from[part + inner.offset(1)]);
    }
  });
}

template <ScatterMode mode, typename T>
void put_typed(const TakeShape& s) {
  if (s.inner >= s.outer) {
    // Wide enough slices that two threads do not share cache lines.
    constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
    const std::int64_t lines = (s.inner + line - 1) / line;
    parallel_for(lines, grain_of(s.outer * s.indexed * line), [&](std::int64_t begin, std::int64_t end) {
      put_slice<mode, T>(s, begin * line, std::min(s.inner, end * line));
    });
    return;
  }
  parallel_for(s.outer, grain_of(s.indexed * s.inner), [&](std::int64_t begin, std::int64_t end) {
    StridedWalk<2> outer(s.outer_part.shape, {s.outer_whole.strides, s.outer_part.strides});
    outer.seek(begin);
    for (std::int64_t i = begin; i < end; ++i, outer.next()) {
      TakeShape one = s;  // the rows of one outer position
      one.outer = 1;
      one.outer_whole = one.outer_part = Array{};
      one.inner_whole.data = s.inner_whole.as<T>() + outer.offset(0);
      one.inner_part.data = s.inner_part.as<T>() + outer.offset(1);
      put_slice<mode, T>(one, 0, s.inner);
    }
  });
}

/// The lines along `axis` of gather and scatter, for three operands that are walked together.
struct LineWalk {
  Shape shape;                     // of the positions off the axis
  std::array<Strides, 3> strides;  // index, part, whole
  std::int64_t count = 0;
};

LineWalk lines_off_axis(const Array& index, const Array& part, const Array& whole, int axis) {
  const Array i = without_axis(index, axis);
  return {
      i.shape, {i.strides, without_axis(part, axis).strides, without_axis(whole, axis).strides}, i.size()};
}

/// Calls element(offset in part, offset in whole) for all positions of the lines of a range; along a line
/// in order. Lines are taken one by one where a line's own elements are neighbours; else in blocks, the axis
/// outside, so that neighbouring lines share cache lines.
template <typename I, typename Element>
void for_each_element(const LineWalk& lines, const Array& index, const Array& part, const Array& whole,
                      int axis, std::int64_t begin, std::int64_t end, Element&& element) {
  const I* indices = index.as<I>();
  const std::int64_t length = whole.shape[axis];
  const std::int64_t steps = index.shape[axis];
  const std::int64_t index_step = index.strides[axis];
  const std::int64_t part_step = part.strides[axis];
  const std::int64_t whole_step = whole.strides[axis];
  StridedWalk<3> walk(lines.shape, lines.strides);
  walk.seek(begin);
  if (index_step == 1 && part_step == 1) {
    for (std::int64_t line = begin; line < end; ++line, walk.next()) {
      const I* row = indices + walk.offset(0);
      const std::int64_t to = walk.offset(1);
      const std::int64_t from = walk.offset(2);
      for (std::int64_t j = 0; j < steps; ++j) element(to + j, from + wrapped(row[j], length) * whole_step);
    }
    return;
  }
  constexpr std::int64_t block = 64;
  std::int64_t at[3][block];
  for (std::int64_t first = begin; first < end; first += block) {
    const std::int64_t n = std::min(block, end - first);
    for (std::int64_t k = 0; k < n; ++k, walk.next()) {
      for (std::size_t o = 0; o < 3; ++o) at[o][k] = walk.offset(o);
    }
    for (std::int64_t j = 0; j < steps; ++j) {
      for (std::int64_t k = 0; k < n; ++k) {
        const std::int64_t target = wrapped(indices[at[0][k] + j * index_step], length);
        element(at[1][k] + j * part_step, at[2][k] + target * whole_step);
      }
    }
  }
}

/// One row of a gather: GatherRow for elements of any size and step.
template <typename I, typename T>
std::int64_t gather_row(const I* index, std::int64_t n, const T* from, std::int64_t length, std::int64_t step,
                        T* to) {
  if constexpr (sizeof(T) == 4 || sizeof(T) == 8) {
    using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    if (step == 1) {
      return std::get<GatherRow<I, Word>>(gather_rows())(index, n, reinterpret_cast<const Word*>(from),
                                                         length, reinterpret_cast<Word*>(to));
    }
  }
  if (const std::int64_t at = first_outside(index, n, length); at >= 0) return at;
  for (std::int64_t j = 0; j < n; ++j) to[j] = from[wrapped(index[j], length) * step];
  return -1;
}

/// Gathers and additions along the last axis: row(indices, offset in part, offset in whole) checks a row's
/// indices and uses them while they are in the cache; it returns the first that is out of range, or −1.
/// `work` is how many elements a row moves.
template <typename I, typename Row>
std::int64_t over_rows(const Array& index, const Array& part, const Array& whole, int axis, std::int64_t work,
                       Row&& row) {
  const LineWalk lines = lines_off_axis(index, part, whole, axis);
  const std::int64_t steps = index.shape[axis];
  LeastFound bad;
  parallel_for(lines.count, grain_of(work), [&](std::int64_t begin, std::int64_t end) {
    StridedWalk<3> walk(lines.shape, lines.strides);
    walk.seek(begin);
    for (std::int64_t line = begin; line < end; ++line, walk.next()) {
      const std::int64_t at = row(index.as<I>() + walk.offset(0), walk.offset(1), walk.offset(2));
      if (at < 0) continue;
      bad.found(line * steps + at);
      return;
    }
  });
  return bad.least();
}

std::int64_t gather_along_rows(const Array& in, const Array& index, int axis, const Array& out) {
  std::int64_t bad = -1;
  with_element_type(in.dtype, [&]<typename T>() {
    with_index_type(index.dtype, [&]<typename I>() {
      bad = over_rows<I>(index, out, in, axis, index.shape[axis],
                         [&](const I* indices, std::int64_t to, std::int64_t from) {
                           return gather_row(indices, index.shape[axis], in.as<T>() + from, in.shape[axis],
                                             in.strides[axis], out.as<T>() + to);
                         });
    });
  });
  return bad;
}

/// to[index[j]] += from[j] in the order of j. The first index that is outside of [−length, length), −1 when
/// none is. Additions of scattered elements are bound by their instructions, so those that look after indices
/// are kept away from them.
template <typename I, typename T>
std::int64_t add_row(const I* index, std::int64_t n, const T* from, T* to, std::int64_t length) {
  for (std::int64_t first = 0; first < n; first += index_chunk) {
    const std::int64_t end = std::min(n, first + index_chunk);
    if (std::get<AllPlain<I>>(plain_index_checks())(index + first, end - first, length)) {
      std::int64_t j = first;
      for (; j + 4 <= end; j += 4) {
        put_one<ScatterMode::add>(to[index[j]], from[j]);
        put_one<ScatterMode::add>(to[index[j + 1]], from[j + 1]);
        put_one<ScatterMode::add>(to[index[j + 2]], from[j + 2]);
        put_one<ScatterMode::add>(to[index[j + 3]], from[j + 3]);
      }
      for (; j < end; ++j) put_one<ScatterMode::add>(to[index[j]], from[j]);
      continue;
    }
    for (std::int64_t j = first; j < end; ++j) {
      const std::int64_t at = wrapped(index[j], length);
      if (at < 0 || at >= length) return j;
      put_one<ScatterMode::add>(to[at], from[j]);
    }
  }
  return -1;
}

/// Every row is copied, and added to while it is in the cache.
std::int64_t scatter_add_along_rows(const Array& in, const Array& index, const Array& src, int axis,
                                    const Array& out) {
  const std::int64_t steps = index.shape[axis];
  const std::int64_t length = out.shape[axis];
  std::int64_t bad = -1;
  with_element_type(out.dtype, [&]<typename T>() {
    with_index_type(index.dtype, [&]<typename I>() {
      bad = over_rows<I>(index, src, out, axis, steps + length,
                         [&](const I* indices, std::int64_t part, std::int64_t whole) {
                           T* const to = out.as<T>() + whole;
                           std::copy_n(in.as<T>() + whole, length, to);
                           return add_row(indices, steps, src.as<T>() + part, to, length);
                         });
    });
  });
  return bad;
}

}  // namespace

std::int64_t first_bad_index(const Array& index, std::int64_t length) {
  return index.dtype == DType::int32 ? first_bad_of<std::int32_t>(index, length)
                                     : first_bad_of<std::int64_t>(index, length);
}

std::int64_t gather(const Array& in, const Array& index, int axis, const Array& out) {
  const bool lines_are_rows = axis == index.shape.size() - 1 && index.shape[axis] > 0 &&
                              index.strides[axis] == 1 && out.strides[axis] == 1;
  if (lines_are_rows) return gather_along_rows(in, index, axis, out);
  if (const std::int64_t bad = first_bad_index(index, in.shape[axis]); bad >= 0) return bad;
  if (index.size() == 0) return -1;
  const LineWalk lines = lines_off_axis(index, out, in, axis);
  with_element_type(in.dtype, [&]<typename T>() {
    const T* from = in.as<T>();
    T* to = out.as<T>();
    with_index_type(index.dtype, [&]<typename I>() {
      parallel_for(lines.count, grain_of(index.shape[axis]), [&](std::int64_t begin, std::int64_t end) {
        for_each_element<I>(lines, index, out, in, axis, begin, end,
                            [&](std::int64_t part, std::int64_t whole) { to[part] = from[whole]; });
      });
    });
  });
  return -1;
}

std::int64_t take(const Array& in, const Array& index, int axis, const Array& out) {
  if (const std::int64_t bad = first_bad_index(index, in.shape[axis]); bad >= 0) return bad;
  if (out.size() == 0) return -1;
  const TakeShape s = take_shape(in, index, axis, out);
  with_element_type(in.dtype, [&]<typename T>() {
    constexpr auto bytes = static_cast<std::int64_t>(sizeof(T));
    const bool streamed = out.size() * bytes > streaming_bytes && s.inner * bytes >= least_streamed_row;
    parallel_for(s.outer * s.indexed, grain_of(s.inner), [&](std::int64_t begin, std::int64_t end) {
      for_each_row(s, begin, end,
                   [&](std::int64_t whole, std::int64_t part) { take_row<T>(s, whole, part, streamed); });
      if (streamed) finish_streaming();
    });
  });
  return -1;
}

std::int64_t scatter(ScatterMode mode, const Array& index, const Array& src, int axis, const Array& out) {
  if (const std::int64_t bad = first_bad_index(index, out.shape[axis]); bad >= 0) return bad;
  if (index.size() == 0) return -1;
  const LineWalk lines = lines_off_axis(index, src, out, axis);
  with_element_type(out.dtype, [&]<typename T>() {
    const T* from = src.as<T>();
    T* to = out.as<T>();
    const auto scatter_all = [&]<typename I, ScatterMode how>() {
      parallel_for(lines.count, grain_of(index.shape[axis]), [&](std::int64_t begin, std::int64_t end) {
        for_each_element<I>(
            lines, index, src, out, axis, begin, end,
            [&](std::int64_t part, std::int64_t whole) { put_one<how>(to[whole], from[part]); });
      });
    };
    with_index_type(index.dtype, [&]<typename I>() {
      if (mode == ScatterMode::set) {
        scatter_all.template operator()<I, ScatterMode::set>();
      } else {
        scatter_all.template operator()<I, ScatterMode::add>();
      }
    });
  });
  return -1;
}

std::int64_t scatter_add(const Array& in, const Array& index, const Array& src, int axis, const Array& out) {
  const int last = out.shape.size() - 1;
  // Every row of out is then a line of the walk.
  const bool rows_match = axis == last && index.size() > 0 && index.shape.size() == out.shape.size() &&
                          index.size() / index.shape[last] == out.size() / out.shape[last];
  if (rows_match && in.data != out.data && index.strides[last] == 1 && src.strides[last] == 1 &&
      is_dense(in) && is_dense(out)) {
    return scatter_add_along_rows(in, index, src, axis, out);
  }
  if (out.size() > 0 && in.data != out.data) strided_copy(in, out);
  return scatter(ScatterMode::add, index, src, axis, out);
}

std::int64_t put(ScatterMode mode, const Array& index, const Array& src, int axis, const Array& out) {
  if (const std::int64_t bad = first_bad_index(index, out.shape[axis]); bad >= 0) return bad;
  if (src.size() == 0) return -1;
  const TakeShape s = take_shape(out, index, axis, src);
  with_element_type(out.dtype, [&]<typename T>() {
    if (mode == ScatterMode::set) {
      put_typed<ScatterMode::set, T>(s);
    } else {
      put_typed<ScatterMode::add, T>(s);
    }
  });
  return -1;
}

std::int64_t one_hot(const Array& index, const Array& out) {
  const int axis = out.shape.size() - 1;
  if (const std::int64_t bad = first_bad_index(index, out.shape[axis]); bad >= 0) return bad;
  constexpr double zero = 0;  // all bits are zero in every dtype
  fill(out, &zero);
  const Array rows = without_axis(out, axis);
  const std::int64_t count = rows.size();
  if (count == 0) return -1;
  with_element_type(out.dtype, [&]<typename T>() {
    parallel_for(count, index_grain, [&](std::int64_t begin, std::int64_t end) {
      StridedWalk<2> walk(rows.shape, {index.strides, rows.strides});
      walk.seek(begin);
      for (std::int64_t i = begin; i < end; ++i, walk.next()) {
        const std::int64_t at = wrapped(index_at(index, walk.offset(0)), out.shape[axis]);
        T one;
        if constexpr (std::is_same_v<T, bfloat16>) {
          one = bfloat16(1.0f);
        } else {
          one = T{1};
        }
        out.as<T>()[walk.offset(1) + at * out.strides[axis]] = one;
      }
    });
  });
  return -1;
}

}  // namespace chainrule::kernels
