"""Flow past a cylinder in a channel: the steady benchmark 2D-1 at Reynolds number 20.

u u_x + v u_y + p_x = nu (u_xx + u_yy), u v_x + v v_y + p_y = nu (v_xx + v_yy), u_x + v_y = 0, nu = 0.001, on (0, 2.2) x
(0, 0.41) without the disk of radius 0.05 around (0.2, 0.2); u = 1.2 y (0.41 - y) / 0.41^2 and v = 0 at the inlet x = 0,
u = v = 0 on the walls and the cylinder, nu u_x = p and v_x = 0 at the outlet x = 2.2. Source: Schaefer & Turek 1996,
Benchmark Computations of Laminar Flow around a Cylinder: drag coefficient 5.5795, lift coefficient 0.010619, pressure
difference between (0.15, 0.2) and (0.25, 0.2) 0.11752.
"""

from kanpde import Box, Disk, Problem, condition, dirichlet, neumann
from kanpde.reference import taylor_hood


def problem(nu: float = 0.001) -> Problem:
    def momentum_x(u, v, p, at):
        return u * u.d("x") + v * u.d("y") + p.d("x") - nu * (u.d("xx") + u.d("yy"))

    def momentum_y(u, v, p, at):
        return u * v.d("x") + v * v.d("y") + p.d("y") - nu * (v.d("xx") + v.d("yy"))

    def continuity(u, v, at):
        return u.d("x") + v.d("y")

    channel = Box(x=(0, 2.2), y=(0, 0.41)) - Disk((0.2, 0.2), 0.05).named("cylinder")
    equations = {"momentum_x": momentum_x, "momentum_y": momentum_y, "continuity": continuity}
    conditions = {
        "outflow": condition("x+", lambda u, p, at: nu * u.d("x") - p),
        "straight": neumann("x+", 0.0, unknown="v"),
        "inflow": dirichlet("x-", lambda at: 1.2 * at.y * (0.41 - at.y) / 0.41**2, unknown="u"),
        "level": dirichlet("x-", 0.0, unknown="v"),
        "wall_u": dirichlet("y", 0.0, unknown="u"),
        "wall_v": dirichlet("y", 0.0, unknown="v"),
        "cylinder_u": dirichlet("cylinder", 0.0, unknown="u"),
        "cylinder_v": dirichlet("cylinder", 0.0, unknown="v"),
    }
    return Problem(
        geometry=channel,
        equations=equations,
        conditions=conditions,
        reference=taylor_hood(
            channel,
            equations,
            conditions,
            cells=80,
            towards=["cylinder", (2.2, 0.0), (2.2, 0.41)],
            levels=2,
            reach=4.0,
        ),
    )
