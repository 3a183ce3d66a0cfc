"""A table of values that a user has: on a grid, or at points of any kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, NdBSpline, make_interp_spline
from scipy.spatial import KDTree
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Points
from kanpde.floats import TINY
from kanpde.geometry import Geometry
from kanpde.multiindex import IndexSet, MultiIndex
from kanpde.problem import NotKnown, Reference
from kanpde.reading import read_arrays

Array = NDArray[np.float64]

DEGREES = (1, 3, 5)
SLACK = 1e-9
"""How far outside a table points may lie, as a share of its extent: coordinates are often rounded."""


class Grid(Reference):
    """Values on a grid, interpolated by tensor product splines of a degree.

    `axes` are the coordinates along each axis of `values` (..., unknown). Along a periodic axis the last row is the
    first one once more. If no error is given, it is estimated from every second and every fourth row: how far their
    splines are off the table falls from e_4 to e_2, and by the same factor again to that of the whole table, if that is
    not more than the splines' order promises.
    """

    def __init__(
        self,
        name: str,
        names: tuple[str, ...],
        axes: Sequence[Array],
        values: Array,
        *,
        degree: int,
        error: float | None,
        periodic: Sequence[bool],
    ) -> None:
        self.name = name
        self.names, self.axes, self.values, self.degree = names, axes, values, degree
        self.periodic, self._given = periodic, error
        self.error_source = (
            f"of its interpolation with degree {degree}, from every second row; that of the table's values is not known"
            if error is None
            else "as given for the table"
        )

    @cached_property
    def error(self) -> float:  # type: ignore[override]
        """The relative L2 error that was given, or the estimate."""
        if self._given is not None:
            return self._given
        e2, e4 = self._without(2), self._without(4)
        gain = min(max(e4 / max(e2, TINY), 1.0), 2.0 ** (self.degree + 1))
        return max(e2 / gain, 1e-15)

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return Taylor coefficients (channel, point, unknown).

        Raises KanpdeError outside the table, and for derivatives that its splines do not have.
        """
        if max(max(index, default=0) for index in indices.indices) > self.degree:
            raise NotKnown(
                f"{self.name} is interpolated with degree {self.degree}, and a derivative of the order {indices.order}"
                f" was asked for: give a higher degree=, one of {', '.join(map(str, DEGREES))}, or do without it."
            )
        points = at.array()
        columns = [points[:, at.names.index(name)].detach().cpu().numpy() for name in self.names]
        for name, axis, column in zip(self.names, self.axes, columns, strict=True):
            slack = SLACK * (axis[-1] - axis[0])
            if column.min() < axis[0] - slack or column.max() > axis[-1] + slack:
                raise KanpdeError(
                    f"{self.name} covers {name} from {axis[0]:g} to {axis[-1]:g}, and values are asked for from"
                    f" {column.min():g} to {column.max():g}: give the problem a smaller domain, name the axis in"
                    " periodic=, or measure at the points of the table with degree=None."
                )
        inside = np.stack([np.clip(c, a[0], a[-1]) for a, c in zip(self.axes, columns, strict=True)], axis=1)
        order = [at.names.index(name) for name in self.names]

        def derivative(index: MultiIndex) -> Array:
            return self._spline(inside, nu=tuple(index[axis] for axis in order))

        found = np.stack([derivative(index) / f for index, f in zip(indices.indices, indices.factorials, strict=True)])
        return torch.from_numpy(found).to(points)

    @cached_property
    def _spline(self) -> NdBSpline:
        return self._through(self.axes, self.values)

    def _through(self, axes: Sequence[Array], values: Array) -> NdBSpline:
        knots, coefficients = [], values
        for number, (axis, periodic) in enumerate(zip(axes, self.periodic, strict=True)):
            kind = "periodic" if periodic and self.degree > 1 else None
            spline = make_interp_spline(axis, np.moveaxis(coefficients, number, 0), self.degree, bc_type=kind)
            knots.append(spline.t)
            coefficients = np.moveaxis(spline.c, 0, number)
        return NdBSpline(tuple(knots), np.ascontiguousarray(coefficients), self.degree)

    def _without(self, step: int) -> float:
        """Return the relative difference between the table and the spline through every so many of its rows."""
        rows = [np.unique(np.append(np.arange(0, len(axis), step), len(axis) - 1)) for axis in self.axes]
        if min(map(len, rows)) <= self.degree:
            raise KanpdeError(
                f"{self.name} has {' x '.join(str(len(axis)) for axis in self.axes)} rows, too few to estimate its"
                " error: give error=, its relative L2 error."
            )
        spline = self._through([a[r] for a, r in zip(self.axes, rows, strict=True)], self.values[np.ix_(*rows)])
        grid = np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1)
        return float(np.linalg.norm(spline(grid) - self.values) / max(np.linalg.norm(self.values), TINY))


class Scattered(Reference):
    """Values (point, unknown) at points (point, coordinate) of any kind, where alone errors are measured.

    Elsewhere, for pictures, they are interpolated linearly in up to three dimensions, and by the nearest point outside
    the table or in more dimensions.
    """

    error_source = "as given for the table; errors are measured at its points"

    def __init__(self, name: str, names: tuple[str, ...], points: Array, values: Array, error: float) -> None:
        self.name, self.error = name, error
        self.names, self.points, self.values = names, points, values

    def rule(self, geometry: Geometry) -> tuple[Points, Tensor] | None:
        order = [self.names.index(name) for name in geometry.names]
        points = torch.from_numpy(self.points[:, order].copy())
        points = points[geometry.contains(points)]
        if not len(points):
            raise KanpdeError(f"{self.name} has no points in {geometry}: check the names of its coordinates.")
        weights = torch.full((len(points),), 1 / len(points), dtype=torch.float64)
        return Points.of(geometry.names, points), weights

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return values (1, point, unknown); raise KanpdeError for derivatives."""
        if indices.order > 0:
            raise NotKnown(f"{self.name} has values only, and derivatives were asked for.")
        points = at.array()
        asked = np.stack([getattr(at, name).detach().cpu().numpy() for name in self.names], axis=1)
        nearest = self._nearest.query(asked / self._extent)[1]
        found = self.values[nearest]
        between = (asked != self.points[nearest]).any(axis=1)
        if self._linear is not None and between.any():
            inner = self._linear(asked[between])
            found[between] = np.where(np.isnan(inner), found[between], inner)
        return torch.from_numpy(found[None]).to(points)

    @cached_property
    def _extent(self) -> Array:
        return np.maximum(np.ptp(self.points, axis=0), TINY)

    @cached_property
    def _nearest(self) -> KDTree:
        return KDTree(self.points / self._extent)

    @cached_property
    def _linear(self) -> Any:
        if not 2 <= len(self.names) <= 3 or len(self.points) <= len(self.names):
            return None
        return LinearNDInterpolator(self.points, self.values, rescale=True)


def table(
    path: str | Path,
    coordinates: Mapping[str, str] | Sequence[str],
    values: str | Sequence[str],
    *,
    degree: int | None = 5,
    error: float | None = None,
    periodic: Sequence[str] = (),
) -> Grid | Scattered:
    """Return a reference from a user's table: `.npz`, `.mat`, `.h5`, `.csv` or `.vtu` (see `read_arrays` for names).

    coordinates: the names of the problem's coordinates, or a mapping from them to the names in the file; of a grid in
        the order of its axes: `{"x": "x", "t": "tt"}` for values of the shape (x, t).
    values: the name of the values of each unknown, in the order of the problem.
    degree: 1, 3 or 5, of the splines that interpolate a grid, whether it is given as vectors and an array or as
        columns of points that fill it. None measures errors at the points of the table only, as it does where they do
        not form a grid.
    error: the relative L2 error of the values. On a grid it may be left out: then that of the interpolation is
        estimated.
    periodic: coordinates along which the table repeats, in even rows, without a last one that equals the first.
    Raises KanpdeError for a file that cannot be read, names that are not there, shapes that do not fit, coordinates
    that do not ascend, values that are not finite real numbers, and points without `error`.
    """
    arrays = read_arrays(path)
    what = f"table {Path(path).name}"
    named = dict(coordinates) if isinstance(coordinates, Mapping) else {name: name for name in coordinates}
    labels = [values] if isinstance(values, str) else list(values)
    if not named or not labels:
        raise KanpdeError(f"{what}: name at least one coordinate and the values of one unknown.")
    if degree is not None and degree not in DEGREES:
        raise KanpdeError(f"{what}: degree={degree}: give {', '.join(map(str, DEGREES))} or None.")
    if error is not None and not 0 < error < np.inf:
        raise KanpdeError(f"{what}: error={error}: give a positive relative L2 error, 1e-16 for one of rounding.")
    for name in periodic:
        if name not in named:
            raise unknown_name(f"coordinate in periodic= of {what}:", name, named)
    columns = [_numbers(arrays, label, what).squeeze() for label in named.values()]
    fields = [_numbers(arrays, label, what) for label in labels]
    for label, column in zip(named.values(), columns, strict=True):
        if column.ndim != 1 or len(column) < 2:
            raise KanpdeError(f"{what}: the coordinate '{label}' has the shape {column.shape}: give a vector.")
    names = tuple(named)
    grid = _as_grid(columns, fields)
    if grid is None or degree is None:
        return _scattered(what, names, columns, fields, labels, grid, error)
    axes, stacked = grid
    for name, label, number in zip(names, named.values(), range(len(axes)), strict=True):
        if not (np.diff(axes[number]) > 0).all():
            raise KanpdeError(f"{what}: the coordinate '{label}' does not ascend: sort the table by it.")
        if name in periodic:
            gaps = np.diff(axes[number])
            axes[number] = np.append(axes[number], axes[number][-1] + gaps.mean())
            stacked = np.concatenate([stacked, stacked.take([0], axis=number)], axis=number)
        if len(axes[number]) <= degree:
            raise KanpdeError(f"{what}: {len(axes[number])} rows along '{label}' are too few for degree {degree}.")
    repeats = [name in periodic for name in names]
    return Grid(what, names, axes, stacked, degree=degree, error=error, periodic=repeats)


def _scattered(
    what: str,
    names: tuple[str, ...],
    columns: list[Array],
    fields: list[Array],
    labels: list[str],
    grid: tuple[list[Array], Array] | None,
    error: float | None,
) -> Scattered:
    """Return the values of a table at its points."""
    if grid is not None:
        columns = [column.ravel() for column in np.meshgrid(*grid[0], indexing="ij")]
        fields = list(grid[1].reshape(-1, len(fields)).T)
    count = len(columns[0])
    for label, field in zip(labels, fields, strict=True):
        if field.size != count or any(len(column) != count for column in columns):
            shapes = " and ".join(str(len(column)) for column in columns)
            raise KanpdeError(
                f"{what}: '{label}' has the shape {field.shape}, and the coordinates {', '.join(names)} have {shapes}"
                " entries: give one value per point, or an axis per coordinate, in their order."
            )
    if error is None:
        raise KanpdeError(
            f"{what}: values at points cannot tell their own error: give error=, their relative L2 error (1e-16 if they"
            " are exact to rounding)."
        )
    values = np.stack([field.ravel() for field in fields], axis=1)
    return Scattered(what, names, np.stack(columns, axis=1), values, error)


def _as_grid(columns: list[Array], fields: list[Array]) -> tuple[list[Array], Array] | None:
    """Return axes and values (..., unknown) if the arrays are a grid, or columns of points that fill one."""
    shape = tuple(map(len, columns))
    if all(field.squeeze().shape == shape for field in fields):
        return list(columns), np.stack([field.squeeze() for field in fields], axis=-1)
    if len(set(shape)) > 1 or any(field.size != shape[0] for field in fields):
        return None
    axes, places = zip(*(np.unique(column, return_inverse=True) for column in columns), strict=True)
    sides = tuple(map(len, axes))
    place = np.ravel_multi_index(places, sides)
    if np.prod(sides) != shape[0] or len(np.unique(place)) != shape[0]:
        return None
    values = np.empty((shape[0], len(fields)))
    for number, field in enumerate(fields):
        values[place, number] = field.ravel()
    return list(axes), values.reshape(*sides, len(fields))


def _numbers(arrays: Mapping[str, NDArray[Any]], label: str, what: str) -> Array:
    """Return an array of finite real numbers; "name.real" and "name.imag" are the parts of a complex one."""
    name, _, part = label.rpartition(".")
    if label in arrays or part not in ("real", "imag"):
        name, part = label, ""
    if name not in arrays:
        raise unknown_name(f"array in {what}:", name, arrays)
    array = np.asarray(arrays[name])
    if part:
        array = array.real if part == "real" else array.imag
    if array.dtype.kind == "c":
        raise KanpdeError(f"{what}: '{label}' is complex: name its parts, '{label}.real' and '{label}.imag'.")
    if array.dtype.kind not in "fiu":
        raise KanpdeError(f"{what}: '{label}' does not hold numbers but {array.dtype}.")
    wrong = int((~np.isfinite(array)).sum())
    if wrong:
        raise KanpdeError(
            f"{what}: {wrong} of {array.size} entries of '{label}' are not finite: leave out these points."
        )
    return array.astype(np.float64)
