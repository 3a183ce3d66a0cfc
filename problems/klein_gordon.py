"""The nonlinear Klein-Gordon equation with the solution x cos(5 pi t) + (x t)^3.

u_tt - u_xx + u^3 = f on (0, 1) x (0, 1), u from the solution at the walls, u and u_t at t = 0. Source: Wang, Teng &
Perdikaris 2021, Understanding and Mitigating Gradient Flow Pathologies in PINNs.
"""

from math import pi

from torch import cos

from kanpde import Box, Problem, dirichlet, initial, initial_velocity
from kanpde.reference import exact


def problem() -> Problem:
    def solution(at):
        return at.x * cos(5 * pi * at.t) + (at.x * at.t) ** 3

    def source(at):
        u_tt = -((5 * pi) ** 2) * at.x * cos(5 * pi * at.t) + 6 * at.x**3 * at.t
        u_xx = 6 * at.x * at.t**3
        return u_tt - u_xx + solution(at) ** 3

    def klein_gordon(u, at):
        return u.d("tt") - u.d("xx") + u**3 - source(at)

    return Problem(
        geometry=Box(x=(0, 1), t=(0, 1)),
        equations={"klein_gordon": klein_gordon},
        conditions={
            "start": initial(lambda at: at.x),
            "at rest": initial_velocity(0.0),
            "walls": dirichlet("x", solution),
        },
        reference=exact(solution),
    )
