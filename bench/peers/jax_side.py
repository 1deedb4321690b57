"""The workloads with JAX: everything under jit, state donated, as its experts would run them.

A repetition waits for its last call alone.
"""

import os
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import protocol
from protocol import CHECKED_STEPS, Program, summary_of

DTYPES = {"float32": jnp.float32, "float64": jnp.float64, "bfloat16": jnp.bfloat16}


def prepare(threads, variant):
    # XLA takes as many threads as the process may run on; compare.py pins the process to that many cores.
    if threads == 1:
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # handing a call to a thread takes 10 µs
    jax.config.update("jax_default_prng_impl", "rbg")  # faster on a processor than threefry


def numbers_of(arrays):
    return summary_of([np.asarray(a.astype(jnp.float32) if a.dtype == jnp.bfloat16 else a) for a in arrays])


ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "gelu": lambda x: jax.nn.gelu(x, approximate=False)}


def dropout(x, p, key):
    return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)


def forward(workload, parameters, x, p=0, key=None):
    for i, (weight, bias) in enumerate(parameters):
        if i > 0:
            x = ACTIVATIONS[workload["activation"]](x)
            if p > 0:
                x = dropout(x, p, jax.random.fold_in(key, i))
        x = x @ weight.T + bias
    return x


def mse(z, y):
    return jnp.mean((z - y) ** 2)


def cross_entropy(z, y):
    log_p = jax.nn.log_softmax(z)
    return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))


LOSSES = {"mse": mse, "cross_entropy": cross_entropy}


def updated(options, parameters, gradients, moments, count):
    lr, decay = options["lr"], options.get("weight_decay", 0.0)
    if options["name"] == "SGD":
        return jax.tree.map(lambda p, g: p - lr * g, parameters, gradients), moments
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, moments[0], gradients)
    v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, moments[1], gradients)
    correction1, correction2 = 1 - beta1**count, jnp.sqrt(1 - beta2**count)
    shrink = 1 - lr * decay if options["name"] == "AdamW" else 1.0
    move = lambda p, m, v: shrink * p - lr / correction1 * m / (jnp.sqrt(v) / correction2 + eps)
    return jax.tree.map(move, parameters, m, v), (m, v)


def first_state(options, parameters):
    zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
    moments = () if options["name"] == "SGD" else (zeros(), zeros())
    return (parameters, moments, jnp.zeros((), jnp.float32), jax.random.key(0))


def step_function(workload, p):
    options, loss_of = workload["optimizer"], LOSSES[workload["loss"]]

    def step(state, x, y):
        parameters, moments, count, key = state
        key, now = jax.random.split(key) if p > 0 else (key, None)
        loss, gradients = jax.value_and_grad(lambda q: loss_of(forward(workload, q, x, p, now), y))(parameters)
        parameters, moments = updated(options, parameters, gradients, moments, count + 1)
        return (parameters, moments, count + 1, key), loss

    return jax.jit(step, donate_argnums=0)


class Training:
    def __init__(self, workload, state, with_dropout):
        arrays = state.arrays(workload)
        parameters = [(jnp.array(w), jnp.array(b)) for w, b in protocol.layers_of(arrays)]
        self.x, self.y = jnp.array(arrays["x"]), jnp.array(arrays["y"].astype(
            np.int32 if arrays["y"].dtype == np.int64 else np.float32))
        self.step = step_function(workload, workload.get("dropout", 0) if with_dropout else 0)
        self.state = first_state(workload["optimizer"], parameters)

    def repeat(self, n):
        for _ in range(n):
            self.state, loss = self.step(self.state, self.x, self.y)
        jax.block_until_ready((self.state[0], loss))
        return loss


def train_step(workload, state):
    def check():
        training = Training(workload, state, False)
        return [float(training.repeat(1)) for _ in range(CHECKED_STEPS)]

    training = Training(workload, state, True)
    return Program(call=lambda: training.repeat(1), repeat=training.repeat, check=check)


def compile_time(workload, state):
    def first_step():
        training = Training(workload, state, True)
        jax.block_until_ready((training.state[0], training.x))
        start = time.perf_counter()
        training.repeat(1)
        return time.perf_counter() - start

    return Program(call=first_step, times_itself=True)


def repeated(call):
    """n calls that do not depend on each other; the last is waited for, and with it all before."""

    def repeat(n):
        for _ in range(n):
            result = call()
        jax.block_until_ready(result)

    return repeat


def inference(workload, state):
    arrays = state.arrays(workload)
    parameters = [(jnp.array(w), jnp.array(b)) for w, b in protocol.layers_of(arrays)]
    x = jnp.array(arrays["x"])
    f = jax.jit(lambda q, a: forward(workload, q, a))

    def repeat(n):  # a latency: each answer is waited for
        for _ in range(n):
            f(parameters, x).block_until_ready()

    return Program(call=lambda: f(parameters, x), repeat=repeat, check=lambda: numbers_of([f(parameters, x)]))


def derivative(workload, state):
    arrays = state.arrays(workload)
    widths = workload["widths"]
    x, y = jnp.array(arrays["x"]), jnp.array(arrays["y"])
    theta = jnp.concatenate([jnp.array(part).reshape(-1) for layer in protocol.layers_of(arrays) for part in layer])
    direction = jnp.array(state.input({"shape": [len(theta)]}, 0))

    def losses(t):
        h, at = x, 0
        for i, (n, m) in enumerate(zip(widths, widths[1:])):
            weight = t[at : at + n * m].reshape(m, n)
            bias = t[at + n * m : at + n * m + m]
            at += n * m + m
            h = (jnp.tanh(h) if i > 0 else h) @ weight.T + bias
        return jnp.mean((h - y) ** 2, axis=1)

    loss = lambda t: jnp.mean(losses(t))
    f = jax.jit({
        "hvp": lambda t: jax.jvp(jax.grad(loss), (t,), (direction,))[1],
        "hessian": jax.hessian(loss),
        "jacobian": jax.jacrev(losses),
    }[workload["what"]])
    call = lambda: f(theta)
    return Program(call=call, repeat=repeated(call), check=lambda: numbers_of([call()]))


def layer_norm(x, weight, bias):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.var(x, axis=-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * weight + bias


def rms_norm(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5) * weight


def polynomial(x, coefficients):
    y = x * coefficients[-1] + coefficients[-2]
    for c in coefficients[-3::-1]:
        y = y * x + c
    return y


def function_of(workload):
    """A function of the inputs and a random key."""
    p = workload.get("dropout", 0)
    ta, tb = workload.get("transpose_a"), workload.get("transpose_b")
    gelu = ACTIVATIONS["gelu"]
    return {
        "matmul": lambda k, a, b: (a.mT if ta else a) @ (b.mT if tb else b),
        "bias_gelu_dropout_residual":
            lambda k, x, b, r: (dropout(gelu(x + b), p, k) if p > 0 else gelu(x + b)) + r,
        "polynomial": lambda k, x: polynomial(x, workload["coefficients"]),
        "softmax": lambda k, x: jax.nn.softmax(x, axis=-1),
        "cross_entropy": lambda k, z, y: cross_entropy(z, y),
        "layer_norm": lambda k, *x: layer_norm(*x),
        "rms_norm": lambda k, *x: rms_norm(*x),
        "sum": lambda k, x: jnp.sum(x, axis=workload.get("axis")),
        "transpose": lambda k, x: x.T.reshape(-1),
        "gather": lambda k, x, i: jnp.take_along_axis(x, i, axis=1, mode="clip"),
        "scatter_add": lambda k, x, i, s: x.at[jnp.arange(x.shape[0])[:, None], i].add(s, mode="clip"),
        "embedding": lambda k, t, i: jnp.take(t, i, axis=0, mode="clip"),
        "sort": lambda k, x: jnp.sort(x, axis=-1, stable=False),
        "topk": lambda k, x: jax.lax.top_k(x, workload["k"])[0],
        "cumsum": lambda k, x: jnp.cumsum(x, axis=-1),
        "random_normal": lambda k: jax.random.normal(k, workload["shape"]),
    }[workload["op"]]


def op(workload, state):
    name = workload.get("dtype", "float32")
    if name == "float64":
        jax.config.update("jax_enable_x64", True)
    x = [jnp.array(a, DTYPES[name] if a.dtype == np.float32 else jnp.int32) for a in state.inputs(workload)]
    key = jax.random.key(0)
    wrt = workload.get("wrt", 0)
    if wrt:
        shape = jax.eval_shape(function_of(workload), key, *x).shape
        cotangent = jnp.array(state.cotangent(workload, shape)).reshape(shape)

    def make(w):
        f = function_of(w)
        if not wrt:
            return jax.jit(lambda k, *a: (f(k, *a),))

        def both(k, c, *a):
            y, pull = jax.vjp(lambda *first: f(k, *first, *a[wrt:]), *a[:wrt])
            return (y, *pull(c))

        return jax.jit(both)

    arguments = [key, cotangent, *x] if wrt else [key, *x]
    f = make(workload)
    plain = make({**workload, "dropout": 0}) if "dropout" in workload else f
    call = lambda: f(*arguments)
    return Program(call=call, repeat=repeated(call), check=lambda: numbers_of(plain(*arguments)), check_after=True)


def update(workload, state):
    p, g = (jnp.array(a) for a in state.inputs(workload))
    options = workload["optimizer"]

    def one(values, gradient):
        p, moments, count = values
        p, moments = updated(options, p, gradient, moments, count + 1)
        return p, moments, count + 1

    step = jax.jit(one, donate_argnums=0)

    def fresh():
        return (jnp.array(p), (jnp.zeros_like(p), jnp.zeros_like(p)), jnp.zeros((), jnp.float32))

    now = [fresh()]

    def repeat(n):
        for _ in range(n):
            now[0] = step(now[0], g)
        jax.block_until_ready(now[0])

    def check():
        values = fresh()
        for _ in range(CHECKED_STEPS):
            values = step(values, g)
        return numbers_of([values[0]])

    return Program(call=lambda: repeat(1), repeat=repeat, check=check, check_after=True)


START = """
import jax
print(float(jax.grad(lambda x: jax.numpy.sin(x) * jax.numpy.exp(x))(0.5)), flush=True)
"""


def program(workload, state, variant):
    if workload["kind"] == "process_start":
        return protocol.start_program(START)
    makers = {"train_step": train_step, "compile_time": compile_time, "inference": inference,
              "derivative": derivative, "op": op, "update": update}
    make = makers.get(workload["kind"])
    return make and make(workload, state)


if __name__ == "__main__":
    protocol.main(sys.modules[__name__], "jax")
