"""The Allen-Cahn equation: two phases, -1 and 1, grow and leave steep fronts between them.

u_t = e u_xx + 5 u - 5 u^3 on (-1, 1) x (0, 1), periodic in x, u = x^2 cos(pi x) at t = 0. Source: Raissi, Perdikaris &
Karniadakis 2019, Physics-Informed Neural Networks (e = 0.0001).

The periodic initial value has a kink at x = 1: it is -1 + 2 s to first order, s = 1 - |x|. The heat equation rounds 2 s
off at once, to r = 2 s erf(s / w) + 2 w exp(-s^2 / w^2) / sqrt(pi) with w = sqrt(4 e t), and the reaction, linear
around -1, lets r decay like exp(-10 t). The lift is the initial value with exp(-10 t) r for the kink 2 s. It goes over
into 2 s exp(-25 s^2) away from the kink.
"""

from math import pi

from torch import cos, exp, sin, special, sqrt

from kanpde import Box, Problem, initial, periodic
from kanpde.reference import fourier


def problem(e: float = 0.0001) -> Problem:
    box = Box(x=(-1, 1), t=(0, 1))

    def start(at):
        return at.x**2 * cos(pi * at.x)

    def kink(at):
        s = 1 - at.x.abs()
        return 2 * s * exp(-25 * s**2)

    def rounding(at):  # r - 2 s
        s, w = 1 - at.x.abs(), sqrt((4 * e * at.t).clamp_min(1e-200))
        return 2 * (w * exp(-((s / w) ** 2)) / pi**0.5 - s * special.erfc(s / w))

    def lift(at):
        decay = exp(-10 * at.t)
        return start(at) + decay * rounding(at) + (decay - 1) * kink(at)

    def allen_cahn(u, at):
        return u.d("t") - e * u.d("xx") - 5 * u + 5 * u**3

    def rest(v, at):
        u, decay, s = lift(at) + v, exp(-10 * at.t), 1 - at.x.abs()
        start_xx = (2 - pi**2 * at.x**2) * cos(pi * at.x) - 4 * pi * at.x * sin(pi * at.x)
        kink_xx = (5000 * s**3 - 300 * s) * exp(-25 * s**2)
        left = e * start_xx + (decay - 1) * e * kink_xx + 10 * decay * (rounding(at) + kink(at))  # e lift_xx - lift_t
        return left + 5 * u - 5 * u**3

    return Problem(
        geometry=box,
        equations={"allen_cahn": allen_cahn},
        conditions={"start": initial(start, lift=lift), "sides": periodic("x")},
        reference=fourier(box, linear=lambda d: e * d**2, nonlinear=rest, start=0.0, lift=lift, modes=1024, steps=400),
    )
