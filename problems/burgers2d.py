"""Burgers' equations for a velocity in the plane, which steepens into crossing fronts.

u_t + u u_x + v u_y = nu Lap u, v_t + u v_x + v v_y = nu Lap v on (0, 1)^2 x (0, 0.5), periodic in x and y,
u = sin(2 pi x) cos(2 pi y) and v = cos(2 pi x) sin(2 pi y) at t = 0. Source: Fletcher 1983, Generating Exact Solutions
of the Two-Dimensional Burgers' Equations, for velocities that have a potential, as this one.
"""

from math import pi

from torch import cos, sin

from kanpde import Box, Problem, initial, periodic
from kanpde.reference import fourier


def problem(nu: float = 0.02, end: float = 0.5) -> Problem:
    box = Box(x=(0, 1), y=(0, 1), t=(0, end))

    def start_u(at):
        return sin(2 * pi * at.x) * cos(2 * pi * at.y)

    def start_v(at):
        return cos(2 * pi * at.x) * sin(2 * pi * at.y)

    def transport(w, u, v):
        return u * w.d("x") + v * w.d("y")

    def momentum_x(u, v, at):
        return u.d("t") + transport(u, u, v) - nu * (u.d("xx") + u.d("yy"))

    def momentum_y(u, v, at):
        return v.d("t") + transport(v, u, v) - nu * (v.d("xx") + v.d("yy"))

    return Problem(
        geometry=box,
        equations={"momentum_x": momentum_x, "momentum_y": momentum_y},
        conditions={
            "start_u": initial(start_u, unknown="u"),
            "start_v": initial(start_v, unknown="v"),
            "sides_x": periodic("x"),
            "sides_y": periodic("y"),
        },
        reference=fourier(
            box,
            linear=lambda dx, dy: nu * (dx**2 + dy**2),
            nonlinear=lambda u, v, at: [-transport(u, u, v), -transport(v, u, v)],
            start=[start_u, start_v],
            modes=32,
            steps=200,
            snapshots=80,
            points=3,
        ),
    )
