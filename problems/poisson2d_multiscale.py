"""Poisson's equation with waves of several lengths: the mean of sin(w pi x) sin(w pi y) over w = 2, 4, ..., 2^scales.

-(u_xx + u_yy) = f on (0, 1)^2, u = 0 on the boundary. Source: set-up of our own, after the multi-scale Laplacian
problem of Dolean, Heinlein, Mishra & Moseley 2024, Multilevel Domain Decomposition-Based Architectures for
Physics-Informed Neural Networks.
"""

from math import pi

from torch import sin

from kanpde import Box, Problem, dirichlet
from kanpde.reference import exact


def problem(scales: int = 4) -> Problem:
    numbers = [2**j for j in range(1, scales + 1)]

    def wave(w, at):
        return sin(w * pi * at.x) * sin(w * pi * at.y)

    def solution(at):
        return sum(wave(w, at) for w in numbers) / scales

    def poisson(u, at):
        return -(u.d("xx") + u.d("yy")) - sum(2 * (w * pi) ** 2 * wave(w, at) for w in numbers) / scales

    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1)),
        equations={"poisson": poisson},
        conditions={"walls": dirichlet("all", 0.0)},
        reference=exact(solution),
    )
