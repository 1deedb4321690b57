#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include <chainrule/function_ref.hpp>
#include <chainrule/machine.hpp>
#include <chainrule/train/config.hpp>

/// Where the time of a step goes, held against what the machine can do, and what would make it faster.
namespace chainrule {

/// Which part of a step work belongs to; cotangents and tangents are the backward pass. Outside of any region
/// nothing tells forward from backward: `step`.
enum class ProfilePass : std::uint8_t { forward, backward, update, step, outside };
/// "forward", "backward", "update", "step", "outside".
CHAINRULE_API std::string to_string(ProfilePass pass);

/// A kernel, or a layer: what it costs in one step.
struct ProfileRow {
  std::string
      name;  ///< the ops of a kernel: "matmul", "add, relu"; of a layer its region: "Sequential[1].Linear"
  std::string kernel;  ///< which kernel ran: "product", "elementwise"; empty for a layer
  std::string region;  ///< empty outside of any
  ProfilePass pass = ProfilePass::step;
  std::string what;    ///< shapes: "float32 [256, 784] × [784, 512]"; empty for a layer
  double calls = 0;    ///< in one step
  double seconds = 0;  ///< in one step
  double share = 0;    ///< of the step; those of all rows sum to 1
  double flops = 0;    ///< from the declarations; of a fused pass the sum over its ops
  double bytes = 0;    ///< read and written, each array once
  double floor = 0;    ///< seconds: what the limit that binds it asks for
  /// The limit: "multiply-adds", "divisions and roots", a level of memory ("L2"), or "overhead", what the
  /// smallest kernel takes.
  std::string bound;
  /// floor / seconds: 1 is as fast as the limit allows.
  double of_limit() const { return seconds > 0 ? floor / seconds : 0; }
};

/// Something that would make the step faster. The gain is computed from the limits and the times measured.
struct ProfileChange {
  std::string change;  ///< "a batch of 256 in place of 128"
  std::string why;     ///< the numbers behind it
  double gain = 0;     ///< of the step's time, per example: 0.2 is a fifth less
};

/// Something that happened in a step that was looked at closely.
struct ProfileEvent {
  std::string name;
  std::string what;  ///< of a kernel: its shapes and layer
  ProfilePass pass = ProfilePass::step;
  int depth = 0;     ///< 0 the step, 1 a plan, 2 a layer, 3 a kernel
  double start = 0;  ///< seconds since the first event
  double seconds = 0;
};

struct ProfileOptions {
  double seconds = 1.0;    ///< time to measure for, half with the profiler and half without
  std::int64_t steps = 0;  ///< how many steps to look at in place of that; 0: as many as fit
  /// What to hold times against; measured first where absent.
  std::optional<MachineLimits> limits;
};

/// What profile() found. Times are of one step, the mean of the faster half of short rounds, in which steps
/// with the profiler and without it took turns.
struct CHAINRULE_API Profile {
  std::string title = "step";
  MachineLimits limits;
  std::int64_t steps = 0;              ///< that were looked at
  double step_seconds = 0;             ///< without the profiler
  double profiled_seconds = 0;         ///< with it: what the rows sum to
  std::vector<ProfileRow> kernels;     ///< the slowest first; the last is what passes outside of plans
  std::vector<ProfileRow> layers;      ///< in the order of the forward pass; the same sum, by region and pass
  std::vector<ProfileChange> changes;  ///< up to three, the greatest gain first
  std::vector<ProfileEvent> events;  ///< of some further steps, in order, each inside of those of lower depth
  std::int64_t batch_size = 0;       ///< where it is known
  double batch_seconds = 0;          ///< what making a batch takes, where it is known
  bool batches_ahead = false;        ///< made while steps run, on a thread of the loader's own

  /// What the profiler itself costs: 0.02 is 2 %.
  double overhead() const { return profiled_seconds / step_seconds - 1; }
  /// One page with the roofline, layers and kernels, that needs nothing else. Throws IoError.
  void write_html(const std::string& path) const;
  /// The events for chrome://tracing and ui.perfetto.dev. Throws IoError.
  void write_trace(const std::string& path) const;
};

/// Calls `step` again and again and tells where its time goes.
///
///     auto p = profile([&] { step(x, y); });
///     std::cout << p;
///     p.write_html("roofline.html");
///
/// The first calls, in which plans are made, do not count. Only what the calling thread asks for is seen.
/// Throws ArgumentError for options outside their range, StateError for a step that computes nothing: an
/// expression that nobody reads.
CHAINRULE_API Profile profile(FunctionRef<void()> step, const ProfileOptions& options = {});

/// Profiles the training step of a configuration, on its data, with a model of its own: what train::run would
/// do, without an epoch's end and without a file. Threads are the configuration's. Throws what train::run
/// throws.
CHAINRULE_API Profile profile_training(const train::Config& config, const ProfileOptions& options = {});

/// As the terminal shows it.
CHAINRULE_API std::string to_text(const Profile& profile);
CHAINRULE_API std::ostream& operator<<(std::ostream& out, const Profile& profile);
/// The page and the trace as text.
CHAINRULE_API std::string to_html(const Profile& profile);
CHAINRULE_API std::string to_trace(const Profile& profile);

}  // namespace chainrule
