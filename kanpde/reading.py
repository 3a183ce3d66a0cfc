"""Arrays by name from files of other programs: .npz, .mat, .h5, .csv and .vtu. No data is ever executed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import meshio
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from kanpde.errors import KanpdeError, unknown_name

Named = dict[str, NDArray[Any]]


def read_arrays(path: str | Path) -> Named:
    """Return the arrays of a file by name.

    `.mat` of any version; `.h5` and `.hdf5` with the names of data sets as paths, "group/u"; `.csv` columns by the
    names in its first line; `.vtu` as "x", "y", "z" and the point data, the components of a vector as "name_0",
    "name_1", "name_2". Raises KanpdeError for a file that is missing, of another kind or damaged.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() not in READERS:
        raise unknown_name("kind of table", path.suffix, READERS)
    if not path.is_file():
        raise KanpdeError(f"there is no table '{path}': check the path (it starts at {Path.cwd()}).")
    try:
        return READERS[path.suffix.lower()](path)
    except KanpdeError:
        raise
    except (Exception, SystemExit) as error:  # a damaged file makes the readers raise almost anything
        message = " ".join(str(error).split())
        raise KanpdeError(f"the table '{path}' cannot be read ({type(error).__name__}: {message}).") from None


def _npz(path: Path) -> Named:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _mat(path: Path) -> Named:
    try:
        return {name: values for name, values in loadmat(path).items() if not name.startswith("__")}
    except NotImplementedError:  # version 7.3 is HDF5, with the axes in reverse
        return {name: values.T for name, values in _hdf5(path).items() if not name.startswith("#")}
    except MatReadError as error:
        raise KanpdeError(f"the table '{path}' is not a MATLAB file ({error}).") from None


def _hdf5(path: Path) -> Named:
    arrays: Named = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            arrays[name] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return arrays


def _csv(path: Path) -> Named:
    with open(path, encoding="utf-8-sig") as file:
        names = [name.strip().strip("\"'") for name in file.readline().lstrip("#%").split(",")]
        rows = [line for line in file if line.strip()]
        if not rows:
            raise KanpdeError(f"the table '{path}' has no rows below its first line: write one per point.")
        try:
            columns = np.loadtxt(rows, delimiter=",", ndmin=2).T
        except ValueError as error:
            raise KanpdeError(f"the table '{path}' has a row that is not of numbers ({error}).") from None
    if len(names) != len(columns):
        raise KanpdeError(
            f"the table '{path}' has {len(columns)} columns, and its first line names {len(names)}: give each a name."
        )
    if len(set(names)) < len(names):
        raise KanpdeError(f"the table '{path}' names a column twice: {', '.join(names)}.")
    return dict(zip(names, columns, strict=True))


def _mesh(path: Path) -> Named:
    mesh = meshio.read(path)
    arrays: Named = dict(zip("xyz", mesh.points.T, strict=False))
    for name, values in mesh.point_data.items():
        columns = values.reshape(len(values), -1).T
        arrays |= {name: columns[0]} if len(columns) == 1 else {f"{name}_{i}": c for i, c in enumerate(columns)}
    return arrays


READERS: dict[str, Callable[[Path], Named]] = {
    ".npz": _npz,
    ".mat": _mat,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".csv": _csv,
    ".vtu": _mesh,
}
