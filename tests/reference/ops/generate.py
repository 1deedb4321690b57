"""Values and gradients of ops, from PyTorch, NumPy and SciPy in float64.

Writes values.json beside this script: cases with inputs, the function's value, a cotangent w and the
gradients of sum(w * value). Checked to 1e-12 relative to the largest entry (1e-10 for SciPy's special
functions). A case is named after its op, with a word on what is special about it. Run: python3 generate.py
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
case("floor_divide", lambda a, b: torch.div(a, b, rounding_mode="floor"), 3 * x, y)

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

# Arithmetic, with ties and zeros where a derivative is a convention.
tied = torch.tensor([[0.5, -1.0, 2.0, 2.0], [0.0, 3.0, 3.0, 3.0], [-1.0, -1.0, 0.25, -2.0]])
other = torch.tensor([[0.5, 1.0, -2.0, 2.0], [0.0, 3.0, 1.0, 4.0], [-1.0, -2.0, 0.75, -2.0]])
row = torch.randn(4)
for name in ["add", "sub", "mul", "div"]:
    case(name, getattr(torch, name), x, y)
    case(name + "_broadcast", getattr(torch, name), x, row)
for name in ["neg", "abs", "sign", "square"]:
    case(name, getattr(torch, name), tied)
scipy_case("cbrt", scipy.special.cbrt(np.array([-8.0, -0.3, 0.5, 27.0])),
           1 / (3 * scipy.special.cbrt(np.array([-8.0, -0.3, 0.5, 27.0])) ** 2), np.array([-8.0, -0.3, 0.5, 27.0]))
case("maximum", torch.maximum, tied, other)
case("minimum", torch.minimum, tied, other)
case("clamp_bounds", torch.clamp, x, y - 0.5, y + 0.25)
case("where", lambda c, a, b: torch.where(c.bool(), a, b), torch.tensor([[1, 0, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]]), x, row)
for name, fn in [("equal", torch.eq), ("not_equal", torch.ne), ("less", torch.lt), ("less_equal", torch.le),
                 ("greater", torch.gt), ("greater_equal", torch.ge)]:
    case(name, fn, tied, other)
bits = torch.tensor([[0, 1, 0, 1], [2, 0, 0, 3]])
for name in ["logical_and", "logical_or", "logical_xor"]:
    case(name, getattr(torch, name), bits, torch.tensor([0, 0, 1, 1]))
case("logical_not", torch.logical_not, bits)
for name in ["isnan", "isinf", "isfinite"]:  # of log: NaN, -inf, finite
    case(name, lambda a, f=getattr(torch, name): f(torch.log(a)), torch.tensor([-1.0, 0.0, 1.0, 5.0]))

# Reductions. amax and amin share the gradient among ties; max and min along an axis give it to one.
case("sum", lambda a: a.sum(1), x)
case("sum_all", lambda a: a.sum(), x)
case("sum_kept", lambda a: a.sum((0, 2), keepdim=True), torch.randn(2, 3, 2))
for name, fn in [("max", torch.amax), ("min", torch.amin)]:
    case(name, lambda a, f=fn: f(a, 1), x)
    case(name + "_ties", lambda a, f=fn: f(a, 1), tied)
    case(name + "_all_ties", lambda a, f=fn: f(a, (0, 1)), tied)
for name, fn in [("max_with_indices", torch.max), ("min_with_indices", torch.min)]:
    case(name, lambda a, f=fn: f(a, 1)[0], x)
    case(name + "_where", lambda a, f=fn: f(a, 0)[1], x)
    case(name + "_axes", lambda a, f=fn: f(a.flatten(), 0)[0], x)
first = lambda f: lambda a, **k: torch.from_numpy(np.asarray(f(a.detach().numpy(), **k)))  # NumPy names the first of equal ones
for name, fn in [("argmax", np.argmax), ("argmin", np.argmin)]:
    case(name, lambda a, f=fn: first(f)(a, axis=1), tied)
    case(name + "_negative_axis", lambda a, f=fn: first(f)(a, axis=-2), tied)
    case(name + "_all", first(fn), tied)
    case(name + "_axes", lambda a, f=fn: first(f)(a.permute(1, 0, 2).reshape(3, 8), axis=1), torch.randn(2, 3, 4))
case("any", lambda i: torch.any(i.bool(), 1), torch.tensor([[0, 0, 0], [0, 2, 0], [1, 1, 1]]))
case("all", lambda i: torch.all(i.bool(), 1), torch.tensor([[0, 0, 0], [0, 2, 0], [1, 1, 1]]))

# Shapes and moves.
cube = torch.randn(2, 3, 4)
case("reshape", lambda a: a.reshape(4, 6), cube)
case("reshape_transposed", lambda a: a.transpose(0, 2).reshape(6, 4), cube)
case("permute", lambda a: a.permute(2, 0, 1), cube)
case("transpose", lambda a: a.transpose(0, 2), cube)
case("moveaxis", lambda a: torch.moveaxis(a, 0, 2), cube)
case("flatten", lambda a: torch.flatten(a, 1), cube)
case("squeeze", lambda a: a.reshape(2, 1, 12).squeeze(1), cube)
case("unsqueeze", lambda a: a.unsqueeze(1), x)
case("broadcast_to", lambda a: a.reshape(3, 1, 4).broadcast_to(2, 3, 5, 4), x)
case("slice", lambda a: a[:, 1:4:2], x)
case("slice_backwards", lambda a: torch.flip(a, (0,))[0:3:2], x)
case("astype_integer", lambda a: (3 * a).to(torch.int64), x)
case("astype_narrow", lambda a: a.to(torch.float32).double(), x)
case("concatenate", lambda a, b, c: torch.cat([a, b, c], 1), x, torch.randn(3, 1), y)
case("stack", lambda a, b: torch.stack([a, b], 1), x, y)
case("chunk", lambda a: torch.chunk(a, 3, 1)[1], torch.randn(2, 7))
case("split_first", lambda a: torch.split(a, [1, 3], 1)[0], x)
case("roll_far", lambda a: torch.roll(a, -9, 1), x)
case("repeat_rows", lambda a: torch.repeat_interleave(a, 3, 0), x)
case("tile_new_axis", lambda a: torch.tile(a, (2, 1, 2)), x)
case("pad_zeros", lambda a: F.pad(a, (0, 2, 1, 1)), x)
case("glu_last", lambda a: F.glu(a, -1), x)
case("argsort_descending", lambda a: torch.argsort(a, 0, descending=True), x)


def replaced(index, add=False):
    def f(a, v):
        result = a.clone()
        result[index] = result[index] + v if add else v
        return result
    return f


case("slice_set", replaced((slice(None), slice(1, 4, 2))), x, torch.randn(3, 2))
case("slice_set_row", replaced((1,)), x, torch.randn(4))
case("slice_set_element", replaced((-1, 2)), x, torch.randn(()))
case("slice_set_backwards", replaced((slice(None), torch.tensor([3, 1]))), x, torch.randn(2))
case("slice_add", replaced((slice(0, 2), 1), add=True), x, torch.randn(2))
case("slice_add_broadcast", replaced((slice(0, 3, 2),), add=True), x, torch.randn(4))

# Products.
case("matmul", torch.matmul, torch.randn(3, 4), torch.randn(4, 2))
case("matmul_batched", torch.matmul, torch.randn(2, 3, 4), torch.randn(2, 4, 2))
case("matmul_shared", torch.matmul, torch.randn(2, 3, 4), torch.randn(4, 2))
case("matmul_broadcast", torch.matmul, torch.randn(2, 1, 3, 4), torch.randn(3, 4, 2))
case("matmul_vector", torch.matmul, torch.randn(3, 4), torch.randn(4))
case("matmul_row", torch.matmul, torch.randn(4), torch.randn(2, 4, 3))
case("dot", torch.dot, torch.randn(5), torch.randn(5))
case("outer", torch.outer, torch.randn(3), torch.randn(4))
case("softmax_cross_entropy", lambda z, t: F.cross_entropy(z, t, reduction="none"), 3 * x, torch.tensor([2, 0, 3]))
case("softmax_cross_entropy_ignored", lambda z, t: F.cross_entropy(z, t, reduction="none", ignore_index=1), 3 * x,
     torch.tensor([2, 1, 3]))


def loop(c, xs, w):
    ys = []
    for t in xs:
        c = torch.tanh(c * w + t)
        ys.append(c * c)
    return torch.stack(ys)


case("scan", loop, torch.randn(3), torch.randn(4, 3), torch.randn(3))

rows = torch.randn(2, 3, 5)
case("layer_norm", lambda x, w, b: F.layer_norm(x, (5,), w, b, 1e-5), rows, torch.randn(5), torch.randn(5))
case("layer_norm_plain", lambda x: F.layer_norm(x, (5,), eps=0.5), rows)
case("rms_norm", lambda x, w: F.rms_norm(x, (5,), w, 1e-6), rows, torch.randn(5))

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
    out.write('{"generator": "tests/reference/ops/generate.py", "torch": "%s", "numpy": "%s", "scipy": "%s", "cases": [\n' % (torch.__version__, np.__version__, scipy.__version__))
    out.write(",\n".join(json.dumps(c) for c in cases))
    out.write("\n]}\n")
print(len(cases), "cases", target.stat().st_size, "bytes")
