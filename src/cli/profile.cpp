// chainrule profile: where the time of a training step goes, and what would make it faster.

#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include <chainrule/profile.hpp>

#include "cli/command.hpp"
#include "cli/progress.hpp"

namespace chainrule::cli {
namespace {

struct ProfileArguments {
  std::string source;
  std::string html;
  std::string trace;
  std::int64_t steps = 0;
  double seconds = ProfileOptions().seconds;
};

Json to_json(const std::vector<ProfileRow>& rows) {
  Json list = Json::array();
  for (const ProfileRow& row : rows) {
    list.push_back({{"name", row.name},
                    {"kernel", row.kernel},
                    {"layer", row.region},
                    {"pass", to_string(row.pass)},
                    {"what", row.what},
                    {"calls", row.calls},
                    {"seconds", row.seconds},
                    {"share", row.share},
                    {"flops", row.flops},
                    {"bytes", row.bytes},
                    {"bound", row.bound},
                    {"floor_seconds", row.floor},
                    {"of_limit", row.of_limit()}});
  }
  return list;
}

Json to_json(const Profile& profile) {
  Json changes = Json::array();
  for (const ProfileChange& change : profile.changes)
    changes.push_back({{"change", change.change}, {"why", change.why}, {"gain", change.gain}});
  return {{"title", profile.title},
          {"batch_size", profile.batch_size},
          {"steps", profile.steps},
          {"step_seconds", profile.step_seconds},
          {"profiled_seconds", profile.profiled_seconds},
          {"overhead", profile.overhead()},
          {"batch_seconds", profile.batch_seconds},
          {"batches_ahead", profile.batches_ahead},
          {"machine", machine_json(profile.limits)},
          {"kernels", to_json(profile.kernels)},
          {"layers", to_json(profile.layers)},
          {"changes", changes}};
}

std::string config_file_of(const std::string& source) {
  if (source.ends_with(".toml")) {
    if (!std::filesystem::exists(source)) throw UsageError(source + ": there is no such file");
    return source;
  }
  if (!std::filesystem::is_directory(source))
    throw UsageError(source + " is neither a configuration (.toml) nor the folder of a run");
  check_run_folder(source);
  return (std::filesystem::path(source) / "config.toml").string();
}

/// What can't be written is known before time is spent.
void check_target(const std::string& path) {
  if (path.empty()) return;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw UsageError(path + " can't be written: there is no folder " + folder.string());
}

int run(const Session& session, const ProfileArguments& options) {
  const std::string file = config_file_of(options.source);
  check_target(options.html);
  check_target(options.trace);
  train::Config config = from_user_file([&] { return train::load_config(file); });
  check_data_files(config.data);
  if (session.seed) config.seed = *session.seed;
  if (session.threads > 0) config.threads = session.threads;
  const Profile profile = from_config(
      file, [&] { return profile_training(config, {.seconds = options.seconds, .steps = options.steps}); });
  if (!options.html.empty()) profile.write_html(options.html);
  if (!options.trace.empty()) profile.write_trace(options.trace);
  if (session.json) {
    print_json(to_json(profile));
    return ok;
  }
  print(to_text(profile));
  if (!options.html.empty()) note("the roofline: " + options.html);
  if (!options.trace.empty()) note("the trace, for ui.perfetto.dev: " + options.trace);
  return ok;
}

}  // namespace

void add_profile(CLI::App& app, Session& session) {
  CLI::App& command = add_command(
      app, session, "profile",
      "Tells where a training step's time goes, by kernel and by layer, and what would make it faster",
      "  chainrule profile config.toml\n"
      "  chainrule profile runs/demo --html roofline.html --trace trace.json\n"
      "  chainrule profile runs/demo --threads 1 --steps 200 --json");
  auto options = std::make_shared<ProfileArguments>();
  command
      .add_option("FILE|RUN", options->source,
                  "A configuration (.toml), or the folder of a run, of which nothing is changed")
      ->required();
  command.add_option("--html", options->html, "Write the page with the roofline here");
  command.add_option("--trace", options->trace, "Write a trace for chrome://tracing or ui.perfetto.dev here");
  command.add_option("--steps", options->steps, "How many steps to look at (default: as many as fit)")
      ->check(above_zero());
  command.add_option("--seconds", options->seconds, "Time to look at steps for")
      ->check(above_zero())
      ->capture_default_str();
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
