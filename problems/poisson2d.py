"""Poisson's equation with the solution sin(pi x) sin(pi y^2).

-(u_xx + u_yy) = f on (-1, 1)^2, u = 0 on the boundary. Source: Liu et al. 2024, KAN: Kolmogorov-Arnold Networks,
section 3.4.
"""

from math import pi

from torch import cos, sin

from kanpde import Box, Problem, dirichlet
from kanpde.reference import exact


def problem() -> Problem:
    def solution(at):
        return sin(pi * at.x) * sin(pi * at.y**2)

    def source(at):
        y = pi * at.y**2
        return sin(pi * at.x) * ((pi**2 + 4 * pi * y) * sin(y) - 2 * pi * cos(y))

    def poisson(u, at):
        return -(u.d("xx") + u.d("yy")) - source(at)

    return Problem(
        geometry=Box(x=(-1, 1), y=(-1, 1)),
        equations={"poisson": poisson},
        conditions={"walls": dirichlet("all", 0.0)},
        reference=exact(solution),
    )
