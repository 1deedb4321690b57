#include "kernels/cpu/gather.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gather.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Where the processor has instructions for it.
#undef CHAINRULE_GATHERS
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
#define CHAINRULE_GATHERS 1
#else
#define CHAINRULE_GATHERS 0
#endif

#if CHAINRULE_GATHERS
/// A vector of indices as [0, length) for GatherIndex; false where one is outside.
template <class D, class V = hn::Vec<D>>
HWY_INLINE bool wrap(D d, std::int64_t length, V& index) {
  const V end = hn::Set(d, static_cast<hn::TFromD<D>>(length));
  const V last = hn::Set(d, static_cast<hn::TFromD<D>>(length - 1));
  index = hn::Add(index, hn::And(hn::BroadcastSignBit(index), end));
  return hn::AllFalse(d, hn::Or(hn::Lt(index, hn::Zero(d)), hn::Gt(index, last)));
}

/// As many indices as a vector of words has lanes, of which they have the size; false where one is outside.
template <typename Index, class DWord>
HWY_INLINE bool load_indices(DWord d, const Index* index, std::int64_t length,
                             hn::Vec<hn::RebindToSigned<DWord>>& wrapped) {
  const hn::RebindToSigned<DWord> signed_words;
  if constexpr (sizeof(Index) == sizeof(hn::TFromD<DWord>)) {
    wrapped = hn::LoadU(signed_words, index);
    return wrap(signed_words, length, wrapped);
  } else if constexpr (sizeof(Index) == 4) {
    const hn::Rebind<Index, DWord> narrow;
    wrapped = hn::PromoteTo(signed_words, hn::LoadU(narrow, index));
    return wrap(signed_words, length, wrapped);
  } else {
    const hn::Repartition<Index, DWord> wide;
    const hn::RebindToUnsigned<decltype(wide)> wide_bits;
    const hn::Half<DWord> half;
    auto low = hn::LoadU(wide, index);
    auto high = hn::LoadU(wide, index + hn::Lanes(wide));
    const bool low_inside = wrap(wide, length, low);
    const bool high_inside = wrap(wide, length, high);
    wrapped = hn::BitCast(signed_words, hn::Combine(d, hn::TruncateTo(half, hn::BitCast(wide_bits, high)),
                                                    hn::TruncateTo(half, hn::BitCast(wide_bits, low))));
    return low_inside && high_inside;
  }
}

#endif

template <typename Index, typename Word>
std::int64_t gather_row(const Index* HWY_RESTRICT index, std::int64_t n, const Word* HWY_RESTRICT from,
                        std::int64_t length, Word* HWY_RESTRICT to) {
  std::int64_t j = 0;
#if CHAINRULE_GATHERS
  const hn::ScalableTag<Word> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  if (length <= std::numeric_limits<std::int32_t>::max()) {
    for (; j + lanes <= n; j += lanes) {
      hn::Vec<hn::RebindToSigned<decltype(d)>> wrapped;
      if (!load_indices(d, index + j, length, wrapped)) break;  // the loop below tells which one
      hn::StoreU(hn::GatherIndex(d, from, wrapped), d, to + j);
    }
  }
#endif
  for (; j < n; ++j) {
    const std::int64_t i = index[j];
    if (i < -length || i >= length) return j;
    to[j] = from[i + ((i >> 63) & length)];
  }
  return -1;
}

GatherRows rows_of_gathers() {
  return {gather_row<std::int32_t, std::uint32_t>, gather_row<std::int32_t, std::uint64_t>,
          gather_row<std::int64_t, std::uint32_t>, gather_row<std::int64_t, std::uint64_t>};
}

template <typename Index>
bool all_plain(const Index* index, std::int64_t n, std::int64_t length) {
  using Bits = std::make_unsigned_t<Index>;
  const auto last = static_cast<Index>(std::min<std::int64_t>(length - 1, std::numeric_limits<Index>::max()));
  const hn::ScalableTag<Index> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto end = hn::Set(d, last);
  // The sign bit of `index` or of `last - index` is set where the index is outside; 64-bit comparisons are
  // slower where the baseline is SSE2.
  auto low = hn::Zero(d);
  auto high = low;
  const auto outside = [&](std::int64_t j) HWY_ATTR {
    const auto i = hn::LoadU(d, index + j);
    return hn::Or(i, hn::Sub(end, i));
  };
  std::int64_t j = 0;
  for (; j + 2 * lanes <= n; j += 2 * lanes) {
    low = hn::Or(low, outside(j));
    high = hn::Or(high, outside(j + lanes));
  }
  Bits rest = 0;
  for (; j < n; ++j) {
    const auto i = static_cast<Bits>(index[j]);
    rest |= i | (static_cast<Bits>(last) - i);
  }
  return static_cast<Index>(rest) >= 0 && hn::AllFalse(d, hn::Lt(hn::Or(low, high), hn::Zero(d)));
}

PlainIndexChecks checks_of_indices() { return {all_plain<std::int32_t>, all_plain<std::int64_t>}; }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(rows_of_gathers);
HWY_EXPORT(checks_of_indices);

const GatherRows& gather_rows() {
  static const GatherRows rows = HWY_DYNAMIC_DISPATCH(rows_of_gathers)();
  return rows;
}

const PlainIndexChecks& plain_index_checks() {
  static const PlainIndexChecks checks = HWY_DYNAMIC_DISPATCH(checks_of_indices)();
  return checks;
}

}  // namespace chainrule::kernels
#endif
