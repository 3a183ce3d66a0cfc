"""Slabs of time hand over exactly, corrections lower the residual or are left out, and all of it can be resumed."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from examples import small_kan
from torch import Tensor, cos, exp, sin

import kanpde.training_points
from kanpde import (
    KAN,
    Adam,
    Box,
    Budget,
    KanpdeError,
    LevenbergMarquardt,
    Points,
    Problem,
    Sampling,
    dirichlet,
    initial,
    initial_velocity,
    neumann,
    periodic,
)
from kanpde.library import load_problem
from kanpde.march import March, Slabs, Solution, slab_problems
from kanpde.metrics import errors
from kanpde.multiindex import IndexSet
from kanpde.position import Position, Row
from kanpde.problem import Condition
from kanpde.reference import exact
from kanpde.residual import Residuals
from kanpde.training_points import Collocation

MODEL = small_kan(width=(2,), grid=4, degree=(6, 4), start_grid=4)
SOLVER = LevenbergMarquardt(starts=1, start_iterations=4, stage_iterations=12)
SAMPLING = Sampling(least=120, ratio=2.0)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 150)


def march(problem: Problem, slabs: Slabs = 1, corrections: int = 0, **settings: Any) -> March:
    given = {
        "model": MODEL,
        "solver": SOLVER,
        "sampling": SAMPLING,
        "conditions": "hard",
        "budget": Budget(10_000, 100.0),
        "seed": 0,
        "device": CPU,
        **settings,
    }
    return March(problem, **given, slabs=slabs, corrections=corrections)


def v(at: Points) -> Tensor:
    """Return a function whose data on walls change in time."""
    return cos(at.x) * exp(-at.t) + at.t**2 * at.x


def heat(conditions: dict[str, Condition]) -> Problem:
    def equation(u: Any, at: Points) -> Tensor:
        return u.d("t") - u.d("xx") - (-cos(at.x) * exp(-at.t) + 2 * at.t * at.x + cos(at.x) * exp(-at.t))

    return Problem(Box(x=(0, 1), t=(0.5, 1.5)), {"heat": equation}, conditions, exact(v))


def wave(conditions: dict[str, Condition]) -> Problem:
    def equation(u: Any, at: Points) -> Tensor:
        return u.d("tt") - u.d("xx") - 2 * cos(at.x) * exp(-at.t) - 2 * at.x

    return Problem(Box(x=(0, 1), t=(0.5, 1.5)), {"wave": equation}, conditions, exact(v))


def v_t(at: Points) -> Tensor:
    return -cos(at.x) * exp(-at.t) + 2 * at.t * at.x


def lift(at: Points) -> Tensor:
    return v(at.moved(t=torch.full_like(at.t, 0.5))) + (at.t - 0.5) * sin(at.x)


def wall_lift(at: Points) -> Tensor:
    return v(at) + at.x * (1 - at.x) * exp(at.t)


WALLS = {"walls": dirichlet("x", v)}
CASES: dict[str, Callable[[], Problem]] = {
    "heat1d": lambda: load_problem("heat1d"),
    "wave1d": lambda: load_problem("wave1d"),
    "advection": lambda: load_problem("advection"),
    "walls that change": lambda: heat({"start": initial(v), **WALLS}),
    "walls that change, velocity": lambda: wave({"start": initial(v), "velocity": initial_velocity(v_t), **WALLS}),
    "a lift of its own": lambda: heat({"start": initial(v, lift=lift), **WALLS}),
    "a lift of walls": lambda: heat({"start": initial(v), "walls": dirichlet("x", v, lift=wall_lift)}),
}


def jumps(solution: Solution, order: int) -> list[float]:
    """Return by how much the pieces of neighbouring slabs differ at the time between them, per derivative in time."""
    problem = solution.slabs[0][0].ansatz.problem
    names, box = problem.geometry.names, problem.geometry
    axis = names.index("t")
    indices = IndexSet(names, [tuple(order * (i == axis) for i in range(len(names)))])
    found = []
    for before, after, time in zip(solution.slabs[:-1], solution.slabs[1:], solution.breaks, strict=True):
        unit = torch.linspace(0, 1, 41, dtype=torch.float64, device=solution.theta.device)
        columns = [
            torch.full_like(unit, time) if name == "t" else a + (b - a) * unit
            for name, a, b in zip(names, box.lower, box.upper, strict=True)
        ]
        at = Points.of(names, torch.stack(columns, dim=1))
        difference = before[-1].taylor(at, indices) - after[-1].taylor(at, indices)
        found.append(float(difference.abs().max()))
    return found


@pytest.mark.parametrize(
    ("name", "mode"), [*((name, "hard") for name in CASES), ("walls that change, velocity", "soft")]
)
def test_slabs_hand_over_exactly(name: str, mode: str, device: torch.device) -> None:
    problem = CASES[name]()
    velocity = any(condition.kind == "initial velocity" for condition in problem.conditions.values())
    solution = march(problem, slabs=3, conditions=mode, budget=Budget(30, 100.0), device=device).run()
    assert len(solution.slabs) == 3
    assert max(jumps(solution, order=int(velocity))) <= 1e-13
    piece = solution.slabs[1][0]
    wrong = replace(piece, theta=1.01 * piece.theta)
    changed = replace(solution, slabs=(solution.slabs[0], (wrong,), solution.slabs[2]))
    found = jumps(changed, order=int(velocity))
    assert found[0] <= 1e-13  # whatever the parameters are
    assert found[1] > 1e-9


@pytest.mark.parametrize(
    "name", ["walls that change", "walls that change, velocity", "a lift of its own", "a lift of walls"]
)
def test_walls_and_the_start_stay_exact(name: str) -> None:
    problem = CASES[name]()
    solution = march(problem, slabs=3, budget=Budget(30, 100.0)).run()
    times = torch.linspace(0.5, 1.5, 61, dtype=torch.float64)
    for x in (0.0, 1.0):
        at = Points.of(("x", "t"), torch.stack([torch.full_like(times, x), times], dim=1))
        assert float((solution.taylor(at, IndexSet(("x", "t")))[0, :, 0] - v(at)).abs().max()) < 1e-13
    at = Points.of(("x", "t"), torch.stack([times - 0.5, torch.full_like(times, 0.5)], dim=1))
    assert float((solution.taylor(at, IndexSet(("x", "t")))[0, :, 0] - v(at)).abs().max()) < 1e-13


@pytest.mark.parametrize("name", CASES)
def test_channels_of_a_later_slab_are_derivatives(name: str) -> None:
    """Handed over Taylor coefficients against central differences of the value."""
    solution = march(CASES[name](), slabs=2, budget=Budget(8, 100.0)).run()
    box = solution.slabs[1][0].ansatz.problem.geometry
    unit = torch.tensor([[0.31, 0.27], [0.62, 0.55], [0.44, 0.81]], dtype=torch.float64)
    lower, upper = unit.new_tensor(box.lower), unit.new_tensor(box.upper)
    points = lower + (upper - lower) * unit
    indices = IndexSet(box.names, [(2, 1), (0, 2)])
    found = solution.taylor(Points.of(box.names, points), indices)
    step = 1e-5
    for axis in range(2):
        offset = torch.zeros(2, dtype=torch.float64)
        offset[axis] = step
        above, below = (solution.taylor(Points.of(box.names, points + s * offset), indices) for s in (1, -1))
        for c, index in enumerate(indices.indices):
            more = tuple(n + (i == axis) for i, n in enumerate(index))
            if more in indices.position:
                wanted = (above[c] - below[c]) / (2 * step) / more[axis]
                assert torch.allclose(found[indices.position[more]], wanted, rtol=1e-5, atol=1e-5 * found.abs().max())


def test_two_slabs_solve_what_one_does() -> None:
    problem = load_problem("heat1d")
    for slabs in (1, 2):
        solution = march(problem, slabs, model=small_kan(width=(3,), grid=6, start_grid=6)).run()
        assert errors(solution.taylor, problem).rel_l2 < 1e-3


def test_two_slabs_resolve_more_waves_than_one() -> None:
    """With the same small network per slab: half the time holds half of the oscillations."""
    problem = load_problem("wave1d")
    settings = {"model": small_kan(width=(3,), grid=6), "solver": replace(SOLVER, starts=2, stage_iterations=30)}
    one, two = (march(problem, slabs, **settings).run() for slabs in (1, 2))
    assert len(two.theta) == 2 * len(one.theta)
    assert errors(two.taylor, problem).rel_l2 < 0.7 * errors(one.taylor, problem).rel_l2


def test_pieces_answer_for_their_slab() -> None:
    case = march(load_problem("heat1d"), slabs=[0.25, 0.5])
    solution = case.run()
    assert solution.breaks == (0.25, 0.5)
    for number, time in enumerate((0.1, 0.3, 0.9)):
        at = Points.of(("x", "t"), torch.tensor([[0.3, time], [0.7, time]], dtype=torch.float64))
        value = IndexSet(("x", "t"), [(1, 0)])
        assert torch.equal(solution.taylor(at, value), solution.slabs[number][0].taylor(at, value))
    assert {row["slab"] for row in case.history} == {1, 2, 3}
    assert [row["iteration"] for row in case.history] == list(range(1, case.iterations + 1))
    seconds = [row["seconds"] for row in case.history]
    assert seconds == sorted(seconds)


def test_a_budget_is_shared() -> None:
    case = march(load_problem("heat1d"), slabs=3, budget=Budget(31, 100.0))
    case.run()
    assert [position.total for position in case.positions] == [10, 10, 11]
    assert case.stopped == "its share of the budget, 10 iterations; its share of the budget, 11 iterations"


@pytest.mark.parametrize(
    ("slabs", "message"),
    [
        (0, "slabs=0: give at least 1 slab"),
        ([0.5, 0.2], r"slabs=\[0.5,0.2\]: give times that ascend inside \(0, 1\)"),
        ([0.0], r"slabs=\[0\]: give times that ascend inside"),
        ([float("nan")], r"slabs=\[nan\]: give times"),
    ],
)
def test_wrong_slabs_are_refused(slabs: Slabs, message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        slab_problems(load_problem("heat1d"), slabs)


def test_problems_that_have_no_slabs_are_refused() -> None:
    with pytest.raises(KanpdeError, match="problem 'poisson2d' has no time on a box: use slabs=1"):
        slab_problems(load_problem("poisson2d"), 2)
    for conditions, message in (
        ({"walls": dirichlet("x", v)}, "has no initial value"),
        ({"fast": initial_velocity(1.0)}, "'fast' is a velocity without an initial value"),
        ({"start": initial(v), "end": dirichlet("t+", v)}, "condition 'end' is not one of values or velocities"),
        ({"start": neumann("t-", 0.0)}, "condition 'start' is not one of values or velocities"),
        ({"again": periodic("t")}, "condition 'again' is not one of values or velocities"),
    ):
        with pytest.raises(KanpdeError, match=message):
            slab_problems(heat(conditions), 2)
    assert slab_problems(load_problem("poisson2d"), 1)[0].geometry.time is None


def test_each_unknown_is_handed_over_on_its_own() -> None:
    problem = Problem(
        Box(x=(0, 1), t=(0, 1)),
        {"u": lambda u, w, at: u.d("t") - w, "w": lambda w, at: w - cos(at.x) * at.t},
        {"start": initial(lambda at: sin(at.x), "u")},
    )
    solution = march(problem, slabs=2).run()
    at = Points.of(("x", "t"), torch.tensor([[0.3, 0.5], [0.7, 0.5]], dtype=torch.float64))
    before, after = (pieces[-1].taylor(at, IndexSet(("x", "t")))[0] for pieces in solution.slabs)
    assert float((before - after)[:, 0].abs().max()) <= 1e-14
    assert float((before - after)[:, 1].abs().max()) > 0


def test_a_correction_lowers_the_residual() -> None:
    problem, model = load_problem("poisson2d_sinsin"), replace(MODEL, width=(1,))
    plain, case = (march(problem, corrections=n, model=model) for n in (0, 1))
    first, corrected = plain.run(), case.run()
    assert torch.equal(corrected.slabs[0][0].theta, first.theta)
    assert len(corrected.theta) == 2 * len(first.theta)
    assert errors(corrected.taylor, problem).rel_l2 < 0.7 * errors(first.taylor, problem).rel_l2
    rows = [row for row in case.history if row["correction"]]
    assert rows
    assert rows[-1]["loss"] < 0.5 * [row for row in case.history if not row["correction"]][-1]["loss"]


def test_a_correction_that_lowers_nothing_is_left_out() -> None:
    problem, still = load_problem("poisson2d_sinsin"), Adam(learning_rate=1e-300, stage_iterations=2)
    plain, case = (march(problem, corrections=n, solver=still) for n in (0, 2))
    first, corrected = plain.run(), case.run()
    assert torch.equal(corrected.theta, first.theta)
    assert len(case.positions) == 2
    assert case.stopped.endswith("correction 1 left out, as it lowers no residual")


def test_a_resolved_residual_is_not_corrected() -> None:
    problem = Problem(Box(x=(0, 1)), {"e": lambda u, at: u.d("xx") - 1.0}, {"w": dirichlet("x", 0.0)})
    case = march(problem, corrections=2)
    assert len(case.run().slabs[0]) == 1
    assert "no correction of a residual that is resolved" in case.stopped


def test_a_negative_number_of_corrections_is_refused() -> None:
    with pytest.raises(KanpdeError, match="corrections=-1: give a number of corrections"):
        march(load_problem("heat1d"), corrections=-1)


@pytest.mark.parametrize("settings", [{"slabs": 2}, {"slabs": 2, "corrections": 1}], ids=str)
def test_every_checkpoint_ends_where_the_run_ended(settings: dict[str, Any]) -> None:
    problem = load_problem("wave1d")
    saved: list[dict[str, Any]] = []
    rows: list[Row] = []
    whole = march(problem, **settings)
    solution = whole.run(progress=rows.append, checkpoint=lambda state: saved.append(copy.deepcopy(state)))
    assert [(row.slab, row.correction, row.loss) for row in rows] == [
        (row["slab"], row["correction"], row["loss"]) for row in whole.history
    ]
    counts = [len(state["positions"]) for state in saved]
    assert max(counts) == len(solution.slabs) * len(solution.slabs[0]) == len(whole.positions)
    for number in range(1, max(counts) + 1):
        places = [i for i, count in enumerate(counts) if count == number]
        for place in {places[len(places) // 2], places[-1]} if number == max(counts) else {places[-1]}:
            case = march(problem, **settings)
            again = case.run([Position(**copy.deepcopy(position)) for position in saved[place]["positions"]])
            assert torch.equal(again.theta, solution.theta), (number, place)
            assert [row["loss"] for row in case.history] == [row["loss"] for row in whole.history]
            assert case.stopped == whole.stopped


def test_a_larger_budget_prolongs_the_last_training() -> None:
    problem = load_problem("wave1d")
    short = march(problem, slabs=2, budget=Budget(12, 100.0))
    solution = short.run()
    case = march(problem, slabs=2, budget=Budget(20, 100.0))
    longer = case.run(short.positions)
    assert torch.equal(longer.slabs[0][0].theta, solution.slabs[0][0].theta)
    assert [position.total for position in case.positions] == [6, 14]


def trained_on(training: March, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return the interior points (N, d) of every system that a march solves, in order."""
    seen: list[Tensor] = []
    system, cells = Collocation.system, Collocation.in_cells

    def noted(residuals: Residuals) -> None:
        equations = tuple(residuals.ansatz.problem.equations)
        seen.append(torch.cat([batch.at.array() for batch in residuals.batches if batch.labels == equations]))

    def system_noted(self: Collocation, *arguments: Any, **named: Any) -> Any:
        found = system(self, *arguments, **named)
        noted(found)
        return found

    def cells_noted(self: Collocation, *arguments: Any) -> Any:
        found = cells(self, *arguments)
        noted(found.residuals)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Collocation, "system", system_noted)
        patch.setattr(Collocation, "in_cells", cells_noted)
        solution = training.run()
    return [seen[-1], solution.slabs[-1][0].collocation()]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sampling": Sampling(least=120, ratio=2.0, adaptive=0.5, redraw=5)},
        {"model": small_kan(width=(2,), grid=8, degree=(6, 4), start_grid=4)},
        {"slabs": 2},
    ],
    ids=["one stage", "adaptive points", "two stages", "two slabs"],
)
def test_the_points_of_the_last_stage_are_known(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    last, found = trained_on(march(load_problem("heat1d"), **settings), monkeypatch)
    assert torch.equal(last, found)


def test_the_points_of_all_products_are_gauss_points_in_their_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    model = KAN(start_grid=4, products=4, start_products=2, parameters=300, knots="adaptive", grid=20, degree=(5, 1))
    settings = {"model": replace(model, start_products=None), "sampling": Sampling(), "budget": Budget(3, 100.0)}
    last, found = trained_on(march(load_problem("heat1d"), **settings), monkeypatch)
    assert torch.equal(last, found)
    assert len(found[:, 0].unique()) < 0.2 * len(found)
