"""Where the search for the constants of f(a t + b) begins: grids of a and b, by the kind of the function."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10, pi

import torch
from torch import Tensor

from kanpde.basis.elementary import Elementary

MOST_WAVES = 128
"""Frequencies are searched up to half a wave between neighbours of so many points, if there are so many."""

LEAST_CHANGE = 2e-2
"""|a| is at least this divided by the width of the range: below it f is hardly more than a polynomial."""

LEAST_RATE = 1e-3
"""The same for exponential functions, which may be slow."""


@dataclass(frozen=True)
class Grid:
    """Constants a, b (A, B) to start from, neighbours beside each other, and which of the two are free."""

    a: Tensor
    b: Tensor
    free: tuple[bool, bool]

    @staticmethod
    def of(a: Tensor, b: Tensor, free: tuple[bool, bool]) -> Grid:
        """Return the grid of a (A,) or (A, B) and b (A, B) or (B,)."""
        shape = torch.broadcast_shapes(a.shape, b.shape)
        return Grid(a.expand(shape), b.expand(shape), free)


def limits(function: Elementary, low: float, high: float, points: int) -> tuple[float, float]:
    """Return the least and the largest |a| for arguments t in [low, high] at so many points."""
    least = LEAST_RATE if function.search == "exponential" else LEAST_CHANGE
    return least / (high - low), 4 * points / (high - low)


def grids(function: Elementary, low: float, high: float, points: int, one: bool, like: Tensor) -> list[Grid]:
    """Return what to search for arguments t in [low, high] at `points` points; one: whether constants are free.

    The first grids have b = 0: of two functions of one distance the simpler one is of interest.
    """
    width, middle, far = high - low, (low + high) / 2, max(abs(low), abs(high))

    def values(start: float, end: float, count: int) -> Tensor:
        return torch.linspace(start, end, count, dtype=like.dtype, device=like.device)

    def scales(start: float, end: float, count: int) -> Tensor:
        return 10 ** values(log10(start), log10(end), count)

    def mirrored(scale: Tensor) -> Tensor:
        return torch.cat([-scale.flip(0), scale])[:, None]

    zero, unit = values(0, 0, 1), values(1, 1, 1)
    signs = mirrored(unit)
    kind = function.search
    found = []
    if kind in ("none", "power"):
        found.append(Grid.of(unit[:, None], zero, (False, False)))
    if kind == "power":
        found.append(Grid.of(unit[:, None], -middle - width * values(-1.5, 1.5, 49), (False, True)))
    if kind in ("branch", "logarithm"):
        beyond = width * scales(1e-4, 20, 33)
        shifts = torch.stack([high + beyond, beyond - low])  # the singular point is above the range, or below it
        found.append(Grid.of(signs, zero, (False, False)))
        if kind == "branch" or one:
            found.append(Grid.of(signs, shifts, (False, True)))
        else:
            sizes = scales(0.01 / width, 100 / width, 25)
            found.append(Grid.of(mirrored(sizes), zero, (True, False)))
            for sign, shift in zip((-1, 1), shifts, strict=True):
                found.append(Grid.of(sign * sizes[:, None], sizes[:, None] * shift, (True, True)))
    if kind == "exponential":
        found.append(Grid.of(mirrored(scales(0.05 / width, 40 / width, 40)), zero, (True, False)))
    if kind in ("wave", "radial", "any"):
        waves = min(points, MOST_WAVES)
        largest = pi * waves / (2 * width)
        found.append(Grid.of(values(largest / (4 * waves), largest, 4 * waves)[:, None], zero, (True, False)))
        a = values(largest / (2 * waves), largest, 2 * waves)[:, None]
        phases = pi * values(0, 1, 7)[:6]
        centres = a * width * values(-0.5, 0.5, 5)
        found.append(Grid.of(a, (centres if kind == "radial" else phases) - a * middle, (True, True)))
    if kind in ("local", "any"):
        largest = 2 * points / width
        found.append(Grid.of(scales(0.1 / far, largest, 33)[:, None], zero, (True, False)))
        a = scales(0.2 / width, largest, 21)[:, None]
        found.append(Grid.of(a, -a * (middle + width * values(-1, 1, 49)), (True, True)))
    if kind == "bounded":
        bound = pi / 2 if function.defined(-1.5, 1.5) else 1.0
        ends = bound * values(-1.0, 1.0, 25).mul(2.5).tanh() / 0.99
        found.append(Grid.of(ends[13:, None] / far, zero, (True, False)))
        lower, upper = ends[:, None], ends[None]
        a = torch.where(upper > lower, upper - lower, torch.nan) / width
        found.append(Grid.of(a, lower - a * low, (True, True)))
    return found


def lowest(distance: Tensor, count: int) -> list[tuple[int, int]]:
    """Return the positions of the `count` lowest local minima of a grid (A, B), no two of them neighbours."""
    around = -torch.nn.functional.max_pool2d(-distance[None], 3, stride=1, padding=1)[0]
    left, places = torch.where(distance <= around, distance, torch.inf), []
    for _ in range(count):
        i, j = divmod(int(left.argmin()), left.shape[1])
        if not bool(torch.isfinite(left[i, j])):
            break
        places.append((i, j))
        left[max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3] = torch.inf
    return places
