"""Taylor-Hood elements: rates, exact polynomials, outflow, forces, continuation, and plain words where they fail."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
import torch
from torch import ones_like

from kanpde import Box, Disk, KanpdeError, Points, Problem, condition, dirichlet, mean, neumann, observe
from kanpde.field import taylor_coefficients
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.reference import ladder, solve_fem
from kanpde.reference.fem import FlowForm, Resolution, solve_flow
from kanpde.reference.fem.dissection import elimination_order
from kanpde.reference.fem.weakform import factorise

SQUARE = Box(x=(0, 1), y=(0, 1))


def flow_problem(conditions, constraints=None, *, nu=1.0, inertia=1.0, force=lambda at: (0.0, 0.0), box=SQUARE):
    def momentum_x(u, v, p, at):
        return inertia * (u * u.d("x") + v * u.d("y")) + p.d("x") - nu * (u.d("xx") + u.d("yy")) - force(at)[0]

    def momentum_y(u, v, p, at):
        return inertia * (u * v.d("x") + v * v.d("y")) + p.d("y") - nu * (v.d("xx") + v.d("yy")) - force(at)[1]

    def continuity(u, v, at):
        return u.d("x") + v.d("y")

    equations = {"momentum_x": momentum_x, "momentum_y": momentum_y, "continuity": continuity}
    return Problem(box, equations, conditions, constraints=constraints or {})


def cavity(nu=0.01):
    conditions = {
        "lid": dirichlet("y+", lambda at: 16 * at.x**2 * (1 - at.x) ** 2, unknown="u"),
        "bottom": dirichlet("y-", 0.0, unknown="u"),
        "sides": dirichlet("x", 0.0, unknown="u"),
        "v": dirichlet("all", 0.0, unknown="v"),
    }
    return flow_problem(conditions, {"pressure": mean("p")}, nu=nu)


def values(solution, problem, count=2000, slopes=False):
    box = problem.geometry
    unit = torch.rand(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lower, upper = (torch.tensor(side, dtype=torch.float64) for side in (box.lower, box.upper))
    at = Points.of(box.names, lower + (upper - lower) * unit)
    indices = IndexSet(box.names, [(1, 0), (0, 1)] if slopes else [])
    return at, indices, solution.taylor(at, indices)


def errors(solution, problem, exact, factor=1.0, slopes=False):
    """The largest error of every unknown."""
    at, indices, found = values(solution, problem, slopes=slopes)
    wanted = torch.stack([taylor_coefficients(f, at, indices) for f in exact], dim=-1)
    return (factor * found - wanted).abs().amax(dim=(0, 1)).tolist()


@pytest.mark.parametrize(("order", "cells", "bounds"), [(2, (8, 16), (3e-3, 6e-3)), (3, (6, 12), (5e-4, 1e-3))])
def test_rates(order, cells, bounds):
    """On Kovasznay's flow, whose pressure is given at the outlet: order + 1 for velocities, order for the pressure."""
    problem = load_problem("kovasznay")
    found = []
    for n in cells:
        solution = solve_flow(problem, order, n)
        at, indices, u = values(solution, problem)
        exact = problem.reference.taylor(at, indices)
        found.append(((u - exact).norm(dim=(0, 1)) / exact.norm(dim=(0, 1))).tolist())
    rates = -np.polyfit(np.log(cells), np.log(found), 1)[0]
    assert rates[:2] == pytest.approx([order + 1] * 2, abs=0.4)
    assert order - 0.3 < rates[2] < order + 1.3  # often one more on even meshes
    assert max(found[-1][:2]) < bounds[0]
    assert found[-1][2] < bounds[1]


def test_the_stated_error_is_of_the_size_of_the_true_one():
    problem = load_problem("kovasznay")
    solution = solve_flow(problem, 3, 12)
    at, indices, u = values(solution, problem)
    exact = problem.reference.taylor(at, indices)
    true = float((u - exact).norm() / exact.norm())
    assert 0.3 * true < solution.error < 3 * true


def quadratic_flow():
    """u = (y^2, x^2), p = 2 x + 2 y - 2, which is Stokes flow and of the degrees of the elements."""
    exact = (lambda at: at.y**2, lambda at: at.x**2, lambda at: 2 * at.x + 2 * at.y - 2)
    conditions = {"u": dirichlet("all", exact[0], unknown="u"), "v": dirichlet("all", exact[1], unknown="v")}
    return flow_problem(conditions, {"pressure": mean("p")}, inertia=0.0), exact


def test_polynomials_are_exact_with_their_slopes():
    problem, exact = quadratic_flow()
    solution = solve_flow(problem, 2, 3)
    assert solution.iterations == 1
    assert max(errors(solution, problem, exact, slopes=True)) < 1e-11
    assert min(errors(solution, problem, exact, factor=1.01)) > 5e-3


def test_the_mean_of_the_pressure_is_what_a_constraint_says():
    problem, exact = quadratic_flow()
    shifted = Problem(SQUARE, problem.equations, problem.conditions, constraints={"pressure": mean("p", 3.0)})
    solution = solve_flow(shifted, 2, 3)
    assert max(errors(solution, problem, (*exact[:2], lambda at: exact[2](at) + 3))) < 1e-11


def channel(pressure_out=0.0, nu=0.1):
    box = Box(x=(0, 2), y=(0, 1))
    conditions = {
        "inflow": dirichlet("x-", lambda at: at.y * (1 - at.y), unknown="u"),
        "level": dirichlet("x-", 0.0, unknown="v"),
        "walls_u": dirichlet("y", 0.0, unknown="u"),
        "walls_v": dirichlet("y", 0.0, unknown="v"),
        "outflow": condition("x+", lambda u, p, at: 2 * (nu * u.d("x") - p + pressure_out)),
        "straight": neumann("x+", 0.0, unknown="v"),
    }
    exact = (lambda at: at.y * (1 - at.y), lambda at: 0 * at.x, lambda at: pressure_out + 2 * nu * (2 - at.x))
    return flow_problem(conditions, nu=nu, box=box), exact


@pytest.mark.parametrize("pressure_out", [0.0, 0.7])
def test_a_natural_outflow_leaves_the_flow_of_a_channel_as_it_is(pressure_out):
    problem, exact = channel(pressure_out)
    solution = solve_flow(problem, 2, 4)
    assert max(errors(solution, problem, exact)) < 1e-11


def test_forces_on_walls_balance_those_inside():
    conditions = {"u": dirichlet("all", 0.0, unknown="u"), "v": dirichlet("all", 0.0, unknown="v")}
    problem = flow_problem(conditions, {"pressure": mean("p")}, force=lambda at: (at.y, at.x))
    assert solve_flow(problem, 2, 4).force("all") == pytest.approx((0.5, 0.5), abs=1e-11)


def test_buoyancy():
    """A fluid at rest in the weight (0, -1) lifts a disk by its area."""
    domain = SQUARE - Disk((0.4, 0.5), 0.2).named("disk")
    conditions = {"u": dirichlet("all", 0.0, unknown="u"), "v": dirichlet("all", 0.0, unknown="v")}
    still = {**conditions, "top": dirichlet("y+", 0.0, unknown="p")}
    solution = solve_flow(flow_problem(still, force=lambda at: (0.0, -1.0), box=domain), 3, 12)
    assert solution.force("disk") == pytest.approx((0.0, 0.04 * pi), abs=1e-5)


def test_small_viscosities_are_reached_from_larger_ones(monkeypatch):
    monkeypatch.setattr("kanpde.reference.fem.newton.ITERATIONS", 8)
    fast, slow = solve_flow(cavity(nu=1e-3), 2, 6), solve_flow(cavity(nu=0.1), 2, 6)
    assert "larger viscosit" in fast.stopped
    assert "viscosit" not in slow.stopped
    residual = fast.form.residual(fast.state)[fast.form.free]
    assert np.linalg.norm(residual) < 1e-12


def test_a_viscosity_that_is_out_of_reach_is_said(monkeypatch):
    monkeypatch.setattr("kanpde.reference.fem.newton.ITERATIONS", 1)
    with pytest.raises(KanpdeError, match="did not converge for viscosities"):
        solve_flow(cavity(), 2, 4)


def test_the_jacobian_is_the_derivative_of_the_residual():
    form = FlowForm(cavity(), 2, 3)
    generator = np.random.default_rng(0)
    state, direction = generator.standard_normal((2, form.size))
    h = 1e-6
    slope = (form.residual(state + h * direction) - form.residual(state - h * direction)) / (2 * h)
    inner = form.free[form.free < 2 * form.velocity.size]
    assert slope[inner] == pytest.approx((form.jacobian(state) @ direction)[inner], abs=1e-7)


def test_nested_dissection_orders_everything_once_with_little_fill():
    form = FlowForm(cavity(), 2, 16)
    assert sorted(form.free) == sorted(set(form.free))
    matrix = form.jacobian(form.start())
    fill = {}
    for name, free in (("dissected", form.free), ("sorted", np.sort(form.free))):
        factors = factorise(matrix[free][:, free], "NATURAL" if name == "dissected" else "COLAMD")
        fill[name] = factors.L.nnz + factors.U.nnz
    assert fill["dissected"] < 0.8 * fill["sorted"]


def test_elimination_order_puts_what_is_shared_last():
    elements = np.stack([np.arange(20), np.arange(1, 21)])
    order = elimination_order(elements, np.arange(20.0)[None])
    assert sorted(order) == list(range(21))
    assert order[-1] == 10


def test_where_two_values_meet_the_last_one_holds():
    lid = {"lid": dirichlet("y+", 1.0, unknown="u")}
    walls = {"bottom": dirichlet("y-", 0.0, unknown="u"), "sides": dirichlet("x", 0.0, unknown="u")}
    rest = {"v": dirichlet("all", 0.0, unknown="v")}
    corner = Points.of(("x", "y"), torch.tensor([[0.0, 1.0]], dtype=torch.float64))
    for conditions, value in (({**lid, **walls, **rest}, 0.0), ({**walls, **lid, **rest}, 1.0)):
        problem = flow_problem(conditions, {"pressure": mean("p")}, inertia=0.0)
        found = solve_flow(problem, 2, 4).taylor(corner, IndexSet(("x", "y")))
        assert float(found[0, 0, 0]) == pytest.approx(value, abs=1e-12)


def test_it_is_a_row_of_the_comparison():
    problem = cavity()
    assert Resolution(4, 8) in ladder(problem)
    solution = solve_fem(problem, 2, 4)
    assert solution.name == "fem-p2-4"
    assert solution.dofs == len(solution.form.free)
    assert set(solution.seconds) == {"setup", "train"}
    with pytest.raises(KanpdeError, match="first derivatives"):
        solution.taylor(problem.middle(), IndexSet(("x", "y"), [(2, 0)]))
    with pytest.raises(KanpdeError, match="degree 2 or more"):
        solve_fem(problem, 1, 4)


ALL = {"u": dirichlet("all", 0.0, unknown="u"), "v": dirichlet("all", 0.0, unknown="v")}


@pytest.mark.parametrize(
    ("conditions", "constraints", "message"),
    [
        (ALL, {}, "only up to a constant"),
        ({"u": ALL["u"]}, {}, "no condition on 'v'"),
        ({**ALL, "p": dirichlet("x+", 0.0, unknown="p")}, {"mean": mean("p")}, "and a constraint gives its mean"),
        (ALL, {"mean": mean("u")}, "is not the mean of 'p'"),
        (ALL, {"data": observe([[0.5, 0.5]], [1.0], "u")}, "is not the mean of 'p'"),
        ({"u": ALL["u"], "v": neumann("all", 0.0, unknown="v")}, {}, "neither a value nor the flux"),
        ({"u": ALL["u"], "v": condition("all", lambda v, at: v.d("xx"))}, {}, r"reads d\('xx'\)"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(conditions, constraints, message):
    with pytest.raises(KanpdeError, match=message):
        solve_flow(flow_problem(conditions, constraints), 2, 3)


def lap(u):
    return u.d("xx") + u.d("yy")


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        (
            {"a": lambda u, p, at: lap(u) + lap(p), "b": lambda v, at: lap(v)},
            "those of incompressible flow",
        ),
        (
            {"a": lambda u, p, at: p.d("x") + p.d("y") - lap(u), "b": lambda v, p, at: p.d("y") - lap(v)},
            "has not one derivative of 'p'",
        ),
        (
            {"a": lambda u, p, at: p.d("x") - u.d("xx"), "b": lambda v, p, at: p.d("y") - lap(v)},
            "not the constants",
        ),
        (
            {"a": lambda u, p, at: p.d("x") - (1 + at.x) * lap(u), "b": lambda v, p, at: p.d("y") - lap(v)},
            "not the constants",
        ),
        (
            {"a": lambda u, p, at: p.d("x") + lap(u), "b": lambda v, p, at: p.d("y") - lap(v)},
            "a viscosity > 0",
        ),
        (
            {
                "a": lambda u, p, at: p.d("x") - lap(u),
                "b": lambda v, p, at: p.d("y") - lap(v),
                "c": lambda u, v, at: u.d("x") + v.d("y") + u,
            },
            "is not the divergence",
        ),
        (
            {"a": lambda u, p, at: p.d("x") - u.d("xxx"), "b": lambda v, p, at: p.d("y") - lap(v)},
            "two derivatives at most",
        ),
    ],
)
def test_equations_that_are_not_those_of_flow_are_refused(equations, message):
    equations = {"c": lambda u, v, at: u.d("x") + v.d("y"), **equations}
    with pytest.raises(KanpdeError, match=message):
        ladder(Problem(SQUARE, equations, ALL))


def test_terms_that_are_not_finite_are_said():
    problem = flow_problem(ALL, {"pressure": mean("p")}, force=lambda at: (ones_like(at.x) / 0, 0.0))
    with pytest.raises(KanpdeError, match="not finite at"):
        solve_flow(problem, 2, 3)
