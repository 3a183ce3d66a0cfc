"""Poisson's equation in five dimensions with the solution cos(pi x1) + ... + cos(pi x5).

-Lap u = f on (0, 1)^5, u from the solution on all faces. Source: Mueller & Zeinhofer 2023, Achieving High Accuracy
with PINNs via Energy Natural Gradients.

A sum of functions of one coordinate each is what transfinite interpolation reproduces: with hard conditions the lift
alone is the solution. What a network does with it is measured with conditions=soft.
"""

from math import pi

from torch import cos

from kanpde import Box, Problem, dirichlet
from kanpde.reference import exact

NAMES = ("x1", "x2", "x3", "x4", "x5")


def problem() -> Problem:
    def solution(at):
        return sum(cos(pi * getattr(at, name)) for name in NAMES)

    def poisson(u, at):
        return -sum(u.d(2 * name) for name in NAMES) - pi**2 * solution(at)

    return Problem(
        geometry=Box(**dict.fromkeys(NAMES, (0, 1))),
        equations={"poisson": poisson},
        conditions={"walls": dirichlet("all", solution)},
        reference=exact(solution),
    )
