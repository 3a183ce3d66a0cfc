"""The Taylor-Green vortices: the unsteady Navier-Stokes equations on a periodic square, whose vortices die away.

u_t + u u_x + v u_y + p_x = nu (u_xx + u_yy), v_t + u v_x + v v_y + p_y = nu (v_xx + v_yy), u_x + v_y = 0 on (-pi,
pi)^2 x (0, end), periodic, velocities from the solution at t = 0, and the mean of p is 0 at all times. Source: Taylor
& Green 1937, Mechanism of the Production of Small Eddies from Large Ones; nu = 0.01 as in Chuang & Barba 2022,
Experience Report of Physics-Informed Neural Networks in Fluid Simulations.
"""

from math import pi

from torch import cos, exp, sin

from kanpde import Box, Problem, initial, mean, periodic
from kanpde.reference import exact


def problem(nu: float = 0.01, end: float = 10.0) -> Problem:
    def velocity_x(at):
        return cos(at.x) * sin(at.y) * exp(-2 * nu * at.t)

    def velocity_y(at):
        return -sin(at.x) * cos(at.y) * exp(-2 * nu * at.t)

    def pressure(at):
        return -(cos(2 * at.x) + cos(2 * at.y)) / 4 * exp(-4 * nu * at.t)

    def momentum_x(u, v, p, at):
        return u.d("t") + u * u.d("x") + v * u.d("y") + p.d("x") - nu * (u.d("xx") + u.d("yy"))

    def momentum_y(u, v, p, at):
        return v.d("t") + u * v.d("x") + v * v.d("y") + p.d("y") - nu * (v.d("xx") + v.d("yy"))

    def continuity(u, v, at):
        return u.d("x") + v.d("y")

    return Problem(
        geometry=Box(x=(-pi, pi), y=(-pi, pi), t=(0, end)),
        equations={"momentum_x": momentum_x, "momentum_y": momentum_y, "continuity": continuity},
        conditions={
            "x": periodic("x"),
            "y": periodic("y"),
            "u": initial(lambda at: cos(at.x) * sin(at.y), unknown="u"),
            "v": initial(lambda at: -sin(at.x) * cos(at.y), unknown="v"),
        },
        constraints={"pressure": mean("p")},
        reference=exact(velocity_x, velocity_y, pressure),
    )
