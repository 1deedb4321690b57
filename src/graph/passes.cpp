// The passes in their order.

#include <string>

#include "graph/log.hpp"
#include "graph/lower.hpp"

namespace chainrule {
namespace {

constexpr Pass passes[] = {
    {"expand_definitions", expand_definitions},
    {"fold_constants", fold_constants},
    {"eliminate_common_subexpressions",
     [](const LoweredGraph& graph, const Device&) { return eliminate_common_subexpressions(graph); }},
    {"transpose_products",
     [](const LoweredGraph& graph, const Device&) { return transpose_products(graph); }},
};

#ifdef NDEBUG
constexpr bool checks_by_default = false;
#else
constexpr bool checks_by_default = true;
#endif

}  // namespace

std::span<const Pass> graph_passes() { return passes; }

std::atomic<bool>& graph_checks() {
  static std::atomic<bool> checks = checks_by_default;
  return checks;
}

LoweredGraph run_passes(const LoweredGraph& graph, const Device& device) {
  const bool checked = graph_checks().load(std::memory_order_relaxed);
  const bool logged = log_enabled(LogTopic::plan);
  if (checked) check_graph(graph, "lowering");
  LoweredGraph current = graph;
  std::string before = logged ? to_text(graph) : "";
  log(LogTopic::plan, [&] { return "graph before the passes\n" + before; });
  for (const Pass& pass : passes) {
    current = pass.run(current, device);
    if (checked) check_graph(current, pass.name);
    if (!logged) continue;
    std::string after = to_text(current);
    const bool changed = after != before;
    log(LogTopic::plan, [&] {
      return changed ? "graph after " + std::string(pass.name) + "\n" + after
                     : std::string(pass.name) + " changes nothing";
    });
    before = std::move(after);
  }
  return current;
}

}  // namespace chainrule
