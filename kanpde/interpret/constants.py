"""Simple exact numbers near a value that is known up to an error.

Any number is near some rational, so nearness alone says nothing. Every constant has a *weight*, about the number of
constants in an octave that are as simple: p q for the fraction p / q, m 2^|k| for the decimal m 10^k, times that of a
factor like pi. Of the constants of weight W about W d / |v| lie within d of v by accident. Only those for which this
is small are recognised: pi for 3.1416 known to 1e-3, and never 355 / 113. (In the spirit of the minimum description
length, Rissanen 1978, Modeling by Shortest Data Description.)
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import floor, inf, isfinite, isqrt, log10, pi

import numpy as np
import sympy

from kanpde.errors import KanpdeError

Note = Callable[[sympy.Expr, float], None]

ACCIDENTS = 0.02
"""The number of constants as simple as one that may lie within the tolerance by accident, by the count of weights.

Measured with random values it is one in 25, as there are a few more constants than their weights say.
"""
HEAVIEST = 1e7
"""The weight of the last constant that is called simple, however exactly a value is known."""
ROUNDING = 2.0**-51
"""The relative error of a value that is known as well as doubles are."""
COMPUTED = 1e-14
"""The relative error of a double that a few operations have led to."""
EXTREME = 1e200
"""Numbers above, and below its reciprocal, are not simple."""
LONGEST = 40
"""Terms up to which a continued fraction is followed; the golden ratio's 40 are far above `HEAVIEST`."""
DIGITS = 10
"""Significant digits up to which a double is a decimal that was written down, and no result of a computation."""

FACTORS: tuple[tuple[sympy.Expr, float], ...] = (
    (sympy.Integer(1), 1.0),
    (sympy.pi, 4.0),
    (1 / sympy.pi, 8.0),
    (sympy.pi**2, 8.0),
    (1 / sympy.pi**2, 16.0),
    (sympy.pi**3, 32.0),
    (sympy.pi**4, 32.0),
    (sympy.E, 16.0),
    (1 / sympy.E, 16.0),
    (sympy.log(2), 16.0),
)
"""What rationals are multiplied with, and the weights."""
UNDER_ROOTS: tuple[tuple[sympy.Expr, float], ...] = (
    (sympy.Integer(1), 4.0),
    (sympy.pi, 16.0),
    (1 / sympy.pi, 16.0),
    (sympy.pi**2, 16.0),
    (1 / sympy.pi**2, 32.0),
)
"""What rationals are multiplied with under a square root, and the weights."""
BESIDE: tuple[tuple[sympy.Expr, float], ...] = (
    (sympy.pi, 64.0),
    (sympy.pi**2, 128.0),
    (1 / sympy.pi, 128.0),
    (sympy.sqrt(2), 128.0),
    (sympy.sqrt(3), 192.0),
)
"""What stands beside a rational in a sum, and the weights."""
SUMS_FROM = 1e-6
"""The relative tolerance up to which sums are looked for; above it each is as likely an accident."""


def simple(value: float, tolerance: float) -> list[sympy.Expr]:
    """Return simple exact numbers within a tolerance (absolute) of a value, the simplest first; none if there is none.

    Rationals and decimals, those times pi, pi^2, e, log 2 and their reciprocals, square roots of rationals and of
    rationals times powers of pi, sums like 1 - 17 pi^2, and roots of quadratic equations with integers and pi^2.
    A tolerance below the spacing of doubles is taken as that. Raises KanpdeError for what is not finite, and for a
    negative tolerance.
    """
    if not (isfinite(value) and tolerance >= 0):
        raise KanpdeError(f"simple({value}, {tolerance}): give a finite value and a tolerance that is not negative.")
    if abs(value) <= tolerance or value == 0:
        return [sympy.Integer(0)]
    size, sign = abs(value), 1 if value > 0 else -1
    if not 1 / EXTREME < size < EXTREME:
        return []
    width = max(tolerance, ROUNDING * size)
    found: dict[sympy.Expr, float] = {}

    heaviest = min(HEAVIEST, ACCIDENTS * size / width)

    def note(constant: sympy.Expr, weight: float) -> None:
        if weight <= heaviest:
            found[constant] = min(weight, found.get(constant, inf))

    for factor, weight in FACTORS:
        c = double(factor)
        for rational, own in rationals(size / c, width / c):
            note(sign * rational * factor, weight * own)
    for factor, weight in UNDER_ROOTS:
        c = double(factor)
        for rational, own in rationals(size**2 / c, 2 * size * width / c):
            note(sign * sympy.sqrt(rational * factor), weight * own)
    if not found and width <= SUMS_FROM * size:
        for factor, weight in BESIDE:
            sums(value, width, factor, weight, heaviest, note)
        for scale in (sympy.Integer(1), sympy.pi, 1 / sympy.pi):
            roots(value, width, scale, heaviest, note)
    # Each is checked in more digits than any step above has.
    near = [constant for constant in found if abs(sympy.N(constant, 40) - sympy.Float(value, 40)) <= 1.01 * width]
    return sorted(near, key=lambda constant: (found[constant], sympy.count_ops(constant), str(constant)))


def recognised(expression: sympy.Expr, tolerance: float = 1e-12) -> sympy.Expr:
    """Return an expression with the simplest number within a relative tolerance in place of every float.

    Floats that have none stay.
    """
    expression = sympy.sympify(expression, strict=True)
    exact = {}
    for number in expression.atoms(sympy.Float):
        value = float(number)
        constants = simple(value, tolerance * abs(value)) if isfinite(value) else []
        if constants:
            exact[number] = constants[0]
    return expression.xreplace(exact)


@lru_cache(maxsize=4096)
def stated(value: float) -> sympy.Expr:
    """Return the exact number that a double of somebody's program stands for; a float if there is none to be seen.

    A decimal of few digits is itself. Others are results of computations, such as (4 * pi)**2 or 0.01 / pi, and are
    recognised to the last digits.
    """
    if not isfinite(value):
        return sympy.nan if value != value else sympy.oo * (1 if value > 0 else -1)
    decimal = written(value)
    if decimal is not None:
        return decimal
    constants = simple(value, COMPUTED * abs(value))
    return constants[0] if constants else sympy.Float(value)


def written(value: float) -> sympy.Rational | None:
    """Return the decimal of few digits that a finite double was written as, or an integer; None if it is neither."""
    text = repr(float(value))
    digits = text.split("e")[0].replace("-", "").replace(".", "").strip("0")
    return sympy.Rational(text) if len(digits) <= DIGITS or float(value).is_integer() else None


@lru_cache
def double(factor: sympy.Expr) -> float:
    """Return the value of a factor."""
    return float(factor)


def rationals(value: float, width: float) -> list[tuple[sympy.Rational, float]]:
    """Return the simplest fraction and the shortest decimal within a width of a positive value, with their weights."""
    found = []
    fraction = simplest_between(Fraction(value - width), Fraction(value + width)) if width < value else None
    if fraction is not None:
        p, q = fraction.numerator, fraction.denominator
        found.append((sympy.Rational(p, q), float(p * q)))
    exponent = floor(log10(value))
    for digits in range(1, 8):
        k = exponent - digits + 1
        m = round(value / 10.0**k)
        while m and m % 10 == 0:
            m, k = m // 10, k + 1
        if m and abs(m * 10.0**k - value) <= width + ROUNDING * value:
            found.append((sympy.Integer(m) * sympy.Integer(10) ** k, m * 2.0 ** abs(k)))
            break
    return found


def simplest_between(low: Fraction, high: Fraction) -> Fraction | None:
    """Return the fraction in [low, high], 0 < low, with the least numerator and denominator; None for a heavy one."""
    (a, b), (c, d) = low.as_integer_ratio(), high.as_integer_ratio()
    whole: list[int] = []
    while -(-a // b) * d > c:  # no integer in [a / b, c / d]: on with reciprocals of the rest
        if len(whole) > LONGEST:
            return None
        n = a // b
        whole.append(n)
        a, b, c, d = d, c - n * d, b, a - n * b
    p, q = -(-a // b), 1
    for n in reversed(whole):
        p, q = n * p + q, p
    return Fraction(p, q) if p * q <= HEAVIEST else None


def sums(value: float, width: float, factor: sympy.Expr, weight: float, heaviest: float, note: Note) -> None:
    """Note the numbers (b + c factor) / a, a, b, c integers, within a width of a value."""
    a = np.arange(1, 13)[:, None]
    c = np.concatenate([np.arange(-400, 0), np.arange(1, 401)])[None, :]
    rest = a * value - c * double(factor)
    b = np.rint(rest)
    weights = weight * np.abs(a * b * c)
    near = (np.abs(rest - b) <= a * width + ROUNDING * np.abs(rest)) & (b != 0) & (weights <= heaviest)
    for i, j in zip(*np.nonzero(near), strict=True):
        note((int(b[i, j]) + int(c[0, j]) * factor) / int(a[i, 0]), float(weights[i, j]))


def roots(value: float, width: float, scale: sympy.Expr, heaviest: float, note: Note) -> None:
    """Note the numbers z / scale near a value with a z^2 + b z + c + d pi^2 = 0 and integers a, b, c, d."""
    z, width = value * double(scale), width * double(scale)
    a = np.arange(1, 4)[:, None, None]
    b = np.concatenate([np.arange(-200, 0), np.arange(1, 201)])[None, :, None]
    d = np.arange(-64, 65)[None, None, :]
    rest = a * z**2 + b * z + d * pi**2
    c = -np.rint(rest)
    error = np.abs(2 * a * z + b) * width + 2 * ROUNDING * float(np.abs(rest).max())
    for i, j, k in zip(*np.nonzero(np.abs(rest + c) <= error), strict=True):
        p, q, r, s = int(a[i, 0, 0]), int(b[0, j, 0]), int(c[i, j, k]), int(d[0, 0, k])
        weight = 256.0 * p * abs(q) * max(1, abs(r)) * max(1, 2 * abs(s)) * (1 if scale == 1 else 4)
        if weight > heaviest:
            continue
        constant, pi2 = q * q - 4 * p * r, -4 * p * s
        square = largest_square(constant, pi2)
        root = isqrt(square) * sympy.sqrt(constant // square + pi2 // square * sympy.pi**2)
        for sign in (-1, 1):
            exact = (-q + sign * root) / (2 * p)
            if root.is_real and abs(float(exact) - z) <= max(width, 1e-12 * abs(q)):
                note(sympy.expand(exact / scale), weight)


def largest_square(first: int, second: int) -> int:
    """Return the largest square that divides two integers of which one is not 0."""
    common = abs(int(sympy.igcd(first, second))) or 1
    return int(sympy.prod(p ** (2 * (k // 2)) for p, k in sympy.factorint(common).items()))
