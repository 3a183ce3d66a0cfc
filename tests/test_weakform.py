"""Systems of several unknowns by finite elements: rates of convergence, tractions, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import cos, exp, sin

from kanpde import Box, Disk, KanpdeError, Problem, condition, dirichlet, initial, neumann, periodic
from kanpde.field import Field, Points, taylor_coefficients
from kanpde.library import load_problem
from kanpde.metrics import ErrorMeasure
from kanpde.multiindex import IndexSet
from kanpde.reference import exact, ladder, solve_fem

SQUARE = Box(x=(0, 1), y=(0, 2))


def first(at):
    return exp(at.x) * cos(at.y) + at.x * at.y**2


def second(at):
    return sin(at.x + 2 * at.y) - at.x**2


def known(functions, at, order=2):
    """Return fields of functions of the points with all derivatives up to an order."""
    d = len(at.names)
    indices = IndexSet(at.names, [i for i in np.ndindex(*(order + 1,) * d) if sum(i) <= order])
    return [Field.of("u", indices, taylor_coefficients(function, at, indices)) for function in functions]


def manufactured(equations, conditions, functions=(first, second), domain=SQUARE):
    """Return the problem with the residuals of given functions subtracted, whose solution they are."""

    def less(residual):
        return lambda u, v, at: residual(u, v, at) - residual(*known(functions, at), at)

    return Problem(
        domain,
        {label: less(residual) for label, residual in equations.items()},
        {
            label: condition(where, less(residual)) if callable(residual) else residual
            for label, (where, residual) in conditions.items()
        },
        reference=exact(*functions),
    )


def error(problem, solution):
    return ErrorMeasure(problem).of(solution.taylor).rel_l2


def nested(fine):
    """Return the solution on a quarter as many cells per side, on half as many, and the one that is given."""
    return [fine.coarser().coarser(), fine.coarser(), fine]


def mixed(u, v, at):
    a = 2 + sin(at.x * at.y)
    return a * u.d("xx") + 0.4 * u.d("xy") + u.d("yy") + 0.5 * v.d("xx") + at.x * v.d("xy") - u * v + v.d("y")


def convective(u, v, at):
    return -(1 + at.x) * v.d("xx") - 2 * v.d("yy") + 0.3 * u.d("xy") + u * v.d("x") + v**3


WALLS = {"u": (None, dirichlet("all", first, unknown="u")), "v": (None, dirichlet("all", second, unknown="v"))}


@pytest.mark.parametrize("labels", [("mixed", "convective"), ("convective", "mixed")])
def test_coupled_nonlinear_equations_in_any_order(labels):
    equations = {label: {"mixed": mixed, "convective": convective}[label] for label in labels}
    # Unknowns are in the order of arguments, here u and v, and equations in the order of the dictionary.
    problem = manufactured(equations, WALLS)
    errors = [error(problem, solve_fem(problem, 2, n)) for n in (8, 16)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.2)
    assert error(problem, solve_fem(problem, 4, 8)) < 5e-7


def test_plate_with_hole():
    """Kirsch's solution: tractions on a hole and on sides, symmetry at two others."""
    problem = load_problem("plate_with_hole")
    solutions = nested(solve_fem(problem, 3, 32))
    errors = [error(problem, solution) for solution in solutions]
    assert -np.polyfit(np.log([8, 16, 32]), np.log(errors), 1)[0] == pytest.approx(4, abs=0.3)
    assert errors[-1] < 1.5e-6
    assert errors[-1] / 2 < solutions[-1].error < 2 * errors[-1]
    assert solutions[-1].iterations == 1
    values = IndexSet(problem.geometry.names)
    at = Points.of(problem.geometry.names, problem.geometry.sample(1000))
    u, true = (of.taylor(at, values)[0] for of in (solutions[-1], problem.reference))
    assert float((1.01 * u - true).norm() / true.norm()) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(("order", "cells", "bound"), [(1, 32, 6e-3), (2, 32, 6e-5), (4, 16, 5e-6)])
def test_plate_with_hole_in_other_degrees(order, cells, bound):
    problem = load_problem("plate_with_hole")
    assert error(problem, solve_fem(problem, order, cells)) < bound
    assert {step[0] for step in ladder(problem)} >= {1, 2, 4}


def elastic(lame=1.5, shear=0.7):
    """Return balance of momentum and the two components of the traction for Lame's constants."""

    def balance_x(u, v, at):
        return (lame + 2 * shear) * u.d("xx") + lame * v.d("xy") + shear * (u.d("yy") + v.d("xy"))

    def balance_y(u, v, at):
        return (lame + 2 * shear) * v.d("yy") + lame * u.d("xy") + shear * (v.d("xx") + u.d("xy"))

    def traction_x(u, v, at):
        nx, ny = at.normal.T
        return 3 * ((lame * (u.d("x") + v.d("y")) + 2 * shear * u.d("x")) * nx + shear * (u.d("y") + v.d("x")) * ny)

    def traction_y(u, v, at):
        nx, ny = at.normal.T
        return (lame * (u.d("x") + v.d("y")) + 2 * shear * v.d("y")) * ny + shear * (u.d("y") + v.d("x")) * nx

    return balance_x, balance_y, traction_x, traction_y


def test_tractions_on_curves_where_one_displacement_is_given_elsewhere():
    balance_x, balance_y, traction_x, traction_y = elastic()
    domain = Box(x=(0, 1), y=(0, 2)) - Disk((0.5, 1.0), 0.3).named("hole")
    conditions = {
        "left": (None, dirichlet("x-", first, unknown="u")),
        "left, along": ("x-", traction_y),
        "right": (None, dirichlet("x+", second, unknown="v")),
        "right, across": ("x+", traction_x),
        **{f"{where}, {n}": (where, t) for where in ("y", "hole") for n, t in enumerate((traction_x, traction_y))},
    }
    problem = manufactured({"x": balance_x, "y": balance_y}, conditions, domain=domain)
    errors = [error(problem, solution) for solution in nested(solve_fem(problem, 2, 32))]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(3, abs=0.3)
    assert error(problem, solve_fem(problem, 4, 16)) < 2e-7


def test_springs_and_radiation_on_a_boundary():
    """Natural conditions may be nonlinear in the unknowns, and mix them."""
    balance_x, balance_y, traction_x, traction_y = elastic()
    conditions = {
        "left": (None, dirichlet("x-", first, unknown="u")),
        "left, v": (None, dirichlet("x-", second, unknown="v")),
        "spring": ("x+", lambda u, v, at: traction_x(u, v, at) + 2 * u + v**3),
        "other": ("x+", lambda u, v, at: traction_y(u, v, at) - traction_x(u, v, at) + v),
        **{f"y, {n}": ("y", t) for n, t in enumerate((traction_x, traction_y))},
    }
    problem = manufactured({"x": balance_x, "y": balance_y}, conditions)
    assert error(problem, solve_fem(problem, 4, 8)) < 5e-7


def test_oblique_derivatives():
    def equation(u, at):
        (true,) = known([first], at)
        return sum(w.d("xx") + w.d("xy") + w.d("yy") - w for w in [u]) - sum(
            w.d("xx") + w.d("xy") + w.d("yy") - w for w in [true]
        )

    def along(u, at):
        (true,) = known([first], at)
        return u.d("x") + 0.3 * u.d("y") - true.d("x") - 0.3 * true.d("y")

    conditions = {"left": condition("x-", along), "right": dirichlet("x+", first), "y": dirichlet("y", first)}
    problem = Problem(SQUARE, {"e": equation}, conditions, reference=exact(first))
    errors = [error(problem, solve_fem(problem, 2, n)) for n in (8, 16)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.3)


def test_elasticity_in_three_dimensions():
    names = "xyz"
    functions = [lambda at: sin(at.x + at.y), lambda at: at.x * exp(at.z), lambda at: at.y**2 * at.z]

    def balance(i):
        def inner(fields):
            along = names[i]
            divergence = sum(w.d("".join(sorted(n + along))) for n, w in zip(names, fields, strict=True))
            return divergence + sum(fields[i].d(2 * n) for n in names)

        return lambda u, v, w, at: inner((u, v, w)) - inner(known(functions, at))

    def traction(i):
        def inner(fields, at):
            return sum((fields[i].d(n) + fields[k].d(names[i])) * at.normal[:, k] for k, n in enumerate(names))

        return lambda u, v, w, at: inner((u, v, w), at) - inner(known(functions, at, 1), at)

    conditions = {f"{n}{i}": condition("z+", traction(i)) for i, n in enumerate("uvw")}
    for side in ("x", "y", "z-"):
        for name, function in zip("uvw", functions, strict=True):
            conditions[f"{name} at {side}"] = dirichlet(side, function, unknown=name)
    problem = Problem(
        Box(x=(0, 1), y=(0, 1), z=(0, 1)), {n: balance(i) for i, n in enumerate(names)}, conditions, exact(*functions)
    )
    errors = [error(problem, solve_fem(problem, 2, n)) for n in (2, 4)]
    assert np.log2(errors[0] / errors[1]) > 2.7
    assert errors[-1] < 5e-4


def test_systems_in_time():
    """Two chemicals with fluxes at one wall and periodic in the other coordinate."""

    def a(at):
        return 1.5 + sin(6.283185307179586 * at.x) * exp(-at.t) * cos(at.y)

    def b(at):
        return cos(6.283185307179586 * at.x) * at.y + at.t

    def less(residual):
        return lambda u, v, at: residual(u, v, at) - residual(*known((a, b), at), at)

    problem = Problem(
        Box(x=(0, 1), y=(0, 1), t=(0, 0.5)),
        {
            "u": less(lambda u, v, at: u.d("t") - 0.1 * (u.d("xx") + u.d("yy")) + u * v),
            "v": less(lambda u, v, at: v.d("t") - 0.2 * (v.d("xx") + v.d("yy")) - u**2 * v),
        },
        {
            "u0": initial(a, unknown="u"),
            "v0": initial(b, unknown="v"),
            "x": periodic("x"),
            "u at y-": dirichlet("y-", a, unknown="u"),
            "v at y-": neumann("y-", lambda at: -cos(6.283185307179586 * at.x), unknown="v"),
            "flux": condition("y+", less(lambda u, v, at: u.d("y") + u - v)),
            "other": condition("y+", less(lambda u, v, at: v.d("y") + u * v)),
        },
        reference=exact(a, b),
    )
    solution = solve_fem(problem, 4, 6, steps=4)
    assert error(problem, solution) < 2e-4
    slopes = ErrorMeasure(problem).of(solution.taylor).rel_h1
    assert slopes < 3e-3


def laplace(u):
    return u.d("xx") + u.d("yy")


PAIR = {"e": lambda u, at: laplace(u) - 1, "f": lambda u, v, at: laplace(v) - u}
FIXED = {"u": dirichlet("all", unknown="u"), "v": dirichlet("all", unknown="v")}
X = {"u": dirichlet("x", unknown="u"), "v": dirichlet("x", unknown="v")}


@pytest.mark.parametrize(
    ("equations", "conditions", "message"),
    [
        (PAIR, {"u": FIXED["u"]}, "boundary 'x-' has no condition on one of v"),
        (PAIR, {**FIXED, "again": neumann("x-", unknown="v")}, "'again' has another condition"),
        (PAIR, {**X, "y": condition("y", lambda u, v, at: u - v), "z": neumann("y", unknown="u")}, "do not give"),
        (PAIR, {**X, "y": neumann("y", unknown="u"), "z": condition("y", lambda v, at: v.d("y") ** 2)}, "not affine"),
        (PAIR, {**X, "y": neumann("y", unknown="u"), "z": condition("y", lambda v, at: v.d("yy"))}, r"d\('yy'\)"),
        (PAIR, {"u": FIXED["u"], "v": neumann("all", unknown="v")}, "up to a constant in v"),
        ({**PAIR, "f": lambda u, v, at: laplace(u) - v}, FIXED, "'f' has no second derivative of 'v'"),
        ({**PAIR, "f": lambda u, v, at: u * laplace(v) - 1}, FIXED, "v_xx depends on u "),
    ],
)
def test_says_where_it_does_not_apply_to_systems(equations, conditions, message):
    with pytest.raises(KanpdeError, match=message):
        solve_fem(Problem(SQUARE, equations, conditions), 1, 4)


def test_every_unknown_needs_a_start():
    problem = load_problem("schroedinger")
    conditions = {label: c for label, c in problem.conditions.items() if c.unknown != "v" or c.where != "t-"}
    with pytest.raises(KanpdeError, match="no initial condition of 'v'"):
        solve_fem(replace(problem, conditions=conditions), 1, 8)


def test_a_wave_function_in_time():
    problem = load_problem("schroedinger")
    assert error(problem, solve_fem(problem, 2, 64)) < 5e-3


def test_no_row_is_tried_where_the_conditions_do_not_fit():
    with pytest.raises(KanpdeError, match="do not give the conormal derivatives"):
        ladder(load_problem("poisson_interface"))


def test_values_are_those_of_the_unknowns():
    problem = manufactured({"mixed": mixed, "convective": convective}, WALLS)
    solution = solve_fem(problem, 4, 8)
    at = Points.of(("x", "y"), torch.rand(5, 2, dtype=torch.float64))
    u, v = solution.taylor(at, IndexSet(("x", "y"), [(0, 1)])).unbind(dim=2)
    assert torch.allclose(u[0], first(at), atol=1e-6)
    assert torch.allclose(v[0], second(at), atol=1e-6)
    assert torch.allclose(v[1], 2 * cos(at.x + 2 * at.y), atol=1e-4)
