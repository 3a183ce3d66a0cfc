"""First arrivals of waves from a point source where the speed grows linearly with depth: the factored eikonal equation.

|grad T|^2 = 1 / c^2 with c = c_0 + g y on (0, 2)^2 and T = 0 at the source (1, 1). T = T_0 u with the arrivals T_0 =
r / c_s of a medium as fast as at the source, so that u is smooth and 1 there: T_0^2 |grad u|^2 + 2 T_0 u grad T_0 .
grad u + u^2 / c_s^2 = 1 / c^2. Source: bin Waheed, Haghighat, Alkhalifah, Song & Hao 2021, PINNeik: Eikonal Solution
Using Physics-Informed Neural Networks; the closed form is that of Slotnick 1959, Lessons in Seismic Computing.
"""

import torch

from kanpde import Box, Problem, observe
from kanpde.reference import exact

SOURCE = (1.0, 1.0)


def problem(slowest: float = 2.0, gradient: float = 0.5) -> Problem:
    at_source = slowest + gradient * SOURCE[1]

    def speed(at):
        return slowest + gradient * at.y

    def square(at):
        return (at.x - SOURCE[0]) ** 2 + (at.y - SOURCE[1]) ** 2

    def solution(at):
        # T = (2 / g) asinh(g r / (2 sqrt(c c_s))), and asinh(q) / q is 1 - q^2 / 6 where q = 0.
        q2 = gradient**2 * square(at) / (4 * speed(at) * at_source)
        q = q2.clamp_min(1e-12).sqrt()
        return torch.where(q2 > 1e-9, torch.asinh(q) / q, 1 - q2 / 6) * torch.sqrt(at_source / speed(at))

    def arrivals(u, at):
        r2, u_x, u_y = square(at), u.d("x"), u.d("y")
        along = (at.x - SOURCE[0]) * u_x + (at.y - SOURCE[1]) * u_y
        return (r2 * (u_x**2 + u_y**2) + 2 * u * along + u**2) / at_source**2 - 1 / speed(at) ** 2

    return Problem(
        geometry=Box(x=(0, 2), y=(0, 2)),
        equations={"arrivals": arrivals},
        constraints={"source": observe([SOURCE], [1.0])},
        reference=exact(solution),
    )
