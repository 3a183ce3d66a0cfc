"""What pictures of networks are made of: nodes, lines, and boxes with a curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from kanpde.plot.style import COLOURS

HEIGHT = 0.46
"""Of the box of a function, in inches."""
RADIUS = 0.13
FLAT = 1e-9
"""Range, relative to its values, of a function that is drawn as a constant: the rest is rounding."""
SIGNS = {"sum": "$+$", "product": r"$\times$"}


def line(importance: float) -> dict[str, Any]:
    """Return how to draw a line of an importance between 0 and 1."""
    importance = min(max(importance, 0.0), 1.0) if importance == importance else 0.0
    dark, light = np.array(to_rgb(COLOURS[0])), np.array(to_rgb("0.85"))
    strength = importance**0.5
    return {
        "color": tuple(light + strength * (dark - light)),
        "linewidth": 0.4 + 3.6 * importance,
        "solid_capstyle": "round",
    }


def draw_node(axes: Axes, x: float, y: float, text: str, size: float = 10) -> None:
    """Draw a node with the text in it."""
    axes.add_patch(Circle((x, y), RADIUS, facecolor="white", edgecolor="0.2", zorder=3))
    axes.text(x, y, text, ha="center", va="center", fontsize=size, zorder=4)


def draw_curve(
    axes: Axes,
    x: NDArray[np.float64],
    values: NDArray[np.float64],
    knots: NDArray[np.float64],
    place: tuple[float, float],
    width: float,
    **edge: Any,
) -> None:
    """Draw values (n,) at ascending x (n,) in a box whose left side has its middle at `place`; ticks at knots."""
    left, y = place
    edge = {"edgecolor": "0.5", "linewidth": 0.6, **edge}
    axes.add_patch(Rectangle((left, y - HEIGHT / 2), width, HEIGHT, facecolor="white", **edge))
    low, high = float(values.min()), float(values.max())
    room = max(high - low, FLAT * max(abs(low), abs(high))) or 1.0

    def across(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return left + width * (z - x[0]) / ((x[-1] - x[0]) or 1.0)

    def up(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return y + 0.84 * HEIGHT * (value - (low + high) / 2) / room

    if low <= 0 <= high:
        axes.plot([left, left + width], [float(up(np.zeros(1))[0])] * 2, color="0.75", linewidth=0.6, zorder=2)
    inside = knots[(knots > x[0]) & (knots < x[-1])]
    axes.vlines(across(inside), y - HEIGHT / 2, y - HEIGHT / 2 + 0.05, color="0.5", linewidth=0.4, zorder=2)
    axes.plot(across(x), up(values), color=COLOURS[0], linewidth=1.1, zorder=2)
