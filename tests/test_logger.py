"""What TensorBoard reads from the event files of a run: all iterations once, errors, pictures and the configuration."""

import csv
import math
from collections.abc import Iterator
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import sin

import kanpde.logger
import kanpde.record
import kanpde.run
import kanpde.training_points
from kanpde import KAN, Box, KanpdeError, Problem, dirichlet
from kanpde.compare import Comparison, Interrupted, Job, compare
from kanpde.logger import TensorBoard, require_logger
from kanpde.metrics import Errors, Method
from kanpde.plot import STYLE
from kanpde.position import Budget, Row
from kanpde.reference import exact
from kanpde.run import Saver
from kanpde.sampling import Sampling
from kanpde.solver import LevenbergMarquardt

CONFIGURATION = {"solver": {"starts": 1}, "note": "*not* emphasised"}


def quick(out: Path | None, directory: Path | None = None, **job: Any) -> Comparison:
    """Compare small networks, in four iterations each."""
    settings: dict[str, Any] = {"baseline": "mlp", "pictures": False, "logger": "tensorboard", **job}
    return compare(
        Problem(
            Box(x=(0, 1), y=(0, 1)),
            {"equation": lambda u, at: u.d("xx") + u.d("yy") + 2 * pi**2 * sin(pi * at.x) * sin(pi * at.y)},
            {"walls": dirichlet("all")},
            reference=exact(lambda at: sin(pi * at.x) * sin(pi * at.y)),
        ),
        KAN(grid=4, degree=7),
        LevenbergMarquardt(starts=1),
        sampling=Sampling(points=100),
        budget=Budget(iterations=4),
        job=Job(out=None if out is None else str(out), threads=1, **settings),
        config=CONFIGURATION,
        directory=directory,
    )


@pytest.fixture(autouse=True, scope="module")
def _fast() -> Iterator[None]:
    """Leave out timings, and draw few points."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kanpde.run, "evaluation_seconds", lambda *_: 0.0)
        patch.setattr(kanpde.record, "GRID", {2: 41})
        patch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 200)
        patch.setitem(STYLE, "savefig.dpi", 40)
        patch.setattr(kanpde.run, "PICTURES", ("solution", "convergence"))
        yield


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()


def steps(read: EventAccumulator, tag: str) -> list[int]:
    return [event.step for event in read.Scalars(tag)]


def row(iteration: int, loss: float, held_out: float = math.nan) -> Row:
    return Row(1, iteration, 0.1 * iteration, loss, held_out, 7)


def test_iterations_that_are_done_again_take_the_place_of_the_earlier_ones(tmp_path: Path) -> None:
    for first, last, loss in [(1, 10, 2.0), (6, 12, 1.0)]:
        logger = TensorBoard(tmp_path, "seed: 0")
        progress = logger.progress("kan")
        for iteration in range(first, last + 1):
            progress(row(iteration, loss))
        logger.close()
    read = events(tmp_path / "kan")
    assert steps(read, "loss/training") == list(range(1, 13))
    assert [event.value for event in read.Scalars("loss/training")] == 5 * [2.0] + 7 * [1.0]


def test_a_resumed_run_continues_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting(Saver):
        def __call__(self, state: dict[str, Any]) -> None:
            super().__call__(state)
            if state["positions"][-1]["total"] >= 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kanpde.run, "Saver", Interrupting)
        with pytest.raises(Interrupted):
            quick(tmp_path / "run", baseline="none")
    quick(None, tmp_path / "run", baseline="none")
    assert len(list((tmp_path / "run/tensorboard/kan").iterdir())) == 2
    read = events(tmp_path / "run/tensorboard/kan")
    assert steps(read, "loss/training") == [1, 2, 3, 4]
    assert steps(read, "error/relative L2") == [4]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return quick(tmp_path_factory.mktemp("logged") / "run", pictures=True)


def test_every_method_has_its_iterations_and_errors(logged: Comparison) -> None:
    folder = logged.directory / "tensorboard"
    assert {path.name for path in folder.iterdir()} == {method.name for method in logged.methods}
    with open(logged.directory / "history.csv", newline="") as file:
        history = list(csv.DictReader(file))
    for method in logged.methods:
        own, read = [one for one in history if one["method"] == method.name], events(folder / method.name)
        for tag, column in {
            "loss/training": "loss",
            "training/stage": "stage",
            "training/parameters": "parameters",
        }.items():
            assert steps(read, tag) == [int(one["iteration"]) for one in own]
            assert [event.value for event in read.Scalars(tag)] == pytest.approx([float(one[column]) for one in own])
        measured = [(int(one["iteration"]), float(one["held_out"])) for one in own if one["held_out"] != "nan"]
        held_out = read.Scalars("loss/held-out") if measured else []
        assert [(event.step, pytest.approx(event.value)) for event in held_out] == measured
        assert method.errors is not None
        (error,) = read.Scalars("error/relative L2")
        assert (error.step, error.value) == (method.iterations, pytest.approx(method.errors.rel_l2))


def test_the_configuration_is_shown_as_it_is(logged: Comparison) -> None:
    (text,) = events(logged.directory / "tensorboard/kan").Tensors("configuration/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert all(line.startswith("    ") for line in lines)
    assert yaml.safe_load("\n".join(line[4:] for line in lines)) == {
        "solver": {"starts": 1},
        "note": "*not* emphasised",
    }


def test_pictures_are_those_of_the_run(logged: Comparison, tmp_path: Path) -> None:
    read = events(logged.directory / "tensorboard/kan")
    assert set(read.Tags()["images"]) == {"solution", "convergence"}
    (shown,) = read.Images("solution")
    content = tmp_path / "shown.png"
    content.write_bytes(shown.encoded_image_string)
    with Image.open(content) as one, Image.open(logged.directory / "pictures/solution.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other.convert("RGB")))


def test_what_was_finished_is_not_written_again(logged: Comparison) -> None:
    before = sorted((logged.directory / "tensorboard").rglob("*"))
    quick(None, logged.directory, pictures=True)
    assert sorted((logged.directory / "tensorboard").rglob("*")) == before


def test_scalars_and_methods_without_iterations(tmp_path: Path) -> None:
    logger = TensorBoard(tmp_path, "")
    errors = Errors(1e-3, math.nan, 2e-3, floor=1e-9)
    logger.finished(Method("fem-p1-8", 81, errors, {"train": 0.5}, 1, "", {"k": 3.0}))
    logger.close()
    read = events(tmp_path / "fem-p1-8")
    assert {tag: read.Scalars(tag)[0].value for tag in read.Tags()["scalars"]} == pytest.approx(
        {
            "error/relative L2": 1e-3,
            "error/max": 2e-3,
            "error/the reference's own": 1e-9,
            "scalar/k": 3.0,
            "seconds": 0.5,
        }
    )


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kanpde.logger, "find_spec", lambda name: None)
    with pytest.raises(KanpdeError, match=r"pip install 'kanpde\[tensorboard\]'"):
        Job(logger="tensorboard")


def test_unknown_loggers_are_refused() -> None:
    with pytest.raises(KanpdeError, match="tensorboard"):
        require_logger("tensorbord")
