// Measured instructions as rows: by kernel, and by layer and pass.

#include <algorithm>
#include <map>
#include <tuple>

#include "insight/profile_parts.hpp"

namespace chainrule::insight {
namespace {

ProfileRow outside_row(const Measurement& m, const Overheads& overheads) {
  return {.name = "outside of plans",
          .pass = ProfilePass::outside,
          .calls = 1,
          .seconds = m.outside,
          .floor = std::min(m.outside, overheads.of_calls(m.plan_runs, m.inputs)),
          .bound = "overhead"};
}

void set_shares(std::vector<ProfileRow>& rows) {
  double total = 0;
  for (const ProfileRow& row : rows) total += row.seconds;
  for (ProfileRow& row : rows) row.share = total > 0 ? row.seconds / total : 0;
}

void add(ProfileRow& row, const TimedInstruction& work, double weight, double flops) {
  row.calls += work.calls;
  row.seconds += weight * work.seconds;
  row.flops += work.calls * flops;
  row.bytes += weight * work.calls * work.bytes();
  row.floor += weight * work.calls * work.floor;
}

}  // namespace

std::vector<ProfileRow> kernel_rows(const Measurement& m, const Overheads& overheads) {
  std::vector<ProfileRow> rows;
  std::map<std::tuple<std::string, std::string, std::string, std::string, ProfilePass>, std::size_t> places;
  for (const TimedInstruction& work : m.instructions) {
    const auto [place, is_new] = places.try_emplace(
        {work.name, work.instruction->kernel, work.what, work.region(), work.pass()}, rows.size());
    if (is_new) {
      rows.push_back({.name = work.name,
                      .kernel = work.instruction->kernel,
                      .region = work.region(),
                      .pass = work.pass(),
                      .what = work.what,
                      .bound = work.bound});
    }
    add(rows[place->second], work, 1, work.flops);
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ProfileRow& a, const ProfileRow& b) { return a.seconds > b.seconds; });
  rows.push_back(outside_row(m, overheads));
  set_shares(rows);
  return rows;
}

namespace {

/// Where a layer stands: where its forward pass ends. (A plan may begin with what depends on no layer before
/// it.) What has none follows, the update last but for what is in no layer.
using Place = std::tuple<int, std::size_t, int>;

std::map<std::string, Place> places_of(const Measurement& m) {
  std::map<std::string, Place> places;
  for (std::size_t i = 0; i < m.instructions.size(); ++i) {
    for (const Stake& stake : m.instructions[i].stakes) {
      const int group = stake.region.empty()                  ? 3
                        : stake.pass == ProfilePass::update   ? 2
                        : stake.pass == ProfilePass::backward ? 1
                                                              : 0;
      const Place place{group, i, stake.step};
      const auto [found, is_new] = places.try_emplace(stake.region, place);
      if (!is_new && group <= std::get<0>(found->second)) found->second = place;
    }
  }
  return places;
}

}  // namespace

std::vector<ProfileRow> layer_rows(const Measurement& m, const Overheads& overheads) {
  using Key = std::pair<Place, ProfilePass>;
  const std::map<std::string, Place> places = places_of(m);
  std::map<Key, ProfileRow> rows;
  std::map<Key, std::map<std::string, double>> bounds;
  for (const TimedInstruction& work : m.instructions) {
    for (const Stake& stake : work.stakes) {
      const Key key{places.at(stake.region), stake.pass};
      ProfileRow& row = rows[key];
      row.name = stake.region.empty() ? no_region : stake.region;
      row.region = stake.region;
      row.pass = stake.pass;
      add(row, work, stake.weight, stake.flops);
      bounds[key][work.bound] += stake.weight * work.seconds;
    }
  }
  std::vector<ProfileRow> result;
  for (auto& [key, row] : rows) {
    const auto& found = bounds[key];
    row.bound = std::max_element(found.begin(), found.end(), [](const auto& a, const auto& b) {
                  return a.second < b.second;
                })->first;
    result.push_back(std::move(row));
  }
  result.push_back(outside_row(m, overheads));
  set_shares(result);
  return result;
}

}  // namespace chainrule::insight
