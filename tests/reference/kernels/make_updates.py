#!/usr/bin/env python3
"""Writes updates_float64.txt: parameters after four steps of Adam and AdamW of torch.optim on random gradients, in float64.

Usage: python3 tests/reference/kernels/make_updates.py > tests/reference/kernels/updates_float64.txt
Blocks: `optimizer NAME VALUE ...` gives the settings; `start`, then one `gradient` a step, then `end`, each with
the same number of values.
"""
import torch

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
SIZE, STEPS = 19, 4
CASES = [
    (torch.optim.Adam, dict(lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)),
    (torch.optim.Adam, dict(lr=0.02, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1)),
    (torch.optim.AdamW, dict(lr=0.02, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.3)),
]


def row(name, values):
    print(name, *(float(v).hex() for v in values))


def main():
    print(f"# Written by make_updates.py with torch {torch.__version__}. Tolerance: 1e-14 relative to the largest entry.")
    for kind, settings in CASES:
        flat = dict(settings)
        if "betas" in flat:
            flat["beta1"], flat["beta2"] = flat.pop("betas")
        print("optimizer", kind.__name__, *(f"{k} {float(v)!r}" for k, v in flat.items()))
        p = torch.randn(SIZE, requires_grad=True)
        row("start", p.tolist())
        optimizer = kind([p], foreach=False, **settings)
        for _ in range(STEPS):
            p.grad = torch.randn(SIZE)
            row("gradient", p.grad.tolist())
            optimizer.step()
        row("end", p.tolist())


if __name__ == "__main__":
    main()
