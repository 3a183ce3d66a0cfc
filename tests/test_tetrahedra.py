"""Elements of NGSolve in space: rates of convergence, equality with scikit-fem's, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from domains import cube_arrays
from torch import cos, exp, sin

from kanpde import Box, Disk, KanpdeError, Mesh, Problem, condition, dirichlet, initial, neumann, periodic, robin
from kanpde.field import Field, Points, taylor_coefficients
from kanpde.library import load_problem
from kanpde.metrics import ErrorMeasure
from kanpde.multiindex import IndexSet
from kanpde.reference import exact, ladder, solve_fem
from kanpde.reference.fem.tetrahedra import installed

needs_ngsolve = pytest.mark.skipif(not installed(), reason="NGSolve is not installed")
CUBE = Box(x=(0, 1), y=(0, 1), z=(0, 1))
SECOND = IndexSet(("x", "y", "z"), [i for i in np.ndindex(3, 3, 3) if sum(i) <= 2])


def known(function, at):
    return Field.of("u", SECOND, taylor_coefficients(function, at, SECOND))


def wave(at):
    return exp(at.x / 2) * cos(2 * at.y) + sin(at.x + 2 * at.z)


def quadratic(at):
    return at.x**2 - at.x * at.y + 2 * at.y * at.z + at.z - 1


def nonlinear(u, at):
    """Return a nonlinear operator whose coefficients vary, with a mixed derivative."""
    a, b = 1 + at.x * at.y, 2 - at.z
    diffusion = a * u.d("xx") + b * u.d("yy") + u.d("zz") + 0.3 * at.y * u.d("xz")
    return -diffusion + at.x * u.d("z") + u**2 + (1 + at.y) * u


def manufactured(solution, domain=CUBE) -> Problem:
    """Return the problem of the operator above, with all kinds of conditions, that a function solves."""

    def equation(u, at):
        return nonlinear(u, at) - nonlinear(known(solution, at), at)

    def slope(at, axis):
        return known(solution, at).d(axis)

    def leak(u, at):
        return at.x * u - u.d("z")

    conditions = {
        "x": dirichlet("x", solution),
        "front": dirichlet("y-", solution),
        "back": neumann("y+", lambda at: slope(at, "y")),
        "top": robin("z+", lambda at: (1 + at.x) * solution(at) + slope(at, "z"), lambda at: 1 + at.x),
        "floor": condition("z-", lambda u, at: leak(u, at) - leak(known(solution, at), at)),
    }
    return Problem(domain, {"manufactured": equation}, conditions, reference=exact(solution))


def errors(problem, order, cells, **settings):
    solutions = [solve_fem(problem, order, n, **{"library": "ngsolve", **settings}) for n in cells]
    return [ErrorMeasure(problem).of(solution.taylor) for solution in solutions]


def at_random(box: Box, count: int = 500) -> Points:
    x = np.random.default_rng(0).uniform(box.lower, box.upper, (count, len(box.names)))
    return Points.of(box.names, torch.from_numpy(x))


def differences(problem, order, cells) -> float:
    """Return the largest difference of values and slopes between the two libraries, relative to the largest value."""
    at = at_random(CUBE)
    indices = IndexSet(at.names, [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    ours, theirs = (solve_fem(problem, order, cells, library=name).taylor(at, indices) for name in LIBRARIES)
    return float((ours - theirs).abs().max() / theirs.abs().max())


LIBRARIES = ("scikit-fem", "ngsolve")
RATES = [(2, (3, 6), 5e-3), (3, (3, 5), 8e-4), (4, (2, 4), 2e-4), (5, (2, 3), 8e-5)]


@needs_ngsolve
@pytest.mark.parametrize(("order", "cells", "bound"), RATES)
def test_rates_of_poisson(order, cells, bound):
    coarse, fine = errors(load_problem("poisson3d"), order, cells)
    ratio = np.log(cells[1] / cells[0])
    assert np.log(coarse.rel_l2 / fine.rel_l2) / ratio == pytest.approx(order + 1, abs=0.5)
    assert np.log(coarse.rel_h1 / fine.rel_h1) / ratio == pytest.approx(order, abs=0.5)
    assert fine.rel_l2 < bound


@needs_ngsolve
@pytest.mark.parametrize(("order", "cells", "bound"), RATES)
def test_rates_of_a_nonlinear_equation_with_variable_coefficients(order, cells, bound):
    coarse, fine = errors(manufactured(wave), order, cells)
    assert np.log(coarse.rel_l2 / fine.rel_l2) / np.log(cells[1] / cells[0]) == pytest.approx(order + 1, abs=0.5)
    assert fine.rel_l2 < bound / 10


@needs_ngsolve
@pytest.mark.parametrize("order", [2, 3, 4])
def test_a_solution_of_their_degree_is_met(order):
    (error,) = errors(manufactured(quadratic), order, (2,))
    assert error.rel_l2 < 1e-12
    assert error.rel_h1 < 1e-11


@needs_ngsolve
@pytest.mark.parametrize("order", [1, 2])
def test_equal_to_scikit_fem_to_rounding(order):
    """Integrands are polynomials of degree 5, which the rules of both integrate exactly; the solution is none."""

    def equation(u, at):
        return (
            -(1 + at.x) * u.d("xx")
            - 2 * u.d("yy")
            - u.d("zz")
            + 0.3 * at.y * u.d("xz")
            + u.d("z")
            + u * u.d("x")
            - at.x
        )

    conditions = {
        "x": dirichlet("x", lambda at: at.y * at.z),
        "y": robin("y", 1.0, 2.0),
        "z-": neumann("z-", lambda at: at.x),
        "z+": dirichlet("z+", lambda at: sin(3 * at.x) + at.y**3),
    }
    problem = Problem(CUBE, {"e": equation}, conditions)
    assert differences(problem, order, 4) < 1e-11
    assert solve_fem(problem, order, 4, library="ngsolve").dofs == solve_fem(problem, order, 4).dofs


@needs_ngsolve
def test_systems_equal_to_scikit_fem_to_rounding():
    """Two chemicals that react, with fluxes that mix them."""
    conditions = {
        "u": dirichlet("x", 1.0, unknown="u"),
        "v": dirichlet("x", lambda at: at.y, unknown="v"),
        "u at y": neumann("y", 0.0, unknown="u"),
        "v at y": robin("y", 0.0, unknown="v"),
        "u at z": condition("z", lambda u, v, at: u.d("z") * at.normal[:, 2] + u - v),
        "v at z": neumann("z", 0.3, unknown="v"),
    }
    equations = {
        "first": lambda u, v, at: -u.d("xx") - u.d("yy") - u.d("zz") + u * v.d("y") - at.x,
        "second": lambda u, v, at: -2 * v.d("xx") - v.d("yy") - v.d("zz") - v * u.d("z") + at.y * v,
    }
    assert differences(Problem(CUBE, equations, conditions), 2, 3) < 1e-11


@needs_ngsolve
def test_a_slightly_wrong_solution_is_noticed():
    problem = load_problem("poisson3d")
    solution = solve_fem(problem, 4, 4, library="ngsolve")
    wrong = ErrorMeasure(problem).of(lambda at, indices: 1.01 * solution.taylor(at, indices))
    assert wrong.rel_l2 == pytest.approx(0.01, rel=0.05)


@needs_ngsolve
def test_linear_equations_take_one_newton_step_and_two_solutions_are_the_same():
    first, second = (solve_fem(load_problem("poisson3d"), 4, 3, library="ngsolve") for _ in range(2))
    assert (first.name, first.iterations, first.dofs) == ("ngsolve-p4-3", 1, 11**3)
    assert np.array_equal(first.states, second.states)


@needs_ngsolve
@pytest.mark.parametrize(("order", "cells"), [(2, 8), (3, 8)])
def test_own_error_estimate(order, cells):
    problem = load_problem("poisson3d")
    solution = solve_fem(problem, order, cells, library="ngsolve")
    assert solution.error == pytest.approx(ErrorMeasure(problem).of(solution.taylor).rel_l2, rel=0.5)


def shaken_mesh() -> Mesh:
    """Return a mesh of the unit cube with points off their lattice and corners of cells in any order."""
    points, cells, tags = cube_arrays()
    points = points + 3.2 * np.sin(7 * points[:, [1, 2, 0]]) * (points * (1 - points)).prod(axis=1, keepdims=True)
    turned = np.random.default_rng(0).permuted(cells, axis=1)
    floor = {tuple(sorted(t)) for t in tags["floor"].tolist()}
    every = Mesh(points, turned, tags).facets.tolist()
    tags["others"] = np.array([facet for facet in every if tuple(sorted(facet)) not in floor])
    return Mesh(points, turned, tags)


@needs_ngsolve
def test_an_imported_mesh():
    def equation(u, at):
        return nonlinear(u, at) - nonlinear(known(wave, at), at)

    def leak(u, at):
        return at.x * u - u.d("z")

    conditions = {
        "floor": condition("floor", lambda u, at: leak(u, at) - leak(known(wave, at), at)),
        "others": dirichlet("others", wave),
    }
    problem = Problem(shaken_mesh(), {"e": equation}, conditions, reference=exact(wave))
    coarse, fine = errors(problem, 3, (3, 6))
    assert np.log2(coarse.rel_l2 / fine.rel_l2) > 3  # cells that are divided for the first time get blunter
    assert fine.rel_l2 < 2e-5
    rows = [row for row in ladder(problem) if row.library == "ngsolve"]
    assert {row.order for row in rows} == {3, 4, 5}
    assert {row.cells % 6 for row in rows} == {0}


@needs_ngsolve
@pytest.mark.parametrize("cells", [3, 6])
def test_equal_to_scikit_fem_on_an_imported_mesh(cells):
    conditions = {"floor": robin("floor", 1.0), "others": dirichlet("others", lambda at: sin(2 * at.x) + at.z)}
    problem = Problem(shaken_mesh(), {"e": lambda u, at: laplace(u, at) + at.y * u.d("x")}, conditions)
    assert differences(problem, 2, cells) < 1e-11


@needs_ngsolve
def test_a_parameter():
    from kanpde import parameter

    def equation(u, at):
        return -at.k * (u.d("xx") + u.d("yy") + u.d("zz")) - 1 + 0 * at.k

    problem = Problem(CUBE * parameter(k=(1, 2)), {"e": equation}, {"walls": dirichlet("all")})
    family = solve_fem(problem, 3, 2, library="ngsolve")
    assert family.name == "ngsolve-p3-2"
    assert family.error > 0


def test_ladders_have_its_rows_where_it_is_installed(monkeypatch):
    problem = load_problem("poisson3d")
    monkeypatch.setattr("kanpde.reference.fem.solve.installed", lambda: False)
    without = ladder(problem)
    assert {row.library for row in without} == {"scikit-fem"}
    monkeypatch.setattr("kanpde.reference.fem.solve.installed", lambda: True)
    names = [row.name for row in ladder(problem)]
    assert names[: len(without)] == [row.name for row in without]
    assert "ngsolve-p4-8" in names
    assert all(row.library == "scikit-fem" for row in ladder(load_problem("poisson2d")))
    assert all(row.library == "scikit-fem" for row in ladder(MOVING))
    assert all(row.library == "scikit-fem" for row in ladder(PERIODIC))


def laplace(u, at):
    return u.d("xx") + u.d("yy") + u.d("zz") - u - 1


MOVING = Problem(
    Box(x=(0, 1), y=(0, 1), z=(0, 1), t=(0, 1)),
    {"heat": lambda u, at: u.d("t") - laplace(u, at)},
    {"walls": dirichlet("all"), "start": initial(0.0)},
)
PERIODIC = Problem(CUBE, {"e": laplace}, {"p": periodic("x"), "y": dirichlet("y"), "z": dirichlet("z")})


@pytest.mark.parametrize(
    ("problem", "settings", "message"),
    [
        (load_problem("poisson2d"), {}, "three space dimensions"),
        (Problem(Disk(), {"e": lambda u, at: u.d("xx") + u.d("yy")}, {"w": dirichlet("all")}), {}, "three space dim"),
        (load_problem("poisson2d"), {"adaptive": True}, "on meshes that follow no solution"),
        (load_problem("kovasznay"), {}, "that are no flow"),
        (MOVING, {}, "steady problems"),
        (PERIODIC, {}, "without periodic faces"),
        (load_problem("poisson3d"), {"order": 7}, "order=7: NGSolve's elements have degrees 1 to 6"),
        (load_problem("poisson3d"), {"order": 0}, "order=0"),
        (load_problem("poisson3d"), {"library": "ngsolv"}, "ngsolv"),
    ],
)
def test_says_where_it_does_not_apply(problem, settings, message):
    with pytest.raises(KanpdeError, match=message):
        solve_fem(problem, **{"order": 2, "cells": 4, "library": "ngsolve", **settings})


def test_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ngsolve", None)
    with pytest.raises(KanpdeError, match=r"pip install 'kanpde\[fem\]'"):
        solve_fem(load_problem("poisson3d"), 4, 4, library="ngsolve")
