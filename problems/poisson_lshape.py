"""Poisson's equation with a constant source on an L-shaped domain, where the gradient is not bounded.

-(u_xx + u_yy) = 1 on the square (-1, 1)^2 without its lower right quarter, u = 0 on the boundary; at the inner corner u
grows like r^(2/3). Source: Lu, Meng, Mao & Karniadakis 2021, DeepXDE: A Deep Learning Library for Solving Differential
Equations, section 4.1 (turned).

The lift has the logarithms that the constant source brings into every corner (Grisvard 1985, Elliptic Problems in
Nonsmooth Domains), faded out at the distance 1. They are known beforehand; how large the powers r^(2/3), r^(4/3), ...
are is not, and is no part of it.
"""

from math import pi, sqrt

from torch import atan2, clip, log

from kanpde import LShape, Problem, dirichlet
from kanpde.reference import harmonic

TINY = 1e-150


def problem() -> Problem:
    domain = LShape()

    def poisson(u, at):
        return -(u.d("xx") + u.d("yy")) - 1

    def fading(s):  # from 1 to 0 at |s| = 1, with four derivatives that vanish at both ends
        s = clip(abs(s), max=1.0)
        return 1 - s**5 * (126 - 420 * s + 540 * s**2 - 315 * s**3 + 70 * s**4)

    def outer(a, b):  # between walls at the distances a and b, an angle of pi / 2
        w = a * b * log(a**2 + b**2 + TINY**2) + atan2(b, a + TINY) * (a**2 - b**2)
        return fading(a) * fading(b) * (-(b**2) / 2 - w / pi)

    def inner(x, y):  # an angle of 3 pi / 2, seen from its bisector
        angle = atan2(-(x + y) / sqrt(2), (y - x) / sqrt(2) + TINY) + 3 * pi / 4
        w = x * y * log(x**2 + y**2 + TINY**2) + angle * (x**2 - y**2)
        return fading(x) * fading(y) * (-(y**2) / 2 - w / (3 * pi))

    def corners(at):
        x, y = at.x, at.y
        convex = [(1 - x, y), (1 - x, 1 - y), (1 + x, 1 - y), (1 + x, 1 + y), (-x, 1 + y)]
        return inner(x, y) + sum(outer(a, b) for a, b in convex)

    conditions = {"walls": dirichlet("all", 0.0, lift=corners)}
    return Problem(
        geometry=domain,
        equations={"poisson": poisson},
        conditions=conditions,
        reference=harmonic(domain, conditions, particular=lambda at: -(at.x**2 + at.y**2) / 4, corners=60),
    )
