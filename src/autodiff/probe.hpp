#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <chainrule/probe.hpp>

#include "autodiff/driver.hpp"

namespace chainrule {

/// What enters and leaves one region, and the cotangents there. Found in an expression: a tensor leaves a
/// region where a node of it is an output or has a consumer outside; it enters where the reverse holds.
struct SeenRegion {
  std::string path;
  TensorList outputs;
  TensorList inputs;
  TensorList outputs_bar;  ///< one for each output; undefined where no gradient arrives
  TensorList inputs_bar;   ///< one for each input
  bool is_elementwise = true;
};

/// Watches a function being run for the regions that its probes name.
class ProbeRecorder {
 public:
  explicit ProbeRecorder(std::vector<Probe> probes) : probes_(std::move(probes)) {}

  /// Finds regions in the expressions of `outputs`; those that an earlier look has found are left alone.
  void look(const TensorList& outputs);
  /// The cotangents of a node's outputs are complete.
  void arrives(const Node& node, const TensorList& outputs_bar);
  /// What a node passes back to its inputs.
  void leaves(const Node& node, const TensorList& inputs_bar);
  /// One reading for each probe and region. Throws for a probe that found nothing.
  std::vector<Reading> readings() const;

 private:
  bool is_wanted(const std::string& path) const;

  std::vector<Probe> probes_;
  std::vector<SeenRegion> regions_;
  std::set<std::string> paths_;  ///< all that there are, for errors
  bool saw_gradient_ = false;
};

}  // namespace chainrule
