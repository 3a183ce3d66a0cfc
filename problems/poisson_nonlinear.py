"""Poisson's equation with a cubic term and the solution sin(pi x) sin(pi y) + a sin(4 pi x) sin(4 pi y).

-(u_xx + u_yy) + u^3 = f on (0, 1)^2, u = 0 on the boundary. Source: Chen, Hosseini, Owhadi & Stuart 2021, Solving and
Learning Nonlinear PDEs with Gaussian Processes (with a = 4).
"""

from math import pi

from torch import sin

from kanpde import Box, Problem, dirichlet
from kanpde.reference import exact


def problem(a: float = 0.0) -> Problem:
    def mode(n, at):
        return sin(n * pi * at.x) * sin(n * pi * at.y)

    def solution(at):
        return mode(1, at) + a * mode(4, at)

    def source(at):
        return 2 * pi**2 * (mode(1, at) + 16 * a * mode(4, at)) + solution(at) ** 3

    def poisson(u, at):
        return -(u.d("xx") + u.d("yy")) + u**3 - source(at)

    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1)),
        equations={"poisson": poisson},
        conditions={"walls": dirichlet("all", 0.0)},
        reference=exact(solution),
    )
