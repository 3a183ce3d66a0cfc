"""Pictures of volumes: what they show, and what is said where they cannot be rendered."""

from pathlib import Path

import numpy as np
import pytest
import torch

import kanpde.plot.volume as module
import kanpde.record
from kanpde import Ball, Box, Disk, KanpdeError, Problem
from kanpde.plot import STYLE, draw_volume, has_volume, save
from kanpde.plot.volume import View, rendered
from kanpde.record import Sample, sample_solution
from kanpde.reference import exact

CUBE = Box(x=(0, 1), y=(0, 2), z=(0, 1))


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kanpde.record, "GRID", {1: 11, 2: 11, 3: 11})
    monkeypatch.setattr(module, "PIXELS", 200)
    monkeypatch.setitem(STYLE, "savefig.dpi", 60)


def sample_on(geometry: Box | Ball) -> Sample:
    problem = Problem(
        geometry, {"equation": lambda u, at: u.d("x")}, reference=exact(lambda at: torch.sin(at.x)), units={"x": "m"}
    )
    assert problem.reference is not None
    return sample_solution(problem.reference.taylor, problem)


def view(values: np.ndarray, kind: str = "planes") -> View:
    return View("", values, kind, "gray", (-1.0, 1.0))


def render(sample: Sample, *views: View) -> np.ndarray:
    """Return what pyvista renders; skip the test where it is missing or has nothing to render with."""
    pytest.importorskip("pyvista", reason="pyvista is not installed")
    try:
        return rendered(sample, list(views))
    except KanpdeError as error:
        pytest.skip(str(error))


def test_planes_have_the_colours_of_their_values() -> None:
    sample = sample_on(CUBE)
    x, y, _ = sample.coordinates.T
    fields = [np.where(x < 0.35, -1.0, 0.0), np.where(y < 0.7, -1.0, 0.0), np.full(len(x), np.nan)]
    small_x, small_y, nothing, surfaces = render(sample, *map(view, fields), view(x - 0.5, "surfaces"))
    assert small_x.shape[0] == small_x.shape[1] <= 200
    dark = [(pixels == 0).all(axis=-1) for pixels in (small_x, small_y)]
    planes = ((small_x == 128) | (small_y == 128)).all(axis=-1)
    assert planes.mean() > 0.1
    assert (nothing == 128).all(axis=-1).mean() < 0.01
    dark = [part & planes for part in dark]
    assert all(0.02 * planes.sum() < part.sum() < 0.5 * planes.sum() for part in dark)
    middle, right, left = (np.nonzero(part)[1].mean() for part in (planes, *dark))
    assert left < middle - 10 < middle + 10 < right  # x grows to the left and y to the right, towards the viewer
    shades = [shade for shade in np.unique(surfaces) if (surfaces == shade).mean() > 0.02]
    assert len(shades) > 2


def test_a_figure_has_planes_surfaces_and_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[View] = []

    def gray(sample: Sample, views: list[View]) -> np.ndarray:
        shown.extend(views)
        return np.full((len(views), 20, 20, 3), 128, dtype=np.uint8)

    monkeypatch.setattr(module, "rendered", gray)
    sample = sample_on(CUBE)
    figure = draw_volume(sample, "kan")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["u, kan", "u, equal values", "u, kan $-$ reference"]
    assert [one.kind for one in shown] == ["planes", "surfaces", "planes"]
    assert np.array_equal(shown[0].values, sample.solution[:, 0])
    assert shown[0].limits == shown[1].limits == pytest.approx((0.0, np.sin(1.0)))
    assert shown[2].limits == (-1.0, 1.0)
    save(figure, tmp_path / "volume.png", tmp_path / "volume.pdf")
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("geometry", "volume"),
    [(CUBE, True), (Ball(), True), (Disk() * Box(t=(0, 1)), False), (Box(x=(0, 1), y=(0, 1)), False)],
)
def test_volumes_are_those_of_space(geometry: Box, volume: bool) -> None:
    sample = sample_on(geometry)
    assert has_volume(sample) == volume
    if not volume:
        with pytest.raises(KanpdeError, match="is no volume: it varies in x, y"):
            draw_volume(sample)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(KanpdeError, match=r"pip install 'kanpde\[viz\]'"):
        draw_volume(sample_on(CUBE))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.abort()", r"cannot render here \(it ended with -6\): without a display it needs EGL or OSMesa"),
        ("import sys; sys.exit('no OSMesa')", r"cannot render here \(no OSMesa\)"),
        ("import time; time.sleep(60)", r"did not render '.*' within 1 s"),
    ],
)
def test_a_crash_of_the_renderer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    monkeypatch.setattr(module, "can_render", lambda: True)
    monkeypatch.setattr(module, "SCENE", tmp_path / "scene.py")
    monkeypatch.setattr(module, "SECONDS", 1 if "sleep" in program else 60)
    module.SCENE.write_text(program)
    with pytest.raises(KanpdeError, match=message):
        draw_volume(sample_on(CUBE))
