"""Finite elements on other domains than boxes: rates of convergence, and plain words where there is no mesh."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from domains import DOMAINS, cube_arrays, ring_arrays
from torch import Tensor, exp, sin

from kanpde import Ball, Box, Disk, Field, KanpdeError, Points, Problem, dirichlet, initial, neumann
from kanpde.geometry import Geometry, Mesh
from kanpde.library import load_problem
from kanpde.metrics import errors
from kanpde.reference import exact, ladder, solve_fem
from kanpde.reference.fem import Resolution
from kanpde.reference.fem.grid import FreeGrid
from kanpde.reference.fem.meshing import grid_of


def harmonic(at: Points) -> Tensor:
    return 1 + torch.log(at.x**2 + at.y**2) / (2 * log(5))


PLANE_RING = Disk().named("rim") - Disk(radius=0.2).named("hole")


def ring_problem(flux: bool) -> Problem:
    """Laplace's equation between circles, with values on both or a flux on the inner one."""
    inner = neumann("hole", -5 / log(5)) if flux else dirichlet("hole", 0.0)
    conditions = {"rim": dirichlet("rim", 1.0), "hole": inner}
    return Problem(PLANE_RING, {"e": lambda u, at: u.d("xx") + u.d("yy")}, conditions, reference=exact(harmonic))


@pytest.mark.parametrize(
    ("order", "flux", "bound", "rate"),
    [(1, False, 4e-3, 1.7), (2, False, 1e-4, 2.5), (2, True, 1e-4, 2.5), (4, False, 5e-6, 3.2)],
)
def test_convergence_between_circles(order: int, flux: bool, bound: float, rate: float) -> None:
    """Sides that are parabolas give the order 4 at most."""
    problem = ring_problem(flux)
    coarse, fine = (solve_fem(problem, order, cells) for cells in (16, 32))
    found = [errors(fem.taylor, problem).rel_l2 for fem in (coarse, fine)]
    assert found[1] < bound
    assert log(found[0] / found[1], 2) > rate
    assert found[1] / 4 < fine.error < 4 * found[1]


def smooth(at: Points) -> Tensor:
    return exp(at.x) * sin(2 * at.y)


@pytest.mark.parametrize("name", ["spiral, clockwise", "ellipse", "box with holes", "keyhole", "mesh of a ring"])
def test_domains_in_the_plane(name: str) -> None:
    domain = DOMAINS[name]
    equations = {"e": lambda u, at: u.d("xx") + u.d("yy") + 3 * smooth(at)}
    problem = Problem(domain, equations, {"all": dirichlet("all", smooth)}, reference=exact(smooth))
    coarse, fine = (errors(solve_fem(problem, 2, cells).taylor, problem).rel_l2 for cells in (20, 40))
    assert fine < 3e-4
    assert 2.5 < log(coarse / fine, 2) < 4.5


def test_a_mesh_of_tetrahedra_is_refined_with_its_tags() -> None:
    def u(at: Points) -> Tensor:
        return exp(at.x) * sin(2 * at.y) * (1 + at.z)

    equations = {"e": lambda v, at: v.d("xx") + v.d("yy") + v.d("zz") + 3 * u(at)}
    points, cells, tags = cube_arrays()
    walls = Mesh(points, cells).facets
    floor = {tuple(sorted(t)) for t in tags["floor"].tolist()}
    tags["others"] = np.array([facet for facet in walls.tolist() if tuple(facet) not in floor])
    conditions = {
        "floor": neumann("floor", lambda at: -exp(at.x) * sin(2 * at.y)),
        "others": dirichlet("others", u),
    }
    problem = Problem(Mesh(points, cells, tags), equations, conditions, reference=exact(u))
    assert ladder(problem)[0] == Resolution(1, 6)
    coarse, fine = (errors(solve_fem(problem, 2, cells).taylor, problem).rel_l2 for cells in (3, 6))
    assert fine < 1e-3
    assert log(coarse / fine, 2) > 2.5
    with pytest.raises(KanpdeError, match="from a coarser mesh, and there is none"):
        solve_fem(problem, 2, 3).error  # noqa: B018


def test_a_ring_in_time() -> None:
    def u(at: Points) -> Tensor:
        return smooth(at) * exp(-at.t)

    problem = Problem(
        PLANE_RING * Box(t=(0, 1)),
        {"e": lambda v, at: v.d("t") - v.d("xx") - v.d("yy") - 2 * u(at)},
        {"start": initial(smooth), "walls": dirichlet("all", u)},
        reference=exact(u),
    )
    assert errors(solve_fem(problem, 2, 16).taylor, problem).rel_l2 < 3e-4
    assert ladder(problem) == ladder(replace(problem, geometry=Box(x=(0, 1), y=(0, 1), t=(0, 1))))


@pytest.mark.parametrize(
    "domain",
    [Box(x=(-1, 2)), Box(x=(0, 2), y=(-1, 0)), Box(x=(0, 1), y=(0, 1), z=(0, 2)), Disk(), Mesh(*ring_arrays())],
)
def test_points_are_found_in_the_cells(domain: Geometry) -> None:
    """Barycentric coordinates are not negative in the domain, and give the points back from the corners."""
    grid, x = grid_of(domain, 24), domain.sample(500, seed=3).numpy()
    cell, place = grid.locate(x)
    weights = np.concatenate([1 - place.sum(axis=1, keepdims=True), place], axis=1)
    corners = grid.mesh.p.T[grid.mesh.t.T][cell]
    np.testing.assert_allclose(np.einsum("ni,nid->nd", weights, corners), x, rtol=0, atol=1e-14)
    straight = np.ones(len(x), dtype=bool) if grid.curved is None else ~grid.curved[cell]
    assert straight.sum() > 250
    assert weights[straight].min() > -1e-12


@pytest.fixture(scope="module")
def lshape() -> Problem:
    return load_problem("poisson_lshape")


@pytest.mark.parametrize(("order", "cells"), [(1, 16), (1, 64), (2, 8), (2, 32), (3, 32), (4, 4), (4, 16), (4, 32)])
def test_the_error_at_a_corner_is_not_understated(lshape: Problem, order: int, cells: int) -> None:
    """There the rate is 4/3 in every degree, and the estimate has to find it."""
    fem = solve_fem(lshape, order, cells)
    true = errors(fem.taylor, lshape).rel_l2
    assert true / 3 < fem.error < 3 * true


def test_meshes_for_estimates_are_nested() -> None:
    grid = grid_of(PLANE_RING, 16)
    coarser = grid.coarser
    assert coarser.coarser.coarser is None
    assert [grid.cells, coarser.cells, coarser.coarser.cells] == [16, 8, 4]
    for patch in PLANE_RING.boundary("all"):
        assert len(grid.facets(patch)) == 4 * len(coarser.coarser.facets(patch))
    corners = grid.mesh.p[:, : coarser.mesh.nvertices]
    moved = np.abs(np.hypot(*corners) - np.hypot(*coarser.mesh.p[:, : coarser.mesh.nvertices]))
    assert moved.max() < 1e-14
    assert grid_of(PLANE_RING, 7).coarser is None
    assert grid_of(Box(x=(0, 1)), 8).coarser.cells == 4


def test_points_far_from_all_cells_belong_to_one_that_is_nearest() -> None:
    grid = grid_of(Disk(), 16)
    x = np.array([[0.99, 0.99], [-0.99, 0.99], [-0.99, -0.99]])
    assert isinstance(grid, FreeGrid)
    assert (grid.simplices(x)[0] < 0).all()
    cell, place = grid.locate(x)
    corners = grid.mesh.p.T[grid.mesh.t.T][cell]
    np.testing.assert_allclose(corners[:, 0] + np.einsum("ni,nid->nd", place, corners[:, 1:] - corners[:, :1]), x)
    assert np.linalg.norm(corners.mean(axis=1) - 0.7 * x, axis=1).max() < 0.15


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (Disk() * Box(z=(0, 1)), "and the domain is"),
        (Ball(), "it meshes boxes, plane domains"),
        (DOMAINS["mesh without a disk"], "plane domains that have no mesh as a part"),
        (Box(x=(0, 1), t=(0, 1)) - Disk((0.5, 0.5), 0.2, coordinates=("x", "t")), "not one in space times an interval"),
    ],
)
def test_domains_without_a_mesh_are_refused(domain: Geometry, message: str) -> None:
    def equation(u: Field, at: Points) -> Tensor:
        return u.d("xx") - u.d("t") if domain.time else u.d("xx") + u.d(2 * domain.names[-1])

    problem = Problem(domain, {"e": equation}, {"all": dirichlet("all")})
    with pytest.raises(KanpdeError, match=f"FEM does not apply here: .*{message}"):
        solve_fem(problem, 1, 8)
