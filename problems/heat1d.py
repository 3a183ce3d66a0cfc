"""The heat equation with the solution exp(-alpha pi^2 t) sin(pi x).

u_t = alpha u_xx on (0, 1) x (0, 1), u = 0 at the walls, u = sin(pi x) at t = 0. Source: the separable Fourier
solution, for example Evans 2010, Partial Differential Equations, section 2.3.
"""

from math import pi

from torch import exp, sin

from kanpde import Box, Problem, dirichlet, initial
from kanpde.reference import exact


def problem(alpha: float = 1.0) -> Problem:
    def solution(at):
        return exp(-alpha * pi**2 * at.t) * sin(pi * at.x)

    def heat(u, at):
        return u.d("t") - alpha * u.d("xx")

    return Problem(
        geometry=Box(x=(0, 1), t=(0, 1)),
        equations={"heat": heat},
        conditions={"start": initial(lambda at: sin(pi * at.x)), "walls": dirichlet("x", 0.0)},
        reference=exact(solution),
    )
