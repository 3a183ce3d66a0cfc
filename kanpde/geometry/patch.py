"""Pieces of a domain or of its boundary: the unit cube maps onto each, and each knows its normals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kanpde.geometry.implicit import Surface

Place = Callable[[Tensor], Tensor]
Normal = tuple[float, ...] | Callable[[Tensor], Tensor]
PIECES = 4096
"""Places along a curve between which it is looked at for the ends of its parts; shorter parts may be missed."""
BISECTIONS = 52
COUNT = 2**16
"""Points by which the share of a patch is counted."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of the interior or of the boundary.

    `place` maps points of the unit cube (N, dimension) to points of space (N, d) with constant density; `measure` is
    the patch's length, area or volume; `normal` its outward unit normal, as d components or as a function of points of
    the unit cube (N, d), None in the interior. Where `within` is given, only the points of the unit cube for which it
    is true (N,) are placed in the patch, and they are the part `share` of the cube. `surface` is a function that
    vanishes on the patch, where one is known.
    """

    name: str
    dimension: int
    measure: float
    place: Place
    normal: Normal | None = None
    within: Callable[[Tensor], Tensor] | None = None
    share: float = 1.0
    surface: Surface | None = None

    def kept(self, unit: Tensor) -> Tensor:
        """Return which points of the unit cube are placed in the patch (N,)."""
        return torch.ones(len(unit), dtype=torch.bool, device=unit.device) if self.within is None else self.within(unit)

    def normals(self, unit: Tensor) -> Tensor | None:
        """Return the outward unit normals (N, d) at points of the unit cube, None in the interior."""
        if self.normal is None or callable(self.normal):
            return None if self.normal is None else self.normal(unit)
        return unit.new_tensor(self.normal).expand(len(unit), -1)

    def reversed(self) -> Patch:
        """Return the patch as a boundary of what lies on its other side."""
        if self.normal is None or callable(self.normal):
            return replace(self, normal=lambda unit: -self._normals(unit))
        return replace(self, normal=tuple(-n for n in self.normal))

    def part(self, keep: Callable[[Tensor, Tensor | None], Tensor]) -> tuple[Patch, ...]:
        """Return the part of the patch where `keep`, a function of points and normals, is true; none if it is empty.

        A curve is cut at the ends of its parts, to rounding. Of other patches the share is counted.
        """

        def chosen(unit: Tensor) -> Tensor:
            return self.kept(unit) & keep(self.place(unit), self.normals(unit))

        if self.dimension == 0:
            return (self,) if bool(chosen(torch.zeros(1, 0, dtype=torch.float64)).all()) else ()
        if self.dimension == 1 and self.within is None:
            return tuple(self.section(start, end) for start, end in intervals(chosen))
        inside = chosen(even_points(self.dimension))
        if bool(inside.all()):
            return (self,)
        share = float(inside.to(torch.float64).mean())
        part = replace(self, measure=self.measure * share / self.share, within=chosen, share=share)
        return (part,) if share else ()

    def section(self, start: float, end: float) -> Patch:
        """Return the part of a curve between two places in [0, 1]."""
        if (start, end) == (0.0, 1.0):
            return self

        def inner(unit: Tensor) -> Tensor:
            return start + (end - start) * unit

        normal = self.normal
        return replace(
            self,
            measure=self.measure * (end - start),
            place=lambda unit: self.place(inner(unit)),
            normal=(lambda unit: normal(inner(unit))) if callable(normal) else normal,
        )

    def flux(self) -> float:
        """Return the integral of x.n over a curve, by a composite Gauss rule, or over a point."""
        if self.dimension == 0:
            unit = torch.zeros(1, 0, dtype=torch.float64)
            return float((self.place(unit) * self._normals(unit)).sum())
        nodes, weights = np.polynomial.legendre.leggauss(8)
        panels = np.arange(64)[:, None]
        unit = torch.from_numpy(((panels + (1 + nodes) / 2) / 64).reshape(-1, 1))
        values = (self.place(unit) * self._normals(unit)).sum(dim=1)
        return self.measure * float(values @ torch.from_numpy(np.tile(weights / 128, 64)))

    def _normals(self, unit: Tensor) -> Tensor:
        normals = self.normals(unit)
        assert normals is not None, f"patch '{self.name}' has no normal"
        return normals


def even_points(dimension: int) -> Tensor:
    """Return evenly spread points of the unit cube (COUNT, dimension)."""
    return torch.quasirandom.SobolEngine(dimension, scramble=True, seed=1).draw(COUNT, dtype=torch.float64)


def intervals(chosen: Callable[[Tensor], Tensor]) -> list[tuple[float, float]]:
    """Return the intervals of [0, 1] in which a function of places (N, 1) is true."""
    places = (torch.arange(PIECES, dtype=torch.float64) + 0.5) / PIECES
    inside = chosen(places[:, None])
    changes = (inside[1:] != inside[:-1]).nonzero()[:, 0]
    low, high = places[changes], places[changes + 1]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        as_low = chosen(middle[:, None]) == inside[changes]
        low, high = torch.where(as_low, middle, low), torch.where(as_low, high, middle)
    ends = ((low + high) / 2).tolist()
    if bool(inside[0]):
        ends.insert(0, 0.0)
    if bool(inside[-1]):
        ends.append(1.0)
    return list(zip(ends[::2], ends[1::2], strict=True))


def box_place(lower: Sequence[float], upper: Sequence[float]) -> Place:
    """Return the map of the unit cube onto a box."""

    def place(unit: Tensor) -> Tensor:
        a, b = unit.new_tensor(lower), unit.new_tensor(upper)
        return a + (b - a) * unit

    return place
