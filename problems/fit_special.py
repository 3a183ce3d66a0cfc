"""Fit a special function of two variables from samples, `function=`: elliptic, Bessel, Legendre, harmonics.

u(x, y) from `samples` random points, with normal errors of a size `noise` relative to the standard deviation of the
values. Source: Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, table 1 (15 functions); values are those of SciPy. The
ranges are our own.
"""

from collections.abc import Callable
from math import factorial, pi, sqrt
from typing import NamedTuple

import numpy as np
from scipy import special

from kanpde import Box, Problem, sampled
from kanpde.errors import unknown_name
from kanpde.reference import pointwise


class Function(NamedTuple):
    """A function of two variables, their names and their ranges."""

    values: Callable[..., np.ndarray]
    ranges: dict[str, tuple[float, float]]


def harmonic(m: int, n: int) -> Callable[..., np.ndarray]:
    """Return the real part of the spherical harmonic of the order m and the degree n, of azimuth and polar angle."""
    size = sqrt((2 * n + 1) / (4 * pi) * factorial(n - m) / factorial(n + m))
    return lambda azimuth, polar: size * special.lpmv(m, n, np.cos(polar)) * np.cos(m * azimuth)


BESSEL, SPHERE = {"order": (0, 2), "x": (0.5, 6)}, {"azimuth": (0, 2 * pi), "polar": (0, pi)}
LEGENDRE, AMPLITUDE = {"degree": (0, 4), "x": (-0.9, 0.9)}, {"phi": (0, pi / 2), "m": (0, 0.9)}
FUNCTIONS = {
    "ellipj": Function(lambda u, m: special.ellipj(u, m)[0], {"argument": (0, 6), "m": (0, 0.9)}),
    "ellipkinc": Function(special.ellipkinc, AMPLITUDE),
    "ellipeinc": Function(special.ellipeinc, AMPLITUDE),
    "jv": Function(special.jv, BESSEL),
    "yv": Function(special.yv, BESSEL),
    "kv": Function(special.kv, BESSEL),
    "iv": Function(special.iv, BESSEL),
    **{f"lpmv_m{m}": Function(lambda v, x, m=m: special.lpmv(m, v, x), LEGENDRE) for m in (0, 1, 2)},
    **{f"sph_harm_m{m}_n{n}": Function(harmonic(m, n), SPHERE) for m, n in ((0, 1), (1, 1), (0, 2), (1, 2), (2, 2))},
}


def problem(function: str = "jv", samples: int = 1000, noise: float = 0.0, seed: int = 0) -> Problem:
    if function not in FUNCTIONS:
        raise unknown_name("function", function, FUNCTIONS)
    of, ranges = FUNCTIONS[function]
    box = Box(**ranges)
    reference = pointwise(of)
    return Problem(
        geometry=box,
        constraints={"samples": sampled(reference, box, samples, noise=noise, seed=seed)},
        reference=reference,
    )
