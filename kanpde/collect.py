"""One table of the results in any number of run directories, as `results.csv` and `results.h5`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kanpde.errors import KanpdeError
from kanpde.files import atomic
from kanpde.record import RunDirectory, write_csv

Row = dict[str, Any]
COLUMNS = (
    "run",
    "problem",
    "method",
    "seed",
    "parameters",
    "rel_l2",
    "rel_h1",
    "max_error",
    "at_floor",
    "reference",
    "reference_error",
    "seconds.setup",
    "seconds.train",
    "seconds.evaluate_1e5",
    "iterations",
    "stopped",
    "failed",
)
"""The first columns. Those of settings follow, such as `model.grid`; they are empty where a method has none."""
TIMES = ("seconds.setup", "seconds.train", "seconds.evaluate_1e5")
OF_THE_NETWORK = ("model", "solver", "alpha", "trace")
"""Settings that baselines of the same run do not have."""


def run_directories(paths: Iterable[Path | str]) -> list[Path]:
    """Return the directories with results at paths or anywhere below them, each once.

    Raises KanpdeError for a path that is no folder, and if there are no results below one.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise KanpdeError(f"'{path}' is not a folder: give run directories, or folders with some in them.")
        below = sorted(file.parent for file in path.rglob("results.json"))
        if not below:
            raise KanpdeError(f"'{path}' holds no results.json: give run directories, or folders with some in them.")
        found.update(dict.fromkeys(below))
    return list(found)


def rows_of(directory: Path, name: str) -> list[Row]:
    """Return a row per method of a run directory, which is called `name` there; raise KanpdeError if it is damaged."""
    folder = RunDirectory.open(directory)
    config, document = folder.read_config(), folder.read_results()
    try:
        reference = document["reference"] or {}
        shared = {
            "run": name,
            "problem": document["problem"],
            "seed": config.get("seed"),
            "reference": reference.get("name"),
            "reference_error": reference.get("error"),
            "failed": document.get("failed"),
        }
        settings = dict(flat(config))
        rows = []
        for number, method in enumerate(document["methods"]):
            own = settings if number == 0 else {k: v for k, v in settings.items() if not of_the_network(k)}
            measured = {key: method[key] for key in COLUMNS if key in method and key not in shared}
            times = {f"seconds.{key}": value for key, value in method["seconds"].items()}
            rows.append({**own, **shared, **measured, **times, "method": method["name"]})
        return rows or [{**settings, **shared}]
    except (KeyError, TypeError, AttributeError) as error:
        path = folder.path / "results.json"
        raise KanpdeError(f"'{path}' cannot be read ({type(error).__name__}: {error}): start the run anew.") from None


def of_the_network(key: str) -> bool:
    """Whether a column is a setting of the network and its training."""
    return key.partition(".")[0] in OF_THE_NETWORK


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the settings of a configuration with dotted names; a part that is a class has its name, such as `KAN`."""
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            if "_target_" in value and name != "problem":
                yield name, str(value["_target_"]).rpartition(".")[2]
            rest = {k: v for k, v in value.items() if k != "_target_" and (name != "problem" or k != "name")}
            yield from flat(rest, f"{name}.")
        elif prefix or name not in ("out",):
            yield name, value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value)


def collect(paths: Iterable[Path | str]) -> list[Row]:
    """Return the rows of all run directories at paths or below them, in the order of their names."""
    directories = run_directories(paths)
    root = common(directories)
    return [row for directory in directories for row in rows_of(directory, os.path.relpath(directory, root))]


def common(directories: Sequence[Path]) -> Path:
    """Return the folder that holds run directories, the one itself if there is one."""
    return Path(os.path.commonpath([directory.absolute() for directory in directories]))


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Return `COLUMNS` and then the others, in the order in which rows have them."""
    return list(dict.fromkeys([*COLUMNS, *(key for row in rows for key in row)]))


def write_table(rows: Sequence[Row], folder: Path) -> tuple[Path, Path]:
    """Write results.csv and results.h5 to a folder and return their paths.

    In HDF5 each column is a data set of its name: numbers, nan where there is none, or text.
    """
    columns = columns_of(rows)
    table, data = folder / "results.csv", folder / "results.h5"
    write_csv(table, columns, rows)
    with atomic(data) as path, h5py.File(path, "w") as file:
        for column in columns:
            values = [row.get(column) for row in rows]
            known = [value for value in values if value is not None]
            if known and all(isinstance(value, (bool, int, float)) for value in known):
                file[column] = np.array([np.nan if value is None else float(value) for value in values])
            else:
                text = ["" if value is None else str(value) for value in values]
                file.create_dataset(column, data=text, dtype=h5py.string_dtype())
    return table, data
