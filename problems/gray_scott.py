"""The Gray-Scott equations: two chemicals that diffuse and react form spots that divide.

u_t = 0.2 Lap u + 40 (1 - u) - 1000 u v^2, v_t = 0.1 Lap v - 100 v + 1000 u v^2 on (-1, 1)^2 x (0, 0.2), periodic in
x and y, u = 1 - exp(-10 (x + 0.05)^2 - 10 (y + 0.02)^2) and v = exp(-10 (x - 0.05)^2 - 10 (y - 0.02)^2) at t = 0.
Source: Wang, Li, Chen & Perdikaris 2024, PirateNets: Physics-Informed Deep Learning with Residual Adaptive Networks,
which goes on to t = 2. The Gaussians are summed over their periodic images; alone they would jump by 1e-4 at the sides.
"""

from torch import exp

from kanpde import Box, Problem, initial, periodic
from kanpde.reference import fourier


def problem(feed: float = 40.0, kill: float = 60.0, end: float = 0.2) -> Problem:
    box = Box(x=(-1, 1), y=(-1, 1), t=(0, end))

    def bump(z):
        return sum(exp(-10 * (z - image) ** 2) for image in (-4, -2, 0, 2, 4))

    def start_u(at):
        return 1 - bump(at.x + 0.05) * bump(at.y + 0.02)

    def start_v(at):
        return bump(at.x - 0.05) * bump(at.y - 0.02)

    def substrate(u, v, at):
        return u.d("t") - 0.2 * (u.d("xx") + u.d("yy")) - feed * (1 - u) + 1000 * u * v**2

    def catalyst(u, v, at):
        return v.d("t") - 0.1 * (v.d("xx") + v.d("yy")) + (feed + kill) * v - 1000 * u * v**2

    return Problem(
        geometry=box,
        equations={"substrate": substrate, "catalyst": catalyst},
        conditions={
            "start_u": initial(start_u, unknown="u"),
            "start_v": initial(start_v, unknown="v"),
            "sides_x": periodic("x"),
            "sides_y": periodic("y"),
        },
        reference=fourier(
            box,
            linear=[
                lambda dx, dy: 0.2 * (dx**2 + dy**2) - feed,
                lambda dx, dy: 0.1 * (dx**2 + dy**2) - (feed + kill),
            ],
            nonlinear=lambda u, v, at: [feed - 1000 * u * v**2, 1000 * u * v**2],
            start=[start_u, start_v],
            modes=96,
            steps=150,
            snapshots=30,
            halvings=5,
            points=2,
        ),
    )
