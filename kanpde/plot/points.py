"""Collocation points over the residual that they leave."""

from __future__ import annotations

from math import ceil, floor, log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kanpde.errors import KanpdeError
from kanpde.plot.style import COLOURS, draw_map, map_size, panels, styled, title
from kanpde.record import Sample

RESIDUAL = "Blues"
MOST_POINTS = 4000
"""Points that are drawn, at most: more would hide the map."""
MOST_PANELS = 6
DECADES = 6
"""Residuals smaller than the largest one by more than so many powers of ten have one colour."""
NEAR = 0.05
"""Part of the box in which points count as on a slice of it."""


@styled
def draw_points(sample: Sample, points: NDArray[np.float64], names: tuple[str, ...]) -> Figure:
    """Draw the absolute residual of each equation, and on it interior collocation points (N, d) of coordinates `names`.

    On a slice these are the points near it where one coordinate is fixed, and all of them where more are. Raises
    KanpdeError for a sample without residuals.
    """
    if sample.residual is None:
        raise KanpdeError("there are no residuals to draw points on: sample the solution with complete=...")
    whole, sample = sample, sample.plane()
    assert sample.residual is not None
    shown, note = _near(whole, sample, points, names)
    count = len(shown)
    if count > MOST_POINTS:
        shown = shown[np.random.default_rng(0).permutation(count)[:MOST_POINTS]]
    equations = sample.equations[:MOST_PANELS]
    columns = min(len(equations), 3)
    rows = -(-len(equations) // columns)
    size = map_size(sample, 3.4) if len(sample.axes) == 2 else (5.0, 3.0)
    figure, grid = panels(rows, columns, *size)
    for axes, label, residual in zip(grid.flat, equations, np.abs(sample.residual.T), strict=False):
        draw = _draw_map if len(sample.axes) == 2 else _draw_curve
        draw(axes, sample, residual, shown)
        axes.set_title(f"residual of '{label}'")
    for axes in list(grid.flat)[len(equations) :]:
        axes.remove()
    some = f"{len(shown):,} of {count:,}" if count > len(shown) else f"{count:,}"
    left_out = len(sample.equations) - len(equations)
    title(
        figure,
        sample.problem,
        sample.where and f"slice {sample.where}",
        f"{some} collocation points{note}",
        f"{left_out} more equations" if left_out else "",
    )
    return figure


def _near(
    whole: Sample, sample: Sample, points: NDArray[np.float64], names: tuple[str, ...]
) -> tuple[NDArray[np.float64], str]:
    """Return the coordinates (N, axis) of the points to show, and what they are."""
    note = ""
    cut = [name for name in sample.fixed if name in names]
    if len(cut) == 1 and cut[0] in whole.axes:
        axis = whole.axes[cut[0]]
        column, width = points[:, names.index(cut[0])], float(axis[-1] - axis[0])
        points = points[np.abs(column - sample.fixed[cut[0]]) <= NEAR * width]
        note = f" within {NEAR * width:.3g} of it"
    elif cut:
        note = f" of all {', '.join(cut)}"
    return points[:, [names.index(name) for name in sample.axes]], note


def _draw_map(axes: Axes, sample: Sample, residual: NDArray[np.float64], shown: NDArray[np.float64]) -> None:
    low, high = _decades(residual)
    values = np.clip(residual, 10.0**low, None).reshape(sample.shape)
    draw_map(axes, sample, values, cmap=RESIDUAL, norm=LogNorm(10.0**low, 10.0**high))
    size = min(max(6000 / max(len(shown), 1), 0.8), 8.0)
    axes.scatter(shown[:, 0], shown[:, 1], s=size, color=COLOURS[1], linewidths=0, rasterized=True)


def _decades(residual: NDArray[np.float64]) -> tuple[int, int]:
    """Return the powers of ten between which a residual lies, but for its smallest values."""
    positive = residual[np.isfinite(residual) & (residual > 0)]
    if not positive.size:
        return -1, 0
    high = ceil(log10(float(positive.max())))
    return max(min(floor(log10(float(np.quantile(positive, 0.02)))), high - 1), high - DECADES), high


def _draw_curve(axes: Axes, sample: Sample, residual: NDArray[np.float64], shown: NDArray[np.float64]) -> None:
    ((coordinate, x),) = sample.axes.items()
    axes.plot(x, np.where(residual > 0, residual, np.nan), color=COLOURS[0], linewidth=1)
    if np.nanmax(residual, initial=0.0) > 0:
        axes.set_yscale("log")
    bottom = np.full(len(shown), 0.025)
    place = axes.get_xaxis_transform()
    axes.plot(shown[:, 0], bottom, "|", color=COLOURS[1], markersize=7, markeredgewidth=0.3, transform=place)
    axes.set(xlabel=sample.label(coordinate), ylabel="absolute residual")
    axes.grid(True)
