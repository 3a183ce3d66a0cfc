"""Poisson's equation with the solution sin(pi x) sin(pi y).

-(u_xx + u_yy) = 2 pi^2 sin(pi x) sin(pi y) on (-1, 1)^2, u = 0 on the boundary. Source: the standard manufactured
solution, for example Mueller & Zeinhofer 2023, Achieving High Accuracy with PINNs via Energy Natural Gradients.
"""

from math import pi

from torch import sin

from kanpde import Box, Problem, dirichlet
from kanpde.reference import exact


def problem() -> Problem:
    def solution(at):
        return sin(pi * at.x) * sin(pi * at.y)

    def poisson(u, at):
        return -(u.d("xx") + u.d("yy")) - 2 * pi**2 * solution(at)

    return Problem(
        geometry=Box(x=(-1, 1), y=(-1, 1)),
        equations={"poisson": poisson},
        conditions={"walls": dirichlet("all", 0.0)},
        reference=exact(solution),
    )
