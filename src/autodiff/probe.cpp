// Probes: what enters and leaves a region of the expression that a function builds, and the cotangents there.

#include "autodiff/probe.hpp"

#include <algorithm>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "graph/context_state.hpp"
#include "graph/origin.hpp"

namespace chainrule {
namespace {

constexpr std::int64_t histogram_bins = 64;

bool is_inside(const Node& node, const std::string& path) {
  if (node.region == nullptr || !node.region->starts_with(path)) return false;
  return node.region->size() == path.size() || (*node.region)[path.size()] == '.';
}

// "a", "a.b" and "a.b.c" of the region a.b.c.
std::vector<std::string> regions_around(const std::string& region) {
  std::vector<std::string> result;
  for (std::size_t dot = region.find('.'); dot != std::string::npos; dot = region.find('.', dot + 1))
    result.push_back(region.substr(0, dot));
  result.push_back(region);
  return result;
}

void insert(TensorList& tensors, const Tensor& x) {
  const auto same = [&](const Tensor& t) {
    return t.node() == x.node() && t.output_index() == x.output_index();
  };
  if (std::none_of(tensors.begin(), tensors.end(), same)) tensors.push_back(x);
}

// Parameters, constants and random keys are not what a layer is given.
bool is_data(const Tensor& x) {
  const ContextState& context = context_state();
  return is_floating(x.dtype()) && !is_constant(x) && !x.node()->is_parameter.load() &&
         x.node() != context.base_key.node() && x.node() != context.base_drawn.node();
}

// A node computed from parameters alone, such as a weight's transpose, is no step of an elementwise function
// and does not make it another one.
bool is_elementwise_step(const Node& node) {
  if (node.op->kind == OpKind::elementwise || node.op->kind == OpKind::leaf) return true;
  return !node.inputs.empty() && std::all_of(node.inputs.begin(), node.inputs.end(), [](const Tensor& x) {
    return x.node()->is_parameter.load() || is_constant(x);
  });
}

Tensor histogram(const Tensor& x) {
  const Tensor flat = reshape(x.astype(DType::float32), {x.size()});
  const Tensor low = min(where(isnan(flat), Tensor(0.0), flat));
  const Tensor width = max(where(isnan(flat), Tensor(0.0), flat)) - low;
  const auto bins = static_cast<double>(histogram_bins);
  const Tensor position = where(greater(width, 0.0), floor((flat - low) / width * bins), zeros_like(flat));
  const Tensor bin = clamp(where(isnan(position), Tensor(0.0), position), 0.0, bins - 1);
  return scatter_add(zeros({histogram_bins}, DType::int64), bin.astype(DType::int64),
                     logical_not(isnan(flat)).astype(DType::int64), 0);
}

Tensor statistic_of(const Tensor& tensor, Statistic statistic) {
  if (statistic == Statistic::whole) return tensor;
  const Tensor x = is_floating(tensor.dtype()) ? tensor : tensor.astype(DType::float32);
  switch (statistic) {
    case Statistic::norm:
      return norm(x);
    case Statistic::mean:
      return mean(x);
    case Statistic::std:
      return chainrule::std(x);
    case Statistic::minimum:
      return min(x);
    case Statistic::maximum:
      return max(x);
    case Statistic::zero_share:
      return mean(equal(x, 0.0).astype(DType::float32));
    default:
      return histogram(x);
  }
}

Tensor magnitude_per_unit(const Tensor& x) {
  Dims axes;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) axes.push_back(axis);
  return axes.size() == 0 ? abs(x) : sum(abs(x), axes);
}

// Empty where the region is no elementwise function of one input, or no gradient passes it.
TensorList transmission_of(const SeenRegion& region) {
  if (!region.is_elementwise || region.inputs.size() != 1 || region.outputs.size() != 1) return {};
  const Tensor& x_bar = region.inputs_bar[0];
  const Tensor& y_bar = region.outputs_bar[0];
  if (!x_bar.defined() || !y_bar.defined() || x_bar.shape() != y_bar.shape()) return {};
  return {magnitude_per_unit(x_bar) / magnitude_per_unit(y_bar)};
}

TensorList asked_of(const SeenRegion& region, ProbeOf of) {
  switch (of) {
    case ProbeOf::output:
      return region.outputs;
    case ProbeOf::input:
      return region.inputs;
    case ProbeOf::output_cotangent:
      return defined_only(region.outputs_bar);
    case ProbeOf::input_cotangent:
      return defined_only(region.inputs_bar);
    case ProbeOf::transmission:
      return transmission_of(region);
  }
  return {};
}

[[noreturn]] void refuse_pattern(const Probe& probe, const std::set<std::string>& paths) {
  const std::vector<std::string> names(paths.begin(), paths.end());
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  throw ArgumentError(
      {.function = "probe",
       .argument = "region",
       .problem = "no region of the function matches",
       .got = quote(probe.region),
       .wanted = names.empty() ? "a function that runs a model outside of vmap" : "one of " + list,
       .hint = suggest(probe.region, names)});
}

bool needs_gradient(ProbeOf of) { return of != ProbeOf::output && of != ProbeOf::input; }

[[noreturn]] void refuse_quantity(const Probe& probe) {
  if (probe.of == ProbeOf::input) {
    throw ArgumentError({.function = "probe",
                         .argument = "of",
                         .problem = "no floating tensor but parameters enters the region",
                         .got = quote(probe.region),
                         .wanted = "a region that is given data"});
  }
  throw StateError(
      {.function = "probe",
       .argument = "of",
       .problem = probe.of == ProbeOf::transmission
                      ? "no region that matches is an elementwise function which a gradient passes"
                      : "no gradient passes the region",
       .got = quote(probe.region),
       .wanted = "a function that takes a gradient through it",
       .hint = "probe a training step, or grad(f)"});
}

}  // namespace

bool ProbeRecorder::is_wanted(const std::string& path) const {
  return std::any_of(probes_.begin(), probes_.end(),
                     [&](const Probe& probe) { return detail::path_matches(path, probe.region); });
}

void ProbeRecorder::look(const TensorList& outputs) {
  const TensorList roots = defined_only(outputs);
  std::map<std::string, SeenRegion> found;
  std::vector<std::string> order;
  std::set<std::string> known = paths_;
  const auto wanted_around = [&](const Node& node) {
    std::vector<std::string> result;
    // Derivatives bear their layer's name, but are no part of it.
    if (node.region == nullptr || is_derivative(node)) return result;
    for (std::string& path : regions_around(*node.region)) {
      paths_.insert(path);
      if (known.contains(path) || !is_wanted(path)) continue;
      if (found.try_emplace(path).second) order.push_back(path);
      result.push_back(std::move(path));
    }
    return result;
  };
  for (Node* node : collect_nodes(roots, [](const Node&) { return true; })) {
    for (const std::string& path : wanted_around(*node)) {
      SeenRegion& region = found[path];
      region.is_elementwise = region.is_elementwise && is_elementwise_step(*node);
      for (const Tensor& input : node->inputs) {
        if (!is_inside(*input.node(), path) && is_data(input)) insert(region.inputs, input);
      }
    }
    for (const Tensor& input : node->inputs) {
      for (const std::string& path : wanted_around(*input.node())) {
        if (!is_inside(*node, path)) insert(found[path].outputs, input);
      }
    }
  }
  for (const Tensor& root : roots) {
    for (const std::string& path : wanted_around(*root.node())) insert(found[path].outputs, root);
  }
  for (const std::string& path : order) {
    SeenRegion region = std::move(found[path]);
    region.path = path;
    region.outputs_bar.resize(region.outputs.size());
    region.inputs_bar.resize(region.inputs.size());
    regions_.push_back(std::move(region));
  }
}

void ProbeRecorder::arrives(const Node& node, const TensorList& outputs_bar) {
  saw_gradient_ = true;
  for (SeenRegion& region : regions_) {
    for (std::size_t i = 0; i < region.outputs.size(); ++i) {
      const Tensor& output = region.outputs[i];
      if (output.node() == &node)
        region.outputs_bar[i] = outputs_bar[static_cast<std::size_t>(output.output_index())];
    }
  }
}

void ProbeRecorder::leaves(const Node& node, const TensorList& inputs_bar) {
  for (SeenRegion& region : regions_) {
    if (!is_inside(node, region.path)) continue;
    for (std::size_t i = 0; i < inputs_bar.size(); ++i) {
      if (!inputs_bar[i].defined()) continue;
      for (std::size_t j = 0; j < region.inputs.size(); ++j) {
        const Tensor& input = region.inputs[j];
        if (input.node() != node.inputs[i].node() || input.output_index() != node.inputs[i].output_index())
          continue;
        Tensor& bar = region.inputs_bar[j];
        bar = bar.defined() ? bar + inputs_bar[i] : inputs_bar[i];
      }
    }
  }
}

std::vector<Reading> ProbeRecorder::readings() const {
  std::vector<Reading> result;
  for (const Probe& probe : probes_) {
    bool matched = false;
    const std::size_t before = result.size();
    for (const SeenRegion& region : regions_) {
      if (!detail::path_matches(region.path, probe.region)) continue;
      matched = true;
      for (const Tensor& tensor : asked_of(region, probe.of))
        result.push_back({region.path, probe.of, probe.statistic, statistic_of(tensor, probe.statistic)});
    }
    if (result.size() > before || probe.region == "*") continue;
    if (!matched) refuse_pattern(probe, paths_);
    const bool several = probe.region.find('*') != std::string::npos;
    if (!several || (needs_gradient(probe.of) && !saw_gradient_)) refuse_quantity(probe);
  }
  return result;
}

namespace detail {

struct ProbeScope::Impl {
  explicit Impl(const std::vector<Probe>& probes) : recorder(probes), before(context_state().probes) {}
  ProbeRecorder recorder;
  ProbeRecorder* before;
};

ProbeScope::ProbeScope(const std::vector<Probe>& probes) : impl_(std::make_unique<Impl>(probes)) {
  context_state().probes = &impl_->recorder;
}
ProbeScope::~ProbeScope() { context_state().probes = impl_->before; }

std::vector<Reading> ProbeScope::readings(const std::vector<Tensor>& outputs) {
  impl_->recorder.look(outputs);
  context_state().probes = impl_->before;
  return impl_->recorder.readings();
}

std::uint64_t hash_of(const std::vector<Probe>& probes) {
  std::uint64_t hash = hash_combine(0, probes.size() + 1);
  for (const Probe& probe : probes) {
    hash = hash_combine(hash, std::hash<std::string>()(probe.region));
    hash = hash_combine(
        hash, static_cast<std::uint64_t>(probe.of) * 256 + static_cast<std::uint64_t>(probe.statistic));
  }
  return hash;
}

}  // namespace detail
}  // namespace chainrule
