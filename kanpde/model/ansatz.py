"""The network inside the solution: u = A + q N, so that hard conditions hold whatever the parameters are.

On a box, q is a product of factors that vanish on the faces with Dirichlet or initial conditions, and the lift A
interpolates their data transfinitely (Gordon 1971), one coordinate after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Points, evaluate, taylor_coefficients
from kanpde.geometry import Box
from kanpde.model.network import Network
from kanpde.multiindex import IndexSet
from kanpde.problem import Condition, Dirichlet, Initial, InitialVelocity, Periodic, Problem, Value

MODES = ("hard", "soft")
Function = Callable[[Points], Tensor]
LIFT_TOLERANCE = 1e-10
"""By how much a lift may differ from its initial value, relative to the largest one."""


@dataclass(frozen=True)
class Frame:
    """What the ansatz needs at fixed points, independent of parameters: lift A and factor q, each (C, N, U)."""

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

    Periodic conditions are always hard: the inputs of the network impose them.
    Raises KanpdeError for an unknown mode, for two values on one face, and for a lift that is not its initial value at
    the start or comes with an initial velocity.
    """

    def __init__(self, problem: Problem, mode: str = "hard") -> None:
        if mode not in MODES:
            raise unknown_name("way to impose conditions", mode, MODES)
        self.problem = problem
        box = problem.geometry
        self._data: list[dict[int, dict[int, Value]]] = [{} for _ in problem.unknowns]
        self._velocity: list[Value | None] = [None] * len(problem.unknowns)
        self._start: list[Function | None] = [None] * len(problem.unknowns)
        hard = {label for label, condition in problem.conditions.items() if isinstance(condition, Periodic)}
        if mode == "hard" and isinstance(box, Box):
            for label, condition in problem.conditions.items():
                if isinstance(condition, Dirichlet):
                    self._impose(box, label, condition)
                    hard.add(label)
            for label, condition in problem.conditions.items():
                if isinstance(condition, InitialVelocity) and self._starts(box, label, condition):
                    self._velocity[problem.unknown_of(label, condition)] = condition.value
                    hard.add(label)
        self.soft = tuple(label for label in problem.conditions if label not in hard)
        self.hard = tuple(label for label in problem.conditions if label in hard)

    def _impose(self, box: Box, label: str, condition: Condition) -> None:
        data = self._data[self.problem.unknown_of(label, condition)]
        for axis, side in box.faces(condition.where):
            if side in data.get(axis, {}):
                name = f"{box.names[axis]}{'-+'[side]}"
                raise KanpdeError(
                    f"condition '{label}' sets the face {name}, which has a value already: keep one of them."
                )
            data.setdefault(axis, {})[side] = condition.value
        if isinstance(condition, Initial) and condition.lift is not None:
            self._check_lift(box, label, condition, condition.lift)
            self._start[self.problem.unknown_of(label, condition)] = condition.lift

    def _check_lift(self, box: Box, label: str, condition: Initial, lift: Function) -> None:
        u = self.problem.unknown_of(label, condition)
        for other, velocity in self.problem.conditions.items():
            if isinstance(velocity, InitialVelocity) and self.problem.unknown_of(other, velocity) == u:
                raise KanpdeError(
                    f"condition '{label}' has a lift, which '{other}' would change: leave out one of them."
                )
        (face,) = box.boundary(condition.where)
        unit = torch.rand(64, face.dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        at = Points.of(box.names, face.place(unit))
        wanted = evaluate(condition.value, at)
        difference = float((evaluate(lift, at) - wanted).abs().max())
        if not difference <= LIFT_TOLERANCE * max(float(wanted.abs().max()), 1.0):
            raise KanpdeError(
                f"the lift of condition '{label}' differs from its value by {difference:.1e} at the initial time:"
                " it has to be equal there."
            )

    def _starts(self, box: Box, label: str, condition: Condition) -> bool:
        data = self._data[self.problem.unknown_of(label, condition)]
        return box.time is not None and 0 in data.get(box.names.index(box.time), {})

    @cached_property
    def _box(self) -> tuple[tuple[str, float, float], ...]:
        geometry = self.problem.geometry
        return tuple(zip(geometry.names, geometry.lower, geometry.upper, strict=True))

    def _q(self, u: int) -> Function:
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
        data = self._data[u]
        start = self._start[u]
        values = [value for sides in data.values() for value in sides.values()] + [self._velocity[u] or 0.0]
        if start is None and all(not callable(value) and value == 0 for value in values):
            return 0.0

        def zero(at: Points) -> Tensor:
            return torch.zeros_like(getattr(at, at.names[0]))

        lift: Function = start or zero
        time = self.problem.geometry.time
        # Time first: corrections for compatible walls then change neither the initial value nor the velocity.
        for axis in sorted(data, key=lambda axis: self._box[axis][0] != time):
            if start is None or self._box[axis][0] != time:
                lift = self._corrected(u, axis, lift)
        return lift

    def _corrected(self, u: int, axis: int, lift: Function) -> Function:
        """Return lift + P (data - lift), where P interpolates from the faces of one coordinate."""
        name, a, b = self._box[axis]
        sides = self._data[u][axis]
        velocity = self._velocity[u] if name == self.problem.geometry.time else None

        def corrected(at: Points) -> Tensor:
            x = getattr(at, name)
            s = (x - a) / (b - a)
            blend = {0: 1 - s, 1: s} if len(sides) == 2 else {next(iter(sides)): torch.ones_like(s)}
            total = lift(at)
            for side, value in sides.items():
                face = at.moved(**{name: torch.full_like(x, (a, b)[side])})
                total = total + blend[side] * (evaluate(value, face) - lift(face))
            if velocity is not None:
                face = at.moved(**{name: torch.full_like(x, a)})
                total = total + (x - a) * evaluate(velocity, face)
            return total

        return corrected

    def frame(self, indices: IndexSet, at: Points) -> Frame:
        """Return lift and factor at points; raise KanpdeError if a condition's data are not finite there."""
        unknowns = range(len(self.problem.unknowns))
        lift = torch.stack([taylor_coefficients(self._lift(u), at, indices) for u in unknowns], dim=-1)
        factor = torch.stack([taylor_coefficients(self._q(u), at, indices) for u in unknowns], dim=-1)
        if not bool(torch.isfinite(lift).all()):
            raise KanpdeError("the data of a hard condition are not finite inside the domain: use conditions=soft.")
        return Frame(indices, lift, factor)

    def taylor(self, network: Network, theta: Tensor, at: Points, indices: IndexSet) -> Tensor:
        """Return the solution's Taylor coefficients (C, N, U) at points."""
        output, _ = network.forward(theta, indices, network.first(indices, at.array()), reverse=False)
        return self.frame(indices, at).solution(output)
