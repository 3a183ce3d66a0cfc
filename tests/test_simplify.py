"""From a trained network to a formula, and no formula for what is none."""

from typing import Any

import numpy as np
import pytest
import sympy
import torch
from examples import small_kan
from models import SINES, X, Y

from kanpde import (
    MLP,
    Box,
    Budget,
    Disk,
    KanpdeError,
    LevenbergMarquardt,
    LShape,
    Points,
    Problem,
    Run,
    Sampling,
    dirichlet,
    observe,
    scalar,
    solve,
)
from kanpde.basis.elementary import ELEMENTARY
from kanpde.interpret import Model, NoFormula, Simplified
from kanpde.interpret.simplify import inner_box, simplify
from kanpde.multiindex import IndexSet
from kanpde.reference import exact

SETTINGS: dict[str, Any] = {
    "model": small_kan((0,), products=1, grid=4, degree=(7, 1)),
    "solver": LevenbergMarquardt(starts=2, start_iterations=5, stage_iterations=25),
    "sampling": Sampling(least=150),
    "device": "cpu",
    "threads": 1,
    "measured": False,
}


FEW = {name: ELEMENTARY[name] for name in ("x", "x^2", "1/x", "exp", "sin")}


pytestmark = pytest.mark.usefixtures("_quick")


@pytest.fixture(scope="module")
def sines() -> Run:
    return solve("poisson2d_sinsin", **SETTINGS)


def on_a_disk() -> Problem:
    return Problem(
        Disk(),
        {"poisson": lambda u, at: -(u.d("xx") + u.d("yy")) - 1},
        {"walls": dirichlet("all")},
        reference=exact(lambda at: (1 - at.x**2 - at.y**2) / 4),
        name="disk",
    )


def decay(k: float = 0.5) -> Problem:
    """u_x = -k u with u = exp(-2 x), k = 2 unknown, u observed at three points."""
    x = [0.25, 0.5, 1.0]
    return Problem(
        Box(x=(0, 1), y=(0, 1)),
        {"decay": lambda u, k, at: u.d("x") + k * u},
        {"start": dirichlet("x-", 1.0)},
        constraints={"seen": observe({"x": x, "y": [0.0, 0.3, 1.0]}, np.exp(-2 * np.array(x)))},
        scalars={"k": scalar(k)},
        name="decay",
    )


def formula_of(run: Run) -> Simplified:
    """Return what `Run.simplify` does, with few functions."""

    def values(points: torch.Tensor) -> torch.Tensor:
        names = run.problem.geometry.names
        return run.taylor(Points.of(names, points), IndexSet(names))[0]

    return simplify(run.problem, values, run.residual, library=FEW, scalars=run.scalars, like=run.theta)


def test_a_solution_becomes_its_formula(sines: Run) -> None:
    lines: list[str] = []
    found = sines.simplify(say=lines.append)
    assert found.model.formula() == {"u": SINES}
    assert found.residual < 1e-12
    assert tuple(lines) == found.steps
    assert found.model.errors is not None
    assert found.model.errors.rel_l2 < 1e-14
    assert all(statement.verdict == "exact" for statement in found.model.check())


def test_unknown_scalars_are_in_the_formula() -> None:
    run = solve(decay(), **{**SETTINGS, "model": small_kan((2,), start_grid=2)})
    found = formula_of(run)
    assert found.model.scalars == {"k": pytest.approx(2.0, rel=1e-12)}
    assert found.model.formula() == {"u": sympy.exp(-2 * X), "k": 2}
    assert run.model.scalars["k"] == pytest.approx(run.scalars["k"], rel=1e-12)
    assert run.scalars["k"] != 2.0


def test_a_formula_that_is_given_finds_unknown_scalars() -> None:
    guess = Model.from_formula(decay(), {"u": sympy.exp(-X) + 0.1}, scalars={"k": 0.8})
    assert guess.scalars == {"k": pytest.approx(0.8)}
    assert Model.from_formula(decay(), {"u": X}).scalars == {"k": pytest.approx(0.5)}
    assert guess.refit().simple_constants().formula() == {"u": sympy.exp(-2 * X), "k": 2}
    with pytest.raises(KanpdeError, match=r"unknown scalar 'q'.*Known: k"):
        Model.from_formula(decay(), {"u": X}, scalars={"q": 1.0})


def test_a_domain_that_is_no_box() -> None:
    run = solve(on_a_disk(), **SETTINGS)
    assert run.residual < 1e-12
    found = formula_of(run)
    assert sympy.expand(found.model.formula()["u"] - (1 - X**2 - Y**2) / 4) == 0


@pytest.mark.parametrize("domain", [Disk(), LShape(), Disk() - Disk(radius=0.5)], ids=["disk", "L", "ring"])
def test_inner_boxes_lie_inside(domain: Any) -> None:
    box = inner_box(domain)
    assert bool(domain.contains(box.sample(500)).all())
    whole = np.prod(np.array(domain.upper) - np.array(domain.lower))
    assert np.prod(np.array(box.upper) - np.array(box.lower)) > 0.02 * whole
    assert inner_box(Box(x=(0, 1))).intervals == {"x": (0.0, 1.0)}


def test_a_solution_without_a_formula_has_none() -> None:
    def values(points: torch.Tensor) -> torch.Tensor:
        x, y = points.T
        return (torch.sin(7 * x * y) + torch.cos(5 * x * y**2 + x))[:, None]

    problem, like = on_a_disk(), torch.zeros(1, dtype=torch.float64)
    with pytest.raises(NoFormula, match=r"no sum of a few products|best formula leaves"):
        simplify(problem, values, 1e-6, library=FEW, like=like, seconds=5)


def test_a_formula_that_is_no_solution_is_refused() -> None:
    def values(points: torch.Tensor) -> torch.Tensor:
        return torch.sin(3 * points[:, :1])

    with pytest.raises(NoFormula, match=r"best formula leaves a relative residual of .*, more than the 1\.0e-05"):
        simplify(on_a_disk(), values, 1e-6, library=FEW, like=torch.zeros(1, dtype=torch.float64), seconds=5)


def test_formulas_that_are_singular_outside_the_inner_box_are_left_out() -> None:
    def values(points: torch.Tensor) -> torch.Tensor:
        return 1 / (points[:, :1] - 0.9)

    with pytest.raises(NoFormula, match=r"no formula|no sum|best formula"):
        simplify(on_a_disk(), values, 1e-6, library=FEW, like=torch.zeros(1, dtype=torch.float64), seconds=5)


def test_an_mlp_has_a_formula_too() -> None:
    def parabola(at: Points) -> torch.Tensor:
        return at.x**2

    problem = Problem(
        Box(x=(0, 1), y=(0, 1)), {"bend": lambda u, at: u.d("xx") - 2}, {"ends": dirichlet("x", parabola)}
    )
    run = solve(problem, **{**SETTINGS, "model": MLP(width=(4,))}, budget=Budget(iterations=30))
    assert run.residual < 1e-2
    assert formula_of(run).model.formula() == {"u": X**2}
