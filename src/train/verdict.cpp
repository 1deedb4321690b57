#include "train/verdict.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "train/options.hpp"
#include "train/steps.hpp"

namespace chainrule::train {
namespace {

constexpr int power_iterations = 20;
constexpr std::int64_t growth_window = 5;

struct Growth {
  std::string parameter;
  double factor = 0;
  std::int64_t steps = 0;
};

/// The parameter whose gradient grew most over the last few probes before the end.
std::optional<Growth> first_to_grow(const std::vector<ProbeRecord>& probes) {
  std::optional<Growth> result;
  std::map<std::string, std::vector<ProbeRecord>> by_parameter;
  for (const ProbeRecord& probe : probes) by_parameter[probe.parameter].push_back(probe);
  for (const auto& [parameter, records] : by_parameter) {
    if (records.size() < 2) continue;
    const std::size_t back = std::min<std::size_t>(growth_window, records.size() - 1);
    const ProbeRecord& last = records.back();
    const ProbeRecord& before = records[records.size() - 1 - back];
    const double factor = before.gradient_norm > 0 ? last.gradient_norm / before.gradient_norm : 0;
    if (factor > 1 && (!result || factor > result->factor))
      result = Growth{parameter, factor, last.step - before.step};
  }
  return result;
}

double dot_of(nn::Module& a, nn::Module& b) {
  double total = 0;
  const std::vector<Leaf> others = leaves(b);
  std::size_t i = 0;
  for (const Leaf& leaf : leaves(a)) {
    const Tensor& other = *others[i++].tensor;
    if (leaf.kind == LeafKind::parameter && leaf.tensor->defined() && other.defined())
      total += sum(*leaf.tensor * other).item<double>();
  }
  return total;
}

void scale_by(nn::Module& v, double factor) {
  for (const Leaf& leaf : leaves(v)) {
    if (leaf.kind == LeafKind::parameter && leaf.tensor->defined())
      *leaf.tensor = (*leaf.tensor * factor).eval();
  }
}

nn::Module random_direction(const nn::Module& model) {
  nn::Module v = model;
  std::uint64_t stream = 1;
  for (const Leaf& leaf : leaves(v)) {
    if (leaf.kind == LeafKind::parameter)
      *leaf.tensor =
          random::normal(random::key(stream++), leaf.tensor->shape(), 0, 1, leaf.tensor->dtype()).eval();
  }
  scale_by(v, 1 / std::sqrt(dot_of(v, v)));
  return v;
}

/// Walks a model and names its parameters and layers by the regions that its layers open.
class NameVisitor : public Visitor {
 public:
  std::map<std::string, std::string> names;   // of parameters, by path
  std::map<std::string, std::string> layers;  // paths of innermost layers, by region

 protected:
  void enter(std::string_view type) override {
    if (!layers_.empty()) layers_.back().is_innermost = false;
    layers_.push_back({path(), std::string(type)});
  }
  void leave() override {
    const Layer& layer = layers_.back();
    const std::string below = layer.path.empty() ? "x" : layer.path + ".x";
    const std::string name = name_of(below);
    if (layer.is_innermost) layers[name.substr(0, name.rfind('.'))] = layer.path;
    layers_.pop_back();
  }
  void leaf(Tensor&, LeafKind, bool*) override { names[path()] = name_of(path()); }

 private:
  struct Layer {
    std::string path;
    std::string type;
    bool is_innermost = true;
  };

  /// A layer's children are told apart by number, `Sequential[2]`, or by their own type's name; only the last
  /// segment, the parameter's name, is always there.
  std::string name_of(const std::string& leaf) const {
    std::string name;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      const bool last = i + 1 == layers_.size();
      const std::string below = segments_after(last ? leaf : layers_[i + 1].path, layer.path);
      name += (i > 0 ? "." : "") + layer.type;
      const bool numbered = !below.empty() && std::isdigit(static_cast<unsigned char>(below.front())) != 0;
      if (numbered) name += "[" + below.substr(0, below.find('.')) + "]";
      if (last && !numbered) name += "." + below;
    }
    return layers_.empty() ? leaf : name;
  }
  static std::string segments_after(const std::string& path, const std::string& prefix) {
    if (prefix.empty()) return path;
    return path.size() > prefix.size() ? path.substr(prefix.size() + 1) : std::string();
  }

  std::vector<Layer> layers_;
};

}  // namespace

std::map<std::string, std::string> parameter_names(nn::Module& model) {
  NameVisitor visitor;
  visitor.visit_part(model);
  return std::move(visitor.names);
}

std::map<std::string, std::string> layer_paths(nn::Module& model) {
  NameVisitor visitor;
  visitor.visit_part(model);
  return std::move(visitor.layers);
}

std::string first_non_finite_text(const NumericError& error) {
  const ErrorParts& parts = error.parts();
  return "First not finite: " + parts.got + (parts.region.empty() ? "" : ", at " + parts.region);
}

std::vector<Tensor> values_of_leaves(nn::Module& model) {
  std::vector<Tensor> values;
  for (const Leaf& leaf : leaves(model)) values.push_back(*leaf.tensor);
  return values;
}

std::optional<StabilityLimit> stability_limit(const Options& options) {
  optim::Optimizer optimizer = options.optimizer;
  if (options.clip_norm > 0 || options.clip_value > 0) return std::nullopt;
  if (optimizer.name() == "GradientDescent") return StabilityLimit{};
  if (optimizer.name() != "SGD") return std::nullopt;
  const io::Json o = options_of(optimizer);
  if (o.contains("group_pattern") || o.at("maximize").get<bool>()) return std::nullopt;
  StabilityLimit limit;
  limit.weight_decay = o.at("weight_decay").get<double>();
  const auto momentum = o.at("momentum").get<double>();
  if (momentum == 0) return limit;
  const auto dampening = o.at("dampening").get<double>();
  if (momentum >= 1 || dampening >= 1) return std::nullopt;
  const bool nesterov = o.at("nesterov").get<bool>();
  limit.value = nesterov ? 2 * (1 + momentum) / (1 + 2 * momentum) : 2 * (1 + momentum) / (1 - dampening);
  limit.method =
      fmt::format("gradient descent with {} {:.3g}", nesterov ? "Nesterov's momentum" : "momentum", momentum);
  return limit;
}

std::optional<double> largest_curvature(
    nn::Module& model, const std::function<Tensor(const nn::Module&, const data::Batch&)>& loss,
    const data::Dataset& dataset, std::int64_t batch_size) {
  const Context scope({.train = false});
  data::Loader loader(
      dataset,
      {.batch_size = std::min(batch_size, dataset.size()), .shuffle = true, .dtype = model_dtype(model)});
  const data::Batch batch = *loader.next();
  const auto objective = [&](const nn::Module& m) { return loss(m, batch); };
  try {
    nn::Module v = random_direction(model);
    double curvature = 0;
    for (int i = 0; i < power_iterations; ++i) {
      nn::Module hv = hvp(objective, model, v);
      curvature = dot_of(v, hv);
      const double length = std::sqrt(dot_of(hv, hv));
      if (!std::isfinite(length) || length == 0) return std::nullopt;
      scale_by(hv, 1 / length);
      v = std::move(hv);
    }
    return std::isfinite(curvature) && curvature > 0 ? std::optional(curvature) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // an op without a second derivative: the verdict then says less
  }
}

namespace {

/// 2.64 and 2638, where three digits alone would be 2.64e+03.
std::string three_digits(double x) {
  return x >= 1000 && x < 1e6 ? fmt::format("{:.0f}", x) : fmt::format("{:.3g}", x);
}

io::Json number(double x) { return std::isfinite(x) ? io::Json(x) : io::Json(nullptr); }

}  // namespace

io::Json to_json(const VerdictFacts& f) {
  io::Json json = {{"step", f.step},
                   {"first_loss", number(f.first_loss)},
                   {"last_loss", number(f.last_loss)},
                   {"learning_rate", number(f.learning_rate)},
                   {"numeric_error", f.numeric_error}};
  if (f.limit && f.largest_curvature) {
    json["largest_curvature"] = *f.largest_curvature + f.limit->weight_decay;
    json["limit"] = f.limit->value;
    json["method"] = f.limit->method;
  }
  if (const auto growth = first_to_grow(f.probes)) {
    const auto name = f.names.find(growth->parameter);
    json["growth"] = {{"parameter", name == f.names.end() ? growth->parameter : name->second},
                      {"factor", number(growth->factor)},
                      {"steps", growth->steps}};
  }
  return json;
}

std::string verdict_text(const VerdictFacts& f) {
  std::string text = fmt::format("diverged at step {}", f.step);
  if (std::isfinite(f.first_loss) && std::isfinite(f.last_loss))
    text += fmt::format(": loss {:.3g} → {:.3g}", f.first_loss, f.last_loss);
  text += ".";
  if (!f.numeric_error.empty()) text += " " + f.numeric_error + ".";
  const double lambda = f.largest_curvature.value_or(0) + (f.limit ? f.limit->weight_decay : 0);
  const bool unstable = f.limit && f.largest_curvature && f.learning_rate * lambda > f.limit->value;
  if (unstable) {
    text +=
        fmt::format(" lr·λmax = {} × {} = {} > {}, the stability limit of {} on a quadratic.",
                    three_digits(f.learning_rate), three_digits(lambda),
                    three_digits(f.learning_rate * lambda), three_digits(f.limit->value), f.limit->method);
  }
  if (const auto growth = first_to_grow(f.probes)) {
    const auto name = f.names.find(growth->parameter);
    const std::string factor =
        std::isfinite(growth->factor) ? fmt::format("× {:.3g}", growth->factor) : "overflowed";
    text += fmt::format(" First to grow: {}, ‖g‖ {} in {} {}.",
                        name == f.names.end() ? growth->parameter : name->second, factor, growth->steps,
                        growth->steps == 1 ? "step" : "steps");
  }
  if (unstable) return text + fmt::format(" Try lr ≤ {:.2g}.", f.limit->value / lambda);
  return text +
         fmt::format(" Try a lower learning rate than {:.3g}, a warm-up, or clip_norm = 1.", f.learning_rate);
}

}  // namespace chainrule::train
