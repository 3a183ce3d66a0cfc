"""Which mesh a domain gets."""

from __future__ import annotations

from kanpde.errors import KanpdeError
from kanpde.geometry import Box, Geometry, Mesh
from kanpde.geometry.base import distinct
from kanpde.reference.fem.divided import DividedGrid
from kanpde.reference.fem.grid import BOXES, BoxGrid, Grid, RefinedMesh
from kanpde.reference.fem.linearise import does_not_apply

NESTED = 2
"""Times that a triangulation is divided evenly, where it can be; errors are estimated from the coarser meshes."""
COARSEST = 2


def grid_of(domain: Geometry, cells: int) -> Grid:
    """Return the mesh of a domain in space; raise KanpdeError for one that there is no mesh of.

    A triangulation is divided from one of a quarter as many cells per side, if that is possible, or of half as many.
    """
    if isinstance(domain, Box) and domain.dimension in BOXES:
        return BoxGrid(domain, cells)
    if isinstance(domain, Mesh):
        return RefinedMesh(domain, cells)
    _check_plane(domain)
    for times in range(NESTED, 0, -1):
        if cells % 2**times == 0 and cells >= COARSEST * 2**times:
            try:
                grid = DividedGrid.triangulated(domain, cells // 2**times)
                for _ in range(times):
                    grid = grid.divided()
                return grid
            except KanpdeError:  # too coarse to begin with
                continue
    return DividedGrid.triangulated(domain, cells)


def coarser_of(domain: Geometry, grid: Grid) -> Grid | None:
    """Return the mesh with half as many cells per side for estimates, None for an imported mesh as it is."""
    if grid.coarser is None and not isinstance(domain, Mesh) and grid.cells >= 2 * COARSEST:
        return grid_of(domain, round(grid.cells / 2))
    return grid.coarser


def triangles_to_divide(domain: Geometry, cells: int) -> DividedGrid:
    """Return a mesh of a plane domain without coarser ones; raise KanpdeError for one that there is none of."""
    if isinstance(domain, Box | Mesh):
        return DividedGrid.of(grid_of(domain, cells), domain)
    _check_plane(domain)
    return DividedGrid.triangulated(domain, cells)


def _check_plane(domain: Geometry) -> None:
    # The boundary of a mesh is no curve that points could follow.
    if domain.dimension != 2 or not all(patch.surface is not None for patch in distinct(domain)):
        raise does_not_apply(
            "it meshes boxes, plane domains that have no mesh as a part, and imported meshes, and the domain is"
            f" {domain}"
        )
