"""The workloads with NumPy and SciPy, as their experts would write them. Only what they have: no training."""

import sys

import numpy as np
import scipy.special
from threadpoolctl import threadpool_limits

import protocol
from protocol import Program, summary_of

_limits = []


def prepare(threads, variant):
    _limits.append(threadpool_limits(threads))


def layer_norm(x, weight, bias, out):
    np.subtract(x, x.mean(axis=1, keepdims=True), out=out)
    variance = np.einsum("ij,ij->i", out, out) / x.shape[1]
    out *= (1 / np.sqrt(variance + 1e-5))[:, None]
    out *= weight
    out += bias
    return out


def rms_norm(x, weight, out):
    mean = np.einsum("ij,ij->i", x, x) / x.shape[1]
    np.multiply(x, (1 / np.sqrt(mean + 1e-5))[:, None], out=out)
    out *= weight
    return out


def polynomial(x, coefficients, out):
    np.multiply(x, np.float32(coefficients[-1]), out=out)
    out += np.float32(coefficients[-2])
    for c in coefficients[-3::-1]:
        out *= x
        out += np.float32(c)
    return out


def op(workload, x):
    """A call without arguments that returns the output; memory of outputs is used again where NumPy allows it."""
    name = workload["op"]
    out = np.empty_like(x[0]) if x else None
    if name == "matmul":
        a = x[0].swapaxes(-1, -2) if workload.get("transpose_a") else x[0]
        b = x[1].swapaxes(-1, -2) if workload.get("transpose_b") else x[1]
        result = a @ b
        return lambda: np.matmul(a, b, out=result)
    if name == "random_normal":
        generator = np.random.Generator(np.random.SFC64(0))
        result = np.empty(workload["shape"], np.float32)
        return lambda: generator.standard_normal(dtype=np.float32, out=result)
    if name == "scatter_add":
        rows = np.arange(x[0].shape[0])[:, None]
        flat = (rows * x[0].shape[1] + x[1]).reshape(-1)

        def scatter_add():
            return x[0] + np.bincount(flat, x[2].reshape(-1), x[0].size).reshape(x[0].shape).astype(np.float32)

        return scatter_add
    calls = {
        "polynomial": lambda: polynomial(x[0], workload["coefficients"], out),
        "softmax": lambda: scipy.special.softmax(x[0], axis=1),
        "layer_norm": lambda: layer_norm(*x, out),
        "rms_norm": lambda: rms_norm(*x, out),
        "sum": lambda: np.sum(x[0], axis=workload.get("axis")),
        "transpose": lambda: x[0].T.reshape(-1),
        "gather": lambda: np.take_along_axis(x[0], x[1], axis=1),
        "embedding": lambda: np.take(x[0], x[1], axis=0),
        "sort": lambda: np.sort(x[0], axis=1),
        "topk": lambda: -np.sort(np.partition(-x[0], workload.get("k", 1) - 1, axis=1)[:, : workload.get("k", 1)]),
        "cumsum": lambda: np.cumsum(x[0], axis=1, out=out),
    }
    return calls.get(name)


def inference(workload, state):
    arrays = state.arrays(workload)
    layers = [(np.ascontiguousarray(w.T), b) for w, b in protocol.layers_of(arrays)]

    def call():
        h = arrays["x"]
        for i, (w, b) in enumerate(layers):
            h = h @ w
            h += b
            if i + 1 < len(layers):
                np.maximum(h, 0, out=h)
        return h

    return Program(call=call, check=lambda: summary_of([call()]))


def program(workload, state, variant):
    if workload["kind"] == "inference":
        return inference(workload, state)
    dtype = workload.get("dtype", "float32")
    if workload["kind"] != "op" or workload.get("wrt") or dtype == "bfloat16":
        return None
    inputs = [x.astype(dtype) if x.dtype == np.float32 else x for x in state.inputs(workload)]
    call = op(workload, inputs)
    if call is None:
        return None
    return Program(call=call, check=lambda: summary_of([call()]), check_after=True)


if __name__ == "__main__":
    protocol.main(sys.modules[__name__], "numpy")
