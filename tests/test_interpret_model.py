"""Models of runs: the same solution, errors and Taylor coefficients; files; and fixing all edges."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sympy
import torch
from examples import small_kan
from models import SINES, X, model_of, values

from kanpde import KAN, MLP, Budget, KanpdeError, LevenbergMarquardt, Points, Run, Sampling, solve
from kanpde.basis.elementary import ELEMENTARY
from kanpde.interpret import Model
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.record import save_checkpoint

SETTINGS: dict[str, Any] = {
    "solver": LevenbergMarquardt(starts=1, start_iterations=2, stage_iterations=5),
    "sampling": Sampling(least=150),
    "device": "cpu",
    "threads": 1,
}
FEW = {name: ELEMENTARY[name] for name in ("x", "x^2", "sin")}


pytestmark = pytest.mark.usefixtures("_quick")


KANS: dict[str, tuple[str, KAN]] = {
    "sums and products": ("poisson2d_sinsin", small_kan((2,), products=1, start_grid=4)),
    "chebyshev": ("poisson2d_sinsin", small_kan((2,), basis="chebyshev", grid=8, start_grid=8)),
    "base": ("poisson2d_sinsin", small_kan((2,), base=True, start_grid=4)),
    "periodic": ("advection", small_kan((2,), grid=(6, 2), degree=(5, 3), start_grid=6)),
    "waves": ("advection", small_kan((1,), products=2, grid=(4, 1), degree=(5, 3), start_grid=4, basis="fourier")),
    "deep": ("poisson2d_sinsin", small_kan((2, 2), start_grid=4)),
}


@pytest.mark.parametrize("name", KANS)
@pytest.mark.parametrize("conditions", ["hard", "soft"])
def test_a_model_is_its_run(name: str, conditions: str, tmp_path: Path) -> None:
    problem, model = KANS[name]
    run = solve(problem, model, **SETTINGS, conditions=conditions, budget=Budget(iterations=3))
    inside, axes = run.model, run.problem.geometry.names
    indices = IndexSet(axes, [(2, 0), (1, 1), (0, 2)])
    at = Points.of(axes, inside.points[:40])
    expected = run.taylor(at, indices)
    scale = expected.abs().amax(dim=1, keepdim=True).clamp_min(1e-3)
    assert float(((inside.taylor(at, indices) - expected) / scale).abs().max()) < 1e-9
    assert inside.errors is not None
    assert run.errors is not None
    assert inside.errors.rel_l2 == pytest.approx(run.errors.rel_l2, rel=1e-9)
    assert inside.hard is (conditions == "hard")
    inside.save(tmp_path / "model.pt")
    again = Model.load(tmp_path / "model.pt", run.problem)
    assert torch.equal(again.taylor(at, indices), inside.taylor(at, indices))
    assert again.hard is inside.hard
    if inside.hard:
        with pytest.raises(KanpdeError, match=r"the formula is that of N in u = A \+ q N: use conditions=soft"):
            inside.check()
    changed = inside.unfix(0).refit(seconds=1.0)
    assert changed.residual < float("inf")


def test_a_formula_with_hard_conditions_is_that_of_the_network() -> None:
    problem = load_problem("poisson2d_sinsin")
    model = Model.from_formula(problem, {"u": X}, conditions="hard")
    at = Points.of(("x", "y"), torch.tensor([[1.0, 0.3], [-0.2, -1.0]], dtype=torch.float64))
    assert torch.equal(model.taylor(at, IndexSet(("x", "y")))[0, :, 0], torch.zeros(2, dtype=torch.float64))
    assert model.formula() == {"u": X}


def test_periodic_formulas_are_checked() -> None:
    problem = load_problem("advection", beta=2.0)
    t = sympy.Symbol("t", real=True)
    model = Model.from_formula(problem, {"u": sympy.sin(X - 2 * t)})
    assert not model.hard
    assert model.residual < 1e-13
    assert {statement.verdict for statement in model.check()} == {"exact"}


def test_splines_of_periodic_coordinates_repeat() -> None:
    problem = load_problem("advection", beta=2.0)
    t = sympy.Symbol("t", real=True)
    model = Model.from_formula(problem, {"u": sympy.sin(X) * sympy.exp(-t) + t})
    number = next(e for e, edge in enumerate(model.graph.edges) if edge.source == 0 and len(edge.chain) > 1)
    spline = model.unfix(number)
    assert torch.allclose(values(spline, model.points), values(model, model.points), atol=1e-6)
    graph = spline.add_product([[0], [0, 1]], spline.graph.outputs[0]).graph
    noise = torch.randn(len(graph.values), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    graph = replace(graph, values=graph.values + 0.1 * noise)
    low, high = problem.geometry.intervals["x"]
    places = torch.tensor([[low, 0.3], [high, 0.3], [low + 0.5, 0.3]], dtype=torch.float64)
    indices = IndexSet(("x", "t"), [(3, 0)])
    moved = Model(problem, model.ansatz, graph).taylor(Points.of(("x", "t"), places), indices)
    assert torch.allclose(moved[:, 0], moved[:, 1], atol=1e-9)
    assert not torch.allclose(moved[0, 0], moved[0, 2], atol=1e-3)


def test_what_has_no_model() -> None:
    settings: dict[str, Any] = {**SETTINGS, "budget": Budget(iterations=2), "measured": False}
    mlp = solve("poisson2d_sinsin", MLP(width=(3,)), **settings)
    with pytest.raises(KanpdeError, match=r"MLP.*use model=kan"):
        _ = mlp.model
    slabs = solve("heat1d", small_kan((2,), start_grid=4), **settings, slabs=2)
    with pytest.raises(KanpdeError, match="2 networks: look inside one with slabs=1, corrections=0"):
        _ = slabs.model
    assert slabs.residual > 0


def test_all_edges_are_fixed() -> None:
    lines: list[str] = []
    model = model_of(SINES + 0.0 * X).unfix(0).unfix(1)
    fixed = model.fix_all(FEW, say=lines.append)
    assert fixed.formula()
    assert fixed.residual < 1e-10
    assert len(lines) == 2
    assert fixed.simple_constants().formula() == {"u": SINES}


def test_edges_that_cannot_be_fixed_or_are_locked_stay() -> None:
    lines: list[str] = []
    model = model_of(SINES).unfix(0)
    stays = model.fix_all({"x": ELEMENTARY["x"]}, say=lines.append)
    assert "it stays a spline" in lines[0]
    with pytest.raises(KanpdeError, match="1 of 3 edges are splines"):
        stays.formula()
    locked = model.lock(0).fix_all(FEW)
    assert torch.equal(locked.graph.values, model.graph.values)


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    model, path = model_of(), tmp_path / "model.pt"
    with pytest.raises(KanpdeError, match="there is no"):
        Model.load(path, model.problem)
    save_checkpoint(path, {"something": 1})
    with pytest.raises(KanpdeError, match="is no model: give a file that"):
        Model.load(path, model.problem)
    model.save(path)
    with pytest.raises(KanpdeError, match="is a model of problem 'sines', not 'heat1d'"):
        Model.load(path, load_problem("heat1d"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(KanpdeError, match="damaged"):
        Model.load(path, model.problem)


def test_exactness_is_proved() -> None:
    assert {statement.verdict for statement in model_of().check()} == {"exact"}
    wrong = model_of(sympy.sin(3 * X))
    assert "not satisfied" in {statement.verdict for statement in wrong.check()}
    with pytest.raises(KanpdeError, match="splines"):
        model_of().unfix(0).check()


def test_values_at_points_of_single_precision() -> None:
    model = model_of()
    at = Points.of(("x", "y"), torch.tensor([[0.5, 0.5]], dtype=torch.float32))
    found = model.taylor(at, IndexSet(("x", "y")))
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(1.0)


def test_runs_that_were_not_measured_have_the_same_solution() -> None:
    settings = {**SETTINGS, "budget": Budget(iterations=2)}
    kan = small_kan((2,), start_grid=4)
    runs: list[Run] = [solve("poisson2d_sinsin", kan, **settings, measured=measured) for measured in (True, False)]
    assert torch.equal(runs[0].theta, runs[1].theta)
    assert runs[1].errors is None
    assert runs[1].residual == runs[0].residual
