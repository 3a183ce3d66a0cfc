"""Parameters: coordinates along which nothing is differentiated, whose values each give a problem of their own.

Whoever needs a few of these problems takes them at the values of `values_of`.
"""

from __future__ import annotations

from itertools import product
from math import prod, sqrt

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.geometry.base import Geometry, Product
from kanpde.geometry.box import Box

Values = dict[str, float]
# Nodes and weights of Lobatto's rule on [0, 1]: both ends and the middle are among them.
FIVE = (
    (0.0, 1 / 20),
    ((1 - sqrt(3 / 7)) / 2, 49 / 180),
    (0.5, 16 / 45),
    ((1 + sqrt(3 / 7)) / 2, 49 / 180),
    (1.0, 1 / 20),
)
THREE = ((0.0, 1 / 6), (0.5, 2 / 3), (1.0, 1 / 6))
MOST = 3
"""Parameters up to which every one of them has nodes of its own."""


def parameter(**intervals: tuple[float, float]) -> Box:
    """Return intervals of parameters, to multiply a domain with: `Box(x=(0, 1)) * parameter(nu=(0.01, 0.1))`.

    A parameter is a coordinate without a boundary: it is an input of the network, and equations and data read it as
    `at.nu`. Raises KanpdeError for an interval that is empty or not finite, and for one of the time, "t".
    """
    if "t" in intervals:
        raise KanpdeError("parameter(t=...): 't' is the time, which equations are solved in: use another name.")
    return Box(**intervals).with_parameters(tuple(intervals))


def values_of(geometry: Geometry) -> list[tuple[Values, float]]:
    """Return values of all parameters at which a family of problems is looked at, with weights that sum to 1.

    Five for one parameter, by Lobatto's rule, and three along each of two or three. For more, all lower ends, all
    middles and all upper ends. Without parameters one empty set of values.
    """
    names = geometry.parameters
    intervals = [interval_of(geometry, name) for name in names]
    rule = FIVE if len(names) == 1 else THREE
    if len(names) <= MOST:
        nodes = [
            ([s for s, _ in node], prod(weight for _, weight in node)) for node in product(rule, repeat=len(names))
        ]
    else:
        nodes = [([s] * len(names), weight) for s, weight in rule]
    return [
        ({name: a + (b - a) * s for name, (a, b), s in zip(names, intervals, shares, strict=True)}, weight)
        for shares, weight in nodes
    ]


def ends_of(geometry: Geometry) -> list[Values]:
    """Return the lower ends, the middles and the upper ends of all parameters; one empty set without parameters."""
    intervals = {name: interval_of(geometry, name) for name in geometry.parameters}
    shares = (0.0, 0.5, 1.0) if intervals else (0.5,)
    return [{name: a + (b - a) * share for name, (a, b) in intervals.items()} for share in shares]


def interval_of(geometry: Geometry, name: str) -> tuple[float, float]:
    """Return the interval of a coordinate."""
    axis = geometry.names.index(name)
    return geometry.lower[axis], geometry.upper[axis]


def without_parameters(geometry: Geometry) -> Geometry:
    """Return the domain that is left at fixed values of the parameters.

    Raises KanpdeError if none is left, and for parameters that are part of a union, difference or intersection.
    """
    if not geometry.parameters:
        return geometry
    rest = [name for name in geometry.names if name not in geometry.parameters]
    if isinstance(geometry, Box) and rest:
        intervals = geometry.intervals
        box = Box(**{name: intervals[name] for name in rest})
        return box.named(geometry.label) if geometry.label else box
    if isinstance(geometry, Product) and rest:
        kept = [part for part in (geometry.first, geometry.second) if set(part.names) - set(part.parameters)]
        return Product(*map(without_parameters, kept)) if len(kept) == 2 else without_parameters(kept[0])
    listed = ", ".join(geometry.parameters)
    raise KanpdeError(
        f"the domain {geometry} is no domain times the parameters {listed}: write DOMAIN * parameter(...)."
    )


def at_known_values(geometry: Geometry, points: Tensor) -> Tensor:
    """Return points (N, d) with their parameters replaced by the nearest of the values of `values_of`."""
    if not geometry.parameters:
        return points
    axes = [geometry.names.index(name) for name in geometry.parameters]
    known = points.new_tensor([list(values.values()) for values, _ in values_of(geometry)])
    size = points.new_tensor([geometry.upper[axis] - geometry.lower[axis] for axis in axes])
    nearest = torch.cdist(points[:, axes] / size, known / size).argmin(dim=1)
    points = points.clone()
    points[:, axes] = known[nearest]
    return points


def shown(values: Values) -> str:
    """Return values of parameters as text, "nu = 0.01"; empty without parameters."""
    return ", ".join(f"{name} = {value:.4g}" for name, value in values.items())


def refuse_parameters(geometry: Geometry, what: str) -> None:
    """Raise KanpdeError for a domain with parameters where it has to be one without."""
    if geometry.parameters:
        listed = ", ".join(geometry.parameters)
        raise KanpdeError(
            f"{what}: the domain has the parameters {listed}, and this is for one value of them: give"
            f" per_value(domain, lambda {listed}: ...) as the reference."
        )
