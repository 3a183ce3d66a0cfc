"""The mixed form of steady incompressible flow on Taylor-Hood elements (Taylor & Hood 1973).

Velocities are of degree k, the pressure of degree k - 1, both continuous (stable: Boffi 1997). By parts,

    F_i(w) = int b_i w + nu_i grad u_i . grad w - p w_i + int_boundary f_i w,    F_p(q) = int (div u - g) q,

where the natural condition gives the flux f_i = p n_i - nu_i du_i/dn; 0 is the outflow that does nothing (Heywood,
Rannacher & Turek 1996).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy import ndarray
from scipy.sparse import bmat, csc_matrix, csr_matrix

from kanpde.constraint import Mean
from kanpde.field import evaluate
from kanpde.geometry import Patch
from kanpde.geometry.base import distinct
from kanpde.problem import Condition, Dirichlet, Periodic, Problem
from kanpde.reference.fem.dissection import elimination_order
from kanpde.reference.fem.grid import Grid
from kanpde.reference.fem.linearise import does_not_apply
from kanpde.reference.fem.momentum import FlowEquations
from kanpde.reference.fem.quadrature import Trace
from kanpde.reference.fem.space import Space


class FlowForm:
    """F of a state: the velocities' degrees of freedom, one component after the other, then those of the pressure.

    Where a constraint gives the mean of the pressure, one of these is 0 until it is shifted in the end. Where two
    conditions give a velocity in one place, as in the corners of a cavity, the one that the problem states last holds.
    `free` are the degrees of freedom that are solved for, in the order of their elimination.
    Raises KanpdeError for conditions and constraints that have no place in this form, for a part of the boundary
    without a condition on a velocity, and for a pressure that is fixed up to a constant only.
    """

    def __init__(self, problem: Problem, order: int, cells: int, grid: Grid | None = None) -> None:
        if order < 2:
            raise does_not_apply(f"the velocities need elements of degree 2 or more, and order={order}")
        self.problem, self.equations = problem, FlowEquations(problem)
        domain, self.dimension = problem.geometry, problem.geometry.dimension
        periodic = tuple(domain.names.index(name) for name in problem.periodic)
        exact = 3 * order - 1
        self.velocity = Space(domain, order, cells, periodic, grid, exact)
        self.pressure = Space(domain, order - 1, cells, periodic, self.velocity.grid, exact)
        self.cells, self._tests = self.velocity.trace(), self.pressure.trace()
        # The component of every unknown in a state, the pressure being the last, and where components start.
        self._component = {u: i for i, u in enumerate([*self.equations.velocities, self.equations.pressure])}
        self._starts = [i * self.velocity.size for i in range(self.dimension + 1)]
        self._fixed: list[tuple[ndarray, ndarray]] = []
        self._natural: list[tuple[int, Trace, ndarray]] = []
        self._open = False
        self.mean = self._mean()
        self.size = self._starts[-1] + self.pressure.size
        self._read()
        self._sources = self.equations.sources(self.cells.points)
        known = np.unique(np.concatenate([np.zeros(0, np.int64), *(dofs for dofs, _ in self._fixed)]))
        pinned = [] if self.mean is None else [self._starts[-1]]
        self.free = self._eliminated(np.setdiff1d(np.arange(self.size), [*known, *pinned]))
        pressures = (known >= self._starts[-1]).any()
        if self.mean is None and not self._open and not pressures:
            name = problem.unknowns[self.equations.pressure]
            raise does_not_apply(f"the pressure is fixed only up to a constant: give constraints with mean('{name}')")
        if self.mean is not None and (self._open or pressures):
            raise does_not_apply("the conditions fix the pressure, and a constraint gives its mean as well")

    def start(self) -> ndarray:
        """Return the state (dof,) that has the Dirichlet values, and is 0 elsewhere."""
        state = np.zeros(self.size)
        for dofs, values in self._fixed:
            state[dofs] = values
        return state

    def residual(self, state: ndarray, thickening: float = 1.0) -> ndarray:
        """Return F (dof,) for viscosities that are so many times larger."""
        u, slopes, p = self._at_points(state)
        forces = self.equations.forces(self.cells.points, u, slopes).value
        weight, value = self.cells.weight, self.cells.value
        parts = []
        for i, nu in enumerate(self.equations.viscosity):
            part = value.T @ (weight * forces[i]) - self.cells.slopes[i].T @ (weight * p)
            for k, along in enumerate(self.cells.slopes):
                part += along.T @ (thickening * nu * weight * slopes[i, k])
            parts.append(part)
        for i, trace, flux in self._natural:
            parts[i] += trace.value.T @ (trace.weight * flux)
        divergence = sum(slopes[i, i] for i in range(self.dimension)) - self._sources
        parts.append(self._tests.value.T @ (weight * divergence))
        if self.mean is not None:
            # No flow leaves the domain, so div u has the mean of g, up to errors of the interpolated values on walls.
            parts[-1] -= parts[-1].sum() / weight.sum() * (self._tests.value.T @ weight)
        return np.concatenate(parts)

    def jacobian(self, state: ndarray, thickening: float = 1.0) -> csc_matrix:
        """Return dF/dstate as a sparse matrix."""
        u, slopes, _ = self._at_points(state)
        forces = self.equations.forces(self.cells.points, u, slopes)
        d, value, tests = self.dimension, self.cells.value, self._tests.value
        ones = np.ones_like(self.cells.weight)
        stiffness = sum(self.cells.integrate(along, ones, along) for along in self.cells.slopes)
        blocks: list[list[csr_matrix | None]] = [[None] * (d + 1) for _ in range(d + 1)]
        for i in range(d):
            for j in range(d):
                block = self.cells.integrate(value, forces.by_value[i, j], value)
                for k, along in enumerate(self.cells.slopes):
                    block = block + self.cells.integrate(value, forces.by_slope[i, j, k], along)
                if i == j:
                    block = block + thickening * self.equations.viscosity[i] * stiffness
                blocks[i][j] = block
            coupling = self.cells.integrate(tests, ones, self.cells.slopes[i])
            blocks[i][d], blocks[d][i] = -coupling.T, coupling
        return csc_matrix(bmat(blocks))

    def shifted(self, state: ndarray) -> ndarray:
        """Return a state with the pressure's mean that a constraint gives."""
        if self.mean is None:
            return state
        state, weight = state.copy(), self.cells.weight
        pressure = state[self._starts[-1] :]
        pressure += self.mean - weight @ (self._tests.value @ pressure) / weight.sum()
        return state

    def force(self, state: ndarray, patches: Iterable[Patch]) -> ndarray:
        """Return the force of the fluid on patches of the boundary (d,), by the volume form of John & Matthies 2001."""
        dofs = np.unique(np.concatenate([self.velocity.boundary_dofs(patch)[0] for patch in patches]))
        residual = self.residual(state)
        return -np.array([residual[start + dofs].sum() for start in self._starts[:-1]])

    @property
    def spaces(self) -> list[Space]:
        """The space of every unknown, in the order of the problem."""
        places = range(len(self.problem.unknowns))
        return [self.pressure if u == self.equations.pressure else self.velocity for u in places]

    def split(self, state: ndarray) -> list[ndarray]:
        """Return the degrees of freedom of every unknown, in the order of the problem."""
        starts = (self._starts[self._component[u]] for u in range(len(self.spaces)))
        return [state[start : start + space.size] for start, space in zip(starts, self.spaces, strict=True)]

    def joined(self, unknowns: Sequence[ndarray]) -> ndarray:
        """Return the state (dof,) of degrees of freedom of every unknown."""
        state = np.zeros(self.size)
        for u, part in enumerate(unknowns):
            start = self._starts[self._component[u]]
            state[start : start + len(part)] = part
        return state

    def _at_points(self, state: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        """Return velocities (i, N), their slopes (i, k, N) and the pressure (N,) at the quadrature points."""
        unknowns = self.split(state)
        velocities = [unknowns[u] for u in self.equations.velocities]
        u = np.stack([self.cells.value @ dofs for dofs in velocities])
        slopes = np.stack([np.stack([along @ dofs for along in self.cells.slopes]) for dofs in velocities])
        return u, slopes, self._tests.value @ unknowns[self.equations.pressure]

    def _eliminated(self, free: ndarray) -> ndarray:
        """Return degrees of freedom in the order of their elimination."""
        spaces = [self.velocity] * self.dimension + [self.pressure]
        dofs = [space.element_dofs + start for space, start in zip(spaces, self._starts, strict=True)]
        mesh = self.velocity.mesh
        order = elimination_order(np.concatenate(dofs), mesh.p[:, mesh.t].mean(axis=1))
        return order[np.isin(order, free)]

    def _mean(self) -> float | None:
        """Return the mean of the pressure that a constraint gives."""
        mean = None
        for label, constraint in self.problem.constraints.items():
            name = self.problem.unknowns[self.equations.pressure]
            if not isinstance(constraint, Mean) or constraint.of != name or callable(constraint.value):
                raise does_not_apply(f"constraint '{label}' is not the mean of '{name}'")
            mean = float(constraint.value)
        return mean

    def _read(self) -> None:
        """Read the conditions; every velocity needs one on every part of the boundary."""
        domain = self.problem.geometry
        given: set[tuple[int, int]] = set()
        for label, condition in self.problem.conditions.items():
            for patch in domain.boundary(condition.where):
                if isinstance(condition, Periodic):
                    given |= {(i, id(patch)) for i in range(self.dimension)}
                elif isinstance(condition, Dirichlet):
                    given |= self._fix(label, condition, patch)
                else:
                    given |= self._open_up(label, condition, patch)
        for patch in distinct(domain):
            for i, unknown in enumerate(self.equations.velocities):
                if (i, id(patch)) not in given:
                    name = self.problem.unknowns[unknown]
                    raise does_not_apply(f"the boundary '{patch.name}' has no condition on '{name}'")

    def _fix(self, label: str, condition: Dirichlet, patch: Patch) -> set[tuple[int, int]]:
        unknown = self.problem.unknown_of(label, condition)
        component = self._component[unknown]
        dofs, places = self.spaces[unknown].boundary_dofs(patch)
        values = evaluate(condition.value, self.equations.points(places)).detach().numpy()
        self._fixed.append((dofs + self._starts[component], values))
        return {(component, id(patch))}

    def _open_up(self, label: str, condition: Condition, patch: Patch) -> set[tuple[int, int]]:
        trace = self.velocity.trace(patch)
        assert trace.normals is not None
        found = self.equations.natural(self.problem.residual_function(label), trace.points, trace.normals)
        if found is None:
            nu = self.equations.viscosity[0]
            raise does_not_apply(
                f"condition '{label}' is neither a value nor the flux {nu:g} du/dn - p n of a velocity's component"
            )
        component, flux = found
        self._natural.append((component, trace, flux))
        self._open |= bool((np.abs(trace.normals[component]) > 1e-12).any())
        return {(component, id(patch))}


def interpolated(form: FlowForm, other: FlowForm, state: ndarray) -> ndarray:
    """Return the state of a form that interpolates that of another one."""
    unknowns = [
        space.interpolate(partial(old.values, part))
        for space, old, part in zip(form.spaces, other.spaces, other.split(state), strict=True)
    ]
    result, filled = form.start(), form.joined(unknowns)
    result[form.free] = filled[form.free]
    return result
