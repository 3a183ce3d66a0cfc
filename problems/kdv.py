"""The Korteweg-de Vries equation: a cosine steepens and falls apart into solitons.

u_t + u u_x + delta u_xxx = 0 on (-1, 1) x (0, 1), periodic in x, u = cos(pi x) at t = 0. Source: Raissi, Perdikaris &
Karniadakis 2019, Physics-Informed Neural Networks (delta = 0.0025); the solitons are those of Zabusky &
Kruskal 1965.
"""

from math import pi

from torch import cos

from kanpde import Box, Problem, initial, periodic
from kanpde.reference import fourier


def problem(delta: float = 0.0025) -> Problem:
    box = Box(x=(-1, 1), t=(0, 1))

    def start(at):
        return cos(pi * at.x)

    def kdv(u, at):
        return u.d("t") + u * u.d("x") + delta * u.d("xxx")

    return Problem(
        geometry=box,
        equations={"kdv": kdv},
        conditions={"start": initial(start), "sides": periodic("x")},
        reference=fourier(
            box,
            linear=lambda d: -delta * d**3,
            nonlinear=lambda u, at: -u * u.d("x"),
            start=start,
            modes=256,
            steps=3000,
        ),
    )
