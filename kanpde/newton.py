"""Damped Gauss-Newton for tensor products of splines, whose normal equations are a band."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from kanpde import processes
from kanpde.banded import Band
from kanpde.model.tensor import TensorSplines
from kanpde.residual import Residuals

FIRST_DAMPING, LEAST_DAMPING = 1e-12, 1e-16
"""Relative to the diagonal. Coefficients enter linearly, so it is against rounding, and rarely against overshoots."""
FACTOR = 100.0
"""What damping falls by after a step that lowers the loss, and grows by after one that does not."""
TRIALS = 8
HALVINGS = 5
SLOW = 0.5
"""A whole step that leaves so much of the loss is the last one."""
STUCK = 0.9
"""The same for a shortened step."""

Note = Callable[[float], bool]


@dataclass(frozen=True)
class Normal:
    """The loss, the gradient J^T r (P,), and J^T J = A + V^T V with a band A and the dense rows V of constraints."""

    loss: float
    gradient: Tensor
    band: Band
    rows: Tensor


def normal_equations(residuals: Residuals, splines: TensorSplines, theta: Tensor) -> Normal:
    """Return the normal equations of residuals on tensor products of splines with coefficients theta (P,).

    They are sums over the points of all processes.
    """
    band = Band(splines.parameters, splines.bandwidth, theta)
    gradient, loss = torch.zeros_like(theta), 0.0
    rows: list[Tensor] = []
    line = splines.fast.size * splines.outputs
    for batch, residual, adjoints, first, _ in residuals.adjoints(theta):
        loss += 0.5 * float(residual.square().sum())
        if batch.groups is not None:
            v = splines.rows(batch.indices, first, adjoints[0], batch.groups.coefficients.shape[1])
            rows.append(v)
            gradient += v.T @ residual[0]
            continue
        for part in batch.parts:
            blocks = [splines.block(batch.indices, first, adjoint, part) for adjoint in adjoints]
            _, slow, fast = blocks[0]
            j = torch.cat([block.flatten(2) for block, _, _ in blocks])
            m, w = j.shape[1:]
            j = j.flatten(1)
            start = slow * line + fast * splines.outputs
            gradient.as_strided((m, w), (line, 1), start).add_((residual[:, part].reshape(-1) @ j).view(m, w))
            band.add(start, line, (j.T @ j).view(m, w, m, w))
    band.sum_over_processes()
    dense = processes.gathered(torch.cat(rows) if rows else theta.new_zeros(0, len(theta)))
    return Normal(processes.total(loss), processes.summed(gradient), band, dense)


def newton(
    residuals: Residuals, splines: TensorSplines, theta: Tensor, limit: int, goal: float, note: Note, fixed: int = 0
) -> tuple[Tensor, float]:
    """Return coefficients (P,) that minimise the loss, as far as `limit` iterations lead, and that loss.

    The first `fixed` of them stay what they are.
    It ends when the loss falls slowly, or not at all, or below `goal`, and when `note` is true, which gets the loss of
    each iteration. Coefficients whose loss is not finite are never taken.
    """
    damping, loss = FIRST_DAMPING, residuals.loss(theta)
    for _ in range(limit):
        normal = normal_equations(residuals, splines, theta)
        for _ in range(TRIALS):
            step = normal.band.solve(-normal.gradient, damping, normal.rows, fixed)
            length, reached = (0.0, loss) if step is None else shortened(residuals, theta, step, loss)
            if length:
                break
            damping = max(damping * FACTOR, FIRST_DAMPING)
        slow = reached > (SLOW if length == 1 else STUCK) * loss
        if step is not None and length:
            theta, loss, damping = theta + length * step, reached, max(damping / FACTOR, LEAST_DAMPING)
        if note(loss) or slow or loss < goal:
            break
    return theta, loss


def shortened(residuals: Residuals, theta: Tensor, step: Tensor, loss: float) -> tuple[float, float]:
    """Return the length 1, 1/2, .. at which a step lowers the loss, and the loss there; 0 if none does.

    Where equations amplify what is changed early, steps go too far along directions that hardly change the residual,
    and damping would take just these out.
    """
    for halvings in range(HALVINGS):
        length = 0.5**halvings
        reached = residuals.loss(theta + length * step)
        if isfinite(reached) and reached < loss:
            return length, reached
    return 0.0, loss
