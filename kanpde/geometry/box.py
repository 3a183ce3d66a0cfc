"""Boxes in any dimension, with time as one of the coordinates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite, prod

import torch
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.geometry.base import SLACK, Geometry, Product
from kanpde.geometry.implicit import And, Side, Surface
from kanpde.geometry.patch import Patch, box_place

Face = tuple[int, int]
"""The axis and the side, 0 lower and 1 upper."""


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
        self._surfaces = {
            (axis, side): plane(axis, (self.lower, self.upper)[side][axis], 1 - 2 * side)
            for axis in range(self.dimension)
            for side in (0, 1)
        }
        self.formula = And(*map(Side, self._surfaces.values()))

    def written(self) -> str:
        sides = {name: f"{name}=({a:g}, {b:g})" for name, (a, b) in self.intervals.items()}
        box = ", ".join(side for name, side in sides.items() if name not in self.parameters)
        parameters = ", ".join(sides[name] for name in self.parameters)
        return " * ".join([f"{kind}({text})" for kind, text in (("Box", box), ("parameter", parameters)) if text])

    def __mul__(self, other: Geometry) -> Geometry:
        if isinstance(other, Box) and not (self.label or other.label or set(self.names) & set(other.names)):
            return Box(**self.intervals, **other.intervals).with_parameters(self.parameters + other.parameters)
        return Product(self, other)

    def part(self, **intervals: tuple[float, float]) -> Box:
        """Return the box with some other intervals."""
        return Box(**{**self.intervals, **intervals}).with_parameters(self.parameters)

    def with_parameters(self, names: tuple[str, ...]) -> Box:
        """Return the box with these coordinates, and no others, as parameters, which have no boundary."""
        box = Box(**self.intervals)
        box.parameters = names
        return box

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The interval of every coordinate."""
        return dict(zip(self.names, zip(self.lower, self.upper, strict=True), strict=True))

    @property
    def lengths(self) -> tuple[float, ...]:
        """The side lengths."""
        return tuple(b - a for a, b in zip(self.lower, self.upper, strict=True))

    def until(self, fraction: float) -> Box:
        """Return the part of the box up to a fraction of the time interval."""
        if self.time is None:
            return self
        start, end = self.intervals[self.time]
        return self.part(**{self.time: (start, start + fraction * (end - start))})

    def faces(self, name: str) -> tuple[Face, ...]:
        """Return the faces of a boundary name as (axis, side), side 0 lower and 1 upper."""
        if name not in self._known:
            raise unknown_name("boundary", name, self._known)
        return self._known[name]

    @property
    def _known(self) -> dict[str, tuple[Face, ...]]:
        """The faces of every boundary name."""
        known: dict[str, tuple[Face, ...]] = {}
        for axis, coordinate in enumerate(self.names):
            if coordinate in self.parameters:
                continue
            known[f"{coordinate}-"] = ((axis, 0),)
            known[f"{coordinate}+"] = ((axis, 1),)
            known[coordinate] = ((axis, 0), (axis, 1))
        known["all"] = tuple(face for coordinate in self.space for face in known[coordinate])
        if self.label:
            own = {f"{self.label}.{name}": faces for name, faces in known.items() if name != "all"}
            return {"all": known["all"], self.label: known["all"], **own}
        return known

    def interior(self) -> Patch:
        return Patch("interior", self.dimension, prod(self.lengths), box_place(self.lower, self.upper))

    def parts(self) -> Mapping[str, tuple[Patch, ...]]:
        faces = {face: self._face(*face) for face in self._surfaces}
        found: dict[str, tuple[Patch, ...]] = {}
        for axis, coordinate in enumerate(self.names):
            if coordinate in self.parameters:
                continue
            low, high = faces[axis, 0], faces[axis, 1]
            found |= {f"{coordinate}-": (low,), f"{coordinate}+": (high,), coordinate: (low, high)}
        found["all"] = tuple(patch for coordinate in self.space for patch in found[coordinate])
        return found

    def contains(self, points: Tensor, slack: float = SLACK) -> Tensor:
        lower, upper = points.new_tensor(self.lower), points.new_tensor(self.upper)
        width = slack * (upper - lower)
        return ((points >= lower - width) & (points <= upper + width)).all(dim=1)

    def _face(self, axis: int, side: int) -> Patch:
        measure = prod(length for i, length in enumerate(self.lengths) if i != axis)
        normal = tuple(float(2 * side - 1) if i == axis else 0.0 for i in range(self.dimension))
        value = (self.lower, self.upper)[side][axis]
        rest = box_place(*([end for i, end in enumerate(ends) if i != axis] for ends in (self.lower, self.upper)))

        def place(unit: Tensor) -> Tensor:
            points = rest(unit)
            return torch.cat([points[:, :axis], points.new_full((len(unit), 1), value), points[:, axis:]], dim=1)

        name = f"{self.names[axis]}{'-+'[side]}"
        return Patch(name, self.dimension - 1, measure, place, normal, surface=self._surfaces[axis, side])


def split(geometry: Geometry) -> tuple[Geometry, Box | None] | None:
    """Return the domain in space and the interval of time that a geometry is the product of; no interval without time.

    None for a domain in space and time that is no such product, and for an interval of time alone.
    """
    if geometry.time is None:
        return geometry, None
    if isinstance(geometry, Box) and geometry.space:
        intervals = geometry.intervals
        interval = Box(**{geometry.time: intervals.pop(geometry.time)})
        return Box(**intervals), interval
    if isinstance(geometry, Product):
        for space, time in ((geometry.first, geometry.second), (geometry.second, geometry.first)):
            if isinstance(time, Box) and time.names == (geometry.time,):
                return space, time
    return None


def plane(axis: int, value: float, sign: int) -> Surface:
    """Return the plane on which a coordinate has a value; `sign` is that of the coordinate's growth inwards."""

    def towards(direction: int) -> Callable[[Tensor], Tensor]:
        return lambda x: direction * (x[:, axis] - value)

    return Surface(towards(sign), towards(-sign))
