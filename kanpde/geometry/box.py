"""Boxes in any dimension, with time as one of the coordinates."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, prod

from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.geometry.base import Geometry, Patch


class Box(Geometry):
    """A product of intervals: `Box(x=(-1, 1), t=(0, 1))`.

    Boundary names: `x-` and `x+` are the lower and upper face of a coordinate, `x` both of them, `all` every face
    that is not a face in time.
    Raises KanpdeError for an interval that is empty or not finite.
    """

    def __init__(self, **intervals: tuple[float, float]) -> None:
        if not intervals:
            raise KanpdeError("a box needs at least one interval: Box(x=(0, 1)).")
        for name, interval in intervals.items():
            if len(interval) != 2 or not (all(map(isfinite, interval)) and interval[0] < interval[1]):
                raise KanpdeError(f"the interval {name}={interval} is empty or not finite: give (lower, upper).")
        self.names = tuple(intervals)
        self.lower = tuple(float(a) for a, _ in intervals.values())
        self.upper = tuple(float(b) for _, b in intervals.values())

    def __repr__(self) -> str:
        sides = zip(self.names, self.lower, self.upper, strict=True)
        return "Box(" + ", ".join(f"{name}=({a:g}, {b:g})" for name, a, b in sides) + ")"

    @property
    def lengths(self) -> tuple[float, ...]:
        """The side lengths."""
        return tuple(b - a for a, b in zip(self.lower, self.upper, strict=True))

    def until(self, fraction: float) -> Box:
        """Return the part of the box up to a fraction of the time interval."""
        intervals = dict(zip(self.names, zip(self.lower, self.upper, strict=True), strict=True))
        if self.time is not None:
            start, end = intervals[self.time]
            intervals[self.time] = (start, start + fraction * (end - start))
        return Box(**intervals)

    def faces(self, name: str) -> tuple[tuple[int, int], ...]:
        """Return the faces of a boundary name as (axis, side), side 0 lower and 1 upper."""
        known: dict[str, tuple[tuple[int, int], ...]] = {}
        for axis, coordinate in enumerate(self.names):
            known[f"{coordinate}-"] = ((axis, 0),)
            known[f"{coordinate}+"] = ((axis, 1),)
            known[coordinate] = ((axis, 0), (axis, 1))
        known["all"] = tuple(face for coordinate in self.space for face in known[coordinate])
        if name not in known:
            raise unknown_name("boundary", name, known)
        return known[name]

    def interior(self) -> Patch:
        return Patch("interior", self.dimension, prod(self.lengths), self._place({}))

    def boundary(self, name: str) -> tuple[Patch, ...]:
        return tuple(self._face(axis, side) for axis, side in self.faces(name))

    def contains(self, points: Tensor) -> Tensor:
        lower, upper = points.new_tensor(self.lower), points.new_tensor(self.upper)
        slack = 1e-12 * (upper - lower)
        return ((points >= lower - slack) & (points <= upper + slack)).all(dim=1)

    def _face(self, axis: int, side: int) -> Patch:
        measure = prod(length for i, length in enumerate(self.lengths) if i != axis)
        normal = tuple(float(2 * side - 1) if i == axis else 0.0 for i in range(self.dimension))
        place = self._place({axis: (self.lower, self.upper)[side][axis]})
        return Patch(f"{self.names[axis]}{'-+'[side]}", self.dimension - 1, measure, place, normal)

    def _place(self, fixed: dict[int, float]) -> Callable[[Tensor], Tensor]:
        free = [i for i in range(self.dimension) if i not in fixed]

        def place(unit: Tensor) -> Tensor:
            points = unit.new_empty(len(unit), self.dimension)
            for axis, value in fixed.items():
                points[:, axis] = value
            for column, axis in enumerate(free):
                points[:, axis] = self.lower[axis] + (self.upper[axis] - self.lower[axis]) * unit[:, column]
            return points

        return place
