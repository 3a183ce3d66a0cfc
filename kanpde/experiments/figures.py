"""Figures of experiments, as PNG and as PDF, in the style of the package's other pictures.

Colours are told apart with colour-blind eyes (Okabe & Ito 2008), and each series has a marker of its own as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import inf, isfinite
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from kanpde.experiments.statistics import Point, Slope, front, series_of, slope_of
from kanpde.files import atomic
from kanpde.plot.style import COLOURS, STYLE

NORMS = {"rel_l2": "relative $L^2$ error", "rel_h1": "relative $H^1$ error"}
COSTS = {"parameters": "parameters or degrees of freedom", "seconds": "set-up and training (s)"}
MARKERS = "osD^vP*X<>hp"
LETTER, ENTRY = 0.06, 0.2
"""Width of a letter and height of an entry of a legend, in inches."""
DASHES: Any = {"KAN": "-", "MLP": "--", "FEM": ":"}


@dataclass(frozen=True)
class Published:
    """Numbers of others, to be drawn beside measured ones: cost and error of each point, and their source."""

    label: str
    like: str
    values: Sequence[tuple[float, float]]


class Styles:
    """The colour, marker and line of every series.

    Series share their colour if their names agree up to a colon, and have markers of their own. KANs, MLPs and finite
    elements differ in their lines.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._groups = list(dict.fromkeys(map(group_of, names)))

    def of(self, name: str) -> dict[str, Any]:
        """Return the line's properties for matplotlib."""
        group = group_of(name)
        number = self._groups.index(group)
        within = [other for other in self._names if group_of(other) == group].index(name)
        return {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKERS[(number + within) % len(MARKERS)],
            "linestyle": DASHES.get(name[:3], "-"),
        }


def group_of(name: str) -> str:
    """Return what the series of one colour have in common."""
    return name.partition(":")[0]


def draw_errors(
    points: Sequence[Point],
    path: Path,
    title: str,
    panels: Sequence[tuple[str, str]],
    published: Sequence[Published] = (),
    floor: float = 0.0,
) -> None:
    """Draw errors against costs, a panel per pair of cost and norm: medians, the range over seeds, fitted slopes.

    Slopes against parameters are in the legend. A grey line is the reference's own error.
    """
    series = series_of(points)
    styles = Styles(list(series))
    with matplotlib.rc_context(STYLE):
        figure, axes_of = panel_figure(len(panels))
        for axes, (cost, norm) in zip(axes_of, panels, strict=True):
            for name, group in series.items():
                draw_series(axes, group, cost, norm, styles.of(name))
                slope = slope_of(group, norm, cost) if cost == "parameters" else None
                if slope:
                    draw_slope(axes, slope, styles.of(name)["color"])
            for other in published if norm == "rel_l2" and cost == "parameters" else ():
                style = styles.of(other.like)
                axes.plot(*zip(*other.values, strict=True), **style, markerfacecolor="white", linewidth=1, alpha=0.8)
            logarithmic(axes)
            if floor > 0 and norm == "rel_l2":
                axes.axhline(floor, color="0.5", linewidth=0.8)
            axes.set(xlabel=COSTS[cost], ylabel=NORMS[norm])
        entries = []
        for name, group in series.items():
            slopes = [slope_of(group, norm, cost) for cost, norm in panels if cost == "parameters"]
            told = [f"{slope.exponent:.2f}" for slope in slopes if slope]
            label = f"{name}, slope{'s' if len(told) > 1 else ''} {', '.join(told)}" if told else name
            entries.append(figure_line(label, **styles.of(name)))
        entries += [figure_line(p.label, **styles.of(p.like), markerfacecolor="white") for p in published]
        if floor > 0:
            entries.append(figure_line("the reference's own error", color="0.5", linewidth=0.8))
        finish(figure, title, entries, path)


def draw_fronts(points: Sequence[Point], families: Mapping[str, Sequence[Point]], path: Path, title: str) -> None:
    """Draw all points in grey and the Pareto front of every family, against parameters and against seconds."""
    styles = Styles(list(families))
    with matplotlib.rc_context(STYLE):
        figure, axes_of = panel_figure(2)
        for axes, cost in zip(axes_of, COSTS, strict=True):
            known = [point for point in points if point.rel_l2.median < inf]
            axes.plot([p.cost(cost) for p in known], [p.rel_l2.median for p in known], ".", color="0.75")
            for name, group in families.items():
                best = [point for point in front(group, cost) if point.rel_l2.median < inf]
                x, y = [p.cost(cost) for p in best], [p.rel_l2.median for p in best]
                axes.plot(x, y, **styles.of(name), drawstyle="steps-post")
            logarithmic(axes)
            axes.set(xlabel=COSTS[cost], ylabel=NORMS["rel_l2"])
        entries = [figure_line(f"{name}, front", **styles.of(name)) for name in families]
        entries.append(figure_line("every setting, median of the seeds", color="0.75", marker=".", linestyle=""))
        finish(figure, title, entries, path)


@dataclass(frozen=True)
class Curve:
    """One training: its history and the errors during it, as rows with numbers."""

    series: str
    history: Sequence[Mapping[str, Any]]
    trace: Sequence[Mapping[str, Any]]


def draw_trainings(
    curves: Sequence[Curve], path: Path, title: str, what: Sequence[str] = ("loss", "rel_l2"), stages: bool = False
) -> None:
    """Draw losses and errors against iterations and against seconds, a row of panels for each that is asked for.

    The seeds of a series share its colour. Random starts are faint. stages: mark where each stage begins.
    """
    names = list(dict.fromkeys(curve.series for curve in curves))
    styles = Styles(names)
    with matplotlib.rc_context(STYLE):
        figure, panels = panel_figure(2 * len(what), columns=2)
        columns = (("iteration", "iteration"), ("seconds", "training (s)"))
        for axes, (quantity, (column, label)) in zip(panels, product(what, columns), strict=True):
            for curve in curves:
                draw_curve(axes, curve, column, quantity, styles.of(curve.series)["color"])
            if stages:
                for curve in curves:
                    for before, row in pairwise(curve.history):
                        if before["stage"] != row["stage"]:
                            axes.axvline(row[column], color="0.8", linewidth=0.8, zorder=0)
            logarithmic(axes, along=not stages)
            axes.set(xlabel=label, ylabel=NORMS.get(quantity, quantity))
        entries = [figure_line(name, color=styles.of(name)["color"]) for name in names]
        if "loss" in what:
            entries.append(figure_line("held-out loss", color="0.4", linestyle="--", linewidth=0.8))
        if stages:
            entries.append(figure_line("a stage begins", color="0.8", linewidth=0.8))
        finish(figure, title, entries, path)


def draw_curve(axes: Axes, curve: Curve, column: str, quantity: str, colour: str) -> None:
    """Draw the errors of a training as a step that lasts until the next moment, or its loss with the held-out one."""
    if quantity in NORMS:
        rows = [row for row in curve.trace if known(row[quantity])]
        axes.plot([row[column] for row in rows], [row[quantity] for row in rows], color=colour)
        return
    starts = [row for row in curve.history if row["stage"] == 0]
    rest = [row for row in curve.history if row["stage"] > 0]
    seen = [row for row in rest if known(row["held_out"])]
    for rows, key, style in (
        (starts, "loss", {"alpha": 0.25, "linewidth": 0.8}),
        (rest, "loss", {}),
        (seen, "held_out", {"linestyle": "--", "linewidth": 0.8}),
    ):
        axes.plot([row[column] for row in rows], [row[key] for row in rows], color=colour, **style)


def draw_distributions(errors: Mapping[str, Sequence[float]], path: Path, title: str) -> None:
    """Draw the error of every seed, a row per series, with the median as a bar; failures are counted in the label."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 1.4 + 0.55 * len(errors)), layout="constrained")
        axes = figure.subplots()
        labels = []
        for number, (name, values) in enumerate(errors.items()):
            known_values = sorted(value for value in values if isfinite(value))
            failures = len(values) - len(known_values)
            labels.append(f"{name} ({len(values)} seeds{f', {failures} failed' if failures else ''})")
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(known_values, [number] * len(known_values), "o", color=colour, alpha=0.6)
            if known_values:
                middle = sorted([*known_values, *[inf] * failures])[(len(values) - 1) // 2]
                axes.plot([middle], [number], "|", color="black", markersize=16)
        axes.set_xscale("log")
        axes.set(yticks=range(len(labels)), yticklabels=labels, xlabel=NORMS["rel_l2"], ylim=(len(labels) - 0.5, -0.5))
        axes.grid(True, axis="x")
        axes.set_title(title)
        save(figure, path)


def draw_phases(networks: Mapping[str, Sequence[Mapping[str, Any]]], path: Path, title: str) -> None:
    """Draw what networks were after each phase, a row of panels for each network and a column for each phase.

    Rows have "phase", "x", "u" and the "reference".
    """
    phases = sorted({row["phase"] for rows in networks.values() for row in rows})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.4 * len(phases) + 0.6, 2.0 * len(networks) + 0.8), layout="constrained")
        grid = figure.subplots(len(networks), len(phases), squeeze=False, sharex=True, sharey=True)
        for number, (name, rows) in enumerate(networks.items()):
            for axes, phase in zip(grid[number], phases, strict=True):
                shown = [row for row in rows if row["phase"] == phase]
                x = [row["x"] for row in shown]
                axes.plot(x, [row["reference"] for row in shown], color="0.7", linewidth=2)
                axes.plot(x, [row["u"] for row in shown], color=COLOURS[number % len(COLOURS)], linewidth=1)
                axes.set_ylim(-0.5, 1.5)
                if number == 0:
                    axes.set_title(f"phase {phase:g}")
            grid[number][0].set_ylabel(name)
        entries = [figure_line("all data", color="0.7", linewidth=2)]
        finish(figure, title, [*entries, *(figure_line(n, color=COLOURS[i]) for i, n in enumerate(networks))], path)


def panel_figure(count: int, columns: int = 2) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels in rows, and the panels."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.8 * columns, 3.7 * rows + 0.4), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def draw_series(axes: Axes, group: Sequence[Point], cost: str, norm: str, style: Mapping[str, Any]) -> None:
    """Draw the medians of a series with the range over seeds; without a line where seconds do not order them."""
    shown = [point for point in group if known(getattr(point, norm).median)]
    x = [point.cost(cost) for point in shown]
    spreads = [getattr(point, norm) for point in shown]
    y = [spread.median for spread in spreads]
    below = [max(0.0, spread.median - spread.low) for spread in spreads]
    above = [max(0.0, spread.high - spread.median) if isfinite(spread.high) else 0.0 for spread in spreads]
    line = {**style, "linestyle": style["linestyle"] if cost == "parameters" else "-", "linewidth": 1.0}
    if cost == "seconds":
        line["alpha"] = 0.85
    axes.errorbar(x, y, yerr=[below, above], elinewidth=0.8, capsize=2, **line)


def draw_slope(axes: Axes, slope: Slope, colour: str) -> None:
    """Draw a fitted line, thin and behind the points."""
    (x0, y0), (x1, y1) = slope.line
    axes.plot([x0, x1], [y0, y1], color=colour, linewidth=4, alpha=0.15, zorder=0, solid_capstyle="butt")


def logarithmic(axes: Axes, along: bool = True) -> None:
    """Make axes logarithmic, `along` x too, with labels that have room: decades, or 1, 2 and 5 of few of them."""
    axes.set_yscale("log", nonpositive="mask")
    if along:
        axes.set_xscale("log", nonpositive="mask")
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() != "log":
            continue
        few = limits[1] < 50 * limits[0]
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=9))
        if few:
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(
            LogLocator(subs=tuple(range(2, 10)), numticks=9) if axis is axes.xaxis else NullLocator()
        )
        axis.set_minor_formatter(NullFormatter())
    axes.grid(True)


def known(value: Any) -> bool:
    """Whether a logarithmic axis can show a value."""
    return isinstance(value, float) and isfinite(value) and value > 0


def figure_line(label: str, **style: Any) -> Line2D:
    """Return an entry of a legend."""
    return Line2D([], [], label=label, **style)


def finish(figure: Figure, title: str, entries: Sequence[Any], path: Path) -> None:
    """Add the title and the legend below the panels, and save."""
    figure.suptitle(title)
    longest = max((len(str(entry.get_label())) for entry in entries), default=0)
    width, height = figure.get_size_inches()
    columns = max(1, min(len(entries), int(width / (0.6 + LETTER * longest))))
    figure.set_size_inches(width, height + ENTRY * math.ceil(len(entries) / columns))
    figure.legend(handles=entries, loc="outside lower center", ncols=columns, fontsize=9)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and PDF; the path has no suffix."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # places are found; finding them takes longer than drawing
    for suffix in ("png", "pdf"):
        with atomic(path.with_suffix(f".{suffix}")) as temporary:
            metadata = {"Software": None} if suffix == "png" else {"Creator": None, "CreationDate": None}
            figure.savefig(temporary, format=suffix, metadata=metadata)
