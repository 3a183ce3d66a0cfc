"""Five Gaussian bumps on a line, from samples that are shown bump after bump: `phase=1` to 5, or 0 for all at once.

u(x) on (-1, 1), the sum of exp(-300 (x - c)^2) about five centres, each with `samples` evenly spaced points in its
fifth of the line. `experiment=continual` trains on one phase after the other. Source: Liu et al. 2024, KAN:
Kolmogorov-Arnold Networks, section 3.5 (continual learning, five bumps on a line); widths and places are our own.
"""

import torch
from torch import exp

from kanpde import Box, KanpdeError, Problem, observe
from kanpde.reference import exact

CENTRES = (-0.8, -0.4, 0.0, 0.4, 0.8)
HALF = 0.2
"""Half the length of the part of the line in which a bump is shown."""


def problem(phase: int = 0, samples: int = 100) -> Problem:
    if not 0 <= phase <= len(CENTRES):
        raise KanpdeError(f"phase={phase}: give 1 to {len(CENTRES)}, or 0 for all of them.")
    if samples < 2:
        raise KanpdeError(f"samples={samples}: give at least 2.")

    def bumps(at):
        return sum(exp(-300 * (at.x - centre) ** 2) for centre in CENTRES)

    shown = CENTRES[phase - 1 : phase] if phase else CENTRES
    steps = HALF * (2 * torch.arange(samples, dtype=torch.float64) + 1 - samples) / samples
    x = torch.cat([centre + steps for centre in shown])
    values = sum(exp(-300 * (x - centre) ** 2) for centre in CENTRES)
    return Problem(
        geometry=Box(x=(-1, 1)),
        constraints={"samples": observe(x[:, None], values)},
        reference=exact(bumps),
    )
