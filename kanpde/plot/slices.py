"""Solutions that depend on time, at a few times."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from kanpde.errors import KanpdeError
from kanpde.plot.style import DIVERGING, SEQUENTIAL, draw_map, largest, limits, map_size, panels, scale, styled, title
from kanpde.record import Sample

CURVES, MAPS = 5, 4
"""Times that are shown, the first and the last one among them."""


def has_slices(sample: Sample) -> bool:
    """Whether a solution varies in time and in one or two coordinates of space."""
    return sample.time is not None and len(sample.axes) in (2, 3)


@styled
def draw_slices(sample: Sample, method: str = "solution") -> Figure:
    """Draw a solution at a few times with the reference and the error: curves over one coordinate, maps over two.

    Raises KanpdeError for a solution that has no time, or no space, to be shown.
    """
    if not has_slices(sample):
        raise KanpdeError(f"'{sample.problem}' has no slices in time: it varies in {', '.join(sample.axes)} only.")
    return _draw_curves(sample, method) if len(sample.axes) == 2 else _draw_maps(sample, method)


def _draw_curves(sample: Sample, method: str) -> Figure:
    """Draw curves, a colour per time and a row per unknown; the error in a panel of its own."""
    figure, rows = panels(len(sample.unknowns), 1 if sample.reference is None else 2, width=3.9, height=2.8)
    snapshots = sample.snapshots(CURVES)
    colours = matplotlib.colormaps[SEQUENTIAL](np.linspace(0.0, 0.85, len(snapshots)))
    for unknown, name in enumerate(sample.unknowns):
        parts = {label: [_of(part, label, unknown) for _, part in snapshots] for label in sample.fields}
        unit, factor = scale(np.array(parts.get("reference", parts["solution"])))
        values = rows[unknown, 0]
        values.set_ylabel(f"{sample.label(name)}{factor}")
        for number, (_, part) in enumerate(snapshots):
            ((coordinate, x),) = part.axes.items()
            values.plot(x, parts["solution"][number] / unit, color=colours[number])
            if "reference" in parts:
                values.plot(x, parts["reference"][number] / unit, ":", color="black", linewidth=1)
        if "error" in parts:
            unit, factor = scale(np.array(parts["error"]))
            errors = rows[unknown, 1]
            for number in range(len(snapshots)):
                errors.plot(x, parts["error"][number] / unit, color=colours[number])
            errors.axhline(0, color="0.6", linewidth=0.8)
            errors.set_title(f"{sample.label(name)}, {method} $-$ reference{factor}")
        for axes in rows[unknown]:
            axes.locator_params(axis="x", nbins=6)
            axes.set_xlabel(sample.label(coordinate))
            axes.grid(True)
    # The legend has room of its own below the panels.
    room, height = 0.45, figure.get_figheight()
    figure.set_figheight(height + room)
    figure.subplots_adjust(bottom=(0.6 + room) / (height + room), top=1 - 0.7 / (height + room))
    entries = [
        Line2D([], [], color=colour, label=f"{sample.time} = {time:.3g}{_unit(sample)}")
        for colour, (time, _) in zip(colours, snapshots, strict=True)
    ]
    if sample.reference is not None:
        entries.append(Line2D([], [], color="black", linestyle=":", linewidth=1, label="reference"))
    columns = min(len(entries), 3 if sample.reference is None else 6)
    figure.legend(handles=entries, loc="lower center", ncols=columns)
    title(figure, sample.problem, f"{method} at {len(snapshots)} times")
    return figure


def _draw_maps(sample: Sample, method: str) -> Figure:
    """Draw maps, a column per time; for each unknown a row of the solution and one of the error."""
    snapshots = sample.snapshots(MAPS)
    labels = ["solution"] if sample.reference is None else ["solution", "error"]
    figure, rows = panels(
        len(sample.unknowns) * len(labels), len(snapshots), *map_size(snapshots[0][1], 1.8), between=1.4
    )
    for unknown, name in enumerate(sample.unknowns):
        for offset, label in enumerate(labels):
            values = [_of(part, label, unknown).reshape(part.shape) for _, part in snapshots]
            unit, factor = scale(np.array(values))
            low, high = limits(np.array(values) / unit)
            colours = {"cmap": SEQUENTIAL, "vmin": low, "vmax": high}
            if label == "error":
                most = largest(np.array(values)) / unit or 1.0
                colours = {"cmap": DIVERGING, "vmin": -most, "vmax": most}
            for axes, shown, (time, part) in zip(rows[unknown * len(labels) + offset], values, snapshots, strict=True):
                draw_map(axes, part, shown / unit, **colours)
                what = f"error of {name}" if label == "error" else sample.label(name)
                axes.set_title(f"{what}, {sample.time} = {time:.3g}{_unit(sample)}{factor}", fontsize=9)
    title(figure, sample.problem, f"{method} at {len(snapshots)} times")
    return figure


def _of(part: Sample, label: str, unknown: int) -> NDArray[np.float64]:
    return part.fields[label][:, unknown]


def _unit(sample: Sample) -> str:
    unit = sample.units.get(str(sample.time))
    return f" {unit}" if unit else ""
