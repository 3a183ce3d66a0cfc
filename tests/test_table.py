"""Tables of a user: every kind of file, grids and points, an error that is stated, and clear messages."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import meshio
import numpy as np
import pytest
import torch
from scipy.io import savemat

from kanpde import Box, KanpdeError, Points, Problem
from kanpde.metrics import errors
from kanpde.multiindex import IndexSet
from kanpde.reference import table
from kanpde.reference.table import Grid, Scattered

BOX = Box(x=(-1, 1), t=(0, 1))
X, T = np.linspace(-1, 1, 65), np.linspace(0, 1, 41)


def solution(x: Any, t: Any) -> Any:
    return np.exp(-t) * np.sin(np.pi * x)


GRID = {"x": X, "time": T, "usol": solution(X[:, None], T)}
COLUMNS = {name: values.ravel() for name, values in zip(("x", "time"), np.meshgrid(X, T, indexing="ij"), strict=True)}
COLUMNS["usol"] = solution(COLUMNS["x"], COLUMNS["time"])


def write(path: Path, arrays: Mapping[str, Any]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".mat":
        savemat(path, dict(arrays))
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file["data/" + name] = values
    elif path.suffix == ".csv":
        np.savetxt(path, np.stack(list(arrays.values()), axis=1), delimiter=",", header=",".join(arrays), comments="")
    else:
        points = np.stack([arrays["x"], arrays["time"], 0 * arrays["x"]], axis=1)
        cells = [("vertex", np.arange(len(points))[:, None])]
        meshio.write(path, meshio.Mesh(points, cells, point_data={"usol": arrays["usol"]}))
    return path


def somewhere(count: int = 200) -> Points:
    unit = torch.rand(count, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Points.of(BOX.names, unit * torch.tensor([2.0, 1.0]) + torch.tensor([-1.0, 0.0]))


def wanted(at: Points) -> torch.Tensor:
    return torch.exp(-at.t) * torch.sin(torch.pi * at.x)


@pytest.mark.parametrize("kind", ["npz", "mat", "h5", "csv", "vtu"])
def test_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"table.{kind}", COLUMNS if kind in ("csv", "vtu") else GRID)
    names = {"x": "x", "t": "y" if kind == "vtu" else "time"}
    values = "usol"
    if kind == "h5":
        names, values = {name: "data/" + label for name, label in names.items()}, "data/usol"
    reference = table(path, names, values)
    assert isinstance(reference, Grid)
    at = somewhere()
    found = reference.taylor(at, IndexSet(BOX.names))
    assert found.shape == (1, 200, 1)
    assert float((found[0, :, 0] - wanted(at)).abs().max()) < 1e-8
    assert float((1.01 * found[0, :, 0] - wanted(at)).abs().max()) > 1e-3


def test_matlab_files_of_version_7_3_have_their_axes_in_reverse(tmp_path: Path) -> None:
    path = tmp_path / "table.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in GRID.items():
            file[name] = np.atleast_2d(values).T
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(bytes(content))
    reference = table(path, {"x": "x", "t": "time"}, "usol")
    assert isinstance(reference, Grid)
    at = somewhere()
    assert float((reference.taylor(at, IndexSet(BOX.names))[0, :, 0] - wanted(at)).abs().max()) < 1e-8


@pytest.mark.parametrize("degree", [1, 3, 5])
def test_the_estimate_follows_the_error_of_the_interpolation(degree: int, tmp_path: Path) -> None:
    reference = table(write(tmp_path / "table.npz", GRID), {"x": "x", "t": "time"}, "usol", degree=degree)
    at = somewhere(2000)
    true = float((reference.taylor(at, IndexSet(BOX.names))[0, :, 0] - wanted(at)).norm() / wanted(at).norm())
    assert true / 5 < reference.error < 20 * true
    assert "interpolation" in reference.error_source
    given = table(tmp_path / "table.npz", {"x": "x", "t": "time"}, "usol", degree=degree, error=1e-7)
    assert given.error == 1e-7
    assert "as given" in given.error_source


def test_a_front_that_a_table_does_not_resolve_shows_in_its_error(tmp_path: Path) -> None:
    steep = np.tanh(X[:, None] / 0.005) + 0 * T
    reference = table(write(tmp_path / "table.npz", {**GRID, "usol": steep}), {"x": "x", "t": "time"}, "usol")
    assert reference.error > 1e-2


def test_derivatives_are_those_of_the_spline(tmp_path: Path) -> None:
    reference = table(write(tmp_path / "table.npz", GRID), {"x": "x", "t": "time"}, "usol")
    at = somewhere()
    indices = IndexSet(BOX.names, [(2, 0), (0, 1)])
    found = reference.taylor(at, indices)[..., 0]
    for index, factor in (((2, 0), -(torch.pi**2) / 2), ((0, 1), -1.0)):
        assert float((found[indices.position[index]] - factor * wanted(at)).abs().max()) < 1e-4


def test_several_unknowns_complex_parts_and_other_orders_of_axes(tmp_path: Path) -> None:
    h = solution(X[:, None], T) * np.exp(1j * X[:, None])
    path = write(tmp_path / "table.mat", {"x": X, "tt": T, "uu": h.T})
    reference = table(path, {"t": "tt", "x": "x"}, ["uu.real", "uu.imag"])
    at = somewhere()
    found = reference.taylor(at, IndexSet(BOX.names))[0]
    parts = torch.stack([wanted(at) * torch.cos(at.x), wanted(at) * torch.sin(at.x)], dim=1)
    assert float((found - parts).abs().max()) < 1e-7


def test_a_periodic_table_without_its_last_row(tmp_path: Path) -> None:
    path = write(tmp_path / "table.npz", {**GRID, "x": X[:-1], "usol": GRID["usol"][:-1]})
    at = somewhere()
    with pytest.raises(KanpdeError, match=r"covers x from -1 to 0.96875.*periodic="):
        table(path, {"x": "x", "t": "time"}, "usol").taylor(
            at.moved(x=torch.ones(200, dtype=torch.float64)), IndexSet(BOX.names)
        )
    reference = table(path, {"x": "x", "t": "time"}, "usol", periodic=["x"])
    assert float((reference.taylor(at, IndexSet(BOX.names))[0, :, 0] - wanted(at)).abs().max()) < 1e-8


def problem(reference: Grid | Scattered) -> Problem:
    return Problem(BOX, {"equation": lambda u, at: u.d("t") + u}, reference=reference)


def off(at: Points, indices: IndexSet) -> torch.Tensor:
    """1.001 times the solution."""
    values = torch.zeros(len(indices), len(at), 1, dtype=torch.float64)
    values[0, :, 0] = 1.001 * wanted(at)
    return values


def test_errors_are_measured_at_the_points_of_a_table(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).permutation(len(COLUMNS["x"]))[:500]
    path = write(tmp_path / "table.csv", {name: values[rows] for name, values in COLUMNS.items()})
    reference = table(path, {"x": "x", "t": "time"}, "usol", error=1e-16)
    assert isinstance(reference, Scattered)
    rule = reference.rule(BOX)
    assert rule is not None
    assert len(rule[0]) == 500
    found = errors(off, problem(reference))
    assert found.rel_l2 == pytest.approx(1e-3, rel=1e-9)
    assert math.isnan(found.rel_h1)
    half = reference.rule(Box(x=(-1, 0), t=(0, 1)))
    assert half is not None
    assert 200 < len(half[0]) < 300
    with pytest.raises(KanpdeError, match=r"has no points in Box\(x=\(5, 6\), t=\(0, 1\)\)"):
        reference.rule(Box(x=(5, 6), t=(0, 1)))
    # Elsewhere, in pictures, it is interpolated linearly.
    at = somewhere()
    assert float((reference.taylor(at, IndexSet(BOX.names))[0, :, 0] - wanted(at)).abs().mean()) < 1e-2


def test_a_grid_may_be_measured_at_its_own_points(tmp_path: Path) -> None:
    path = write(tmp_path / "table.npz", GRID)
    reference = table(path, {"x": "x", "t": "time"}, "usol", degree=None, error=1e-12)
    rule = reference.rule(BOX)
    assert rule is not None
    assert len(rule[0]) == len(X) * len(T)
    assert errors(off, problem(reference)).rel_l2 == pytest.approx(1e-3, rel=1e-9)


def test_one_coordinate_and_five(tmp_path: Path) -> None:
    line = table(write(tmp_path / "line.csv", {"t": T, "u": np.exp(-T)}), ["t"], "u")
    at = Points.of(("t",), torch.tensor([[0.123]], dtype=torch.float64))
    assert float(line.taylor(at, IndexSet(("t",)))) == pytest.approx(math.exp(-0.123), abs=1e-9)
    unit = np.random.default_rng(0).random((50, 5))
    path = write(tmp_path / "five.npz", {**dict(zip("abcde", unit.T, strict=True)), "u": unit.sum(axis=1)})
    five = table(path, "abcde", "u", error=1e-16)
    at = Points.of(tuple("abcde"), torch.from_numpy(unit))
    assert torch.equal(five.taylor(at, IndexSet(tuple("abcde")))[0, :, 0], torch.from_numpy(unit.sum(axis=1)))


WRONG = {
    "no file": ("missing.npz", {}, r"there is no table '.*missing.npz'"),
    "unknown kind": ("table.xlsx", {}, "unknown kind of table '.xlsx'.*Known: .csv"),
    "unknown array": ("table.npz", {"values": "usoll"}, "did you mean 'usol'.*Known: time, usol, x"),
    "other shape": ("table.npz", {"coordinates": {"t": "time", "x": "x"}}, r"'usol' has the shape \(65, 41\)"),
    "degree": ("table.npz", {"degree": 4}, "degree=4: give 1, 3, 5 or None"),
    "error": ("table.npz", {"error": 0.0}, "give a positive relative L2 error"),
    "unknown periodic": ("table.npz", {"periodic": ["y"]}, "unknown coordinate in periodic= of table table.npz: 'y'"),
    "matrix as coordinate": ("table.npz", {"coordinates": {"x": "usol", "t": "time"}}, "give a vector"),
    "nothing named": ("table.npz", {"values": []}, "name at least one coordinate"),
    "no error of points": ("table.npz", {"degree": None}, "give error="),
}


@pytest.mark.parametrize(("name", "settings", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_asked_for_must_be_there(name: str, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / "table.npz", GRID)
    arguments = {"coordinates": {"x": "x", "t": "time"}, "values": "usol", **settings}
    with pytest.raises(KanpdeError, match=message):
        table(tmp_path / name, **arguments)


CONTENT: dict[str, tuple[dict[str, Any], str]] = {
    "not a number": ({"usol": np.where(GRID["usol"] > 0.9, np.nan, GRID["usol"])}, "entries of 'usol' are not finite"),
    "descending": ({"x": X[::-1]}, "'x' does not ascend"),
    "complex": ({"usol": 1j * GRID["usol"]}, "name its parts, 'usol.real'"),
    "text": ({"usol": np.full(GRID["usol"].shape, "a")}, "does not hold numbers"),
    "pickled": ({"usol": np.full((1,), {}, dtype=object)}, "cannot be read"),
    "short": ({"x": X[:4], "usol": GRID["usol"][:4]}, "4 rows along 'x' are too few for degree 5"),
}


@pytest.mark.parametrize(("arrays", "message"), CONTENT.values(), ids=CONTENT.keys())
def test_wrong_content_is_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "table.npz", {**GRID, **arrays})
    with pytest.raises(KanpdeError, match=message):
        table(path, {"x": "x", "t": "time"}, "usol")


def test_too_few_rows_for_an_estimate(tmp_path: Path) -> None:
    path = write(tmp_path / "table.npz", {"x": X[:8], "time": T, "usol": GRID["usol"][:8]})
    with pytest.raises(KanpdeError, match="8 x 41 rows, too few to estimate its error: give error="):
        _ = table(path, {"x": "x", "t": "time"}, "usol").error


@pytest.mark.parametrize("kind", ["npz", "mat", "h5", "vtu"])
def test_damaged_files_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{kind}"
    path.write_bytes(b"not a table")
    with pytest.raises(KanpdeError, match=r"the table '.*' (cannot be read|is not a MATLAB file)"):
        table(path, ["x"], "u")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,u\n1,2\n2,oops\n", "has a row that is not of numbers"),
        ("x,u\n1,2,3\n2,3,4\n", "has 3 columns, and its first line names 2"),
        ("x,x\n1,2\n2,3\n", "names a column twice: x, x"),
    ],
)
def test_wrong_columns_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(KanpdeError, match=message):
        table(tmp_path / "table.csv", ["x"], "u")


def test_derivatives_that_splines_do_not_have_are_refused(tmp_path: Path) -> None:
    reference = table(write(tmp_path / "table.npz", GRID), {"x": "x", "t": "time"}, "usol", degree=3)
    reference.taylor(somewhere(), IndexSet(BOX.names, [(3, 0)]))
    with pytest.raises(KanpdeError, match="with degree 3, and a derivative of the order 4 was asked for"):
        reference.taylor(somewhere(), IndexSet(BOX.names, [(4, 0)]))
