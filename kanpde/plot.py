"""Pictures of a solution and of the convergence to it, in one style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kanpde.files import atomic
from kanpde.record import Histories, Sample

# Line colours from Okabe & Ito 2008 (Color Universal Design) without their yellow, which is lost in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "0.88",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.titlesize": 11,
    "savefig.dpi": 150,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


def plot_solution(sample: Sample, path: Path, method: str = "solution", rel_l2: float | None = None) -> None:
    """Draw solution, reference and signed error side by side, a row per unknown; without a reference only the solution.

    One axis gives curves, two give maps, three give maps of the middle plane. `method` names the solution in the
    picture and `rel_l2` is its relative L2 error, to be shown in the title.
    """
    sample = sample.plane()
    title = [sample.problem]
    if sample.where:
        title.append(f"slice {sample.where}")
    if rel_l2 is not None:
        title.append(f"relative L2 error {rel_l2:.2e}")
    draw = _draw_maps if len(sample.axes) == 2 else _draw_curves
    with matplotlib.rc_context(STYLE):
        figure = draw(sample, method)
        figure.suptitle(", ".join(title), y=1 - 0.15 / figure.get_figheight())
        _save(figure, path)


def plot_convergence(histories: Histories, path: Path) -> None:
    """Draw loss and held-out loss of each method against iterations and against seconds.

    A circle marks where a stage begins. Axes are logarithmic in the loss, unless it is zero throughout, and in
    iterations or seconds where the methods differ in them by more than a factor of ten.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.5, 4.2), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        positive = any(
            float(row[loss]) > 0 for rows in histories.values() for row in rows for loss in ("loss", "held_out")
        )
        for axes, column, label in zip(panels, ("iteration", "seconds"), ("iteration", "time (s)"), strict=True):
            ends = [max(float(row[column]) for row in rows) for rows in histories.values() if rows]
            for number, rows in enumerate(histories.values()):
                _draw_history(axes, column, rows, COLOURS[number % len(COLOURS)])
            if positive:
                axes.set_yscale("log", nonpositive="mask")
            if ends and max(ends) > 10 * min(ends):
                axes.set_xscale("log", nonpositive="mask")
            axes.set_xlabel(label)
            axes.grid(True)
        panels[0].set_ylabel("loss")
        entries = [
            Line2D([], [], color=COLOURS[number % len(COLOURS)], label=method)
            for number, method in enumerate(histories)
        ]
        entries.append(Line2D([], [], color="0.35", label="loss"))
        entries.append(Line2D([], [], color="0.35", linestyle="--", linewidth=1, label="held-out loss"))
        entries.append(_stage_marker([], [], "0.35", label="a stage begins"))
        figure.legend(handles=entries, loc="outside lower center", ncols=min(len(entries), 6))
        _save(figure, path)


def _draw_maps(sample: Sample, method: str) -> Figure:
    """Draw maps, a row per unknown: solution and reference share their colours, those of the error are symmetric."""
    rows, columns = len(sample.unknowns), len(sample.fields)
    aspect = _aspect(sample)
    width, height = 2.4 / aspect**0.5, 2.4 * aspect**0.5
    figure, panels = _panels(rows, columns, width, height)
    for unknown, row in enumerate(panels):
        fields = {label: values[:, unknown].reshape(sample.shape) for label, values in sample.fields.items()}
        shown = fields.get("reference", fields["solution"])
        scale, factor = _scale(shown)
        finite = shown[np.isfinite(shown)] / scale
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        for axes, (label, values) in zip(row, fields.items(), strict=True):
            if label == "error":
                scale, factor = _scale(values)
                high = _largest(values) / scale or 1.0
                _draw_map(axes, sample, values / scale, cmap=DIVERGING, vmin=-high, vmax=high)
            else:
                _draw_map(axes, sample, values / scale, cmap=SEQUENTIAL, vmin=low, vmax=high)
            shows = {"solution": method, "reference": "reference", "error": f"{method} $-$ reference"}[label]
            axes.set_title(f"{sample.unknowns[unknown]}, {shows}{factor}")
    return figure


def _panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """Return a figure with panels of a size in inches and room between them for labels and colour bars."""
    left, right, bottom, top, between, below = 0.8, 0.85, 0.6, 0.7, 1.5, 1.0
    full_width = left + columns * width + (columns - 1) * between + right
    full_height = bottom + rows * height + (rows - 1) * below + top
    figure = Figure(figsize=(full_width, full_height))
    figure.subplots_adjust(
        left=left / full_width,
        right=1 - right / full_width,
        bottom=bottom / full_height,
        top=1 - top / full_height,
        wspace=between / width,
        hspace=below / height,
    )
    return figure, figure.subplots(rows, columns, squeeze=False)


def _draw_map(axes: Axes, sample: Sample, values: NDArray[np.float64], **colours: Any) -> None:
    (first, x), (second, y) = sample.axes.items()
    # The image reaches half a cell beyond the grid, so that its pixels are centred on the points.
    i, j = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    image = axes.imshow(
        np.where(np.isfinite(values), values, np.nan).T,
        origin="lower",
        extent=(x[0] - i, x[-1] + i, y[0] - j, y[-1] + j),
        aspect="auto",
        interpolation="bilinear",
        **colours,
    )
    axes.set(xlabel=first, xlim=(x[0], x[-1]), ylabel=second, ylim=(y[0], y[-1]))
    axes.spines[:].set_visible(True)
    axes.locator_params(nbins=5)
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.04, 0.0, 0.05, 1.0)))
    bar.locator = MaxNLocator(6, steps=[1, 2, 5, 10])


def _aspect(sample: Sample) -> float:
    """Return height over width of a map: true to scale in space within reason, square where time is an axis."""
    width, height = (float(np.ptp(axis)) for axis in sample.axes.values())
    return 1.0 if "t" in sample.axes else min(max(height / width, 0.4), 2.0)


def _draw_curves(sample: Sample, method: str) -> Figure:
    """Draw solution and reference in one panel and the error in the next, a row per unknown."""
    rows, columns = len(sample.unknowns), 1 if sample.reference is None else 2
    ((coordinate, x),) = sample.axes.items()
    figure, panels = _panels(rows, columns, width=3.6, height=2.6)
    for unknown, name in enumerate(sample.unknowns):
        values = panels[unknown, 0]
        scale, factor = _scale((sample.solution if sample.reference is None else sample.reference)[:, unknown])
        values.plot(x, sample.solution[:, unknown] / scale, color=COLOURS[0], label=method)
        values.set_ylabel(f"{name}{factor}")
        if sample.reference is not None and sample.error is not None:
            reference = sample.reference[:, unknown] / scale
            values.plot(x, reference, "--", color="black", linewidth=1, label="reference")
            scale, factor = _scale(sample.error[:, unknown])
            errors = panels[unknown, 1]
            errors.plot(x, sample.error[:, unknown] / scale, color=COLOURS[1])
            errors.axhline(0, color="0.6", linewidth=0.8)
            errors.set_title(f"{name}, {method} $-$ reference{factor}")
        values.legend(loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=2)
    for axes in panels.flat:
        axes.set_xlabel(coordinate)
        axes.grid(True)
    return figure


def _draw_history(axes: Axes, column: str, rows: Sequence[Any], colour: str) -> None:
    x = [float(row[column]) for row in rows]
    loss = [float(row["loss"]) for row in rows]
    axes.plot(x, loss, color=colour)
    known = [row for row in rows if isfinite(float(row["held_out"]))]  # it is not computed in every iteration
    values = [float(row["held_out"]) for row in known]
    axes.plot([float(row[column]) for row in known], values, "--", color=colour, linewidth=1)
    places = [[row.get(key) for key in ("slab", "correction", "stage")] for row in rows]
    starts = [n for n in range(len(rows)) if n == 0 or places[n] != places[n - 1]]
    axes.add_line(_stage_marker([x[n] for n in starts], [loss[n] for n in starts], colour))


def _stage_marker(x: Sequence[float], y: Sequence[float], colour: str, **options: Any) -> Line2D:
    return Line2D(x, y, linestyle="", marker="o", color=colour, markerfacecolor="white", **options)


def _largest(values: NDArray[np.float64]) -> float:
    """Return the largest finite absolute value, 0 if there is none."""
    return float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))


def _scale(values: NDArray[np.float64]) -> tuple[float, str]:
    """Return the power of ten to divide values by, and its text for a title, so that no axis needs an offset."""
    largest = _largest(values)
    exponent = math.floor(math.log10(largest)) if largest > 0 else 0
    return (1.0, "") if -2 < exponent < 4 else (10.0**exponent, rf"  ($\times\,10^{{{exponent}}}$)")


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
