"""Equations of incompressible flow, read pointwise: nu_i Lap u_i = p_i + b_i(x, u, grad u) and div u = g.

What they are is found from the strong form by automatic differentiation in the channels, as for one equation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from kanpde.field import Points
from kanpde.multiindex import MultiIndex
from kanpde.problem import Equation, Problem
from kanpde.reference.fem.linearise import Channels, NotFinite, differentiated, does_not_apply, leaf

ALIKE = 1e-10
"""By how much coefficients that should be equal may differ, relative to the largest."""
ALIKE_ON_BOUNDARY = 1e-7
"""The same for conditions; normals of small facets have few digits."""
DRAWS = 2


@dataclass(frozen=True)
class Forces:
    """b (i, N), with its derivatives in u_j (i, j, N) and in the derivatives of u_j along k (i, j, k, N)."""

    value: ndarray
    by_value: ndarray
    by_slope: ndarray


class FlowEquations:
    """The momentum equations and the continuity equation of a steady problem in two or three dimensions.

    `velocities` and `pressure` are positions of the unknowns, `viscosity` has a number per component.
    Raises KanpdeError if the equations are others: if there is not one unknown that is only differentiated once, with
    the same constant coefficient in each momentum equation as its gradient has, if the second derivatives are not a
    Laplacian with a constant coefficient, and if the remaining equation is not the divergence of the velocity.
    """

    def __init__(self, problem: Problem) -> None:
        geometry = problem.geometry
        self.problem, self.names, self.dimension = problem, geometry.names, geometry.dimension
        d = self.dimension
        if not is_flow(problem):
            raise does_not_apply(
                "flow needs two or three coordinates in space, as many equations as velocities and a pressure, and one"
                f" without second derivatives; this problem has {len(problem.equations)} for {', '.join(problem.names)}"
            )
        self.asked = problem.indices.indices
        self.zero = (0,) * d
        self.first: list[MultiIndex] = [tuple(int(i == j) for i in range(d)) for j in range(d)]
        self._functions = {label: problem.residual_function(label) for label in problem.equations}
        self._read()

    def forces(self, x: ndarray, values: ndarray, slopes: ndarray) -> Forces:
        """Return b at points x (d, N) for velocities (d, N) with slopes (d, d, N) of component and direction.

        Raises KanpdeError where it is not finite.
        """
        d, n = self.dimension, x.shape[1]
        at = self.points(x)
        channels = self._channels(n)
        for component, unknown in enumerate(self.velocities):
            self._set(channels[unknown], self.zero, values[component])
            for axis, index in enumerate(self.first):
                self._set(channels[unknown], index, slopes[component, axis])
        value, by_value, by_slope = np.zeros((d, n)), np.zeros((d, d, n)), np.zeros((d, d, d, n))
        for i, label in enumerate(self._momentum):
            residual, partial = self.differentiated(self._functions[label], at, channels)
            value[i] = residual.detach().numpy() / self._scale[i]
            for j, unknown in enumerate(self.velocities):
                by_value[i, j] = entry(partial[unknown], self.zero, n) / self._scale[i]
                for k, index in enumerate(self.first):
                    by_slope[i, j, k] = entry(partial[unknown], index, n) / self._scale[i]
        bad = ~np.isfinite(value).all(axis=0)
        if bad.any():
            place = dict(zip(self.names, x[:, bad][:, 0].round(6).tolist(), strict=True))
            raise NotFinite(f"the momentum equations are not finite at {place}: check their terms there.")
        return Forces(value, by_value, by_slope)

    def sources(self, x: ndarray) -> ndarray:
        """Return g (N,) at points x (d, N)."""
        function, channels = self._functions[self._continuity], self._channels(x.shape[1])
        residual, _ = self.differentiated(function, self.points(x), channels)
        return -residual.detach().numpy() / self._divergence

    def natural(self, function: Equation, x: ndarray, normals: ndarray) -> tuple[int, ndarray] | None:
        """Return i and the flux p n_i - nu_i du_i/dn (N,) that a condition prescribes at points x with normals (d, N).

        None for a condition that is not about the flux of one component.
        """
        d, n = x.shape
        at = self.points(x, normals)
        zero = self._channels(n, self._all)
        residual, first = self.differentiated(function, at, zero)
        _, second = self.differentiated(function, at, self._random(n, 0, self._all))

        def column(partial: Channels) -> ndarray:
            return np.stack([entry(part, index, n) for part in partial for index in self._all])

        found = column(first)
        size = np.abs(found).max()
        if size == 0 or not np.isfinite(size) or np.abs(column(second) - found).max() > ALIKE_ON_BOUNDARY * size:
            return None
        for i in range(d):
            wanted: Channels = [{} for _ in self.problem.unknowns]
            wanted[self.pressure][self.zero] = torch.from_numpy(normals[i])
            for index, normal in zip(self.first, normals, strict=True):
                wanted[self.velocities[i]][index] = torch.from_numpy(-self.viscosity[i] * normal)
            flux = column(wanted)
            factor = (found * flux).sum() / (flux**2).sum()
            if np.abs(found - factor * flux).max() <= ALIKE_ON_BOUNDARY * size:
                return i, -residual.detach().numpy() / factor
        return None

    def points(self, x: ndarray, normals: ndarray | None = None) -> Points:
        """Return the points x (d, N), with the normals (d, N) if there are any."""
        array = torch.from_numpy(np.ascontiguousarray(x.T))
        normal = None if normals is None else torch.from_numpy(np.ascontiguousarray(normals.T))
        return Points.of(self.names, array, normal)

    def differentiated(self, function: Equation, at: Points, channels: Channels) -> tuple[Tensor, Channels]:
        """Return a residual (N,) and its partial derivatives in the channels."""
        return differentiated(function, self.problem.unknowns, at, channels)

    @property
    def _all(self) -> list[MultiIndex]:
        """The values and first derivatives, which conditions may read."""
        return [self.zero, *self.first]

    def _channels(self, n: int, indices: Sequence[MultiIndex] | None = None) -> Channels:
        """Return channels that are zero at n points."""
        asked = self.asked if indices is None else indices
        return [{index: leaf(np.zeros(n)) for index in asked} for _ in self.problem.unknowns]

    def _random(self, n: int, seed: int, indices: Sequence[MultiIndex] | None = None) -> Channels:
        generator = torch.Generator().manual_seed(seed)
        channels = self._channels(n, indices)
        for part in channels:
            for index in part:
                part[index] = leaf(0.5 + torch.rand(n, generator=generator, dtype=torch.float64).numpy())
        return channels

    @staticmethod
    def _set(part: dict[MultiIndex, Tensor], index: MultiIndex, values: ndarray) -> None:
        if index in part:
            part[index] = leaf(values)

    def _read(self) -> None:
        """Find which equation and which unknown is what, from coefficients at three points and two random states."""
        d, unknowns, at = self.dimension, self.problem.unknowns, self.problem.middle()
        for index in self.asked:
            if sum(index) > 2:
                raise does_not_apply("of several equations it covers flow, with two derivatives at most")
        second = [index for index in self.asked if sum(index) == 2]
        tables: dict[str, list[dict[MultiIndex, ndarray]]] = {}
        for label, function in self._functions.items():
            draws = [self.differentiated(function, at, self._random(len(at), seed))[1] for seed in range(DRAWS)]
            tables[label] = [
                {index: np.concatenate([entry(draw[u], index, len(at)) for draw in draws]) for index in self.asked}
                for u in range(len(unknowns))
            ]

        def bent(label: str) -> list[int]:
            """The unknowns with second derivatives in an equation."""
            table = tables[label]
            return [u for u in range(len(unknowns)) if any(table[u][index].any() for index in second)]

        continuity = [label for label in tables if not bent(label)]
        pressures = set(range(len(unknowns))) - {u for label in tables for u in bent(label)}
        if len(continuity) != 1 or len(pressures) != 1 or any(len(bent(label)) > 1 for label in tables):
            raise does_not_apply(
                "of several equations it covers those of incompressible flow: momentum, each with the second"
                " derivatives of one velocity, and one without any for a pressure that has none"
            )
        self._continuity, self.pressure = continuity[0], pressures.pop()
        along: dict[int, str] = {}
        for label in tables:
            if label == self._continuity:
                continue
            slopes = tables[label][self.pressure]
            axes = [axis for axis, index in enumerate(self.first) if index in slopes and slopes[index].any()]
            if len(axes) != 1 or axes[0] in along or (self.zero in slopes and slopes[self.zero].any()):
                raise does_not_apply(f"'{label}' has not one derivative of '{unknowns[self.pressure]}'")
            along[axes[0]] = label
        self._momentum = [along[axis] for axis in range(d)]
        self.velocities = [bent(label)[0] for label in self._momentum]
        self._scale = [
            self._constant(tables[m][self.pressure], [self.first[i]], m) for i, m in enumerate(self._momentum)
        ]
        squares: list[MultiIndex] = [tuple(2 * n for n in index) for index in self.first]
        self.viscosity = []
        for i, label in enumerate(self._momentum):
            table = tables[label][self.velocities[i]]
            nu = -self._constant(table, squares, label) / self._scale[i]
            if any(table[index].any() for index in second if index not in squares) or nu <= 0:
                raise does_not_apply(f"the second derivatives in '{label}' are not a Laplacian with a viscosity > 0")
            self.viscosity.append(nu)
        divergence = tables[self._continuity]
        diagonal = {index: divergence[u][index] for u, index in zip(self.velocities, self.first, strict=True)}
        self._divergence = self._constant(diagonal, self.first, self._continuity)
        rest = [
            (u, index)
            for u in range(len(unknowns))
            for index in self.asked
            if index.count(1) != 1 or u not in self.velocities or self.velocities[index.index(1)] != u
        ]
        if any(divergence[u][index].any() for u, index in rest):
            raise does_not_apply(f"'{self._continuity}' is not the divergence of the velocity")

    @staticmethod
    def _constant(table: dict[MultiIndex, ndarray], indices: Sequence[MultiIndex], label: str) -> float:
        """Return the constant that is the coefficient of each of some derivatives."""
        found = np.concatenate([table.get(index, np.zeros(1)) for index in indices])
        if not found.all() or np.ptp(found) > ALIKE * np.abs(found).max():
            raise does_not_apply(f"coefficients in '{label}' are not the constants that they are for flow")
        return float(found[0])


def is_flow(problem: Problem) -> bool:
    """Whether a problem has as many unknowns and equations as steady flow, one without second derivatives."""
    geometry, count = problem.geometry, problem.geometry.dimension + 1
    if geometry.time is not None or geometry.dimension not in (2, 3) or problem.scalars:
        return False
    if len(problem.unknowns) != count or len(problem.equations) != count:
        return False
    at = problem.middle()
    return any(all(sum(index) < 2 for index in problem.derivatives((label,), at)) for label in problem.equations)


def entry(part: dict[MultiIndex, Tensor], index: MultiIndex, n: int) -> ndarray:
    """Return a partial derivative (n,), zero for a channel that does not enter."""
    return part[index].detach().numpy() if index in part else np.zeros(n)
