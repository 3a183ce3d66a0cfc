"""Solving with all products of splines: what is refined, how time goes on, and what ends it."""

import copy
import math
from math import inf

import pytest
import torch
from oracles import front, points_in

import kanpde.full as module
import kanpde.training_points
from kanpde import KAN, Box, Field, Points, Problem, Sampling, dirichlet, neumann, periodic
from kanpde.basis import BSpline
from kanpde.full import FullProduct, Search, graded, products
from kanpde.library import load_problem
from kanpde.model import Ansatz
from kanpde.multiindex import IndexSet
from kanpde.training_points import Collocation

MODEL = KAN(degree=(6, 1), grid=60, parameters=600, products=24)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 200)


def burgers(u: Field, at: Points) -> torch.Tensor:
    return u.d("t") + u * u.d("x") - 0.1 * u.d("xx")


BURGERS = Problem(
    Box(x=(-1, 1), t=(0, 1)),
    {"momentum": burgers},
    {"start": dirichlet("t-", lambda at: -torch.sin(torch.pi * at.x)), "walls": dirichlet("x", 0.0)},
)


def full_product(problem: Problem, device: torch.device, mode: str = "hard", marches: bool = True) -> FullProduct:
    like = torch.zeros((), dtype=torch.float64, device=device)
    collocation = Collocation(Ansatz(problem, mode), Sampling(), 0, like)
    return FullProduct(collocation, MODEL.suited(problem), marches)


def silent(loss: float, parameters: int) -> str:
    return ""


def test_time_goes_on_and_knots_follow(device: torch.device) -> None:
    full, reached = full_product(BURGERS, device), []
    search = full.start()
    assert search.ended == 0
    full.run(search, silent, lambda: reached.append(full.reach(search)))
    assert reached == sorted(reached)
    assert reached[0] == pytest.approx(0.1)
    assert reached[-1] == 1.0
    assert search.found
    assert search.stopped
    assert search.residuals == sorted(search.residuals, reverse=True)
    nodes = full.nodes(search)
    assert nodes.error < 1e-5
    assert nodes.count * (nodes.fast.size + nodes.slow.size + 2) <= 600
    assert search.held_out < 1e-4


@pytest.mark.slow
def test_a_search_goes_on_from_wherever_it_was(device: torch.device) -> None:
    saved: list[dict[str, object]] = []
    full = full_product(BURGERS, device)
    search = full.start()
    full.run(search, silent, lambda: saved.append(copy.deepcopy(vars(search))))
    for before in (saved[len(saved) // 2], saved[-2]):
        again = Search(**copy.deepcopy(before))  # type: ignore[arg-type]
        full_product(BURGERS, device).run(again, silent, lambda: None)
        assert torch.equal(again.theta, search.theta)
        assert again.stopped == search.stopped


def test_a_limit_ends_it_between_iterations(device: torch.device) -> None:
    count = 0

    def note(loss: float, parameters: int) -> str:
        nonlocal count
        count += 1
        return "enough" if count == 7 else ""

    full = full_product(BURGERS, device)
    search = full.start()
    full.run(search, note, lambda: None)
    assert (count, search.stopped, search.found) == (7, "enough", False)
    assert 0.1 <= full.reach(search) < 1
    nodes = full.nodes(search)
    assert nodes.count > 0


def test_cells_are_cut_across_the_front(device: torch.device) -> None:
    """The residual varies at the scale of cells along x only."""
    problem = Problem(Box(x=(0, 1), y=(0, 1)), {"front": front}, {})
    full = full_product(problem, device, marches=False)
    search, full._note = full.start(), silent
    full._go_on(search)
    splines = full._splines(search)
    fast, slow = search.variations
    assert (len(fast), len(slow)) == (splines.fast.intervals, splines.slow.intervals)
    assert float(fast.sum()) > 1e3 * float(slow.sum())
    where = (fast.argmax() + 0.5) / len(fast)
    assert abs(float(where) - 0.35) < 0.15
    before = splines.slow.intervals
    full._refine(search, splines)
    finer = full._splines(search)
    assert finer.slow.intervals == before
    assert finer.fast.intervals > splines.fast.intervals
    shortest = finer.fast.breaks[0].diff().argmin()
    assert abs(float(finer.fast.breaks[0, shortest] + 1) / 2 - 0.35) < 0.15


def test_equations_without_solution_are_given_up(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFINEMENTS", 1)
    problem = Problem(Box(x=(0, 1), y=(0, 1)), {"never": lambda u, at: u**2 + 1.0}, {})
    full = full_product(problem, device, marches=False)
    search = full.start()
    full.run(search, silent, lambda: None)
    assert not search.found
    assert search.stopped.startswith("no solution found: relative residual")


def test_an_interval_that_starts_poorly_is_cut(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    full = full_product(BURGERS, device)
    search, full._note = full.start(), silent
    full._go_on(search)
    monkeypatch.setattr(module, "JUMP", 0.0)
    monkeypatch.setattr(module, "CUTS", 2)
    full._lengthen(search, full._splines(search))
    splines = full._splines(search)
    assert full.reach(search) == pytest.approx(0.125)
    lengths = splines.slow.breaks[0].diff()
    assert float((lengths[1:] / lengths[:-1]).max()) <= 2.01
    assert float((lengths[:-1] / lengths[1:]).max()) <= 2.01


@pytest.mark.slow
def test_time_goes_on_in_a_window(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is solved again is a few intervals, in front of which coefficients stay; in the end everything is."""
    monkeypatch.setattr(module, "WINDOW", 8)
    full, parts = full_product(BURGERS, device, "soft"), []
    search = full.start()

    def save() -> None:
        parts.append((search.begun, search.ended))

    before = search.theta
    full._note = silent
    while search.begun < 1:
        before = search.theta
        full._go_on(search)
        save()
    assert {ended - begun for begun, ended in parts if begun} == {8}
    kept = (search.begun + 6) * full._splines(search).fast.size
    if len(before) == len(search.theta):
        assert torch.equal(search.theta[:kept], before[:kept])
        assert not torch.equal(search.theta, before)
    full.run(search, silent, save)
    assert search.found
    assert parts[-1][0] == 0
    assert search.held_out < 1e-4
    late, _ = full._splines(search).part(2, 4)
    labels = {batch.labels for batch in full.collocation.held_out_cells(late).batches}
    assert labels == {("momentum",), ("walls",)}


@pytest.mark.parametrize("repeats", [False, True])
def test_neighbouring_intervals_differ_by_a_factor_of_two(repeats: bool) -> None:
    one = torch.ones(1, dtype=torch.float64)
    basis = BSpline.uniform(3, 8, -one, one, repeats)
    for _ in range(4):
        marked = torch.zeros(basis.intervals, dtype=torch.bool)
        marked[0] = True
        cut = graded(basis, marked)
        assert bool(cut[0])
        basis, _ = basis.bisected(cut)
    lengths = basis.breaks[0].diff()
    ratio = lengths[1:] / lengths[:-1]
    assert float(lengths[0]) == 2 / 8 / 16
    assert float(ratio.max()) <= 2
    assert float(lengths[-1]) == (2 / 8 / 8 if repeats else 2 / 8)


def test_gauss_points_fill_the_cells(device: torch.device) -> None:
    """Weights are shares of the domain and of the boundary, and points with few splines are many."""
    box = Box(x=(-1, 1), t=(0, 2))
    conditions = {"start": dirichlet("t-", 0.0), "flux": neumann("x", lambda at: at.t)}
    problem = Problem(box, {"momentum": burgers}, conditions)
    full = full_product(problem, device, "soft")
    search = full.start()
    splines = full._splines(search)
    cells = full.collocation.in_cells(splines.part(0, 3)[0], 1)
    assert float(cells.weights.sum()) == pytest.approx(1.0, rel=1e-12)
    assert len(cells.intervals[0]) == 7 + 7 + 14 * 3
    assert len(cells.intervals[1]) == 7 + 7 + 3
    batches = {batch.labels: batch for batch in cells.residuals.batches}
    times = batches["flux",].at.t
    assert len(times) == 2 * 17
    assert 0 < float(times.min()) < float(times.max()) < 0.6
    assert float(batches["flux",].scaling.square().sum()) == pytest.approx(
        1 / full.collocation.scales["flux"] ** 2, rel=1e-12
    )
    assert set(batches["flux",].at.normal[:, 0].tolist()) == {-1.0, 1.0}


def test_the_slow_coordinate_is_time_or_does_not_repeat() -> None:
    like = torch.zeros((), dtype=torch.float64)
    allen_cahn = load_problem("allen_cahn")
    own = products(KAN().suited(allen_cahn), allen_cahn, like)
    assert own.axes == (0, 1)
    assert own.fast.periodic
    box = Box(x=(0, 1), y=(0, 1))
    problem = Problem(box, {"nonlinear": lambda u, at: u.d("xx") + u.d("yy") - u**2}, {"repeats": periodic("y")})
    own = products(KAN().suited(problem), problem, like)
    assert own.axes == (1, 0)
    assert own.fast.periodic
    assert not own.slow.periodic


def test_it_converges_with_its_knots(device: torch.device) -> None:
    """The error in the solution of Burgers' equation falls as its knots are refined, without the reference."""
    problem = load_problem("burgers1d", nu=0.1)
    full = full_product(problem, device)
    search, errors = full.start(), []
    value = IndexSet(problem.geometry.names)
    at = Points.of(problem.geometry.names, points_in((-1.0, 0.0), (1.0, 1.0), 500, full.collocation.like))
    assert problem.reference is not None
    wanted = problem.reference.taylor(at, value)[0, :, 0]

    def save() -> None:
        if search.begun or search.ended < full._splines(search).slow.intervals or search.held_out == inf:
            return
        splines = full._splines(search)
        output, _ = splines.forward(search.theta, value, splines.first(value, at.array()))
        u = full.collocation.ansatz.frame(value, at).solution(output)[0, :, 0]
        errors.append(float((u - wanted).norm() / wanted.norm()))

    full.run(search, silent, save)
    assert errors[-1] < 1e-7
    assert errors[-1] < 1e-2 * errors[0]


def test_ordinary_equations_are_solved_on_one_coordinate(device: torch.device) -> None:
    """u_t = v, v_t = -sin u: the pendulum goes on in time, and each unknown is one function of it."""
    equations = {
        "angle": lambda u, v, at: u.d("t") - v,
        "speed": lambda u, v, at: v.d("t") + torch.sin(u),
    }
    conditions = {"angle_start": dirichlet("t-", 1.0, "u"), "speed_start": dirichlet("t-", 0.0, "v")}
    problem = Problem(Box(t=(0, 12)), equations, conditions)
    like = torch.zeros((), dtype=torch.float64, device=device)
    collocation = Collocation(Ansatz(problem), Sampling(), 0, like)
    model = KAN().suited(problem)
    full = FullProduct(collocation, model, True)
    search = full.start()
    full.run(search, silent, lambda: None)
    assert search.found
    nodes = full.nodes(search)
    assert nodes.count == 2
    plain = model.network(like.new_zeros(1), like.new_full((1,), 12.0), 2)
    points = points_in((0.0,), (12.0,), 200, like)
    network, theta = nodes.network(plain, points)
    value = IndexSet(("t",))
    at = Points.of(("t",), points)
    output, _ = network.forward(theta, value, network.first(value, points), reverse=False)
    u, v = collocation.ansatz.frame(value, at).solution(output)[0].T
    energy = 0.5 * v**2 - torch.cos(u)
    assert float((energy + math.cos(1.0)).abs().max()) < 1e-8
