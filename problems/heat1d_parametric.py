"""The heat equation with any diffusivity in an interval: the solution is one function of x, t and nu.

u_t = nu u_xx on (0, 1) x (0, 1), nu in (0.01, 0.1), u = 0 at the walls, u = sin(pi x) + sin(3 pi x) / 2 at t = 0.
Source: set-up of our own with the separable Fourier solution, for example Evans 2010, Partial Differential Equations,
section 2.3.
"""

from math import pi

from torch import exp, sin

from kanpde import Box, Problem, dirichlet, initial, parameter
from kanpde.reference import exact


def problem(least: float = 0.01, most: float = 0.1) -> Problem:
    def wave(k, at):
        return sin(k * pi * at.x)

    def solution(at):
        return sum(exp(-at.nu * (k * pi) ** 2 * at.t) * wave(k, at) / w for k, w in ((1, 1), (3, 2)))

    def heat(u, at):
        return u.d("t") - at.nu * u.d("xx")

    return Problem(
        geometry=Box(x=(0, 1), t=(0, 1)) * parameter(nu=(least, most)),
        equations={"heat": heat},
        conditions={"start": initial(lambda at: wave(1, at) + wave(3, at) / 2), "walls": dirichlet("x", 0.0)},
        reference=exact(solution),
    )
