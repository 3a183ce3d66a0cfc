"""The Galerkin form of a problem: second derivatives integrated by parts, conditions as essential or natural."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy import ndarray
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import SuperLU, splu

from kanpde.errors import KanpdeError
from kanpde.field import Points, evaluate
from kanpde.geometry import Box, Patch
from kanpde.geometry.base import distinct
from kanpde.problem import Condition, Dirichlet, Neumann, Periodic, Robin, Value
from kanpde.reference.fem.linearise import Linearised, NotFinite, StrongForm, does_not_apply
from kanpde.reference.fem.space import Space, Trace

ALONG = 1e-12
"""A conormal with less than this part of it along the boundary is normal."""


@dataclass(frozen=True)
class NaturalPart:
    """du/dn = value - coefficient u on a patch of the boundary."""

    trace: Trace
    value: Value
    coefficient: Value


class WeakForm:
    """F(u, u_t, t), one entry per basis function v: the integral of the residual times v, by parts.

    Integrating a^{ij} u_ij v by parts leaves -a^{ij} u_i v_j - d_j a^{ij} u_i v and on the boundary a^{ij} u_i n_j v,
    which Neumann and Robin conditions prescribe and periodic faces cancel; Dirichlet conditions fix degrees of freedom.
    States and rates are arrays (k, dof) at k times (k,).
    Raises KanpdeError for a condition that has no place in this form, and for a face without one.
    """

    def __init__(self, strong: StrongForm, space: Space, time: Box | None, conditions: Mapping[str, Condition]) -> None:
        self.strong, self.space = strong, space
        self.cells = space.trace()
        self.start: Value | None = None
        self._begin = np.array([0.0 if time is None else time.lower[0]])
        self._fixed: list[tuple[ndarray, ndarray, Value]] = []
        self._natural: list[NaturalPart] = []
        self._read(time, conditions)
        self.essential = np.unique(np.concatenate([np.zeros(0, np.int64), *(dofs for dofs, _, _ in self._fixed)]))
        self.free = np.setdiff1d(np.arange(space.size), self.essential)

    def initial(self) -> ndarray:
        """Return the interpolant of the initial condition (dof,)."""
        if self.start is None:
            raise does_not_apply("the problem has a time and no initial condition")
        start = self.start
        u = self.space.interpolate(lambda x: self._values(start, x, self._begin)[0])
        return self.with_essential(u[None], self._begin)[0]

    def with_essential(self, states: ndarray, times: ndarray) -> ndarray:
        """Return the states with the Dirichlet values at their times."""
        states = states.copy()
        for dofs, places, value in self._fixed:
            states[:, dofs] = self._values(value, places, times)
        return states

    def residual(self, states: ndarray, rates: ndarray, times: ndarray) -> ndarray:
        """Return F at k states (k, dof)."""
        cells = self.cells
        gradient = self._gradient(states)
        at = self._linearised(states, rates, times)
        source = at.residual - (at.divergence * gradient).sum(axis=0)
        total = cells.value.T @ (cells.weight * source).T
        for j, slope in enumerate(cells.slopes):
            total -= slope.T @ (cells.weight * (at.diffusion[:, j] * gradient).sum(axis=0)).T
        for part in self._natural:
            value, coefficient = self._natural_values(part, times)
            normal_slope = value - coefficient * (part.trace.value @ states.T).T
            total += part.trace.value.T @ (part.trace.weight * self._conductivity(part, times) * normal_slope).T
        return total.T

    def jacobian(self, state: ndarray, rate: ndarray, time: float) -> csc_matrix:
        """Return dF/du at one state as a sparse matrix."""
        times = np.array([time])
        at = self._linearised(state[None], rate[None], times)
        value, slopes = self.cells.value, self.cells.slopes
        total = self.cells.integrate(value, at.reaction[0], value)
        for i, along in enumerate(slopes):
            total = total + self.cells.integrate(value, at.drift[i, 0] - at.divergence[i, 0], along)
            for j, across in enumerate(slopes):
                total = total - self.cells.integrate(across, at.diffusion[i, j, 0], along)
        for part in self._natural:
            _, coefficient = self._natural_values(part, times)
            total = total - part.trace.integrate(
                part.trace.value, (self._conductivity(part, times) * coefficient)[0], part.trace.value
            )
        return csc_matrix(total)

    def mass(self, state: ndarray, rate: ndarray, time: float) -> csc_matrix:
        """Return dF/du_t at one state as a sparse matrix."""
        at = self._linearised(state[None], rate[None], np.array([time]))
        return csc_matrix(self.cells.integrate(self.cells.value, at.rate[0], self.cells.value))

    def norm(self, u: ndarray) -> float:
        """Return the L2 norm of the function u (dof,)."""
        return float(np.sqrt(self.cells.weight @ (self.cells.value @ u) ** 2))

    def norm_free(self, values: ndarray) -> float:
        """Return the L2 norm of the function with these free degrees of freedom and no others."""
        u = np.zeros(self.space.size)
        u[self.free] = values
        return self.norm(u)

    def _read(self, time: Box | None, conditions: Mapping[str, Condition]) -> None:
        domain = self.space.domain
        seen: set[Patch] = set()
        for label, condition in conditions.items():
            where = condition.where
            if time is not None and where in time.boundaries and where != "all":
                if where != f"{time.names[0]}-" or not isinstance(condition, Dirichlet):
                    raise does_not_apply(f"condition '{label}' is not an initial value of the unknown")
                self.start = condition.value
                continue
            patches = domain.boundary(where)
            for patch in patches:
                if patch in seen:
                    raise does_not_apply(f"the boundary of condition '{label}' has another condition")
                seen.add(patch)
                self._read_patch(label, condition, patch)
            if isinstance(condition, Periodic):
                self._check_periodic(label, domain.names.index(where), *patches)
        for patch in distinct(domain):
            if patch not in seen and bool((self._conormal(self.space.trace(patch), self._begin) != 0).any()):
                raise does_not_apply(f"the boundary '{patch.name}' has no condition")

    def _read_patch(self, label: str, condition: Condition, patch: Patch) -> None:
        if isinstance(condition, Dirichlet):
            self._fixed.append((*self.space.boundary_dofs(patch), condition.value))
        elif isinstance(condition, Neumann | Robin):
            trace = self.space.trace(patch)
            conormal = self._conormal(trace, self._begin)
            across = conormal - normal_part(conormal, trace) * normals_of(trace)
            if bool((np.abs(across) > ALONG * np.abs(conormal).max()).any()):
                raise does_not_apply(
                    f"on the boundary of condition '{label}' the conormal derivative is not a multiple of du/dn"
                )
            coefficient = condition.coefficient if isinstance(condition, Robin) else 0.0
            self._natural.append(NaturalPart(trace, condition.value, coefficient))
        elif not isinstance(condition, Periodic):
            raise does_not_apply(f"condition '{label}' is of the kind '{condition.kind}'")

    def _check_periodic(self, label: str, axis: int, lower: Patch, upper: Patch) -> None:
        before, after = self.space.trace(lower), self.space.trace(upper)
        moved = before.points.copy()
        moved[axis] = after.points[axis, 0]
        below, above = (self._diffusion(trace, self._begin)[axis] for trace in (before, replace(before, points=moved)))
        if abs(above - below).max() > 1e-12 * abs(below).max():
            raise does_not_apply(
                f"condition '{label}' is periodic, and the coefficients of the second derivatives are not"
            )

    def _linearised(self, states: ndarray, rates: ndarray, times: ndarray) -> Linearised:
        value = self.cells.value
        u, rate = (value @ states.T).T, (value @ rates.T).T
        at = self.strong(self.cells.points, times, u, self._gradient(states), rate)
        bad = ~np.isfinite(at.residual).all(axis=0)
        if bad.any():
            place = dict(zip(self.strong.space, self.cells.points[:, bad][:, 0].round(6).tolist(), strict=True))
            raise NotFinite(f"the equation is not finite at {place}: check its coefficients and source term there.")
        return at

    def _gradient(self, states: ndarray) -> ndarray:
        return np.stack([(slope @ states.T).T for slope in self.cells.slopes])

    def _diffusion(self, trace: Trace, times: ndarray) -> ndarray:
        zero = np.zeros((len(times), trace.points.shape[1]))
        return self.strong(trace.points, times, zero, np.stack([zero] * len(trace.points)), zero).diffusion

    def _conormal(self, trace: Trace, times: ndarray) -> ndarray:
        """Return a^{ij} n_j on a patch (d, k, point)."""
        return np.einsum("ijkn,jn->ikn", self._diffusion(trace, times), normals_of(trace)[:, 0])

    def _conductivity(self, part: NaturalPart, times: ndarray) -> ndarray:
        """Return a^{nn} on a patch (k, point)."""
        return normal_part(self._conormal(part.trace, times), part.trace)

    def _natural_values(self, part: NaturalPart, times: ndarray) -> tuple[ndarray, ndarray]:
        x, normals = part.trace.points, part.trace.normals
        return self._values(part.value, x, times, normals), self._values(part.coefficient, x, times, normals)

    def _values(self, function: Value, x: ndarray, times: ndarray, normals: ndarray | None = None) -> ndarray:
        """Return a user's function, or a number, at the points x (d, N) at k times, as (k, N)."""
        at = self.strong.points(x, times)
        if normals is not None:
            normal = torch.zeros(len(at), len(at.names), dtype=torch.float64)
            for name, values in zip(self.strong.space, normals, strict=True):
                normal[:, at.names.index(name)] = torch.from_numpy(np.tile(values, len(times)))
            at = Points.of(at.names, at.array(), normal)
        return evaluate(function, at).detach().numpy().reshape(len(times), -1)


def normals_of(trace: Trace) -> ndarray:
    """Return the normals on a patch (d, 1, point)."""
    assert trace.normals is not None
    return trace.normals[:, None]


def normal_part(vectors: ndarray, trace: Trace) -> ndarray:
    """Return the normal components (k, point) of vectors (d, k, point) on a patch."""
    return (vectors * normals_of(trace)).sum(axis=0)


def factorise(matrix: csc_matrix, ordering: str = "MMD_AT_PLUS_A") -> SuperLU:
    """Return the sparse LU factors; minimum degree on A + A^T suits matrices of a symmetric pattern.

    With the ordering NATURAL rows and columns are eliminated as they come.
    Raises KanpdeError for a singular matrix.
    """
    try:
        return splu(matrix, permc_spec=ordering, diag_pivot_thresh=0.01, options={"SymmetricMode": True})
    except RuntimeError as error:
        raise KanpdeError(
            f"the finite element matrix is singular ({error}): the equation and its conditions do not fix the solution."
        ) from None
