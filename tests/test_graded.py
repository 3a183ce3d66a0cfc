"""Graded meshes: fine where they should be, whole, and on curves where the boundary is one."""

from math import pi

import numpy as np
import pytest
from skfem import Basis, ElementTriP1, ElementTriP2, FacetBasis

from kanpde import Box, Disk, KanpdeError
from kanpde.reference.fem.graded import GradedGrid

SQUARE = Box(x=(0, 1), y=(0, 1))
RING = Box(x=(-1, 1), y=(-1, 1)) - Disk(radius=0.3).named("hole")


def area(grid):
    return float(Basis(grid.mesh, ElementTriP2(), intorder=4).dx.sum())


def length(grid, domain, name):
    element = ElementTriP1() if grid.curved is None else ElementTriP2()
    return sum(
        float(FacetBasis(grid.mesh, element, facets=grid.facets(patch), intorder=6).dx.sum())
        for patch in domain.boundary(name)
    )


@pytest.mark.parametrize("levels", [0, 1, 6])
def test_triangles_are_as_small_as_asked_at_a_point_and_nowhere_else(levels):
    grid = GradedGrid(SQUARE, 4, [(0.0, 1.0)], levels)
    edges = grid.longest_edges
    centres = grid.mesh.p[:, grid.mesh.t].mean(axis=1)
    distance = np.hypot(centres[0], centres[1] - 1)
    assert edges[distance.argmin()] == pytest.approx(np.sqrt(2) / 4 / 2**levels)
    assert edges[distance > 0.8].max() == pytest.approx(np.sqrt(2) / 4)
    assert grid.mesh.nelements <= 32 + 20 * levels
    assert area(grid) == pytest.approx(1)
    assert length(grid, SQUARE, "x+") == pytest.approx(1)
    assert length(grid, SQUARE, "all") == pytest.approx(4)


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_new_points_lie_on_curves(levels):
    grid = GradedGrid(RING, 8, ["hole"], levels)
    error = abs(length(grid, RING, "hole") - 0.6 * pi)
    assert error < 1e-3 / 15**levels
    assert abs(area(grid) - RING.measure) < 1e-3 / 15**levels + 1e-8
    assert length(grid, RING, "x") == pytest.approx(4)
    nodes = grid.mesh.doflocs[:, grid.mesh.nvertices + grid.facets(RING.boundary("hole")[0])]
    assert np.hypot(*nodes) == pytest.approx(0.3)


def test_points_are_found():
    grid = GradedGrid(RING, 8, ["hole", (1.0, 1.0)], 2)
    x = RING.sample(500, seed=0).numpy()
    element, local = grid.locate(x)
    corners = grid.mesh.p[:, grid.mesh.t[:, element]]
    straight = corners[:, 0] + ((corners[:, 1:] - corners[:, :1]) * local.T[None]).sum(axis=1)
    assert pytest.approx(x) == straight.T


def test_what_cannot_be_graded_is_refused():
    with pytest.raises(KanpdeError, match="plane domains"):
        GradedGrid(Box(x=(0, 1), y=(0, 1), z=(0, 1)), 4, [(0.0, 0.0, 0.0)], 1)
    with pytest.raises(KanpdeError, match="holes"):
        GradedGrid(RING, 4, ["holes"], 1)
