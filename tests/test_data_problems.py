"""Problems that consist of data alone: what they are made of, how they are divided, trained and judged."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special

import kanpde.run
from kanpde import KAN, MLP, Box, Budget, KanpdeError, LevenbergMarquardt, Points, Problem, Sampling, observe, sampled
from kanpde.check import check, fewest_rows
from kanpde.cli import main
from kanpde.constraint import HELD_OUT
from kanpde.library import load_problem
from kanpde.model import Ansatz
from kanpde.multiindex import IndexSet
from kanpde.reference import exact
from kanpde.reference.fem import ladder
from kanpde.run import Run, solve
from kanpde.training import better
from kanpde.training_points import Collocation


@pytest.fixture(autouse=True, scope="module")
def without_timing() -> Iterator[None]:
    """Leave out what only measures times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kanpde.run, "evaluation_seconds", lambda *_: 0.0)
        yield


SQUARE = Box(x=(-1, 1), y=(0, 1))
ONE_START = LevenbergMarquardt(starts=1, start_iterations=3)
SMALL = KAN(products=3, grid=1, degree=(7, 1), knots="uniform")


def function(at: Points) -> torch.Tensor:
    return torch.exp(at.x) * (1 + at.y) + at.y**2


def problem(count: int = 200, noise: float = 0.0, **settings: Any) -> Problem:
    data = sampled(function, SQUARE, count, noise=noise)
    return Problem(geometry=SQUARE, constraints={"data": data}, reference=exact(function), **settings)


@pytest.fixture(scope="module")
def run() -> Run:
    return solve(problem(), SMALL, ONE_START, budget=Budget(iterations=40), threads=1)


def test_unknowns_are_those_that_the_data_name() -> None:
    def seen(of: Any) -> Problem:
        return Problem(SQUARE, constraints={"data": observe([[0.0, 0.5]], [1.0], of)})

    assert seen(None).unknowns == ("u",)
    assert seen("v").unknowns == ("v",)
    assert seen(lambda p, q, at: p * q).unknowns == ("p", "q")
    assert seen("v").order == 0
    assert seen(lambda p, at: p.d("x")).order == 1
    with pytest.raises(KanpdeError, match=r"has no equations: give equations=.*, or only data to fit"):
        Problem(SQUARE)


def test_whether_data_are_affine_is_seen() -> None:
    assert problem().affine
    squared = observe([[0.0, 0.5]], [1.0], lambda u, at: u**2)
    assert not Problem(SQUARE, constraints={"data": squared}).affine


def test_samples_are_reproduced_and_have_the_errors_that_were_asked_for() -> None:
    one, same, other = (sampled(function, SQUARE, 4000, noise=0.1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.points, same.points)
    assert torch.equal(one.values, same.values)
    assert not torch.equal(one.points, other.points)
    values = function(Points.of(SQUARE.names, one.points))
    assert one.noise == pytest.approx(0.1 * float(values.std()))
    assert float((one.values - values).std()) == pytest.approx(one.noise, rel=0.05)
    with pytest.raises(KanpdeError, match="1 samples: give at least 2"):
        sampled(function, SQUARE, 1)


def test_a_part_of_the_data_is_held_out_and_never_trained_on() -> None:
    whole = problem(200)
    trained, held_out = (part.constraints["data"].groups(SQUARE) for part in whole.divided())
    assert len(held_out.values) == HELD_OUT * 200
    together = torch.cat([trained.at.array(), held_out.at.array()])
    assert {tuple(row) for row in together.tolist()} == {tuple(row) for row in observed(whole).tolist()}
    assert len(together) == 200

    points = Collocation(Ansatz(whole), Sampling(), 3, torch.zeros((), dtype=torch.float64))
    network, theta = small_network(whole)
    assert torch.equal(points.system(network, theta, 1, 0).points(), trained.at.array())
    assert torch.equal(points.held_out(network, 0).points(), held_out.at.array())
    assert points.scales["data"] == pytest.approx(float(whole.constraints["data"].values.std()), rel=0.01)

    single = Problem(SQUARE, constraints={"data": observe([[0.0, 0.5]], [1.0])})
    assert [part.data for part in single.divided()] == [1, 1]


def observed(whole: Problem) -> torch.Tensor:
    return whole.constraints["data"].groups(SQUARE).at.array()


def small_network(whole: Problem) -> tuple[Any, torch.Tensor]:
    lower, upper = (torch.tensor(side, dtype=torch.float64) for side in (SQUARE.lower, SQUARE.upper))
    network = SMALL.suited(whole).network(lower, upper, 1)
    return network, torch.zeros(network.parameters, dtype=torch.float64)


def test_a_function_is_fitted(run: Run) -> None:
    assert run.errors is not None
    assert run.errors.rel_l2 < 3e-4
    assert run.u(0.3, 0.5) == pytest.approx(math.exp(0.3) * 1.5 + 0.25, rel=1e-3)
    assert math.isfinite(run.errors.rel_h1)
    assert {tuple(row) for row in run.points.tolist()} < {tuple(row) for row in observed(run.problem).tolist()}


def test_pictures_have_no_residuals(run: Run, tmp_path: Path) -> None:
    assert run.pictures == ("solution", "convergence", "network")
    assert run.sample.residual is None
    assert run.plot(tmp_path / "u.png").stat().st_size > 1000


def test_a_fit_that_was_interrupted_ends_as_another_one_with_its_seed(run: Run, tmp_path: Path) -> None:
    solve(problem(), SMALL, ONE_START, budget=Budget(iterations=8), threads=1, checkpoint=tmp_path / "fit.pt")
    ended = solve(problem(), SMALL, ONE_START, budget=Budget(iterations=40), threads=1, checkpoint=tmp_path / "fit.pt")
    assert torch.equal(ended.theta, run.theta)


def test_settings_follow_the_data() -> None:
    few, many = problem(60), problem(1000)
    for small, model in ((few, KAN().suited(few)), (many, KAN().suited(many))):
        assert model.parameters == small.data // 2
        assert model.suited(small) == model
    sizes = [len(KAN().suited(p).attempts()) for p in (few, many)]
    assert sizes[0] <= sizes[1] == 3
    widths = [MLP().suited(p).width for p in (few, many)]
    assert widths == [(3, 3), (19, 19)]
    assert MLP(width=(4,)).suited(few).width == (4,)
    assert fewest_rows(many, 100, Sampling()) == 1000
    assert KAN(width=(5,), grid=3).suited(many).attempts() == [KAN(width=(5,), grid=3).suited(many)]


def test_of_networks_that_are_tried_the_best_on_held_out_data_is_kept() -> None:
    product = KAN(products=1, grid=1, degree=(5, 1), knots="uniform")
    model = KAN(products=2, grid=1, degree=(5, 1), knots="uniform", alternatives=(product,))
    found = solve(problem(), model, ONE_START, budget=Budget(iterations=60), threads=1)
    assert found.errors is not None
    assert found.errors.rel_l2 < 2e-4  # one product is off by more
    alone = solve(problem(), product, ONE_START, budget=Budget(iterations=60), threads=1)
    assert alone.errors is not None
    assert alone.errors.rel_l2 > 5e-3


def test_noise_is_not_fitted() -> None:
    found = solve(problem(300, noise=0.05), KAN(), ONE_START, budget=Budget(iterations=40), threads=1)
    assert found.errors is not None
    assert found.errors.rel_l2 < 0.012


def test_a_fit_goes_on_from_another_one(run: Run) -> None:
    steps = Budget(iterations=1)
    ahead = solve(problem(), SMALL, ONE_START, budget=steps, threads=1, start=run)
    assert run.errors is not None
    assert ahead.errors is not None
    assert ahead.errors.rel_l2 <= 2 * run.errors.rel_l2
    with pytest.raises(KanpdeError, match=r"start: it has a network of .* parameters"):
        solve(problem(), MLP(width=(3,)), ONE_START, budget=steps, threads=1, start=run)


def test_a_spline_learns_on_without_forgetting() -> None:
    spline = KAN(width=(), grid=100, degree=3, start_grid=100, knots="uniform")
    x = torch.linspace(-1, -0.6, 101, dtype=torch.float64)
    wanted = torch.exp(-300 * (x + 0.8) ** 2)
    found = None
    misfits = []
    for phase in (1, 2):
        shown = load_problem("continual", phase=phase)
        found = solve(shown, spline, LevenbergMarquardt(), threads=1, budget=Budget(iterations=50), start=found)
        misfits.append(float((found.u(x) - wanted).norm() / wanted.norm()))
    assert misfits[0] < 5e-4
    assert misfits[1] < 1.01 * misfits[0]


def test_what_makes_no_sense_for_data_is_refused() -> None:
    with pytest.raises(KanpdeError, match=r"sampling.adaptive=0.5, .* has no equations"):
        solve(problem(), SMALL, sampling=Sampling(adaptive=0.5), budget=Budget(iterations=1))
    with pytest.raises(KanpdeError, match="one equation for each unknown"):
        ladder(problem())


def test_two_classes_are_told_apart(tmp_path: Path) -> None:
    moons = load_problem("moons", samples=300, tests=500)
    model = KAN(products=2, grid=4, degree=(3, 1), start_grid=2, knots="uniform")
    found = solve(moons, model, ONE_START, budget=Budget(iterations=60), threads=1)
    assert found.errors is not None
    assert moons.reference is not None
    rule = moons.reference.rule(moons.geometry)
    assert rule is not None
    at, _ = rule
    logits = found.taylor(at, IndexSet(("x", "y")))[0, :, 0]
    right = float(((logits > 0) == (moons.reference.taylor(at, IndexSet(("x", "y")))[0, :, 0] > 0)).double().mean())
    assert right > 0.96
    assert found.errors.verdict.startswith(f"{100 * right:.1f} % of 500 test points right, cross-entropy 0.")
    assert found.sample.reference is None
    assert found.sample.labels is not None
    assert found.plot(tmp_path / "u.png").stat().st_size > 1000


def test_a_network_that_is_wild_is_kept_only_if_all_are() -> None:
    network, theta = small_network(problem())
    tame = better(None, network, theta, 2.0)
    assert better(tame, network, theta, 1.0, wild=True) is tame
    wild = better(None, network, theta, 2.0, wild=True)
    assert better(wild, network, theta, 1.0, wild=True)["held_out"] == 1.0
    assert better(wild, network, theta, 3.0)["held_out"] == 3.0


# Values from tables: DLMF 22.5, 19.6, and Abramowitz & Stegun.
KNOWN = [
    ("jv", (0.0, 2.404825557695773), 0.0),
    ("kv", (0.5, 1.0), math.sqrt(math.pi / 2) * math.exp(-1)),
    ("iv", (0.5, 1.0), math.sqrt(2 / math.pi) * math.sinh(1.0)),
    ("yv", (0.5, 1.0), -math.sqrt(2 / math.pi) * math.cos(1.0)),
    ("ellipj", (0.7, 0.0), math.sin(0.7)),
    ("ellipkinc", (0.7, 0.0), 0.7),
    ("ellipeinc", (0.7, 0.0), 0.7),
    ("lpmv_m0", (2.0, 0.5), -0.125),
    ("sph_harm_m0_n1", (0.3, 0.0), math.sqrt(3 / (4 * math.pi))),
]


@pytest.mark.parametrize(("name", "place", "value"), KNOWN)
def test_special_functions_are_what_they_are_called(name: str, place: tuple[float, float], value: float) -> None:
    fitted = load_problem("fit_special", function=name, samples=10)
    assert fitted.reference is not None
    at = Points.of(fitted.geometry.names, torch.tensor([place], dtype=torch.float64))
    found = fitted.reference.taylor(at, IndexSet(fitted.geometry.names))
    assert float(found) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", ["fit_special", "fit_feynman", "fit_function"])
def test_all_functions_have_samples_that_their_references_have(name: str) -> None:
    argument = "law" if name == "fit_feynman" else "function"
    with pytest.raises(KanpdeError, match="Known: ") as error:
        load_problem(name, **{argument: "none"})
    listed = str(error.value).partition("Known: ")[2].rstrip(".").split(", ")
    assert len(listed) == {"fit_special": 15, "fit_feynman": 27, "fit_function": 5}[name]
    for function_name in listed:
        (row,) = check(load_problem(name, samples=50, **{argument: function_name}))
        assert row.residual is not None
        assert row.residual <= 1e-13


def test_some_laws_have_known_values() -> None:
    def value(law: str, *place: float) -> float:
        fitted = load_problem("fit_feynman", law=law, samples=2)
        assert fitted.reference is not None
        at = Points.of(fitted.geometry.names, torch.tensor([place], dtype=torch.float64))
        return float(fitted.reference.taylor(at, IndexSet(fitted.geometry.names)))

    assert value("I.16.6", 0.5, 0.5) == pytest.approx(0.8)
    assert value("I.29.16", 2.0, 0.3, 0.3) == pytest.approx(1.0)
    assert value("I.37.4", 1.0, 0.0) == pytest.approx(4.0)
    assert value("I.18.4", 1.0, 0.5) == pytest.approx(0.75)
    assert value("III.9.52", 0.7, 2.0, 2.0) == pytest.approx(0.7)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    columns = generator.uniform(0, 2, (3, 150))
    rows = np.column_stack([*columns, special.jv(1, columns[0]) + columns[1]])
    path = tmp_path / "mine.csv"
    np.savetxt(path, rows, delimiter=",", header="a,b,c,height", comments="")
    return path


def test_a_table_is_divided_into_training_and_test(table: Path) -> None:
    fitted = load_problem("fit_table", path=str(table), target="height", inputs=["a", "b"], test=0.2)
    assert fitted.geometry.names == ("a", "b")
    assert fitted.data == 120
    assert fitted.reference is not None
    rule = fitted.reference.rule(fitted.geometry)
    assert rule is not None
    tested = {tuple(row) for row in rule[0].array().tolist()}
    seen = {tuple(row) for row in fitted.constraints["rows"].groups(fitted.geometry).at.array().tolist()}
    assert (len(tested), len(tested & seen)) == (30, 0)
    assert load_problem("fit_table", path=str(table), target="height").geometry.names == ("a", "b", "c")
    assert load_problem("fit_table", path=str(table), target="height", test=0.0).reference is None
    found = solve(fitted, SMALL, ONE_START, budget=Budget(iterations=20), threads=1)
    assert found.errors is not None
    assert found.errors.rel_l2 < 5e-4


BAD_TABLES: list[tuple[dict[str, Any], str]] = [
    ({"path": ""}, "fit_table needs a table and what to fit"),
    ({"target": "depth"}, "unknown column of .*: 'depth'. Known: a, b, c, height"),
    ({"inputs": ["a", "d"]}, "unknown column of .* beside 'height': 'd'"),
    ({"test": 1.0}, "test=1.0: the share of the rows"),
    ({"path": "nowhere.csv"}, "there is no table 'nowhere.csv'"),
]


@pytest.mark.parametrize(("change", "message"), BAD_TABLES)
def test_bad_tables_are_refused(change: dict[str, Any], message: str, table: Path) -> None:
    with pytest.raises(KanpdeError, match=message):
        load_problem("fit_table", **{"path": str(table), "target": "height", **change})


def test_columns_that_are_no_coordinates_are_refused(tmp_path: Path) -> None:
    for name, values, message in (("part", [1, 2, 3], "has a name that is taken"), ("a", [1, 1, 1], "is constant")):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join([f"{name},u", *(f"{x},{x}.5" for x in values)]))
        with pytest.raises(KanpdeError, match=message):
            load_problem("fit_table", path=str(path), target="u")


def test_the_command_line_fits(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["problem=fit_table", f"problem.path={table}", "problem.target=height", "problem.inputs=[a,b]"]
    assert main(["check", *arguments]) == 0
    settings = ["model.products=2", "model.grid=2", "model.knots=uniform", "budget.iterations=5", "out=here"]
    assert main([*arguments, *settings, "baseline=none", "pictures=false", "threads=1"]) == 0
    text = capsys.readouterr().out
    assert "test set" in text
    assert (tmp_path / "here" / "results.json").is_file()
    assert main(["report", "here"]) == 0
