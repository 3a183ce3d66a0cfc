"""Two classes, points about two half circles that interlock: labels 0 and 1, with `noise` as the scatter.

u(x, y) is the logit of label 1. Label 0: (cos a, sin a). Label 1: (1 - cos a, 1/2 - sin a). a is even in (0, pi), and
both coordinates have normal errors of the standard deviation `noise`. The `tests` test points are drawn with another
seed. Source: the two moons of clustering and classification (Pedregosa et al. 2011, Scikit-learn, make_moons).
"""

import torch
from torch import Tensor, cos, pi, sin

from kanpde import Box, KanpdeError, Problem, classify
from kanpde.reference import labelled

LOWER, UPPER = (-2.0, -1.5), (3.0, 2.0)
TEST_SEED = 1_000_003


def drawn(count: int, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return points (N, 2) within the box and their labels (N,), half of each class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    a = pi * torch.rand(count, generator=generator, dtype=torch.float64)
    first = torch.stack([cos(a), sin(a)], dim=1)
    second = torch.stack([1 - cos(a), 0.5 - sin(a)], dim=1)
    exactly = torch.where(labels[:, None] == 1, second, first)
    points = exactly + noise * torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return points.clamp(torch.tensor(LOWER), torch.tensor(UPPER)), labels


def problem(samples: int = 500, noise: float = 0.15, seed: int = 0, tests: int = 1000) -> Problem:
    if samples < 20 or tests < 1:
        raise KanpdeError(f"samples={samples}, tests={tests}: give at least 20 samples and 1 test point.")
    if not 0 <= noise <= 0.5:
        raise KanpdeError(f"noise={noise}: the scatter lies between 0 and 0.5.")
    points, labels = drawn(samples, noise, seed)
    tested, expected = drawn(tests, noise, TEST_SEED + seed)
    return Problem(
        geometry=Box(x=(LOWER[0], UPPER[0]), y=(LOWER[1], UPPER[1])),
        constraints={"labels": classify(points, labels)},
        reference=labelled({"x": tested[:, 0], "y": tested[:, 1]}, expected),
    )
