"""Poisson's equation in one dimension with the solution sin(2 pi x) + sin(b pi x) / 10, of two scales.

-u_xx = f on (0, 1), u = 0 at both ends. Source: Wang, Wang & Perdikaris 2021, On the Eigenvector Bias of Fourier
Feature Networks (b = 50).
"""

from math import pi

from torch import sin

from kanpde import Box, Problem, dirichlet
from kanpde.reference import exact


def problem(b: int = 50) -> Problem:
    def solution(at):
        return sin(2 * pi * at.x) + 0.1 * sin(b * pi * at.x)

    def poisson(u, at):
        return -u.d("xx") - (2 * pi) ** 2 * sin(2 * pi * at.x) - 0.1 * (b * pi) ** 2 * sin(b * pi * at.x)

    return Problem(
        geometry=Box(x=(0, 1)),
        equations={"poisson": poisson},
        conditions={"walls": dirichlet("all", 0.0)},
        reference=exact(solution),
    )
