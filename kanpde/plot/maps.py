"""Solution, reference and signed error: maps in two coordinates, curves in one."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kanpde.plot.style import (
    COLOURS,
    DIVERGING,
    SEQUENTIAL,
    draw_map,
    largest,
    limits,
    map_size,
    panels,
    scale,
    styled,
    title,
)
from kanpde.record import Sample

LOGIT = 6.0
"""Largest logit that pictures tell from others: the odds are 400 to 1."""


@styled
def draw_solution(sample: Sample, method: str = "solution", rel_l2: float | None = None) -> Figure:
    """Draw solution, reference and signed error side by side, a row per unknown; without a reference only the solution.

    One axis gives curves, two give maps, three give maps of the middle plane. `method` names the solution in the
    picture and `rel_l2` is its relative L2 error, to be shown in the title.
    """
    sample = sample.plane()
    figure = _draw_maps(sample, method) if len(sample.axes) == 2 else _draw_curves(sample, method)
    error = "" if rel_l2 is None else f"relative L2 error {rel_l2:.2e}"
    title(figure, sample.problem, sample.where and f"slice {sample.where}", error)
    return figure


def _draw_maps(sample: Sample, method: str) -> Figure:
    """Draw maps, a row per unknown: solution and reference share their colours, those of the error are symmetric."""
    figure, rows = panels(len(sample.unknowns), len(sample.fields), *map_size(sample))
    for unknown, row in enumerate(rows):
        fields = {label: values[:, unknown].reshape(sample.shape) for label, values in sample.fields.items()}
        shown = fields.get("reference", fields["solution"])
        unit, factor = scale(shown) if sample.labels is None else (1.0, "")
        low, high = limits(shown / unit) if sample.labels is None else (-LOGIT, LOGIT)
        for axes, (label, values) in zip(row, fields.items(), strict=True):
            if label == "error":
                unit, factor = scale(values)
                most = largest(values) / unit or 1.0
                draw_map(axes, sample, values / unit, cmap=DIVERGING, vmin=-most, vmax=most)
            else:
                colours = SEQUENTIAL if sample.labels is None else DIVERGING
                draw_map(axes, sample, values / unit, cmap=colours, vmin=low, vmax=high)
            if sample.labels is not None and not sample.fixed:
                _draw_classes(axes, sample, values, sample.labels)
            shows = {"solution": method, "reference": "reference", "error": f"{method} $-$ reference"}[label]
            axes.set_title(f"{sample.label(sample.unknowns[unknown])}, {shows}{factor}")
    return figure


def _draw_classes(
    axes: Axes,
    sample: Sample,
    logit: NDArray[np.float64],
    labels: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    """Draw where a logit is zero, between its classes, and points of both of them."""
    (_, x), (_, y) = sample.axes.items()
    axes.contour(x, y, logit.T, levels=[0.0], colors="black", linewidths=1.2)
    points, values = labels
    for label, colour, marker in ((-1, "white", "o"), (1, "black", "^")):
        of = points[values == label]
        axes.scatter(of[:, 0], of[:, 1], s=7, marker=marker, facecolors=colour, edgecolors="0.3", linewidths=0.3)


def _draw_curves(sample: Sample, method: str) -> Figure:
    """Draw solution and reference in one panel and the error in the next, a row per unknown."""
    ((coordinate, x),) = sample.axes.items()
    figure, rows = panels(len(sample.unknowns), 1 if sample.reference is None else 2, width=3.6, height=2.6)
    for unknown, name in enumerate(sample.unknowns):
        values = rows[unknown, 0]
        unit, factor = scale((sample.solution if sample.reference is None else sample.reference)[:, unknown])
        values.plot(x, sample.solution[:, unknown] / unit, color=COLOURS[0], label=method)
        values.set_ylabel(f"{sample.label(name)}{factor}")
        if sample.reference is not None and sample.error is not None:
            reference = sample.reference[:, unknown] / unit
            values.plot(x, reference, "--", color="black", linewidth=1, label="reference")
            unit, factor = scale(sample.error[:, unknown])
            errors = rows[unknown, 1]
            errors.plot(x, sample.error[:, unknown] / unit, color=COLOURS[1])
            errors.axhline(0, color="0.6", linewidth=0.8)
            errors.set_title(f"{sample.label(name)}, {method} $-$ reference{factor}")
        values.legend(loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=2)
    for axes in rows.flat:
        axes.set_xlabel(sample.label(coordinate))
        axes.grid(True)
    return figure
