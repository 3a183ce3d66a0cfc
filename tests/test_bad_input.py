"""Bad input as a user meets it: a file of one's own and the command line. One line says what, the value, what to do."""

import re
from pathlib import Path

import meshio
import numpy as np
import pytest
from domains import cube_arrays, ring_arrays

from kanpde.cli import main

MESHED = """
from kanpde import Mesh, Problem, dirichlet

def problem():
    return Problem(
        geometry=Mesh.read("{file}"),
        equations={{"e": lambda u, at: u.d("xx") + u.d("yy")}},
        conditions={{"warm": dirichlet("{where}", 1.0)}},
    )
"""
OBSERVED = """
import numpy as np
from kanpde import Box, Problem, dirichlet, observe, scalar

def problem():
    return Problem(
        geometry=Box(x=(0, 1), t=(0, 1)),
        equations={{"e": lambda u, k, at: u.d("t") - u.d("xx") + k * u}},
        conditions={{"ends": dirichlet("x")}},
        constraints={constraints},
        scalars={{"k": scalar(1.0)}},
    )
"""
REFERRED = """
import numpy as np
from kanpde import Box, Problem, dirichlet, parameter
from kanpde.reference import exact, per_value, table

def problem():
    x = np.linspace(0, 1, 33)
    np.savez("table.npz", x=x, y=x, u=x[:, None] * x)
    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1)) * parameter(a=(1, 2)),
        equations={{"e": lambda u, at: {equation}}},
        conditions={{"walls": dirichlet("all")}},
        reference={reference},
    )
"""


def refused(source: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which the command line refuses a problem, as a check and as a run."""
    Path("mine.py").write_text(source)
    lines = []
    for command in (["check", "problem=./mine.py"], ["problem=./mine.py", "baseline=none", "threads=1"]):
        assert main(command) == 2
        lines += capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1]
    assert lines[0].startswith("kanpde: error: ")
    assert not Path("runs").exists()
    return lines[0]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_meshes() -> None:
    """Write the meshes that the messages below are about."""
    points, cells, _ = ring_arrays()
    flat = np.pad(points, ((0, 0), (0, 1)))
    cube, tetrahedra, _ = cube_arrays(2)
    torn = flat.copy()
    torn[cells[0]] = torn[cells[0][0]]
    lost = flat.copy()
    lost[0] = np.nan
    brick = [0, 1, 4, 3, 9, 10, 13, 12]
    meshes = {
        "untagged": meshio.Mesh(flat, [("triangle", cells)]),
        "mixed": meshio.Mesh(cube, [("tetra", tetrahedra), ("hexahedron", np.array([brick]))]),
        "degenerate": meshio.Mesh(torn, [("triangle", cells)]),
        "overlapping": meshio.Mesh(flat, [("triangle", np.concatenate([cells, cells]))]),
        "not_finite": meshio.Mesh(lost, [("triangle", cells)]),
        "open": meshio.Mesh(cube, [("triangle", tetrahedra[:1, :3])]),
        "lines": meshio.Mesh(flat, [("line", cells[:, :2])]),
    }
    for name, mesh in meshes.items():
        meshio.write(f"{name}.vtu", mesh)
    Path("text.msh").write_text("not a mesh\n")
    Path("noise.msh").write_bytes(bytes(range(128, 256)))
    Path("picture.png").write_bytes(b"x")


MESHES = {
    "untagged.vtu": "unknown boundary 'rim': mesh 'untagged.vtu' has no tagged cells .* Tag the parts of the boundary",
    "mixed.vtu": "has cells of the kind 'hexahedron': mesh it with triangles, quadrilaterals or tetrahedra",
    "degenerate.vtu": r"has \d+ degenerate cells, one at \(.*\): repair it",
    "overlapping.vtu": "facets that more than two cells share: its cells overlap. Repair it",
    "not_finite.vtu": "has points that are not finite: repair it",
    "open.vtu": "is a surface in space that is not closed: .* Give a closed surface, or a mesh of tetrahedra",
    "lines.vtu": "has no triangles, quadrilaterals or tetrahedra: it is not a mesh of a domain",
    "text.msh": "'text.msh' is not a mesh that meshio can read",
    "noise.msh": "'noise.msh' is not a mesh that meshio can read",
    "picture.png": "'picture.png' is not a mesh that meshio can read",
    "nowhere.msh": "there is no mesh file 'nowhere.msh'",
}


@pytest.mark.parametrize("file", MESHES)
def test_a_file_that_is_no_mesh_of_a_domain(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_meshes()
    assert re.search(MESHES[file], refused(MESHED.format(file=file, where="rim"), capsys))


DATA = {
    "no data at all": ("{}", "the scalar 'k' is unknown and there are no data to find it from: give constraints="),
    "too few values": ('{"c": observe(np.ones((3, 2)), np.ones(2))}', r"of the shape (2,) at 3 points: give (3,)"),
    "a table of values": ('{"c": observe(np.ones((3, 2)), np.ones((3, 1)))}', r"of the shape (3, 1) at 3 points"),
    "one coordinate": ('{"c": observe(np.ones((3, 1)), np.ones(3))}', "have 1 coordinates: give x, t of each point"),
    "outside": (
        '{"c": observe([[0.5, 2.0]], [1.0])}',
        "1 observations lie outside the domain, the first at x=0.5",
    ),
    "no file": ('{"c": observe("none.csv", "u")}', "there is no table 'none.csv': check the path"),
    "no such column": ('{"c": observe("data.csv", "w")}', "unknown column of 'data.csv': 'w'. Known: u, x."),
    "no coordinate": ('{"c": observe("data.csv", "u")}', "name the columns of the coordinates x, t"),
    "ragged": ('{"c": observe("ragged.csv", "u")}', "has a row that is not of numbers"),
    "no rows": ('{"c": observe("empty.csv", "u")}', "has no rows below its first line: write one per point"),
}


@pytest.mark.parametrize("case", DATA)
def test_observations_of_the_wrong_shape_or_none(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data.csv").write_text("x,u\n0.5,1\n")
    Path("ragged.csv").write_text("x,t,u\n0.5,1,2\n0.5,1\n")
    Path("empty.csv").write_text("x,t,u\n")
    constraints, message = DATA[case]
    assert message in refused(OBSERVED.format(constraints=constraints), capsys)


def test_an_unknown_field_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    source = REFERRED.format(equation="u.d('xx')", reference="None").replace("lambda u, at", "lambda u, a, at")
    message = refused(source.replace('dirichlet("all")', 'dirichlet("all", unknown="a")'), capsys)
    assert "1 equations for the unknowns u, a, and there are no data to find the others from" in message


REFERENCES = {
    "lambda at: at.x": "the reference is a function: give one of kanpde.reference, such as exact(function)",
    "exact(3.0)": "exact(float): give a function of the points for each unknown",
    "exact(lambda at: at.x, lambda at: at.y)": "there are 2 solutions for the unknowns u: give one per unknown",
    "per_value(Box(x=(0, 1)), exact)": "has no parameters: multiply it with parameter",
    "table('none.npz', {'x': 'x', 'y': 'y'}, 'u', error=1e-3)": "there is no table 'none.npz'",
}


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_that_does_not_fit(reference: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert REFERENCES[reference] in refused(REFERRED.format(equation="u.d('xx')", reference=reference), capsys)


UNKNOWN = {
    "u.d('xxxxxx')": "table('table.npz', {'x': 'x', 'y': 'y'}, 'u', error=1e-3)",
    "u.d('xx') + u.d('a')": "exact(lambda at: at.x)",
}


@pytest.mark.parametrize("equation", UNKNOWN)
def test_a_derivative_that_the_reference_does_not_have(equation: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Such an equation can be solved, but the check says that it was not checked."""
    reference = f"per_value(Box(x=(0, 1), y=(0, 1)) * parameter(a=(1, 2)), lambda a: {UNKNOWN[equation]})"
    Path("mine.py").write_text(REFERRED.format(equation=equation, reference=reference))
    main(["check", "problem=./mine.py"])
    said = capsys.readouterr().out
    assert re.search("equation .* not checked", said)
    assert "not checked: the reference does not have all that is asked for, such as derivatives" in said
