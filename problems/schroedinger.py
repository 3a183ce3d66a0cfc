"""The nonlinear Schroedinger equation: two solitons in one place, which breathe.

i h_t + h_xx / 2 + |h|^2 h = 0 for h = u + i v on (-5, 5) x (0, pi / 2), h = 2 / cosh(x) at t = 0, at the walls the
values of the breather on the whole line. Source: Raissi, Perdikaris & Karniadakis 2019, Physics-Informed Neural
Networks, with periodic sides, where 2 / cosh(x) has kinks; the breather is that of Satsuma & Yajima 1974.
"""

from math import pi

from torch import cos, cosh, sin

from kanpde import Box, Problem, dirichlet, initial
from kanpde.reference import exact


def problem(end: float = pi / 2) -> Problem:
    # 4 e^(i t / 2) (cosh 3x + 3 e^(4 i t) cosh x) / (cosh 4x + 4 cosh 2x + 3 cos 4t)
    def amplitude(at):
        return 4 / (cosh(4 * at.x) + 4 * cosh(2 * at.x) + 3 * cos(4 * at.t))

    def real(at):
        return amplitude(at) * (cos(at.t / 2) * cosh(3 * at.x) + 3 * cos(9 * at.t / 2) * cosh(at.x))

    def imaginary(at):
        return amplitude(at) * (sin(at.t / 2) * cosh(3 * at.x) + 3 * sin(9 * at.t / 2) * cosh(at.x))

    def real_part(u, v, at):
        return -v.d("t") + u.d("xx") / 2 + (u**2 + v**2) * u

    def imaginary_part(u, v, at):
        return u.d("t") + v.d("xx") / 2 + (u**2 + v**2) * v

    return Problem(
        geometry=Box(x=(-5, 5), t=(0, end)),
        equations={"real": real_part, "imaginary": imaginary_part},
        conditions={
            "start_u": initial(lambda at: 2 / cosh(at.x), unknown="u"),
            "start_v": initial(0.0, unknown="v"),
            "walls_u": dirichlet("x", real, unknown="u"),
            "walls_v": dirichlet("x", imaginary, unknown="v"),
        },
        reference=exact(real, imaginary),
    )
