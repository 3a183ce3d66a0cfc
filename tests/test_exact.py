"""Closed forms are proved to solve the problems, one percent more is seen, and all kinds of statements are made."""

import threading
from collections.abc import Callable
from math import pi
from time import monotonic

import numpy as np
import pytest
import sympy
import torch
from examples import WITHOUT_FILE

from kanpde import (
    Box,
    Disk,
    KanpdeError,
    Problem,
    condition,
    difference,
    dirichlet,
    initial,
    mean,
    neumann,
    observe,
    periodic,
    robin,
    scalar,
)
from kanpde.interpret.exact import Statement, check_exactly, exactly, satisfied
from kanpde.interpret.tracing import trace_solution
from kanpde.library import load_problem, problem_files
from kanpde.reference.exact import Exact

NAMES = [name for name in problem_files() if name not in WITHOUT_FILE and load_problem(name).equations]
CLOSED = [name for name in NAMES if isinstance(load_problem(name).reference, Exact)]
# Their formulas have branches that keep programs from dividing by zero, in which they are no solutions.
WITH_GUARDS = {"eikonal", "plate_with_hole"}
LONG = {"eikonal", "plate_with_hole", "schroedinger", "taylor_green"}

x, y, t = sympy.symbols("x y t", real=True)


def verdicts(statements: list[Statement]) -> dict[str, str]:
    return {statement.label: statement.verdict for statement in statements}


def test_there_are_closed_forms() -> None:
    assert len(CLOSED) > 20


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in CLOSED])
def test_closed_forms_are_exact(name: str) -> None:
    problem = load_problem(name)
    formulas = trace_solution(problem)
    statements = check_exactly(problem, formulas, seconds=60)
    assert len(statements) >= len(problem.equations) + len(problem.conditions) + len(problem.constraints)
    noisy = {label for label, constraint in problem.constraints.items() if constraint.tolerance}
    found = {statement.verdict for statement in statements if statement.label not in noisy}
    assert found == {"exact"} if name not in WITH_GUARDS else found <= {"exact", "to rounding"}
    assert all(statement.verdict == "not checked" for statement in statements if statement.label in noisy)
    more = check_exactly(
        problem, {u: sympy.Rational(101, 100) * formula for u, formula in formulas.items()}, seconds=20
    )
    assert satisfied(more) == "not satisfied"
    assert max(statement.size or 0.0 for statement in more) > 1e-3


def test_floats_of_a_formula_are_recognised() -> None:
    """What a fit gives: constants with an error of 1e-13."""
    problem = load_problem("poisson2d")
    formula = 1.0000000000000002 * sympy.sin(3.1415926535898 * x) * sympy.sin(sympy.Float(pi) * y**2)
    assert satisfied(check_exactly(problem, {"u": formula})) == "exact"
    off = sympy.sin(3.1415927 * x) * sympy.sin(sympy.pi * y**2)
    statements = check_exactly(problem, {"u": off})
    assert satisfied(statements) == "not satisfied"
    assert 1e-9 < max(statement.size or 0.0 for statement in statements) < 1e-6


def test_constants_whose_products_are_simple_are_recognised() -> None:
    """Factors of a product node may have any scale, as long as their product is right."""
    c = 0.7390851332151607
    formula = (c * sympy.sin(sympy.pi * x) + c) * (sympy.cos(y) / c - 2 / c)
    assert not exactly(formula).has(sympy.Float)
    assert sympy.expand(exactly(formula) - (sympy.sin(sympy.pi * x) + 1) * (sympy.cos(y) - 2)) == 0
    assert exactly(c * x + y).has(sympy.Float)


def test_sizes_are_those_of_the_formula_and_not_of_doubles() -> None:
    problem = load_problem("helmholtz2d")
    (solution,) = trace_solution(problem).values()
    for power in (4, 9, 14, 20):
        error = sympy.Rational(1, 10**power) * x * y**3
        statement = check_exactly(problem, {"u": solution + error})[0]
        assert statement.size == pytest.approx(6 / 17 / pi**2 * 10.0**-power, rel=0.7)
        assert statement.verdict == ("to rounding" if power > 12 else "not satisfied")


def test_constants_that_are_no_simple_numbers_hold_to_rounding() -> None:
    rate = 0.7390851332151607
    problem = Problem(
        geometry=Box(x=(0, 1)),
        equations={"growth": lambda u, at: u.d("x") - rate * u},
        conditions={"start": dirichlet("x-", 1.0)},
    )
    statements = check_exactly(problem, {"u": sympy.exp(rate * x)})
    assert verdicts(statements) == {"growth": "exact", "start": "exact"}
    other = check_exactly(problem, {"u": sympy.exp(float(np.nextafter(rate, 1)) * x)})
    assert verdicts(other) == {"growth": "to rounding", "start": "exact"}
    assert "no simple numbers" in other[0].reason


def every_kind() -> Problem:
    return Problem(
        geometry=Box(x=(0, 2 * pi), y=(-1, 1), t=(0, 1)),
        equations={"heat": lambda u, at: u.d("t") - 0.15 * (u.d("xx") + u.d("yy")) - 0.15 * u},
        conditions={
            "circle": periodic("x"),
            "start": initial(lambda at: torch.sin(at.x) * at.y),
            "flux": neumann("y+", lambda at: torch.sin(at.x)),
            "mixed": robin("y-", lambda at: -2 * torch.sin(at.x), coefficient=lambda at: 1 + 0 * at.x),
            "edge": condition("y", lambda u, at: u - at.y * at.normal[:, 1] * torch.sin(at.x) * at.y),
        },
        constraints={
            "mean": mean(),
            "jump": difference("y", value=lambda at: 2 * torch.sin(at.x)),
            "sensor": observe([[pi / 2, 0.5, 0.3]], [0.5]),
            "sensors": observe([[0.1 * i, 0.5, 0.3] for i in range(20)], np.sin(0.1 * np.arange(20)) / 2),
        },
    )


def test_every_kind_of_statement_is_made() -> None:
    problem = every_kind()
    statements = check_exactly(problem, {"u": sympy.sin(x) * y})
    found = verdicts(statements)
    assert found.pop("sensors") == "to rounding"
    assert set(found) == {
        *("heat", "circle", "start", "flux", "mixed", "edge at y-", "edge at y+", "mean", "jump", "sensor")
    }
    assert set(found.values()) == {"exact"}
    kinds = {s.label: s.kind for s in statements}
    assert kinds["circle"] == "periodic"
    assert kinds["heat"] == kinds["edge at y-"] == "equation"
    assert kinds["sensors"] == "observation"


@pytest.mark.parametrize(
    ("formula", "wrong"),
    [
        (
            sympy.sin(x) * y * (1 + t / 100),
            {"heat", "flux", "mixed", "edge at y-", "edge at y+", "jump", "sensor", "sensors"},
        ),
        (
            sympy.sin(x) * y + x / 1000,
            {"circle", "start", "edge at y-", "edge at y+", "heat", "mean", "mixed", "sensor", "sensors"},
        ),
        (
            sympy.sin(2 * x) * y,
            {"start", "heat", "flux", "mixed", "edge at y-", "edge at y+", "jump", "sensor", "sensors"},
        ),
    ],
    ids=["grows", "not periodic", "faster"],
)
def test_what_is_wrong_is_said(formula: sympy.Expr, wrong: set[str]) -> None:
    found = verdicts(check_exactly(every_kind(), {"u": formula}))
    assert {label for label, verdict in found.items() if verdict == "not satisfied"} == wrong
    assert {verdict for label, verdict in found.items() if label not in wrong} <= {"exact", "to rounding"}


def test_curved_boundaries_are_checked_at_points() -> None:
    disk = Disk().named("rim") * Box(t=(0, 1))
    problem = Problem(
        geometry=disk,
        equations={"laplace": lambda u, at: u.d("xx") + u.d("yy") + 0 * u.d("t")},
        conditions={
            "start": initial(lambda at: at.x**2 - at.y**2),
            "rim": dirichlet("rim", lambda at: 2 * at.x**2 - 1),
            "flux": neumann("rim", lambda at: 4 * at.x**2 - 2),
        },
        constraints={"mean": mean()},
    )
    found = verdicts(check_exactly(problem, {"u": x**2 - y**2}))
    assert found["laplace"] == found["start"] == "exact"
    assert found["rim"] == found["flux"] == "to rounding"
    found = verdicts(check_exactly(problem, {"u": sympy.Rational(101, 100) * (x**2 - y**2)}))
    assert found["laplace"] == "exact"
    assert found["start"] == found["rim"] == found["flux"] == "not satisfied"


def test_noisy_observations_are_compared_with_their_noise() -> None:
    points = np.linspace(0, 1, 40)[:, None]
    noise = 0.01 * np.cos(37 * points[:, 0])

    def problem(noise_of: float) -> Problem:
        return Problem(
            geometry=Box(x=(0, 1)),
            equations={"line": lambda u, slope, at: u.d("x") - slope},
            constraints={"data": observe(points, 2 * points[:, 0] + noise, noise=noise_of)},
            scalars={"slope": scalar(1.0, exact=2.0)},
        )

    line, data = check_exactly(problem(0.01), {"u": 2 * x, "slope": 2.0})
    assert (line.verdict, data.verdict) == ("exact", "not checked")
    assert "root mean square" in data.reason
    line, data = check_exactly(problem(0.001), {"u": 2 * x, "slope": 2.1})
    assert (line.verdict, data.verdict) == ("not satisfied", "not satisfied")


def test_unknown_functions_of_torch_are_no_end() -> None:
    problem = Problem(
        geometry=Box(x=(1, 2)),
        equations={"e": lambda u, at: u.d("x") - torch.special.zeta(at.x, at.x), "f": lambda u, at: u.d("x") - 1},
    )
    first, second = check_exactly(problem, {"u": x})
    assert (first.verdict, second.verdict) == ("not checked", "exact")
    assert "zeta" in first.reason
    assert satisfied([first, second]) == "not checked"


def test_what_is_not_finite_is_said() -> None:
    problem = Problem(
        geometry=Box(x=(0, 1)),
        equations={"e": lambda u, at: u.d("x") * at.x - 1},
        conditions={"c": dirichlet("x-", 0.0)},
    )
    found = {s.label: s for s in check_exactly(problem, {"u": sympy.log(x)})}
    assert found["e"].verdict == "exact"
    assert found["c"].verdict == "not checked"
    assert "not finite" in found["c"].reason


def test_time_is_kept() -> None:
    """An expression that sympy would simplify for hours."""
    hard: sympy.Expr = sum(sympy.gamma(x + sympy.Rational(k, 7)) ** k / (k + sympy.sin(x)) for k in range(1, 9))
    hard = hard * (sympy.gamma(x + 1) - x * sympy.gamma(x)) + sympy.gamma(x + 2)
    problem = Problem(
        geometry=Box(x=(1, 2)), equations={"e": lambda u, at: u - 1e-30 * u.d("x") - torch.exp(torch.lgamma(at.x + 2))}
    )
    start = monotonic()
    (statement,) = check_exactly(problem, {"u": hard}, seconds=2)
    assert monotonic() - start < 10
    assert statement.verdict in ("to rounding", "not checked")


def test_other_threads_prove_what_needs_no_search() -> None:
    problem = load_problem("heat1d")
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(satisfied(check_exactly(problem, trace_solution(problem)))))
    thread.start()
    thread.join()
    assert found == ["exact"]


def test_the_worst_verdict_is_that_on_all() -> None:
    def statement(verdict: str) -> Statement:
        return Statement("e", "equation", verdict, None, None)

    order = ["exact", "to rounding", "not checked", "not satisfied"]
    for k in range(4):
        assert satisfied([statement(verdict) for verdict in order[: k + 1]]) == order[k]
    assert satisfied([]) == "not checked"


@pytest.mark.parametrize(
    ("formulas", "message"),
    [
        (dict, "there is no formula for 'u'"),
        (lambda: {"u": x, "w": y}, "unknown function or scalar with a formula: 'w'"),
        (lambda: {"u": sympy.Symbol("q") * x}, "has the symbol 'q': known are x, t"),
        (lambda: {"u": "x"}, "is a str: give a sympy expression"),
    ],
)
def test_bad_formulas_are_refused(formulas: Callable[[], dict[str, sympy.Expr]], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        check_exactly(load_problem("heat1d"), formulas())
