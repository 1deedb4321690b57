// What a model costs, read from the graph of one forward pass: the modules that a walk finds are matched with
// the regions that their calls open.

#include <chainrule/nn/summary.hpp>

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <chainrule/ops.hpp>

#include "graph/node.hpp"
#include "graph/op.hpp"

namespace chainrule::nn {
namespace {

struct Found {
  SummaryRow row;
  std::string region;  // what nodes of this module carry
  bool has_children = false;
  bool has_nodes = false;
};

std::string joined(const std::string& outer, const std::string& inner) {
  return outer.empty() || inner.empty() ? outer + inner : outer + '.' + inner;
}

// Finds the modules with their weights, and says which region each will open: a Sequential numbers its
// regions by child, every other module opens one with its type's name.
class ModuleVisitor : public Visitor {
 public:
  std::vector<Found> take() {
    if (outside_.row.parameters > 0) found_.push_back(std::move(outside_));
    return std::move(found_);
  }

 protected:
  void enter(std::string_view type) override {
    Found module;
    module.row.path = path();
    module.row.type = type;
    module.region = std::string(type);
    if (!open_.empty()) {
      Found& parent = found_[open_.back()];
      parent.has_children = true;
      module.region = joined(region_for_child(parent, module.row.path), module.region);
    }
    open_.push_back(found_.size());
    found_.push_back(std::move(module));
  }
  void leave() override { open_.pop_back(); }

  void leaf(Tensor& tensor, LeafKind kind, bool*) override {
    if (!tensor.defined()) return;
    SummaryRow& row = open_.empty() ? outside_.row : found_[open_.back()].row;
    row.weight_bytes += tensor.size() * static_cast<std::int64_t>(dtype_size(tensor.dtype()));
    if (kind != LeafKind::buffer) row.parameters += tensor.size();
    if (kind == LeafKind::parameter) row.trainable += tensor.size();
  }

 private:
  static std::string region_for_child(const Found& parent, const std::string& path) {
    if (parent.row.type != Sequential::type_name) return parent.region;
    const std::string relative = parent.row.path.empty() ? path : path.substr(parent.row.path.size() + 1);
    return parent.region + '[' + relative.substr(0, relative.find('.')) + ']';
  }

  std::vector<Found> found_;
  std::vector<std::size_t> open_;
  Found outside_{
      .row = {.path = "", .type = "(other)", .output_shape = {}}, .region = "", .has_children = false};
};

// Modules of one region (two layers inside of a module that opens no regions) share a row.
std::vector<Found> merged_by_region(std::vector<Found> modules) {
  std::vector<Found> result;
  for (Found& module : modules) {
    const auto same =
        std::find_if(result.begin(), result.end(), [&](const Found& f) { return f.region == module.region; });
    if (same == result.end()) {
      result.push_back(std::move(module));
      continue;
    }
    same->row.path += ", " + module.row.path;
    same->row.parameters += module.row.parameters;
    same->row.trainable += module.row.trainable;
    same->row.weight_bytes += module.row.weight_bytes;
  }
  return result;
}

std::int64_t bytes_of(const Node& node) {
  if (node.op->kind == OpKind::leaf || node.op->kind == OpKind::view) return 0;
  std::int64_t bytes = 0;
  for (const TensorSpec& output : node.outputs) {
    bytes += element_count(output.shape) * static_cast<std::int64_t>(dtype_size(output.dtype));
  }
  return bytes;
}

// The module whose region is the longest that the node's region begins with.
Found* owner_of(std::vector<Found>& modules, const std::string& region) {
  Found* owner = nullptr;
  for (Found& module : modules) {
    const std::string& own = module.region;
    if (own.empty() || !region.starts_with(own)) continue;
    const bool ends_there =
        region.size() == own.size() || region[own.size()] == '.' || region[own.size()] == '[';
    if (ends_there && (owner == nullptr || own.size() > owner->region.size())) owner = &module;
  }
  return owner;
}

void count_nodes(std::vector<Found>& modules, const Tensor& y, const Tensor& x) {
  Found other;
  other.row.type = "(other)";
  const auto is_new = [&](const Node& node) { return &node != x.node() && !node.evaluated.load(); };
  for (const Node* node : collect_nodes(std::span<const Tensor>(&y, 1), is_new)) {
    if (!is_new(*node) || node->op->kind == OpKind::leaf) continue;
    Found* owner = node->region == nullptr ? nullptr : owner_of(modules, *node->region);
    if (owner == nullptr) owner = &other;
    owner->has_nodes = true;
    owner->row.flops += flops_of(*node);
    owner->row.output_bytes += bytes_of(*node);
    owner->row.output_shape = node->outputs[0].shape;
  }
  if (other.has_nodes) modules.push_back(std::move(other));
}

}  // namespace

Summary detail::summarize(FunctionRef<void(Visitor&)> visit, FunctionRef<Tensor(const Tensor&)> forward,
                          const Shape& input_shape, DType input_dtype) {
  std::vector<Tensor> weights;
  const auto collect = [&](Visitor&, Tensor& tensor, LeafKind, bool*) { weights.push_back(tensor); };
  chainrule::detail::LeafVisitor leaf_visitor(collect);
  visit(leaf_visitor);
  eval(weights);  // or the drawing of fresh weights would be counted
  ModuleVisitor visitor;
  visit(visitor);
  std::vector<Found> modules = merged_by_region(visitor.take());

  const Context scope({.train = false});
  const Tensor x = zeros(input_shape, input_dtype);
  count_nodes(modules, forward(x), x);

  Summary summary{
      .rows = {}, .total = {.path = "", .type = "total", .output_shape = {}}, .input_shape = input_shape};
  Shape last_shape = input_shape;
  for (Found& module : modules) {
    SummaryRow& row = module.row;
    if (module.has_children && row.parameters == 0 && row.flops == 0) continue;
    if (!module.has_nodes) row.output_shape = last_shape;
    last_shape = row.output_shape;
    summary.total.parameters += row.parameters;
    summary.total.trainable += row.trainable;
    summary.total.flops += row.flops;
    summary.total.weight_bytes += row.weight_bytes;
    summary.total.output_bytes += row.output_bytes;
    summary.rows.push_back(std::move(row));
  }
  summary.total.output_shape = last_shape;
  return summary;
}

namespace {

std::string with_commas(std::int64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

// Three digits and a prefix: "1.57 M".
std::string scaled(double value, const char* unit) {
  static constexpr const char* prefixes[] = {"", "k", "M", "G", "T", "P"};
  std::size_t i = 0;
  for (; value >= 1000 && i + 1 < std::size(prefixes); ++i) value /= 1000;
  const std::string digits = i == 0 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
  return digits + ' ' + prefixes[i] + unit;
}

std::vector<std::string> cells_of(const SummaryRow& row) {
  return {row.path,
          row.type,
          chainrule::to_string(row.output_shape),
          with_commas(row.parameters),
          scaled(row.flops, "FLOP"),
          scaled(static_cast<double>(row.weight_bytes + row.output_bytes), "B")};
}

}  // namespace

std::string to_string(const Summary& summary) {
  std::vector<std::vector<std::string>> lines{
      {"path", "module", "output", "parameters", "forward", "memory"}};
  lines.push_back({"", "(input)", chainrule::to_string(summary.input_shape), "", "", ""});
  for (const SummaryRow& row : summary.rows) lines.push_back(cells_of(row));
  lines.push_back(cells_of(summary.total));
  std::vector<std::size_t> widths(lines[0].size(), 0);
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i) {
      row +=
          i < 3 ? fmt::format("{:<{}}  ", line[i], widths[i]) : fmt::format("{:>{}}  ", line[i], widths[i]);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + '\n';
  }
  return text;
}

}  // namespace chainrule::nn
