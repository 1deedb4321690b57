"""The workloads with PyTorch, eager (`torch`) or compiled (`torch.compile`), as their experts would run them.

Where there are several good ways (a fused or a plain optimizer, a step compiled as one functional graph or module
by module), all are tried on the machine and the fastest counts.
"""

import functools
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

import protocol
from protocol import CHECKED_STEPS, Program, summary_of

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}
LOSSES = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


def prepare(threads, variant):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # the threads of the pool, made after this, take it over
    if torch.get_num_interop_threads() != 1:  # it may be set but once
        torch.set_num_interop_threads(1)
    if variant == "torch.compile":
        import torch._inductor.config as inductor

        inductor.compile_threads = 1  # no pool of worker processes beside the measurement
        inductor.cpp.threads = threads
        torch._dynamo.config.cache_size_limit = 64


def warm_up(threads, variant):
    """The compiler's own modules are read and its first compilation is made once, not for each workload."""
    if variant == "torch.compile":
        prepare(threads, variant)
        x = torch.ones(3, requires_grad=True)
        compiled(lambda a: torch.softmax(a, -1).sum())(x).backward()


def compiled(f, **options):
    return torch.compile(f, dynamic=False, **options)


def numbers_of(tensors):
    return summary_of([t.detach().to(torch.float64).numpy() for t in tensors])


def same_of_all(checks):
    """The numbers of each candidate that runs, which must do the same work; who doesn't is named when it is timed."""
    first = None
    for check in checks:
        try:
            numbers = check()
        except Exception:
            continue
        first = first or numbers
        scale = max(abs(a) for a in first)
        if len(first) != len(numbers) or not all(abs(a - b) <= 1e-4 * scale for a, b in zip(first, numbers)):
            raise RuntimeError(f"candidates disagree: {first} and {numbers}")
    if first is None:
        raise RuntimeError("no candidate runs")
    return first


# ---- networks -------------------------------------------------------------------------------------


def network(workload, arrays, with_dropout):
    modules = []
    p = workload.get("dropout", 0) if with_dropout else 0
    for i, (weight, bias) in enumerate(protocol.layers_of(arrays)):
        if i > 0:
            modules.append(ACTIVATIONS[workload["activation"]]())
            if p > 0:
                modules.append(nn.Dropout(p))
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
        modules.append(layer)
    return nn.Sequential(*modules)


def optimizer_of(workload, parameters, **options):
    settings = dict(workload["optimizer"])
    return getattr(torch.optim, settings.pop("name"))(parameters, **settings, **options)


def eager_step(workload, arrays, with_dropout, **options):
    model = network(workload, arrays, with_dropout)
    loss_of = LOSSES[workload["loss"]]
    optimizer = optimizer_of(workload, model.parameters(), **options)
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def module_step(workload, arrays, with_dropout):
    """Model and loss compiled together, forward and backward, and the optimizer's step by itself."""
    model = network(workload, arrays, with_dropout)
    loss_of = LOSSES[workload["loss"]]
    optimizer = optimizer_of(workload, model.parameters(), fused=True)
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    forward = compiled(lambda a, b: loss_of(model(a), b))

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = forward(x, y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def functional_step(workload, arrays, with_dropout, **options_of_compiler):
    """The whole step, gradients and update included, as one graph over lists of tensors."""
    model = network(workload, arrays, with_dropout)
    loss_of = LOSSES[workload["loss"]]
    names = [name for name, _ in model.named_parameters()]
    parameters = [p.detach().clone() for p in model.parameters()]
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    options = workload["optimizer"]
    lr, decay = options["lr"], options.get("weight_decay", 0.0)
    is_adam = options["name"] != "SGD"
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    first = [torch.zeros_like(p) for p in parameters] if is_adam else []
    second = [torch.zeros_like(p) for p in parameters] if is_adam else []
    count = torch.zeros((), dtype=torch.float32)

    def loss_from(values, a, b):
        return loss_of(torch.func.functional_call(model, dict(zip(names, values)), (a,)), b)

    def update(parameters, first, second, count, a, b):
        gradients, loss = torch.func.grad_and_value(loss_from)(parameters, a, b)
        if not is_adam:
            for p, g in zip(parameters, gradients):
                p.sub_(lr * g)
            return loss
        count.add_(1)
        correction1 = 1 - beta1**count
        correction2 = torch.sqrt(1 - beta2**count)
        for p, g, m, v in zip(parameters, gradients, first, second):
            m.mul_(beta1).add_(g, alpha=1 - beta1)
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            if options["name"] == "AdamW":
                p.mul_(1 - lr * decay)
            p.sub_(lr / correction1 * m / (torch.sqrt(v) / correction2 + eps))
        return loss

    with torch.no_grad():
        graph = compiled(update, fullgraph=True, **options_of_compiler)

    def step():
        with torch.no_grad():
            return graph(parameters, first, second, count, x, y)

    return step


def train_step(workload, state, variant):
    arrays = state.arrays(workload)
    if variant == "torch.compile":
        makers = [lambda d: module_step(workload, arrays, d), lambda d: functional_step(workload, arrays, d),
                  lambda d: functional_step(workload, arrays, d, options={"cpp_wrapper": True})]
    else:
        makers = [
            lambda d: eager_step(workload, arrays, d, fused=True),
            lambda d: eager_step(workload, arrays, d, foreach=True),
            lambda d: eager_step(workload, arrays, d, foreach=False),
        ]

    def losses_of(make):
        step = make(False)
        return [float(step().detach()) for _ in range(CHECKED_STEPS)]

    return Program(candidates=[lambda make=make: make(True) for make in makers],
                   check=lambda: same_of_all([lambda make=make: losses_of(make) for make in makers]))


def compile_time(workload, state, variant):
    arrays = state.arrays(workload)
    torch._inductor.config.compile_threads = torch.get_num_threads()  # on two cores a third sooner

    def first_step():
        torch._inductor.config.force_disable_caches = True
        step = module_step(workload, arrays, True)
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    return Program(call=first_step, times_itself=True)


def inference(workload, state, variant):
    arrays = state.arrays(workload)
    model = network(workload, arrays, False).eval()
    x = torch.from_numpy(arrays["x"])
    mode = torch.inference_mode
    if variant == "torch.compile":
        import torch._inductor.config as inductor

        mode = torch.no_grad
        inductor.freezing = True
        inductor.cpp_wrapper = True
        model = compiled(model)

    def call():
        with mode():
            return model(x)

    def repeat(n):  # the mode is entered once, as a server would
        with mode():
            for _ in range(n):
                model(x)

    return Program(call=call, repeat=repeat, check=lambda: numbers_of([call()]))


def read_idx(name):
    import gzip

    import numpy as np

    with gzip.open(f"/usr/share/datasets/fashion-mnist/{name}") as file:
        content = file.read()
    rank = content[3]
    shape = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def epoch(workload, state, variant):
    """One epoch with a DataLoader over tensors in memory; loss and accuracy are summed up, no bar is drawn. The fastest
    of several loaders: example by example, with a worker, and a batch of indices at a time."""
    @functools.cache  # made in the process that trains: no thread may have run before another is forked
    def data_and_model():
        pictures = torch.from_numpy(read_idx("train-images-idx3-ubyte.gz").copy()).reshape(-1, 784).float() / 255
        classes = torch.from_numpy(read_idx("train-labels-idx1-ubyte.gz").copy()).long()
        model = network(workload, state.arrays(workload), True)
        initial = [p.detach().clone() for p in model.parameters()]
        return torch.utils.data.TensorDataset(pictures, classes), model, initial

    def make_loader(whole_batches, workers):
        dataset, _, _ = data_and_model()
        more = {"num_workers": workers, "persistent_workers": True} if workers else {}
        if not whole_batches:
            return torch.utils.data.DataLoader(dataset, batch_size=workload["batch"], shuffle=True, **more)
        sampler = torch.utils.data.BatchSampler(torch.utils.data.RandomSampler(dataset), workload["batch"], False)
        return torch.utils.data.DataLoader(dataset, sampler=sampler, batch_size=None, **more)

    def make_epoch(whole_batches, workers):
        dataset, model, initial = data_and_model()
        loader = make_loader(whole_batches, workers)

        def forward(x, y):
            output = model(x)
            return F.cross_entropy(output, y), output

        forward = compiled(forward) if variant == "torch.compile" else forward

        def one_epoch():
            with torch.no_grad():
                for p, value in zip(model.parameters(), initial):
                    p.copy_(value)
            optimizer = optimizer_of(workload, model.parameters(), fused=True)
            total = torch.zeros(())
            correct = torch.zeros((), dtype=torch.int64)
            start = time.perf_counter()
            for x, y in loader:
                optimizer.zero_grad(set_to_none=True)
                loss, output = forward(x, y)
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    total += loss.detach() * len(y)
                    correct += (output.argmax(1) == y).sum()
            passed = time.perf_counter() - start
            assert int(correct) > 0
            return passed, float(total) / len(dataset)

        return one_epoch

    def timed(way):
        one_epoch = make_epoch(*way)
        return lambda: one_epoch()[0]

    ways = [(whole_batches, workers) for whole_batches in (False, True) for workers in (0, 1)]
    return Program(candidates=[lambda way=way: timed(way) for way in ways], times_itself=True,
                   check=lambda: [max(make_epoch(*way)()[1] for way in ways)])


# ---- second derivatives -----------------------------------------------------------------------------


def derivative(workload, state, variant):
    arrays = state.arrays(workload)
    widths = workload["widths"]
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    theta = torch.cat([torch.from_numpy(part).reshape(-1) for layer in protocol.layers_of(arrays) for part in layer])
    direction = torch.from_numpy(state.input({"shape": [len(theta)]}, 0))

    def losses(t):
        h, at = x, 0
        for i, (n, m) in enumerate(zip(widths, widths[1:])):
            weight = t[at : at + n * m].reshape(m, n)
            bias = t[at + n * m : at + n * m + m]
            at += n * m + m
            h = F.linear(torch.tanh(h) if i > 0 else h, weight, bias)
        return ((h - y) ** 2).mean(1)

    def loss(t):
        return losses(t).mean()

    func = torch.func
    ways = {
        # Forward over reverse, and reverse over reverse.
        "hvp": [
            lambda t: func.jvp(func.grad(loss), (t,), (direction,))[1],
            lambda t: func.vjp(func.grad(loss), t)[1](direction)[0],
        ],
        "hessian": [func.hessian(loss), func.jacrev(func.jacrev(loss))],
        "jacobian": [func.jacrev(losses)],
    }[workload["what"]]
    if variant == "torch.compile":
        ways = [compiled(way, **options) for way in ways for options in ({}, {"options": {"cpp_wrapper": True}})]
    return Program(candidates=[lambda way=way: lambda: way(theta) for way in ways],
                   check=lambda: same_of_all([lambda way=way: numbers_of([way(theta)]) for way in ways]))


# ---- ops ----------------------------------------------------------------------------------------------


def polynomial(x, coefficients):
    y = x * coefficients[-1] + coefficients[-2]
    for c in coefficients[-3::-1]:
        y = y * x + c
    return y


def function_of(workload):
    name = workload["op"]
    p = workload.get("dropout", 0)
    ta, tb = workload.get("transpose_a"), workload.get("transpose_b")
    return {
        "matmul": lambda a, b: (a.mT if ta else a) @ (b.mT if tb else b),
        "bias_gelu_dropout_residual": lambda x, b, r: F.dropout(F.gelu(x + b), p, training=p > 0) + r,
        "polynomial": lambda x: polynomial(x, workload["coefficients"]),
        "softmax": lambda x: torch.softmax(x, -1),
        "cross_entropy": F.cross_entropy,
        "layer_norm": lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b, 1e-5),
        "rms_norm": lambda x, w: F.rms_norm(x, x.shape[-1:], w, 1e-5),
        "sum": (lambda x: x.sum(workload["axis"])) if "axis" in workload else torch.sum,
        "transpose": lambda x: x.t().reshape(-1),
        "gather": lambda x, i: torch.gather(x, 1, i),
        "scatter_add": lambda x, i, s: torch.scatter_add(x, 1, i, s),
        "embedding": lambda t, i: F.embedding(i, t),
        "sort": lambda x: torch.sort(x, dim=-1).values,
        "topk": lambda x: torch.topk(x, workload["k"]).values,
        "cumsum": lambda x: torch.cumsum(x, -1),
        "random_normal": lambda: torch.randn(workload["shape"]),
    }[name]


def op(workload, state, variant):
    dtype = DTYPES[workload.get("dtype", "float32")]
    x = [torch.from_numpy(a) for a in state.inputs(workload)]
    x = [a.to(dtype) if a.is_floating_point() else a for a in x]
    wrt = workload.get("wrt", 0)
    if wrt:
        shape = function_of(workload)(*x).shape
        cotangent = torch.from_numpy(state.cotangent(workload, shape)).to(dtype).reshape(shape)
        for a in x[:wrt]:
            a.requires_grad_()

    def make(w):
        f = function_of(w)
        f = compiled(f) if variant == "torch.compile" else f
        if not wrt:
            return lambda: (f(*x),)

        def both():
            y = f(*x)
            return (y, *torch.autograd.grad(y, x[:wrt], cotangent))

        return both

    call = make(workload)
    plain = make({**workload, "dropout": 0}) if "dropout" in workload else call
    mode = torch.enable_grad if wrt else (torch.no_grad if variant == "torch.compile" else torch.inference_mode)

    def repeat(n):
        with mode():
            for _ in range(n):
                call()

    def check():
        with mode():
            return numbers_of(plain())

    return Program(call=call, repeat=repeat, check=check, check_after=True)


def update(workload, state, variant):
    """One optimizer step on one parameter."""

    def make(**options):
        p, g = (torch.from_numpy(a.copy()) for a in state.inputs(workload))
        p.requires_grad_()
        p.grad = g
        return p, optimizer_of(workload, [p], **options)

    def call_of(optimizer):
        return compiled(optimizer.step) if variant == "torch.compile" else optimizer.step

    def numbers_after(**options):
        p, optimizer = make(**options)
        step = call_of(optimizer)
        for _ in range(CHECKED_STEPS):
            step()
        return numbers_of([p])

    ways = [{"foreach": True, "capturable": False}] if variant == "torch.compile" else [
        {"fused": True}, {"foreach": True}, {"foreach": False}]
    return Program(candidates=[lambda way=way: call_of(make(**way)[1]) for way in ways],
                   check=lambda: same_of_all([lambda way=way: numbers_after(**way) for way in ways]))


# Ops for which the compiler's code calls the kernel that eager PyTorch calls.
CALLS_EAGER_KERNEL = ("matmul", "sort", "topk", "cumsum")

START = """
import torch
x = torch.tensor(0.5, requires_grad=True)
(torch.sin(x) * torch.exp(x)).sum().backward()
print(x.grad.item(), flush=True)
"""


def program(workload, state, variant):
    kind = workload["kind"]
    if kind == "process_start":
        return protocol.start_program(START) if variant == "torch" else None
    if variant == "torch.compile" and workload.get("op") in CALLS_EAGER_KERNEL:
        return None
    torch.manual_seed(0)
    makers = {"train_step": train_step, "compile_time": compile_time, "inference": inference, "epoch": epoch,
              "derivative": derivative, "op": op, "update": update}
    return makers[kind](workload, state, variant)


if __name__ == "__main__":
    protocol.main(sys.modules[__name__], "torch")
