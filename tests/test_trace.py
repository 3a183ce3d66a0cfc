"""Errors during training: they do not change it, and are those of shorter trainings."""

from pathlib import Path
from typing import Any

import pytest
from examples import small_kan

import kanpde.run
import kanpde.training_points
from kanpde import Adam, Budget, KanpdeError, LevenbergMarquardt, Run, Sampling, solve
from kanpde.trace import each_of


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kanpde.run, "evaluation_seconds", lambda *_: 0.0)
    monkeypatch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 200)


def solved(iterations: int, solver: Any = None, **settings: Any) -> Run:
    return solve(
        "poisson2d",
        small_kan(width=(2,), grid=4, degree=(7, 4), start_grid=2),
        solver or LevenbergMarquardt(starts=2, start_iterations=5, stage_iterations=20),
        sampling=Sampling(least=150),
        budget=Budget(iterations=iterations),
        threads=1,
        **settings,
    )


def test_a_trace_does_not_change_the_training() -> None:
    plain, traced = solved(60), solved(60, trace=True)
    assert plain.trace == ()
    assert traced.errors == plain.errors
    assert traced.theta.equal(plain.theta)
    assert [row["loss"] for row in traced.history] == [row["loss"] for row in plain.history]


def test_the_last_moment_is_the_solution_and_earlier_ones_are_those_of_shorter_trainings() -> None:
    run = solved(40, trace=True)
    assert run.errors is not None
    last = run.trace[-1]
    assert (last.rel_l2, last.rel_h1, last.max_error) == (run.errors.rel_l2, run.errors.rel_h1, run.errors.max_error)
    assert last.iteration == run.method.iterations
    iterations = [moment.iteration for moment in run.trace]
    assert iterations == sorted(iterations)
    assert {moment.stage for moment in run.trace} == {1, 2}
    middle = next(moment for moment in run.trace if moment.iteration == 20)
    shorter = solved(20)
    assert shorter.errors is not None
    assert middle.rel_l2 == shorter.errors.rel_l2 != last.rel_l2


def test_moments_are_few() -> None:
    run = solved(200, Adam(stage_iterations=100), trace=True)
    assert 5 < len(run.trace) < 35


def test_a_trace_needs_a_reference_and_one_network(tmp_path: Path) -> None:
    with pytest.raises(KanpdeError, match="one slab and no corrections"):
        solved(3, trace=True, corrections=1)


def test_callbacks_are_called_together() -> None:
    seen: list[int] = []
    each_of(None, lambda state: seen.append(1), lambda state: seen.append(2))({})
    assert seen == [1, 2]
