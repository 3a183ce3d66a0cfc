"""Balls in any dimension, disks and ellipses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import cos, gamma, hypot, isfinite, pi, sin

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv, ellipe, ellipeinc
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.geometry.base import SLACK, Geometry
from kanpde.geometry.implicit import Side, Surface
from kanpde.geometry.patch import Patch

COORDINATES = ("x", "y", "z")


class Ball(Geometry):
    """All points within `radius` of `center`, in two dimensions or more; the boundary has the name "all" only.

    The coordinates are x, y, z, or those that are given.
    Raises KanpdeError for a radius that is not positive, and for coordinates that do not fit the center.
    """

    def __init__(
        self,
        center: Sequence[float] = (0.0, 0.0, 0.0),
        radius: float = 1.0,
        coordinates: Sequence[str] | None = None,
    ) -> None:
        self.center, self.radius = tuple(map(float, center)), float(radius)
        if not (radius > 0 and isfinite(radius)):
            raise KanpdeError(f"radius={radius}: give a positive number.")
        self.names = coordinates_of(self.center, coordinates)
        self.lower = tuple(c - self.radius for c in self.center)
        self.upper = tuple(c + self.radius for c in self.center)
        self._surface = quadric(self._scaled_square, self.radius)
        self.formula = Side(self._surface)

    def written(self) -> str:
        return f"{type(self).__name__}({shown(self.center)}, {self.radius:g}){named(self.names)}"

    def interior(self) -> Patch:
        d = self.dimension

        def place(unit: Tensor) -> Tensor:
            return self._at(unit[:, :1] ** (1 / d) * sphere(unit[:, 1:]))

        return Patch("interior", d, pi ** (d / 2) / gamma(d / 2 + 1) * self.radius**d, place)

    def parts(self) -> Mapping[str, tuple[Patch, ...]]:
        d = self.dimension
        measure = 2 * pi ** (d / 2) / gamma(d / 2) * self.radius ** (d - 1)
        whole = Patch("all", d - 1, measure, lambda unit: self._at(sphere(unit)), sphere, surface=self._surface)
        return {"all": (whole,)}

    def contains(self, points: Tensor, slack: float = SLACK) -> Tensor:
        return self._scaled_square(points) <= (1 + 2 * slack) ** 2

    def _at(self, place: Tensor) -> Tensor:
        return place.new_tensor(self.center) + self.radius * place

    def _scaled_square(self, x: Tensor) -> Tensor:
        return ((x - x.new_tensor(self.center)) ** 2).sum(dim=1) / self.radius**2


class Disk(Ball):
    """All points of the plane within `radius` of `center`; the boundary has the name "all" only."""

    def __init__(
        self, center: Sequence[float] = (0.0, 0.0), radius: float = 1.0, coordinates: Sequence[str] = ("x", "y")
    ) -> None:
        if len(center) != 2:
            raise KanpdeError(f"center={shown(center)}: a disk has a center of two coordinates; see also Ball.")
        super().__init__(center, radius, coordinates)


class Ellipse(Geometry):
    """An ellipse in the plane with two semi-axes, the first one at `angle` (radians) to the first coordinate.

    The boundary has the name "all" only. Raises KanpdeError for semi-axes that are not positive.
    """

    def __init__(
        self,
        center: Sequence[float] = (0.0, 0.0),
        semi_axes: Sequence[float] = (2.0, 1.0),
        angle: float = 0.0,
        coordinates: Sequence[str] = ("x", "y"),
    ) -> None:
        self.center, self.semi_axes = tuple(map(float, center)), tuple(map(float, semi_axes))
        if len(self.semi_axes) != 2 or not all(a > 0 and isfinite(a) for a in self.semi_axes):
            raise KanpdeError(f"semi_axes={shown(semi_axes)}: give two positive numbers.")
        if len(self.center) != 2 or not isfinite(angle):
            raise KanpdeError(f"center={shown(center)}, angle={angle}: give a center of two coordinates and an angle.")
        self.names = coordinates_of(self.center, coordinates)
        self.angle = float(angle)
        (a, b), c, s = self.semi_axes, cos(angle), sin(angle)
        self._axes = ((c, s), (-s, c))
        reach = hypot(a * c, b * s), hypot(a * s, b * c)
        self.lower = tuple(m - r for m, r in zip(self.center, reach, strict=True))
        self.upper = tuple(m + r for m, r in zip(self.center, reach, strict=True))
        self._surface = quadric(self._scaled_square, min(a, b))
        self.formula = Side(self._surface)

    def written(self) -> str:
        angle = f", {self.angle:g}" if self.angle else ""
        return f"Ellipse({shown(self.center)}, {shown(self.semi_axes)}{angle}){named(self.names)}"

    def interior(self) -> Patch:
        a, b = self.semi_axes

        def place(unit: Tensor) -> Tensor:
            return self._at(unit[:, :1].sqrt() * sphere(unit[:, 1:]) * unit.new_tensor([a, b]))

        return Patch("interior", 2, pi * a * b, place)

    def parts(self) -> Mapping[str, tuple[Patch, ...]]:
        a, b = self.semi_axes

        def place(unit: Tensor) -> Tensor:
            return self._at(self._direction(unit) * unit.new_tensor([a, b]))

        def normal(unit: Tensor) -> Tensor:
            n = self._direction(unit) / unit.new_tensor([a, b])
            return (n / n.norm(dim=1, keepdim=True)) @ unit.new_tensor(self._axes)

        length = 4 * b * float(ellipe(1 - (a / b) ** 2))
        return {"all": (Patch("all", 1, length, place, normal, surface=self._surface),)}

    def contains(self, points: Tensor, slack: float = SLACK) -> Tensor:
        return self._scaled_square(points) <= (1 + slack * self.size / min(self.semi_axes)) ** 2

    def _direction(self, unit: Tensor) -> Tensor:
        """Return cosine and sine (N, 2) of the parameter that is at a share of the arc length."""
        theta = torch.from_numpy(self._parameter(unit[:, 0].detach().cpu().numpy())).to(unit)
        return torch.stack([torch.cos(theta), torch.sin(theta)], dim=1)

    def _parameter(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return theta of (a cos theta, b sin theta) where the arc length is this share, by Newton's iteration.

        The arc length from 0 is b E(theta | 1 - a^2 / b^2), E the incomplete elliptic integral of the second kind.
        """
        a, b = self.semi_axes
        m = 1 - (a / b) ** 2
        theta = np.interp(share, *self._table)
        for _ in range(4):
            excess = ellipeinc(theta, m) - 4 * share * ellipe(m)
            theta = theta - excess / np.sqrt(1 - m * np.sin(theta) ** 2)
        return theta

    @cached_property
    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shares of the arc length and the parameters there."""
        (a, b), theta = self.semi_axes, np.linspace(0, 2 * pi, 2049)
        m = 1 - (a / b) ** 2
        return ellipeinc(theta, m) / (4 * ellipe(m)), theta

    def _at(self, place: Tensor) -> Tensor:
        return place.new_tensor(self.center) + place @ place.new_tensor(self._axes)

    def _scaled_square(self, x: Tensor) -> Tensor:
        along = (x - x.new_tensor(self.center)) @ x.new_tensor(self._axes).T
        return ((along / x.new_tensor(self.semi_axes)) ** 2).sum(dim=1)


def sphere(unit: Tensor) -> Tensor:
    """Return points (N, d) of the unit sphere, spread evenly, for points (N, d - 1) of the unit cube.

    The cosine of every angle but the last is the quantile of its density sin^k, a beta distribution.
    """
    columns, rest = [], torch.ones_like(unit[:, 0])
    for k, u in zip(range(unit.shape[1] - 1, 0, -1), unit.T, strict=False):
        share = u if k == 1 else torch.from_numpy(betaincinv((k + 1) / 2, (k + 1) / 2, u.cpu().numpy())).to(u)
        columns.append(rest * (1 - 2 * share))
        rest = rest * 2 * torch.sqrt(share * (1 - share))
    angle = 2 * pi * unit[:, -1]
    return torch.stack([*columns, rest * torch.cos(angle), rest * torch.sin(angle)], dim=1)


def quadric(square: Callable[[Tensor], Tensor], radius: float) -> Surface:
    """Return the surface square = 1 of a function that grows like (distance / radius)^2.

    Outside it is a logarithm, which is harmonic around a disk, as solutions nearly are that vanish on a small hole.
    """
    return Surface(lambda x: radius / 2 * (1 - square(x)), lambda x: radius / 2 * torch.log(square(x)))


def coordinates_of(center: Sequence[float], coordinates: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the coordinates of a domain around a center, x, y and z by default."""
    if len(center) < 2 or not all(map(isfinite, center)):
        raise KanpdeError(f"center={shown(center)}: give two finite coordinates or more; an interval is Box(x=(0, 1)).")
    names = COORDINATES[: len(center)] if coordinates is None else tuple(coordinates)
    if len(names) != len(center) or len(set(names)) < len(names):
        raise KanpdeError(
            f"coordinates=({', '.join(names)}): give {len(center)} names, one for each coordinate of the center."
        )
    return names


def shown(values: Sequence[float]) -> str:
    """Return numbers as a tuple is written."""
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def named(names: tuple[str, ...]) -> str:
    """Return the names of coordinates behind a domain where they are not x, y, z."""
    return "" if names == COORDINATES[: len(names)] else f" in ({', '.join(names)})"
