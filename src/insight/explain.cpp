// What there is to know about an op, computed from its declaration.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <fmt/format.h>

#include <chainrule/check.hpp>
#include <chainrule/error.hpp>
#include <chainrule/explain.hpp>
#include <chainrule/transforms.hpp>

#include "expression/program.hpp"
#include "insight/named.hpp"
#include "insight/readable.hpp"
#include "insight/scan.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

constexpr int sampled_inputs = 1000;
constexpr double step = 1e-5;
constexpr double tolerance = 1e-6;

bool is_condition(const OpDef& op, std::size_t input) {
  return op.element_rule == ElementRule::logical || (op.element_rule == ElementRule::select && input == 0);
}

const char* kind_name(const OpDef& op) {
  switch (op.kind) {
    case OpKind::elementwise:
      return "elementwise";
    case OpKind::view:
      return "a view of the same memory";
    default:
      return op.linear != Linearity::none ? "linear" : "works on whole tensors";
  }
}

std::string declared_in(const OpDef& op) {
  const std::string_view file = op.file;
  const auto at = file.rfind("src/");
  return std::string(at == std::string_view::npos ? file : file.substr(at));
}

Range range_of(const OpDef& op, std::size_t input) {
  return input < op.ranges.size() ? op.ranges[input] : Range{};
}

// An elementwise op at points, all in float64: what the explanation computes with.
class Elements {
 public:
  explicit Elements(const OpDef& op) : op_(op) {}

  std::vector<Tensor> inputs(const std::vector<std::vector<double>>& columns) const {
    std::vector<Tensor> result;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Tensor x = Tensor::from(columns[i], {static_cast<std::int64_t>(columns[i].size())});
      result.push_back(is_condition(op_, i) ? x.astype(DType::boolean) : x);
    }
    return result;
  }
  std::vector<Tensor> inputs(const std::vector<double>& point) const {
    std::vector<std::vector<double>> columns;
    for (const double value : point) columns.push_back({value});
    return inputs(columns);
  }
  Tensor value(const std::vector<Tensor>& x) const { return expression::call_function(op_, x); }
  Tensor derivative(std::vector<Tensor> x, std::size_t input) const {
    const auto f = [&](const Tensor& moved) {
      std::vector<Tensor> all = x;
      all[input] = moved;
      return sum(value(all));
    };
    return grad(f)(x[input]);
  }
  Tensor second(const Tensor& x) const {
    return grad([&](const Tensor& moved) { return sum(derivative({moved}, 0)); })(x);
  }

 private:
  const OpDef& op_;
};

double first_value(const Tensor& x) { return x.astype(DType::float64).to_vector<double>().front(); }

// Whether the differences to both sides disagree: a corner or a jump, wherever attributes put it.
bool is_kink(const OpDef& op, const Elements& elements, double x) {
  if (op.arguments.size() != 1 || op.not_differentiable != nullptr) return false;
  const std::vector<Tensor> points =
      elements.inputs(std::vector<std::vector<double>>{{x - step, x, x + step}});
  const auto y = elements.value(points).astype(DType::float64).to_vector<double>();
  const double left = (y[1] - y[0]) / step;
  const double right = (y[2] - y[1]) / step;
  return std::abs(right - left) > 0.01 * std::max(1.0, std::abs(left) + std::abs(right)) &&
         std::isfinite(right - left);
}

// A point well inside of where the op is tested, 0.5 if it can be.
std::vector<double> default_point(const OpDef& op, const Elements& elements) {
  std::vector<double> at;
  for (std::size_t i = 0; i < op.arguments.size(); ++i) {
    const Range range = range_of(op, i);
    const bool has_half =
        range.low <= 0.5 && range.high >= 0.5 && op.arguments.size() == 1 && !is_kink(op, elements, 0.5);
    at.push_back(has_half ? 0.5 : is_condition(op, i) ? 1 : (range.low + range.high * 3) / 4);
  }
  return at;
}

class Explainer {
 public:
  Explainer(const OpDef& op, TextStyle style) : op_(op), style_(style), elements_(op) {}

  Explanation run(std::vector<double> at) {
    declare();
    if (takes_a_vector()) {
      work_on_vector(std::move(at));
      return std::move(result_);
    }
    if (op_.kind != OpKind::elementwise || !expression::is_callable(op_)) return std::move(result_);
    result_.at = at.empty() ? default_point(op_, elements_) : std::move(at);
    if (result_.at.size() != op_.arguments.size()) {
      throw ArgumentError({.function = "explain",
                           .argument = "at",
                           .problem = "a number for each argument is needed",
                           .got = std::to_string(result_.at.size()) + " numbers",
                           .wanted = std::to_string(op_.arguments.size()) + " numbers"});
    }
    work();
    compare_formula();
    result_.at_kink = is_kink(op_, elements_, result_.at[0]);
    if (op_.not_differentiable == nullptr && !result_.at_kink) check();
    if (op_.not_differentiable == nullptr && op_.arguments.size() == 1) {
      result_.saturation = insight::find_saturation(op_);
      result_.float32 = insight::find_float32_limits(op_);
    }
    return std::move(result_);
  }

 private:
  void declare() {
    result_.name = std::string(op_.name);
    for (const std::string_view argument : op_.arguments) result_.arguments.emplace_back(argument);
    result_.kind = kind_name(op_);
    result_.formula = formula_text(op_.name, style_);
    result_.definition = definition_text(op_.name, style_);
    if (op_.kind != OpKind::elementwise)
      result_.definition = insight::readable_definition(result_.definition);
    if (result_.definition == result_.formula) result_.definition.clear();
    result_.use = insight::use_of(op_.name);
    result_.summary = op_.text.summary;
    result_.domain = op_.text.domain;
    result_.source = op_.text.source;
    result_.declared_in = declared_in(op_);
    if (op_.not_differentiable != nullptr) result_.not_differentiable = op_.not_differentiable;
    result_.derivative = derivative_text(op_.name, style_);
    for (DerivativeText& input : result_.derivative.inputs)
      input.backward = insight::readable_backward(input.backward, style_);
  }

  // An op of one tensor and nothing but axes to choose, on a vector.
  bool takes_a_vector() const {
    return op_.kind == OpKind::general && op_.arguments.size() == 1 && op_.not_differentiable == nullptr &&
           !op_.name.ends_with("_with_indices") && !op_.attributes.empty() &&
           std::all_of(op_.attributes.begin(), op_.attributes.end(), [](std::string_view name) {
             return name == "axes" || name == "axis" || name == "keepdims";
           });
  }

  // Three numbers, or four for an op that halves its axis.
  std::vector<double> usual_vector() const {
    const std::vector<double> three{2, 1, 0.1};
    const Tensor x = Tensor::from(three, {3});
    try {
      expression::call_function(op_, std::span(&x, 1));
    } catch (const ShapeError&) {
      return {2, 1, 0.1, -1};
    }
    return three;
  }

  void work_on_vector(std::vector<double> at) {
    if (at.empty()) at = usual_vector();
    result_.at = at;
    const Tensor x = Tensor::from(at, {static_cast<std::int64_t>(at.size())});
    const auto f = [&](const Tensor& t) { return expression::call_function(op_, std::span(&t, 1)); };
    const Tensor y = f(x);
    result_.rows.push_back({result_.derivative.output, y.to_vector<double>()});
    const auto slopes = jacobian(f, x).to_vector<double>();
    const auto width = static_cast<std::ptrdiff_t>(at.size());
    for (std::int64_t i = 0; i < y.size(); ++i) {
      const std::string name = y.rank() == 0 ? "∂" + result_.derivative.output + "/∂x"
                                             : fmt::format("∂{}{}/∂x", result_.derivative.output, i + 1);
      result_.rows.push_back({name, {slopes.begin() + i * width, slopes.begin() + (i + 1) * width}});
    }
    const GradientCheck check =
        check_gradients([&](const std::vector<Tensor>& in) { return std::vector<Tensor>{f(in[0])}; }, {x});
    result_.vector_check = fmt::format("float64, central differences, to second order: worst {:.1e}   {}",
                                       check.worst_error, check.ok() ? "ok" : "NOT OK");
  }

  // The formula in the plain style, read back; nothing where it is a name that formulas can't hold.
  std::optional<Expression> formula() const {
    const std::string definition = definition_text(op_.name);
    try {
      return parse_expression(definition.empty() ? formula_text(op_.name) : definition, result_.arguments);
    } catch (const ArgumentError&) {
      return std::nullopt;
    }
  }

  void work() {
    const double y = first_value(elements_.value(elements_.inputs(result_.at)));
    const std::optional<Expression> f = formula();
    const bool scalars =
        std::none_of(op_.arguments.begin(), op_.arguments.end(),
                     [&, i = std::size_t{0}](std::string_view) mutable { return is_condition(op_, i++); });
    if (f && scalars && op_.element_rule != ElementRule::predicate)
      add_steps(trace_chain(*f, result_.at, style_));
    result_.worked.push_back({result_.derivative.output, y});
    add_derivatives(y);
  }

  void add_steps(const ChainTrace& trace) {
    for (std::size_t i = 0; i + 1 < trace.steps.size(); ++i) {
      const ChainStep& shown = trace.steps[i];
      if (!shown.inputs.empty()) result_.worked.push_back({shown.text, shown.value});
    }
  }

  void add_derivatives(double y) {
    std::vector<std::string> names = result_.arguments;
    names.push_back(result_.derivative.output);
    const DerivativeTexts plain = derivative_text(op_.name);
    for (std::size_t i = 0; i < plain.inputs.size(); ++i) {
      std::vector<Tensor> values = elements_.inputs(result_.at);
      values.push_back(Tensor::from(std::vector<double>{y}, {1}));
      const Tensor value = parse_expression(plain.inputs[i].partial, names)(values);
      result_.worked.push_back({result_.derivative.inputs[i].partial, first_value(value)});
    }
  }

  double difference(std::size_t input, const auto& f) const {
    std::vector<double> point = result_.at;
    const double x = point[input];
    const double h = step * std::max(1.0, std::abs(x));
    point[input] = x + h;
    const double above = first_value(f(elements_.inputs(point)));
    point[input] = x - h;
    return (above - first_value(f(elements_.inputs(point)))) / (2 * h);
  }

  void add_check(std::string what, double rule, double numeric) {
    const double error = std::abs(rule - numeric) / std::max(1.0, std::abs(rule));
    result_.checks.push_back({std::move(what), rule, numeric, error, error < tolerance});
  }

  void check() {
    const std::vector<Tensor> x = elements_.inputs(result_.at);
    const bool single = op_.arguments.size() == 1;
    for (std::size_t i = 0; i < op_.arguments.size(); ++i) {
      if (is_condition(op_, i)) continue;
      const std::string what = single ? "y'" : "∂" + result_.derivative.output + "/∂" + result_.arguments[i];
      const auto value = [&](const std::vector<Tensor>& inputs) { return elements_.value(inputs); };
      add_check(what, first_value(elements_.derivative(x, i)), difference(i, value));
    }
    if (!single) return;
    const auto slope = [&](const std::vector<Tensor>& inputs) { return elements_.derivative(inputs, 0); };
    add_check("y''", first_value(elements_.second(x[0])), difference(0, slope));
  }

  void compare_formula() {
    const std::optional<Expression> f = formula();
    if (!f) return;
    std::mt19937 random(7);
    std::vector<std::vector<double>> columns;
    for (std::size_t i = 0; i < op_.arguments.size(); ++i) {
      const Range range = range_of(op_, i);
      std::uniform_real_distribution<double> draw(range.low, range.high);
      std::vector<double>& column = columns.emplace_back(sampled_inputs);
      for (double& value : column) value = is_condition(op_, i) ? std::round(draw(random)) : draw(random);
    }
    const std::vector<Tensor> x = elements_.inputs(columns);
    const auto kernel = elements_.value(x).astype(DType::float64).to_vector<double>();
    const auto shown = broadcast_to((*f)(x).astype(DType::float64), {sampled_inputs}).to_vector<double>();
    result_.samples = sampled_inputs;
    for (std::size_t i = 0; i < kernel.size(); ++i) {
      const double spacing =
          std::nextafter(std::abs(kernel[i]), std::numeric_limits<double>::infinity()) - std::abs(kernel[i]);
      if (kernel[i] != shown[i])
        result_.worst_ulp = std::max(result_.worst_ulp, std::abs(kernel[i] - shown[i]) / spacing);
    }
  }

  const OpDef& op_;
  TextStyle style_;
  Elements elements_;
  Explanation result_;
};

}  // namespace

std::vector<OpSummary> list_ops() {
  std::vector<OpSummary> ops;
  for (const OpDef* op : op_table()) {
    ops.push_back({.name = std::string(op->name),
                   .summary = op->text.summary,
                   .domain = op->text.domain,
                   .source = op->text.source,
                   .not_differentiable = op->not_differentiable == nullptr ? "" : op->not_differentiable});
  }
  return ops;
}

Explanation explain(std::string_view name, std::vector<double> at, TextStyle style) {
  derivative_text(name);  // an unknown name is answered here, with the nearest one
  return Explainer(*find_op(name), style).run(std::move(at));
}

}  // namespace chainrule
