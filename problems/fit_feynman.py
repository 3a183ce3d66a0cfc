"""Fit a physical law from samples: 27 laws of the Feynman lectures in dimensionless form, `law=` by its number.

u(a, b, ...) from `samples` random points of a box, with normal errors of a size `noise` relative to the standard
deviation of the values. Source: Udrescu & Tegmark 2020, AI Feynman, in the dimensionless form of Liu et al. 2024, KAN:
Kolmogorov-Arnold Networks, table 2. The ranges are our own: each law is smooth on its box.
"""

from collections.abc import Callable
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor, arcsin, cos, exp, log, sin, sqrt

from kanpde import Box, Points, Problem, sampled
from kanpde.errors import unknown_name
from kanpde.reference import exact


class Law(NamedTuple):
    """A formula and the range of each of its variables."""

    formula: Callable[[Points], Tensor]
    ranges: dict[str, tuple[float, float]]


def gauss(distance: Tensor, sigma: Tensor) -> Tensor:
    return exp(-(distance**2) / (2 * sigma**2)) / sqrt(2 * pi * sigma**2)


ANGLE, HALF = (0.0, 2 * pi), (0.2, pi - 0.2)
LAWS = {
    "I.6.2": Law(lambda at: gauss(at.theta, at.sigma), {"theta": (-1, 1), "sigma": (0.5, 2)}),
    "I.6.2b": Law(
        lambda at: gauss(at.theta - at.theta1, at.sigma), {"theta": (-1, 1), "theta1": (-1, 1), "sigma": (0.5, 2)}
    ),
    "I.9.18": Law(
        lambda at: at.a / ((at.b - 1) ** 2 + (at.c - at.d) ** 2 + (at.e - at.f) ** 2),
        {"a": (0, 1), "b": (-1, 0), "c": (0, 1), "d": (2, 3), "e": (0, 1), "f": (2, 3)},
    ),
    "I.12.11": Law(lambda at: 1 + at.a * sin(at.theta), {"a": (0, 1), "theta": ANGLE}),
    "I.13.12": Law(lambda at: at.a * (1 / at.b - 1), {"a": (0, 1), "b": (0.5, 2)}),
    "I.15.3x": Law(lambda at: (1 - at.a) / sqrt(1 - at.b**2), {"a": (0, 1), "b": (-0.8, 0.8)}),
    "I.16.6": Law(lambda at: (at.a + at.b) / (1 + at.a * at.b), {"a": (-0.9, 0.9), "b": (-0.9, 0.9)}),
    "I.18.4": Law(lambda at: (1 + at.a * at.b) / (1 + at.a), {"a": (0, 2), "b": (-1, 1)}),
    "I.26.2": Law(lambda at: arcsin(at.n * sin(at.theta)), {"n": (0, 0.95), "theta": (0, pi / 2)}),
    "I.27.6": Law(lambda at: 1 / (1 + at.a * at.b), {"a": (0, 2), "b": (0, 2)}),
    "I.29.16": Law(
        lambda at: sqrt(1 + at.a**2 - 2 * at.a * cos(at.theta1 - at.theta2)),
        {"a": (1.5, 3), "theta1": (-1, 1), "theta2": (-1, 1)},
    ),
    "I.30.3": Law(lambda at: (sin(at.n * at.theta / 2) / sin(at.theta / 2)) ** 2, {"n": (1, 4), "theta": HALF}),
    "I.30.5": Law(lambda at: arcsin(at.a / at.n), {"a": (-1, 1), "n": (1.2, 3)}),
    "I.37.4": Law(lambda at: 1 + at.a + 2 * sqrt(at.a) * cos(at.delta), {"a": (0.1, 2), "delta": ANGLE}),
    "I.40.1": Law(lambda at: at.n0 * exp(-at.a), {"n0": (0, 1), "a": (0, 2)}),
    "I.44.4": Law(lambda at: at.n * log(at.a), {"n": (0, 1), "a": (0.5, 3)}),
    "I.50.26": Law(lambda at: cos(at.a) + at.alpha * cos(at.a) ** 2, {"a": ANGLE, "alpha": (0, 1)}),
    "II.2.42": Law(lambda at: (at.a - 1) * at.b, {"a": (0, 2), "b": (0, 1)}),
    "II.6.15a": Law(lambda at: at.c * sqrt(at.a**2 + at.b**2) / (4 * pi), {"a": (0.2, 1), "b": (0.2, 1), "c": (0, 1)}),
    "II.11.7": Law(lambda at: at.n0 * (1 + at.a * cos(at.theta)), {"n0": (0, 1), "a": (0, 1), "theta": ANGLE}),
    "II.11.27": Law(lambda at: at.n * at.alpha / (1 - at.n * at.alpha / 3), {"n": (0, 1), "alpha": (0, 2)}),
    "II.35.18": Law(lambda at: at.n0 / (exp(at.a) + exp(-at.a)), {"n0": (0, 1), "a": (-2, 2)}),
    "II.36.38": Law(lambda at: at.a + at.alpha * at.b, {"a": (0, 1), "alpha": (0, 2), "b": (0, 1)}),
    "II.38.3": Law(lambda at: at.a / at.b, {"a": (0, 1), "b": (0.5, 2)}),
    "III.9.52": Law(
        lambda at: at.a * torch.sinc((at.b - at.c) / (2 * pi)) ** 2, {"a": (0, 1), "b": (0, 4), "c": (0, 4)}
    ),
    "III.10.19": Law(lambda at: sqrt(1 + at.a**2 + at.b**2), {"a": (-2, 2), "b": (-2, 2)}),
    "III.17.37": Law(
        lambda at: at.beta * (1 + at.alpha * cos(at.theta)), {"alpha": (0, 1), "beta": (0, 1), "theta": ANGLE}
    ),
}
"""I.16.6 adds velocities, I.26.2 is Snell's law, I.29.16 a distance, I.37.4 interference."""


def problem(law: str = "I.16.6", samples: int = 1000, noise: float = 0.0, seed: int = 0) -> Problem:
    if law not in LAWS:
        raise unknown_name("law", law, LAWS)
    formula, ranges = LAWS[law]
    box = Box(**ranges)
    return Problem(
        geometry=box,
        constraints={"samples": sampled(formula, box, samples, noise=noise, seed=seed)},
        reference=exact(formula),
    )
