"""Solutions in three coordinates of space: their middle planes, and surfaces of equal values."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kanpde.errors import KanpdeError
from kanpde.plot.style import DIVERGING, SEQUENTIAL, colour_bar, largest, limits, panels, scale, styled, title
from kanpde.record import Sample

SCENE = Path(__file__).with_name("scene.py")
SIZE, PIXELS = 3.0, 1000
"""Side of a picture, in inches and in pixels."""
SECONDS = 300
"""Time to render a figure, at most."""


class View(NamedTuple):
    """One picture: values (point,) on the grid, what is shown of them, and the colours of the limits."""

    title: str
    values: NDArray[np.float64]
    kind: str
    colours: str
    limits: tuple[float, float]


def has_volume(sample: Sample) -> bool:
    """Whether a solution varies in three coordinates of space."""
    return len(sample.axes) == 3 and sample.time is None


def can_render() -> bool:
    """Whether the package is there that renders volumes."""
    return find_spec("pyvista") is not None


@styled
def draw_volume(sample: Sample, method: str = "solution") -> Figure:
    """Draw a solution in space on its three middle planes and as surfaces of equal values, and the error on the planes.

    A row per unknown. pyvista renders the pictures in a process of its own, without a display.
    Raises KanpdeError for other solutions, without pyvista, and where it cannot render.
    """
    if not has_volume(sample):
        raise KanpdeError(f"'{sample.problem}' is no volume: it varies in {', '.join(sample.axes)}.")
    rows = [views(sample, unknown, method) for unknown in range(len(sample.unknowns))]
    figure, axes = panels(len(rows), len(rows[0]), SIZE, SIZE, between=1.0)
    shown = [view for row in rows for view in row]
    for place, view, pixels in zip(axes.flat, shown, rendered(sample, shown), strict=True):
        draw(place, view, pixels)
    title(figure, sample.problem, sample.where and f"slice {sample.where}")
    return figure


def views(sample: Sample, unknown: int, method: str) -> list[View]:
    """Return the pictures of an unknown."""
    name = sample.label(sample.unknowns[unknown])
    unit, factor = scale(sample.solution[:, unknown])
    values = sample.solution[:, unknown] / unit
    found = [
        View(f"{name}, {method}{factor}", values, "planes", SEQUENTIAL, limits(values)),
        View(f"{name}, equal values{factor}", values, "surfaces", SEQUENTIAL, limits(values)),
    ]
    if sample.error is not None:
        unit, factor = scale(sample.error[:, unknown])
        error = sample.error[:, unknown] / unit
        most = largest(error) or 1.0
        found.append(View(f"{name}, {method} $-$ reference{factor}", error, "planes", DIVERGING, (-most, most)))
    return found


def draw(axes: Axes, view: View, pixels: NDArray[np.uint8]) -> None:
    """Draw pixels with the colours of their values beside them."""
    axes.imshow(pixels, interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title(view.title)
    colour_bar(axes, ScalarMappable(Normalize(*view.limits), view.colours))


def rendered(sample: Sample, shown: list[View]) -> NDArray[np.uint8]:
    """Return the pixels (picture, row, column, 3) of pictures; raise KanpdeError if they cannot be rendered."""
    if not can_render():
        raise KanpdeError("pictures of volumes need the package pyvista: pip install 'kanpde[viz]'.")
    scene: dict[str, Any] = {
        "axes": [sample.label(name) for name in sample.axes],
        "shape": sample.shape,
        "bounds": [end for axis in sample.axes.values() for end in (axis[0], axis[-1])],
        "spacing": [axis[1] - axis[0] for axis in sample.axes.values()],
        "values": [view.values for view in shown],
        "kinds": [view.kind for view in shown],
        "colours": [view.colours for view in shown],
        "limits": [view.limits for view in shown],
        "size": PIXELS,
    }
    with TemporaryDirectory() as folder:
        given, pictures = Path(folder, "scene.npz"), Path(folder, "pictures.npy")
        np.savez(given, **scene)
        command = [sys.executable, str(SCENE), str(given), str(pictures)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise KanpdeError(f"pyvista did not render '{sample.problem}' within {SECONDS} s.") from None
        if done.returncode or not pictures.is_file():
            said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            raise KanpdeError(
                f"pyvista cannot render here ({said.strip()}): without a display it needs EGL or OSMesa, such as"
                " Debian's libegl1 or libosmesa6."
            )
        return np.load(pictures, allow_pickle=False)
