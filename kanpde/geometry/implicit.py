"""Domains as formulas of functions that change sign on their boundary: smooth factors for hard conditions.

A formula joins surfaces by "and" and "or". Its level is positive inside, zero on the boundary and negative outside, by
R-functions (Rvachev 1982; Shapiro 2007, Semi-analytic geometry with R-functions, Acta Numerica 16, section 3). Factors
that vanish on some of the surfaces are products over an intersection, which are smooth at convex corners too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import reduce
from math import cos, pi, sin
from typing import TypeVar

import torch
from torch import Tensor

from kanpde.floats import TINY

Own = TypeVar("Own", bound="Composed")
Level = Callable[[Tensor], Tensor]
"""A function of points (N, d) with the values (N,)."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Where two smooth functions vanish: `inside` is positive on the inner side, `outside` on the outer side."""

    inside: Level
    outside: Level

    def of(self, axes: slice) -> Surface:
        """Return the surface in a space with more coordinates, of which these are its own."""
        return Surface(lambda x: self.inside(x[:, axes]), lambda x: self.outside(x[:, axes]))


class Formula(ABC):
    """A domain by its surfaces, which `leaves` has in the order of the formula."""

    leaves: tuple[Surface, ...]

    @property
    def surfaces(self) -> frozenset[Surface]:
        """The surfaces that the formula joins."""
        return frozenset(self.leaves)

    @abstractmethod
    def level(self, x: Tensor) -> Tensor:
        """Return a function (N,) of points (N, d): positive inside, zero on the boundary, negative outside."""

    @abstractmethod
    def complement(self) -> Formula:
        """Return the formula of what lies outside."""

    @abstractmethod
    def factor(self, chosen: frozenset[Surface]) -> Level:
        """Return a function that is positive in the domain and on its boundary vanishes on these surfaces only.

        It is 1 if none of them is a surface of the domain.
        """

    @abstractmethod
    def where(self, surface: Surface) -> list[Formula]:
        """Return the formulas that all hold where a surface is the boundary of the domain."""

    @abstractmethod
    def moved(self, surfaces: dict[Surface, Surface], shift: int) -> Formula:
        """Return the formula with other surfaces in the place of its own, `shift` coordinates further on."""


class Side(Formula):
    """One side of a surface."""

    def __init__(self, surface: Surface, inner: bool = True) -> None:
        self.surface, self.inner, self.leaves = surface, inner, (surface,)

    def level(self, x: Tensor) -> Tensor:
        return self.surface.inside(x) if self.inner else self.surface.outside(x)

    def complement(self) -> Formula:
        return Side(self.surface, not self.inner)

    def factor(self, chosen: frozenset[Surface]) -> Level:
        return self.level if self.surface in chosen else one

    def where(self, surface: Surface) -> list[Formula]:
        return []

    def moved(self, surfaces: dict[Surface, Surface], shift: int) -> Formula:
        return Side(surfaces[self.surface], self.inner)


class Composed(Formula):
    """Several domains that are joined in one way."""

    def __init__(self, *parts: Formula) -> None:
        self.parts = parts
        self.leaves = tuple(surface for part in parts for surface in part.leaves)

    def moved(self: Own, surfaces: dict[Surface, Surface], shift: int) -> Own:
        other = copy(self)
        Composed.__init__(other, *(part.moved(surfaces, shift) for part in self.parts))
        return other


class And(Composed):
    """What lies in all of several domains; everything if there are none."""

    def level(self, x: Tensor) -> Tensor:
        return reduce(both, [part.level(x) for part in self.parts])

    def complement(self) -> Formula:
        return Or(*(part.complement() for part in self.parts))

    def factor(self, chosen: frozenset[Surface]) -> Level:
        factors = [part.factor(chosen) for part in self.parts if part.surfaces & chosen]
        return lambda x: reduce(torch.mul, [factor(x) for factor in factors], one(x))

    def where(self, surface: Surface) -> list[Formula]:
        return [f for part in self.parts for f in (part.where(surface) if surface in part.surfaces else [part])]


class Or(Composed):
    """What lies in at least one of several domains."""

    def level(self, x: Tensor) -> Tensor:
        return reduce(either, [part.level(x) for part in self.parts])

    def complement(self) -> Formula:
        return And(*(part.complement() for part in self.parts))

    def factor(self, chosen: frozenset[Surface]) -> Level:
        if not self.surfaces & chosen:
            return one
        mine = Or(*(part for part in self.parts if part.surfaces <= chosen))
        others = Or(*(part for part in self.parts if not part.surfaces <= chosen))
        if not others.parts:
            return mine.level
        # What all surfaces of a part are chosen of is one function, smooth where they meet; others are trimmed alone.
        alone = [(surface, And(*self.where(surface))) for surface in others.leaves if surface in chosen]

        def distance(x: Tensor) -> Tensor:
            terms = [trimmed(surface.inside(x), where.level(x)) for surface, where in alone]
            if mine.parts:
                terms.append(trimmed(mine.level(x), -others.level(x)))
            return reduce(joined, terms)

        return distance

    def where(self, surface: Surface) -> list[Formula]:
        return [
            f for part in self.parts for f in (part.where(surface) if surface in part.surfaces else [part.complement()])
        ]


class Corner(Or):
    """The outside of a wedge: what lies on the one side of one line or of another, which meet in a vertex.

    Its level is r^p cos(p phi), phi the angle from the bisector and p = pi / (angle inside): the harmonic function to
    which solutions of elliptic equations are close at such a corner (Kondrat'ev 1967), zero on both lines.
    """

    def __init__(self, one: Side, other: Side, vertex: tuple[float, float], bisector: float, angle: float) -> None:
        super().__init__(one, other)
        self.vertex, self.bisector, self.angle = vertex, bisector, angle
        self.first = 0

    def level(self, x: Tensor) -> Tensor:
        along, across = (x[:, self.first + i] - self.vertex[i] for i in (0, 1))
        c, s = cos(self.bisector), sin(self.bisector)
        p = pi / self.angle
        phi = torch.atan2(c * across - s * along, c * along + s * across)
        return (along**2 + across**2) ** (p / 2) * torch.cos(p * phi)

    def factor(self, chosen: frozenset[Surface]) -> Level:
        return self.level if self.surfaces <= chosen else super().factor(chosen)

    def moved(self, surfaces: dict[Surface, Surface], shift: int) -> Corner:
        corner = super().moved(surfaces, shift)
        corner.first = self.first + shift
        return corner


def one(x: Tensor) -> Tensor:
    """Return ones (N,)."""
    return torch.ones_like(x[:, 0])


def both(f: Tensor, g: Tensor) -> Tensor:
    """Return the R-conjunction, which is positive where both are (Shapiro 2007, equation 3.10 with alpha = 0)."""
    return f + g - torch.sqrt(f**2 + g**2)


def either(f: Tensor, g: Tensor) -> Tensor:
    """Return the R-disjunction, which is positive where one of them is, and smooth but where both vanish."""
    return f + g + torch.sqrt(f**2 + g**2)


def joined(f: Tensor, g: Tensor) -> Tensor:
    """Return the R-equivalence, which vanishes where one of two distances does (Sukumar & Srivastava 2022, eq. 13)."""
    return f * g / (f + g + TINY)


def trimmed(f: Tensor, t: Tensor) -> Tensor:
    """Return a function that vanishes only where f does and t is not negative (Sukumar & Srivastava 2022, eq. 8)."""
    return torch.sqrt(f**2 + (0.5 * (torch.sqrt(t**2 + f**4) - t)) ** 2)
