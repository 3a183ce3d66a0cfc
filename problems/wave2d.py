"""A square membrane with two standing waves.

u_tt = c^2 (u_xx + u_yy) on (0, 1)^2 x (0, 1), u = 0 at the walls, u = sin(pi x) sin(pi y) + sin(2 pi x) sin(3 pi y) /
2 and u_t = 0 at t = 0. Source: the separable solution, for example Courant & Hilbert 1953, Methods of Mathematical
Physics, chapter V, section 5.
"""

from math import pi, sqrt

from torch import cos, sin

from kanpde import Box, Problem, dirichlet, initial, initial_velocity
from kanpde.reference import exact


def problem(c: float = 1.0) -> Problem:
    def mode(m, n, at):
        return sin(m * pi * at.x) * sin(n * pi * at.y)

    def start(at):
        return mode(1, 1, at) + 0.5 * mode(2, 3, at)

    def solution(at):
        return mode(1, 1, at) * cos(sqrt(2) * c * pi * at.t) + 0.5 * mode(2, 3, at) * cos(sqrt(13) * c * pi * at.t)

    def wave(u, at):
        return u.d("tt") - c**2 * (u.d("xx") + u.d("yy"))

    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1), t=(0, 1)),
        equations={"wave": wave},
        conditions={"start": initial(start), "at rest": initial_velocity(0.0), "walls": dirichlet("all", 0.0)},
        reference=exact(solution),
    )
