"""Fit a function of one to five variables from samples: the examples of the KAN paper's scaling laws, `function=`.

bessel: J_0(20 x) on (0, 1). product: x y. exponential: exp(sin(pi x) + y^2). mean: exp(mean sin^2(pi x_i / 2)) in 4
dimensions, where the paper has 100. nested: exp((sin(pi (x1^2 + x2^2)) + sin(pi (x3^2 + x4^2))) / 2). All but the first
on (-1, 1)^d. Source: Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, section 3.1. The last two in 4 dimensions.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import exp, pi, sin
from scipy import special

from kanpde import Box, Problem, sampled
from kanpde.errors import unknown_name
from kanpde.reference import pointwise


class Function(NamedTuple):
    """A function of so many variables, each in the same range."""

    values: Callable[..., np.ndarray]
    dimension: int
    lower: float = -1.0


FUNCTIONS = {
    "bessel": Function(lambda x: special.j0(20 * x), 1, 0.0),
    "product": Function(lambda x, y: x * y, 2),
    "exponential": Function(lambda x, y: exp(sin(pi * x) + y**2), 2),
    "mean": Function(lambda *x: exp(sum(sin(pi * z / 2) ** 2 for z in x) / len(x)), 4),
    "nested": Function(lambda a, b, c, d: exp((sin(pi * (a**2 + b**2)) + sin(pi * (c**2 + d**2))) / 2), 4),
}


def problem(function: str = "exponential", samples: int = 3000, noise: float = 0.0, seed: int = 0) -> Problem:
    if function not in FUNCTIONS:
        raise unknown_name("function", function, FUNCTIONS)
    of, dimension, lower = FUNCTIONS[function]
    names = ("x", "y") if dimension <= 2 else tuple(f"x{number}" for number in range(1, dimension + 1))
    box = Box(**dict.fromkeys(names[:dimension], (lower, 1.0)))
    reference = pointwise(of)
    return Problem(
        geometry=box,
        constraints={"samples": sampled(reference, box, samples, noise=noise, seed=seed)},
        reference=reference,
    )
