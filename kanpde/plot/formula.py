"""A formula in mathematical notation."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

from kanpde.plot.style import styled

SIZE = 15
"""Of letters, in points."""
MOST_LETTERS = 3000
ROOM = 2.0
"""Around the formula, in points."""


@styled
def draw_formula(latex: str) -> Figure | None:
    """Draw one line of LaTeX for mathematical mode, as far as matplotlib can; None for what it cannot read."""
    if len(latex) > MOST_LETTERS or "$" in latex:
        return None
    font = FontProperties(size=SIZE, math_fontfamily="dejavuserif")
    try:
        width, height, depth, *_ = MathTextParser("path").parse(f"${latex}$", dpi=72, prop=font)
    except ValueError:
        return None
    across, up = width + 2 * ROOM, height + 2 * ROOM
    figure = Figure(figsize=(across / 72, up / 72))
    figure.text(ROOM / across, (depth + ROOM) / up, f"${latex}$", fontproperties=font)
    return figure
