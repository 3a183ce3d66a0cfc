"""Ordinary and, in one space dimension, partial differential equations by Chebyshev collocation in space and time.

Sources: rectangular collocation, where polynomials of one degree satisfy equations and conditions at as many points as
they have coefficients, Driscoll & Hale 2016, Rectangular Spectral Collocation; in time Radau's points, which make the
method L-stable at any order, Hairer & Wanner 1996, Solving Ordinary Differential Equations II, section IV.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, lu_factor, lu_solve
from scipy.special import roots_jacobi
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Field, Points, evaluate
from kanpde.floats import TINY
from kanpde.geometry import Box
from kanpde.multiindex import IndexSet, MultiIndex
from kanpde.problem import Condition, Equation, Initial, InitialVelocity, Problem, Reference, Value
from kanpde.reference.cache import Arrays, Computed
from kanpde.reference.family import Family, per_value

Array = NDArray[np.float64]

NEWTON = 20
ROUNDING = 1e-14
SHORTEST = 1e-12
"""The shortest slab, as a share of the time."""
SAMPLES = {1: 5000, 2: 200}
"""Points per axis at which the error is measured, by the number of coordinates."""


class Collocation(Computed):
    """Chebyshev polynomials with `nodes` coefficients in space, and `degree` + 1 in time on slabs of any length.

    The equations and conditions are the problem's own; each unknown is determined by the equation in the same
    position. Slabs follow each other in time, each so short that the last coefficients in time are below `tolerance`
    of the largest. Nonlinear equations are solved by Newton's iteration, in time from the state before, else from
    `guess`. An unknown with an initial velocity has that as a further unknown, so that equations are of first order in
    time. `coefficients` are (slab, unknown or velocity, degree in time, degree in space), `times` (slab + 1,) are
    between slabs.
    """

    name = "Chebyshev collocation"
    error_source = "seven eighths of the degrees, ten times the tolerance"
    smooth = True

    def __init__(
        self,
        problem: Problem,
        *,
        nodes: int,
        degree: int,
        tolerance: float,
        guess: Sequence[Value],
    ) -> None:
        box = problem.geometry
        assert isinstance(box, Box)
        self.problem, self.box = problem, box
        self.nodes = nodes if box.space else 1
        self.degree = degree if box.time else 0
        self.tolerance, self.guess = tolerance, guess
        self._time = None if box.time is None else box.names.index(box.time)
        self._space = box.names.index(box.space[0]) if box.space else None
        self.starts = [self._starts(number) for number in range(len(problem.unknowns))]
        self.first = np.cumsum([0] + [max(len(starts), 1) for starts in self.starts]).tolist()

    @property
    def settings(self) -> str:
        return f"{self.box} nodes={self.nodes} degree={self.degree} tolerance={self.tolerance}"

    def compute(self) -> Arrays:
        coarser = Collocation(
            self.problem,
            nodes=self.nodes - self.nodes // 8,
            degree=self.degree - self.degree // 8,
            tolerance=10 * self.tolerance,
            guess=self.guess,
        )
        coefficients, times = _Solution(self).solve()
        other, others = _Solution(coarser).solve()
        axes = [
            torch.linspace(a, b, SAMPLES[len(self.box.names)], dtype=torch.float64)
            for a, b in zip(self.box.lower, self.box.upper, strict=True)
        ]
        at = Points.of(self.box.names, torch.cartesian_prod(*axes).reshape(-1, len(axes)))
        values = IndexSet(self.box.names)
        u, v = self._sum(at, values, coefficients, times), coarser._sum(at, values, other, others)
        size = float(u.norm())
        error = max(float((u - v).norm()) / size, 1e-15) if size > 0 else 1e-15
        return {"error": np.float64(error), "coefficients": coefficients, "times": times}

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        return self._sum(at, indices, self.arrays["coefficients"], self.arrays["times"])

    def _sum(self, at: Points, indices: IndexSet, coefficients: Array, times: Array) -> Tensor:
        """Return the Taylor coefficients (channel, point, unknown)."""
        points = at.array().detach().cpu().numpy()
        t = points[:, self._time] if self._time is not None else np.zeros(len(points))
        slabs = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
        result = np.empty((len(indices), len(points), len(self.starts)))
        for slab in np.unique(slabs):
            here = slabs == slab
            begin, end = times[slab], times[slab + 1]
            for (channel, index), number in product(enumerate(indices.indices), range(len(self.starts))):
                component, in_time, in_space = self.find(number, index)
                early = self.waves(t[here], begin, end, self.degree, in_time) @ coefficients[slab, component]
                wide = self.in_space(points[here], in_space)
                result[channel, here, number] = (early * wide).sum(axis=1)
        result /= np.array(indices.factorials)[:, None, None]
        return torch.from_numpy(result).to(at.array())

    def find(self, number: int, index: MultiIndex) -> tuple[int, int, int]:
        """Return which unknown or velocity has a derivative of an unknown, and as which orders in time and space."""
        in_time = 0 if self._time is None else index[self._time]
        velocity = min(in_time, max(len(self.starts[number]) - 1, 0))
        return self.first[number] + velocity, in_time - velocity, 0 if self._space is None else index[self._space]

    def conditions(self, number: int) -> Iterator[tuple[str, Condition]]:
        """Yield the conditions on an unknown with their labels."""
        for label, condition in self.problem.conditions.items():
            if self.problem.unknown_of(label, condition) == number:
                yield label, condition

    def _starts(self, number: int) -> list[Condition]:
        """Return the initial conditions of an unknown: of the value, then of the velocity."""
        return [
            condition
            for kind in (Initial, InitialVelocity)
            for _, condition in self.conditions(number)
            if type(condition) is kind
        ]

    def in_space(self, points: Array, order: int) -> Array:
        """Return a derivative of the polynomials in space (N, degree) at points (N, d)."""
        if self._space is None:
            return np.ones((len(points), 1))
        box, axis = self.box, self._space
        return self.waves(points[:, axis], box.lower[axis], box.upper[axis], self.nodes - 1, order)

    @staticmethod
    def waves(x: Array, lower: float, upper: float, degree: int, order: int) -> Array:
        """Return a derivative of the Chebyshev polynomials of an interval (N, degree + 1) at x (N,)."""
        identity = np.eye(degree + 1)
        derivative = chebyshev.chebder(identity, order) if order <= degree else np.zeros((1, degree + 1))
        values = chebyshev.chebvander((2 * x - lower - upper) / (upper - lower), len(derivative) - 1) @ derivative
        return values * (2 / (upper - lower)) ** order


@dataclass(frozen=True)
class _Rows:
    """Residuals of an equation or condition: at which times of the slab [-1, 1] and at which points in space."""

    label: str
    times: Array
    points: Array
    normal: Tensor | None


class _Solution:
    """Solves for the coefficients, slab after slab."""

    def __init__(self, reference: Collocation) -> None:
        self.reference, self.problem, self.box = reference, reference.problem, reference.box
        self.times = radau(reference.degree)
        self.shape = (reference.first[-1], reference.degree + 1, reference.nodes)
        self.rows = [row for number in range(len(reference.starts)) for row in self._rows(number)]

    def solve(self) -> tuple[Array, Array]:
        """Return the coefficients (slab, unknown, degree in time, degree in space), and the times between slabs."""
        reference = self.reference
        if reference._time is None:
            c = self._newton(np.stack([self._in_space(value)[None] for value in reference.guess]), None, 0.0, 1.0)
            if c is None:
                raise KanpdeError("the collocation reference does not converge: give it a guess=, or more nodes.")
            return c[None], np.array([0.0, 1.0])
        begin, end = self.box.lower[reference._time], self.box.upper[reference._time]
        # What has no initial value starts from the guess, and is not held at it.
        state = np.stack([
            self._in_space(value)
            for starts, guess in zip(reference.starts, reference.guess, strict=True)
            for value in ([condition.value for condition in starts] or [guess])
        ])  # fmt: skip
        times, slabs = [begin], []
        length = (end - begin) / 16
        scale = np.zeros((len(state), 1, 1))
        while times[-1] < end:
            length = min(length, end - times[-1])
            if length < SHORTEST * (end - begin):
                raise KanpdeError(
                    f"the collocation reference does not converge after t = {times[-1]:g}: give it more nodes than"
                    f" {reference.nodes}, or a larger tolerance than {reference.tolerance:g}."
                )
            last = times[-1] + length
            constant = np.zeros(self.shape)
            constant[:, 0] = state
            c = self._newton(constant, state, times[-1], last)
            if c is None:
                length /= 2
                continue
            scale = np.maximum(scale, np.abs(c).max(axis=(1, 2), keepdims=True))
            tail = float((np.abs(c[:, -2:]) / np.maximum(scale, TINY)).max())
            growth = 0.9 * (reference.tolerance / max(tail, TINY)) ** (1 / reference.degree)
            if tail > reference.tolerance:
                length *= min(max(growth, 0.2), 0.7)
                continue
            slabs.append(c)
            # The last slab must not be a sliver that rounding leaves.
            times.append(end if end - last < SHORTEST * (end - begin) else last)
            length *= min(max(growth, 0.5), 2.0)
            state = c.sum(axis=1)  # all polynomials are 1 at the end
        return np.stack(slabs), np.array(times)

    def _in_space(self, value: Value) -> Array:
        """Return the coefficients (degree in space,) of a function at the start."""
        reference = self.reference
        nodes = np.cos(np.pi * np.arange(reference.nodes) / max(reference.nodes - 1, 1))
        at = self._points(np.array([-1.0]), self._place(nodes), 0.0, 1.0, None)
        if reference._time is not None:
            start = torch.full((len(at),), self.box.lower[reference._time], dtype=torch.float64)
            at = at.moved(**{self.box.names[reference._time]: start})
        values = evaluate(value, at).numpy()
        return np.linalg.solve(chebyshev.chebvander(nodes, reference.nodes - 1), values)

    def _newton(self, c: Array, state: Array | None, begin: float, end: float) -> Array | None:
        """Return the coefficients on a slab; None if Newton's iteration does not converge."""
        before = np.inf
        for _ in range(NEWTON):
            residual, jacobian = self._system(c, state, begin, end)
            if not (np.isfinite(residual).all() and np.isfinite(jacobian).all()):
                return None
            size = np.abs(jacobian).max(axis=1)
            if (size == 0).any():
                return None
            try:
                step = lu_solve(lu_factor(jacobian / size[:, None]), residual / size).reshape(self.shape)
            except (LinAlgError, ValueError):
                return None
            c = c - step
            change = float((np.abs(step).max(axis=(1, 2)) / np.maximum(np.abs(c).max(axis=(1, 2)), TINY)).max())
            # At the end rounding keeps the steps from becoming smaller.
            if change <= ROUNDING or (before < 1e-7 and change > 0.1 * before):
                return c
            before = change
        return None

    def _system(self, c: Array, state: Array | None, begin: float, end: float) -> tuple[Array, Array]:
        """Return all residuals (row,) and their derivatives in the coefficients (row, coefficient)."""
        reference = self.reference
        residuals: list[Array] = []
        jacobians: list[Array] = []
        for starts, first in zip(reference.starts, reference.first, strict=False):
            for component in range(first, first + len(starts)):
                assert state is not None
                at_start = reference.waves(np.array([begin]), begin, end, reference.degree, 0)
                self._append(residuals, jacobians, c, {component: at_start}, state[None, component])
            for velocity in range(first + 1, first + len(starts)):
                value, slope = (
                    reference.waves(begin + (self.times + 1) / 2 * (end - begin), begin, end, reference.degree, order)
                    for order in (0, 1)
                )
                self._append(residuals, jacobians, c, {velocity: value, velocity - 1: -slope}, 0.0)
        for rows in self.rows:
            residual, jacobian = self._linearised(rows, c, begin, end)
            residuals.append(residual)
            jacobians.append(jacobian)
        return np.concatenate(residuals), np.concatenate(jacobians)

    def _append(
        self, residuals: list[Array], jacobians: list[Array], c: Array, factors: dict[int, Array], wanted: Array | float
    ) -> None:
        """Append what holds for every degree in space: a sum of factors (time, degree in time) times coefficients."""
        residual = sum(factor @ c[component] for component, factor in factors.items()) - wanted
        block = np.zeros((*residual.shape, *self.shape))
        for component, factor in factors.items():
            block[:, :, component] = factor[:, None, :, None] * np.eye(self.shape[2])[None, :, None, :]
        residuals.append(residual.ravel())
        jacobians.append(block.reshape(residual.size, -1))

    def _linearised(self, rows: _Rows, c: Array, begin: float, end: float) -> tuple[Array, Array]:
        """Return the residuals of an equation or condition and their derivatives."""
        reference = self.reference
        at = self._points(rows.times, rows.points, begin, end, rows.normal)
        times = begin + (rows.times + 1) / 2 * (end - begin)
        leaves: dict[tuple[int, int, int], Tensor] = {}
        factors: dict[tuple[int, int, int], tuple[Array, Array]] = {}

        def field(number: int) -> Field:
            def lookup(index: MultiIndex) -> Tensor:
                key = component, in_time, in_space = reference.find(number, index)
                if key not in leaves:
                    early = reference.waves(times, begin, end, reference.degree, in_time)
                    wide = reference.in_space(rows.points, in_space)
                    factors[key] = early, wide
                    leaves[key] = torch.from_numpy((early @ c[component] @ wide.T).ravel()).requires_grad_()
                return leaves[key]

            return Field(self.problem.unknowns[number], self.box.names, lookup)

        fields = map(field, range(len(reference.starts)))
        residual = self.problem.residual_function(rows.label)(*fields, at)
        jacobian = np.zeros((len(times), len(rows.points), *self.shape))
        if residual.requires_grad:
            slopes = torch.autograd.grad(residual.sum(), list(leaves.values()), materialize_grads=True)
            for key, slope in zip(leaves, slopes, strict=True):
                early, wide = factors[key]
                grid = slope.numpy().reshape(len(times), len(rows.points))
                jacobian[:, :, key[0]] += np.einsum("qm,qp,mx->qmpx", grid, early, wide, optimize=True)
        return residual.detach().numpy(), jacobian.reshape(len(at), -1)

    def _rows(self, number: int) -> Iterator[_Rows]:
        """Yield the rows that determine an unknown, besides its initial values."""
        reference = self.reference
        walls = [
            (label, axis, side)
            for label, condition in reference.conditions(number)
            for axis, side in self.box.faces(condition.where)
            if axis == reference._space
        ]
        times = self.times if reference.starts[number] else radau(reference.degree + 1)
        count = reference.nodes - len(walls)
        inner = -np.cos(np.pi * (np.arange(count) + 0.5) / count)
        yield _Rows(list(self.problem.equations)[number], times, self._place(inner), None)
        for label, axis, side in walls:
            normal = torch.zeros(len(times), len(self.box.names), dtype=torch.float64)
            normal[:, axis] = 2 * side - 1
            yield _Rows(label, times, self._place(np.array([2.0 * side - 1])), normal)

    def _place(self, unit: Array) -> Array:
        """Return the points (N, d) of places in [-1, 1]; the time is filled in later."""
        axis = self.reference._space
        if axis is None:
            return np.zeros((1, len(self.box.names)))
        points = np.zeros((len(unit), len(self.box.names)))
        points[:, axis] = self.box.lower[axis] + (unit + 1) / 2 * self.box.lengths[axis]
        return points

    def _points(self, times: Array, points: Array, begin: float, end: float, normal: Tensor | None) -> Points:
        """Return the points (time x place, d)."""
        grid = np.tile(points, (len(times), 1))
        if self.reference._time is not None:
            grid[:, self.reference._time] = np.repeat(begin + (times + 1) / 2 * (end - begin), len(points))
        return Points.of(self.box.names, torch.from_numpy(grid), normal)


def radau(count: int) -> Array:
    """Return Radau's points on [-1, 1], the right end among them."""
    return np.append(roots_jacobi(count - 1, 1.0, 0.0)[0] if count > 1 else [], 1.0)


def collocation(
    box: Box,
    equations: Mapping[str, Equation],
    conditions: Mapping[str, Condition],
    *,
    nodes: int = 64,
    degree: int = 16,
    tolerance: float = 1e-12,
    guess: Value | Sequence[Value] = 0.0,
) -> Collocation | Family:
    """Return the solution of ordinary differential equations, or of partial ones in one space dimension with walls.

    For initial value problems, stiff ones too, in `Box(t=...)`; two-point boundary value problems in `Box(x=...)`; and
    both in `Box(x=..., t=...)`. Give the equations and conditions of the problem; the equation of an unknown stands in
    its position, and there are as many conditions at walls as it needs. With parameters there is such a solution for
    each of a few of their values. See `Collocation` for `nodes`, `degree`,
    `tolerance` and `guess`, which is one for all unknowns, or a list.
    Raises KanpdeError for other boxes, periodic conditions, other numbers of equations or conditions, settings out of
    range and, when it is used, if it does not converge.
    """
    problem = Problem(box, equations, conditions)
    if box.parameters:

        def member(**values: float) -> Reference:
            one = problem.fixed(**values)
            assert isinstance(one.geometry, Box)
            return collocation(
                one.geometry,
                one.equations,
                one.conditions,
                nodes=nodes,
                degree=degree,
                tolerance=tolerance,
                guess=guess,
            )

        return per_value(box, member)
    if len(box.space) > 1:
        raise KanpdeError(
            f"{box}: the collocation reference needs at most one space coordinate, and the time t or not."
        )
    if nodes < 8 or not 4 <= degree <= 32 or not 1e-14 <= tolerance <= 1e-3:
        raise KanpdeError(
            f"nodes={nodes}, degree={degree}, tolerance={tolerance}: give at least 8 nodes, a degree from 4 to 32 and a"
            " tolerance from 1e-14 to 1e-3."
        )
    if problem.periodic:
        raise KanpdeError("the collocation reference is for walls: take fourier(...) for periodic conditions.")
    names = problem.unknowns
    if len(equations) != len(names):
        raise KanpdeError(f"{len(equations)} equations for {', '.join(names)}: give one per unknown, in their order.")
    guesses = list(guess) if isinstance(guess, Sequence) else [guess] * len(names)
    if len(guesses) != len(names):
        raise KanpdeError(f"guess has {len(guesses)} entries: give one per unknown, {', '.join(names)}.")
    _check_conditions(problem, box)
    return Collocation(problem, nodes=nodes, degree=degree, tolerance=tolerance, guess=guesses)


def _check_conditions(problem: Problem, box: Box) -> None:
    """Raise KanpdeError unless there are as many conditions in time and at walls as the unknowns need."""
    orders = _orders(problem, box)
    for number, name in enumerate(problem.unknowns):
        faces = [
            box.names[axis] + "-+"[side]
            for label, condition in problem.conditions.items()
            if problem.unknown_of(label, condition) == number
            for axis, side in box.faces(condition.where)
        ]
        for axis, coordinate in enumerate(box.names):
            wanted = orders[number][axis]
            got = sum(face[:-1] == coordinate for face in faces)
            if got != wanted or (coordinate == box.time and f"{coordinate}+" in faces):
                what = "initial conditions" if coordinate == box.time else "conditions at walls"
                raise KanpdeError(
                    f"'{name}' has the order {wanted} in {coordinate}, so the collocation reference needs {wanted}"
                    f" {what}, and there are conditions at {', '.join(faces) or 'no face'}."
                )


def _orders(problem: Problem, box: Box) -> list[tuple[int, ...]]:
    """Return the highest order of the derivatives of every unknown in each coordinate, over all equations."""
    at = problem.middle()
    like = getattr(at, box.names[0])
    orders = [[0] * len(box.names) for _ in problem.unknowns]
    for label in problem.equations:

        def probe(number: int) -> Field:
            def lookup(index: MultiIndex) -> Tensor:
                orders[number] = list(map(max, orders[number], index))
                return 0.5 + torch.arange(len(like), dtype=like.dtype) / 7

            return Field(problem.unknowns[number], box.names, lookup)

        problem.residual_function(label)(*map(probe, range(len(problem.unknowns))), at)
    return [tuple(order) for order in orders]
