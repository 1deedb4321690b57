#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <chainrule/expression.hpp>

/// The mathematics with numbers in it: the chain rule on a formula, and what there is to know about an op.
/// Everything here is computed from the declarations that also run.
namespace chainrule {

/// One value on the way to the result, and how it changes with the values that it is made of.
struct ChainStep {
  struct Edge {
    std::size_t from;        ///< the index of an earlier step
    std::string derivative;  ///< ∂this/∂from as a formula: "cos(x)"
    double value;            ///< and as a number
  };
  std::string text;  ///< "sin(x)"
  double value = 0;
  bool undefined = false;  ///< the value is not finite although those that it is made of are
  bool at_kink = false;    ///< no derivative exists here; the one that the rule gives is a convention
  double adjoint = 0;      ///< ∂result/∂this
  std::vector<Edge> inputs;
};

/// One way from the result down to a variable.
struct ChainPath {
  std::vector<std::size_t> steps;  ///< result first, variable last
  std::vector<double> factors;     ///< the local derivatives between them
  double product = 0;
};

struct ChainGradient {
  std::string variable;
  double at = 0;
  std::string text;    ///< the derivative as a formula, printed from the traced rule
  double value = 0;    ///< by the rule, in float64
  double numeric = 0;  ///< (f(x + h) − f(x − h)) / 2h
  double step = 0;     ///< h
  double error = 0;    ///< |value − numeric| / max(|value|, 1)
  double left = 0;     ///< (f(x) − f(x − h)) / h
  double right = 0;    ///< (f(x + h) − f(x)) / h
  std::vector<ChainPath> paths;
  bool complete = true;  ///< false when there are more than 64 paths and `paths` holds the first
};

/// The chain rule on a formula, step by step.
struct ChainTrace {
  std::string text;
  double value = 0;
  std::vector<ChainStep> steps;  ///< what a step is made of comes before it; the result is last
  std::vector<ChainGradient> gradients;

  /// Whether f and its derivatives are finite numbers at this point.
  CHAINRULE_API bool defined() const;
  /// Whether a step is at a kink.
  CHAINRULE_API bool at_kink() const;
};

/// Evaluates a formula and its derivatives at a point, in float64, and keeps every step. At a kink, which the
/// op's declaration names (abs at 0), the derivatives are the rule's convention. Throws ArgumentError
/// for a wrong number of values or a result that has no derivative, such as a comparison.
CHAINRULE_API ChainTrace trace_chain(const Expression& f, std::span<const double> at,
                                     TextStyle style = TextStyle::plain);

/// A declared op in short.
struct OpSummary {
  std::string name;
  std::string summary;             ///< one sentence
  std::string domain;              ///< where it is defined, if not everywhere
  std::string source;              ///< paper or book, where there is one
  std::string not_differentiable;  ///< why it has no derivative; else empty
};

/// Every declared op, sorted by name.
CHAINRULE_API std::vector<OpSummary> list_ops();

/// How a derivative checks against central differences.
struct DerivativeCheck {
  std::string what;  ///< "y'", "∂z/∂x"
  double rule = 0;
  double numeric = 0;
  double error = 0;  ///< relative, absolute below 1
  bool ok = false;
};

/// A named number on the way to a result.
struct WorkedValue {
  std::string text;
  double value = 0;
};

/// A named row of numbers.
struct WorkedRow {
  std::string text;
  std::vector<double> values;
};

/// Where a derivative all but vanishes.
struct Saturation {
  double peak = 0;              ///< the largest |y'|, or its limit
  double peak_at = 0;           ///< ±∞ where |y'| only comes close to it
  bool flat = false;            ///< |y'| is the peak over a whole interval around peak_at
  std::optional<double> below;  ///< |y'| < 1 % of the peak for all x below this
  std::optional<double> above;  ///< and for all x above this
  bool zero = false;            ///< y' is 0 there, not only small
};

/// What float32 does to an op that float64 does not: a sentence with the numbers that a scan found.
struct Float32Limit {
  std::string what;
  double at = 0;
};

/// What there is to know about an op.
struct Explanation {
  std::string name;
  std::vector<std::string> arguments;
  std::string kind;  ///< "elementwise", "view", "general"
  std::string formula, definition, summary, domain, source, declared_in;
  std::string not_differentiable;  ///< why it has no derivative; else empty
  DerivativeTexts derivative;
  std::vector<double> at;  ///< the point of the worked example, one number per argument
  bool at_kink = false;    ///< the point is one where no derivative exists; the rule's value is a convention
  std::vector<WorkedValue> worked;
  std::vector<DerivativeCheck> checks;
  int samples = 0;       ///< inputs on which the printed formula was compared with the kernel
  double worst_ulp = 0;  ///< the largest difference found there
  std::optional<Saturation> saturation;
  std::vector<Float32Limit> float32;
  std::vector<WorkedRow> rows;  ///< the example of an op of a whole vector
  std::string vector_check;     ///< and how its derivatives check: "float64, … worst error 1.2e-11   ok"
  std::string use;              ///< what goes with it in practice; may be empty
};

/// Explains the op called `name` at a point (a default where `at` is empty). Throws ArgumentError for an
/// unknown name or a wrong number of values.
CHAINRULE_API Explanation explain(std::string_view name, std::vector<double> at = {},
                                  TextStyle style = TextStyle::plain);

/// One labelled part of an explanation: "derivative", and its lines.
struct ExplainedPart {
  std::string label;
  std::vector<std::string> lines;
};

/// What there is to know about a loss, an optimizer, a schedule or an initializer.
struct NamedExplanation {
  std::string name;
  std::string kind;  ///< "loss", "optimizer", "schedule", "initializer"
  std::string formula, summary, source;
  std::vector<ExplainedPart> parts;
};

struct NamedOptions {
  std::vector<double> at;  ///< losses: the logits of a row of classes, or the prediction y and the target t
  std::optional<double> target;  ///< losses: the class, or t
  TextStyle style = TextStyle::plain;
};

/// Explains what is no op: derivatives are traced from the formula, an optimizer's update from the step that
/// runs. Nothing for a name that no table has. Throws ArgumentError for a class that does not exist.
CHAINRULE_API std::optional<NamedExplanation> explain_named(std::string_view name,
                                                            const NamedOptions& options = {});
/// Every name that `explain_named` knows.
CHAINRULE_API std::vector<std::string> described_names();

/// As the terminal shows it. `steps` adds the tree, the local derivatives and the products along each path.
CHAINRULE_API std::string to_text(const ChainTrace& trace, bool steps);
CHAINRULE_API std::string to_text(const Explanation& explanation);
CHAINRULE_API std::string to_text(const NamedExplanation& explanation);

}  // namespace chainrule
