"""Error against size and against time, of many methods in one picture."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from kanpde.metrics import Method
from kanpde.plot.style import COLOURS, styled

MARKERS = "osD^vPX*"
LEAST_SECONDS = 1e-4
"""Seconds of methods that took less or did not tell: the axis is logarithmic."""


def family(name: str) -> str:
    """Return what resolutions of one method share: "fem-p2" of "fem-p2-64"; other names as they are."""
    return re.sub(r"^(fem-p\d+)-\d+", r"\1", name)


@styled
def draw_comparison(methods: Sequence[Method], floor: float | None, name: str = "") -> Figure | None:
    """Draw the relative L2 error of methods against parameters or dofs, and against seconds of training.

    Resolutions of one method are joined by a line, other methods are points. What is at the floor, the reference's own
    error, is drawn on it with an open marker. Return None where fewer than two methods have an error.
    """
    measured = [method for method in methods if method.errors is not None and method.errors.rel_l2 >= 0]
    if len(measured) < 2:
        return None
    families: dict[str, list[Method]] = {}
    for method in measured:
        families.setdefault(family(method.name), []).append(method)
    figure = Figure(figsize=(9.5, 4.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    tiny = floor or min((m.errors.rel_l2 for m in measured if m.errors and m.errors.rel_l2 > 0), default=1.0)
    for number, (label, members) in enumerate(families.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        joined = "-" if label != members[0].name else ""
        for axes, size in zip(panels, (_size, _seconds), strict=True):
            ordered = sorted(members, key=size)
            x, y = [size(m) for m in ordered], [max(m.errors.rel_l2, tiny) if m.errors else tiny for m in ordered]
            axes.plot(x, y, linestyle=joined, linewidth=1, color=colour)
            for m, here, error in zip(ordered, x, y, strict=True):
                filled = "white" if m.errors and m.errors.at_floor else colour
                axes.plot(here, error, marker, color=colour, markerfacecolor=filled, markersize=5.5)
        panels[0].plot([], [], marker, linestyle=joined, linewidth=1, color=colour, label=label)
    for axes, text in zip(panels, ("parameters or degrees of freedom", "training (s)"), strict=True):
        axes.set(xscale="log", yscale="log", xlabel=text)
        low, high = axes.get_xlim()
        axes.set_xlim(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(True)
        if floor:
            axes.axhline(floor, color="0.35", linestyle="--", linewidth=1)
    if floor:
        panels[0].plot([], [], "--", color="0.35", linewidth=1, label="the reference's own error")
    panels[0].set_ylabel("relative L2 error")
    figure.legend(loc="outside right upper")
    figure.suptitle(name)
    return figure


def _size(method: Method) -> float:
    return float(method.parameters)


def _seconds(method: Method) -> float:
    return max(float(method.seconds["train"] or 0.0), LEAST_SECONDS)
