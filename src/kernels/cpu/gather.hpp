#pragma once

#include <cstdint>
#include <tuple>

/// Rows of gathers and checks of indices, chosen for the machine.
namespace chainrule::kernels {

/// to[j] = from[index[j]] for 0 <= j < n; a negative index counts from the end. The number of the first index
/// outside of [−length, length), −1 when there is none; what was written before it stays.
template <typename Index, typename Word>
using GatherRow = std::int64_t (*)(const Index* index, std::int64_t n, const Word* from, std::int64_t length,
                                   Word* to);

/// By the sizes of an index and of an element, of which the bits are copied:
/// std::get<GatherRow<…>>(gather_rows()).
using GatherRows = std::tuple<GatherRow<std::int32_t, std::uint32_t>, GatherRow<std::int32_t, std::uint64_t>,
                              GatherRow<std::int64_t, std::uint32_t>, GatherRow<std::int64_t, std::uint64_t>>;
const GatherRows& gather_rows();

/// Whether all n indices are in [0, length): of these nothing has to be counted from the end.
template <typename Index>
using AllPlain = bool (*)(const Index* index, std::int64_t n, std::int64_t length);

/// By the size of an index: std::get<AllPlain<…>>(plain_index_checks()).
using PlainIndexChecks = std::tuple<AllPlain<std::int32_t>, AllPlain<std::int64_t>>;
const PlainIndexChecks& plain_index_checks();

}  // namespace chainrule::kernels
