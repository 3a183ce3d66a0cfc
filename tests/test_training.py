"""The loop: random starts, stages, budgets, more points where a stage overfits, and exact checkpoints."""

import copy
from dataclasses import replace
from math import inf, isnan
from time import perf_counter
from typing import Any

import pytest
import torch
from examples import small_kan
from oracles import close, front, points_in
from torch import Tensor

import kanpde.training
import kanpde.training_points
from kanpde import (
    KAN,
    LBFGS,
    MLP,
    Adam,
    Box,
    Budget,
    Chain,
    Field,
    KanpdeError,
    LevenbergMarquardt,
    Points,
    Problem,
    Sampling,
    dirichlet,
)
from kanpde.library import load_problem
from kanpde.model import Network
from kanpde.multiindex import IndexSet
from kanpde.position import Position, Row
from kanpde.solver import Solver
from kanpde.training import Trainer
from kanpde.training_points import Collocation

MODEL = small_kan(width=(2,), grid=8, degree=(6, 4), start_grid=4)
SOLVER = LevenbergMarquardt(starts=2, start_iterations=4, stage_iterations=15)
SAMPLING = Sampling(least=150, ratio=3.0)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 200)


@pytest.fixture
def problem() -> Problem:
    return load_problem("poisson2d_sinsin")


def trainer(
    problem: Problem,
    model: KAN | MLP = MODEL,
    solver: Solver = SOLVER,
    sampling: Sampling = SAMPLING,
    conditions: str = "hard",
    iterations: int = 1000,
    seconds: float = 100.0,
    seed: int = 0,
    device: torch.device = CPU,
) -> Trainer:
    return Trainer(problem, model, solver, sampling, conditions, Budget(iterations, seconds), seed, device)


def test_stages_follow_the_starts(problem: Problem, device: torch.device) -> None:
    rows: list[Row] = []
    network, theta, position = trainer(problem, device=device).run(progress=rows.append)
    assert position.phase == "done"
    assert [row.stage for row in rows] == sorted(row.stage for row in rows)
    assert {row.stage for row in rows} == {0, 1, 2}
    assert [row.iteration for row in rows] == list(range(1, position.total + 1))
    assert sum(row.stage == 0 for row in rows) == 2 * 4
    assert len({row.parameters for row in rows}) == 2
    assert rows[-1].parameters == network.parameters == len(theta)
    assert network.layers[0].edges[0].basis.size == 8 + 6
    assert {row.stage for row in rows if not isnan(row.held_out)} == {1, 2}
    assert rows[-1].loss < 1e-1 * rows[0].loss
    assert theta.device.type == device.type
    assert position.stopped


def test_one_seed_gives_one_result(problem: Problem, device: torch.device) -> None:
    def run(seed: int) -> tuple[Tensor, list[float]]:
        _, theta, position = trainer(problem, seed=seed, device=device).run()
        return theta, [row["loss"] for row in position.history]

    (theta, losses), (again, losses_again), (other, _) = run(0), run(0), run(1)
    assert torch.equal(theta, again)
    assert losses == losses_again
    assert not torch.equal(theta, other)


def test_the_best_start_goes_on(problem: Problem) -> None:
    saved: list[dict[str, Any]] = []
    solver = replace(SOLVER, starts=4)
    trainer(problem, solver=solver).run(checkpoint=lambda state: saved.append(copy.deepcopy(state["position"])))
    starts = [p for p in saved if p["phase"] == "starts"]
    assert [p["start"] for p in starts] == [1, 2, 3, 4]
    held_out = [p["best"]["held_out"] for p in starts]
    assert held_out == sorted(held_out, reverse=True)
    first = next(p for p in saved if p["phase"] == "stages")
    assert first["stage"] == 1


def test_what_is_returned_has_the_lowest_held_out_loss(problem: Problem) -> None:
    case = trainer(problem)
    network, theta, position = case.run()
    assert position.best is not None
    loss = case.collocation.held_out(network, position.draws).loss(theta)
    assert loss == pytest.approx(position.best["held_out"], rel=1e-6)


@pytest.mark.parametrize("iterations", [3, 10, 17])
def test_iterations_are_a_budget(problem: Problem, iterations: int) -> None:
    _, _, position = trainer(problem, iterations=iterations).run()
    assert position.total == iterations
    assert position.stopped == f"budget of {iterations} iterations"


def test_seconds_are_a_budget(problem: Problem) -> None:
    _, theta, position = trainer(problem, seconds=1e-9).run()
    assert position.stopped == "budget of 1e-09 s"
    assert position.total == 0
    assert bool(torch.isfinite(theta).all())


def test_a_stage_has_a_limit(problem: Problem) -> None:
    _, _, position = trainer(problem, solver=replace(SOLVER, stage_iterations=5)).run()
    assert position.stopped == "iteration limit of the stage (5)"
    assert position.total == 2 * 4 + 2 * 5


def coordinates(collocation: Collocation, network: Network, stage: int, draws: int) -> set[tuple[float, ...]]:
    theta = torch.zeros(network.parameters, dtype=torch.float64)
    system = collocation.system(network, theta, stage, draws)
    return {tuple(point) for batch in system.batches for point in batch.at.array().tolist()}


def test_every_stage_and_draw_has_points_of_its_own(problem: Problem) -> None:
    case = trainer(problem)
    network = MODEL.network(case.lower, case.upper, 1)
    sets = [coordinates(case.collocation, network, stage, draws) for stage in (0, 1, 2) for draws in (0, 1)]
    held_out = case.collocation.held_out(network, 0)
    sets.append({tuple(point) for batch in held_out.batches for point in batch.at.array().tolist()})
    assert len(set.union(*sets)) == sum(map(len, sets))
    assert len(sets[1]) == 2 * len(sets[0])


def test_a_stage_that_overfits_draws_more_points(problem: Problem) -> None:
    draws: list[int] = []
    small = Sampling(rule="gauss", least=16, ratio=0.2)
    trainer(problem, sampling=small).run(checkpoint=lambda state: draws.append(state["position"]["draws"]))
    assert max(draws) >= 1
    draws.clear()
    trainer(problem, sampling=Sampling(rule="gauss", points=16)).run(
        checkpoint=lambda state: draws.append(state["position"]["draws"])
    )
    assert max(draws) == 0


RESUMED: dict[str, dict[str, Any]] = {
    "levenberg-marquardt": {},
    "soft": {"conditions": "soft"},
    "adaptive": {"sampling": Sampling(points=150, adaptive=0.5, redraw=7)},
    "l-bfgs": {"solver": LBFGS(stage_iterations=20)},
    "adam": {"solver": Adam(stage_iterations=20)},
    "chain": {"solver": Chain((Adam(stage_iterations=8), LBFGS(stage_iterations=14)))},
    "mlp": {"model": MLP(width=(4,))},
}


GROWING = small_kan(width=(0,), products=3, start_products=1, grid=7, degree=(6, 4), start_grid=5, knots="adaptive")


@pytest.mark.parametrize("name", ["poisson2d_sinsin", "wave1d"])
def test_growing_networks_end_where_the_run_ended(
    name: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two steps of time, stages of four iterations, and every iteration is a checkpoint.
    for constant, value in {"SMOOTH": 0.0, "HORIZONS": 2, "GROWTHS": 1, "GROWTH_ITERATIONS": 4}.items():
        monkeypatch.setattr(kanpde.training, constant, value)
    monkeypatch.setattr(Trainer, "_due", lambda _: True)
    problem, saved = load_problem(name), []
    model = GROWING if name == "poisson2d_sinsin" else replace(GROWING, width=(1,))
    case = trainer(problem, model, device=device)
    network, theta, position = case.run(checkpoint=lambda state: saved.append(copy.deepcopy(state["position"])))
    network = case._network(position.bases)  # the best one may be of an earlier stage
    assert [layer.products for layer in network.layers] == [3, 0]
    lengths = [breaks.diff() for breaks in network.grids() if breaks is not None]
    assert sum(map(len, lengths)) == 2 * 7
    second = [p for p in saved if p["attempt"] == 1 and (p["start"] or p["phase"] == "stages")]
    assert {p["attempt"] for p in saved} == {0, 1}
    assert {p["horizon"] for p in second} == ({0.5, 1.0} if name == "wave1d" else {1.0})
    horizons = [p["horizon"] for p in second]
    assert horizons == sorted(horizons)
    for middle in (*saved[:: len(saved) // 4], saved[-1]):
        _, resumed, end = trainer(problem, model, device=device).run(Position(**copy.deepcopy(middle)))
        assert torch.equal(resumed, theta), (middle["attempt"], middle["stage"], middle["iteration"])
        assert [row["loss"] for row in end.history] == [row["loss"] for row in position.history]


def test_growth_does_not_change_the_function(
    problem: Problem, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Knots, and where they do not help product nodes, until there is nothing left to add."""
    monkeypatch.setattr(kanpde.training, "PROMISING", 0.0)
    model = replace(GROWING, grid=(7, 2), start_products=1)
    case = trainer(problem, model, replace(SOLVER, starts=1), iterations=5, device=device)
    _, _, position = case.run()
    position.attempt, position.bases, position.memory = 1, {}, None
    network = case._network({})
    position.theta = case.model.initial_parameters(network, torch.Generator().manual_seed(1)).to(case.like)
    at = Points.of(problem.geometry.names, points_in((0.0, 0.0), (1.0, 1.0), 50, case.like))
    value, kinds = IndexSet(problem.geometry.names), []
    while not case._grown(network):
        before = case.ansatz.taylor(network, position.theta, at, value)
        case._grow(network, 1.0)
        kinds.append(position.grew)
        network = case._network(position.bases)
        assert len(position.theta) == network.parameters
        assert close(case.ansatz.taylor(network, position.theta, at, value), before, 1e-11)
    assert kinds == ["knots", "products", "knots"]
    assert network.layers[0].products == 3


def test_knots_that_promise_little_are_not_cut(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kanpde.training, "PROMISING", inf)
    case = trainer(problem, replace(GROWING, products=6))
    position = case.position = Position(attempt=1)
    network = case._network({})
    position.theta = case.model.initial_parameters(network, torch.Generator().manual_seed(1))
    case._grow(network, 1.0)
    assert position.grew == "products"
    case._grow(case._network(position.bases), 1.0)
    assert position.grew == "knots"  # whatever they promise, since nodes did not help
    case._grow(case._network(position.bases), 0.1)
    assert position.grew == "products"


def test_a_growing_network_is_not_judged_by_what_it_has_not_seen() -> None:
    """A budget that ends before the end of time says so, and a solution that is smooth needs no growth."""
    wave = load_problem("wave1d")
    case = trainer(wave, GROWING, iterations=40)
    case.position = Position(attempt=1)
    case.run(case.position)
    assert case.position.horizon < 1
    assert case.position.stopped == "budget of 40 iterations, spent in the first 30 % of the time interval"
    hurried = trainer(wave, replace(GROWING, grid=40), iterations=60)
    hurried.position = Position(attempt=1, horizon=0.5, total=30, phase="stages")
    hurried._begin = perf_counter()
    network = hurried._network({})
    hurried.position.theta = hurried.model.initial_parameters(network, torch.Generator().manual_seed(0))
    hurried._grow(network, 1.0)
    assert hurried.position.horizon == 0.5
    assert hurried.position.growths == 1
    hurried.position.total = 31
    hurried._grow(network, 1.0)
    assert hurried.position.horizon == 0.6
    smooth = trainer(load_problem("poisson2d_sinsin"), replace(GROWING, start_products=6, products=8, grid=20))
    _, _, position = smooth.run()
    assert position.attempt == 0
    assert position.phase == "done"


def test_more_nodes_are_tried_where_few_leave_a_large_residual() -> None:
    """A source of rank 3, which one product node cannot give."""

    def rank_three(u: Field, at: Points) -> Tensor:
        return u - (torch.sin(at.x) + torch.cos(3 * at.x) * at.y + at.x**2 * torch.exp(at.y))

    problem = Problem(Box(x=(0, 1), y=(0, 1)), {"u": rank_three}, {})
    model = small_kan(width=(0,), products=3, start_products=1, grid=6, degree=(6, 1), start_grid=2)
    case = trainer(problem, model, sampling=Sampling(points=400))
    network, _, position = case.run()
    assert position.attempt == 1
    assert network.layers[0].products == 3
    assert position.best is not None
    assert position.best["held_out"] < 1e-9
    simple = replace(problem, equations={"u": lambda u, at: u - torch.sin(at.x) * at.y})
    assert trainer(simple, model).run()[2].attempt == 0


@pytest.fixture
def front_problem(monkeypatch: pytest.MonkeyPatch) -> Problem:
    """Return a problem for whose solution no few product nodes are tried, and that is soon solved."""
    monkeypatch.setattr(kanpde.training, "SMOOTH", 0.0)
    return load_problem("burgers1d", nu=0.1)


FULL = KAN(degree=(6, 1), grid=40, parameters=400, start_products=2, start_grid=8)


def test_networks_of_two_coordinates_come_from_all_products(front_problem: Problem, device: torch.device) -> None:
    """A solution with all products of splines becomes a network within its limits; a budget ends it as others."""
    solver = LevenbergMarquardt(starts=1, start_iterations=1, stage_iterations=1)
    case = trainer(front_problem, FULL, solver, Sampling(), seconds=1000.0, device=device)
    saved: list[dict[str, Any]] = []
    network, theta, position = case.run(checkpoint=lambda state: saved.append(copy.deepcopy(state["position"])))
    assert position.phase == "done"
    assert position.stopped.startswith("finer knots change the solution by less than")
    assert len(theta) == network.parameters <= 400
    assert isinstance(front_problem.reference, kanpde.problem.Reference)
    at = Points.of(("x", "t"), points_in((-1.0, 0.0), (1.0, 1.0), 500, case.like))
    value = IndexSet(("x", "t"))
    found, wanted = case.ansatz.taylor(network, theta, at, value), front_problem.reference.taylor(at, value)
    assert float((found - wanted).norm() / wanted.norm()) < 2e-5
    before = [p for p in saved if p["phase"] == "full"][-2]
    again = trainer(front_problem, FULL, solver, Sampling(), seconds=1000.0, device=device)
    _, resumed, end = again.run(Position(**copy.deepcopy(before)))
    assert torch.equal(resumed, theta)
    assert [row["loss"] for row in end.history] == [row["loss"] for row in position.history]
    hurried = trainer(front_problem, FULL, solver, Sampling(), iterations=10, seconds=1000.0, device=device)
    _, _, position = hurried.run()
    assert position.phase == "full"
    assert position.total == 10
    assert position.stopped.startswith("budget of 10 iterations, spent in the first")
    longer = trainer(front_problem, FULL, solver, Sampling(), seconds=1000.0, device=device)
    _, resumed, end = longer.run(position)
    assert end.phase == "done"
    assert torch.equal(resumed, theta)


def test_affine_equations_that_few_nodes_do_not_solve_are_solved_with_all_products(device: torch.device) -> None:
    problem = load_problem("torsion")
    model = KAN(grid=16, degree=(8, 1), start_products=1, products=24, parameters=400)
    solver = LevenbergMarquardt(starts=1, start_iterations=2, stage_iterations=5)
    case = trainer(problem, model, solver, Sampling(), device=device)
    network, theta, position = case.run()
    assert position.attempt == 1
    assert position.search is not None
    assert position.search["residuals"]
    assert len(theta) == network.parameters <= 400
    assert {len(breaks) - 1 for breaks in network.grids() if breaks is not None} <= set(range(33))
    at = Points.of(("x", "y"), points_in(problem.geometry.lower, problem.geometry.upper, 500, case.like))
    value = IndexSet(("x", "y"))
    assert isinstance(problem.reference, kanpde.problem.Reference)
    found, wanted = case.ansatz.taylor(network, theta, at, value), problem.reference.taylor(at, value)
    assert float((found - wanted).norm() / wanted.norm()) < 1e-7


def test_networks_grow_where_all_products_find_nothing(front_problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kanpde.full, "LOST", 0.0)
    monkeypatch.setattr(kanpde.full, "CLOSE", 0.0)
    monkeypatch.setattr(kanpde.full, "REFINEMENTS", 0)
    solver = LevenbergMarquardt(starts=1, start_iterations=1, stage_iterations=1)
    case = trainer(front_problem, FULL, solver, Sampling(), iterations=100)
    _, _, position = case.run()
    assert position.phase != "full"
    assert position.stage > 1
    assert position.search is not None
    assert position.search["stopped"].startswith("no solution found")


@pytest.mark.parametrize(
    "change",
    [
        {"model": replace(FULL, width=(1,))},
        {"model": replace(FULL, degree=6)},
        {"model": replace(FULL, knots="uniform", parameters=None)},
        {"solver": LBFGS()},
        {"sampling": Sampling(ratio=2.0)},
    ],
    ids=["sums", "outer splines", "even knots", "solver", "points"],
)
def test_other_settings_ask_for_growth(front_problem: Problem, change: dict[str, Any]) -> None:
    assert trainer(front_problem, FULL, sampling=Sampling())._may_be_full() is False  # the first attempt
    for given, wanted in (({}, True), (change, False)):
        case = trainer(front_problem, **{"model": FULL, "sampling": Sampling(), **given})
        case.position = Position(attempt=len(case.attempts) - 1)
        assert case._may_be_full() is wanted


def test_final_conditions_are_met_by_no_part_of_the_time() -> None:
    heat = load_problem("heat1d")
    assert trainer(heat)._passes_time()
    assert not trainer(load_problem("poisson2d"))._passes_time()
    late = replace(heat, conditions={**heat.conditions, "end": dirichlet("t+", 0.0)})
    assert not trainer(late, conditions="soft")._passes_time()


def test_knots_end_up_where_the_front_is(device: torch.device) -> None:
    problem = Problem(Box(x=(0, 1), y=(0, 1)), {"front": front}, {})
    model = small_kan(width=(0,), products=3, grid=40, degree=(3, 1), start_grid=10, knots="adaptive")
    solver = LevenbergMarquardt(starts=1, start_iterations=0, stage_iterations=10)
    case = trainer(problem, model, solver, Sampling(points=1000), device=device)
    _, _, position = case.run()
    breaks = case._network(position.bases).grids()[0]
    assert breaks is not None
    shortest = breaks[:-1][breaks.diff() < 1.5 * breaks.diff().min()]
    assert bool(((shortest > 0.25) & (shortest < 0.45)).all())
    assert float(breaks.diff().min()) <= 0.1 / 8


def test_deep_networks_converge() -> None:
    model = small_kan(width=(4,) * 5, grid=8, degree=5, hidden_grid=2)
    solver = LevenbergMarquardt(starts=1, start_iterations=0)
    sampling = Sampling(points=700)
    _, _, position = trainer(load_problem("poisson2d"), model, solver, sampling, iterations=8).run()
    losses = [row["loss"] for row in position.history]
    assert losses[-1] < 1e-2 * losses[0]


@pytest.mark.parametrize("name", RESUMED)
def test_every_checkpoint_ends_where_the_run_ended(name: str, problem: Problem, device: torch.device) -> None:
    saved: list[dict[str, Any]] = []
    _, theta, position = trainer(problem, **RESUMED[name], device=device).run(
        checkpoint=lambda state: saved.append(copy.deepcopy(state["position"]))
    )
    # The first, one in the middle of each stage, and the last.
    chosen = {0: saved[0], len(saved) - 1: saved[-1]}
    for stage in (1, 2):
        inside = [i for i, p in enumerate(saved) if p["stage"] == stage and p["iteration"] > 0]
        if inside:
            chosen[inside[len(inside) // 2]] = saved[inside[len(inside) // 2]]
    assert len(chosen) >= 3
    for middle in chosen.values():
        _, resumed, end = trainer(problem, **RESUMED[name], device=device).run(Position(**copy.deepcopy(middle)))
        assert torch.equal(resumed, theta), (middle["phase"], middle["stage"], middle["iteration"])
        assert end.total == position.total
        assert [row["loss"] for row in end.history] == [row["loss"] for row in position.history]


def test_causal_weights_ease_and_then_vanish() -> None:
    """Gamma is halved in the first stage until it is 0, and each checkpoint on the way goes on exactly."""
    wave, saved = load_problem("wave1d"), []
    settings: dict[str, Any] = {"sampling": replace(SAMPLING, causal=5.0), "solver": replace(SOLVER, starts=1)}
    _, theta, position = trainer(wave, **settings).run(
        checkpoint=lambda state: saved.append(copy.deepcopy(state["position"]))
    )
    assert position.eased == 3  # 5, 2.5, 1.25, and 0
    assert position.phase == "done"
    case = trainer(wave, **settings)
    for eased, gamma in enumerate((5.0, 2.5, 1.25, 0.0)):
        case.position = Position(eased=eased)
        assert case._gamma() == gamma
    case.position = Position(stage=2)
    assert case._gamma() == 0
    for place in range(0, len(saved), 2):
        _, resumed, end = trainer(wave, **settings).run(Position(**copy.deepcopy(saved[place])))
        assert torch.equal(resumed, theta)
        assert [row["loss"] for row in end.history] == [row["loss"] for row in position.history]
    _, plain, _ = trainer(wave, **{**settings, "sampling": SAMPLING}).run()
    assert not torch.equal(plain, theta)


def test_the_loss_of_late_stages_has_no_causal_weights() -> None:
    wave = load_problem("wave1d")
    causal, plain = (trainer(wave, sampling=replace(SAMPLING, causal=gamma)).collocation for gamma in (9.0, 0.0))
    network = MODEL.network(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64), 1)
    theta = torch.linspace(-1, 1, network.parameters, dtype=torch.float64)
    assert causal.held_out(network, 0).loss(theta) == plain.held_out(network, 0).loss(theta)
    assert causal.system(network, theta, 2, 0).loss(theta) == plain.system(network, theta, 2, 0).loss(theta)
    weighted = causal.system(network, theta, 1, 0, gamma=9.0)
    assert abs(weighted.loss(theta) / plain.system(network, theta, 1, 0).loss(theta) - 1) > 0.01


def test_causal_weights_without_time_are_refused(problem: Problem) -> None:
    with pytest.raises(KanpdeError, match=r"sampling.causal=2.0: there is no time"):
        trainer(problem, sampling=Sampling(causal=2.0))


def test_rough_splines_and_bad_sources_are_refused_before_training(problem: Problem) -> None:
    with pytest.raises(KanpdeError, match=r"degree=2 is too low for an equation of order 2"):
        trainer(problem, model=small_kan(degree=2))
    bad = replace(problem, equations={"e": lambda u, at: u.d("xx") - torch.log(at.x)})
    with pytest.raises(KanpdeError, match=r"'e' is not finite at x=-"):
        trainer(bad)
