"""The strong form, read pointwise: r_e = a_eu^{ij}(x, t) u_ij + R_e(x, t, u, grad u, u_t), summed over the unknowns u.

A residual is a function of channels (u, u_x, u_xx, ...) at every point, so automatic differentiation in the channels
gives the coefficients of the linearised operator wherever they are needed; no weak form is written by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Field, Points
from kanpde.multiindex import MultiIndex, spell
from kanpde.problem import Equation, Problem

Channels = list[dict[MultiIndex, Tensor]]
"""Derivatives (N,) of every unknown by their multi-indices."""


@dataclass(frozen=True)
class Linearised:
    """Equations e at points: residuals without second derivatives, and their partial derivatives in unknowns u."""

    residual: ndarray
    """R_e (e, ...)."""
    reaction: ndarray
    """dR_e/du (e, u, ...)."""
    drift: ndarray
    """dR_e/du_i (e, u, d, ...)."""
    rate: ndarray
    """dR_e/du_t (e, u, ...)."""
    diffusion: ndarray
    """a_eu^{ij} (e, u, d, d, ...), symmetric in i and j."""
    divergence: ndarray
    """d_j a_eu^{ij} (e, u, d, ...)."""

    @classmethod
    def zero(cls, unknowns: int, d: int, shape: tuple[int, ...]) -> Linearised:
        """Return the arrays for as many equations as unknowns in d dimensions, to be filled."""
        u = (unknowns, unknowns)
        sizes = [(unknowns,), u, (*u, d), u, (*u, d, d), (*u, d)]
        return cls(*(np.zeros((*size, *shape)) for size in sizes))


class NotFinite(KanpdeError):
    """An equation gave inf or NaN."""


class StrongForm:
    """The equations of a problem as pointwise functions of the channels, each at the place of the unknown it is for.

    An equation is for the unknown whose second derivatives lead it, as that of balance in x is for the displacement u.
    Raises KanpdeError if there are not as many equations as unknowns, each of second order in space with leading
    coefficients that depend on the coordinates only, and of first order in time if there is time; and if the problem
    has constraints or unknown scalars.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.unknowns = problem, problem.unknowns
        if len(problem.unknowns) != len(problem.equations):
            raise does_not_apply(
                f"it needs one equation for each unknown, and this problem has {len(problem.equations)} for"
                f" {', '.join(problem.unknowns)}"
            )
        if problem.scalars:
            raise does_not_apply(f"it finds no unknown scalars, and the equation has {', '.join(problem.scalars)}")
        geometry = problem.geometry
        self.names, self.space, self.time = geometry.names, geometry.space, geometry.time
        axes = [self.names.index(name) for name in self.space]

        def index(*steps: int) -> MultiIndex:
            return tuple(steps.count(axis) for axis in range(len(self.names)))

        self.value = index()
        self.first = [index(i) for i in axes]
        self.second = {(i, j): index(axes[i], axes[j]) for i in range(len(axes)) for j in range(i, len(axes))}
        self.rate = index(self.names.index(self.time)) if self.time else None
        self.asked = problem.indices.indices
        self._check_orders()
        self.equations = self._ordered(problem.middle())
        if problem.constraints:
            raise does_not_apply(f"it imposes no constraints, and the problem has '{next(iter(problem.constraints))}'")

    def points(self, x: ndarray, times: ndarray, normals: ndarray | None = None) -> Points:
        """Return the points x (d, N) at each of k times, k N in all; the coordinates in space can be differentiated.

        On a boundary they have the normals (d, N).
        """
        columns = {name: leaf(np.tile(values, len(times))) for name, values in zip(self.space, x, strict=True)}
        if self.time:
            columns[self.time] = torch.tensor(np.repeat(times, x.shape[1]))
        if normals is None:
            return Points(self.names, columns)
        normal = torch.zeros(len(times) * x.shape[1], len(self.names), dtype=torch.float64)
        for name, values in zip(self.space, normals, strict=True):
            normal[:, self.names.index(name)] = torch.from_numpy(np.tile(values, len(times)))
        return Points(self.names, columns, normal)

    def channels(self, indices: Sequence[MultiIndex], u: ndarray, gradient: ndarray, rate: ndarray) -> Channels:
        """Return some channels of unknowns (u, k, N) with gradients (u, d, k, N) and rates (u, k, N), the others 0."""
        found: Channels = []
        for values, slopes, change in zip(u, gradient, rate, strict=True):
            known = dict(zip(self.first, slopes, strict=True))
            known[self.value] = values
            if self.rate is not None:
                known[self.rate] = change
            found.append({index: leaf(known.get(index, np.zeros(values.shape))) for index in indices})
        return found

    def __call__(self, x: ndarray, times: ndarray, u: ndarray, gradient: ndarray, rate: ndarray) -> Linearised:
        """Return the equations at points x (d, N) and k times, for unknowns as those of `channels`."""
        at, shape = self.points(x, times), u.shape[1:]
        channels = self.channels(self.asked, u, gradient, rate)
        found = Linearised.zero(len(u), len(self.space), shape)

        def array(values: Tensor) -> ndarray:
            return values.detach().numpy().reshape(shape)

        for e, function in enumerate(self.equations):
            residual, partial = differentiated(function, self.unknowns, at, channels, again=True)
            found.residual[e] = array(residual)
            for v, part in enumerate(partial):
                for index, place in [(self.value, found.reaction[e, v]), (self.rate, found.rate[e, v])]:
                    if index in part:
                        place[...] = array(part[index])
                for i, index in enumerate(self.first):
                    if index in part:
                        found.drift[e, v, i] = array(part[index])
                for (i, j), index in self.second.items():
                    if index in part:
                        a = part[index] if i == j else part[index] / 2
                        found.diffusion[e, v, i, j] = found.diffusion[e, v, j, i] = array(a)
                        slopes = self._slopes(a, at)
                        if slopes is not None:
                            found.divergence[e, v, i] += array(slopes[j])
                            if i != j:
                                found.divergence[e, v, j] += array(slopes[i])
        return found

    def _slopes(self, a: Tensor, at: Points) -> tuple[Tensor, ...] | None:
        """Return the derivatives of a coefficient (N,) along the axes of space, None for one that is constant."""
        if not a.requires_grad:
            return None
        columns = [getattr(at, name) for name in self.space]
        return torch.autograd.grad(a.sum(), columns, retain_graph=True, materialize_grads=True)

    def _check_orders(self) -> None:
        for index in reversed(self.asked):
            in_time = index[self.names.index(self.time)] if self.time else 0
            in_space = sum(index) - in_time
            if in_space > 2 or in_time > 1 or (in_space and in_time):
                raise does_not_apply(
                    f"it handles two derivatives in space and one in time, and the equation has"
                    f" u_{spell(index, self.names)}"
                )
        if not set(self.second.values()) & set(self.asked):
            raise does_not_apply("it needs an equation of second order in space, and this one has no second derivative")
        if self.time and self.rate not in self.asked:
            raise does_not_apply(f"the problem has the time '{self.time}', and the equation no u_{self.time}")

    def _ordered(self, at: Points) -> list[Equation]:
        """Return the equations in the order of the unknowns that they are for; check their leading coefficients."""
        generator = torch.Generator().manual_seed(0)
        size = (len(self.asked), len(at))
        channels: Channels = [
            dict(zip(self.asked, map(leaf, 0.5 + torch.rand(size, generator=generator).numpy()), strict=True))
            for _ in self.unknowns
        ]
        labels = list(self.problem.equations)
        functions = [self.problem.residual_function(label) for label in labels]
        leading = np.zeros((len(labels), len(labels)))
        for e, function in enumerate(functions):
            _, partial = differentiated(function, self.unknowns, at, channels, again=True)
            for v, part in enumerate(partial):
                for index in part:
                    if index in self.second.values():
                        self._check_coefficient(v, index, part[index], channels)
                leading[e, v] = sum(
                    float(part[index].abs().sum()) for (i, j), index in self.second.items() if i == j and index in part
                )
        # Scaled, so that an equation that is multiplied by a number stays at its place.
        largest = leading.max(axis=1, keepdims=True)
        share = leading / np.where(largest > 0, largest, 1)
        chosen = linear_sum_assignment(share, maximize=True)[1]
        for label, e, v in zip(labels, range(len(labels)), chosen, strict=True):
            if leading[e, v] == 0:
                raise does_not_apply(
                    f"it needs a second derivative of another unknown in each equation, and '{label}' has no second"
                    f" derivative of '{self.unknowns[v]}'"
                )
        return [functions[e] for e in np.argsort(chosen)]

    def _check_coefficient(self, v: int, index: MultiIndex, coefficient: Tensor, channels: Channels) -> None:
        """Raise KanpdeError if the coefficient of a second derivative of an unknown depends on an unknown."""
        if not coefficient.requires_grad:
            return
        leaves = [leaf for part in channels for leaf in part.values()]
        slopes = iter(torch.autograd.grad(coefficient.sum(), leaves, retain_graph=True, allow_unused=True))
        for name, part in zip(self.unknowns, channels, strict=True):
            for other in part:
                slope = next(slopes)
                if slope is not None and bool((slope != 0).any()):
                    raise does_not_apply(
                        f"the coefficient of {self.unknowns[v]}_{spell(index, self.names)} depends on"
                        f" {name}{'_' if any(other) else ''}{spell(other, self.names)} (a quasi-linear equation)"
                    )


def differentiated(
    function: Equation, unknowns: Sequence[str], at: Points, channels: Channels, again: bool = False
) -> tuple[Tensor, Channels]:
    """Return a residual (N,) and its partial derivatives in the channels, without those that it does not depend on.

    `again`: the derivatives can be differentiated in turn. Raises KanpdeError if it reads other channels.
    """
    fields = [Field(name, at.names, part.__getitem__) for name, part in zip(unknowns, channels, strict=True)]
    leaves = [leaf for part in channels for leaf in part.values()]
    with torch.enable_grad():
        try:
            residual = function(*fields, at)
        except KeyError as error:
            (index,) = error.args
            raise does_not_apply(
                f"a condition reads d('{spell(index, at.names)}'), and it handles values and first derivatives in space"
            ) from None
        slopes = (
            torch.autograd.grad(residual.sum(), leaves, create_graph=again, allow_unused=True)
            if residual.requires_grad
            else [None] * len(leaves)
        )
    found = iter(slopes)
    partial: Channels = []
    for part in channels:
        pairs = ((index, next(found)) for index in part)
        partial.append({index: slope for index, slope in pairs if slope is not None})
    return residual, partial


def leaf(values: ndarray) -> Tensor:
    """Return values as a flat tensor to differentiate in."""
    return torch.tensor(np.ravel(values), dtype=torch.float64).requires_grad_()


def does_not_apply(reason: str) -> KanpdeError:
    """Return the error for a problem that these finite elements cannot solve."""
    return KanpdeError(f"FEM does not apply here: {reason}. Leave it out with baseline=none or baseline=mlp.")
