"""Domains with named coordinates, their combinations and products."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from math import ceil, prod
from typing import TypeVar

import torch
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.geometry.implicit import And, Formula, Or, Surface
from kanpde.geometry.patch import Patch, box_place

SLACK = 1e-12
"""Points this far outside, in units of the domain's size, belong to it."""
PROBE = 1e-9
"""How far from a boundary both sides are looked at, in units of the domain's size."""
BESIDE = 1e-3
"""Between points whose normals are compared, in units of a patch."""
Own = TypeVar("Own", bound="Geometry")


class Geometry(ABC):
    """A bounded domain with named coordinates; a coordinate named "t" is time, those in `parameters` are parameters.

    Domains of the same coordinates are combined by `a | b` (union), `a - b` (difference) and `a & b` (intersection),
    domains of different ones by `a * b` (product). A derived class has `formula` if its boundary is known as a formula
    of surfaces, which hard conditions need.
    """

    names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    label: str = ""
    parameters: tuple[str, ...] = ()
    formula: Formula | None = None

    @property
    def dimension(self) -> int:
        """The number of coordinates, time and parameters included."""
        return len(self.names)

    @property
    def time(self) -> str | None:
        """The name of the time coordinate, or None."""
        return "t" if "t" in self.names else None

    @property
    def space(self) -> tuple[str, ...]:
        """The names of the space coordinates."""
        return tuple(name for name in self.names if name != self.time and name not in self.parameters)

    @property
    def size(self) -> float:
        """The longest side of the bounding box, parameters aside."""
        sides = {name: b - a for name, a, b in zip(self.names, self.lower, self.upper, strict=True)}
        return max([side for name, side in sides.items() if name not in self.parameters] or sides.values())

    @cached_property
    def curvature(self) -> float:
        """The largest curvature of surfaces on the boundary, by differences of normals; 0 if all are flat."""
        largest = 0.0
        for patch in distinct(self):
            if patch.surface is None or not callable(patch.normal):
                continue
            unit = torch.rand(256, patch.dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            unit = unit[patch.kept(unit)]
            for axis in range(patch.dimension):
                beside = unit.clone()
                beside[:, axis] = (beside[:, axis] - BESIDE).abs()
                turn = (patch.normal(unit) - patch.normal(beside)).norm(dim=1)
                step = (patch.place(unit) - patch.place(beside)).norm(dim=1)
                largest = max(largest, float((turn / step.clamp_min(PROBE * self.size)).max()))
        return largest

    @property
    def measure(self) -> float:
        """The length, area or volume."""
        return self.interior().measure

    @abstractmethod
    def interior(self) -> Patch:
        """Return the domain itself as one patch."""

    @abstractmethod
    def parts(self) -> Mapping[str, tuple[Patch, ...]]:
        """Return the patches of the boundary by the names of its parts; "all" is all of it that is not at fixed time.

        A patch that is part of several names is one object.
        """

    @abstractmethod
    def contains(self, points: Tensor, slack: float = SLACK) -> Tensor:
        """Return for points (N, d) whether they lie in the closed domain (N,).

        With a positive slack, in units of its size, the domain is larger by so much, with a negative one smaller.
        """

    @abstractmethod
    def written(self) -> str:
        """Return the domain as Python writes it, or what tells it from others, without its label."""

    def __repr__(self) -> str:
        return self.written() + (f".named('{self.label}')" if self.label else "")

    @cached_property
    def boundaries(self) -> Mapping[str, tuple[Patch, ...]]:
        """The patches of the boundary by name."""
        parts = self.parts()
        if not self.label:
            return parts
        own = {f"{self.label}.{name}": patches for name, patches in parts.items() if name != "all"}
        return {"all": parts["all"], self.label: parts["all"], **own}

    def boundary(self, name: str) -> tuple[Patch, ...]:
        """Return the patches of a named part of the boundary; raise KanpdeError for an unknown name."""
        if name not in self.boundaries:
            raise unknown_name("boundary", name, self.boundaries)
        return self.boundaries[name]

    def named(self: Own, label: str) -> Own:
        """Return the domain with a name for its boundary; the parts get names like "label.part"."""
        if not label or label == "all":
            raise KanpdeError(f"named('{label}'): give a boundary a name of its own.")
        other = copy.copy(self)
        other.label = label
        other.__dict__.pop("boundaries", None)
        return other

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Return points of the domain (count, d), drawn evenly."""
        patch = self.interior()
        generator = torch.Generator().manual_seed(seed)
        found: list[Tensor] = []
        missing = count
        while missing > 0:
            unit = torch.rand(ceil(missing / patch.share), patch.dimension, generator=generator, dtype=torch.float64)
            found.append(patch.place(unit[patch.kept(unit)]))
            missing -= len(found[-1])
        return torch.cat(found)[:count]

    def __or__(self, other: Geometry) -> Geometry:
        return Combination("|", self, other)

    def __sub__(self, other: Geometry) -> Geometry:
        return Combination("-", self, other)

    def __and__(self, other: Geometry) -> Geometry:
        return Combination("&", self, other)

    def __mul__(self, other: Geometry) -> Geometry:
        return Product(self, other)


class Combination(Geometry):
    """The union, difference or intersection of two domains of the same coordinates.

    The boundary has the names of both; a name that both have stands for both parts. Parts of the boundary that one
    domain takes from the other have no points. In the plane lengths and areas are computed to about 1e-8; above, they
    are exact where no boundary is cut, and else counted on 2^16 points (about 1e-4).
    Raises KanpdeError for domains of different coordinates and for an empty combination.
    """

    def __init__(self, operation: str, first: Geometry, second: Geometry) -> None:
        if first.names != second.names:
            raise KanpdeError(
                f"{first} {operation} {second}: their coordinates are ({', '.join(first.names)}) and"
                f" ({', '.join(second.names)}): combine domains of the same coordinates."
            )
        if first.parameters or second.parameters:
            raise KanpdeError(f"{first} {operation} {second}: multiply with parameters what has been combined.")
        self.operation, self.first, self.second = operation, first, second
        self.names = first.names
        corners = list(zip(first.lower, first.upper, second.lower, second.upper, strict=True))
        if operation == "|":
            bounds = [(min(a, c), max(b, d)) for a, b, c, d in corners]
        elif operation == "&":
            bounds = [(max(a, c), min(b, d)) for a, b, c, d in corners]
        else:
            bounds = [(a, b) for a, b, _, _ in corners]
        if any(a >= b for a, b in bounds):
            raise KanpdeError(f"{self} is empty: the domains do not overlap.")
        self.lower, self.upper = zip(*bounds, strict=True)
        one, other = first.formula, second.formula
        if one is not None and other is not None:
            if operation == "|":
                self.formula = Or(one, other)
            else:
                self.formula = And(one, other if operation == "&" else other.complement())

    def written(self) -> str:
        return f"({self.first!r} {self.operation} {self.second!r})"

    def contains(self, points: Tensor, slack: float = SLACK) -> Tensor:
        own, inner = slack * self.size / self.first.size, slack * self.size / self.second.size
        inside = self.first.contains(points, own)
        if self.operation == "|":
            return inside | self.second.contains(points, inner)
        if self.operation == "&":
            return inside & self.second.contains(points, inner)
        return inside & ~self.second.contains(points, -inner)

    def interior(self) -> Patch:
        return self._interior

    @cached_property
    def _interior(self) -> Patch:
        """The patch of one domain, or of the bounding box, as far as it is in the combination."""
        box = Patch("interior", self.dimension, prod(self._lengths), box_place(self.lower, self.upper))
        bases = {"|": [box], "&": [box, self.first.interior(), self.second.interior()], "-": [self.first.interior()]}
        base = min(bases[self.operation], key=lambda patch: patch.measure / patch.share)
        inside = base.part(lambda points, _: self.contains(points))
        if not inside:
            raise KanpdeError(f"{self} is empty, or smaller than can be seen.")
        measure = self._exact_measure()
        return inside[0] if measure is None else replace(inside[0], measure=measure)

    @property
    def _lengths(self) -> tuple[float, ...]:
        return tuple(b - a for a, b in zip(self.lower, self.upper, strict=True))

    def _exact_measure(self) -> float | None:
        """Return the measure from the boundary, where that is known well enough, or None."""
        if self.dimension <= 2:
            pieces = [piece for domain in self._cut for part in domain.values() for piece in part]
            return sum(piece.flux() for piece in pieces) / self.dimension
        total, signs = 0.0, (1, -1 if self.operation == "-" else 1)
        for domain, cut, sign in zip((self.first, self.second), self._cut, signs, strict=True):
            left = {sum(piece.measure for piece in part) / patch.measure for patch, part in cut.items()}
            if left not in ({0.0}, {1.0}):
                return None
            total += sign * domain.measure * left.pop()
        return total

    @cached_property
    def _cut(self) -> tuple[dict[Patch, tuple[Patch, ...]], dict[Patch, tuple[Patch, ...]]]:
        """What is left of the boundary of both domains, by patch."""
        step = PROBE * self.size

        def keep(points: Tensor, normals: Tensor | None) -> Tensor:
            assert normals is not None
            return self.contains(points - step * normals) & ~self.contains(points + step * normals)

        def keep_second(points: Tensor, normals: Tensor | None) -> Tensor:
            # A boundary of both domains is one of the first.
            width = 1e-2 * PROBE * self.size / self.first.size
            shared = self.first.contains(points, width) & ~self.first.contains(points, -width)
            return keep(points, normals) & ~shared

        sign = self.operation == "-"
        first = {patch: patch.part(keep) for patch in distinct(self.first)}
        second = {patch: (patch.reversed() if sign else patch).part(keep_second) for patch in distinct(self.second)}
        return first, second

    def parts(self) -> Mapping[str, tuple[Patch, ...]]:
        found: dict[str, tuple[Patch, ...]] = {}
        for domain, cut in zip((self.first, self.second), self._cut, strict=True):
            for name, patches in domain.boundaries.items():
                left = tuple(piece for patch in patches for piece in cut[patch])
                if left or name == "all":
                    found[name] = found.get(name, ()) + left
        return found


class Product(Geometry):
    """All pairs of points of two domains of different coordinates: `Disk() * Box(t=(0, 1))`.

    The boundary has the names of both; "all" is every part that is not at a fixed time. Parameters have no boundary.
    Raises KanpdeError if a coordinate is in both.
    """

    def __init__(self, first: Geometry, second: Geometry) -> None:
        if shared := set(first.names) & set(second.names):
            raise KanpdeError(f"{first} * {second}: both have the coordinate '{min(shared)}': use other coordinates.")
        self.first, self.second = first, second
        self.names = first.names + second.names
        self.parameters = first.parameters + second.parameters
        self.lower, self.upper = first.lower + second.lower, first.upper + second.upper
        self._axes = slice(0, first.dimension), slice(first.dimension, self.dimension)
        self._surfaces: dict[Surface, Surface] = {}
        moved = []
        for domain, axes in zip((first, second), self._axes, strict=True):
            # A domain without a formula has no surfaces: the other's can still be used.
            if domain.formula is not None:
                self._surfaces |= {surface: surface.of(axes) for surface in domain.formula.surfaces}
                moved.append(domain.formula.moved(self._surfaces, axes.start))
        self.formula = And(*moved) if moved else None

    def written(self) -> str:
        return f"({self.first!r} * {self.second!r})"

    def contains(self, points: Tensor, slack: float = SLACK) -> Tensor:
        one, other = self._axes
        inside = self.first.contains(points[:, one], slack)
        return inside & self.second.contains(points[:, other], slack)

    def interior(self) -> Patch:
        return self._pair(self.first.interior(), self.second.interior())

    def parts(self) -> Mapping[str, tuple[Patch, ...]]:
        one, other = self.first.interior(), self.second.interior()
        found: dict[str, tuple[Patch, ...]] = {}
        pairs = {patch: self._pair(patch, other) for patch in distinct(self.first)}
        pairs |= {patch: self._pair(one, patch) for patch in distinct(self.second)}
        for domain in (self.first, self.second):
            for name, patches in domain.boundaries.items():
                found[name] = found.get(name, ()) + tuple(pairs[patch] for patch in patches)
        return found

    def _pair(self, one: Patch, other: Patch) -> Patch:
        """Return the product of two patches, of which at most one is of a boundary."""
        cut = one.dimension

        def place(unit: Tensor) -> Tensor:
            return torch.cat([one.place(unit[:, :cut]), other.place(unit[:, cut:])], dim=1)

        def within(unit: Tensor) -> Tensor:
            return one.kept(unit[:, :cut]) & other.kept(unit[:, cut:])

        def normal(unit: Tensor) -> Tensor:
            dimensions = self.first.dimension, self.second.dimension
            normals = one.normals(unit[:, :cut]), other.normals(unit[:, cut:])
            columns = [
                unit.new_zeros(len(unit), d) if n is None else n for n, d in zip(normals, dimensions, strict=True)
            ]
            return torch.cat(columns, dim=1)

        boundary = one if one.normal is not None else other
        return Patch(
            boundary.name,
            one.dimension + other.dimension,
            one.measure * other.measure,
            place,
            None if boundary.normal is None else normal,
            None if one.within is None and other.within is None else within,
            one.share * other.share,
            None if boundary.surface is None else self._surfaces.get(boundary.surface),
        )


def distinct(domain: Geometry) -> list[Patch]:
    """Return every patch of the boundary once."""
    return list({id(patch): patch for patches in domain.boundaries.values() for patch in patches}.values())
