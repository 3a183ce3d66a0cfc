"""The Galerkin form of a problem: second derivatives integrated by parts, conditions as essential or natural."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy.sparse import bmat, csc_matrix, csr_matrix
from scipy.sparse.linalg import SuperLU, splu

from kanpde.errors import KanpdeError
from kanpde.field import evaluate
from kanpde.geometry import Box, Patch
from kanpde.geometry.base import distinct
from kanpde.problem import Dirichlet, Equation, Periodic, Value
from kanpde.reference.fem.dissection import elimination_order
from kanpde.reference.fem.linearise import Linearised, NotFinite, StrongForm, differentiated, does_not_apply
from kanpde.reference.fem.polynomials import OnBoundary, PolynomialSpace
from kanpde.reference.fem.quadrature import Quadrature

ALIKE = 1e-7
"""By how much equal fluxes may differ, relative to the largest: normals of small facets have few digits."""
ROUNDING = 1e-11
LEAF = 16
"""Cells that nested dissection leaves together: fewer take longer to order and save little."""


@dataclass(frozen=True)
class Natural:
    """The natural conditions on a patch of the boundary, and the equations that are tested there."""

    patch: Patch
    trace: Quadrature
    equations: list[int]
    conditions: list[Equation]


@dataclass(frozen=True)
class Flux:
    """What natural conditions leave of conormal derivatives, with its derivatives in unknowns u and in their slopes."""

    value: ndarray
    """(e, k, N)."""
    by_value: ndarray
    """(e, u, k, N)."""
    by_slope: ndarray
    """(e, u, d, k, N), along the boundary."""


class WeakForm:
    """F_e(u, u_t, t), one entry per equation e and basis function v: the integral of the residual times v, by parts.

    Integrating a^{ij} u_ij v by parts leaves -a^{ij} u_i v_j - d_j a^{ij} u_i v and on the boundary the conormal
    derivative t = a^{ij} u_i n_j times v, summed over the unknowns. Periodic faces cancel it. Dirichlet conditions fix
    degrees of freedom, and the equation for such an unknown is not tested there. Other conditions B(u, grad u) = 0 are
    natural: t is replaced by t - M B, with the factors M for which no derivative across the boundary is left. What is
    left along it stays in the form; for tractions of elasticity it makes up for a^{ij} being symmetric.
    States and rates are arrays (k, dof) at k times (k,), one unknown after the other.
    Raises KanpdeError for a condition that has no place in this form, and for a face without one.
    """

    def __init__(self, strong: StrongForm, space: PolynomialSpace, time: Box | None) -> None:
        self.strong, self.space = strong, space
        self.cells = space.trace()
        self.unknowns = len(strong.unknowns)
        self.size = self.unknowns * space.size
        self._begin = np.array([0.0 if time is None else time.lower[0]])
        self._starts: dict[int, Value] = {}
        self._fixed: list[tuple[int, OnBoundary, Value]] = []
        self._natural: list[Natural] = []
        self._read(time)
        fixed = (start + found.dofs for start, found, _ in self._fixed)
        self.essential = np.unique(np.concatenate([np.zeros(0, np.int64), *fixed]))
        self.free = np.setdiff1d(np.arange(self.size), self.essential)

    def initial(self) -> ndarray:
        """Return the interpolant of the initial conditions (dof,)."""
        parts = []
        for v, name in enumerate(self.strong.unknowns):
            if v not in self._starts:
                of = f" of '{name}'" if self.unknowns > 1 else ""
                raise does_not_apply(f"the problem has a time and no initial condition{of}")
            parts.append(self.space.interpolate(lambda x: self._values(self._starts[v], x, self._begin)[0]))  # noqa: B023
        return self.with_essential(np.concatenate(parts)[None], self._begin)[0]

    def with_essential(self, states: ndarray, times: ndarray) -> ndarray:
        """Return the states with the Dirichlet values at their times, the last where conditions meet."""
        states = states.copy()
        values = np.empty((len(states), self.size))
        for start, found, value in self._fixed:
            values[:, start + found.nodes] = self._values(value, found.places, times)
        for start, found, _ in self._fixed:
            states[:, start + found.dofs] = (found.fit @ values[:, start + found.nodes].T).T
        return states

    def residual(self, states: ndarray, rates: ndarray, times: ndarray) -> ndarray:
        """Return F at k states (k, dof)."""
        gradient = self._gradients(self.cells, states)
        at = self._linearised(states, rates, times)
        source = at.residual - np.einsum("eui...,ui...->e...", at.divergence, gradient)
        flux = np.einsum("euij...,ui...->ej...", at.diffusion, gradient)
        total = self._tested(self.cells, source, -flux)
        for part in self._natural:
            total[part.equations] += self._tested(part.trace, self._flux(part, states, times).value)
        return total.transpose(1, 0, 2).reshape(states.shape)

    def jacobian(self, state: ndarray, rate: ndarray, time: float) -> csc_matrix:
        """Return dF/du at one state as a sparse matrix."""
        times = np.array([time])
        at = self._linearised(state[None], rate[None], times)

        def block(e: int, v: int) -> csr_matrix:
            drift, diffusion = at.drift - at.divergence, -at.diffusion
            total = self.cells.matrix(at.reaction[e, v, 0], drift[e, v, :, 0], diffusion[e, v, :, :, 0])
            for part, flux in fluxes:
                if e in part.equations:
                    row = part.equations.index(e)
                    total = total + part.trace.matrix(flux.by_value[row, v, 0], flux.by_slope[row, v, :, 0])
            return total

        fluxes = [(part, self._flux(part, state[None], times)) for part in self._natural]
        return self._blocks(block)

    def mass(self, state: ndarray, rate: ndarray, time: float) -> csc_matrix:
        """Return dF/du_t at one state as a sparse matrix."""
        at = self._linearised(state[None], rate[None], np.array([time]))
        return self._blocks(lambda e, v: self.cells.matrix(at.rate[e, v, 0]))

    def energies(self, state: ndarray) -> ndarray:
        """Return what second derivatives put on the diagonal of dF/du (dof,) at one state, with a positive sign."""
        zero = np.zeros((1, self.size))
        diffusion = self._linearised(state[None], zero, self._begin).diffusion
        found = [self.cells.diagonal(diffusion[v, v, :, :, 0]) for v in range(self.unknowns)]
        return np.abs(np.concatenate(found))

    def norm(self, u: ndarray) -> float:
        """Return the L2 norm of the functions u (dof,)."""
        return float(np.sqrt((self._at(self.cells, u[None]) ** 2 @ self.cells.weight).sum()))

    def norm_free(self, values: ndarray) -> float:
        """Return the L2 norm of the functions with these free degrees of freedom and no others."""
        u = np.zeros(self.size)
        u[self.free] = values
        return self.norm(u)

    def undetermined(self, jacobian: csc_matrix) -> str | None:
        """Return an unknown that a matrix leaves free by a constant, if there is one."""
        constant = self.space.interpolate(lambda x: np.ones(x.shape[1]))
        for v, name in enumerate(self.strong.unknowns):
            mine = v * self.space.size + np.arange(self.space.size)
            if not np.isin(self.essential, mine).any():
                shift = np.zeros(self.size)
                shift[mine] = constant
                terms = np.linalg.norm(abs(jacobian) @ abs(shift))
                if np.linalg.norm(jacobian @ shift) <= ROUNDING * terms:
                    return name
        return None

    def eliminated(self) -> tuple[ndarray, str]:
        """Return the free degrees of freedom in an order in which matrices are to be, and that of `factorise` then.

        In space nested dissection leaves less fill than minimum degree.
        """
        if self.space.dimension < 3:
            return self.free, "MMD_AT_PLUS_A"
        mesh = self.space.mesh
        dofs = [self.space.element_dofs + v * self.space.size for v in range(self.unknowns)]
        order = elimination_order(np.concatenate(dofs), mesh.p[:, mesh.t].mean(axis=1), LEAF)
        return order[np.isin(order, self.free)], "NATURAL"

    def _read(self, time: Box | None) -> None:
        domain, problem = self.space.domain, self.strong.problem
        fixed: dict[Patch, set[int]] = {patch: set() for patch in distinct(domain)}
        natural: dict[Patch, list[Equation]] = {patch: [] for patch in fixed}
        for label, condition in problem.conditions.items():
            where = condition.where
            if time is not None and where in time.boundaries and where != "all":
                if where != f"{time.names[0]}-" or not isinstance(condition, Dirichlet):
                    raise does_not_apply(f"condition '{label}' is not an initial value of the unknown")
                self._starts[problem.unknown_of(label, condition)] = condition.value
                continue
            patches = domain.boundary(where)
            if isinstance(condition, Periodic):
                self._check_periodic(label, domain.names.index(where), *patches)
            for patch in patches:
                if isinstance(condition, Periodic):
                    fixed[patch] = set(range(self.unknowns))
                elif isinstance(condition, Dirichlet):
                    v = problem.unknown_of(label, condition)
                    if v in fixed[patch]:
                        raise does_not_apply(f"the boundary of condition '{label}' has another condition")
                    fixed[patch].add(v)
                    self._fixed.append((v * self.space.size, self.space.on_boundary(patch), condition.value))
                else:
                    natural[patch].append(problem.residual_function(label))
                if len(fixed[patch]) + len(natural[patch]) > self.unknowns:
                    raise does_not_apply(f"the boundary of condition '{label}' has another condition")
        for patch, conditions in natural.items():
            free = [v for v in range(self.unknowns) if v not in fixed[patch]]
            if free:
                part = Natural(patch, self.space.trace(patch), free, conditions)
                self._check_natural(part)
                self._natural.append(part)

    def _check_natural(self, part: Natural) -> None:
        """Raise KanpdeError if the conditions on a patch do not give the conormal derivatives there."""
        first, second = (self._conditions(part, self._random(seed), self._begin)[2] for seed in (0, 1))
        if bool((np.abs(first - second) > ALIKE * np.abs(first).max(initial=0.0)).any()):
            raise does_not_apply(f"a condition on the boundary '{part.patch.name}' is not affine in the derivatives")
        conormal, across, found = self._across(part, first, self._begin)
        left = np.abs(across - self._factors(across, found) @ found)
        if bool((left > ALIKE * np.abs(conormal).max()).any()):
            if len(part.conditions) == len(part.equations):
                raise does_not_apply(
                    f"on the boundary '{part.patch.name}' the conditions do not give the conormal derivatives: those"
                    " of a natural condition are the fluxes of the equations, as du/dn or a traction"
                )
            of = [self.strong.unknowns[v] for v in part.equations]
            on = f" on one of {', '.join(of)}" if self.unknowns > 1 else ""
            raise does_not_apply(f"the boundary '{part.patch.name}' has no condition{on}")

    def _random(self, seed: int) -> ndarray:
        return np.random.default_rng(seed).uniform(0.5, 1.5, (1, self.size))

    def _check_periodic(self, label: str, axis: int, lower: Patch, upper: Patch) -> None:
        before, after = self.space.trace(lower), self.space.trace(upper)
        moved = before.points.copy()
        moved[axis] = after.points[axis, 0]
        below, above = (self._diffusion(points, self._begin)[:, :, axis] for points in (before.points, moved))
        if abs(above - below).max() > 1e-12 * abs(below).max():
            raise does_not_apply(
                f"condition '{label}' is periodic, and the coefficients of the second derivatives are not"
            )

    def _linearised(self, states: ndarray, rates: ndarray, times: ndarray) -> Linearised:
        u, rate = self._at(self.cells, states), self._at(self.cells, rates)
        at = self.strong(self.cells.points, times, u, self._gradients(self.cells, states), rate)
        bad = ~np.isfinite(at.residual).all(axis=(0, 1))
        if bad.any():
            place = dict(zip(self.strong.space, self.cells.points[:, bad][:, 0].round(6).tolist(), strict=True))
            raise NotFinite(f"the equation is not finite at {place}: check its coefficients and source term there.")
        return at

    def _parts(self, states: ndarray) -> ndarray:
        """Return the parts of states (k, dof) that are of one unknown each, (u k, dof of an unknown)."""
        parts = states.reshape(len(states), self.unknowns, -1).transpose(1, 0, 2)
        return parts.reshape(-1, parts.shape[-1])

    def _at(self, trace: Quadrature, states: ndarray) -> ndarray:
        """Return the values (u, k, N) of states (k, dof)."""
        return trace.values(self._parts(states)).reshape(self.unknowns, len(states), -1)

    def _gradients(self, trace: Quadrature, states: ndarray) -> ndarray:
        """Return the gradients (u, d, k, N) of states (k, dof)."""
        found = trace.gradients(self._parts(states))
        return found.reshape(self.unknowns, len(states), *found.shape[1:]).transpose(0, 2, 1, 3)

    @staticmethod
    def _tested(trace: Quadrature, source: ndarray, flux: ndarray | None = None) -> ndarray:
        """Return the integrals of sources (e, k, N) and fluxes (e, d, k, N) with test functions, (e, k, dof)."""
        if flux is not None:
            flux = flux.transpose(0, 2, 1, 3).reshape(-1, flux.shape[1], flux.shape[3])
        return trace.tested(source.reshape(-1, source.shape[-1]), flux).reshape(*source.shape[:2], -1)

    def _blocks(self, block: Callable[[int, int], csr_matrix]) -> csc_matrix:
        places = range(self.unknowns)
        return csc_matrix(bmat([[block(e, v) for v in places] for e in places]))

    def _diffusion(self, points: ndarray, times: ndarray) -> ndarray:
        """Return a_eu^{ij} at points (d, N) of a patch, (e, u, d, d, k, N)."""
        zero = np.zeros((self.unknowns, len(times), points.shape[1]))
        gradient = np.zeros((self.unknowns, len(points), *zero.shape[1:]))
        return self.strong(points, times, zero, gradient, zero).diffusion

    def _conditions(self, part: Natural, states: ndarray, times: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        """Return natural conditions B (c, k, N), dB/du (c, u, k, N) and dB/du_i (c, u, d, k, N)."""
        trace, strong = part.trace, self.strong
        u, gradient = self._at(trace, states), self._gradients(trace, states)
        at = strong.points(trace.points, times, trace.normals)
        channels = strong.channels([strong.value, *strong.first], u, gradient, np.zeros_like(u))
        count, shape = (len(part.conditions), *u.shape[:1]), u.shape[1:]
        value, by_value = np.zeros((count[0], *shape)), np.zeros((*count, *shape))
        by_slope = np.zeros((*count, len(strong.first), *shape))
        for c, function in enumerate(part.conditions):
            residual, partial = differentiated(function, strong.unknowns, at, channels)
            value[c] = residual.detach().numpy().reshape(shape)
            for v, found in enumerate(partial):
                for index, slope in found.items():
                    place = by_value[c, v] if index == strong.value else by_slope[c, v, strong.first.index(index)]
                    place[...] = slope.numpy().reshape(shape)
        return value, by_value, by_slope

    def _across(self, part: Natural, by_slope: ndarray, times: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        """Return conormals a_eu^{ij} n_j (e, u, d, k, N), and what they and conditions have across, as (k, N, ., u)."""
        normals = part.trace.normals
        assert normals is not None
        conormal = np.einsum("euijkn,jn->euikn", self._diffusion(part.trace.points, times)[part.equations], normals)
        across, found = (np.einsum("euikn,in->kneu", slopes, normals) for slopes in (conormal, by_slope))
        return conormal, across, found

    @staticmethod
    def _factors(across: ndarray, found: ndarray) -> ndarray:
        """Return M (k, N, e, c), by which conditions have the same derivatives across as equations have."""
        return across @ np.linalg.pinv(found, rcond=ALIKE)

    def _flux(self, part: Natural, states: ndarray, times: ndarray) -> Flux:
        """Return t - M B of a patch."""
        value, by_value, by_slope = self._conditions(part, states, times)
        conormal, across, found = self._across(part, by_slope, times)
        factors = self._factors(across, found)
        along = conormal - np.einsum("knec,cuikn->euikn", factors, by_slope)
        along[np.abs(along) < ROUNDING * np.abs(conormal).max(initial=0.0)] = 0.0
        gradient = self._gradients(part.trace, states)
        # B is affine in the slopes, so that B without them is what it has beside them.
        beside = value - np.einsum("cuikn,uikn->ckn", by_slope, gradient)
        return Flux(
            np.einsum("euikn,uikn->ekn", along, gradient) - np.einsum("knec,ckn->ekn", factors, beside),
            -np.einsum("knec,cukn->eukn", factors, by_value),
            along,
        )

    def _values(self, function: Value, x: ndarray, times: ndarray) -> ndarray:
        """Return a user's function, or a number, at the points x (d, N) at k times, as (k, N)."""
        return evaluate(function, self.strong.points(x, times)).detach().numpy().reshape(len(times), -1)


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
