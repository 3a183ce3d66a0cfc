"""The heat equation in a square plate between two cold and two insulated edges.

u_t = alpha (u_xx + u_yy) on (0, 1)^2 x (0, 1), u = 0 at x = 0 and x = 1, u_y = 0 at y = 0 and y = 1, u = sin(pi x) (1
+ cos(pi y)) + sin(3 pi x) cos(2 pi y) / 2 at t = 0. Source: the separable Fourier solution, for example Carslaw &
Jaeger 1959, Conduction of Heat in Solids, chapter 5.
"""

from math import pi

from torch import cos, exp, sin

from kanpde import Box, Problem, dirichlet, initial, neumann
from kanpde.reference import exact

MODES = ((1.0, 1, 0), (1.0, 1, 1), (0.5, 3, 2))
"""Amplitude and half waves along x and y."""


def problem(alpha: float = 0.1) -> Problem:
    def start(at):
        return sum(a * sin(m * pi * at.x) * cos(n * pi * at.y) for a, m, n in MODES)

    def solution(at):
        return sum(
            a * sin(m * pi * at.x) * cos(n * pi * at.y) * exp(-alpha * (m**2 + n**2) * pi**2 * at.t)
            for a, m, n in MODES
        )

    def heat(u, at):
        return u.d("t") - alpha * (u.d("xx") + u.d("yy"))

    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1), t=(0, 1)),
        equations={"heat": heat},
        conditions={"start": initial(start), "cold": dirichlet("x", 0.0), "insulated": neumann("y", 0.0)},
        reference=exact(solution),
    )
