"""Anisotropic heat conduction: waves twenty times shorter along x, where the conductivity is tiny.

u_t = u_xx / (500 pi)^2 + u_yy / pi^2 on (0, 1)^2 x (0, 5), u = 0 at the walls, u = sin(20 pi x) sin(pi y) at t = 0.
Source: Hao et al. 2024, PINNacle: A Comprehensive Benchmark of Physics-Informed Neural Networks for Solving PDEs (Heat
2D-MS).
"""

from math import pi

from torch import exp, sin

from kanpde import Box, Problem, dirichlet, initial
from kanpde.reference import exact


def problem(waves: int = 20, contrast: float = 500.0) -> Problem:
    def start(at):
        return sin(waves * pi * at.x) * sin(pi * at.y)

    def solution(at):
        return start(at) * exp(-((waves / contrast) ** 2 + 1) * at.t)

    def heat(u, at):
        return u.d("t") - u.d("xx") / (contrast * pi) ** 2 - u.d("yy") / pi**2

    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1), t=(0, 5)),
        equations={"heat": heat},
        conditions={"start": initial(start), "walls": dirichlet("all", 0.0)},
        reference=exact(solution),
    )
