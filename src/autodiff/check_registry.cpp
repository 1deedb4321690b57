// Every op of the registry on its own samples. The declaration says what to try; nothing here names an op.

#include <algorithm>
#include <cmath>
#include <random>

#include <chainrule/check.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// ---- what to try ----

class Drawer {
 public:
  explicit Drawer(const OpDef& op) : op_(op), bits_(std::hash<std::string_view>()(op.name)) {}

  // Elementwise inputs: dense and broadcast against each other, transposed, scalars.
  std::vector<Sample> samples() {
    std::vector<Sample> result;
    result.push_back({draw({Shape{3, 4}, Shape{3, 4}, Shape{3, 4}}), {}, "dense"});
    result.push_back({draw({Shape{3, 4}, Shape{4}, Shape{3, 1}}), {}, "broadcast"});
    result.push_back({draw({Shape{}, Shape{}, Shape{}}), {}, "scalar"});
    Sample transposed{draw({Shape{4, 3}, Shape{4, 3}, Shape{4, 3}}), {}, "transposed"};
    for (Tensor& x : transposed.inputs) x = transpose(x);
    result.push_back(std::move(transposed));
    return result;
  }

 private:
  std::vector<Tensor> draw(const std::vector<Shape>& shapes) {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < op_.ranges.size(); ++i) {
      std::vector<double> values(static_cast<std::size_t>(element_count(shapes[i])));
      for (double& value : values) value = draw_value(i);
      inputs.push_back(Tensor::from(values, shapes[i]));
    }
    return inputs;
  }
  double draw_value(std::size_t i) {
    const Range& range = op_.ranges[i];
    for (;;) {
      const double value =
          range.low + (range.high - range.low) * std::ldexp(static_cast<double>(bits_() >> 11), -53);
      bool near_kink = false;
      for (const double kink : op_.kinks) near_kink = near_kink || (i == 0 && std::fabs(value - kink) < 0.01);
      if (!near_kink) return value;
    }
  }

  const OpDef& op_;
  std::mt19937_64 bits_;
};

std::vector<Sample> samples_of(const OpDef& op) {
  if (op.samples != nullptr) return op.samples();
  return op.ranges.empty() ? std::vector<Sample>() : Drawer(op).samples();
}

// The op on these inputs, converted as a call of its public function would.
TensorList call(const OpDef& op, const TensorList& inputs, const Attributes& attributes) {
  TensorList converted = inputs;
  for (std::size_t i = 0; i < converted.size(); ++i) {
    const bool truth =
        op.element_rule == ElementRule::logical || (op.element_rule == ElementRule::select && i == 0);
    if (truth && op.kind == OpKind::elementwise) converted[i] = converted[i] > 0.0;
  }
  return make_outputs(op, converted, attributes);
}

// ---- the checks ----

std::vector<double> values_of(const Tensor& x) { return astype(x, DType::float64).to_vector<double>(); }

// Equal to rounding; NaN equals NaN.
bool close(const Tensor& a, const Tensor& b, double tolerance) {
  if (!(a.shape() == b.shape())) return false;
  const std::vector<double> x = values_of(a);
  const std::vector<double> y = values_of(b);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool same = x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]));
    if (!same && !(std::fabs(x[i] - y[i]) <= tolerance * std::fmax(1, std::fabs(y[i])))) return false;
  }
  return true;
}

double ulp_of(double x, DType dtype) {
  const int digits = dtype == DType::float32 ? 24 : 53;
  const int least = dtype == DType::float32 ? -149 : -1074;
  if (x == 0 || !std::isfinite(x)) return std::ldexp(1, least);
  return std::ldexp(1, std::max(std::ilogb(x) + 1 - digits, least));
}

bool owns_a_graph(const Attribute& attribute) {
  return std::holds_alternative<std::shared_ptr<const SubGraph>>(attribute) ||
         std::holds_alternative<std::shared_ptr<const CustomRule>>(attribute);
}

class OpChecker {
 public:
  OpChecker(const OpDef& op, const GradientCheckOptions& options) : op_(op), options_(options) {
    report_.name = std::string(op.name);
    report_.differentiable = op.not_differentiable == nullptr;
  }

  OpCheck run() {
    for (const Sample& sample : samples_of(op_)) {
      what_ = sample.what;
      try {
        check_values(sample, DType::float64);
        check_values(sample, DType::float32);
        check_precision(sample);
        check_definition(sample);
        check_batches(sample);
        if (report_.differentiable) check_derivatives(sample);
      } catch (const Error& error) {
        fail(error.what());
      }
    }
    return std::move(report_);
  }

 private:
  void fail(const std::string& sentence) { report_.failures.push_back(what_ + ": " + sentence); }
  void expect(bool holds, const std::string& sentence) {
    ++report_.cases;
    if (!holds) fail(sentence);
  }

  // Against the formula in double, for each element.
  void check_values(const Sample& sample, DType dtype) {
    if (op_.reference == nullptr || op_.kind != OpKind::elementwise || !sample.attributes.empty()) return;
    TensorList inputs;
    TensorList spread;
    for (const Tensor& x : sample.inputs) inputs.push_back(astype(x, dtype));
    const Tensor y = call(op_, inputs, {})[0];
    for (const Tensor& x : inputs) spread.push_back(broadcast_to(x, y.shape()));
    std::vector<std::vector<double>> columns;
    for (const Tensor& x : spread) columns.push_back(values_of(x));
    const std::vector<double> got = values_of(y);
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      std::vector<double> arguments;
      for (std::size_t k = 0; k < columns.size(); ++k) {
        const bool truth =
            op_.element_rule == ElementRule::logical || (op_.element_rule == ElementRule::select && k == 0);
        arguments.push_back(truth ? double(columns[k][i] > 0) : columns[k][i]);
      }
      const double expected = op_.reference(arguments.data());
      worst = std::fmax(worst, std::fabs(got[i] - expected) / error_unit(expected, dtype));
    }
    if (dtype == DType::float32) report_.worst_forward_error = std::fmax(report_.worst_forward_error, worst);
    // In float64 the formula rounds as well.
    const double allowed =
        op_.bound.value + (dtype == DType::float64 && op_.bound.kind != BoundKind::exact ? 4 : 0.001);
    expect(worst <= allowed, std::string(dtype_name(dtype)) + " values are " + short_number(worst) +
                                 " units off, the bound is " + short_number(op_.bound.value));
  }
  double error_unit(double expected, DType dtype) const {
    // A sum of terms of the size of 1 is as exact as they are.
    return ulp_of(op_.bound.kind == BoundKind::sum ? std::fmax(1, std::fabs(expected)) : expected, dtype);
  }

  // float32 against float64 on the same numbers: within the declared bound, integers equal.
  void check_precision(const Sample& sample) {
    const auto is_float = [](const Tensor& x) { return is_floating(x.dtype()); };
    if (std::none_of(sample.inputs.begin(), sample.inputs.end(), is_float)) return;
    // A draw takes other bits of its key for each dtype.
    if (!op_.arguments.empty() && op_.arguments[0] == "key") return;
    // A loop's body is traced in one dtype.
    if (std::any_of(sample.attributes.begin(), sample.attributes.end(), owns_a_graph)) return;
    TensorList narrow = sample.inputs;
    TensorList wide = sample.inputs;
    TensorList sizes = sample.inputs;
    std::int64_t terms = 1;
    for (std::size_t i = 0; i < narrow.size(); ++i) {
      for (const std::int64_t length : narrow[i].shape()) terms = std::max(terms, length);
      if (!is_float(narrow[i])) continue;
      narrow[i] = astype(narrow[i], DType::float32);
      wide[i] = astype(narrow[i], DType::float64);
      sizes[i] = abs(wide[i]);
    }
    // An attribute counts in the dtype that the op computes in.
    Attributes attributes = sample.attributes;
    for (Attribute& attribute : attributes) {
      if (auto* number = std::get_if<double>(&attribute)) *number = static_cast<float>(*number);
    }
    const bool sums = op_.bound.kind == BoundKind::sum;
    const TensorList got = call(op_, narrow, attributes);
    const TensorList exact = call(op_, wide, attributes);
    const TensorList scale = sums ? call(op_, sizes, attributes) : exact;
    for (std::size_t k = 0; k < got.size(); ++k) compare_precision(got[k], exact[k], scale[k], terms);
  }
  void compare_precision(const Tensor& got, const Tensor& exact, const Tensor& scale, std::int64_t terms) {
    const std::vector<double> values = values_of(got);
    const std::vector<double> expected = values_of(exact);
    const std::vector<double> sizes = values_of(scale);
    double worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double target = static_cast<double>(static_cast<float>(expected[i]));
      const bool same = values[i] == target || (std::isnan(values[i]) && std::isnan(target));
      if (same) continue;
      double unit = op_.bound.kind == BoundKind::exact ? 0 : ulp_of(expected[i], DType::float32);
      if (op_.bound.kind == BoundKind::sum) {
        // Terms of the size of 1 stand behind what is no plain sum.
        const double total = std::fmax(std::fmax(1, std::fabs(expected[i])),
                                       std::isfinite(sizes[i]) ? std::fabs(sizes[i]) : 0);
        unit = std::ldexp(static_cast<double>(terms) * total, -24);
      }
      const double error = std::fabs(values[i] - expected[i]);
      worst = std::fmax(worst, std::isfinite(error) ? error / unit : HUGE_VAL);
    }
    if (op_.bound.kind == BoundKind::ulp)
      report_.worst_forward_error = std::fmax(report_.worst_forward_error, worst);
    expect(worst <= op_.bound.value + 0.001, "float32 is " + short_number(worst) +
                                                 " units off float64, the bound is " +
                                                 short_number(op_.bound.value));
  }

  void check_definition(const Sample& sample) {
    if (op_.definition == nullptr) return;
    const TensorList outputs = call(op_, sample.inputs, sample.attributes);
    const TensorList defined = op_.definition(*call(op_, sample.inputs, sample.attributes)[0].node());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      expect(defined[i].dtype() == outputs[i].dtype() && close(outputs[i], defined[i], 1e-13),
             "the kernel differs from the definition");
    }
  }

  void check_derivatives(const Sample& sample) {
    const auto f = [&](const TensorList& inputs) { return call(op_, inputs, sample.attributes); };
    const GradientCheck check = check_gradients(f, sample.inputs, options_);
    report_.cases += check.cases;
    report_.worst_gradient_error = std::fmax(report_.worst_gradient_error, check.worst_error);
    for (const GradientMismatch& mismatch : check.failures) fail(to_string(mismatch));
  }

  // All inputs as batches, then each alone.
  void check_batches(const Sample& sample) {
    const std::size_t count = sample.inputs.size();
    check_batch(sample, std::vector<int>(count, 0));
    for (std::size_t i = 0; count > 1 && i < count; ++i) {
      std::vector<int> axes(count, -1);
      axes[i] = 0;
      check_batch(sample, axes);
    }
  }
  void check_batch(const Sample& sample, const std::vector<int>& axes) {
    constexpr int size = 3;
    std::vector<TensorList> examples(size, sample.inputs);
    TensorList batch = sample.inputs;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] < 0) continue;
      TensorList rows;
      for (int b = 0; b < size; ++b) {
        Tensor& x = examples[static_cast<std::size_t>(b)][i];
        if (is_floating(x.dtype())) x = x * full({}, 1 + 1e-3 * b, x.dtype());
        rows.push_back(x);
      }
      batch[i] = stack(rows);
    }
    std::vector<Tensor*> places;
    for (Tensor& x : batch) places.push_back(&x);
    const auto body = [&] { return call(op_, batch, sample.attributes); };
    const TensorList together = detail::batched(places, {}, axes, body);
    std::vector<TensorList> apart(together.size());
    for (const TensorList& example : examples) {
      const TensorList outputs = call(op_, example, sample.attributes);
      for (std::size_t k = 0; k < outputs.size(); ++k) apart[k].push_back(outputs[k]);
    }
    for (std::size_t k = 0; k < together.size(); ++k)
      expect(close(together[k], stack(apart[k]), 1e-12), "a batch differs from the loop over it");
  }

  const OpDef& op_;
  GradientCheckOptions options_;
  OpCheck report_;
  std::string what_;
};

}  // namespace

OpCheck check_op(const std::string& name, const GradientCheckOptions& options) {
  const OpDef* op = find_op(name);
  if (op == nullptr) {
    throw ArgumentError({.function = "check_op",
                         .argument = "name",
                         .problem = "there is no such op",
                         .got = "\"" + name + "\"",
                         .hint = "chainrule ops lists them"});
  }
  return OpChecker(*op, options).run();
}

std::vector<OpCheck> check_registry(const GradientCheckOptions& options) {
  std::vector<OpCheck> reports;
  for (const OpDef* op : op_table()) reports.push_back(OpChecker(*op, options).run());
  return reports;
}

}  // namespace chainrule
