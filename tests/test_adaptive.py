"""Meshes that follow solutions: optimal rates where even meshes have those of the corner, on any plane domain."""

import numpy as np
import pytest
from domains import ring_arrays
from torch import exp

from kanpde import Box, Disk, KanpdeError, LShape, Points, Problem, dirichlet, initial, periodic
from kanpde.geometry import Mesh
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.reference import exact, ladder, solve_fem
from kanpde.reference.fem import Resolution
from kanpde.reference.fem.adaptive import SHARE, adapted, indicators, marked
from kanpde.reference.fem.linearise import StrongForm

SQUARE = Box(x=(0, 1), y=(0, 1))


def relative(fem, problem):
    """Return the relative L2 error at points that are drawn evenly."""
    names = problem.geometry.names
    at = Points.of(names, problem.geometry.sample(2000))
    u, true = (solution.taylor(at, IndexSet(names))[0] for solution in (fem, problem.reference))
    return float((u - true).norm() / true.norm())


def slope(solutions, problem):
    """Return the rate at which the L2 error falls with the degrees of freedom, and the last error."""
    found = [relative(fem, problem) for fem in solutions]
    return -np.polyfit(np.log([fem.dofs for fem in solutions]), np.log(found), 1)[0], found[-1]


@pytest.fixture(scope="module")
def lshape():
    return load_problem("poisson_lshape")


def test_rates_at_a_corner(lshape):
    """Of degree 2 in the plane, dofs^(-3/2) is optimal; r^(2/3) gives dofs^(-2/3) on even meshes."""
    problem = lshape
    rate, best = slope([solve_fem(problem, 2, cells, adaptive=True) for cells in (8, 16, 32)], problem)
    assert rate == pytest.approx(1.5, abs=0.2)
    assert best < 1e-4
    even, worse = slope([solve_fem(problem, 2, cells) for cells in (8, 16, 32)], problem)
    assert even == pytest.approx(2 / 3, abs=0.15)
    assert worse > 10 * best


@pytest.mark.parametrize(("order", "cells", "bound"), [(1, 32, 8e-3), (2, 16, 7e-4), (3, 16, 1e-4), (4, 16, 4e-5)])
def test_estimates_of_the_error(lshape, order, cells, bound):
    problem = lshape
    fem = solve_fem(problem, order, cells, adaptive=True)
    true = relative(fem, problem)
    assert true < bound
    assert true / 3 < fem.error < 6 * true
    even = solve_fem(problem, order, cells)
    assert fem.dofs < 1.6 * even.dofs
    assert true < relative(even, problem)
    assert fem.name == f"fem-p{order}-{cells}-adaptive"


def bend(at):
    return exp(2 * at.x) * at.y + at.x**2


def test_indicators_sum_to_the_error_in_energy():
    problem = Problem(
        LShape(),
        {"e": lambda u, at: -u.d("xx") - u.d("yy") + 4 * exp(2 * at.x) * at.y + 2},
        {"walls": dirichlet("all", bend)},
        reference=exact(bend),
    )
    for order in (1, 2, 4):
        *_, (form, solution, _) = adapted(StrongForm(problem), problem.geometry, order, 12)
        x = form.cells.points
        y, ex = x[1], np.exp(2 * x[0])
        gradient = np.stack([2 * ex * y + 2 * x[0], ex])
        off = np.stack([along @ solution for along in form.cells.slopes]) - gradient
        energy = np.sqrt((form.cells.weight * off**2).sum())
        assert 0.4 < np.sqrt(indicators(form, form.space.grid, solution).sum()) / energy < 2.5


def test_the_fewest_triangles_are_marked():
    sizes = np.array([1.0, 8.0, 2.0, 4.0, 0.5])
    assert marked(sizes).tolist() == [1, 3]
    assert sizes[marked(sizes)].sum() >= SHARE * sizes.sum() > sizes.max()
    assert marked(np.zeros(3)).tolist() == [0, 1, 2]


def test_a_solution_that_is_exact_at_once():
    problem = Problem(LShape(), {"e": lambda u, at: u.d("xx") + u.d("yy")}, {"walls": dirichlet("all", 0.0)})
    assert solve_fem(problem, 2, 16, adaptive=True).error == 0


def test_systems_and_curves():
    problem = load_problem("plate_with_hole")
    fem = solve_fem(problem, 2, 32, adaptive=True)
    true = relative(fem, problem)
    assert true < 1e-5
    assert true / 3 < fem.error < 3 * true
    grid = fem.space.grid
    (hole,) = problem.geometry.boundary("hole")
    nodes = grid.mesh.doflocs[:, grid.mesh.nvertices + grid.facets(hole)]
    np.testing.assert_allclose(np.hypot(*nodes), 1, rtol=1e-12)


@pytest.mark.parametrize("domain", [SQUARE, Mesh(*ring_arrays()), Box(x=(0, 1), y=(0, 1)) - Disk((0, 0), 0.4)])
def test_other_domains(domain):
    def equation(u, at):
        return -u.d("xx") - u.d("yy") + u**3 + 4 * exp(2 * at.x) * at.y + 2 - bend(at) ** 3

    problem = Problem(domain, {"e": equation}, {"walls": dirichlet("all", bend)}, reference=exact(bend))
    fem = solve_fem(problem, 3, 24, adaptive=True)
    true = relative(fem, problem)
    assert true < 2e-5
    assert true / 3 < fem.error


def test_rows_of_a_comparison(lshape):
    rows = ladder(lshape)
    assert rows[-1] == Resolution(4, 32, adaptive=True)
    assert rows[-1].name == "fem-p4-32-adaptive"
    assert {row.order for row in rows if not row.adaptive} == {1, 2, 4}
    assert not any(row.adaptive for name in ("poisson2d", "heat2d", "cavity") for row in ladder(load_problem(name)))
    assert rows[0].solve(lshape).name == "fem-p1-32"


@pytest.mark.parametrize(
    "problem",
    [
        Problem(Box(x=(0, 1)), {"e": lambda u, at: u.d("xx") - 1}, {"w": dirichlet("all")}),
        Problem(
            Box(x=(0, 1), y=(0, 1), t=(0, 1)),
            {"e": lambda u, at: u.d("t") - u.d("xx") - u.d("yy")},
            {"start": initial(0.0), "x": dirichlet("x"), "y": dirichlet("y")},
        ),
        Problem(SQUARE, {"e": lambda u, at: u.d("xx") + u.d("yy") - 1}, {"x": periodic("x"), "y": dirichlet("y")}),
        load_problem("stokes_cavity"),
    ],
)
def test_says_where_meshes_do_not_follow_a_solution(problem):
    with pytest.raises(KanpdeError, match="meshes follow steady solutions in the plane"):
        solve_fem(problem, 2, 8, adaptive=True)
