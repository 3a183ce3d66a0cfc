"""The Kuramoto-Sivashinsky equation: a smooth wave breaks up into chaos.

u_t + alpha u u_x + beta u_xx + gamma u_xxxx = 0 on (0, 2 pi) x (0, 1), periodic in x, u = cos(x) (1 + sin(x)) at t = 0;
alpha = 100 / 16, beta = 100 / 16^2, gamma = 100 / 16^4. Source: Hao et al. 2024, PINNacle: A Comprehensive Benchmark of
Physics-Informed Neural Networks for Solving PDEs; in units of its own the equation of Kassam & Trefethen 2005.
"""

from math import ceil, pi

from torch import cos, sin

from kanpde import Box, Problem, initial, periodic
from kanpde.reference import fourier


def problem(
    alpha: float = 100 / 16, beta: float = 100 / 16**2, gamma: float = 100 / 16**4, end: float = 1.0
) -> Problem:
    box = Box(x=(0, 2 * pi), t=(0, end))

    def start(at):
        return cos(at.x) * (1 + sin(at.x))

    def balance(u, at):
        return u.d("t") + alpha * u * u.d("x") + beta * u.d("xx") + gamma * u.d("xxxx")

    return Problem(
        geometry=box,
        equations={"balance": balance},
        conditions={"start": initial(start), "circle": periodic("x")},
        reference=fourier(
            box,
            linear=lambda d: -beta * d**2 - gamma * d**4,
            nonlinear=lambda u, at: -alpha * u * u.d("x"),
            start=start,
            modes=112,
            steps=ceil(12000 * end),
            snapshots=800,
            points=3,
        ),
    )
