#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graph/plan.hpp"

/// Small graphs whose plans are checked in as text, under tests/reference/plans.
struct PlanGraph {
  std::string name;
  /// Runs the graph once, compiled.
  std::function<void()> run;
};

const std::vector<PlanGraph>& plan_graphs();

/// The plan of a graph's compiled call.
std::shared_ptr<const chainrule::Plan> plan_of(const PlanGraph& graph);
