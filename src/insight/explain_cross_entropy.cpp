#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <chainrule/check.hpp>
#include <chainrule/error.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "insight/explain_text.hpp"
#include "insight/named.hpp"

namespace chainrule::insight {
namespace {

constexpr int samples = 100;

Tensor loss_of(const Tensor& z, std::int64_t target) { return nn::cross_entropy(z, Tensor(target)); }

Tensor gradient_of(const Tensor& z, std::int64_t target) {
  return grad([&](const Tensor& logits) { return loss_of(logits, target); })(z);
}

Tensor one_hot_of(std::int64_t target, std::int64_t classes) {
  return astype(equal(arange(0, static_cast<double>(classes), 1, DType::int64), target), DType::float64);
}

double largest(const Tensor& x) { return max(abs(x)).item<double>(); }

// How far the rules are from p − onehot(t) and diag(p) − p pᵀ, and the least xᵀ H x.
struct Agreement {
  double first = 0, second = 0, least_curvature = HUGE_VAL;
};
Agreement agreement(std::int64_t classes) {
  Agreement a;
  for (int i = 0; i < samples; ++i) {
    const Tensor z =
        random::normal(random::key(static_cast<std::uint64_t>(i)), {classes}, 0, 3, DType::float64);
    const Tensor x =
        random::normal(random::key(static_cast<std::uint64_t>(i) + samples), {classes}, 0, 1, DType::float64);
    const std::int64_t target = i % classes;
    const Tensor p = softmax(z);
    const Tensor h = hessian([&](const Tensor& logits) { return loss_of(logits, target); }, z);
    const Tensor outer = unsqueeze(p, 1) * unsqueeze(p, 0);
    const Tensor diagonal = unsqueeze(p, 1) * eye(classes, DType::float64);
    a.first = std::max(a.first, largest(gradient_of(z, target) - (p - one_hot_of(target, classes))));
    a.second = std::max(a.second, largest(h - (diagonal - outer)));
    a.least_curvature = std::min(a.least_curvature, sum(x * matmul(h, x)).item<double>());
  }
  return a;
}

std::string list(const Tensor& values) {
  std::string text;
  for (const double v : values.astype(DType::float64).to_vector<double>())
    text += fmt::format(" {:>9.6f}", v);
  return text;
}

std::string tuple(const std::vector<double>& values) {
  std::string text;
  for (const double v : values) text += (text.empty() ? "(" : ", ") + short_number(v);
  return text + ")";
}

std::string total(const Tensor& x) {
  const double value = sum(x).item<double>();
  return "    sum " + short_number(std::abs(value) < 1e-12 ? 0 : value);
}

ExplainedPart derivatives(std::int64_t classes, TextStyle style) {
  const Agreement a = agreement(classes);
  const bool latex = style == TextStyle::latex;
  ExplainedPart part{"derivative", {}};
  part.lines.push_back(
      std::string("∂L/∂z   = ") + (latex ? "p - \\mathrm{onehot}(t)" : "p - onehot(t)") +
      (latex ? ",\\quad p = \\mathrm{softmax}(z)" : "        p = softmax(z)") +
      fmt::format("; equal to the traced rule on {} samples: worst {}", samples, error_number(a.first)));
  part.lines.push_back(
      std::string("∂²L/∂z² = ") + (latex ? "\\mathrm{diag}(p) - p p^\\top" : "diag(p) - p pᵀ") +
      fmt::format("        the same rule, differentiated again: worst {}", error_number(a.second)));
  if (a.least_curvature > -1e-12)
    part.lines.emplace_back("positive semidefinite on all of them: convex in z");
  return part;
}

ExplainedPart numbers(const Tensor& z, std::int64_t target, const std::string& where) {
  const Tensor exponentials = exp(z);
  ExplainedPart part{where, {}};
  const double whole = sum(exponentials).item<double>();
  if (std::isfinite(whole)) part.lines.push_back("exp(z)  =" + list(exponentials) + total(exponentials));
  part.lines.push_back("p       =" + list(softmax(z)) + total(softmax(z)));
  const double own = z[target].item<double>();
  part.lines.push_back(fmt::format(
      "L       = logsumexp(z) - z[t] = {:.6f} - {} = {:.6f}", logsumexp(z).item<double>(),
      own < 0 ? "(" + short_number(own) + ")" : short_number(own), loss_of(z, target).item<double>()));
  part.lines.push_back("∂L/∂z   =" + list(gradient_of(z, target)) + total(gradient_of(z, target)) +
                       ": adding a constant to z changes nothing");
  return part;
}

ExplainedPart check(const Tensor& z, std::int64_t target) {
  const auto f = [&](const std::vector<Tensor>& inputs) {
    return std::vector<Tensor>{loss_of(inputs[0], target)};
  };
  const GradientCheck found = check_gradients(f, {z});
  return {"check",
          {fmt::format("float64, central differences, to second order: worst {:.1e}   {}", found.worst_error,
                       found.ok() ? "ok" : "NOT OK")}};
}

ExplainedPart saturation(const Tensor& z) {
  const auto values = z.to_vector<double>();
  const auto least = std::min_element(values.begin(), values.end()) - values.begin();
  return {"saturates",
          {"right and sure: the gradient goes to 0. Wrong and sure: it does not:",
           fmt::format("t = {} gives L = {:.6f}, ∂L/∂z =", least, loss_of(z, least).item<double>()) +
               list(gradient_of(z, least))}};
}

ExplainedPart float32_limit() {
  const Tensor z = Tensor::from(std::vector<float>{200, 0, -200}, {3});
  const Tensor naive = -log(softmax(z)[2]);
  return {"float32",
          {fmt::format("-log(softmax(z)) gives {} at z = (200, 0, -200), t = 2; this form gives {}",
                       short_number(naive.item<double>()), short_number(loss_of(z, 2).item<double>()))}};
}

}  // namespace

void explain_cross_entropy(NamedExplanation& e, const NamedOptions& options) {
  const std::vector<double> at = options.at.empty() ? std::vector<double>{2, 1, 0.1} : options.at;
  const auto classes = static_cast<std::int64_t>(at.size());
  const double wanted = options.target.value_or(0);
  if (classes < 2) {
    throw ArgumentError({.function = "explain_named",
                         .argument = "at",
                         .problem = "a logit for each class is needed",
                         .got = std::to_string(classes) + " numbers",
                         .wanted = "two or more"});
  }
  if (!(wanted >= 0 && wanted < static_cast<double>(classes)) || wanted != std::floor(wanted)) {
    throw ArgumentError({.function = "explain_named",
                         .argument = "target",
                         .problem = "no such class",
                         .got = short_number(wanted),
                         .wanted = "0 to " + std::to_string(classes - 1)});
  }
  const auto target = static_cast<std::int64_t>(wanted);
  const Tensor z = Tensor::from(at, {classes});
  if (options.style == TextStyle::latex) e.formula = "\\ln \\sum_k e^{z_k} - z_t";
  e.parts.push_back(derivatives(classes, options.style));
  e.parts.push_back(numbers(z, target, fmt::format("at z = {}, t = {}", tuple(at), target)));
  e.parts.push_back(check(z, target));
  e.parts.push_back(saturation(z));
  e.parts.push_back(
      {"expect",
       {fmt::format("an untrained model of K classes starts near ln K: ln {} = {:.4f}, ln 10 = {:.4f}",
                    classes, std::log(static_cast<double>(classes)), std::log(10.0))}});
  e.parts.push_back(float32_limit());
}

}  // namespace chainrule::insight
