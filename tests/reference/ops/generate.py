"""Values and gradients of ops, from PyTorch and SciPy in float64.

Writes values.json beside this script: cases with inputs, the function's value, a cotangent w and the
gradients of sum(w * value). Checked to 1e-12 relative to the largest entry (1e-10 for SciPy's special
functions). Run: python3 generate.py
"""
import json
import pathlib

import numpy as np
import scipy
import scipy.special
import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
cases = []


def flat(t):
    return [float(v) for v in t.detach().reshape(-1)]


def case(name, fn, *inputs, index=None, tolerance=1e-12):
    leaves = [t.clone().requires_grad_(t.is_floating_point()) for t in inputs]
    out = fn(*leaves)
    entry = {
        "name": name,
        "tolerance": tolerance,
        "inputs": [{"shape": list(t.shape), "values": flat(t), "integer": not t.is_floating_point()} for t in inputs],
        "shape": list(out.shape),
        "value": flat(out.double()),
    }
    if out.is_floating_point() and out.requires_grad:
        w = torch.randn_like(out)
        grads = torch.autograd.grad(out, [t for t in leaves if t.requires_grad], w, allow_unused=True)
        entry["cotangent"] = flat(w)
        entry["gradients"] = [flat(torch.zeros_like(l) if g is None else g) for g, l in zip(grads, [t for t in leaves if t.requires_grad])]
    cases.append(entry)


def scipy_case(name, values, grads, x):
    w = np.linspace(0.5, 1.5, x.size)
    cases.append({"name": name, "tolerance": 1e-10,
                  "inputs": [{"shape": list(x.shape), "values": x.tolist(), "integer": False}],
                  "shape": list(x.shape), "value": values.tolist(), "cotangent": w.tolist(),
                  "gradients": [(grads * w).tolist()]})


wide = torch.tensor([[-30.0, -6.0, -2.5, -1.0, -0.3], [0.0, 0.4, 1.0, 3.5, 25.0]])
for name in ["relu", "relu6", "hardtanh", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish",
             "hardswish", "softsign", "tanhshrink", "hardshrink", "softshrink"]:
    case(name, getattr(F, name), wide)
case("log_sigmoid", F.logsigmoid, wide)
case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), wide)
case("leaky_relu_02", lambda x: F.leaky_relu(x, 0.2), wide)
# PyTorch keeps some constants of these in float32.
case("hardsigmoid", F.hardsigmoid, wide, tolerance=1e-7)
case("elu_07", lambda x: F.elu(x, 0.7), wide, tolerance=1e-6)
case("celu_07", lambda x: F.celu(x, 0.7), wide, tolerance=1e-6)
case("softplus", lambda x: F.softplus(x, threshold=1000), wide)
case("softplus_2", lambda x: F.softplus(x, beta=2, threshold=1000), wide, tolerance=1e-12)
case("threshold", lambda x: F.threshold(x, 0.2, -3.0), wide)
case("sigmoid", torch.sigmoid, wide)
case("prelu", lambda x, w: torch.where(x > 0, x, w * x), wide, torch.tensor([[0.1], [0.3]]))
case("glu", lambda x: F.glu(x, 0), torch.randn(4, 3))

x = torch.randn(3, 4)
y = torch.randn(3, 4)
unit = torch.rand(3, 4) * 1.8 - 0.9
for name in ["sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "asinh", "erf", "erfc", "exp", "exp2", "expm1"]:
    case(name, getattr(torch, name), x)
for name in ["asin", "acos", "atanh", "erfinv"]:
    case(name, getattr(torch, name), unit, tolerance=1e-11)
for name in ["log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "lgamma", "digamma"]:
    # PyTorch's trigamma, the gradient of digamma, has 9 digits; SciPy's is below.
    case(name, getattr(torch, name), x.abs() + 0.3, tolerance=1e-8 if name == "digamma" else 1e-11)
case("acosh", torch.acosh, x.abs() + 1.1)
case("atan2", torch.atan2, x, y)
case("hypot", torch.hypot, x, y)
case("logaddexp", torch.logaddexp, 5 * x, 5 * y)
case("clamp", lambda a: torch.clamp(a, -0.5, 0.5), x)
case("pow", torch.pow, x.abs() + 0.1, y)
case("floor", torch.floor, 3 * x)
case("ceil", torch.ceil, 3 * x)
case("round", torch.round, torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4]))
case("trunc", torch.trunc, 3 * x)
case("remainder", torch.remainder, 3 * x, y)
case("floor_divide", lambda a, b: torch.floor_divide(a, b).detach(), 3 * x, y)

case("var", lambda a: torch.var(a, 1), x)
case("var_0", lambda a: torch.var(a, correction=0), x)
case("std", lambda a: torch.std(a, 0), x)
case("norm", torch.linalg.vector_norm, x)
case("norm_1", lambda a: torch.linalg.vector_norm(a, 1, 1), x)
case("norm_3", lambda a: torch.linalg.vector_norm(a, 3, 0), x)
case("norm_inf", lambda a: torch.linalg.vector_norm(a, float("inf"), 1), x)
case("norm_of_zeros", torch.linalg.vector_norm, torch.zeros(3))
case("mean", lambda a: a.mean(1), x)
case("prod", lambda a: a.prod(1), x)
case("prod_with_zero", lambda a: a.prod(1), torch.tensor([[1.5, 0.0, 2.0], [0.0, 0.0, 3.0]]))
case("logsumexp", lambda a: torch.logsumexp(a, 1), 100 * x)
case("logsumexp_all", lambda a: torch.logsumexp(a, (0, 1)), x)
case("softmax", lambda a: torch.softmax(a, 1), 3 * x)
case("softmax_0", lambda a: torch.softmax(a, 0), 3 * x)
case("log_softmax", lambda a: torch.log_softmax(a, 1), 300 * x)
case("log_softmax_0", lambda a: torch.log_softmax(a, 0), x)
case("cumsum", lambda a: torch.cumsum(a, 1), x)
case("cumprod", lambda a: torch.cumprod(a, 1), x)
case("cumprod_with_zero", lambda a: torch.cumprod(a, 1), torch.tensor([[1.5, 0.0, 2.0, 3.0], [0.0, 2.0, 0.0, 3.0]]))

index = torch.tensor([[0, 2, 1, 0], [1, 1, 1, 1]])
case("gather", lambda a, i: torch.gather(a, 0, i), x, index)
case("take", lambda a, i: a[i], x, torch.tensor([[2, 0], [0, 0]]))
case("scatter_add", lambda a, i, s: torch.scatter_add(a, 0, i, s), x, index, torch.randn(2, 4))
case("one_hot", lambda i: F.one_hot(i, 4).double(), torch.tensor([3, 0, 1]))
case("sort", lambda a: torch.sort(a, 1)[0], x)
case("sort_descending", lambda a: torch.sort(a, 0, descending=True)[0], x)
case("argsort", lambda a: torch.argsort(a, 1), x)
case("topk", lambda a: torch.topk(a, 2, 1)[0], x)
case("topk_smallest", lambda a: torch.topk(a, 2, 0, largest=False)[0], x)
case("pad", lambda a: F.pad(a, (1, 2, 0, 1), value=1.5), x)
case("roll", lambda a: torch.roll(a, 1, 1), x)
case("roll_back", lambda a: torch.roll(a, -2, 0), x)
case("repeat", lambda a: torch.repeat_interleave(a, 2, 1), x)
case("tile", lambda a: torch.tile(a, (2, 3)), x)
case("split", lambda a: torch.split(a, [1, 3], 1)[1], x)
case("flip", lambda a: torch.flip(a, (0,)), x)
for equation, shapes in [("ij,jk->ik", [(3, 4), (4, 2)]), ("bij,bkj->bik", [(2, 3, 4), (2, 5, 4)]), ("ii->i", [(3, 3)]),
                         ("ii", [(3, 3)]), ("ij->ji", [(2, 3)]), ("i,ij,j->", [(3,), (3, 2), (2,)]),
                         ("...ij,jk->...ik", [(2, 1, 3, 4), (4, 2)]), ("ij,ij->i", [(3, 4), (3, 4)]), ("a,b->ab", [(2,), (3,)])]:
    case("einsum " + equation, lambda *t, e=equation: torch.einsum(e, *t), *[torch.randn(s) for s in shapes])

points = np.array([-2.6, -0.7, 0.2, 0.9, 1.5, 4.0, 17.0])
for n in (1, 2, 3):
    sign = (-1) ** (n + 1)
    psi = lambda k, at: (-1) ** (k + 1) * scipy.special.gamma(k + 1) * scipy.special.zeta(k + 1, at)
    positive = points[points > 0]
    scipy_case(f"polygamma_{n}", psi(n, positive), psi(n + 1, positive), positive)
scipy_case("lgamma", scipy.special.gammaln(points), scipy.special.digamma(points), points)
scipy_case("digamma", scipy.special.digamma(points[2:]), scipy.special.polygamma(1, points[2:]), points[2:])

target = pathlib.Path(__file__).with_name("values.json")
with open(target, "w") as out:
    out.write('{"generator": "tests/reference/ops/generate.py", "torch": "%s", "scipy": "%s", "cases": [\n' % (torch.__version__, scipy.__version__))
    out.write(",\n".join(json.dumps(c) for c in cases))
    out.write("\n]}\n")
print(len(cases), "cases", target.stat().st_size, "bytes")
