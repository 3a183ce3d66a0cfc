"""Edge by edge from splines to a formula: what is not needed goes, what has a function gets it."""

from typing import Any

import pytest
import sympy
from examples import small_kan
from models import SINES, X, Y, model_of

import kanpde.interpret
from kanpde import MLP, KanpdeError, LevenbergMarquardt, Run, Sampling, solve
from kanpde.basis.elementary import ELEMENTARY
from kanpde.interpret import Model, NoFormula, stepwise

FEW = {name: ELEMENTARY[name] for name in ("x", "x^2", "exp", "sin")}


def splined(formula: sympy.Expr) -> Model:
    """Return a model of the formula with splines on its edges from inputs."""
    model = model_of(formula)
    for number, edge in enumerate(model.graph.edges):
        if edge.source < 2 and len(edge.chain) > 1:  # a function, not a constant or a line
            model = model.unfix(number, degree=5, intervals=6)
    return model


def test_splines_become_the_formula_and_what_is_not_needed_goes() -> None:
    lines: list[str] = []
    model = splined(SINES + sympy.exp(X) / 1000)
    found = stepwise(model, 1e-2, library=FEW, say=lines.append)
    assert found.model.formula() == {"u": SINES}
    assert found.residual < 1e-12
    assert f"of {len(model.graph.edges)} edges are left" in found.steps[0]
    assert list(found.steps) == lines


def test_without_a_function_for_an_edge_there_is_no_formula() -> None:
    model = splined(SINES)
    with pytest.raises(NoFormula, match=r"Edge by edge, 2 of 3 stay splines") as caught:
        stepwise(model, 1e-9, library={"x^2": ELEMENTARY["x^2"]})
    assert caught.value.model is not None
    assert caught.value.model.residual <= max(model.residual, 1e-9)


def test_what_cannot_be_taken_away_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two edges behind sin matter less than sin itself, but without both nothing is left."""
    monkeypatch.setitem(stepwise.__globals__, "THRESHOLDS", (0.99,))
    lines: list[str] = []
    with pytest.raises(NoFormula):
        stepwise(model_of(sympy.sin(X + Y)).unfix(0), 1e-9, library={}, say=lines.append)
    assert lines[0].startswith("3 of 3 edges are left")


def test_edges_stay_splines_when_the_time_is_over() -> None:
    lines: list[str] = []
    with pytest.raises(NoFormula, match="stay splines"):
        stepwise(splined(SINES), 1e-9, library=FEW, seconds=1e-9, say=lines.append)
    assert "2 edges were not tried" in lines[-1]


SETTINGS: dict[str, Any] = {
    "solver": LevenbergMarquardt(starts=2, start_iterations=5, stage_iterations=40),
    "sampling": Sampling(least=150),
    "device": "cpu",
    "threads": 1,
    "measured": False,
}
NETWORK = small_kan((0,), products=1, grid=4, degree=(7, 1))


def none_is_found(*_: Any, **__: Any) -> None:
    raise NoFormula("no sum of products.")


def test_a_run_is_simplified_edge_by_edge_where_no_structure_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    run = solve("poisson2d_sinsin", NETWORK, conditions="soft", **SETTINGS)
    monkeypatch.setattr(kanpde.interpret, "simplify", none_is_found)
    lines: list[str] = []
    assert str(run.simplify(say=lines.append).model.formula()["u"]) == "sin(pi*x)*sin(pi*y)"
    assert lines[0] == "no sum of products."


@pytest.mark.parametrize(("model", "message"), [(NETWORK, "use conditions=soft"), (MLP(width=(4,)), "MLP")], ids=str)
def test_the_reason_is_there_where_edges_are_not_those_of_the_solution(
    model: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Run = solve("poisson2d_sinsin", model, **SETTINGS)
    monkeypatch.setattr(kanpde.interpret, "simplify", none_is_found)
    with pytest.raises(KanpdeError, match=f"no sum of products. .*{message}"):
        run.simplify()
