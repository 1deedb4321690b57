// Single steps as events: a step, its plans, their layers, their kernels. As a list, and as the trace that
// Chrome's and Perfetto's viewers read.

#include <nlohmann/json.hpp>

#include "insight/profile_parts.hpp"
#include "io/atomic_file.hpp"

namespace chainrule {
namespace insight {
namespace {

class EventWriter {
 public:
  EventWriter(const InstructionProfiler& profiler, std::uint64_t origin)
      : profiler_(profiler), origin_(origin) {
    for (const auto& record : profiler.records()) {
      std::vector<TimedInstruction>& works = works_.emplace_back();
      for (const Instruction& instruction : record.plan->instructions)
        works.push_back(describe(*record.plan, instruction));
    }
  }

  void write(const WatchedStep& step, std::size_t number) {
    add("step " + std::to_string(number + 1), {}, ProfilePass::step, 0, step.begin, step.end);
    for (std::size_t r = step.first_run; r < step.end_run; ++r) write(profiler_.runs()[r]);
  }
  std::vector<ProfileEvent> take() { return std::move(events_); }

 private:
  void add(std::string name, std::string what, ProfilePass pass, int depth, std::uint64_t from,
           std::uint64_t to) {
    events_.push_back({std::move(name), std::move(what), pass, depth, ShortClock::seconds(from - origin_),
                       ShortClock::seconds(to - from)});
  }

  // Neighbours of one layer and pass stand under one event.
  void write(const InstructionProfiler::Run& run) {
    const std::vector<TimedInstruction>& works = works_[run.record];
    const std::size_t count = run.starts.size() - 1;
    add("plan " + std::to_string(run.record + 1), std::to_string(count) + " kernels", ProfilePass::step, 1,
        run.starts.front(), run.starts.back());
    for (std::size_t i = 0; i < count;) {
      std::size_t end = i + 1;
      while (end < count && works[end].region() == works[i].region() && works[end].pass() == works[i].pass())
        ++end;
      const std::string layer = works[i].region().empty() ? no_region : works[i].region();
      add(layer, {}, works[i].pass(), 2, run.starts[i], run.starts[end]);
      for (; i < end; ++i)
        add(works[i].name, works[i].what, works[i].pass(), 3, run.starts[i], run.starts[i + 1]);
    }
  }

  const InstructionProfiler& profiler_;
  std::uint64_t origin_;
  std::vector<std::vector<TimedInstruction>> works_;  // by plan
  std::vector<ProfileEvent> events_;
};

}  // namespace

std::vector<ProfileEvent> events_of(const InstructionProfiler& profiler, std::span<const WatchedStep> steps) {
  if (steps.empty()) return {};
  EventWriter writer(profiler, steps.front().begin);
  for (std::size_t i = 0; i < steps.size(); ++i) writer.write(steps[i], i);
  return writer.take();
}

}  // namespace insight

// Complete events ("X") in microseconds; viewers nest those of one thread by their times.
std::string to_trace(const Profile& profile) {
  using Json = nlohmann::ordered_json;
  Json events = Json::array();
  const auto name_row = [&](const char* what, const std::string& name) {
    events.push_back({{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", name}}}});
  };
  name_row("process_name", profile.title);
  name_row("thread_name", "the thread that asks");
  for (const ProfileEvent& event : profile.events) {
    Json args = Json::object();
    if (!event.what.empty()) args["what"] = event.what;
    if (event.depth >= 2) args["pass"] = to_string(event.pass);
    events.push_back({{"name", event.name},
                      {"cat", to_string(event.pass)},
                      {"ph", "X"},
                      {"ts", event.start * 1e6},
                      {"dur", event.seconds * 1e6},
                      {"pid", 1},
                      {"tid", 1},
                      {"args", args}});
  }
  return Json{{"traceEvents", events}, {"displayTimeUnit", "ns"}}.dump(1, ' ', false,
                                                                       Json::error_handler_t::replace) +
         "\n";
}

void Profile::write_trace(const std::string& path) const {
  io::write_file(path, to_trace(*this), "Profile::write_trace");
}

}  // namespace chainrule
