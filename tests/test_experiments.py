"""Experiments: their jobs, directories, figures and summaries, and what they leave after being killed."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kanpde.experiments.job
import kanpde.run
import kanpde.training_points
from kanpde import KAN, MLP, Adam, Budget, Chain, KanpdeError, LevenbergMarquardt, Sampling
from kanpde.cli import main
from kanpde.collect import TIMES
from kanpde.experiments import (
    EXPERIMENTS,
    Experiment,
    FEMJob,
    KANPaperPoisson,
    NetworkJob,
    Optimisers,
    Outcome,
    kan_paper_poisson,
)
from kanpde.experiments.accuracy_vs_parameters import AccuracyVsParameters
from kanpde.experiments.execute import carried_out, unique
from kanpde.experiments.job import described, weighted, with_reference
from kanpde.experiments.kan_paper_poisson import ALPHA, MEAN_SQUARE, POINTS, kan_size, mlp_size, smoother
from kanpde.experiments.statistics import (
    Point,
    Spread,
    cost_at_error,
    error_at_cost,
    front,
    points_of,
    slope_of,
)
from kanpde.library import load_problem
from kanpde.metrics import ErrorMeasure
from kanpde.record import RunDirectory
from kanpde.reference.fem import Resolution
from kanpde.training_points import Collocation

QUICK = ["budget.iterations=6", "sampling.points=60", "sampling.least=60", "threads=1", "experiment.processes=1"]
SMALL = {
    "accuracy_vs_parameters": [
        "experiment.seeds=2",
        "experiment.degrees=[3,5]",
        "experiment.grids=[2,4]",
        "experiment.products=[1]",
        "experiment.widths=[2]",
        "experiment.mlp_widths=[3]",
        "experiment.adam_iterations=3",
        "problem=poisson1d",
    ],
    "kan_paper_poisson": [
        "experiment.widths=[2]",
        "experiment.grids=[2,4]",
        "experiment.depths=[2]",
        "experiment.mlp_widths=[3]",
        "experiment.effort=100",
        "experiment.seconds=2",
        "experiment.mlp_seconds=1",
    ],
    "grid_extension": ["experiment.seeds=1", "experiment.start_grid=2", "experiment.grid=4", "problem=poisson1d"],
    "optimisers": ["experiment.seeds=1", "experiment.grid=3", "experiment.adam_iterations=3", "problem=poisson1d"],
    "degree": ["experiment.seeds=1", "experiment.degrees=[3,5]", "experiment.grids=[2,4,8]", "problem=poisson1d"],
    "seeds": ["experiment.seeds=2", "model.grid=2", "problem=poisson1d"],
    "scaling_laws": [
        "experiment.seeds=1",
        "experiment.functions=[bessel,exponential]",
        "experiment.grids=[3,4]",
        "experiment.mlp_widths=[2]",
        "problem.samples=100",
    ],
    "continual": ["experiment.seeds=1", "experiment.grid=100"],
}
FIGURES = {
    "accuracy_vs_parameters": {"error_against_parameters", "work_precision", "fronts"},
    "kan_paper_poisson": {"error_against_parameters", "work_precision", "training_curves"},
    "grid_extension": {"staircase", "training_curves"},
    "optimisers": {"optimisers"},
    "degree": {"degree", "work_precision"},
    "seeds": {"seeds"},
    "scaling_laws": {"scaling_laws"},
    "continual": {"continual"},
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without what only measures times."""
    monkeypatch.chdir(tmp_path)
    for module in (kanpde.run, kanpde.experiments.job):
        monkeypatch.setattr(module, "evaluation_seconds", lambda *_: 0.0)
    return tmp_path


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a collected table without what differs from run to run."""
    with open(path / "results.csv", newline="") as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def base(**settings: Any) -> NetworkJob:
    """Return a job that takes no time."""
    common: dict[str, Any] = {
        "problem": "poisson1d",
        "model": KAN(products=1, grid=2, degree=(5, 1), knots="uniform"),
        "solver": LevenbergMarquardt(starts=1),
        "sampling": Sampling(points=40),
        "budget": Budget(iterations=3),
        "threads": 1,
    }
    return NetworkJob(**{**common, **settings})


ONE = "accuracy_vs_parameters"
"""The experiment that the fast tests do; together all take two minutes."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != ONE)) for n in EXPERIMENTS])
def test_every_experiment_leaves_its_table_and_figures(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kan_paper_poisson, "POINTS", Sampling(points=100))
    monkeypatch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 200)
    arguments = [f"experiment={name}", *QUICK, *SMALL[name], "out=here"]
    assert main(arguments) == 0
    here = Path("here")
    written = {path.name: path.stat() for path in here.iterdir() if path.is_file()}
    assert {f"{figure}.{kind}" for figure in FIGURES[name] for kind in ("png", "pdf")} <= set(written)
    assert {"config.yaml", "results.csv", "results.h5", "summary.md", "log.txt"} <= set(written)
    assert all(stat.st_size > 100 for stat in written.values())
    rows = rows_of(here)
    assert len(rows) == len(list((here / "jobs").iterdir()))
    assert not any(row["failed"] for row in rows)
    text = capsys.readouterr().out
    assert f"[{len(rows)}/{len(rows)}]" in text


@pytest.mark.slow
def test_started_again_an_experiment_repeats_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["experiment=seeds", *QUICK, *SMALL["seeds"]]
    assert main(arguments) == 0
    here = Path("runs/experiments/seeds/poisson1d")
    rows, results = rows_of(here), {path: path.stat().st_mtime_ns for path in here.glob("jobs/*/results.json")}
    for again in (arguments, [f"resume={here}"]):
        capsys.readouterr()
        assert main(again) == 0
        assert "4 jobs, 4 of them done" in capsys.readouterr().out
        assert {path: path.stat().st_mtime_ns for path in here.glob("jobs/*/results.json")} == results
        assert rows_of(here) == rows
    assert all(row["series"] for row in rows)
    assert main([*arguments, "experiment.seeds=3"]) == 0
    assert "6 jobs, 4 of them done" in capsys.readouterr().out
    assert main(["report", str(here)]) == 0
    assert "6 jobs</summary>" in (here / "report.html").read_text()


def test_there_is_a_configuration_for_every_experiment() -> None:
    folder = kanpde.library.home() / "conf" / "experiment"
    assert {path.stem for path in folder.glob("*.yaml")} == {*EXPERIMENTS, "smoke"}
    assert set(SMALL) == set(FIGURES) == set(EXPERIMENTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=seeds", "experiment.seeds=0"], "experiment.seeds=0: give at least 1"),
        (["experiment=seeds", "experiment.seed=3"], "unknown setting of experiment: 'seed': did you mean 'seeds'?"),
        (["experiment=seeds", "experiment.seeds=many"], "seeds='many' is not of type int"),
        (["experiment=degree", "experiment.grids=[0]"], "experiment.grids=[0]: give numbers from 1 on"),
        (["experiment=degree", "experiment.degrees=[2]"], "has no job with these settings"),
        (["experiment=degree", "model=mlp"], "this experiment is about KANs"),
        (["experiment=grid_extension", "experiment.grid=5"], "begin with fewer than at the end"),
        (["experiment=kan_paper_poisson", "problem=heat1d"], "is about problem=poisson2d, not 'heat1d'"),
        (["experiment=kan_paper_poisson", "experiment.depths=[1]"], "an MLP has at least 2 layers"),
        (["experiment=scaling_laws", "experiment.functions=[sine]"], "function in experiment.functions: 'sine'"),
        (["experiment=scaling_laws", "problem=heat1d"], "is about problem=fit_function, not 'heat1d'"),
        (["experiment=continual", "problem=heat1d"], "is about problem=continual, not 'heat1d'"),
        (["experiment=optimisers", "problem=poison2d"], "did you mean 'poisson2d'?"),
    ],
    ids=str,
)
def test_bad_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_directory_of_something_else_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("here").mkdir()
    Path("here/notes.txt").write_text("mine")
    assert main(["experiment=seeds", *QUICK, *SMALL["seeds"], "out=here"]) == 2
    assert "is not a directory of the experiment 'seeds'" in capsys.readouterr().err
    assert [path.name for path in Path("here").iterdir()] == ["notes.txt"]


def test_a_directory_is_named_by_what_is_computed() -> None:
    job = base()
    assert job.directory == replace(job, series="a line", place={"grid": 2}).directory
    others = [
        replace(job, seed=1),
        replace(job, problem="poisson2d"),
        replace(job, model=MLP()),
        replace(job, solver=Chain((Adam(), LevenbergMarquardt()))),
        replace(job, solver=Chain((Adam(), Adam()))),
        replace(job, budget=Budget(iterations=4)),
        replace(job, alpha=0.1),
        replace(job, trace=True),
        FEMJob(problem="poisson1d", resolution=Resolution(1, 8)),
        FEMJob(problem="poisson1d", resolution=Resolution(2, 8)),
    ]
    assert len({job.directory, *(other.directory for other in others)}) == len(others) + 1
    twice = [replace(job, series="a"), replace(job, series="a"), replace(job, series="b")]
    assert [found.series for found in unique(twice)] == ["a", "b"]


def test_a_job_of_the_defaults_can_be_run_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """Its directory is an ordinary one: the same training goes on, or is loaded, with resume=."""
    job = base()
    job.do(Path("jobs"))
    path = Path("jobs") / job.directory
    before = Outcome.of(job, Path("jobs")).method
    assert main([f"resume={path}"]) == 0
    after = Outcome.of(job, Path("jobs")).method
    assert before is not None
    assert after is not None
    assert before.errors == after.errors
    assert before.iterations == after.iterations == 3


def test_a_job_that_is_refused_is_a_failure_and_not_tried_again() -> None:
    job = base(model=KAN(products=1, grid=4, degree=(2, 1), knots="uniform"))
    job.do(Path("jobs"))
    outcome = Outcome.of(job, Path("jobs"))
    assert outcome.method is None
    assert "degree=2 is too low" in outcome.failure()
    assert RunDirectory(outcome.path).finished
    assert points_of([outcome]) == []


def test_finite_elements_are_jobs() -> None:
    job = FEMJob(problem="poisson1d", series="FEM", resolution=Resolution(2, 16))
    job.do(Path("jobs"))
    method = Outcome.of(job, Path("jobs")).method
    assert method is not None
    expected = Resolution(2, 16).solve(load_problem("poisson1d"))
    assert method.errors is not None
    assert method.errors.rel_l2 == ErrorMeasure(load_problem("poisson1d")).of(expected.taylor).rel_l2


@pytest.mark.slow
def test_jobs_in_two_processes_are_those_in_one() -> None:
    jobs = [replace(base(), seed=seed) for seed in range(2)]
    for processes, root in ((1, Path("one")), (2, Path("two"))):
        assert {job.seed for job in carried_out(jobs, root, processes)} == {0, 1}
    for job in jobs:
        one, two = (Outcome.of(job, Path(root)).method for root in ("one", "two"))
        assert one is not None
        assert two is not None
        assert one.errors == two.errors


def test_classes_are_described_by_name_and_fields() -> None:
    found = described(Chain((Adam(learning_rate=0.1), LevenbergMarquardt())))
    assert found["_target_"] == "kanpde.Chain"
    assert [part["_target_"] for part in found["solvers"]] == ["kanpde.Adam", "kanpde.LevenbergMarquardt"]
    assert found["solvers"][0]["learning_rate"] == 0.1


def test_the_weight_of_the_equations_is_the_papers() -> None:
    """Twice the loss at u = 0 is alpha <f^2> up to the factor 1 / (alpha s^2), and <g^2> has that factor too."""
    problem = load_problem("poisson2d")
    found = weighted(problem, ALPHA, POINTS, 0, torch.device("cpu"))
    like = torch.zeros((), dtype=torch.float64)
    scale = Collocation(kanpde.model.Ansatz(problem, "soft"), POINTS, 0, like).scales["poisson"]
    assert found.conditions["walls"].weight == pytest.approx(1 / (ALPHA * scale**2), rel=1e-12)
    with pytest.raises(KanpdeError, match="3 equations"):
        weighted(load_problem("kovasznay"), ALPHA, POINTS, 0, torch.device("cpu"))


def test_sizes_of_the_papers_networks() -> None:

    box = torch.tensor([-1.0, -1.0], dtype=torch.float64), torch.tensor([1.0, 1.0], dtype=torch.float64)
    problem = load_problem("poisson2d")
    for width, grid in ((5, 2), (10, 10)):
        cubic = KAN(width=(width,), grid=(grid, grid), degree=3, base=True, start_grid=grid).suited(problem)
        assert cubic.network(*box, 1).parameters == kan_size(width, grid)
        smooth = smoother(width, grid).suited(problem)
        assert smooth.network(*box, 1, smooth.stages()[-1]).parameters <= kan_size(width, grid)
    assert MLP(width=(50, 50, 50)).network(*box, 1).parameters == mlp_size(4, 50)
    x, w = np.polynomial.legendre.leggauss(60)
    mean = 0.25 * (w @ np.sin(np.pi * x) ** 2) * (w @ np.sin(np.pi * x**2) ** 2)
    assert mean == pytest.approx(MEAN_SQUARE, rel=1e-4)


def test_jobs_of_the_paper_have_its_networks_and_loss() -> None:
    problem = load_problem("poisson2d")
    jobs = KANPaperPoisson().jobs(replace(base(), problem="poisson2d"), problem)
    networks = [job for job in jobs if isinstance(job, NetworkJob)]
    paper = [job for job in networks if job.alpha is not None]
    kans = [job.model for job in paper if isinstance(job.model, KAN)]
    mlps = [job.model for job in paper if isinstance(job.model, MLP)]
    assert len(kans) == 3 * 5
    assert len(mlps) == 4 * 6
    assert {model.width for model in kans} == {(5,), (7,), (10,)}
    assert {model.grid for model in kans} == {(grid, grid) for grid in (2, 4, 6, 8, 10)}
    assert {len(tuple(model.width)) for model in mlps} == {1, 2, 3, 4}
    assert all(job.conditions == "soft" and job.sampling.points == 10_000 for job in paper)
    assert POINTS.boundary_count(10_000, 2) == 800


def test_every_optimiser_trains_the_same_network_from_the_same_points() -> None:
    jobs = [job for job in Optimisers(seeds=1).jobs(base(), load_problem("poisson1d")) if isinstance(job, NetworkJob)]
    assert len(jobs) == 5
    assert len({(repr(job.model), job.seed, repr(job.sampling), repr(job.budget)) for job in jobs}) == 1
    model = jobs[0].model
    assert isinstance(model, KAN)
    assert len(model.suited(load_problem("poisson1d")).stages()) == 1


def test_degrees_that_are_too_low_and_finite_elements_that_do_not_apply_are_left_out() -> None:
    experiment = AccuracyVsParameters(degrees=(2, 3, 4, 5), grids=(4,), mlp_widths=(3,), seeds=1)
    plate = load_problem("biharmonic_plate")
    names = {job.series for job in experiment.jobs(replace(base(), problem="biharmonic_plate"), plate)}
    assert {name[:12] for name in names if name.startswith("KAN")} == {"KAN degree 5"}
    assert not any(name.startswith("FEM") for name in names)
    names = {job.series for job in experiment.jobs(base(), load_problem("poisson1d"))}
    assert {"KAN degree 3: 3 products", "FEM degree 1", "FEM degree 4"} <= names
    corner = load_problem("poisson_lshape")
    meshes = [
        (job.resolution.cells, job.resolution.adaptive)
        for job in experiment.jobs(replace(base(), problem="poisson_lshape"), corner)
        if isinstance(job, FEMJob) and job.resolution.order == 2
    ]
    assert meshes == [(8, False), (16, False), (32, False), (64, False), (4, True), (8, True), (16, True), (32, True)]


def test_the_reference_of_a_problem_without_one_is_not_compared_with() -> None:
    Path("mine.py").write_text(
        "from kanpde import Box, Problem, dirichlet\n\n\ndef problem():\n"
        "    return Problem(geometry=Box(x=(0, 1)), equations={'f': lambda u, at: u.d('xx') + 1},"
        " conditions={'ends': dirichlet('all')})\n"
    )
    problem = with_reference(str(Path("mine.py").absolute()), "{}")
    assert problem.reference is not None
    jobs = AccuracyVsParameters(seeds=1).jobs(replace(base(), problem="mine.py"), problem)
    names = {job.resolution.name for job in jobs if isinstance(job, FEMJob)}
    assert names
    assert problem.reference.name not in names


def point(cost: float, error: float, seconds: float = 1.0, at_floor: bool = False) -> Point:
    spread = Spread(error, error, error)
    return Point("KAN", {"grid": 2}, cost, Spread(seconds, seconds, seconds), spread, spread, 1, 0, at_floor)


def test_a_fitted_slope_is_the_exponent() -> None:
    points = [point(n, 3 * n**-4.0) for n in (10, 20, 40, 80)]
    slope = slope_of([*points, point(160, 1e-3, at_floor=True), point(320, 1e-15), point(640, inf)])
    assert slope is not None
    assert slope.exponent == pytest.approx(-4)
    assert slope.points == 4
    assert slope.error < 1e-6
    assert slope.line[0] == pytest.approx((10, 3e-4))
    assert slope_of(points[:2]) is None
    bent = slope_of([*points, point(160, 1e-3)])
    assert bent is not None
    assert bent.error > 0.5


def test_failures_count_in_medians() -> None:
    assert Spread.of([1.0, 2.0, inf]) == Spread(2.0, 1.0, inf)
    assert Spread.of([1.0, float("nan"), inf]).median == inf


def test_fronts_and_ratios() -> None:
    points = [point(10, 1e-1, 5), point(20, 1e-3, 1), point(30, 1e-2, 2), point(40, 1e-5, 3), point(50, inf, 0.1)]
    assert [p.parameters for p in front(points, "parameters")] == [10, 20, 40]
    assert [p.parameters for p in front(points, "seconds")] == [20, 40]
    assert cost_at_error(points, 1e-2, "parameters") == 20
    assert cost_at_error(points, 1e-9, "parameters") == inf
    assert error_at_cost(points, 2.5, "seconds") == 1e-3
    assert error_at_cost(points, 0.01, "seconds") == inf


def killed_at_times(arguments: list[str], out: Path, delays: list[float]) -> None:
    """Start an experiment in a process of its own once for each delay, and kill it so many seconds into its jobs."""
    for delay in delays:
        command = [sys.executable, "-m", "kanpde", *arguments, f"out={out}"]
        log = out / "log.txt"
        size = log.stat().st_size if log.exists() else 0
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and (log.stat().st_size if log.exists() else 0) == size:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()


def is_the_uninterrupted_one(arguments: list[str], delays: list[float]) -> None:
    whole, parts = Path("whole"), Path("parts")
    assert main([*arguments, f"out={whole}"]) == 0
    killed_at_times(arguments, parts, delays)
    finished = {path: path.stat().st_mtime_ns for path in parts.glob("jobs/*/results.json")}
    assert main(["resume=parts"]) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # nothing is repeated
    assert rows_of(parts) == rows_of(whole)
    assert len(rows_of(parts)) > 5
    assert not [path for path in parts.rglob("*.json") if path.stat().st_size == 0]


KILLED = [
    "experiment=degree",
    "problem=poisson1d",
    "experiment.degrees=[3,5]",
    "experiment.grids=[2,4,8]",
    "experiment.seeds=1",
    "budget.iterations=20",
    "threads=1",
]


@pytest.mark.slow
def test_a_killed_experiment_goes_on_and_repeats_nothing() -> None:
    is_the_uninterrupted_one(KILLED, [0.3])


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_an_experiment_killed_at_five_random_times_goes_on(processes: int) -> None:
    times = random.Random(os.urandom(8)).uniform
    arguments = [a for a in KILLED if "seeds" not in a and "iterations" not in a]
    longer = ["experiment.seeds=2", "budget.iterations=150", f"experiment.processes={processes}"]
    is_the_uninterrupted_one([*arguments, *longer], [times(0.0, 6.0) for _ in range(5)])


def test_an_experiment_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Experiment()  # type: ignore[abstract]


@pytest.mark.slow
def test_workers_end_with_a_killed_experiment() -> None:
    arguments = [*KILLED, "experiment.seeds=2", "budget.iterations=100000", "experiment.processes=2"]
    command = [sys.executable, "-m", "kanpde", *arguments, "out=parts"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(Path("parts/jobs").glob("*/config.yaml"))) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(200):
        try:
            os.killpg(process.pid, 0)  # the group lives as long as one of its members
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError("workers go on after the experiment was killed")
