"""Writes trajectories.json: 100 steps of each optimizer on a small least-squares problem, from PyTorch.

    python3 generate.py

Made with PyTorch 2.13.0 (CPU), float64. The loss is mean((tanh(x w + b) v - y)^2). Stored: each parameter
after steps 1, 2, 10, 50 and 100. The test compares to 1e-6 relative to each parameter's largest entry; what it
reaches is below 1e-12.
"""

import json
import pathlib

import torch

HERE = pathlib.Path(__file__).parent
torch.manual_seed(7)
torch.set_default_dtype(torch.float64)

x, y = torch.randn(8, 3), torch.randn(8, 2)
start = {"b": torch.randn(4), "v": torch.randn(4, 2), "w": torch.randn(3, 4)}
KEPT = (1, 2, 10, 50, 100)


def array(t):
    return {"dtype": "float64", "shape": list(t.shape), "values": t.flatten().tolist()}


def run(make, sign=1.0, schedule=None):
    p = {n: t.clone().requires_grad_(True) for n, t in start.items()}
    optimizer = make(p)
    states = {}
    scheduler = schedule(optimizer) if schedule else None
    for i in range(1, 101):
        optimizer.zero_grad()
        loss = sign * ((torch.tanh(x @ p["w"] + p["b"]) @ p["v"] - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        if scheduler:
            scheduler.step(*([loss.item()] if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau) else []))
        if i in KEPT:
            states[str(i)] = {n: array(t.detach()) for n, t in p.items()}
    return states


def case(kind, sign=1.0, **options):
    return {"optimizer": kind.__name__, "options": options, "sign": sign,
            "states": run(lambda p: kind(p.values(), **options), sign)}


def grouped(kind, lr, weight_decay, **groups):
    """Weight decay on the matrices alone, ten times the rate on b."""
    make = lambda p: kind([{"params": [p["b"]], "lr": 10 * lr, "weight_decay": 0.0},
                           {"params": [p["v"], p["w"]]}], lr=lr, weight_decay=weight_decay, **groups)
    return {"optimizer": kind.__name__, "options": {"lr": lr, "weight_decay": weight_decay, **groups}, "sign": 1.0,
            "grouped": True, "states": run(make)}


def scheduled(kind, schedule, **options):
    """A rate that changes from step to step, or, for the plateau, with the loss before the step."""
    return {"optimizer": kind.__name__, "options": options, "sign": 1.0, "schedule": schedule,
            "states": run(lambda p: kind(p.values(), **options), schedule=schedules_of_100[schedule])}


o = torch.optim
s = o.lr_scheduler
schedules_of_100 = {
    "step": lambda opt: s.StepLR(opt, step_size=30, gamma=0.3),
    "exponential": lambda opt: s.ExponentialLR(opt, gamma=0.97),
    "cosine": lambda opt: s.CosineAnnealingLR(opt, T_max=100, eta_min=0.05 * opt.param_groups[0]["lr"]),
    "linear": lambda opt: s.LinearLR(opt, start_factor=0.25, end_factor=0.75, total_iters=60),
    "one_cycle": lambda opt: s.OneCycleLR(opt, max_lr=opt.param_groups[0]["lr"], total_steps=101, cycle_momentum=False),
    "warmup": lambda opt: s.SequentialLR(opt, [s.LinearLR(opt, start_factor=0.1, end_factor=1.0, total_iters=10),
                                               s.CosineAnnealingLR(opt, T_max=90)], milestones=[10]),
    "plateau": lambda opt: s.ReduceLROnPlateau(opt, factor=0.5, patience=1, threshold=1e-2, cooldown=1),
}
cases = [
    case(o.SGD, lr=0.05),
    case(o.SGD, lr=0.05, weight_decay=0.02),
    case(o.SGD, lr=0.02, momentum=0.9),
    case(o.SGD, lr=0.02, momentum=0.9, dampening=0.3),
    case(o.SGD, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.01),
    case(o.SGD, lr=0.02, momentum=0.8, maximize=True, sign=-1.0),
    case(o.RMSprop, lr=0.01),
    # At lr=0.01 this one is chaotic: PyTorch differs from itself by 3e-4 when b moves by 1e-15.
    case(o.RMSprop, lr=0.003, alpha=0.9, eps=1e-6, weight_decay=0.01),
    case(o.RMSprop, lr=0.005, momentum=0.8),
    case(o.RMSprop, lr=0.005, momentum=0.5, centered=True),
    case(o.RMSprop, lr=0.005, maximize=True, sign=-1.0),
    case(o.Adam, lr=0.02),
    case(o.Adam, lr=0.02, betas=[0.8, 0.95], eps=1e-4, weight_decay=0.05),
    case(o.Adam, lr=0.05, amsgrad=True),
    case(o.Adam, lr=0.02, maximize=True, sign=-1.0),
    case(o.AdamW, lr=0.02),
    case(o.AdamW, lr=0.02, betas=[0.85, 0.99], weight_decay=0.1),
    case(o.AdamW, lr=0.05, amsgrad=True, maximize=True, sign=-1.0),
    grouped(o.SGD, 0.01, 0.1),
    grouped(o.AdamW, 0.01, 0.1),
    grouped(o.Adam, 0.01, 0.1),
    grouped(o.RMSprop, 0.003, 0.05),
    case(o.Adam, lr=0.02, amsgrad=True, weight_decay=0.05),
    case(o.RMSprop, lr=0.005, centered=True),
    scheduled(o.SGD, "step", lr=0.05, momentum=0.9),
    scheduled(o.SGD, "exponential", lr=0.05),
    scheduled(o.AdamW, "cosine", lr=0.02),
    scheduled(o.Adam, "linear", lr=0.02),
    scheduled(o.SGD, "one_cycle", lr=0.05, momentum=0.9, nesterov=True),
    scheduled(o.Adam, "warmup", lr=0.02),
    scheduled(o.SGD, "plateau", lr=0.3, momentum=0.9),
]


def schedules():
    """Multipliers of the first 40 steps: what PyTorch's schedulers set with a base rate of 1."""
    s = torch.optim.lr_scheduler
    makers = {
        "step": lambda opt: s.StepLR(opt, step_size=7, gamma=0.3),
        "exponential": lambda opt: s.ExponentialLR(opt, gamma=0.93),
        "cosine": lambda opt: s.CosineAnnealingLR(opt, T_max=30, eta_min=0.05),
        "linear": lambda opt: s.LinearLR(opt, start_factor=0.25, end_factor=0.75, total_iters=20),
        "one_cycle": lambda opt: s.OneCycleLR(opt, max_lr=1.0, total_steps=40, cycle_momentum=False),
        "one_cycle_linear": lambda opt: s.OneCycleLR(opt, max_lr=1.0, total_steps=40, pct_start=0.4, div_factor=10,
                                                     final_div_factor=100, anneal_strategy="linear", cycle_momentum=False),
        "warmup": lambda opt: s.SequentialLR(opt, [s.LinearLR(opt, start_factor=0.1, end_factor=1.0, total_iters=10),
                                                   s.CosineAnnealingLR(opt, T_max=30)], milestones=[10]),
    }
    result = {}
    for name, make in makers.items():
        opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = make(opt)
        values = []
        for _ in range(40):
            values.append(opt.param_groups[0]["lr"])
            opt.step()
            if len(values) < 40:
                scheduler.step()
        result[name] = values
    metrics = [5, 4, 3.5, 3.6, 3.55, 3.7, 3.8, 3.6, 3.4, 3.41, 3.42, 3.43, 3.44, 3.45, 3.5, 3.6, 3.4001, 3.39, 3.5, 3.6, 3.7, 3.8, 3.9]
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    plateau = s.ReduceLROnPlateau(opt, factor=0.5, patience=2, threshold=1e-3, cooldown=1, min_lr=0.1)
    values = []
    for metric in metrics:
        plateau.step(metric)
        values.append(opt.param_groups[0]["lr"])
    return {"multipliers": result, "plateau": {"metrics": metrics, "multipliers": values}}


(HERE / "trajectories.json").write_text(json.dumps(
    {"torch": torch.__version__, "x": array(x), "y": array(y), "start": {n: array(t) for n, t in start.items()},
     "cases": cases}, separators=(",", ":")) + "\n")
(HERE / "schedules.json").write_text(json.dumps({"torch": torch.__version__, **schedules()}, separators=(",", ":")) + "\n")
