#include <cmath>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace ops {

// Steps have the derivative 0 wherever they have one.
const OpDef floor = {
    .name = "floor",
    .arguments = {"x"},
    .text = {.formula = "floor({x})",
             .latex = "\\lfloor {x} \\rfloor",
             .summary = "The largest integer not above x.",
             .domain = "ℝ → ℤ, jumps at integers"},
    .kind = OpKind::elementwise,
    .partial = [](const Node&, const Tensor&, int) { return Tensor(); },
    .reference = [](const double* x) { return std::floor(x[0]); },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-3, 3}},
    .kinks = {-3, -2, -1, 0, 1, 2, 3},
};

const OpDef ceil = {
    .name = "ceil",
    .arguments = {"x"},
    .text = {.formula = "ceil({x})",
             .latex = "\\lceil {x} \\rceil",
             .summary = "The smallest integer not below x.",
             .domain = "ℝ → ℤ, jumps at integers"},
    .kind = OpKind::elementwise,
    .partial = [](const Node&, const Tensor&, int) { return Tensor(); },
    .reference = [](const double* x) { return std::ceil(x[0]); },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-3, 3}},
    .kinks = {-3, -2, -1, 0, 1, 2, 3},
};

const OpDef round = {
    .name = "round",
    .arguments = {"x"},
    .text = {.formula = "round({x})",
             .latex = "\\operatorname{round}({x})",
             .summary = "The nearest integer; halves go to the even one.",
             .domain = "ℝ → ℤ, jumps at halves"},
    .kind = OpKind::elementwise,
    .partial = [](const Node&, const Tensor&, int) { return Tensor(); },
    .reference = [](const double* x) { return std::nearbyint(x[0]); },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-3, 3}},
    .kinks = {-2.5, -1.5, -0.5, 0.5, 1.5, 2.5},
};

const OpDef trunc = {
    .name = "trunc",
    .arguments = {"x"},
    .text = {.formula = "trunc({x})",
             .latex = "\\operatorname{trunc}({x})",
             .summary = "x without its fraction.",
             .domain = "ℝ → ℤ, jumps at integers but 0"},
    .kind = OpKind::elementwise,
    .partial = [](const Node&, const Tensor&, int) { return Tensor(); },
    .reference = [](const double* x) { return std::trunc(x[0]); },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-3, 3}},
    .kinks = {-3, -2, -1, 1, 2, 3},
};

}  // namespace ops

namespace {

// Integers and bools are whole already.
Tensor rounded(const OpDef& op, const Tensor& x) {
  return !x.defined() || is_floating(x.dtype()) ? elementwise(op, {x}) : x;
}

}  // namespace

Tensor floor(const Tensor& x) { return rounded(ops::floor, x); }
Tensor ceil(const Tensor& x) { return rounded(ops::ceil, x); }
Tensor round(const Tensor& x) { return rounded(ops::round, x); }
Tensor trunc(const Tensor& x) { return rounded(ops::trunc, x); }

}  // namespace chainrule
