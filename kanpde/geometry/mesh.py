"""Domains given by a mesh of simplices, read from any file that meshio reads."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import meshio
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.geometry.ball import COORDINATES
from kanpde.geometry.base import SLACK, Geometry
from kanpde.geometry.patch import Patch
from kanpde.geometry.simplices import Array, Locator, Numbers, chosen_in, measures, place_in
from kanpde.geometry.solid import Solid

# Cells by the beginning of their name: corners and dimension. Other nodes, of curved cells, are left out.
CELLS = {"line": (2, 1), "triangle": (3, 2), "quad": (4, 2), "tetra": (4, 3)}
OTHERS = ("hexahedron", "wedge", "pyramid", "polygon", "polyhedron", "VTK")
TAGS = ("gmsh:physical", "medit:ref", "facet_tags", "cell_tags", "tag", "tags", "boundary", "region")
"""Cell data that number the parts of a boundary, in the order in which they are looked for."""
FLAT = 1e-12
"""Cells with less than this part of the measure of a regular cell of the same size are degenerate."""


class Mesh(Geometry):
    """A domain made of triangles in the plane or tetrahedra in space.

    points: (V, d). cells: (T, d + 1) numbers of points. tags: for the name of a part of the boundary its facets (F, d),
    as numbers of points; facets that are not on the boundary are left out. Boundary names: those of `tags`, and `all`.
    Raises KanpdeError for points that are not finite, cells that are degenerate, and facets of more than two cells.
    """

    def __init__(
        self,
        points: Array,
        cells: Numbers,
        tags: Mapping[str, Numbers] | None = None,
        coordinates: Sequence[str] | None = None,
        source: str = "",
    ) -> None:
        points, cells = np.asarray(points, dtype=np.float64), np.asarray(cells, dtype=np.int64)
        d = points.shape[1]
        if d not in (2, 3) or cells.ndim != 2 or cells.shape[1] != d + 1 or not len(cells):
            raise KanpdeError(
                f"points {points.shape} and cells {cells.shape} are no mesh: give (V, 2), (T, 3) or (V, 3), (T, 4)."
            )
        if not np.isfinite(points).all():
            raise KanpdeError(f"{source or 'a mesh'} has points that are not finite: repair it.")
        used, renumbered = np.unique(cells, return_inverse=True)
        self._new = np.full(len(points), -1)
        self._new[used] = np.arange(len(used))
        self.points, self.cells, self.source = points[used], renumbered.reshape(cells.shape), source
        self.names = COORDINATES[:d] if coordinates is None else tuple(coordinates)
        if len(self.names) != d or len(set(self.names)) < d:
            raise KanpdeError(f"coordinates=({', '.join(self.names)}): the mesh has {d} dimensions.")
        self.lower = tuple(self.points.min(axis=0).tolist())
        self.upper = tuple(self.points.max(axis=0).tolist())
        self._orient()
        self._find_boundary(tags or {})

    @classmethod
    def read(cls, path: str | Path, coordinates: Sequence[str] | None = None) -> Mesh | Solid:
        """Return the domain of a file of any format that meshio reads (.msh, .vtu, .xdmf, .stl and others).

        Triangles and quadrilaterals in a plane z = constant give a plane domain, tetrahedra one in space, and a closed
        surface of triangles what it encloses. Parts of the boundary are named by meshio's cell sets, by the names of
        Gmsh's physical groups, or by integer cell data of the boundary cells (such as `gmsh:physical` or `medit:ref`).
        Raises KanpdeError for a file that is missing or not a mesh, and for cells that are mixed, of other kinds, or
        degenerate.
        """
        data = read_file(Path(path))
        source = f"mesh '{Path(path).name}'"
        points = np.asarray(data.points, dtype=np.float64)
        blocks = [(block.type, corner_numbers(block.type, np.asarray(block.data), source)) for block in data.cells]
        dimensions = {kind(name)[1] for name, _ in blocks if kind(name)[1] > 1}
        if not dimensions:
            raise KanpdeError(f"{source} has no triangles, quadrilaterals or tetrahedra: it is not a mesh of a domain.")
        d = max(dimensions)
        if d == 2:
            flat = points.shape[1] == 2 or bool(np.ptp(points[:, 2]) <= 1e-12 * np.ptp(points, axis=0).max())
            cells = np.concatenate([triangles_of(points, c, source) for name, c in blocks if kind(name)[1] == 2])
            if not flat:
                return Solid(points, cells, surface_tags(data, blocks), coordinates, source)
            points = points[:, :2]
        else:
            if any(name.startswith("quad") for name, _ in blocks):
                raise KanpdeError(f"{source} mixes tetrahedra with cells of other kinds: mesh it with tetrahedra only.")
            cells = np.concatenate([c for name, c in blocks if kind(name)[1] == 3])
        tags = dict(tagged(data, blocks, d - 1))
        return cls(points, cells, tags, coordinates, source)

    def written(self) -> str:
        content = sha256(self.points.tobytes() + self.cells.tobytes()).hexdigest()[:12]
        return f"Mesh({self.source or 'of arrays'}, {len(self.cells)} cells, {content})"

    def interior(self) -> Patch:
        corners = self.points[self.cells]
        return Patch("interior", self.dimension, float(measures(corners).sum()), place_in(corners))

    def parts(self) -> Mapping[str, tuple[Patch, ...]]:
        patches = {name: self._patch(name, which) for name, which in self.groups.items()}
        found = {
            tag: tuple(patches[name] for name, numbers in self.groups.items() if which[numbers[0]])
            for tag, which in self.tags.items()
        }
        return {**found, "all": tuple(patches.values())}

    def boundary(self, name: str) -> tuple[Patch, ...]:
        if not self.tags and name not in self.boundaries:
            raise KanpdeError(
                f"unknown boundary '{name}': {self.source or 'the mesh'} has no tagged cells on its boundary, so 'all'"
                " is the only name. Tag the parts of the boundary (in Gmsh as physical groups) and save them too."
            )
        if name not in self.boundaries:
            raise unknown_name("boundary", name, self.boundaries)
        return self.boundaries[name]

    def contains(self, points: Tensor, slack: float = SLACK) -> Tensor:
        element, place = self.locator(points.detach().cpu().numpy())
        weights = np.concatenate([1 - place.sum(axis=1, keepdims=True), place], axis=1)
        depth = weights * self._heights[element]
        width = slack * self.size
        inside = (element >= 0) & (depth.min(axis=1) >= -abs(width))
        if slack < 0:
            inside &= ~(self._outer[element] & (depth <= -width)).any(axis=1)
        return torch.from_numpy(inside).to(points.device)

    @cached_property
    def groups(self) -> dict[str, Numbers]:
        """The numbers of the boundary's facets that have the same tags, by the name of their patch."""
        found: dict[str, list[int]] = defaultdict(list)
        for number in range(len(self.facets)):
            tags = sorted(name for name, which in self.tags.items() if which[number])
            found["+".join(tags) or "untagged"].append(number)
        return {name: np.array(numbers) for name, numbers in found.items()}

    @cached_property
    def locator(self) -> Locator:
        """What finds the cell of a point."""
        return Locator(self.points, self.cells)

    @cached_property
    def _heights(self) -> Array:
        """The distance (T, d + 1) of every corner of a cell from the facet across."""
        d = self.dimension
        corners = self.points[self.cells]
        facets = [measures(corners[:, [j for j in range(d + 1) if j != i]]) for i in range(d + 1)]
        return d * measures(corners)[:, None] / np.stack(facets, axis=1)

    def _orient(self) -> None:
        """Make all cells positive; raise KanpdeError for degenerate ones."""
        corners = self.points[self.cells]
        edges = corners[:, 1:] - corners[:, :1]
        volumes = np.linalg.det(edges)
        longest = np.linalg.norm(edges, axis=2).max(axis=1)
        flat = np.abs(volumes) <= FLAT * longest**self.dimension
        if flat.any():
            where = ", ".join(f"{x:.4g}" for x in corners[flat][0].mean(axis=0))
            raise KanpdeError(
                f"{self.source or 'a mesh'} has {int(flat.sum())} degenerate cells, one at ({where}): repair it."
            )
        self.cells[volumes < 0, :2] = self.cells[volumes < 0, 1::-1]

    def _find_boundary(self, tags: Mapping[str, Numbers]) -> None:
        """Find the facets of one cell only (F, d), the corners across from them, and their tags."""
        d = self.dimension
        sides = [[j for j in range(d + 1) if j != i] for i in range(d + 1)]
        facets = np.sort(np.concatenate([self.cells[:, side] for side in sides]), axis=1)
        distinct, first, inverse, count = np.unique(
            facets, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        if (count > 2).any():
            raise KanpdeError(
                f"{self.source or 'a mesh'} has {int((count > 2).sum())} facets that more than two cells share:"
                " its cells overlap. Repair it."
            )
        outer = count == 1
        self.facets = distinct[outer]
        self._outer = outer[inverse.reshape(-1)].reshape(d + 1, -1).T
        across = np.repeat(np.arange(d + 1), len(self.cells))[first[outer]]
        self._apex = self.points[self.cells[first[outer] % len(self.cells), across]]
        numbers = {tuple(facet): i for i, facet in enumerate(self.facets.tolist())}
        self.tags: dict[str, NDArray[np.bool_]] = {}
        for name, chosen in tags.items():
            which = np.zeros(len(self.facets), dtype=bool)
            for facet in np.sort(self._new[np.asarray(chosen)], axis=1).tolist():
                if tuple(facet) in numbers:
                    which[numbers[tuple(facet)]] = True
            if which.any():
                self.tags[name] = which

    def _patch(self, name: str, which: Numbers) -> Patch:
        corners = self.points[self.facets[which]]
        edges = corners[:, 1:] - corners[:, :1]
        if self.dimension == 2:
            normals = np.stack([edges[:, 0, 1], -edges[:, 0, 0]], axis=1)
        else:
            normals = np.cross(edges[:, 0], edges[:, 1])
        inward = self._apex[which] - corners[:, 0]
        normals *= -np.sign((normals * inward).sum(axis=1, keepdims=True))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        total = float(measures(corners).sum())
        return Patch(name, self.dimension - 1, total, place_in(corners), chosen_in(corners, normals))


def read_file(path: Path) -> meshio.Mesh:
    """Return what meshio reads from a file; raise KanpdeError for one that is missing or that it cannot read."""
    if not path.is_file():
        raise KanpdeError(f"there is no mesh file '{path}'.")
    try:
        # meshio prints what went wrong, and ends the process for some files that it cannot read.
        with (
            contextlib.redirect_stdout(io.StringIO()) as said,
            contextlib.redirect_stderr(said),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return meshio.read(path)
    except (Exception, SystemExit) as error:
        reason = " ".join(said.getvalue().split()) or str(error) or type(error).__name__
        raise KanpdeError(f"'{path}' is not a mesh that meshio can read ({reason}).") from None


def kind(name: str) -> tuple[int, int]:
    """Return the number of corners and the dimension of a kind of cells; (0, 0) for points."""
    return next((known for start, known in CELLS.items() if name.startswith(start)), (0, 0))


def corner_numbers(name: str, cells: Numbers, source: str) -> Numbers:
    """Return the corners of cells (T, corners); raise KanpdeError for a kind that has no place here."""
    if name.startswith(OTHERS):
        raise KanpdeError(
            f"{source} has cells of the kind '{name}': mesh it with triangles, quadrilaterals or tetrahedra."
        )
    return cells[:, : kind(name)[0]] if kind(name)[0] else cells[:0]


def triangles_of(points: Array, cells: Numbers, source: str) -> Numbers:
    """Return triangles as they are, and quadrilaterals cut along a diagonal inside."""
    if cells.shape[1] == 3:
        return cells
    cuts = ((0, 1, 2, 0, 2, 3), (1, 2, 3, 1, 3, 0))
    pieces = [cells[:, cut].reshape(-1, 2, 3) for cut in cuts]
    areas = []
    for piece in pieces:
        corners = points[piece]
        edges = corners[:, :, 1:] - corners[:, :, :1]
        normals = np.cross(edges[:, :, 0], edges[:, :, 1]) if points.shape[1] == 3 else np.linalg.det(edges)[..., None]
        areas.append((normals[:, 0] * normals[:, 1]).sum(axis=-1))
    if ((areas[0] <= 0) & (areas[1] <= 0)).any():
        raise KanpdeError(f"{source} has degenerate quadrilaterals: repair it.")
    return np.where((areas[0] > 0)[:, None, None], pieces[0], pieces[1]).reshape(-1, 3)


def tagged(data: meshio.Mesh, blocks: list[tuple[str, Numbers]], dimension: int) -> Iterator[tuple[str, Numbers]]:
    """Yield names and facets (F, corners) of the cells of one dimension, those of one name together."""
    found: dict[str, list[Numbers]] = defaultdict(list)
    for name, sets in (data.cell_sets or {}).items():
        if name.startswith("gmsh:"):
            continue
        for (cell, corners), members in zip(blocks, sets, strict=False):
            if members is not None and len(members) and kind(cell)[1] == dimension:
                found[name].extend(facets_of(corners[np.asarray(members, dtype=np.int64)]))
    key = next((key for key in TAGS if key in data.cell_data), None)
    if key is not None and not found:
        titles = {(int(tag), int(dim)): name for name, (tag, dim) in (data.field_data or {}).items()}
        for (cell, corners), values in zip(blocks, data.cell_data[key], strict=True):
            if kind(cell)[1] != dimension or not np.issubdtype(np.asarray(values).dtype, np.integer):
                continue
            for tag in np.unique(values).tolist():
                found[titles.get((tag, dimension), str(tag))].extend(facets_of(corners[np.ravel(values) == tag]))
    for name, parts in found.items():
        yield name, np.concatenate(parts)


def surface_tags(data: meshio.Mesh, blocks: list[tuple[str, Numbers]]) -> dict[str, Numbers]:
    """Return the tagged triangles of a surface by name."""
    return dict(tagged(data, blocks, 2))


def facets_of(cells: Numbers) -> list[Numbers]:
    """Return cells as they are, and quadrilaterals as all triangles of their corners, of which two are facets."""
    if cells.shape[1] < 4:
        return [cells]
    return [cells[:, three] for three in combinations(range(4), 3)]
