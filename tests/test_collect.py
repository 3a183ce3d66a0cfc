"""The table of any number of runs: its rows, its columns, and both of its files."""

import csv
import json
from pathlib import Path

import h5py
import pytest

import kanpde.record
import kanpde.run
import kanpde.training_points
from kanpde import KanpdeError
from kanpde.cli import main
from kanpde.collect import COLUMNS, collect, flat, write_table

QUICK = ["model.grid=4", "sampling.points=60", "budget.iterations=4", "threads=1", "problem=poisson1d"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, one of them with an MLP beside it."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kanpde.run, "evaluation_seconds", lambda *_: 0.5)
        patch.setattr(kanpde.record, "GRID", {1: 101})
        patch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 200)
        assert main([*QUICK, f"out={folder / 'a'}", "baseline=none"]) == 0
        assert main([*QUICK, f"out={folder / 'b'}", "baseline=mlp", "seed=7"]) == 0
    return folder


def test_a_row_per_method(runs: Path) -> None:
    rows = collect([runs])
    assert [(row["run"], row["method"]) for row in rows] == [
        ("a", "kan"),
        ("b", "kan"),
        ("b", "mlp"),
        ("b", "mlp-adam-lbfgs"),
    ]
    document = json.loads((runs / "b" / "results.json").read_text())
    for row, method in zip(rows[1:], document["methods"], strict=True):
        assert row["rel_l2"] == method["rel_l2"]
        assert row["seconds.train"] == method["seconds"]["train"]
        assert row["seed"] == 7
        assert row["reference_error"] == document["reference"]["error"]


def test_settings_of_the_network_are_not_those_of_baselines(runs: Path) -> None:
    kan, mlp = collect([runs / "b"])[:2]
    assert kan["model"] == "KAN"
    assert kan["model.grid"] == 4
    assert not [key for key in mlp if key.startswith(("model", "solver"))]
    assert mlp["budget.iterations"] == 4


def test_folders_may_be_named_one_by_one_and_twice(runs: Path) -> None:
    assert collect([runs / "a", runs / "b"]) == collect([runs]) == collect([runs, runs / "b"])
    assert [row["run"] for row in collect([runs / "a"])] == ["."]


def test_both_files_hold_the_table(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", str(runs / "a"), str(runs / "b"), f"out={tmp_path / 'table'}"]) == 0
    assert capsys.readouterr().out.startswith("4 rows: ")
    with open(tmp_path / "table" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = collect([runs])
    assert list(rows[0])[: len(COLUMNS)] == list(COLUMNS)
    assert [float(row["rel_l2"]) for row in rows] == [row["rel_l2"] for row in expected]
    with h5py.File(tmp_path / "table" / "results.h5") as file:
        assert file["rel_l2"][:].tolist() == [row["rel_l2"] for row in expected]
        assert file["method"].asstr()[:].tolist() == [row["method"] for row in expected]
        assert set(file) == set(rows[0])


def test_by_default_the_table_lies_with_the_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", str(runs)]) == 0
    assert (runs / "results.csv").is_file()
    (runs / "results.csv").unlink()
    (runs / "results.h5").unlink()


def test_what_is_missing_is_empty_in_text_and_nan_in_numbers(tmp_path: Path) -> None:
    write_table([{"run": "a", "rel_l2": 0.5, "x": 1}, {"run": "b", "failed": "no"}], tmp_path)
    with open(tmp_path / "results.csv", newline="") as file:
        assert [row["rel_l2"] for row in csv.DictReader(file)] == ["0.5", ""]
    with h5py.File(tmp_path / "results.h5") as file:
        assert str(file["x"][:].tolist()) == "[1.0, nan]"
        assert file["failed"].asstr()[:].tolist() == ["", "no"]


def test_names_of_settings() -> None:
    config = {
        "problem": {"_target_": "kanpde.library.load_problem", "name": "heat1d", "alpha": 2.0},
        "model": {"_target_": "kanpde.KAN", "grid": [4, 2]},
        "out": "here",
        "seed": 1,
    }
    assert dict(flat(config)) == {"problem.alpha": 2.0, "model": "KAN", "model.grid": "[4, 2]", "seed": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "'nowhere' is not a folder"),
        (["."], "'.' holds no results.json"),
        ([], "takes folders with runs"),
        ([".", "out=a", "out=b"], "give out once"),
    ],
    ids=str,
)
def test_bad_input(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["collect", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_damaged_results_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(KanpdeError, match=r"results\.json' cannot be read"):
        collect([tmp_path])
