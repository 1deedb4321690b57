#pragma once

#include <cstdint>

/// Rows of gathers, chosen for the machine.
namespace chainrule::kernels {

/// to[j] = from[index[j]] for 0 <= j < n; a negative index counts from the end. The number of the first index
/// outside of [−length, length), −1 when there is none; what was written before it stays.
template <typename Index, typename Word>
using GatherRow = std::int64_t (*)(const Index* index, std::int64_t n, const Word* from, std::int64_t length,
                                   Word* to);

/// By the size of an index and of an element; the elements' bits are copied.
struct GatherRows {
  GatherRow<std::int32_t, std::uint32_t> index32_word32;
  GatherRow<std::int64_t, std::uint32_t> index64_word32;
  GatherRow<std::int32_t, std::uint64_t> index32_word64;
  GatherRow<std::int64_t, std::uint64_t> index64_word64;
};
const GatherRows& gather_rows();

}  // namespace chainrule::kernels
