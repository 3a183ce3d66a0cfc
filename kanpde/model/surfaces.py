"""Hard conditions on domains that are formulas of surfaces, which boxes are a simple case of.

The factor is an approximate distance from the parts of the boundary with given values (Rvachev 1982; Sukumar &
Srivastava 2022, Exact imposition of boundary conditions with distance functions). The lift joins the data of several
parts by weights of inverse distances (Rvachev, Sheiko, Shapiro & Tsukanov 2001), each part's data being a function of
all points of the domain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points, evaluate
from kanpde.geometry import Patch
from kanpde.geometry.base import distinct
from kanpde.geometry.implicit import Level, Surface
from kanpde.problem import Dirichlet, InitialVelocity, Problem, Value

Function = Callable[[Points], Tensor]
START = "t-"
SAMPLES = 1000
AGREEMENT = 1e-9
"""By how much data on a wall may differ from the initial ones there, relative to the largest of them."""
STEP = 1e-3
"""How far from a wall the slope of its distance is found, in units of the domain's size."""
LEAST_WEIGHT = 1e-200
"""Added to weights, so that where walls meet their data have equal shares."""


@dataclass(frozen=True)
class Wall:
    """A part of the boundary that is made of surfaces, and the approximate distance from it.

    The distance is in units of the domain's size.
    `value` has the values there as a function of all points: the lift of the condition if it has one.
    """

    label: str
    value: Value
    surfaces: frozenset[Surface]
    distance: Level


@dataclass
class Imposed:
    """What is given for one unknown: values on walls, initial values and whether they agree, and a velocity."""

    walls: list[Wall] = field(default_factory=list)
    start: Wall | None = None
    own_lift: Function | None = None
    agrees: bool = True
    velocity: Value | None = None


class Surfaces:
    """Factors and lifts of the conditions that can be imposed exactly, whose labels are `hard`.

    These are values on parts of the boundary that are surfaces of the domain's formula, initial values, and initial
    velocities where there are initial values. Initial data are moved on in time, and walls correct them by what their
    data change; if the walls' data do not agree with the initial values, both are joined by weights instead, and
    velocities are left.
    Raises KanpdeError for two values on one part.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.geometry = problem, problem.geometry
        self.hard: set[str] = set()
        self._imposed = [Imposed() for _ in problem.unknowns]
        self._distances: list[Level] = []
        if self.geometry.formula is None:
            return
        self._samples = self.geometry.sample(SAMPLES)
        for label, condition in problem.conditions.items():
            if isinstance(condition, Dirichlet):
                self._impose(label, condition)
        for imposed in self._imposed:
            imposed.agrees = self._agrees(imposed, None)
        for label, condition in problem.conditions.items():
            if isinstance(condition, InitialVelocity):
                imposed = self._imposed[problem.unknown_of(label, condition)]
                if imposed.start and imposed.agrees and self._agrees(imposed, condition.value):
                    imposed.velocity = condition.value
                    self.hard.add(label)
        self._distances = [self._distance(imposed) for imposed in self._imposed]

    def factor(self, u: int) -> Function | float:
        """Return the function that vanishes where an unknown has values, and is positive elsewhere."""
        imposed = self._imposed[u]
        if imposed.start is None and not imposed.walls:
            return 1.0
        distance = self._distances[u]

        def q(at: Points) -> Tensor:
            x = at.array()
            product = distance(x)
            if imposed.start is not None:
                s = imposed.start.distance(x)
                product = product * (s if imposed.velocity is None else s**2)
            return product

        return q

    def lift(self, u: int) -> Function | float:
        """Return a function with the values that an unknown is given."""
        imposed = self._imposed[u]
        if imposed.start is None:
            return interpolated(imposed.walls)
        if not imposed.agrees:
            return interpolated([*imposed.walls, imposed.start])
        start, velocity, name, first = self._start(imposed), imposed.velocity, *self._time
        given = [imposed.start.value, velocity or 0.0, *(wall.value for wall in imposed.walls)]
        if imposed.own_lift is None and all(not callable(value) and value == 0 for value in given):
            return 0.0

        def moving(at: Points) -> Tensor:
            total = start(at)
            if velocity is not None:
                t = getattr(at, name)
                total = total + (t - first) * evaluate(velocity, at.moved(**{name: torch.full_like(t, first)}))
            return total

        changes = []
        for wall in imposed.walls:
            value = wall.value if imposed.own_lift is None else minus(wall.value, imposed.own_lift)
            changes.append(replaced(wall, change_since(value, name, first, velocity is not None)))
        correction = interpolated(changes)
        return lambda at: moving(at) + evaluate(correction, at)

    @property
    def _time(self) -> tuple[str, float]:
        """The name of the time and its first value."""
        name = str(self.geometry.time)
        return name, self.geometry.lower[self.geometry.names.index(name)]

    def _start(self, imposed: Imposed) -> Function:
        """Return the initial value as a function of all points."""
        (name, first), start = self._time, imposed.start
        assert start is not None
        if imposed.own_lift is not None:
            return imposed.own_lift
        value = start.value
        return lambda at: evaluate(value, at.moved(**{name: torch.full_like(getattr(at, name), first)}))

    def _impose(self, label: str, condition: Dirichlet) -> None:
        """Take a condition in if it is about whole surfaces that the domain's formula has."""
        formula = self.geometry.formula
        assert formula is not None
        patches = self.geometry.boundary(condition.where)
        surfaces = frozenset(patch.surface for patch in patches if patch.surface is not None)
        whole = {id(patch) for patch in distinct(self.geometry) if patch.surface in surfaces}
        if not surfaces <= formula.surfaces or whole != {id(patch) for patch in patches}:
            return
        imposed = self._imposed[self.problem.unknown_of(label, condition)]
        for other in [*imposed.walls, *([imposed.start] if imposed.start else [])]:
            if surfaces & other.surfaces:
                raise KanpdeError(
                    f"condition '{label}' sets a part of the boundary that has a value from '{other.label}' already:"
                    " keep one of them."
                )
        level = formula.factor(surfaces)
        start = condition.where == START
        distance = self._scaled(level) if start else as_distance(level, patches, self.geometry.size)
        wall = Wall(label, condition.lift or condition.value, surfaces, distance)
        if start:
            imposed.start, imposed.own_lift = wall, condition.lift
        else:
            imposed.walls.append(wall)
        self.hard.add(label)

    def _scaled(self, level: Level) -> Level:
        """Return a function divided by its largest value on samples."""
        largest = float(level(self._samples).max())
        return lambda x: level(x) / largest

    def _distance(self, imposed: Imposed) -> Level:
        """Return the approximate distance from all walls."""
        formula = self.geometry.formula
        assert formula is not None
        return self._scaled(formula.factor(frozenset().union(*(wall.surfaces for wall in imposed.walls))))

    def _agrees(self, imposed: Imposed, velocity: Value | None) -> bool:
        """Return whether the walls' data are the initial ones at the initial time, on walls that stay where they are.

        With a velocity it is their derivatives in time that are compared.
        """
        if imposed.start is None:
            return True
        name, first = self._time
        start = self._start(imposed) if velocity is None else velocity
        for wall in imposed.walls:
            points = torch.cat([places(patch) for patch in distinct(self.geometry) if patch.surface in wall.surfaces])
            at = Points.of(self.geometry.names, points)
            at = at.moved(**{name: torch.full_like(getattr(at, name), first)})
            if float(wall.distance(at.array()).abs().max()) > AGREEMENT:
                return False
            wanted = evaluate(start, at)
            value = self.problem.conditions[wall.label].value  # a lift may be singular where the wall begins
            found = evaluate(value, at) if velocity is None else rate_of(value, at, name)
            largest = max(float(wanted.abs().max()), float(found.abs().max()), 1.0)
            if not float((wanted - found).abs().max()) <= AGREEMENT * largest:
                return False
        return True


def interpolated(walls: Sequence[Wall]) -> Function | float:
    """Return the data of walls joined by weights, each wall's being the inverse of the distance from it."""
    if not walls or (len({wall.value for wall in walls}) == 1 and not callable(walls[0].value)):
        return float(walls[0].value) if walls and not callable(walls[0].value) else 0.0
    if len(walls) == 1:
        return function_of(walls[0].value)

    def joined(at: Points) -> Tensor:
        x = at.array()
        distances = [wall.distance(x) for wall in walls]
        # 1 / d_i times the product of all distances, so that nothing is divided by zero on a wall.
        weights = [reduce(torch.mul, distances[:i] + distances[i + 1 :]) + LEAST_WEIGHT for i in range(len(walls))]
        data, shares = torch.stack([evaluate(wall.value, at) for wall in walls]), torch.stack(weights)
        return (shares * data).sum(dim=0) / shares.sum(dim=0)

    return joined


def replaced(wall: Wall, value: Value) -> Wall:
    """Return a wall with other data."""
    return Wall(wall.label, value, wall.surfaces, wall.distance)


def function_of(value: Value) -> Function:
    """Return data as a function."""
    return lambda at: evaluate(value, at)


def minus(value: Value, other: Function) -> Function:
    """Return the difference of data and a function."""
    return lambda at: evaluate(value, at) - other(at)


def as_distance(level: Level, patches: Sequence[Patch], size: float) -> Level:
    """Return a function that vanishes on patches divided by its mean slope there and by the domain's size.

    Near each of several parts that are the distances from them, so that weights change over the width between the
    parts and not over a fraction of it.
    """
    beside = []
    for patch in patches:
        unit = units(patch)
        normals = patch.normals(unit)
        assert normals is not None
        beside.append(patch.place(unit) - STEP * size * normals)
    largest = float(level(torch.cat(beside)).abs().mean()) / STEP
    return lambda x: level(x) / largest


def units(patch: Patch) -> Tensor:
    """Return some places in a patch, as points of the unit cube (N, dimension)."""
    unit = torch.rand(256, patch.dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return unit[patch.kept(unit)]


def places(patch: Patch) -> Tensor:
    """Return some points of a patch (N, d)."""
    return patch.place(units(patch))


def rate_of(value: Value, at: Points, time: str) -> Tensor:
    """Return the derivatives of data in time (N,)."""
    t = getattr(at, time).clone().requires_grad_()
    with torch.enable_grad():
        values = evaluate(value, at.moved(**{time: t}))
        if not values.requires_grad:
            return torch.zeros_like(t)
        return torch.autograd.grad(values.sum(), t, materialize_grads=True)[0]


def change_since(value: Value, time: str, start: float, velocity: bool) -> Value:
    """Return by how much data differ from those at the time `start`, with `velocity` from their tangent there."""
    if not callable(value):
        return 0.0

    def change(at: Points) -> Tensor:
        t = getattr(at, time)
        first = torch.full_like(t, start).requires_grad_(velocity)
        then = evaluate(value, at.moved(**{time: first}))
        difference = evaluate(value, at) - then
        if velocity and then.requires_grad:
            (rate,) = torch.autograd.grad(then.sum(), first, create_graph=True, materialize_grads=True)
            difference = difference - (t - start) * rate
        return difference

    return change
