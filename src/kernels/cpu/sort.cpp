#include "kernels/cpu/sort.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "kernels/cpu/dispatch.hpp"
#include "kernels/cpu/sort_kernels.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/parallel.hpp"

// Where the machine sorts vectors of integers (sort_kernels.hpp), lines become those: keys alone, which
// become elements again, or keys and positions in one integer. Otherwise elements become unsigned keys in the
// same order, paired with their positions. Long lines take a radix sort (stable, O(n) for each byte that
// differs), short ones a comparison of (key, position).
namespace chainrule::kernels {
namespace {

constexpr std::int64_t max_pieces = 16;      // pieces of the lines, each with its own workspace
constexpr std::int64_t vectors_from = 4;     // shorter lines are not worth the detour
constexpr std::int64_t radix_from = 384;     // shorter lines are faster by comparison
constexpr std::int64_t selected_up_to = 32;  // so few of a long line are kept in order while it is read
constexpr std::int64_t sort_grain = 4096;    // elements that are worth handing to a thread

/// An element's key and position: 8 bytes for narrow dtypes on lines that 32 bits can number.
template <typename Key, typename Position>
struct Entry {
  Key key;
  Position position;
  bool operator<(const Entry& other) const {
    return key != other.key ? key < other.key : position < other.position;
  }
};
using NarrowEntry = Entry<std::uint32_t, std::uint32_t>;
using WideEntry = Entry<std::uint64_t, std::uint64_t>;

/// The key of a floating value: sign and magnitude become an offset; zeros meet, NaNs come last.
template <typename F, typename U>
U float_key(F x) {
  if (x != x) return std::numeric_limits<U>::max();
  constexpr U sign = U{1} << (sizeof(U) * 8 - 1);
  const U bits = std::bit_cast<U>(x == F{0} ? F{0} : x);
  return (bits & sign) != 0 ? static_cast<U>(~bits) : static_cast<U>(bits | sign);
}

template <typename T>
auto order_key(T x) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    return float_key<float, std::uint32_t>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<T, float>) {
    return float_key<float, std::uint32_t>(x);
  } else if constexpr (std::is_same_v<T, double>) {
    return float_key<double, std::uint64_t>(x);
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return static_cast<std::uint64_t>(x) ^ (std::uint64_t{1} << 63);
  } else {
    return static_cast<std::uint32_t>(x) ^ (std::is_signed_v<T> ? std::uint32_t{1} << 31 : 0U);
  }
}

/// Sorts `entries` by key, least significant byte first; bytes that all keys share are skipped. The result
/// is in `entries`.
template <typename E>
void radix_sort(E* entries, E* spare, std::int64_t n) {
  using Key = decltype(E::key);
  constexpr int passes = sizeof(Key);
  std::array<std::array<std::int64_t, 256>, passes> counts{};
  for (std::int64_t i = 0; i < n; ++i) {
    for (int p = 0; p < passes; ++p) ++counts[static_cast<std::size_t>(p)][entries[i].key >> (8 * p) & 255U];
  }
  E* from = entries;
  E* to = spare;
  for (int p = 0; p < passes; ++p) {
    std::array<std::int64_t, 256>& starts = counts[static_cast<std::size_t>(p)];
    if (starts[from[0].key >> (8 * p) & 255U] == n) continue;
    std::int64_t total = 0;
    for (std::int64_t& count : starts) total += std::exchange(count, total);
    for (std::int64_t i = 0; i < n; ++i) to[starts[from[i].key >> (8 * p) & 255U]++] = from[i];
    std::swap(from, to);
  }
  if (from != entries) std::copy_n(from, n, entries);
}

/// One line's views: the operand, and the outputs with null pointers where absent.
template <typename T>
struct Line {
  const T* in;
  std::int64_t in_step;
  T* values;
  std::int64_t values_step;
  std::int64_t* indices;
  std::int64_t indices_step;
};

template <typename E, typename T>
void load_entries(const Line<T>& line, std::int64_t n, bool descending, E* entries) {
  using Key = decltype(E::key);
  const Key flip = descending ? std::numeric_limits<Key>::max() : Key{0};
  for (std::int64_t i = 0; i < n; ++i) {
    const Key key = order_key(line.in[i * line.in_step]);
    entries[i] = {static_cast<Key>(key ^ flip), static_cast<decltype(E::position)>(i)};
  }
}

/// Values are read from a copy, since they may be written where they stood.
template <typename E, typename T>
void store_entries(const Line<T>& line, std::int64_t n, std::int64_t k, const E* entries, T* copy) {
  if (line.values != nullptr) {
    for (std::int64_t i = 0; i < n; ++i) copy[i] = line.in[i * line.in_step];
    for (std::int64_t i = 0; i < k; ++i) line.values[i * line.values_step] = copy[entries[i].position];
  }
  if (line.indices != nullptr) {
    for (std::int64_t i = 0; i < k; ++i) {
      line.indices[i * line.indices_step] = static_cast<std::int64_t>(entries[i].position);
    }
  }
}

/// The same for few entries, whose values may be written only when all have been read.
template <typename E, typename T>
void store_selected(const Line<T>& line, std::int64_t k, const E* entries) {
  T values[selected_up_to];
  if (line.values != nullptr) {
    for (std::int64_t i = 0; i < k; ++i)
      values[i] = line.in[static_cast<std::int64_t>(entries[i].position) * line.in_step];
    for (std::int64_t i = 0; i < k; ++i) line.values[i * line.values_step] = values[i];
  }
  if (line.indices != nullptr) {
    for (std::int64_t i = 0; i < k; ++i)
      line.indices[i * line.indices_step] = static_cast<std::int64_t>(entries[i].position);
  }
}

/// The first k elements of n in order, from one look at the line: most elements are no better than the k-th
/// best so far, which a whole chunk is compared with at once. `kept` has room for k entries.
template <typename E, typename T>
void select_first(const Line<T>& line, std::int64_t n, std::int64_t k, bool descending, E* kept) {
  using Key = decltype(E::key);
  constexpr std::int64_t chunk = 64;
  const Key flip = descending ? std::numeric_limits<Key>::max() : Key{0};
  std::int64_t count = 0;
  for (std::int64_t begin = 0; begin < n; begin += chunk) {
    const std::int64_t size = std::min(chunk, n - begin);
    Key keys[chunk];
    Key least = std::numeric_limits<Key>::max();
    const T* in = line.in + begin * line.in_step;
    for (std::int64_t i = 0; i < size; ++i) keys[i] = order_key(in[i * line.in_step]) ^ flip;
    for (std::int64_t i = 0; i < size; ++i) least = std::min(least, keys[i]);
    if (count == k && least >= kept[k - 1].key) continue;
    for (std::int64_t i = 0; i < size; ++i) {
      // Of equal keys the earlier position comes first, and that one is there already.
      if (count == k && keys[i] >= kept[k - 1].key) continue;
      std::int64_t at = count < k ? count++ : k - 1;
      for (; at > 0 && keys[i] < kept[at - 1].key; --at) kept[at] = kept[at - 1];
      kept[at] = {keys[i], static_cast<decltype(E::position)>(begin + i)};
    }
  }
}

/// The first k of n elements in order, by loops that every machine runs.
template <typename E, typename T>
void sort_plainly(const Line<T>& line, std::int64_t n, std::int64_t k, bool descending, void* workspace) {
  E* entries = static_cast<E*>(workspace);
  E* spare = entries + n;
  if (k <= selected_up_to && k <= n / 4) {
    select_first(line, n, k, descending, entries);
    return store_selected(line, k, entries);
  }
  load_entries(line, n, descending, entries);
  if (k < n && k <= n / 4) {
    std::nth_element(entries, entries + k, entries + n);
    std::sort(entries, entries + k);
  } else if (n < radix_from) {
    std::sort(entries, entries + n);
  } else {
    radix_sort(entries, spare, n);
  }
  store_entries(line, n, k, entries, reinterpret_cast<T*>(spare));
}

/// The signed integers that elements of T are sorted as.
template <typename T>
using SortKey = std::conditional_t<sizeof(T) <= 4, std::int32_t, std::int64_t>;
template <typename T>
constexpr bool is_float = std::is_floating_point_v<T> || std::is_same_v<T, bfloat16>;

/// An element as a key's bits: bfloat16 as the float of the same value.
template <typename T>
SortKey<T> bits_of(T x) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    return std::bit_cast<std::int32_t>(static_cast<float>(x));
  } else if constexpr (is_float<T>) {
    return std::bit_cast<SortKey<T>>(x);
  } else {
    return static_cast<SortKey<T>>(x);
  }
}
template <typename T>
T element_of(SortKey<T> bits) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    return bfloat16(std::bit_cast<float>(bits));
  } else if constexpr (is_float<T>) {
    return std::bit_cast<T>(bits);
  } else {
    return static_cast<T>(bits);
  }
}

/// The keys of a line. False when they are not the order of the elements: see SortKernels.
template <typename T>
bool load_keys(const SortKernels& kernels, const Line<T>& line, std::int64_t n, bool reverse,
               SortKey<T>* keys) {
  const auto* bits = reinterpret_cast<const SortKey<T>*>(line.in);
  if (sizeof(T) < sizeof(SortKey<T>) || line.in_step != 1) {
    for (std::int64_t i = 0; i < n; ++i) keys[i] = bits_of(line.in[i * line.in_step]);
    bits = keys;
  }
  if constexpr (is_float<T>) {
    if constexpr (sizeof(T) <= 4) return kernels.float_keys(bits, n, reverse, keys);
    if constexpr (sizeof(T) == 8) return kernels.double_keys(bits, n, reverse, keys);
  }
  if (bits != keys) std::memcpy(keys, bits, static_cast<std::size_t>(n) * sizeof(T));
  if (reverse) {
    for (std::int64_t i = 0; i < n; ++i) keys[i] = ~keys[i];
  }
  return true;
}

/// The first k values of a line, from their keys, which are used up.
template <typename T>
void store_keys(const SortKernels& kernels, const Line<T>& line, std::int64_t k, bool reverse,
                SortKey<T>* keys) {
  const bool direct = sizeof(T) == sizeof(SortKey<T>) && line.values_step == 1;
  if constexpr (is_float<T>) {
    SortKey<T>* bits = direct ? reinterpret_cast<SortKey<T>*>(line.values) : keys;
    if constexpr (sizeof(T) <= 4) kernels.float_bits(keys, k, reverse, bits);
    if constexpr (sizeof(T) == 8) kernels.double_bits(keys, k, reverse, bits);
    if (direct) return;
  } else if (reverse) {
    for (std::int64_t i = 0; i < k; ++i) keys[i] = ~keys[i];
  }
  for (std::int64_t i = 0; i < k; ++i) line.values[i * line.values_step] = element_of<T>(keys[i]);
}

/// A line's values and positions, from integers that hold a key and a position. `copy` has room for n
/// elements and for n keys.
template <typename T>
void store_packed(const SortKernels& kernels, const Line<T>& line, std::int64_t n, std::int64_t k,
                  bool keys_suffice, bool reverse, const std::int64_t* packed, void* copy) {
  const auto position = [packed](std::int64_t i) { return packed[i] & 0xffffffff; };
  if (line.values != nullptr && keys_suffice) {
    auto* keys = static_cast<std::int32_t*>(copy);
    for (std::int64_t i = 0; i < k; ++i) keys[i] = static_cast<std::int32_t>(packed[i] >> 32);
    store_keys<T>(kernels, line, k, reverse, keys);
  } else if (line.values != nullptr) {
    T* elements = static_cast<T*>(copy);  // values may be written where they stood
    for (std::int64_t i = 0; i < n; ++i) elements[i] = line.in[i * line.in_step];
    for (std::int64_t i = 0; i < k; ++i) line.values[i * line.values_step] = elements[position(i)];
  }
  if (line.indices != nullptr) {
    for (std::int64_t i = 0; i < k; ++i) line.indices[i * line.indices_step] = position(i);
  }
}

/// Room for n entries and for a vector that begins at the last one.
template <typename E>
constexpr std::int64_t room(std::int64_t n) {
  return static_cast<std::int64_t>(sizeof(E)) * n + sort_padding;
}

/// The first k of n elements in order, by vectors. False, with nothing done, where there is no such way.
template <typename E, typename T>
bool sort_by_vectors(const Line<T>& line, std::int64_t n, std::int64_t k, bool descending,
                     std::byte* workspace) {
  const SortKernels& kernels = sort_kernels();
  constexpr bool packs = sizeof(E) == sizeof(NarrowEntry);
  const bool with_positions = line.indices != nullptr;
  const bool may_pack = packs && (n < radix_from || kernels.packs_long_lines);
  if (kernels.sort_narrow == nullptr || n < vectors_from || (with_positions && !may_pack)) return false;
  std::byte* spare = workspace + room<E>(n);
  if (!with_positions) {
    auto* keys = reinterpret_cast<SortKey<T>*>(workspace);
    if (load_keys(kernels, line, n, descending, keys)) {
      auto* spare_keys = reinterpret_cast<SortKey<T>*>(spare);
      if constexpr (sizeof(T) <= 4) kernels.sort_narrow(keys, n, k, spare_keys);
      if constexpr (sizeof(T) == 8) kernels.sort_wide(keys, n, k, spare_keys);
      store_keys(kernels, line, k, descending, keys);
      return true;
    }
  }
  if constexpr (packs && sizeof(T) <= 4) {
    if (!may_pack) return false;
    auto* keys = reinterpret_cast<std::int32_t*>(spare);
    auto* packed = reinterpret_cast<std::int64_t*>(workspace);
    const bool keys_suffice = load_keys(kernels, line, n, false, keys);
    kernels.pack(keys, n, is_float<T>, descending, packed);
    kernels.sort_wide(packed, n, k, reinterpret_cast<std::int64_t*>(spare));
    store_packed(kernels, line, n, k, keys_suffice, descending, packed, spare);
    return true;
  }
  return false;
}

template <typename E, typename T>
void sort_line(const Line<T>& line, std::int64_t n, std::int64_t k, bool descending, std::byte* workspace) {
  if (!sort_by_vectors<E>(line, n, k, descending, workspace))
    sort_plainly<E>(line, n, k, descending, workspace);
}

bool narrow(DType dtype, std::int64_t n) {
  return dtype_size(dtype) <= 4 && n <= std::int64_t{std::numeric_limits<std::uint32_t>::max()};
}

/// Two arrays of entries, rounded up so that each piece's share stays aligned.
std::int64_t line_bytes(DType dtype, std::int64_t n) {
  const std::int64_t bytes = narrow(dtype, n) ? room<NarrowEntry>(n) : room<WideEntry>(n);
  return (2 * bytes + 63) / 64 * 64;
}

std::int64_t lines_of(const Array& in, int axis) { return without_axis(in, axis).size(); }

template <typename T>
void sort_typed(const Array& in, int axis, std::int64_t k, bool descending, const Array& values,
                const Array& indices, void* workspace) {
  const std::int64_t n = in.shape[axis];
  const std::int64_t lines = lines_of(in, axis);
  const std::int64_t pieces = std::min(lines, max_pieces);
  const std::int64_t bytes = line_bytes(in.dtype, n);
  const Array off_axis = without_axis(in, axis);
  const bool with_values = values.data != nullptr;
  const bool with_indices = indices.data != nullptr;
  const Strides none = Dims::filled(off_axis.shape.size(), 0);
  const std::array<Strides, 3> strides{off_axis.strides,
                                       with_values ? without_axis(values, axis).strides : none,
                                       with_indices ? without_axis(indices, axis).strides : none};
  const std::int64_t per_piece = (lines + pieces - 1) / pieces;
  const std::int64_t grain = std::max<std::int64_t>(1, sort_grain / (per_piece * n));
  parallel_for(pieces, grain, [&](std::int64_t begin, std::int64_t end) {
    std::byte* scratch = static_cast<std::byte*>(workspace) + begin * bytes;
    StridedWalk<3> walk(off_axis.shape, strides);
    walk.seek(std::min(lines - 1, begin * per_piece));
    for (std::int64_t i = begin * per_piece; i < std::min(lines, end * per_piece); ++i, walk.next()) {
      const Line<T> line{in.as<T>() + walk.offset(0),
                         in.strides[axis],
                         with_values ? values.as<T>() + walk.offset(1) : nullptr,
                         with_values ? values.strides[axis] : 0,
                         with_indices ? indices.as<std::int64_t>() + walk.offset(2) : nullptr,
                         with_indices ? indices.strides[axis] : 0};
      if constexpr (sizeof(T) <= 4) {
        if (narrow(in.dtype, n)) {
          sort_line<NarrowEntry>(line, n, k, descending, scratch);
          continue;
        }
      }
      sort_line<WideEntry>(line, n, k, descending, scratch);
    }
  });
}

}  // namespace

std::size_t sort_workspace_bytes(const Array& in, int axis) {
  return static_cast<std::size_t>(std::min(lines_of(in, axis), max_pieces) *
                                  line_bytes(in.dtype, in.shape[axis]));
}

void sort(const Array& in, int axis, bool descending, const Array& values, const Array& indices,
          void* workspace) {
  topk(in, axis, in.shape[axis], descending, values, indices, workspace);
}

void topk(const Array& in, int axis, std::int64_t k, bool largest, const Array& values, const Array& indices,
          void* workspace) {
  if (in.size() == 0 || k == 0) return;
  with_element_type(in.dtype,
                    [&]<typename T>() { sort_typed<T>(in, axis, k, largest, values, indices, workspace); });
}

void searchsorted(const Array& sorted, const Array& values, bool right, const Array& out) {
  const std::int64_t count = values.size();
  if (count == 0) return;
  with_element_type(sorted.dtype, [&]<typename T>() {
    const T* edges = sorted.as<T>();
    parallel_for(count, 512, [&](std::int64_t begin, std::int64_t end) {
      StridedWalk<2> walk(values.shape, {values.strides, out.strides});
      walk.seek(begin);
      for (std::int64_t i = begin; i < end; ++i, walk.next()) {
        const auto key = order_key(values.as<T>()[walk.offset(0)]);
        std::int64_t low = 0;
        std::int64_t high = sorted.shape[0];
        while (low < high) {
          const std::int64_t middle = low + (high - low) / 2;
          const auto edge = order_key(edges[middle * sorted.strides[0]]);
          if (edge < key || (right && edge == key)) {
            low = middle + 1;
          } else {
            high = middle;
          }
        }
        out.as<std::int64_t>()[walk.offset(1)] = low;
      }
    });
  });
}

}  // namespace chainrule::kernels
