"""What all pictures share: the style, sizes of panels, powers of ten in titles, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

from kanpde.errors import KanpdeError, unknown_name
from kanpde.files import atomic
from kanpde.record import Sample

STYLE: Any = matplotlib.rc_params_from_file(Path(__file__).with_name("kanpde.mplstyle"), use_default_template=False)
COLOURS: tuple[str, ...] = tuple(f"#{colour.lstrip('#')}" for colour in STYLE["axes.prop_cycle"].by_key()["color"])
SEQUENTIAL: str = STYLE["image.cmap"]
DIVERGING = "RdBu_r"
"""Colours of signed values, white at zero."""
GAP, BAR = 0.1, 0.12
"""Between a map and its colours, and the width of these, in inches."""
LETTERS = 10
"""Letters of a title per inch."""
FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}
"""What is left out of each kind of file, so that the same picture gives the same bytes."""

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


def styled(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Let a function draw in the style, which is left again afterwards."""

    @wraps(draw)
    def in_style(*arguments: Arguments.args, **named: Arguments.kwargs) -> Drawn:
        with matplotlib.rc_context(STYLE):
            return draw(*arguments, **named)

    return in_style


@styled
def save(figure: Figure, *paths: Path | str) -> None:
    """Write a figure to files whose names end in .png, .pdf or .svg; raise KanpdeError for another ending."""
    FigureCanvasAgg(figure)
    for path in map(Path, paths):
        if path.suffix not in FORMATS:
            raise unknown_name("kind of picture", path.suffix or path.name, FORMATS)
        if not path.parent.is_dir():
            raise KanpdeError(f"there is no folder '{path.parent}' for the picture '{path.name}'.")
        with atomic(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], metadata=FORMATS[path.suffix])


def panels(rows: int, columns: int, width: float, height: float, between: float = 1.5) -> tuple[Figure, NDArray[Any]]:
    """Return a figure with panels of a size in inches and room between them for labels and colour bars."""
    left, right, bottom, top, below = 0.8, 0.85, 0.6, 0.7, 1.0
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


def title(figure: Figure, *parts: str) -> None:
    """Write the title of a figure from `panels`, of the parts that are not empty, in as many lines as they need."""
    room, lines = LETTERS * figure.get_figwidth(), [""]
    for part in filter(None, parts):
        if lines[-1] and len(lines[-1]) + len(part) > room:
            lines.append("")
        lines[-1] += (", " if lines[-1] else "") + part
    figure.suptitle("\n".join(lines), y=1 - 0.12 / figure.get_figheight())


def draw_map(axes: Axes, sample: Sample, values: NDArray[np.float64], **colours: Any) -> None:
    """Draw values on the grid of a sample with two axes, nothing where they are not finite."""
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
    axes.set(xlabel=sample.label(first), xlim=(x[0], x[-1]), ylabel=sample.label(second), ylim=(y[0], y[-1]))
    axes.spines[:].set_visible(True)
    axes.locator_params(nbins=5)
    colour_bar(axes, image)


def colour_bar(axes: Axes, image: ScalarMappable) -> None:
    """Draw the colours of an image beside it, with even ticks unless they are logarithmic."""
    inches = axes.bbox.width / axes.figure.dpi
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1 + GAP / inches, 0.0, BAR / inches, 1.0)))
    if type(image.norm).__name__ == "Normalize":
        bar.locator = MaxNLocator(6, steps=[1, 2, 5, 10])
    else:
        bar.ax.yaxis.set_minor_formatter(NullFormatter())


def map_size(sample: Sample, size: float = 2.4) -> tuple[float, float]:
    """Return width and height of a map: true to scale in space within reason, square where time is an axis."""
    width, height = (float(np.ptp(axis)) for axis in sample.axes.values())
    aspect = 1.0 if "t" in sample.axes else min(max(height / width, 0.4), 2.0)
    return size / aspect**0.5, size * aspect**0.5


def largest(values: NDArray[np.float64]) -> float:
    """Return the largest finite absolute value, 0 if there is none."""
    return float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))


def limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the smallest and the largest finite value, 0 and 1 if there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def scale(values: NDArray[np.float64]) -> tuple[float, str]:
    """Return the power of ten to divide values by, and its text for a title, so that no axis needs an offset."""
    most = largest(values)
    exponent = math.floor(math.log10(most)) if most > 0 else 0
    return (1.0, "") if -2 < exponent < 4 else (10.0**exponent, rf"  ($\times\,10^{{{exponent}}}$)")


@styled
def as_png(figure: Figure) -> bytes:
    """Return a figure as the content of a PNG file."""
    return _content(figure, ".png")


@styled
def as_svg(figure: Figure) -> bytes:
    """Return a figure as the content of an SVG file that needs no fonts."""
    with matplotlib.rc_context({"svg.fonttype": "path"}):
        return _content(figure, ".svg")


def _content(figure: Figure, kind: str) -> bytes:
    FigureCanvasAgg(figure)
    content = BytesIO()
    figure.savefig(content, format=kind[1:], metadata=FORMATS[kind])
    return content.getvalue()
