"""The comparison: equal sizes, references that FEM provides, rows that survive an interruption."""

import json
from pathlib import Path
from typing import Any

import pytest

from kanpde import KAN, Box, KanpdeError, Problem, dirichlet, observe, scalar
from kanpde.compare import Comparison, Job, compare, finished_methods, mlp_of_size
from kanpde.position import Budget
from kanpde.record import RunDirectory
from kanpde.sampling import Sampling
from kanpde.solver import LevenbergMarquardt


def problem(order: int = 2) -> Problem:
    def equation(u, at):
        return u.d("x" * order) + u.d("y" * order) + 4.0 + 0 * at.x

    return Problem(Box(x=(0, 1), y=(0, 1)), {"equation": equation}, {"walls": dirichlet("all")})


def quick(problem: Problem, out: Path, **job: Any) -> Comparison:
    return compare(
        problem,
        KAN(grid=4, degree=7),
        LevenbergMarquardt(starts=1),
        sampling=Sampling(points=100),
        budget=Budget(iterations=5),
        job=Job(out=str(out), threads=1, pictures=False, **job),
        config={},
    )


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 1), (1, 1), (3, 4)])
@pytest.mark.parametrize("parameters", [60, 290, 5000])
def test_the_mlp_has_about_as_many_parameters(parameters: int, inputs: int, outputs: int) -> None:
    first, second = mlp_of_size(parameters, inputs, outputs).width
    size = (inputs + 1) * first + (first + 1) * second + (second + 1) * outputs
    assert first == second
    assert abs(size - parameters) <= 0.12 * parameters + 2


def test_fem_is_the_reference_where_there_is_none(tmp_path: Path) -> None:
    comparison = quick(problem(), tmp_path / "run", baseline="none")
    (method,) = comparison.methods
    assert method.errors is not None
    reference = json.loads((tmp_path / "run/results.json").read_text())["reference"]
    assert reference["name"].startswith("fem-p")
    assert 0 < reference["error"] < 1e-3
    assert not (tmp_path / "run/tensorboard").exists()  # nobody asked for it


def test_fem_rows_are_left_out_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = quick(problem(order=3), tmp_path / "run", baseline="fem")
    (method,) = comparison.methods
    assert method.errors is None
    text = capsys.readouterr().out
    assert "FEM does not apply here" in text
    assert "no reference" in text
    document = json.loads((tmp_path / "run/results.json").read_text())
    assert document["reference"] is None
    assert document["methods"][0]["rel_l2"] is None
    assert finished_methods(RunDirectory(tmp_path / "run")) == [method]


def test_scalars_are_printed_and_kept_in_the_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inverse = Problem(
        Box(x=(0, 1), y=(0, 1)),
        {"equation": lambda u, k, at: u.d("xx") + u.d("yy") + k + 0 * at.x},
        {"walls": dirichlet("all")},
        constraints={"seen": observe([[0.5, 0.5]], [0.25])},
        scalars={"k": scalar(1.0, exact=3.0)},
    )
    comparison = quick(inverse, tmp_path / "run", baseline="fem")
    assert [method.name for method in comparison.methods] == ["kan"]
    document = json.loads((tmp_path / "run/results.json").read_text())
    assert document["scalars"] == {"k": {"start": 1.0, "exact": 3.0}}
    assert document["methods"][0]["scalars"] == comparison.run.scalars == comparison.methods[0].scalars
    text = capsys.readouterr().out
    assert "FEM does not apply here: it finds no unknown scalars, and the equation has k." in text
    assert "unknowns u, k" in text
    assert f"k = {comparison.run.scalars['k']:.10g}, exactly 3, off by" in text
    assert finished_methods(RunDirectory(tmp_path / "run")) == list(comparison.methods)


@pytest.mark.parametrize("text", ["{", "[]", '{"methods": [{}]}', '{"methods": 1}'])
def test_damaged_results_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(KanpdeError, match=r"results.json' cannot be read"):
        finished_methods(RunDirectory(tmp_path))


def test_wrong_jobs_are_refused() -> None:
    for wrong in ({"baseline": "pinn"}, {"threads": 0}, {"seed": -1}):
        with pytest.raises(KanpdeError):
            Job(**wrong)  # type: ignore[arg-type]
