"""Renders fields in space with pyvista, as a program: python scene.py SCENE.npz PICTURES.npy.

A process of its own, since VTK ends the process that it is in where it finds nothing to render with. SCENE.npz has
`axes`, the grid's `shape`, `spacing` and `bounds`; and per picture `values` (picture, point), nan outside the domain,
the last coordinate fastest, `kinds` ("planes" or "surfaces"), `limits` (picture, 2) of the `colours`, and `size` in
pixels. PICTURES.npy has the pixels (picture, row, column, 3).
"""

import sys
from pathlib import Path
from typing import Any

SURFACES = 6
"""Surfaces of equal values, at most."""


def main(scene: Path, pictures: Path) -> None:
    """Render what a file describes."""
    import numpy as np
    import pyvista

    with np.load(scene, allow_pickle=False) as given:
        parts = dict(given)
    grid = pyvista.ImageData(dimensions=parts["shape"], origin=parts["bounds"][::2], spacing=parts["spacing"])
    pixels = []
    for values, kind, limits, colours in zip(
        parts["values"], parts["kinds"], parts["limits"], parts["colours"], strict=True
    ):
        grid["values"] = values.reshape(parts["shape"]).ravel(order="F")  # VTK has the first coordinate fastest
        pixels.append(render(pyvista, grid, str(kind), limits, str(colours), parts))
    np.save(pictures, cropped(np.stack(pixels)))


def cropped(pixels: Any) -> Any:
    """Return pictures without the white margin that they share, as squares."""
    import numpy as np

    rows, columns = (np.flatnonzero((pixels < 255).any(axis=(0, 3)).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return pixels
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    starts = [
        int(np.clip((part[0] + part[-1] + 1 - side) // 2, 0, size - side))
        for part, size in zip((rows, columns), pixels.shape[1:3], strict=True)
    ]
    return pixels[:, starts[0] : starts[0] + side, starts[1] : starts[1] + side]


def render(pyvista: Any, grid: Any, kind: str, limits: Any, colours: str, parts: dict[str, Any]) -> Any:
    """Return the pixels (row, column, 3) of one picture."""
    import numpy as np

    grid["inside"] = np.isfinite(grid["values"]).astype(float)
    part = grid.threshold(0.5, scalars="inside", all_scalars=True)
    side = int(parts["size"])
    plotter = pyvista.Plotter(off_screen=True, window_size=(side, side))
    plotter.set_background("white")
    low, high = (float(limit) for limit in limits)
    look = {"scalars": "values", "cmap": colours, "clim": (low, high), "show_scalar_bar": False}
    if part.n_cells:
        # Planes have the very colours of the bar: light would change them. Surfaces need light to be seen as such.
        if kind == "planes":
            shown, look = part.slice_orthogonal().combine(), {**look, "lighting": False}
        else:
            levels = np.linspace(low, high, SURFACES + 2)[1:-1]
            shown, look = part.contour(levels, scalars="values"), {**look, "opacity": 0.5, "smooth_shading": True}
        if shown.n_points:
            plotter.add_mesh(shown, **look)
        if part.n_cells < grid.n_cells:
            plotter.add_mesh(part.extract_surface(algorithm=None), color="#888888", opacity=0.08)
    plotter.show_bounds(
        bounds=parts["bounds"],
        location="outer",
        ticks="outside",
        fmt="%.3g",
        n_xlabels=3,
        n_ylabels=3,
        n_zlabels=3,
        font_size=max(8, side // 32),
        color="black",
        **{f"{way}title": str(name) for way, name in zip("xyz", parts["axes"], strict=True)},
    )
    plotter.camera_position = "iso"
    plotter.camera.zoom(0.75)  # room for the names and numbers of the axes
    pixels = plotter.screenshot(return_img=True)
    plotter.close()
    return pixels


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, whose modules have common names
    main(Path(sys.argv[1]), Path(sys.argv[2]))
