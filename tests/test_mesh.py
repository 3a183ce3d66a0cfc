"""Meshes from files: cells and tags of every format, and clear errors for what is not a mesh of a domain."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
import torch
from domains import cube_arrays, ring_arrays, sphere_arrays

from kanpde import Box, KanpdeError
from kanpde.geometry import Mesh, Solid

RING_AREA = 12 * np.sin(np.pi / 12) * 3
GMSH = {"gmsh:physical", "gmsh:geometrical"}


def ring_file(path: Path, quads: bool = False, key: str = "gmsh:physical", named: bool = True, **options: Any) -> Path:
    """Write the ring, in the plane z = 0, with the numbers 7 for the inner circle and 8 for the outer one."""
    points, cells, tags = ring_arrays()
    rows, columns = 4, 24
    blocks = [("triangle", cells)]
    if quads:
        a = (np.arange(rows)[:, None] * columns + np.arange(columns)).ravel()
        b = (np.arange(rows)[:, None] * columns + (np.arange(columns) + 1) % columns).ravel()
        four = np.stack([a, a + columns, b + columns, b], axis=1)
        blocks = [("quad", four[::2]), ("triangle", np.concatenate([four[1::2, :3], four[1::2, [2, 3, 0]]]))]
    blocks += [("line", tags["inner"]), ("line", tags["outer"])]
    values = [1] * (len(blocks) - 2) + [7, 8]
    numbers = [np.full(len(c), n, dtype=np.int32) for (_, c), n in zip(blocks, values, strict=True)]
    data = {key: numbers}
    if "gmsh" in key:
        data["gmsh:geometrical"] = numbers
    titles = {"inner": np.array([7, 1]), "outer": np.array([8, 1]), "ring": np.array([1, 2])} if named else {}
    mesh = meshio.Mesh(np.pad(points, ((0, 0), (0, 1))), blocks, cell_data=data, field_data=titles)
    meshio.write(path, mesh, **options)
    return path


@pytest.mark.parametrize(
    ("name", "options", "names"),
    [
        ("ring.msh", {"file_format": "gmsh22"}, {"inner", "outer"}),
        ("quads.msh", {"file_format": "gmsh22", "quads": True}, {"inner", "outer"}),
        ("numbers.msh", {"file_format": "gmsh22", "named": False}, {"7", "8"}),
        ("ring.vtu", {"key": "tag"}, {"7", "8"}),
        ("quads.vtu", {"key": "medit:ref", "quads": True}, {"7", "8"}),
        ("ring.xdmf", {"key": "facet_tags"}, {"7", "8"}),
        ("ring.mesh", {"key": "medit:ref"}, {"7", "8"}),
    ],
)
def test_a_ring_of_every_format(name: str, options: dict[str, Any], names: set[str], tmp_path: Path) -> None:
    mesh = Mesh.read(ring_file(tmp_path / name, **options))
    assert isinstance(mesh, Mesh)
    assert mesh.names == ("x", "y")
    assert set(mesh.boundaries) == {*names, "all"}
    assert mesh.measure == pytest.approx(RING_AREA, rel=1e-7)
    for boundary, radius in zip(sorted(names), (1, 2), strict=True):
        (patch,) = mesh.boundary(boundary)
        assert patch.measure == pytest.approx(48 * np.sin(np.pi / 24) * radius, rel=1e-7)
        unit = torch.rand(50, 1, dtype=torch.float64)
        points, normals = patch.place(unit), patch.normals(unit)
        assert normals is not None
        outward = (points * normals).sum(dim=1)
        assert bool(((outward > 0) == (radius == 2)).all())
    assert f"mesh '{name}'" in repr(mesh)


def test_cell_sets_name_the_boundary(tmp_path: Path) -> None:
    points, cells, tags = ring_arrays()
    lines = np.concatenate([tags["inner"], tags["outer"]])
    sets = {"hot": [np.zeros(0, dtype=int), np.arange(24)], "east": [np.zeros(0, dtype=int), np.arange(20, 30)]}
    mesh = meshio.Mesh(points, [("triangle", cells), ("line", lines)], cell_sets=sets)
    path = tmp_path / "ring.inp"
    meshio.write(path, meshio.Mesh(np.pad(points, ((0, 0), (0, 1))), mesh.cells, cell_sets=sets))
    found = Mesh.read(path)
    assert set(found.boundaries) == {"hot", "east", "all"}
    # Facets with two names are one patch of both.
    assert len(found.boundary("hot")) == 2
    assert sum(p.measure for p in found.boundary("hot")) == pytest.approx(48 * np.sin(np.pi / 24), rel=1e-7)
    assert sum(p.measure for p in found.boundary("all")) == pytest.approx(144 * np.sin(np.pi / 24), rel=1e-7)


def test_tetrahedra_with_tagged_triangles(tmp_path: Path) -> None:
    points, cells, tags = cube_arrays()
    path = tmp_path / "cube.vtu"
    blocks = [("tetra", cells), ("triangle", tags["floor"])]
    meshio.write(path, meshio.Mesh(points, blocks, cell_data={"tag": [np.zeros(len(cells), int), np.ones(18, int)]}))
    mesh = Mesh.read(path, coordinates=("u", "v", "w"))
    assert (mesh.names, set(mesh.boundaries)) == (("u", "v", "w"), {"1", "all"})
    assert mesh.measure == pytest.approx(1, rel=1e-12)
    (floor,) = mesh.boundary("1")
    assert floor.measure == pytest.approx(1, rel=1e-12)
    unit = torch.rand(20, 2, dtype=torch.float64)
    assert torch.equal(floor.normals(unit), torch.tensor([[0.0, 0, -1]], dtype=torch.float64).expand(20, -1))


def test_a_closed_surface_is_a_solid(tmp_path: Path) -> None:
    points, triangles = sphere_arrays()
    path = tmp_path / "sphere.stl"
    meshio.write(path, meshio.Mesh(points, [("triangle", triangles)]), binary=True)
    solid = Mesh.read(path)
    assert isinstance(solid, Solid)
    inner = Solid(0.5 * points, triangles)
    # A surface inside another one is that of a cavity, whatever its triangles' orientation.
    shell = Solid(np.concatenate([points, 0.5 * points]), np.concatenate([triangles, triangles + len(points)]))
    assert solid.measure == pytest.approx(Solid(points, triangles).measure, rel=1e-6)
    assert shell.measure == pytest.approx(0.875 * inner.measure * 8, rel=1e-12)
    x = torch.tensor([[0, 0, 0], [0.7, 0, 0], [0, 0, 1.1], [0, 0, -1.1], [2, 0, 0]], dtype=torch.float64)
    assert solid.contains(x).tolist() == [True, True, False, False, False]
    assert shell.contains(x).tolist() == [False, True, False, False, False]


def test_cells_in_either_orientation_and_points_of_no_cell(tmp_path: Path) -> None:
    points, cells, tags = ring_arrays()
    turned = cells.copy()
    turned[::2] = turned[::2, ::-1]
    extra = np.concatenate([[[5.0, 5.0]], points])
    mesh = Mesh(extra, turned + 1, {name: lines + 1 for name, lines in tags.items()})
    assert mesh.upper == pytest.approx((2, 2))
    assert mesh.measure == pytest.approx(RING_AREA, rel=1e-12)
    assert mesh.boundary("inner")[0].measure == pytest.approx(48 * np.sin(np.pi / 24))


def test_lines_inside_are_no_boundary() -> None:
    points, cells, tags = ring_arrays()
    mesh = Mesh(points, cells, {**tags, "middle": tags["inner"] + 48})
    assert set(mesh.boundaries) == {"inner", "outer", "all"}


def test_a_mesh_without_tags(tmp_path: Path) -> None:
    points, cells, _ = ring_arrays()
    meshio.write(tmp_path / "bare.vtu", meshio.Mesh(np.pad(points, ((0, 0), (0, 1))), [("triangle", cells)]))
    mesh = Mesh.read(tmp_path / "bare.vtu")
    assert set(mesh.boundaries) == {"all"}
    with pytest.raises(
        KanpdeError, match=r"unknown boundary 'inner': mesh 'bare.vtu' has no tagged cells.*physical groups"
    ):
        mesh.boundary("inner")


def test_unknown_names_of_a_mesh_list_the_known_ones() -> None:
    with pytest.raises(KanpdeError, match=r"unknown boundary 'iner': did you mean 'inner'.*Known: all, inner, outer"):
        Mesh(*ring_arrays()).boundary("iner")


def folded(points: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points, np.concatenate([cells, cells[:1], cells[:1]])


def flat(points: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([points, points[:1]]), np.concatenate([cells, [[0, 1, len(points)]]])


def endless(points: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = points.copy()
    points[3] = np.nan
    return points, cells


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flat, "has 1 degenerate cells, one at"),
        (folded, "facets that more than two cells share"),
        (endless, "not finite"),
    ],
)
def test_wrong_arrays_are_refused(change: Callable[..., tuple[np.ndarray, np.ndarray]], message: str) -> None:
    points, cells, _ = ring_arrays()
    with pytest.raises(KanpdeError, match=message):
        Mesh(*change(points, cells))


def test_arrays_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(KanpdeError, match=r"points \(96, 2\) and cells \(10, 4\) are no mesh"):
        Mesh(np.zeros((96, 2)), np.zeros((10, 4)))
    with pytest.raises(KanpdeError, match=r"coordinates=\(x\): the mesh has 2 dimensions"):
        Mesh(*ring_arrays(), coordinates=("x",))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([("line", [[0, 1]])], "has no triangles, quadrilaterals or tetrahedra"),
        ([("hexahedron", [[0, 1, 2, 3, 4, 5, 6, 7]])], "cells of the kind 'hexahedron'"),
        ([("tetra", [[0, 1, 2, 4]]), ("hexahedron", [[0, 1, 2, 3, 4, 5, 6, 7]])], "cells of the kind 'hexahedron'"),
        ([("tetra", [[0, 1, 2, 3]])], "has 1 degenerate cells"),
        ([("triangle", [[0, 1, 2], [4, 5, 6]])], "is a surface in space that is not closed: 6 edges"),
        ([("triangle", [[0, 1, 1], [4, 5, 6]])], "has 1 degenerate triangles"),
        ([("quad", [[0, 0, 1, 1]])], "has degenerate quadrilaterals"),
    ],
)
def test_wrong_cells_are_refused(cells: list[tuple[str, list[list[int]]]], message: str, tmp_path: Path) -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
    meshio.write(tmp_path / "wrong.vtu", meshio.Mesh(points, cells))
    with pytest.raises(KanpdeError, match=f"mesh 'wrong.vtu'.*{message}"):
        Mesh.read(tmp_path / "wrong.vtu")


@pytest.mark.parametrize("name", ["nothing.msh", "text.msh", "text.vtu", "text.stl", "text.xdmf", "text.py"])
def test_files_that_are_not_meshes(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if name.startswith("text"):
        (tmp_path / name).write_text("this is not a mesh")
    with pytest.raises(
        KanpdeError, match="there is no mesh file" if name == "nothing.msh" else "not a mesh that meshio"
    ):
        Mesh.read(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_a_mesh_in_time(tmp_path: Path) -> None:
    domain = Mesh.read(ring_file(tmp_path / "ring.vtu", key="tag")) * Box(t=(0, 2))
    assert set(domain.boundaries) == {"7", "8", "all", "t-", "t+", "t"}
    assert domain.measure == pytest.approx(2 * RING_AREA, rel=1e-7)
