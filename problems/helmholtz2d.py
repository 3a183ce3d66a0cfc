"""Helmholtz' equation with the solution sin(a pi x) sin(b pi y).

u_xx + u_yy + k^2 u = f on (-1, 1)^2, u = 0 on the boundary. Source: Wang, Teng & Perdikaris 2021, Understanding and
Mitigating Gradient Flow Pathologies in PINNs, section 2.3 (a = 1, b = 4, k = 1).
"""

from math import pi

from torch import sin

from kanpde import Box, Problem, dirichlet
from kanpde.reference import exact


def problem(a: int = 1, b: int = 4, k: float = 1.0) -> Problem:
    def solution(at):
        return sin(a * pi * at.x) * sin(b * pi * at.y)

    def helmholtz(u, at):
        return u.d("xx") + u.d("yy") + k**2 * u - (k**2 - (a * pi) ** 2 - (b * pi) ** 2) * solution(at)

    return Problem(
        geometry=Box(x=(-1, 1), y=(-1, 1)),
        equations={"helmholtz": helmholtz},
        conditions={"walls": dirichlet("all", 0.0)},
        reference=exact(solution),
    )
