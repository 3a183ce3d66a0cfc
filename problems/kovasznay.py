"""Kovasznay's flow behind a grid: the steady Navier-Stokes equations at Reynolds number 40.

u u_x + v u_y + p_x = (u_xx + u_yy) / Re, u v_x + v v_y + p_y = (v_xx + v_yy) / Re, u_x + v_y = 0 on
(-0.5, 1) x (-0.5, 1.5), velocities from the solution on all faces, pressure from it at the outlet x = 1. Source:
Kovasznay 1948, Laminar Flow behind a Two-Dimensional Grid.
"""

from math import pi, sqrt

from torch import cos, exp, sin

from kanpde import Box, Problem, dirichlet
from kanpde.reference import exact


def problem(reynolds: float = 40.0) -> Problem:
    rate = reynolds / 2 - sqrt(reynolds**2 / 4 + 4 * pi**2)

    def velocity_x(at):
        return 1 - exp(rate * at.x) * cos(2 * pi * at.y)

    def velocity_y(at):
        return rate / (2 * pi) * exp(rate * at.x) * sin(2 * pi * at.y)

    def pressure(at):
        return (1 - exp(2 * rate * at.x)) / 2

    def momentum_x(u, v, p, at):
        return u * u.d("x") + v * u.d("y") + p.d("x") - (u.d("xx") + u.d("yy")) / reynolds

    def momentum_y(u, v, p, at):
        return u * v.d("x") + v * v.d("y") + p.d("y") - (v.d("xx") + v.d("yy")) / reynolds

    def continuity(u, v, at):
        return u.d("x") + v.d("y")

    return Problem(
        geometry=Box(x=(-0.5, 1), y=(-0.5, 1.5)),
        equations={"momentum_x": momentum_x, "momentum_y": momentum_y, "continuity": continuity},
        conditions={
            "u": dirichlet("all", velocity_x, unknown="u"),
            "v": dirichlet("all", velocity_y, unknown="v"),
            "outlet": dirichlet("x+", pressure, unknown="p"),
        },
        reference=exact(velocity_x, velocity_y, pressure),
    )
