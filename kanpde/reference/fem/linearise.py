"""The strong form, read pointwise: r = a^{ij}(x, t) u_ij + R(x, t, u, grad u, u_t) and its partial derivatives.

A residual is a function of channels (u, u_x, u_xx, ...) at every point, so automatic differentiation in the channels
gives the coefficients of the linearised operator wherever they are needed; no weak form is written by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Field, Points
from kanpde.multiindex import MultiIndex, spell
from kanpde.problem import Problem


@dataclass(frozen=True)
class Linearised:
    """The equation at points: its residual without second derivatives, and its partial derivatives."""

    residual: ndarray
    """R (...)."""
    reaction: ndarray
    """dR/du (...)."""
    drift: ndarray
    """dR/du_i (d, ...)."""
    rate: ndarray
    """dR/du_t (...)."""
    diffusion: ndarray
    """a^{ij} (d, d, ...), symmetric."""
    divergence: ndarray
    """d_j a^{ij} (d, ...)."""


class NotFinite(KanpdeError):
    """An equation gave inf or NaN."""


class StrongForm:
    """The one equation of a problem as a pointwise function of its channels.

    Raises KanpdeError if the problem is not one equation for one unknown, of second order in space with a leading
    coefficient that depends on the coordinates only, and of first order in time if there is time; and if it has
    constraints or unknown scalars.
    """

    def __init__(self, problem: Problem) -> None:
        if len(problem.unknowns) != 1 or len(problem.equations) != 1:
            raise does_not_apply(
                f"it needs one equation for one unknown, and this problem has {len(problem.equations)} for"
                f" {', '.join(problem.unknowns)}"
            )
        if problem.scalars:
            raise does_not_apply(f"it finds no unknown scalars, and the equation has {', '.join(problem.scalars)}")
        geometry = problem.geometry
        self.names, self.space, self.time = geometry.names, geometry.space, geometry.time
        (label,) = problem.equations
        self.equation = problem.residual_function(label)
        axes = [self.names.index(name) for name in self.space]

        def index(*steps: int) -> MultiIndex:
            return tuple(steps.count(axis) for axis in range(len(self.names)))

        self.value = index()
        self.first = [index(i) for i in axes]
        self.second = {(i, j): index(axes[i], axes[j]) for i in range(len(axes)) for j in range(i, len(axes))}
        self.rate = index(self.names.index(self.time)) if self.time else None
        self.asked = problem.indices.indices
        self._check(problem.middle())
        if problem.constraints:
            raise does_not_apply(f"it imposes no constraints, and the problem has '{next(iter(problem.constraints))}'")

    def points(self, x: ndarray, times: ndarray) -> Points:
        """Return the points x (d, N) at each of k times, k N in all; the coordinates in space can be differentiated."""
        columns = {name: leaf(np.tile(values, len(times))) for name, values in zip(self.space, x, strict=True)}
        if self.time:
            columns[self.time] = torch.tensor(np.repeat(times, x.shape[1]))
        return Points(self.names, columns)

    def __call__(self, x: ndarray, times: ndarray, u: ndarray, gradient: ndarray, rate: ndarray) -> Linearised:
        """Return the equation at points x (d, N) and k times, for u (k, N), its gradient (d, k, N) and u_t (k, N)."""
        at = self.points(x, times)
        channels = {index: leaf(np.zeros(u.shape)) for index in self.asked}
        for index, values in [(self.value, u), *zip(self.first, gradient, strict=True), (self.rate, rate)]:
            if index in channels:
                channels[index] = leaf(values)
        residual, partial = self._differentiate(at, channels)

        def array(values: Tensor) -> ndarray:
            return values.detach().numpy().reshape(u.shape)

        def channel(index: MultiIndex | None) -> ndarray:
            return array(partial[index]) if index in partial else np.zeros(u.shape)

        d = len(self.space)
        diffusion, divergence = np.zeros((d, d, *u.shape)), np.zeros((d, *u.shape))
        for (i, j), index in self.second.items():
            if index not in partial:
                continue
            a = partial[index] if i == j else partial[index] / 2
            diffusion[i, j] = diffusion[j, i] = array(a)
            if a.requires_grad:
                columns = [getattr(at, name) for name in self.space]
                slopes = torch.autograd.grad(a.sum(), columns, retain_graph=True, materialize_grads=True)
                divergence[i] += array(slopes[j])
                if i != j:
                    divergence[j] += array(slopes[i])
        drift = np.stack([channel(index) for index in self.first])
        return Linearised(array(residual), channel(self.value), drift, channel(self.rate), diffusion, divergence)

    def _differentiate(self, at: Points, channels: dict[MultiIndex, Tensor]) -> tuple[Tensor, dict[MultiIndex, Tensor]]:
        """Return the residual (N,) and its partial derivatives in the channels, as functions of channels and points."""
        with torch.enable_grad():
            residual = self.equation(Field("u", self.names, channels.__getitem__), at)
            partial = torch.autograd.grad(
                residual.sum(), list(channels.values()), create_graph=True, materialize_grads=True
            )
        return residual, dict(zip(channels, partial, strict=True))

    def _check(self, at: Points) -> None:
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
        generator = torch.Generator().manual_seed(0)
        channels = {index: leaf(0.5 + torch.rand(len(at), generator=generator).numpy()) for index in self.asked}
        _, partial = self._differentiate(at, channels)
        for index in set(self.second.values()) & set(self.asked):
            if not partial[index].requires_grad:
                continue
            slopes = torch.autograd.grad(
                partial[index].sum(), list(channels.values()), retain_graph=True, allow_unused=True
            )
            for other, slope in zip(channels, slopes, strict=True):
                if slope is not None and bool((slope != 0).any()):
                    raise does_not_apply(
                        f"the coefficient of u_{spell(index, self.names)} depends on"
                        f" {'u_' if any(other) else 'u'}{spell(other, self.names)} (a quasi-linear equation)"
                    )


def leaf(values: ndarray) -> Tensor:
    """Return values as a flat tensor to differentiate in."""
    return torch.tensor(np.ravel(values), dtype=torch.float64).requires_grad_()


def does_not_apply(reason: str) -> KanpdeError:
    """Return the error for a problem that these finite elements cannot solve."""
    return KanpdeError(f"FEM does not apply here: {reason}. Leave it out with baseline=none or baseline=mlp.")
