"""Constraints: what holds at points of its own, not on a part of the boundary that is sampled.

Each has rows that are weighted sums over groups of points: an observation is one point, a mean the points of a
quadrature rule, a difference between two faces a pair of points.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Points, evaluate
from kanpde.geometry import Box, Geometry, split
from kanpde.reading import read_arrays
from kanpde.sampling import draw, gauss, of_rule

Function = Callable[..., Tensor]
Value = Callable[[Points], Tensor] | float
MEAN_NODES = {1: 64, 2: 24, 3: 12}
"""Gauss nodes along each coordinate in space, by the number of these coordinates."""
HELD_OUT, HELD_OUT_SEED = 0.1, 271_828
"""Part of the observations that are not trained on where there is nothing else to judge a network by."""
SMOOTHING = 0.01
"""Probability of the other label that a label stands for."""
NEAR = 0.01
"""Distance from the best logit up to which rows are a series, whose error relative to the row is below 1e-10."""
MEAN_POINTS = 4096
"""Points of a mean where there is no product of Gauss rules."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Points in groups of k that stand together, with the coefficients (m, k) of each and the m values of the sums."""

    at: Points
    coefficients: Tensor
    values: Tensor

    def sums(self, g: Tensor) -> Tensor:
        """Return the sums (m,) of what holds at all points (m k,), less their values."""
        return (g.view(self.coefficients.shape) * self.coefficients).sum(dim=1) - self.values

    def parts(self, points: int) -> Iterator[Groups]:
        """Yield some of the groups after others, with about so many points."""
        m, k = self.coefficients.shape
        step = max(1, points // k)
        for start in range(0, m, step):
            yield self.part(slice(start, min(start + step, m)))

    def part(self, some: slice) -> Groups:
        """Return the groups from the start of a slice to its end."""
        k = self.coefficients.shape[1]
        at = self.at.part(slice(some.start * k, some.stop * k))
        return replace(self, at=at, coefficients=self.coefficients[some], values=self.values[some])

    def to(self, like: Tensor) -> Groups:
        """Return the same on the device of a tensor."""
        at = Points.of(self.at.names, self.at.array().to(like))
        return replace(self, at=at, coefficients=self.coefficients.to(like), values=self.values.to(like))


@dataclass(frozen=True, eq=False)
class Signed(Groups):
    """Points of two classes, whose values are -1 and 1; the sums at them are logits, see `deviance`."""

    smoothing: float

    def sums(self, g: Tensor) -> Tensor:
        """Return the rows (m,) whose half square sum is the cross-entropy of smoothed labels less its least value."""
        logits = (g.view(self.coefficients.shape) * self.coefficients).sum(dim=1)
        return self.values * deviance(self.values * logits, self.smoothing)


@dataclass(frozen=True)
class Constraint(ABC):
    """Rows about `of`: the name of an unknown, or a function of unknowns and `at` as equations are; None: the only one.

    `weight` multiplies their mean square in the loss. `tolerance` is by how much the true solution may miss them.
    """

    of: str | Function | None
    weight: float
    kind: ClassVar[str]
    affine: ClassVar[bool] = True
    """Whether rows are affine in `of`."""

    @property
    def tolerance(self) -> float:
        return 0.0

    @abstractmethod
    def groups(self, geometry: Geometry) -> Groups:
        """Return the rows; raise KanpdeError if they do not fit the geometry."""

    def divided(self) -> tuple[Constraint, Constraint]:
        """Return what to train on and what to hold out; both are all of it where it is no sample."""
        return self, self


@dataclass(frozen=True, eq=False)
class Observation(Constraint):
    """Values of `of` at points; see `observe`. A table, its `source`, may have more columns than coordinates."""

    points: Tensor
    values: Tensor
    names: tuple[str, ...] | None
    noise: float
    source: str = ""
    kind = "observation"

    @property
    def tolerance(self) -> float:
        return 6 * self.noise

    def groups(self, geometry: Geometry) -> Groups:
        points = self.points[:, self._columns(geometry.names)]
        outside = ~geometry.contains(points)
        if bool(outside.any()):
            where = ", ".join(f"{n}={x:.4g}" for n, x in zip(geometry.names, points[outside][0].tolist(), strict=True))
            raise KanpdeError(f"{int(outside.sum())} observations lie outside the domain, the first at {where}.")
        return Groups(Points.of(geometry.names, points), points.new_ones(len(points), 1), self.values)

    def divided(self) -> tuple[Constraint, Constraint]:
        """Return a part to train on and one to hold out, always the same `HELD_OUT` of them; a single one is both."""
        count = len(self.points)
        if count == 1:
            return self, self
        order = torch.randperm(count, generator=torch.Generator().manual_seed(HELD_OUT_SEED))
        held_out = order[: max(1, round(HELD_OUT * count))].sort().values
        trained = order[len(held_out) :].sort().values
        one, other = (replace(self, points=self.points[i], values=self.values[i]) for i in (trained, held_out))
        return one, other

    def _columns(self, wanted: tuple[str, ...]) -> list[int]:
        """Return the numbers of the columns with the coordinates of a domain, in their order."""
        listed = ", ".join(wanted)
        if self.names is None:
            if self.points.shape[1] != len(wanted):
                raise KanpdeError(f"observations have {self.points.shape[1]} coordinates: give {listed} of each point.")
            return list(range(len(wanted)))
        if self.source and not set(wanted) <= set(self.names):
            raise KanpdeError(
                f"the observations in '{self.source}' have the columns {', '.join(self.names) or 'none'} beside that"
                f" of the values and as long as it: name the columns of the coordinates {listed}."
            )
        if not self.source and set(wanted) != set(self.names):
            raise KanpdeError(f"observations have the coordinates {', '.join(self.names)}: give {listed}.")
        return [self.names.index(name) for name in wanted]


@dataclass(frozen=True, eq=False)
class Classes(Observation):
    """Labels 0 and 1 at points, of which `of` is the logit; see `classify`."""

    smoothing: float = 0.0
    kind = "classes"
    affine = False

    def groups(self, geometry: Geometry) -> Groups:
        found = super().groups(geometry)
        return Signed(found.at, found.coefficients, 2 * found.values - 1, self.smoothing)


@dataclass(frozen=True)
class Mean(Constraint):
    """The mean of `of` over the domain, at each of `times` times if there is time; see `mean`."""

    value: Value
    times: int
    kind = "mean"

    def groups(self, geometry: Geometry) -> Groups:
        if geometry.parameters:
            listed = ", ".join(geometry.parameters)
            raise KanpdeError(f"mean: the domain {geometry} has the parameters {listed}, and a mean is for one value.")
        found = split(geometry)
        if found is None:
            raise KanpdeError(
                f"mean: the domain {geometry} is not one in space times an interval of time, and a mean is over space."
            )
        space, time = found
        nodes, weights = even_rule(space)
        columns = dict(zip(space.names, nodes.T, strict=True))
        if time is None:
            at = Points(geometry.names, columns)
            return Groups(at, weights[None], evaluate(self.value, at.part(slice(1))))
        # Both ends of the interval are among the times, which are denser there (Chebyshev's extreme points).
        moments = (1 - torch.cos(torch.linspace(0, torch.pi, self.times, dtype=torch.float64))) / 2
        t = time.lower[0] + (time.upper[0] - time.lower[0]) * moments
        columns = {name: column.repeat(self.times) for name, column in columns.items()}
        columns[time.names[0]] = t.repeat_interleave(len(nodes))
        at = Points(geometry.names, columns)
        first = at.part(torch.arange(self.times) * len(nodes))
        return Groups(at, weights.expand(self.times, -1), evaluate(self.value, first))


@dataclass(frozen=True)
class Difference(Constraint):
    """`of` at the upper face of the coordinate `where` less that at the lower one; see `difference`."""

    where: str
    value: Value
    points: int
    kind = "difference"

    def groups(self, geometry: Geometry) -> Groups:
        if not isinstance(geometry, Box):
            raise KanpdeError(f"difference('{self.where}'): the domain is a {type(geometry).__name__}, not a Box.")
        if self.where not in geometry.names:
            raise unknown_name("coordinate of a difference:", self.where, geometry.names)
        like = torch.zeros(0, dtype=torch.float64)
        lower = draw(geometry.boundary(f"{self.where}-"), geometry.names, "sobol", self.points, 0, like).at
        x = getattr(lower, self.where)
        upper = lower.moved(**{self.where: torch.full_like(x, geometry.upper[geometry.names.index(self.where)])})
        pairs = torch.stack([lower.array(), upper.array()], dim=1)
        signs = pairs.new_tensor([-1.0, 1.0]).expand(len(pairs), 2)
        return Groups(Points.of(geometry.names, pairs.flatten(0, 1)), signs, evaluate(self.value, lower))


def observe(
    points: Any, values: Any, of: str | Function | None = None, *, noise: float = 0.0, weight: float = 1.0
) -> Observation:
    """Return the constraint that `of` has these values (N,) at points.

    points: an array (N, d) in the order of the geometry's coordinates, or a dict of an array (N,) per coordinate. With
        `values` the name of a column it is the path of a table (.csv, .npz, .mat, .h5, .vtu) whose columns are named.
    noise: the standard deviation of the values' errors, for checks of a reference; it does not weigh them.
    Raises KanpdeError for shapes that do not fit, no points at all, numbers that are not finite, and a table that
    cannot be read or does not have the column.
    """
    names, source = None, ""
    if isinstance(points, (str, Path)):
        source = str(points)
        points, values = from_table(points, values)
    if isinstance(points, Mapping):
        names, columns = tuple(points), [numbers(f"the coordinate '{n}'", column) for n, column in points.items()]
        if not columns or any(column.dim() != 1 or len(column) != len(columns[0]) for column in columns):
            shapes = ", ".join(f"{n}: {tuple(c.shape)}" for n, c in zip(names, columns, strict=True))
            raise KanpdeError(f"observations at points of the shapes {shapes}: give arrays of one length N.")
        array = torch.stack(columns, dim=1)
    else:
        array = numbers("the points", points)
    data = numbers("the values", values)
    if array.dim() != 2 or not len(array):
        raise KanpdeError(f"observations at points of the shape {tuple(array.shape)}: give an array (N, d), N > 0.")
    if data.shape != (len(array),):
        raise KanpdeError(
            f"observations of the shape {tuple(data.shape)} at {len(array)} points: give ({len(array)},)."
        )
    if not noise >= 0:
        raise KanpdeError(f"noise={noise}: a standard deviation is not negative.")
    return Observation(of, weight, array, data, names, noise, source)


def classify(
    points: Any, labels: Any, of: str | Function | None = None, *, smoothing: float = SMOOTHING, weight: float = 1.0
) -> Classes:
    """Return the constraint that `of` is the logit u of labels (N,), 0 or 1: 1 has the probability 1 / (1 + e^-u).

    The loss is the cross-entropy, less its least value.
    points: as for `observe`; `labels` may be the name of a column as its `values` are.
    smoothing: the probability of the other label, in (0, 0.5), that a label stands for: where classes can be divided
        the logit grows to log(1 / smoothing - 1), and not for ever. Rows are deviance residuals, so that least squares
        apply (McCullagh and Nelder 1989, section 2.4.3).
    Raises KanpdeError for other labels, for those of one class only, and for what `observe` refuses.
    """
    if not 0 < smoothing < 0.5:
        raise KanpdeError(f"smoothing={smoothing}: give the probability of the other label, between 0 and 0.5.")
    read = observe(points, labels, of, weight=weight)
    found = read.values.unique().tolist()
    if found != [0.0, 1.0]:
        listed = ", ".join(f"{value:g}" for value in found[:5])
        raise KanpdeError(f"classify: the labels are {listed}{', ...' if len(found) > 5 else ''}: give 0 and 1, both.")
    return Classes(of, weight, read.points, read.values, read.names, 0.0, read.source, smoothing)


def deviance(z: Tensor, smoothing: float) -> Tensor:
    """Return r (N,) with r^2 / 2 = log(1 + e^-z) + e z less its least value, and the sign of z less the best z.

    With e for `smoothing` the best z is log(1 / e - 1). With t for it less z this is K(t) - e t, where K is the
    cumulant generating function log(1 + e (exp(t) - 1)) of a label; r is a smooth function of z that descends in t.
    """
    variance, skew = smoothing * (1 - smoothing), 1 - 2 * smoothing
    t = math.log(1 / smoothing - 1) - z
    near = t.abs() < NEAR
    # Each form has an argument in its own range, so that its derivative is finite where it is not taken.
    s = torch.where(near, t, 0.0)
    series = 1 + skew * s / 3 + (1 - 6 * variance) * s**2 / 12 + skew * (1 - 12 * variance) * s**3 / 60
    far = torch.where(near, 1.0, t)
    shift = math.log(smoothing / (1 - smoothing))
    excess = math.log1p(-smoothing) + torch.logaddexp(far + shift, torch.zeros_like(far)) - smoothing * far
    return -torch.where(near, s * (variance * series).sqrt(), far.sign() * (2 * excess).sqrt())


def sampled(
    function: Callable[[Points], Tensor],
    geometry: Geometry,
    count: int,
    of: str | Function | None = None,
    *,
    noise: float = 0.0,
    seed: int = 0,
) -> Observation:
    """Return the constraint that `of` has the values (N,) of a function at so many random points of a domain.

    noise: standard deviation of normal errors of the values, relative to that of the values themselves.
    Raises KanpdeError for fewer than 2 points and for what `observe` refuses.
    """
    if count < 2:
        raise KanpdeError(f"{count} samples: give at least 2.")
    generator, patch = torch.Generator().manual_seed(seed), geometry.interior()
    points = torch.empty(0, geometry.dimension, dtype=torch.float64)
    while len(points) < count:
        unit = torch.rand(count, patch.dimension, generator=generator, dtype=torch.float64)
        points = torch.cat([points, patch.place(unit[patch.kept(unit)])])[:count]
    values = evaluate(function, Points.of(geometry.names, points))
    deviation = noise * float(values.std())
    errors = torch.randn(count, generator=generator, dtype=torch.float64)
    return observe(points, values + deviation * errors, of, noise=deviation)


def from_table(path: str | Path, column: Any) -> tuple[dict[str, Any], Any]:
    """Return the columns of a table that are as long as one of them by name, and that one."""
    arrays = read_arrays(path)
    if not isinstance(column, str):
        raise KanpdeError(
            f"observations in '{path}' with the values {type(column).__name__}: give the name of a column, one of"
            f" {', '.join(arrays)}."
        )
    if column not in arrays:
        raise unknown_name(f"column of '{path}':", column, arrays)
    values = np.ravel(arrays[column])
    columns = {name: np.ravel(array) for name, array in arrays.items() if name != column and array.size == values.size}
    if not columns:
        raise KanpdeError(
            f"the table '{path}' has {values.size} values in '{column}' and no other column of this length: give the"
            " coordinates of every point, for a grid too."
        )
    return columns, values


def mean(of: str | Function | None = None, value: Value = 0.0, *, times: int = 32, weight: float = 1.0) -> Mean:
    """Return the constraint that the mean of `of` over the domain is `value`, with time at so many times.

    For a pressure that is known up to a constant: `mean("p")`. A value that is a function reads `at.t` only. On boxes
    the mean is one of Gauss nodes, on other domains one of 4096 Sobol points.
    Raises KanpdeError for fewer than 2 times, and on a domain with time that is not one in space times an interval.
    """
    if times < 2:
        raise KanpdeError(f"times={times}: a mean at every time needs at least 2.")
    return Mean(of, weight, value, times)


def difference(
    where: str, of: str | Function | None = None, value: Value = 0.0, *, points: int = 256, weight: float = 1.0
) -> Difference:
    """Return the constraint that `of` on the upper face of a coordinate is `value` more than on the lower one.

    With 0 for every unknown and its derivatives along `where` up to the order of the equations less one it is a
    periodic condition that the loss imposes, and not the inputs of the network. A value that is a function is
    evaluated on the lower face.
    """
    if points < 1:
        raise KanpdeError(f"points={points}: give at least 1 pair of points.")
    return Difference(of, weight, where, value, points)


def even_rule(space: Geometry) -> tuple[Tensor, Tensor]:
    """Return points (k, d) of a domain in space and weights (k,) of the mean over it."""
    patch = space.interior()
    if isinstance(space, Box) and space.dimension in MEAN_NODES:
        unit, weights = gauss(MEAN_NODES[space.dimension] ** space.dimension, space.dimension, 0)
    else:
        unit, weights = of_rule(patch, "sobol", MEAN_POINTS, 0)
    return patch.place(unit), weights / weights.sum()


def numbers(what: str, array: Any) -> Tensor:
    """Return an array as a tensor of doubles; raise KanpdeError for what has no numbers or some that are not finite."""
    if np.iscomplexobj(array):
        raise KanpdeError(f"{what} of observations are complex: give their real and imaginary parts apart.")
    try:
        tensor = torch.as_tensor(np.asarray(array, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise KanpdeError(f"{what} of observations are not numbers: {error}.") from None
    if not bool(torch.isfinite(tensor).all()):
        raise KanpdeError(f"{what} of observations are not all finite: leave those out that are not.")
    return tensor
