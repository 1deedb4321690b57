#include <algorithm>
#include <map>
#include <numeric>

#include "graph/plan.hpp"

namespace chainrule {
namespace {

constexpr std::size_t alignment = 64;
// Past this many blocks the quadratic search below takes too long; first-fit over time is nearly as good.
constexpr std::size_t most_for_best_fit = 6000;

std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

// Largest first: each block goes to the lowest place where it meets no block alive at the same time.
std::size_t place_largest_first(std::vector<ArenaBlock>& blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<std::size_t> placed;  // by offset
  std::size_t total = 0;
  for (const std::size_t index : order) {
    ArenaBlock& block = blocks[index];
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      const ArenaBlock& taken = blocks[other];
      if (taken.last < block.first || block.last < taken.first) continue;
      if (offset + block.bytes <= taken.offset) break;
      offset = std::max(offset, taken.offset + aligned(taken.bytes));
    }
    block.offset = offset;
    total = std::max(total, offset + aligned(block.bytes));
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), index,
                         [&](std::size_t a, std::size_t b) { return blocks[a].offset < blocks[b].offset; }),
        index);
  }
  return total;
}

// In the order of time, into the first gap that is large enough.
std::size_t place_in_order(std::vector<ArenaBlock>& blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return blocks[a].first < blocks[b].first; });
  std::multimap<int, std::size_t> ending;   // last use → block
  std::map<std::size_t, std::size_t> gaps;  // offset → bytes, merged
  std::size_t total = 0;
  const auto release = [&](std::size_t offset, std::size_t bytes) {
    auto next = gaps.lower_bound(offset);
    if (next != gaps.end() && offset + bytes == next->first) {
      bytes += next->second;
      next = gaps.erase(next);
    }
    if (next != gaps.begin()) {
      const auto previous = std::prev(next);
      if (previous->first + previous->second == offset) {
        previous->second += bytes;
        return;
      }
    }
    gaps.emplace(offset, bytes);
  };
  for (const std::size_t index : order) {
    ArenaBlock& block = blocks[index];
    while (!ending.empty() && ending.begin()->first < block.first) {
      const ArenaBlock& done = blocks[ending.begin()->second];
      release(done.offset, aligned(done.bytes));
      ending.erase(ending.begin());
    }
    const std::size_t bytes = aligned(block.bytes);
    const auto gap =
        std::find_if(gaps.begin(), gaps.end(), [&](const auto& entry) { return entry.second >= bytes; });
    if (gap != gaps.end()) {
      block.offset = gap->first;
      const std::size_t rest = gap->second - bytes;
      gaps.erase(gap);
      if (rest > 0) gaps.emplace(block.offset + bytes, rest);
    } else {
      block.offset = total;
      total += bytes;
    }
    ending.emplace(block.last, index);
  }
  return total;
}

}  // namespace

std::size_t place_in_arena(std::vector<ArenaBlock>& blocks) {
  return blocks.size() <= most_for_best_fit ? place_largest_first(blocks) : place_in_order(blocks);
}

std::size_t most_live_bytes(std::span<const ArenaBlock> blocks) {
  std::map<int, std::int64_t> change;
  for (const ArenaBlock& block : blocks) {
    change[block.first] += static_cast<std::int64_t>(block.bytes);
    change[block.last + 1] -= static_cast<std::int64_t>(block.bytes);
  }
  std::int64_t live = 0;
  std::int64_t most = 0;
  for (const auto& [time, bytes] : change) {
    live += bytes;
    most = std::max(most, live);
  }
  return static_cast<std::size_t>(most);
}

}  // namespace chainrule
