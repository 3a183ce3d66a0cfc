"""The wave equation with two standing waves, c = 2.

u_tt = c^2 u_xx on (0, 1) x (0, 1), u = 0 at the walls, u = sin(pi x) + sin(4 pi x) / 2 and u_t = 0 at t = 0. Source:
Wang, Yu & Perdikaris 2022, When and Why PINNs Fail to Train: A Neural Tangent Kernel Perspective; the same
in the PINNacle benchmark (Hao et al. 2024).
"""

from math import pi

from torch import cos, sin

from kanpde import Box, Problem, dirichlet, initial, initial_velocity
from kanpde.reference import exact


def problem(c: float = 2.0) -> Problem:
    def start(at):
        return sin(pi * at.x) + 0.5 * sin(4 * pi * at.x)

    def solution(at):
        return sin(pi * at.x) * cos(c * pi * at.t) + 0.5 * sin(4 * pi * at.x) * cos(4 * c * pi * at.t)

    def wave(u, at):
        return u.d("tt") - c**2 * u.d("xx")

    return Problem(
        geometry=Box(x=(0, 1), t=(0, 1)),
        equations={"wave": wave},
        conditions={"start": initial(start), "at rest": initial_velocity(0.0), "walls": dirichlet("x", 0.0)},
        reference=exact(solution),
    )
