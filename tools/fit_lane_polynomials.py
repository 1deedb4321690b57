#!/usr/bin/env python3
"""Fits the polynomials of the lane kernels and writes src/kernels/cpu/math_coefficients.hpp.

Each polynomial is the weighted least-squares fit, over Chebyshev-spaced points and in 50 digits, of
the part of a function that its leading terms leave over; its coefficients are then rounded to the
type. The error printed beside each is that of the rounded polynomial, as a share of one ULP of the
function's result, and excludes the rounding of the evaluation itself.

Usage: python3 tools/fit_lane_polynomials.py > src/kernels/cpu/math_coefficients.hpp
Made with mpmath 1.3 and NumPy 2.
"""
import mpmath as mp
import numpy as np

mp.mp.dps = 50
ROOT_HALF = mp.sqrt(mp.mpf(1) / 2)
ERFC_CENTRE = {"float": mp.mpf(2), "double": mp.mpf("3.75")}  # of the map t = (x - K) / (x + K)


def odd_tail(f):
    """(f(x) - x) / x^3 as a function of z = x^2, by its Taylor series near 0."""
    series = mp.taylor(f, 0, 9)

    def g(z):
        if z < mp.mpf("1e-10"):
            return series[3] + series[5] * z + series[7] * z * z
        x = mp.sqrt(z)
        return (f(x) - x) / x**3

    return g


def near_zero(g, order, f):
    """g, except close to 0, where the Taylor coefficients of f from `order` on replace it."""
    series = mp.taylor(f, 0, order + 4)[order:]

    def safe(x):
        if abs(x) < mp.mpf("1e-8"):
            return mp.polyval(series[::-1], x)
        return g(x)

    return safe


def erfcx_scaled(centre):
    def g(t):
        x = centre * (1 + t) / (1 - t)
        return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)

    return g


def cos_tail(z):
    if z < mp.mpf("1e-10"):
        return mp.mpf(1) / 24 - z / 720
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def erf_tail(z):
    if z < mp.mpf("1e-20"):
        return 2 / mp.sqrt(mp.pi) - 1
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1


def atanh_tail(z):
    """2 atanh(s)/s - 2 = z (2/3 + 2/5 z + ...), z = s^2: what fdlibm's log calls R, divided by z."""
    return mp.nsum(lambda k: 2 / (2 * k + 3) * z**k, [0, 60]) if z > 0 else mp.mpf(2) / 3


def digamma_at_root():
    root = mp.findroot(lambda x: mp.psi(0, x), 1.46)
    return root, [mp.psi(n, root) / mp.factorial(n) for n in range(1, 30)]


ONE = lambda x: mp.mpf(1)
# name, comment, g, share of g's absolute error in the result's relative error, {type: (a, b, degree)}
LOG_RANGE = (ROOT_HALF - 1 - mp.mpf("1e-6"), mp.sqrt(2) - 1 + mp.mpf("1e-6"))
TABLE = [
    ("exp_tail", "exp(r) = 1 + r + r^2 P(r), |r| <= log(2)/2",
     lambda t: near_zero(lambda r: (mp.exp(r) - 1 - r) / r**2, 2, mp.exp), lambda r: abs(r),
     {"float": (-0.347, 0.347, 4), "double": (-0.347, 0.347, 9)}),
    ("log_tail", "log(1 + f) = f - f^2/2 + f^3 P(f), sqrt(1/2) <= 1 + f <= sqrt(2)",
     lambda t: near_zero(lambda f: (mp.log1p(f) - f + f * f / 2) / f**3, 3, mp.log1p), lambda f: f * f,
     {"float": (*LOG_RANGE, 8)}),
    ("log_atanh", "2 atanh(s)/s - 2 = z P(z), z = s^2, |s| <= 0.1716", lambda t: atanh_tail, lambda z: z,
     {"double": (0, 0.0296, 6)}),
    ("sin_tail", "sin(r) = r + r^3 P(r^2), |r| <= pi/4", lambda t: odd_tail(mp.sin), lambda z: z,
     {"float": (0, 0.63, 3), "double": (0, 0.63, 6)}),
    ("cos_tail", "cos(r) = 1 - r^2/2 + r^4 P(r^2), |r| <= pi/4", lambda t: cos_tail, lambda z: z * z,
     {"float": (0, 0.63, 2), "double": (0, 0.63, 6)}),
    ("atan_tail", "atan(t) = t + t^3 P(t^2), |t| <= tan(pi/8)", lambda t: odd_tail(mp.atan), lambda z: z,
     {"float": (0, 0.1717, 4), "double": (0, 0.1717, 10)}),
    ("asin_tail", "asin(x) = x + x^3 P(x^2), |x| <= 1/2", lambda t: odd_tail(mp.asin), lambda z: z,
     {"float": (0, 0.2501, 5), "double": (0, 0.2501, 12)}),
    ("sinh_tail", "sinh(x) = x + x^3 P(x^2), |x| <= 1", lambda t: odd_tail(mp.sinh), lambda z: z,
     {"float": (0, 1.001, 3), "double": (0, 1.001, 7)}),
    ("erf_tail", "erf(x) = x + x P(x^2), |x| <= 1", lambda t: erf_tail, ONE,
     {"float": (0, 1.001, 6), "double": (0, 1.001, 13)}),
    ("log_erfc", "log(erfc(x)), 1 <= x <= 4", lambda t: (lambda x: mp.log(mp.erfc(x))), mp.erfc,
     {"float": (0.999, 4.01, 7)}),
    ("erfcx_scaled", "(1 + 2x) exp(x^2) erfc(x) = P(t), t = (x - K)/(x + K)",
     lambda t: erfcx_scaled(ERFC_CENTRE[t]), ONE,
     {"float": (-1, (10.5 - ERFC_CENTRE["float"]) / (10.5 + ERFC_CENTRE["float"]), 11),
      "double": (-1, (28 - ERFC_CENTRE["double"]) / (28 + ERFC_CENTRE["double"]), 22)}),
]
EPSILON = {"float": mp.mpf(2) ** -24, "double": mp.mpf(2) ** -53}


def chebyshev_points(a, b, count):
    a, b = mp.mpf(a), mp.mpf(b)
    return [(a + b) / 2 + (b - a) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]


def round_to(kind, value):
    return mp.mpf(float(value)) if kind == "double" else mp.mpf(float(np.float32(float(value))))


def fit(g, weight, a, b, degree):
    """Coefficients, lowest first, of the least-squares fit of g; weights are kept off 0."""
    points = chebyshev_points(a, b, 3 * degree + 12)
    floor = max(weight(x) for x in points) / 50
    rows = [[max(weight(x), floor) * x**k for k in range(degree + 1)] for x in points]
    right = [max(weight(x), floor) * g(x) for x in points]
    solution, _ = mp.qr_solve(mp.matrix(rows), mp.matrix(right))
    return list(solution)


def literal(kind, value):
    if kind == "double":
        return repr(float(value))
    text = str(np.float32(float(value)))
    return (text if any(c in text for c in ".e") else text + ".0") + "F"


def emit(kind, name, comment, values):
    print(f"  // {comment}")
    print(f"  static constexpr {kind} {name}[] = {{")
    lines, line = [], "     "
    for v in values:
        item = f" {literal(kind, v)},"
        if len(line) + len(item) > 108:
            lines.append(line)
            line = "     "
        line += item
    lines.append(line.rstrip(","))
    print("\n".join(lines) + "};")


def main():
    print("// Written by tools/fit_lane_polynomials.py: do not edit. Lowest power first. The share of a unit roundoff")
    print("// that a polynomial's own error takes stands beside it.\n#pragma once\n")
    print("namespace chainrule::kernels {\n\ntemplate <typename T>\nstruct Coefficients;\n")
    for kind in ("float", "double"):
        print(f"template <>\nstruct Coefficients<{kind}> {{")
        for name, comment, make, weight, ranges in TABLE:
            if kind not in ranges:
                continue
            a, b, degree = ranges[kind]
            g = make(kind)
            c = [round_to(kind, v) for v in fit(g, weight, a, b, degree)]
            error = max(abs(mp.polyval(c[::-1], x) - g(x)) * weight(x) for x in chebyshev_points(a, b, 150))
            emit(kind, name, f"{comment} ({mp.nstr(error / EPSILON[kind], 2)})", c)
        if kind == "double":
            root, series = digamma_at_root()
            emit(kind, "digamma_series", "digamma(x) = (x - x0) P(x - x0), |x - x0| <= 0.4, x0 = root_high + root_low",
                 series)
            high = float(root)
            print(f"  static constexpr double digamma_root_high = {high!r};")
            print(f"  static constexpr double digamma_root_low = {float(root - mp.mpf(high))!r};")
        print(f"  static constexpr {kind} erfc_centre = {literal(kind, ERFC_CENTRE[kind])};")
        print("};\n")
    print("}  // namespace chainrule::kernels")


if __name__ == "__main__":
    main()
