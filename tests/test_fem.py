"""Finite elements: rates of convergence, bounds of the error, and plain words where they do not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import pi

import numpy as np
import pytest
import torch
from torch import cos, exp, sin

from kanpde.constraint import mean, observe
from kanpde.errors import KanpdeError
from kanpde.field import Field, Points, taylor_coefficients
from kanpde.geometry import Box
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.problem import Problem, dirichlet, initial, neumann, periodic, robin, scalar
from kanpde.reference import FEM, burgers_cole_hopf, ladder, solve_fem

Function = Callable[[Points], torch.Tensor]


def random_points(box: Box, count: int = 4000) -> Points:
    generator = torch.Generator().manual_seed(0)
    lower, upper = torch.tensor(box.lower).double(), torch.tensor(box.upper).double()
    return Points.of(box.names, lower + (upper - lower) * torch.rand(count, len(lower), generator=generator).double())


def relative_error(
    problem: Problem, solution: FEM, exact: Function, factor: float = 1.0, slopes: bool = False
) -> float:
    at = random_points(problem.geometry)
    names = problem.geometry.names
    units = [tuple(int(i == j) for i in range(len(names))) for j in range(len(names))]
    indices = IndexSet(names, units if slopes else [])
    true = taylor_coefficients(exact, at, indices)
    return float((factor * solution.taylor(at, indices)[..., 0] - true).norm() / true.norm())


def poisson(names: str = "xy") -> tuple[Problem, Function]:
    def exact(at):
        return torch.stack([sin(pi * getattr(at, name)) for name in names]).prod(dim=0)

    def equation(u, at):
        return -sum(u.d(2 * name) for name in names) - len(names) * pi**2 * exact(at)

    box = Box(**dict.fromkeys(names, (-1, 1)))
    return Problem(box, {"poisson": equation}, {"walls": dirichlet("all")}), exact


@pytest.mark.parametrize(
    ("order", "cells", "bound"), [(1, (16, 32, 64), 5e-3), (2, (8, 16, 32), 3e-4), (4, (4, 8, 16), 3e-6)]
)
def test_rate_on_triangles(order, cells, bound):
    problem, exact = poisson()
    errors = [relative_error(problem, solve_fem(problem, order, n), exact) for n in cells]
    rate = -np.polyfit(np.log(cells), np.log(errors), 1)[0]
    assert rate == pytest.approx(order + 1, abs=0.3)
    assert errors[-1] < bound


@pytest.mark.parametrize(("order", "bound"), [(1, 1e-2), (2, 2e-4), (4, 1e-7), (8, 1e-12)])
def test_lines(order, bound):
    problem, exact = poisson("x")
    assert relative_error(problem, solve_fem(problem, order, 32), exact) < bound


@pytest.mark.parametrize(("order", "bound"), [(1, 0.3), (2, 0.04)])
def test_tetrahedra(order, bound):
    problem, exact = poisson("xyz")
    assert relative_error(problem, solve_fem(problem, order, 8), exact) < bound


def test_first_derivatives_converge_one_order_slower():
    problem, exact = poisson()
    errors = [relative_error(problem, solve_fem(problem, 2, n), exact, slopes=True) for n in (8, 32)]
    assert np.log(errors[0] / errors[1]) / np.log(4) == pytest.approx(2, abs=0.3)


def test_a_slightly_wrong_solution_is_noticed():
    problem, exact = poisson()
    assert relative_error(problem, solve_fem(problem, 4, 8), exact, factor=1.01) == pytest.approx(0.01, rel=0.01)


def test_linear_equations_take_one_newton_step():
    problem, _ = poisson()
    solution = solve_fem(problem, 2, 8)
    assert (solution.name, solution.iterations, solution.dofs) == ("fem-p2-8", 1, 15**2)


def curved(at):
    return exp(at.x) * cos(at.y) + at.x * at.y**2


def manufactured(operator, **conditions) -> Problem:
    """Return the problem operator(u) = operator(curved), whose solution is `curved`."""

    def equation(u, at):
        indices = IndexSet(at.names, [(2, 0), (1, 1), (0, 2)])
        known = Field.of("u", indices, taylor_coefficients(curved, at, indices))
        return operator(u, at) - operator(known, at)

    return Problem(Box(x=(0, 1), y=(0, 2)), {"manufactured": equation}, conditions)


def laplace(u, at):
    return u.d("xx") + u.d("yy")


def anisotropic(u, at):
    a, b = 2 + sin(at.x * at.y), 0.5 + at.x
    return a * u.d("xx") + 0.3 * cos(at.y) * u.d("xy") + b * u.d("yy") + u.d("x") - at.y * u.d("y") - u


def cubic(u, at):
    return -laplace(u, at) + u**3


def convective(u, at):
    return -(1 + at.x**2) * laplace(u, at) + u * u.d("x") + exp(u / 4)


@pytest.mark.parametrize("operator", [anisotropic, cubic, convective])
def test_variable_coefficients_and_nonlinear_terms(operator):
    problem = manufactured(operator, walls=dirichlet("all", curved))
    errors = [relative_error(problem, solve_fem(problem, 2, n), curved) for n in (8, 32)]
    assert np.log(errors[0] / errors[1]) / np.log(4) == pytest.approx(3, abs=0.3)
    assert relative_error(problem, solve_fem(problem, 4, 8), curved) < 1e-7


def test_natural_conditions():
    def slope(name, sign):
        unit = IndexSet(("x", "y"), [(int(name == "x"), int(name == "y"))])
        return lambda at: sign * taylor_coefficients(curved, at, unit)[1]

    conditions = {
        "left": neumann("x-", slope("x", -1)),
        "right": robin("x+", lambda at: 3 * curved(at) + slope("x", 1)(at), 3.0),
        "bottom": robin("y-", lambda at: at.x * curved(at) + slope("y", -1)(at), lambda at: at.x),
        "top": dirichlet("y+", curved),
    }
    for operator in (convective, lambda u, at: -2 * u.d("xx") - (3 + at.x) * u.d("yy") + u):
        problem = manufactured(operator, **conditions)
        assert relative_error(problem, solve_fem(problem, 4, 8), curved) < 1e-7


def wavy(names: str) -> tuple[Problem, Function]:
    """-Lap u + u = f, periodic in all coordinates."""

    def phases(at):
        return [2 * pi * getattr(at, name) + 0.3 for name in names]

    def exact(at):
        return exp(0.5 * sum(sin(phase) for phase in phases(at)))

    def equation(u, at):
        laplacian = exact(at) * sum((pi * cos(phase)) ** 2 - 2 * pi**2 * sin(phase) for phase in phases(at))
        return -sum(u.d(2 * name) for name in names) + u - exact(at) + laplacian

    box = Box(**dict.fromkeys(names, (0, 1)))
    return Problem(box, {"wavy": equation}, {name: periodic(name) for name in names}), exact


@pytest.mark.parametrize(
    ("names", "order", "cells", "bound"),
    [
        ("x", 2, (8, 16), 2e-4),
        ("x", 6, (4, 8), 1e-7),
        ("xy", 1, (16, 32), 3e-3),
        ("xy", 4, (4, 8), 2e-5),
        ("xyz", 2, (4, 8), 4e-3),
    ],
)
def test_periodic_faces_share_their_unknowns(names, order, cells, bound):
    problem, exact = wavy(names)
    coarse, fine = (solve_fem(problem, order, n) for n in cells)
    errors = [relative_error(problem, solution, exact) for solution in (coarse, fine)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order + 1, abs=0.5)
    assert errors[1] < bound
    lower = random_points(problem.geometry, 50).moved(x=torch.zeros(50).double())
    value = IndexSet(problem.geometry.names)
    u, above = (fine.taylor(lower.moved(x=torch.full_like(lower.x, x)), value) for x in (0.0, 1.0))
    assert torch.allclose(u, above, rtol=1e-12)


def test_a_periodic_wave_moves_through_the_faces():
    def exact(at):
        return exp(-0.1 * at.t) * sin(2 * pi * (at.x - at.t))

    def equation(u, at):
        return u.d("t") + u.d("x") - 0.1 / (4 * pi**2) * u.d("xx")

    start = initial(lambda at: sin(2 * pi * at.x))
    problem = Problem(Box(x=(0, 1), t=(0, 1)), {"e": equation}, {"start": start, "sides": periodic("x")})
    solution = solve_fem(problem, 4, 16)
    assert relative_error(problem, solution, exact) < 1e-5
    assert relative_error(problem, solution, exact, 1.01) > 5e-3


def test_own_error_estimate():
    problem, exact = poisson()
    for order, cells in ((1, 32), (2, 16), (4, 16)):
        solution = solve_fem(problem, order, cells)
        assert solution.error == pytest.approx(relative_error(problem, solution, exact), rel=0.4)


@pytest.mark.parametrize(("names", "order"), [("x", 2), ("x", 4), ("xy", 1), ("xy", 4), ("xyz", 2)])
def test_evaluation_agrees_with_the_interpolation_of_scikit_fem(names, order):
    problem, _ = poisson(names)
    solution = solve_fem(problem, order, 4)
    at = random_points(problem.geometry, 200)
    matrix = solution.space.basis.probes(at.array().numpy().T)
    values = solution.taylor(at, IndexSet(at.names))[0, :, 0]
    np.testing.assert_allclose(values, matrix @ solution.states[0, 0, 0], atol=1e-12)


def heat() -> tuple[Problem, Function]:
    """Return (1 + x^2) u_t - u_xx / 10 - x u_x + u^2 = f, with conditions that move at both walls."""

    def exact(at):
        return sin(at.x + 2 * at.t) + at.x**2 * at.t

    def equation(u, at):
        indices = IndexSet(at.names, [(2, 0), (0, 1)])
        known = Field.of("u", indices, taylor_coefficients(exact, at, indices))
        left, right = ((1 + at.x**2) * v.d("t") - v.d("xx") / 10 - at.x * v.d("x") + v**2 for v in (u, known))
        return left - right

    conditions = {
        "start": initial(exact),
        "left": dirichlet("x-", exact),
        "right": robin("x+", lambda at: exact(at) + cos(at.x + 2 * at.t) + 2 * at.x * at.t, 1.0),
    }
    return Problem(Box(x=(0, 1), t=(0, 2)), {"heat": equation}, conditions), exact


def test_order_in_time_between_the_steps():
    problem, exact = heat()
    errors = [relative_error(problem, solve_fem(problem, 8, 4, steps), exact) for steps in (4, 16)]
    assert np.log(errors[0] / errors[1]) / np.log(4) == pytest.approx(4, abs=0.2)
    assert errors[1] < 5e-6


def test_order_in_time_at_the_end():
    problem = load_problem("heat1d", alpha=0.1)
    end = Points.of(("x", "t"), torch.stack([torch.linspace(0.1, 0.9, 50).double(), torch.ones(50).double()], 1))
    true = problem.reference.functions[0](end)
    errors = []
    for steps in (1, 4):
        solution = solve_fem(problem, 8, 4, steps)
        assert solution.iterations == steps
        errors.append(float((solution.taylor(end, IndexSet(end.names))[0, :, 0] - true).abs().max()))
    assert np.log(errors[0] / errors[1]) / np.log(4) == pytest.approx(5, abs=0.3)
    assert errors[1] < 1e-6


def test_steps_chosen_by_their_error():
    problem, exact = heat()
    solution = solve_fem(problem, 4, 16)
    true = relative_error(problem, solution, exact)
    assert true < 1e-7
    assert true / 5 < solution.error < 5 * true
    assert relative_error(problem, solution, exact, slopes=True) < 1e-5


def test_time_in_two_space_dimensions():
    def exact(at):
        return exp(-2 * at.t) * sin(at.x) * sin(at.y)

    box = Box(t=(0, 1), x=(0, pi), y=(0, pi))
    conditions = {"start": initial(exact), "walls": dirichlet("all")}
    problem = Problem(box, {"heat": lambda u, at: u.d("t") - u.d("xx") - u.d("yy")}, conditions)
    assert relative_error(problem, solve_fem(problem, 4, 4, steps=8), exact) < 5e-4


def test_burgers_front():
    problem = load_problem("burgers1d", nu=0.05)
    reference = burgers_cole_hopf(0.05)
    assert relative_error(problem, solve_fem(problem, 4, 32), reference.value) < 1e-5


def test_problems_of_the_gallery():
    for name, order, cells, bound in [
        ("poisson2d", 4, 16, 1e-5),
        ("poisson2d_sinsin", 4, 16, 3e-6),
        ("helmholtz2d", 4, 16, 3e-4),
        ("heat1d", 4, 16, 1e-6),
    ]:
        problem = load_problem(name)
        solution = solve_fem(problem, order, cells)
        assert relative_error(problem, solution, problem.reference.functions[0]) < bound


def test_ladders_have_every_order():
    for problem in (poisson()[0], heat()[0]):
        assert {row.order for row in ladder(problem)} == {1, 2, 4}


def test_the_reference_is_never_used():
    problem, exact = poisson()

    class Forbidden:
        def __getattribute__(self, name):
            raise AssertionError("the reference was used")

    hidden = Problem(problem.geometry, problem.equations, problem.conditions, reference=Forbidden())
    assert relative_error(hidden, solve_fem(hidden, 2, 8), exact) < 0.05


WALLS = {"walls": dirichlet("all")}
START = {"start": initial(0.0)}
STEADY, MOVING = Box(x=(0, 1), y=(0, 1)), Box(x=(0, 1), t=(0, 1))


@pytest.mark.parametrize(
    ("box", "equation", "conditions", "message"),
    [
        (STEADY, lambda u, at: (1 + u) * laplace(u, at), WALLS, "depends on u "),
        (STEADY, lambda u, at: u.d("xx") * u.d("yy") - 1, WALLS, "quasi-linear"),
        (STEADY, lambda u, at: u.d("xxxx") + u.d("yy"), WALLS, "u_xxxx"),
        (STEADY, lambda u, at: u.d("x") + u.d("y"), WALLS, "no second derivative"),
        (STEADY, lambda u, at: laplace(u, at) - 1, {"one": dirichlet("x")}, "'y-' has no condition"),
        (STEADY, lambda u, at: laplace(u, at) - 1, {"all": neumann("all")}, "up to a constant"),
        (STEADY, lambda u, at: laplace(u, at) + u.d("xy"), {"all": neumann("all")}, "up to a constant"),
        (STEADY, lambda u, at: laplace(u, at) - 1, {**WALLS, "b": neumann("x-")}, "another condition"),
        (STEADY, lambda u, at: laplace(u, at) - at.x / (at.x - at.x), WALLS, "not finite"),
        (
            STEADY,
            lambda u, v, at: laplace(u, at) - v,
            {"w": dirichlet("all", unknown="u")},
            "equation for each unknown",
        ),
        (MOVING, lambda u, at: u.d("tt") - u.d("xx"), {**WALLS, **START}, "u_tt"),
        (MOVING, lambda u, at: u.d("xx") - at.t, {**WALLS, **START}, "no u_t"),
        (MOVING, lambda u, at: u.d("t") - u.d("xx"), WALLS, "no initial condition"),
        (MOVING, lambda u, at: u.d("t") - u.d("xx"), {**WALLS, **START, "end": dirichlet("t+")}, "initial value"),
        (MOVING, lambda u, at: u.d("t") - u.d("xx"), {**WALLS, "t": periodic("t")}, "'t' is not an initial value"),
        (STEADY, lambda u, at: u - (1 + at.x) * u.d("xx"), {"p": periodic("x"), "q": periodic("y")}, "are not"),
        (STEADY, lambda u, at: laplace(u, at) - 1, {"p": periodic("x"), "q": periodic("y")}, "up to a constant"),
    ],
)
def test_says_where_it_does_not_apply(box, equation, conditions, message):
    problem = Problem(box, {"equation": equation}, conditions)
    with pytest.raises(KanpdeError, match=message):
        solve_fem(problem, 1, 4)


@pytest.mark.parametrize("solution", [ladder, lambda problem: solve_fem(problem, 1, 4)])
def test_constraints_and_scalars_are_refused(solution):
    """Finite elements have no place for them, and without them another problem would be solved."""
    problem, _ = poisson()
    with pytest.raises(KanpdeError, match=r"FEM does not apply here: it imposes no constraints, .* has 'level'"):
        solution(replace(problem, constraints={"level": mean(value=1.0)}))
    unknown = replace(
        problem,
        equations={"e": lambda u, k, at: laplace(u, at) - k},
        constraints={"seen": observe([[0.5] * 2], [1.0])},
        scalars={"k": scalar(1.0)},
    )
    with pytest.raises(KanpdeError, match=r"FEM does not apply here: it finds no unknown scalars, .* has k"):
        solution(unknown)


def test_says_what_is_wrong_with_the_numbers():
    problem, _ = poisson()
    with pytest.raises(KanpdeError, match="order=5"):
        solve_fem(problem, 5, 4)
    with pytest.raises(KanpdeError, match="cells=1"):
        solve_fem(problem, 1, 1)
    with pytest.raises(KanpdeError, match="steps=0"):
        solve_fem(heat()[0], 1, 4, 0)
    solution = solve_fem(problem, 1, 4)
    with pytest.raises(KanpdeError, match="order 2"):
        solution.taylor(random_points(problem.geometry, 3), IndexSet(("x", "y"), [(2, 0)]))


def test_no_solution_is_reported():
    problem = Problem(Box(x=(0, 1)), {"bratu": lambda u, at: u.d("xx") + 10 * exp(u)}, WALLS)
    with pytest.raises(KanpdeError, match="did not converge"):
        solve_fem(problem, 2, 16)


def test_a_solution_that_blows_up_is_reported():
    conditions = {"start": initial(lambda at: 50 * sin(pi * at.x)), "walls": dirichlet("x")}
    problem = Problem(MOVING, {"ignition": lambda u, at: u.d("t") - u.d("xx") - u**3}, conditions)
    with pytest.raises(KanpdeError, match="did not converge"):
        solve_fem(problem, 2, 16)
