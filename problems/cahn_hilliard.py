"""The Cahn-Hilliard equation: a mixture separates into its two phases, -1 and 1, and keeps its mass.

u_t = (-a u_xx + u^3 - u)_xx on (-1, 1) x (0, 1), periodic in x, u = -cos(2 pi x) at t = 0, a = 0.02. Source: set-up of
our own, after Mattey & Ghosh 2022, A Novel Sequential Method to Train Physics Informed Neural Networks for Allen Cahn
and Cahn Hilliard Equations.
"""

from math import pi

from torch import cos

from kanpde import Box, Problem, initial, periodic
from kanpde.reference import fourier


def problem(a: float = 0.02) -> Problem:
    box = Box(x=(-1, 1), t=(0, 1))

    def start(at):
        return -cos(2 * pi * at.x)

    def cube_xx(u):
        return 3 * u**2 * u.d("xx") + 6 * u * u.d("x") ** 2

    def cahn_hilliard(u, at):
        return u.d("t") + a * u.d("xxxx") + u.d("xx") - cube_xx(u)

    return Problem(
        geometry=box,
        equations={"cahn_hilliard": cahn_hilliard},
        conditions={"start": initial(start), "sides": periodic("x")},
        reference=fourier(
            box,
            linear=lambda d: -a * d**4 - d**2,
            nonlinear=lambda u, at: cube_xx(u),
            start=start,
            modes=48,
            steps=150,
            snapshots=75,
            halvings=10,
        ),
    )
