#include "train/options.hpp"

#include <cxxabi.h>

#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

namespace chainrule::train {
namespace {

/// Options by path. A path that comes again (an optimizer's groups) makes a list of its values.
class OptionVisitor : public Visitor {
 public:
  io::Json json = io::Json::object();

 protected:
  void leaf(Tensor&, LeafKind kind, bool*) override {
    if (kind == LeafKind::frozen) json["frozen"].push_back(path());
  }
  void option(bool& value) override { add(value); }
  void option(std::int64_t& value) override { add(value); }
  void option(double& value) override { add(value); }
  void option(std::string& value) override { add(value); }
  void option(Dims& value) override { add(std::vector<std::int64_t>(value.begin(), value.end())); }

 private:
  template <typename T>
  void add(const T& value) {
    io::Json& place = json[path()];
    if (place.is_null()) {
      place = value;
    } else {
      if (!place.is_array()) place = io::Json::array({place});
      place.push_back(value);
    }
  }
};

template <typename Tree>
io::Json options_of_tree(Tree& tree) {
  OptionVisitor visitor;
  visitor.visit_part(tree);
  return std::move(visitor.json);
}

std::string name_of(const Loss& loss) {
  if (const auto* named = loss.target<NamedLoss>()) return named->name;
  int status = 0;
  char* text = abi::__cxa_demangle(loss.target_type().name(), nullptr, nullptr, &status);
  std::string name = text != nullptr ? text : loss.target_type().name();
  std::free(text);
  return name;
}

io::Json plateau_json(const std::optional<optim::ReduceOnPlateau>& plateau) {
  if (!plateau) return nullptr;
  const optim::ReduceOnPlateauOptions& o = plateau->options();
  return {{"factor", o.factor},
          {"patience", o.patience},
          {"threshold", o.threshold},
          {"cooldown", o.cooldown},
          {"min_multiplier", o.min_multiplier},
          {"maximize", o.maximize}};
}

void add_difference(std::string& text, const std::string& what, const std::string& before,
                    const std::string& now) {
  text += fmt::format("{}{} was {}, now {}", text.empty() ? "" : "; ", what, before, now);
}

/// The policy in use, where it changes what a model in float32 computes.
void add_policy(io::Json& json, const std::optional<DTypePolicy>& dtypes) {
  if (!dtypes || *dtypes == DTypePolicy{}) return;
  const auto name = [](DType dtype) { return std::string(dtype_name(dtype)); };
  json["dtypes"] = {{"parameters", name(dtypes->parameters)},
                    {"compute", dtypes->compute ? name(*dtypes->compute) : "as they come"},
                    {"reductions", name(dtypes->reductions)}};
}

}  // namespace

void check_options(const Options& o) {
  const auto refuse = [](const char* argument, double value, const char* wanted) {
    throw ArgumentError({.function = "train::fit",
                         .argument = argument,
                         .problem = "this option is out of its range",
                         .got = short_number(value),
                         .wanted = wanted});
  };
  const auto check_count = [&](const char* argument, std::int64_t value, std::int64_t least) {
    if (value < least) refuse(argument, static_cast<double>(value), least == 1 ? "1 or more" : "0 or more");
  };
  const auto check_real = [&](const char* argument, double value) {
    if (!(value >= 0)) refuse(argument, value, "0 or more");
  };
  check_count("epochs", o.epochs, 1);
  check_count("batch_size", o.batch_size, 0);
  check_count("probe_every", o.probe_every, 0);
  check_count("checkpoint_every", o.checkpoint_every, 0);
  check_count("checkpoint_steps", o.checkpoint_steps, 0);
  check_count("early_stopping.patience", o.early_stopping.patience, 0);
  check_real("early_stopping.min_delta", o.early_stopping.min_delta);
  check_real("clip_norm", o.clip_norm);
  check_real("clip_value", o.clip_value);
  check_real("l1", o.l1);
  check_real("l2", o.l2);
  for (const PenaltyGroup& group : o.penalties) {
    check_real("penalties.l1", group.l1);
    check_real("penalties.l2", group.l2);
  }
  if (!(o.divergence_factor > 1)) refuse("divergence_factor", o.divergence_factor, "more than 1");
  if (o.early_stopping.patience > 0 && !o.validation) {
    throw ArgumentError({.function = "train::fit",
                         .argument = "early_stopping",
                         .problem = "early stopping needs examples that are not trained on",
                         .wanted = "a validation set",
                         .hint = "data::stratified_split(data, 0.1, seed)"});
  }
}

std::int64_t effective_batch_size(const Options& options, const data::Dataset& dataset) {
  const bool whole = options.batch_size == 0 || options.optimizer.name() == "GradientDescent";
  return whole ? std::max<std::int64_t>(1, dataset.size()) : options.batch_size;
}

io::Json options_of(optim::Optimizer& optimizer) { return options_of_tree(optimizer); }
io::Json options_of(nn::Module& model) { return options_of_tree(model); }

io::Json options_json(const Options& o, const Loss& loss, nn::Module& model) {
  optim::Optimizer fresh = o.optimizer;
  io::Json optimizer = {{"name", fresh.name()}, {"lr", fresh.learning_rate()}};
  optimizer.update(options_of(fresh));
  io::Json penalties = io::Json::array();
  for (const PenaltyGroup& group : o.penalties)
    penalties.push_back({{"pattern", group.pattern}, {"l1", group.l1}, {"l2", group.l2}});
  io::Json json = {{"optimizer", optimizer},
                   {"loss", name_of(loss)},
                   {"plateau", plateau_json(o.plateau)},
                   {"clip_norm", o.clip_norm},
                   {"clip_value", o.clip_value},
                   {"l1", o.l1},
                   {"l2", o.l2},
                   {"penalties", penalties},
                   {"drop_last", o.drop_last},
                   {"monitor", o.monitor},
                   {"keep_best", o.keep_best},
                   {"min_delta", o.early_stopping.min_delta},
                   {"divergence_factor", o.divergence_factor},
                   {"model", options_of(model)}};
  add_policy(json, o.dtypes ? o.dtypes : Context::dtypes());
  return json;
}

std::string difference(const io::Json& before, const io::Json& now) {
  const io::Json old_values = before.flatten();
  const io::Json new_values = now.flatten();
  const auto shown = [](const io::Json& values, const std::string& key) {
    return values.contains(key) ? values.at(key).dump() : std::string("absent");
  };
  std::string text;
  const auto compare = [&](const std::string& key) {
    if (shown(old_values, key) == shown(new_values, key)) return;
    std::string path = key.substr(1);
    std::replace(path.begin(), path.end(), '/', '.');
    add_difference(text, path, shown(old_values, key), shown(new_values, key));
  };
  for (const auto& [key, value] : old_values.items()) compare(key);
  for (const auto& [key, value] : new_values.items()) {
    if (!old_values.contains(key)) compare(key);
  }
  return text;
}

io::Json schedule_json(const Schedule& schedule, std::int64_t steps) {
  io::Json json = io::Json::array();
  const auto add = [&](std::int64_t step) { json.push_back({step, schedule ? schedule(step) : 1.0}); };
  if (steps > 0) add(0);
  for (std::int64_t step = 1; step < steps - 1; step *= 2) add(step);
  if (steps > 1) add(steps - 1);
  return json;
}

std::string schedule_difference(const io::Json& before, const Schedule& now) {
  for (const io::Json& pair : before) {
    const auto step = pair.at(0).get<std::int64_t>();
    const double factor = now ? now(step) : 1.0;
    if (pair.at(1).get<double>() == factor) continue;
    std::string text;
    add_difference(text, fmt::format("schedule({})", step), pair.at(1).dump(), io::Json(factor).dump());
    return text;
  }
  return {};
}

}  // namespace chainrule::train
