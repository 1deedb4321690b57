#!/usr/bin/env python3
"""Writes lanes_float64.txt: values of the elementwise functions at a few dozen points each, to 40 digits.

Usage: python3 tests/reference/kernels/make_lanes.py > tests/reference/kernels/lanes_float64.txt
"""
import random

import mpmath as mp

mp.mp.dps = 60
random.seed(20)


def spread(low, high, count):
    """Points between low and high, half of them spaced evenly in the logarithm of the distance from 0."""
    points = [random.uniform(low, high) for _ in range(count // 2)]
    top = max(abs(low), abs(high))
    while len(points) < count:
        x = random.choice((-1, 1)) * top * 10 ** random.uniform(-12, 0)
        if low <= x <= high:
            points.append(x)
    return points


def digamma_points():
    return spread(1e-6, 1e6, 20) + [1.4616321449683622, 1.461632144968363, 1.46, 1.2, 1.7, 1.77, 1.16, 9.99, 10.0, 0.5, 1e-300]


FUNCTIONS = {
    "exp": (mp.exp, spread(-744, 709, 30)), "exp2": (lambda x: mp.mpf(2) ** x, spread(-1073, 1023, 30)),
    "expm1": (mp.expm1, spread(-40, 709, 30) + spread(-1, 1, 30)),
    "log": (mp.log, [10 ** random.uniform(-320, 308) for _ in range(20)] + [random.uniform(0.5, 2) for _ in range(30)]),
    "log2": (lambda x: mp.log(x, 2), [random.uniform(0.5, 2) for _ in range(30)]),
    "log10": (mp.log10, [random.uniform(0.5, 2) for _ in range(30)]),
    "log1p": (mp.log1p, spread(-0.999, 1, 40) + [10 ** random.uniform(0, 308) for _ in range(20)]),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), spread(-744, 40, 30) + spread(-5, 5, 20)),
    "tanh": (mp.tanh, spread(-20, 20, 40)), "sinh": (mp.sinh, spread(-710, 710, 20) + spread(-2, 2, 30)),
    "cosh": (mp.cosh, spread(-710, 710, 30)), "asinh": (mp.asinh, spread(-1e9, 1e9, 40) + spread(-2, 2, 20)),
    "acosh": (mp.acosh, [1 + 10 ** random.uniform(-12, 300) for _ in range(40)]),
    "atanh": (mp.atanh, spread(-1, 1, 40)), "sin": (mp.sin, spread(-1e6, 1e6, 30) + spread(-7, 7, 30)),
    "cos": (mp.cos, spread(-1e6, 1e6, 30) + spread(-7, 7, 30)), "tan": (mp.tan, spread(-1e6, 1e6, 30) + spread(-7, 7, 30)),
    "asin": (mp.asin, spread(-1, 1, 40)), "acos": (mp.acos, spread(-1, 1, 40)),
    "atan": (mp.atan, spread(-1e3, 1e3, 20) + spread(-3, 3, 20)), "erf": (mp.erf, spread(-6, 6, 50)),
    "erfc": (mp.erfc, spread(-6, 27.2, 60)), "lgamma": (lambda x: mp.log(mp.gamma(x)), spread(1e-6, 1e6, 30)),
    "digamma": (mp.digamma, digamma_points()),
}

def main():
    print(f"# Written by make_lanes.py with mpmath {mp.__version__}, 60 digits. Rows: function, argument (a double), value.")
    print("# Tolerance: the bound in ULPs that each kernel's table entry states.")
    for name, (function, points) in FUNCTIONS.items():
        for x in points:
            print(name, x.hex(), mp.nstr(function(mp.mpf(x)), 40))


if __name__ == "__main__":
    main()
