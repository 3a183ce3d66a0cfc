"""A sine wave that moves around a circle at the speed beta.

u_t + beta u_x = 0 on (0, 2 pi) x (0, 1), periodic in x, u = sin(x) at t = 0. Source: Krishnapriyan et al. 2021,
Characterizing Possible Failure Modes in Physics-Informed Neural Networks (beta = 30).
"""

from math import pi

from torch import sin

from kanpde import Box, Problem, initial, periodic
from kanpde.reference import exact


def problem(beta: float = 30.0) -> Problem:
    def solution(at):
        return sin(at.x - beta * at.t)

    def advection(u, at):
        return u.d("t") + beta * u.d("x")

    return Problem(
        geometry=Box(x=(0, 2 * pi), t=(0, 1)),
        equations={"advection": advection},
        conditions={"start": initial(lambda at: sin(at.x)), "circle": periodic("x")},
        reference=exact(solution),
    )
