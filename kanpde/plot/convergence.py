"""How the trainings of a run went."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kanpde.plot.style import COLOURS, styled
from kanpde.record import Histories


@styled
def draw_convergence(histories: Histories) -> Figure:
    """Draw loss and held-out loss of each method against iterations and against seconds.

    A circle marks where a stage begins. Axes are logarithmic in the loss, unless it is zero throughout, and in
    iterations or seconds where the methods differ in them by more than a factor of ten.
    """
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    positive = any(float(row[loss]) > 0 for rows in histories.values() for row in rows for loss in ("loss", "held_out"))
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
        Line2D([], [], color=COLOURS[number % len(COLOURS)], label=method) for number, method in enumerate(histories)
    ]
    entries.append(Line2D([], [], color="0.35", label="loss"))
    entries.append(Line2D([], [], color="0.35", linestyle="--", linewidth=1, label="held-out loss"))
    entries.append(_stage_marker([], [], "0.35", label="a stage begins"))
    figure.legend(handles=entries, loc="outside lower center", ncols=min(len(entries), 6))
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
