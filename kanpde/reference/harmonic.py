"""Laplace's and Poisson's equation in the plane: sums of harmonic functions that fit the data on the boundary.

Polynomials, powers and logarithms about points in holes and outside, and the singular functions of corners, by least
squares on the boundary (Fox, Henrici & Moler 1967; Betcke & Trefethen 2005, Reviving the Method of Particular
Solutions; Trefethen 2018, Series Solution of Laplace Problems). Every term is the real or imaginary part of an analytic
function of z = x + i y, so derivatives are closed forms and the equation holds to rounding. What is left is a misfit on
the boundary, and by the maximum principle the error is nowhere larger than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points, evaluate, taylor_coefficients
from kanpde.geometry import Geometry, Polygon, refuse_parameters
from kanpde.geometry.base import distinct
from kanpde.multiindex import IndexSet
from kanpde.problem import Condition, Dirichlet, Reference, Value

Complex = NDArray[np.complex128]
Array = NDArray[np.float64]
TINY = 1e-150
"""Added to the distance from a corner, where powers and logarithms are not finite."""
INTEGER = 1e-9
"""How close a power is to an integer."""
CUT = 1e-14
"""Singular values below this share of the largest one are left out."""
ROWS, CHECKS = 4, 4
"""Points of the boundary per coefficient, and how many times as many the misfit is measured at."""
TOWARDS = 14.0
"""Half of the points of a curve lie at (1 + tanh s) / 2 for even |s| < TOWARDS, dense at its ends."""
CHUNK = 4096


@dataclass(frozen=True)
class Corner:
    """A vertex at which the domain lies between two edges: counterclockwise from direction `start` by `angle`, radians.

    Its singular functions are z^(k pi / angle), and z^n log z where that is an integer n.
    """

    vertex: complex
    start: float
    angle: float
    terms: int


@dataclass(frozen=True)
class Series:
    """The functions whose real and imaginary parts are summed.

    z^n up to `degree` in units of `size` around `centre`; log z and z^-n up to `powers` around each of the poles, in
    units of `radii`; the singular functions of corners.
    """

    centre: complex
    size: float
    degree: int
    poles: tuple[complex, ...]
    radii: tuple[float, ...]
    powers: int
    corners: tuple[Corner, ...]

    @property
    def count(self) -> int:
        """The number of functions."""
        return self.degree + 1 + len(self.poles) * (self.powers + 1) + sum(corner.terms for corner in self.corners)

    def terms(self, z: Complex, order: int) -> Iterator[Complex]:
        """Yield the derivative of this order of every function at points z (N,)."""
        place = (z - self.centre) / self.size
        for n in range(self.degree + 1):
            yield falling(n, order) * place ** max(n - order, 0) / self.size**order
        for pole, radius in zip(self.poles, self.radii, strict=True):
            place = (z - pole) / radius
            yield logarithm(place, 0, order) / radius**order
            for n in range(1, self.powers + 1):
                yield falling(-n, order) * place ** (-n - order) / radius**order
        for corner in self.corners:
            turn = np.exp(-1j * (corner.start + corner.angle / 2)) / self.size  # the branch cut is outside
            place = (z - corner.vertex) * turn + TINY
            for k in range(1, corner.terms + 1):
                power = k * pi / corner.angle
                if abs(power - round(power)) < INTEGER:
                    yield turn**order * logarithm(place, round(power), order)
                else:
                    yield turn**order * falling(power, order) * place ** (power - order)

    def columns(self, z: Complex, orders: tuple[int, int] = (0, 0)) -> Array:
        """Return a partial derivative of the real and of the imaginary parts (N, 2 terms): d/dy is i d/dz."""
        found = [term * 1j ** orders[1] for term in self.terms(z, sum(orders))]
        return np.stack([part for term in found for part in (term.real, term.imag)], axis=1)


class Harmonic(Reference):
    """A particular solution plus the harmonic series that fits what it leaves of the values on the boundary.

    `error` is a bound: the largest misfit on the boundary, times the square root of the area, relative to the norm.
    """

    name = "harmonic series"
    error_source = "misfit on the boundary, by the maximum principle"
    smooth = True

    def __init__(self, domain: Geometry, values: Mapping[str, Value], particular: Value, series: Series) -> None:
        self.domain, self.particular, self.series = domain, particular, series
        self._walls = [(patch, value) for where, value in values.items() for patch in domain.boundary(where)]

    @cached_property
    def misfit(self) -> float:
        """The largest difference to the values on the boundary, between the points that were fitted too."""
        z, wanted = self._boundary(CHECKS * self._count + 1)
        return float(np.abs(self.series.columns(z) @ self._coefficients - wanted).max())

    @cached_property
    def error(self) -> float:  # type: ignore[override]
        """The bound of the relative L2 error."""
        at = Points.of(self.domain.names, self.domain.sample(CHUNK))
        size = float(self.taylor(at, IndexSet(self.domain.names))[0].square().mean().sqrt())
        return max(self.misfit / size, 1e-15)

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        points, total = at.array(), taylor_coefficients(self.particular, at, indices)
        z = np.array([1, 1j]) @ points.detach().cpu().numpy().T
        for c, (index, factorial) in enumerate(zip(indices.indices, indices.factorials, strict=True)):
            for start in range(0, len(z), CHUNK):
                part = slice(start, start + CHUNK)
                columns = self.series.columns(z[part], (index[0], index[1]))
                total[c, part] += torch.from_numpy(columns @ self._coefficients / factorial).to(points)
        return total[..., None]

    @property
    def _count(self) -> int:
        """Points on each patch of the boundary."""
        return 2 * ROWS * self.series.count // len(self._walls) + 16

    @cached_property
    def _coefficients(self) -> Array:
        z, wanted = self._boundary(self._count)
        columns = self.series.columns(z)
        norms = np.linalg.norm(columns, axis=0)
        norms[norms == 0] = 1.0  # the imaginary part of a constant
        fitted: Array = np.linalg.lstsq(columns / norms, wanted, rcond=CUT)[0]
        return fitted / norms

    def _boundary(self, count: int) -> tuple[Complex, Array]:
        """Return points z (N,) of the boundary, `count` on each patch, and what the series shall be there."""
        places, wanted = [], []
        even = (np.arange(count - count // 2) + 0.5) / (count - count // 2)
        dense = (1 + np.tanh(np.linspace(-TOWARDS, TOWARDS, count // 2))) / 2
        unit = torch.from_numpy(np.concatenate([even, dense]))[:, None]
        for patch, value in self._walls:
            points = patch.place(unit)
            at = Points.of(self.domain.names, points, patch.normals(unit))
            places.append(np.array([1, 1j]) @ points.numpy().T)
            wanted.append((evaluate(value, at) - evaluate(self.particular, at)).numpy())
        return np.concatenate(places), np.concatenate(wanted)


def harmonic(
    domain: Geometry,
    conditions: Mapping[str, Condition],
    *,
    particular: Value = 0.0,
    degree: int = 40,
    poles: Sequence[tuple[float, float]] = (),
    powers: int = 20,
    corners: int = 0,
) -> Harmonic:
    """Return the solution of Poisson's equation in a plane domain with Dirichlet conditions on all of its boundary.

    particular: any function with the right Laplacian, 0 for Laplace's equation.
    degree: of the polynomials. poles: one point in every hole, and points outside near which the solution, continued
    across the boundary, is singular; `powers` negative powers around each. corners: the number of singular functions at
    the inner corners of a polygon; convex ones then have two of them.
    Raises KanpdeError for a domain that is not in the plane, conditions that are not Dirichlet's or leave out a part of
    the boundary, corners of a domain that is no polygon, and poles in the domain.
    """
    refuse_parameters(domain, "the harmonic reference")
    if domain.dimension != 2 or domain.time is not None:
        raise KanpdeError(f"{domain}: the harmonic reference is for domains in the plane, without time.")
    for label, condition in conditions.items():
        if not isinstance(condition, Dirichlet):
            raise KanpdeError(
                f"condition '{label}' is of the kind {condition.kind}: the harmonic reference needs dirichlet."
            )
    values = {condition.where: condition.value for condition in conditions.values()}
    given = {id(patch) for where in values for patch in domain.boundary(where)}
    if given != {id(patch) for patch in distinct(domain)}:
        raise KanpdeError("the harmonic reference needs a value on every part of the boundary: add dirichlet(...).")
    if corners and not isinstance(domain, Polygon):
        raise KanpdeError(f"corners={corners}: they are known of a Polygon, and the domain is {domain}.")
    inside = domain.contains(torch.tensor(poles, dtype=torch.float64).reshape(-1, 2))
    if bool(inside.any()):
        raise KanpdeError(f"poles={list(poles)}: number {int(inside.nonzero()[0])} lies in the domain: leave it out.")
    lower, upper = complex(*domain.lower), complex(*domain.upper)
    unit = torch.linspace(0, 1, 257, dtype=torch.float64)[:, None]
    boundary = np.concatenate([np.array([1, 1j]) @ patch.place(unit).numpy().T for patch in distinct(domain)])
    centres = tuple(complex(*pole) for pole in poles)
    radii = tuple(float(np.abs(boundary - centre).min()) for centre in centres)
    vertices = corners_of(domain, corners) if isinstance(domain, Polygon) and corners else ()
    size = abs(upper - lower) / 2
    return Harmonic(
        domain, values, particular, Series((lower + upper) / 2, size, degree, centres, radii, powers, vertices)
    )


def corners_of(polygon: Polygon, terms: int) -> tuple[Corner, ...]:
    """Return the corners of a polygon, the convex ones with two singular functions at most."""
    z = np.array([complex(*vertex) for vertex in polygon.vertices])
    before, after = np.roll(z, 1) - z, np.roll(z, -1) - z
    if float((z.conj() * np.roll(z, -1)).imag.sum()) < 0:  # clockwise
        before, after = after, before
    angles = np.angle(before / after) % (2 * pi)
    return tuple(
        Corner(complex(v), float(np.angle(a)), float(angle), terms if angle > pi else min(terms, 2))
        for v, a, angle in zip(z, after, angles, strict=True)
    )


def falling(power: float, order: int) -> float:
    """Return power (power - 1) ... (power - order + 1), the factor of the derivative of z^power."""
    return float(np.prod([power - m for m in range(order)]))


def logarithm(z: Complex, n: int, order: int) -> Complex:
    """Return a derivative of z^n log z, which is z^(n - order) (a log z + b) with a and b found order by order."""
    a, b = 1.0, 0.0
    for m in range(order):
        a, b = a * (n - m), a + b * (n - m)
    power = z ** float(n - order)
    return power * (a * np.log(z) + b)
