#include <algorithm>
#include <cmath>
#include <numeric>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

namespace chainrule::data {
namespace {

/// SplitMix64: Steele, Lea, Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  /// Uniform on [0, n): draws below 2^64 mod n are thrown away, so that no value is favoured.
  std::uint64_t below(std::uint64_t n) {
    const std::uint64_t threshold = (0 - n) % n;
    std::uint64_t draw = next();
    while (draw < threshold) draw = next();
    return draw % n;
  }

 private:
  std::uint64_t state_;
};

void check_fraction(const char* function, double fraction, std::int64_t examples, std::int64_t held_out) {
  if (fraction > 0 && fraction < 1 && held_out > 0 && held_out < examples) return;
  throw ArgumentError({.function = function,
                       .argument = "fraction",
                       .problem = "both parts of a split need an example",
                       .got = short_number(fraction) + " of " + std::to_string(examples) + " examples",
                       .wanted = "a fraction between 0 and 1"});
}

Split split_rows(const Dataset& dataset, std::vector<std::int64_t> first, std::vector<std::int64_t> second) {
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  return {dataset.subset(first), dataset.subset(second)};
}

/// How many of each class to hold out: the floor of its share, then one more for the largest remainders until
/// there are `total`.
std::vector<std::int64_t> held_out_counts(const std::vector<std::vector<std::int64_t>>& members,
                                          double fraction, std::int64_t total) {
  std::vector<std::int64_t> counts;
  std::vector<std::pair<double, std::size_t>> remainders;
  for (std::size_t c = 0; c < members.size(); ++c) {
    const double share = fraction * static_cast<double>(members[c].size());
    counts.push_back(static_cast<std::int64_t>(std::floor(share)));
    remainders.emplace_back(std::floor(share) - share, c);
  }
  std::sort(remainders.begin(), remainders.end());
  std::int64_t missing = total - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  for (const auto& [remainder, c] : remainders) {
    if (missing <= 0) break;
    if (remainder == 0) continue;  // a class that is held out exactly gives no more
    ++counts[c];
    --missing;
  }
  return counts;
}

}  // namespace

std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  SplitMix random(seed);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

Split random_split(const Dataset& dataset, double fraction, std::uint64_t seed) {
  const auto held_out =
      static_cast<std::int64_t>(std::llround(fraction * static_cast<double>(dataset.size())));
  check_fraction("data::random_split", fraction, dataset.size(), held_out);
  const std::vector<std::int64_t> order = permutation(dataset.size(), seed);
  const auto middle = order.begin() + held_out;
  return split_rows(dataset, {middle, order.end()}, {order.begin(), middle});
}

Split stratified_split(const Dataset& dataset, double fraction, std::uint64_t seed) {
  if (dataset.task == Task::regression) return random_split(dataset, fraction, seed);
  const auto held_out =
      static_cast<std::int64_t>(std::llround(fraction * static_cast<double>(dataset.size())));
  check_fraction("data::stratified_split", fraction, dataset.size(), held_out);
  const std::vector<std::int64_t> labels = dataset.targets.to_vector<std::int64_t>();
  std::vector<std::vector<std::int64_t>> members(static_cast<std::size_t>(dataset.classes()));
  for (const std::int64_t row : permutation(dataset.size(), seed)) {
    members[static_cast<std::size_t>(labels[static_cast<std::size_t>(row)])].push_back(row);
  }
  const std::vector<std::int64_t> counts = held_out_counts(members, fraction, held_out);
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> second;
  for (std::size_t c = 0; c < members.size(); ++c) {
    const auto middle = members[c].begin() + counts[c];
    second.insert(second.end(), members[c].begin(), middle);
    first.insert(first.end(), middle, members[c].end());
  }
  return split_rows(dataset, std::move(first), std::move(second));
}

}  // namespace chainrule::data
