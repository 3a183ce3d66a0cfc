"""A finite element solution: values and first derivatives anywhere in the domain, and an estimate of its error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy import ndarray
from scipy.optimize import brentq
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.geometry import Geometry
from kanpde.multiindex import IndexSet
from kanpde.problem import NotKnown, Reference
from kanpde.reference.fem.polynomials import PolynomialSpace
from kanpde.reference.fem.radau import in_time, in_time_slope

CHUNK = 50_000
TIMES = 24
SLOWEST = 0.5
"""The slowest rate of convergence that estimates count on."""


class FEM(Reference):
    """A finite element solution of a problem, steady or in time steps.

    `states` (step, node in time, unknown, dof) and `times` (step + 1) hold the solution; a steady one has one step with
    one node and no times. `dofs` counts what was solved for: free degrees of freedom in space, times three stages in
    every step. `seconds` are those of the set-up (mesh, element, conditions) and of the solution with its assembly.
    `coarser()` is the solution on half as many cells per side, None where there is no such mesh.
    `error` estimates the relative L2 error, of all unknowns together, from that and the next coarser one, see
    `richardson`. The rate of smooth solutions is order + 1 in space, at most 4 with curved
    boundaries and with time, where the coarser solutions have time tolerances looser by the same factor. Where there
    is one coarser mesh only, as of an imported mesh that is divided once, the rate is taken to be 1. The estimate holds
    once the mesh resolves the solution; before that (a front thinner than a cell) it can be too small.
    """

    error_source = "two or three resolutions"

    def __init__(
        self,
        name: str,
        space: PolynomialSpace,
        geometry: Geometry,
        states: ndarray,
        times: ndarray | None,
        *,
        dofs: int,
        seconds: dict[str, float],
        iterations: int,
        stopped: str,
        coarser: Callable[[], FEM | None],
    ) -> None:
        self.name = name
        self.space, self.names, self.states, self.times = space, geometry.names, states, times
        self._axes = [self.names.index(name) for name in geometry.space]
        self._time = None if geometry.time is None else self.names.index(geometry.time)
        self.dofs, self.seconds, self.iterations, self.stopped = dofs, seconds, iterations, stopped
        self.coarser = coarser

    @cached_property
    def error(self) -> float:  # type: ignore[override]
        """The estimated relative L2 error."""
        coarser = self.coarser()
        if coarser is None:
            raise KanpdeError(
                f"{self.name}: its error is estimated from a coarser mesh, and there is none: take twice as many cells."
            )
        try:
            coarsest = coarser.coarser()
        except KanpdeError:  # too coarse for the steps in time or Newton's iteration to converge
            coarsest = None
        solutions = [self, coarser] + ([] if coarsest is None else [coarsest])
        quadrature = self.space.trace()
        columns, weight = list(quadrature.points), quadrature.weight
        if self.times is not None and self._time is not None:
            start, end = self.times[0], self.times[-1]
            t = start + (end - start) * (np.arange(TIMES) + 0.5) / TIMES
            columns = [np.tile(column, TIMES) for column in columns]
            columns.insert(self._time, np.repeat(t, quadrature.weight.size))
            weight = np.tile(weight, TIMES)
        at = Points.of(self.names, torch.tensor(np.stack(columns, axis=1)))
        values = [solution.taylor(at, IndexSet(self.names))[0].numpy() for solution in solutions]
        rate = self.space.rate if self.times is None else min(self.space.rate, 4)
        if coarsest is None:  # the rate is not known, as solutions may not be smooth in corners
            rate = 1
        return richardson(values, [solution.space.cells for solution in solutions], weight, rate)

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return values and first derivatives (channel, point, unknown); raise KanpdeError for higher derivatives."""
        return at_points(self.name, at, indices, self._evaluate)

    def _evaluate(self, points: ndarray, indices: IndexSet) -> ndarray:
        element, local = self.space.locate(points[:, self._axes])
        dofs = self.space.element_dofs[:, element].T
        shapes = self.space.shapes(element, local)
        step, now, slope = self._in_time(points)
        states = [self.states[step[:, None], node, :, dofs] for node in range(self.states.shape[1])]
        result = np.empty((len(indices), len(points), self.states.shape[2]))
        for channel, index in enumerate(indices.indices):
            axis = index.index(1) if any(index) else None
            weights = slope if axis is not None and axis == self._time else now
            basis = self.space.shapes(element, local, self._axes.index(axis)) if axis in self._axes else shapes
            result[channel] = sum(
                weight[:, None] * np.einsum("nb,nbu->nu", basis, state)
                for weight, state in zip(weights.T, states, strict=True)
            )
        return result

    def _in_time(self, points: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        """Return the step of every point, and the weights of its nodes in time (N, node) for u and for u_t."""
        if self.times is None:
            return np.zeros(len(points), np.int64), np.ones((len(points), 1)), np.zeros((len(points), 1))
        t = points[:, self._time]
        step = np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.times) - 2)
        h = np.diff(self.times)[step]
        s = (t - self.times[step]) / h
        return step, in_time(s), in_time_slope(s) / h[:, None]


def at_points(name: str, at: Points, indices: IndexSet, evaluate: Callable[[ndarray, IndexSet], ndarray]) -> Tensor:
    """Return what `evaluate` gives at points (N, d), of which it gets some at a time, with N as the second axis.

    Raises KanpdeError for more than first derivatives.
    """
    if indices.order > 1:
        raise NotKnown(f"{name} has values and first derivatives, and order {indices.order} was asked for.")
    points = at.array()
    array = points.detach().cpu().numpy().astype(np.float64)
    parts = [evaluate(array[i : i + CHUNK], indices) for i in range(0, len(array), CHUNK)]
    return torch.as_tensor(np.concatenate(parts, axis=1), dtype=points.dtype, device=points.device)


def richardson(values: Sequence[ndarray], cells: Sequence[float], weight: ndarray, rate: float) -> float:
    """Return the relative L2 error of the first of two or three solutions, the finest, with values (N, U).

    It is the difference of two divided by (ratio of cells)^q - 1 (Richardson 1911). q is the rate at which errors have
    to fall for the differences of three meshes, between `SLOWEST` and `rate`, that of smooth solutions: it is less at
    corners and before a mesh resolves a solution. With two meshes q = `rate`.
    `weight` (N,) is that of a quadrature rule. The error of a solution that is 0 is 0.
    """
    size = l2(values[0], weight)
    if size == 0:
        return 0.0
    differences = [l2(a - b, weight) for a, b in pairwise(values)]
    ratios = [a / b for a, b in pairwise(cells)]
    if len(values) > 2 and differences[0] > 0:
        rate = observed(differences, ratios, rate)
    return max(differences[0] / size / (ratios[0] ** rate - 1), 1e-15)


def observed(differences: Sequence[float], ratios: Sequence[float], rate: float) -> float:
    """Return the rate q, from `SLOWEST` to `rate`, at which errors C cells^-q have two differences, the finer first."""

    def excess(q: float) -> float:
        first, second = (ratio**q for ratio in ratios)
        return first * (second - 1) / (first - 1) - differences[1] / differences[0]

    if excess(SLOWEST) >= 0 or excess(rate) <= 0:
        return SLOWEST if excess(SLOWEST) >= 0 else rate
    return float(brentq(excess, SLOWEST, rate))


def l2(values: ndarray, weight: ndarray) -> float:
    """Return the L2 norm of values (N, U) with weights (N,) of a quadrature rule."""
    return float(np.sqrt((weight @ values**2).sum()))
