"""The network inside the solution: u = A + q N, so that hard conditions hold whatever the parameters are.

On a box, q is a product of factors that vanish on the faces with Dirichlet or initial conditions, and the lift A
interpolates their data transfinitely (Gordon 1971), one coordinate after the other. On other domains `Surfaces` gives
both. It may also go on from another solution at its last time, or be another solution that q N corrects. Only Taylor
coefficients of that one enter.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Points, evaluate, taylor_coefficients
from kanpde.geometry import Box
from kanpde.model.graph import Graph
from kanpde.model.network import Network
from kanpde.model.surfaces import Surfaces, change_since, function_of, places
from kanpde.multiindex import IndexSet, MultiIndex
from kanpde.problem import Condition, Dirichlet, InitialVelocity, Periodic, Problem, Value

MODES = ("hard", "soft")
Function = Callable[[Points], Tensor]
Frozen = Callable[[Points, IndexSet], Tensor]
"""A solution that does not change any more, as Taylor coefficients (C, N, U) at points."""
LIFT_TOLERANCE = 1e-10
"""By how much a lift may differ from its condition's value, relative to the largest one."""


@dataclass(frozen=True)
class Frame:
    """What the ansatz needs at fixed points, independent of parameters: lift A and factor q, each (C, N, U).

    Unknown scalars are the last columns, constant in space and time.
    """

    indices: IndexSet
    lift: Tensor
    factor: Tensor

    def solution(self, output: Tensor) -> Tensor:
        """Return u = A + q N (C, N, U) for the network's output N."""
        return self.lift + self.indices.multiply(self.factor, output)

    def pull_back(self, adjoint: Tensor) -> Tensor:
        """Return the adjoint (C, N, U) of N for one of u."""
        return self.indices.multiply_adjoint(self.factor, adjoint)


class Ansatz:
    """A problem's hard conditions; `soft` lists the conditions that stay in the loss.

    Periodic conditions are always hard: the inputs of the network impose them. `before` is a solution up to the initial
    time, which goes on from it: its values, and velocities where they are given, replace the initial ones in any mode.
    Raises KanpdeError for an unknown mode, for two values on one face, and for a lift that is not its condition's value
    there, comes with an initial velocity, or is a second one for its unknown.
    """

    def __init__(self, problem: Problem, mode: str = "hard", before: Frozen | None = None) -> None:
        if mode not in MODES:
            raise unknown_name("way to impose conditions", mode, MODES)
        self.problem = problem
        box = problem.geometry
        self._data: list[dict[int, dict[int, Value]]] = [{} for _ in problem.unknowns]
        self._velocity: list[Value | None] = [None] * len(problem.unknowns)
        self._start: list[Function | None] = [None] * len(problem.unknowns)
        self._met: list[set[tuple[int, int]]] = [set() for _ in problem.unknowns]  # faces on which a lift is the value
        self._before = before
        self._around: Frozen | None = None
        self._size = 1.0
        self._continued = [False] * len(problem.unknowns)
        hard = {label for label, condition in problem.conditions.items() if isinstance(condition, Periodic)}
        if before is not None and isinstance(box, Box):
            hard.update(self._continue(box))
        self._surfaces = None if isinstance(box, Box) or mode != "hard" else Surfaces(problem)
        if self._surfaces is not None:
            for label, condition in problem.conditions.items():
                if label in self._surfaces.hard and isinstance(condition, Dirichlet) and condition.lift is not None:
                    self._check_lift(label, condition, condition.lift)
            hard.update(self._surfaces.hard)
        if mode == "hard" and isinstance(box, Box):
            for label, condition in problem.conditions.items():
                if isinstance(condition, Dirichlet) and label not in hard:
                    self._impose(box, label, condition)
                    hard.add(label)
            for label, condition in problem.conditions.items():
                if label not in hard and isinstance(condition, InitialVelocity) and self._starts(box, label, condition):
                    self._velocity[problem.unknown_of(label, condition)] = condition.value
                    hard.add(label)
        self.soft = tuple(label for label in problem.conditions if label not in hard)
        self.hard = tuple(label for label in problem.conditions if label in hard)

    def corrected(self, around: Frozen, size: float) -> Ansatz:
        """Return the ansatz u = u_0 + size q N around a solution u_0 that satisfies the hard conditions.

        Multi-stage networks: Wang & Lai 2024.
        """
        corrected = copy.copy(self)
        corrected._around, corrected._size = around, size
        return corrected

    def about(self, problem: Problem) -> Ansatz:
        """Return the ansatz for a problem that differs in its constraints only."""
        other = copy.copy(self)
        other.problem = problem
        return other

    def _continue(self, box: Box) -> list[str]:
        """Take the initial values from the solution before; return the labels of the conditions that this replaces."""
        assert box.time is not None
        time = box.names.index(box.time)
        replaced = []
        for label, condition in self.problem.conditions.items():
            if isinstance(condition, Dirichlet | InitialVelocity) and box.faces(condition.where) == ((time, 0),):
                u = self.problem.unknown_of(label, condition)
                self._continued[u], self._start[u] = True, zero
                if isinstance(condition, InitialVelocity):
                    self._velocity[u] = 0.0
                self._data[u][time] = {0: 0.0}
                self._met[u].add((time, 0))
                replaced.append(label)
        return replaced

    def _impose(self, box: Box, label: str, condition: Dirichlet) -> None:
        u = self.problem.unknown_of(label, condition)
        data = self._data[u]
        for axis, side in box.faces(condition.where):
            if side in data.get(axis, {}):
                name = f"{box.names[axis]}{'-+'[side]}"
                raise KanpdeError(
                    f"condition '{label}' sets the face {name}, which has a value already: keep one of them."
                )
            data.setdefault(axis, {})[side] = self._wall(u, condition.value)
        if condition.lift is not None:
            self._check_lift(label, condition, condition.lift)
            self._start[u] = function_of(self._wall(u, condition.lift))
            self._met[u].update(box.faces(condition.where))

    def _wall(self, u: int, value: Value) -> Value:
        """Return the data of a wall, or by how much they have changed since the initial time if u goes on from there.

        What goes on satisfies them at that time, so the values handed over are not changed, not even by rounding.
        """
        if not self._continued[u]:
            return value
        time = self.problem.geometry.time
        start = next(a for name, a, _ in self._box if name == time)
        return change_since(value, str(time), start, self._velocity[u] is not None)

    def _check_lift(self, label: str, condition: Dirichlet, lift: Function) -> None:
        u = self.problem.unknown_of(label, condition)
        for other, another in self.problem.conditions.items():
            if not isinstance(another, Dirichlet | InitialVelocity) or self.problem.unknown_of(other, another) != u:
                continue
            if isinstance(another, InitialVelocity):
                raise KanpdeError(
                    f"condition '{label}' has a lift, which '{other}' would change: leave out one of them."
                )
            if another.lift not in (None, lift):
                raise KanpdeError(
                    f"conditions '{label}' and '{other}' have two lifts for one unknown: give both the same function,"
                    " or one of them none."
                )
        geometry = self.problem.geometry
        at = Points.of(geometry.names, torch.cat([places(face) for face in geometry.boundary(condition.where)]))
        wanted = evaluate(condition.value, at)
        difference = float((evaluate(lift, at) - wanted).abs().max())
        if not difference <= LIFT_TOLERANCE * max(float(wanted.abs().max()), 1.0):
            raise KanpdeError(
                f"the lift of condition '{label}' differs from its value by {difference:.1e} at '{condition.where}':"
                " it has to be equal there."
            )

    def _starts(self, box: Box, label: str, condition: Condition) -> bool:
        data = self._data[self.problem.unknown_of(label, condition)]
        return box.time is not None and 0 in data.get(box.names.index(box.time), {})

    @cached_property
    def _box(self) -> tuple[tuple[str, float, float], ...]:
        geometry = self.problem.geometry
        return tuple(zip(geometry.names, geometry.lower, geometry.upper, strict=True))

    def _q(self, u: int) -> Function | float:
        if self._surfaces is not None:
            return self._surfaces.factor(u)

        def q(at: Points) -> Tensor:
            product = torch.ones_like(getattr(at, at.names[0]))
            for axis, sides in self._data[u].items():
                name, a, b = self._box[axis]
                s = (getattr(at, name) - a) / (b - a)
                if len(sides) == 2:
                    product = product * (4 * s * (1 - s))
                elif 1 in sides:
                    product = product * (1 - s)
                else:
                    velocity = name == self.problem.geometry.time and self._velocity[u] is not None
                    product = product * (s**2 if velocity else s)
            return product

        return q

    def _lift(self, u: int) -> Function | float:
        if self._surfaces is not None:
            return self._surfaces.lift(u)
        data = self._data[u]
        start = self._start[u]
        values = [value for sides in data.values() for value in sides.values()] + [self._velocity[u] or 0.0]
        if start in (None, zero) and all(not callable(value) and value == 0 for value in values):
            return 0.0
        time = self.problem.geometry.time
        # Time first: corrections for compatible walls then change neither the initial value nor the velocity.
        return self._corrected(u, sorted(data, key=lambda axis: self._box[axis][0] != time), start or zero)

    def _corrected(self, u: int, axes: list[int], lift: Function) -> Function:
        """Return lift + P (data - lift), P interpolating from the faces of one coordinate, for one after the other.

        On the faces that it meets the lift is taken to be its data: it may be singular where another face begins.
        """
        if not axes:
            return lift
        *before, axis = axes
        name, a, b = self._box[axis]
        sides = self._data[u][axis]
        velocity = self._velocity[u] if name == self.problem.geometry.time else None
        inside = self._corrected(u, before, lift)
        met = {side for side in sides if (axis, side) in self._met[u]}
        if inside is lift and len(met) == len(sides):
            return lift
        on = {s: self._corrected(u, before, function_of(v)) if s in met else inside for s, v in sides.items()}

        def corrected(at: Points) -> Tensor:
            x = getattr(at, name)
            s = (x - a) / (b - a)
            blend = {0: 1 - s, 1: s} if len(sides) == 2 else {next(iter(sides)): torch.ones_like(s)}
            total = inside(at)
            for side, value in sides.items():
                if inside is not lift or side not in met:
                    face = at.moved(**{name: torch.full_like(x, (a, b)[side])})
                    total = total + blend[side] * (evaluate(value, face) - on[side](face))
            if velocity is not None:
                face = at.moved(**{name: torch.full_like(x, a)})
                total = total + (x - a) * evaluate(velocity, face)
            return total

        return corrected

    def frame(self, indices: IndexSet, at: Points) -> Frame:
        """Return lift and factor at points; raise KanpdeError if a condition's data are not finite there."""
        unknowns, scalars = range(len(self.problem.unknowns)), self.problem.scalars.values()
        columns = [taylor_coefficients(self._q(u), at, indices) for u in unknowns]
        columns += [taylor_coefficients(scalar.size, at, indices) for scalar in scalars]
        factor = torch.stack(columns, dim=-1)
        if self._around is not None:
            return Frame(indices, self._around(at, indices), self._size * factor)
        columns = [taylor_coefficients(self._lift(u), at, indices) for u in unknowns]
        columns += [taylor_coefficients(scalar.start, at, indices) for scalar in scalars]
        lift = torch.stack(columns, dim=-1)
        if self._before is not None:
            lift = lift + self._handed_over(self._before, indices, at)
        if not bool(torch.isfinite(lift).all()):
            raise KanpdeError("the data of a hard condition are not finite inside the domain: use conditions=soft.")
        return Frame(indices, lift, factor)

    def _handed_over(self, before: Frozen, indices: IndexSet, at: Points) -> Tensor:
        """Return u_0(x, t_0) + (t - t_0) u_0,t(x, t_0) (C, N, U); the second term where velocities are given."""
        axis = indices.names.index(str(self.problem.geometry.time))
        name, start, _ = self._box[axis]
        like = getattr(at, name)
        moving = like.new_tensor([v is not None for v in self._velocity])
        continued = like.new_tensor(self._continued)

        def ahead(index: MultiIndex) -> MultiIndex:
            return tuple(n + (i == axis) for i, n in enumerate(index))

        still = [index for index in indices.indices if index[axis] == 0]
        wanted = IndexSet(indices.names, map(ahead, still) if bool(moving.any()) else still)
        found = before(at.moved(**{name: torch.full_like(like, start)}), wanted)
        lift = found.new_zeros(len(indices), *found.shape[1:])
        for c, index in enumerate(indices.indices):
            if index[axis] == 0:
                lift[c] = continued * found[wanted.position[index]]
                if ahead(index) in wanted.position:
                    lift[c] += (like - start)[:, None] * moving * found[wanted.position[ahead(index)]]
            elif index in wanted.position:
                lift[c] = moving * found[wanted.position[index]]
        return lift

    def taylor(self, network: Network | Graph, theta: Tensor, at: Points, indices: IndexSet) -> Tensor:
        """Return the solution's Taylor coefficients (C, N, U) at points."""
        features: Any = network.first(indices, at.array())
        output, _ = network.forward(theta, indices, features, reverse=False)
        return self.frame(indices, at).solution(output)


def zero(at: Points) -> Tensor:
    """Return zeros (N,)."""
    return torch.zeros_like(getattr(at, at.names[0]))
