// Checkpoints. A checkpoint is a folder of four files, written under another name and then renamed; the one
// before it is set aside for the moment of the renaming, so that whenever the process is killed one of the
// two is whole.

#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>
#include <chainrule/io.hpp>
#include <chainrule/transforms.hpp>

#include "train/options.hpp"
#include "train/state.hpp"

namespace chainrule::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* function = "train::fit";

fs::path current(const std::string& folder) { return fs::path(folder) / "checkpoint"; }
fs::path set_aside(const std::string& folder) { return fs::path(folder) / "checkpoint.old"; }

[[noreturn]] void fail_io(const fs::path& path, const std::string& problem) {
  throw IoError({.function = function, .argument = "run", .problem = problem, .got = path.string()});
}

void sync_folder(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

template <typename Tree>
NamedArrays arrays_of(Tree& tree) {
  NamedArrays arrays;
  for (const Leaf& leaf : leaves(tree)) {
    if (leaf.tensor->defined()) arrays[leaf.path] = leaf.tensor->to_host();
  }
  return arrays;
}

NamedArrays best_arrays(nn::Module& model, const std::vector<Tensor>& best) {
  NamedArrays arrays;
  const std::vector<Leaf> model_leaves = leaves(model);
  for (std::size_t i = 0; i < best.size(); ++i) {
    if (best[i].defined()) arrays[model_leaves[i].path] = best[i].to_host();
  }
  return arrays;
}

const HostArray& array_at(const NamedArrays& arrays, const Leaf& leaf, const fs::path& file) {
  const auto found = arrays.find(leaf.path);
  const bool fits = found != arrays.end() && found->second.shape == leaf.tensor->shape() &&
                    found->second.dtype == leaf.tensor->dtype();
  if (fits) return found->second;
  fail_io(file,
          "the checkpoint does not hold this model or optimizer: " + leaf.path +
              (found == arrays.end() ? " is not there" : " has the shape " + to_string(found->second.shape)));
}

template <typename Tree>
std::vector<Tensor> read_tree(Tree& tree, const fs::path& file) {
  const NamedArrays arrays = load_safetensors(file.string()).arrays;
  std::vector<Tensor> values;
  for (const Leaf& leaf : leaves(tree)) {
    values.push_back(leaf.tensor->defined() ? Tensor(array_at(arrays, leaf, file)) : Tensor());
  }
  return values;
}

/// Assigned in one walk, so that parameters stay marked as such.
template <typename Tree>
void assign_tree(Tree& tree, const std::vector<Tensor>& values) {
  chainrule::detail::assign_tensors(tree, values);
}

io::Json number(double x) { return std::isfinite(x) ? io::Json(x) : io::Json(nullptr); }

/// Names and values of a plateau's state. Infinity, where it begins, is written as null.
class PlateauWriter : public Visitor {
 public:
  io::Json json = io::Json::object();

 protected:
  using Visitor::option;
  void leaf(Tensor&, LeafKind, bool*) override {}
  void option(std::int64_t& value) override { json[path()] = value; }
  void option(double& value) override { json[path()] = number(value); }
};

class PlateauReader : public Visitor {
 public:
  explicit PlateauReader(const io::Json& json) : json_(json) {}

 protected:
  using Visitor::option;
  void leaf(Tensor&, LeafKind, bool*) override {}
  void option(std::int64_t& value) override { value = json_.at(path()).get<std::int64_t>(); }
  void option(double& value) override {
    if (!json_.at(path()).is_null()) value = json_.at(path()).get<double>();
  }

 private:
  const io::Json& json_;
};

io::Json plateau_state(const std::optional<optim::ReduceOnPlateau>& plateau) {
  if (!plateau) return nullptr;
  optim::ReduceOnPlateau copy = *plateau;
  PlateauWriter writer;
  copy.visit(writer);
  return writer.json;
}

io::Json state_json(const Identity& identity, const State& state) {
  const Run& run = state.run;
  const auto list = [](const auto& records) {
    io::Json json = io::Json::array();
    for (const auto& record : records) json.push_back(to_json(record));
    return json;
  };
  return {{"seed", identity.seed},
          {"batch_size", identity.batch_size},
          {"data_hash", identity.data_hash},
          {"validation_hash", identity.validation_hash},
          {"options", identity.options},
          {"schedule", schedule_json(identity.schedule, state.position.step)},
          {"epoch", state.position.epoch},
          {"batch", state.position.batch},
          {"step", state.position.step},
          {"seconds", run.seconds},
          {"epoch_seconds", state.epoch_seconds},
          {"best_epoch", run.best_epoch ? io::Json(*run.best_epoch) : io::Json(nullptr)},
          {"best_value", number(state.best_value)},
          {"epochs_without_improvement", state.epochs_without_improvement},
          {"first_loss", number(state.first_loss)},
          {"lowest_loss", number(state.lowest_loss)},
          {"zero_loss", number(state.zero_loss)},
          {"plateau", plateau_state(state.plateau)},
          {"recent_losses", state.recent_losses},
          {"collected_loss", state.collected.loss_sum()},
          {"collected_examples", state.collected.examples()},
          {"epochs", list(run.epochs)},
          {"steps", list(run.steps)},
          {"probes", list(run.probes)},
          {"activations", list(run.activations)}};
}

void check_identity(const io::Json& json, const Identity& identity, const fs::path& file) {
  const auto check = [&](const char* what, const io::Json& wanted) {
    if (json.at(what) == wanted) return;
    throw StateError({.function = function,
                      .argument = "resume",
                      .problem = "the checkpoint belongs to another run: " + std::string(what) + " differs",
                      .got = file.string() + ": " + json.at(what).dump(),
                      .wanted = wanted.dump(),
                      .hint = "choose another folder, or resume = false to begin anew"});
  };
  check("seed", identity.seed);
  check("batch_size", identity.batch_size);
  check("data_hash", identity.data_hash);
  check("validation_hash", identity.validation_hash);
}

void check_run_options(const io::Json& json, const Identity& identity, const fs::path& file) {
  std::string different = difference(json.at("options"), identity.options);
  const bool same_options = different.empty();
  if (same_options) different = schedule_difference(json.at("schedule"), identity.schedule);
  if (different.empty()) return;
  throw StateError({.function = function,
                    .argument = "resume",
                    .problem = "the checkpoint belongs to a run with other options: " + different,
                    .got = file.string(),
                    .wanted = "the options that the run began with; epochs and patience may change",
                    .hint = same_options ? "a schedule that ends with the run, such as cosine, depends on "
                                           "epochs; choose another folder, or resume = false to begin anew"
                                         : "choose another folder, or resume = false to begin anew"});
}

void read_state(const io::Json& json, State& state) {
  state.position = {json.at("epoch").get<std::int64_t>(), json.at("batch").get<std::int64_t>(),
                    json.at("step").get<std::int64_t>()};
  Run& run = state.run;
  run.step_count = state.position.step;
  run.seconds = json.at("seconds").get<double>();
  state.epoch_seconds = json.at("epoch_seconds").get<double>();
  if (!json.at("best_epoch").is_null()) run.best_epoch = json.at("best_epoch").get<std::size_t>();
  state.best_value = number_or_unknown(json.at("best_value"));
  state.epochs_without_improvement = json.at("epochs_without_improvement").get<std::int64_t>();
  state.first_loss = number_or_unknown(json.at("first_loss"));
  state.lowest_loss = number_or_unknown(json.at("lowest_loss"));
  state.zero_loss = number_or_unknown(json.at("zero_loss"));
  if (state.plateau && !json.at("plateau").is_null()) {
    PlateauReader reader(json.at("plateau"));
    state.plateau->visit(reader);
  }
  for (const io::Json& loss : json.at("recent_losses"))
    state.recent_losses.push_back(number_or_unknown(loss));
  for (const io::Json& record : json.at("epochs")) run.epochs.push_back(epoch_from_json(record));
  for (const io::Json& record : json.at("steps")) run.steps.push_back(step_from_json(record));
  for (const io::Json& record : json.at("probes")) run.probes.push_back(probe_from_json(record));
  for (const io::Json& record : json.at("activations"))
    run.activations.push_back(activation_from_json(record));
  if (run.best_epoch && *run.best_epoch >= run.epochs.size()) throw std::out_of_range("best_epoch");
}

void restore_collected(const io::Json& json, const fs::path& folder, State& state) {
  if (json.at("collected_examples").get<std::int64_t>() == 0) return;
  const NamedArrays arrays = load_safetensors((folder / "epoch.safetensors").string()).arrays;
  if (!arrays.contains("predictions") || !arrays.contains("targets"))
    fail_io(folder / "epoch.safetensors", "predictions or targets are missing");
  state.collected.restore(json.at("collected_loss").get<double>(), arrays.at("predictions"),
                          arrays.at("targets"));
}

}  // namespace

void remove_unfinished_files(const std::string& folder) {
  std::error_code ignored;
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    // Half-written checkpoints, and half-written files beside them: a killed process leaves either.
    if (entry.path().extension() == ".tmp") found.push_back(entry.path());
  }
  for (const fs::path& path : found) fs::remove_all(path, ignored);
}

bool has_checkpoint(const std::string& folder) {
  return fs::exists(current(folder)) || fs::exists(set_aside(folder));
}

void save_checkpoint(const std::string& folder, const Identity& identity, nn::Module& model,
                     optim::Optimizer& optimizer, const State& state) {
  const fs::path fresh = fs::path(folder) / ("checkpoint." + std::to_string(::getpid()) + ".tmp");
  std::error_code ignored;
  fs::remove_all(fresh, ignored);
  create_folder(fresh.string());
  save_safetensors((fresh / "model.safetensors").string(), arrays_of(model));
  save_safetensors((fresh / "optimizer.safetensors").string(), arrays_of(optimizer));
  if (!state.best.empty())
    save_safetensors((fresh / "best.safetensors").string(), best_arrays(model, state.best));
  if (state.collected.examples() > 0) {
    save_safetensors((fresh / "epoch.safetensors").string(),
                     {{"predictions", state.collected.predictions().to_host()},
                      {"targets", state.collected.targets().to_host()}});
  }
  io::write_json((fresh / "state.json").string(), state_json(identity, state));
  sync_folder(fresh);
  std::error_code code;
  if (fs::exists(current(folder))) {
    fs::remove_all(set_aside(folder), ignored);
    fs::rename(current(folder), set_aside(folder), code);
    if (code) fail_io(current(folder), "the checkpoint can't be renamed: " + code.message());
  }
  fs::rename(fresh, current(folder), code);
  if (code) fail_io(fresh, "the checkpoint can't be renamed: " + code.message());
  sync_folder(folder);
  fs::remove_all(set_aside(folder), ignored);
}

void load_checkpoint(const std::string& folder, const Identity& identity, nn::Module& model,
                     optim::Optimizer& optimizer, State& state) {
  const fs::path from = fs::exists(current(folder)) ? current(folder) : set_aside(folder);
  const fs::path file = from / "state.json";
  State loaded;
  loaded.plateau = state.plateau;  // as the options have it, until its state is read
  std::vector<Tensor> model_values;
  try {
    const io::Json json = io::read_json(file.string());
    check_identity(json, identity, file);
    model_values = read_tree(model, from / "model.safetensors");
    check_run_options(json, identity, file);
    read_state(json, loaded);
    restore_collected(json, from, loaded);
  } catch (const nlohmann::json::exception& error) {
    fail_io(file, std::string("the checkpoint's state is damaged: ") + error.what());
  } catch (const std::out_of_range&) {
    fail_io(file, "the checkpoint's state contradicts itself");
  }
  const std::vector<Tensor> optimizer_values = read_tree(optimizer, from / "optimizer.safetensors");
  if (loaded.run.best_epoch && fs::exists(from / "best.safetensors"))
    loaded.best = read_tree(model, from / "best.safetensors");
  assign_tree(model, model_values);
  assign_tree(optimizer, optimizer_values);
  state = std::move(loaded);
}

}  // namespace chainrule::train
