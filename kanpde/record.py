"""The files that a run leaves; none is ever half written."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import strftime
from typing import Any
from xml.etree import ElementTree

import h5py
import meshio
import numpy as np
import torch
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.files import atomic
from kanpde.geometry import ends_of, shown, without_parameters
from kanpde.metrics import Method, Taylor, evaluate_chunks, ranks
from kanpde.multiindex import IndexSet
from kanpde.problem import Problem, Reference
from kanpde.version import __version__

Histories = Mapping[str, Sequence[Mapping[str, Any]]]
"""The rows of a history by method; a row has the columns of `HISTORY` but the first."""
HISTORY = ("method", "slab", "correction", "stage", "iteration", "seconds", "loss", "held_out", "parameters")
SIMPLIFIED = "simplified"
"""The folder of a formula in that of its run, the first one's."""
GRID = {1: 1001, 2: 201, 3: 51}
"""Points per axis of a sampled solution; odd, so that the middle of the box is among them."""
RESIDUAL_CHUNK = 4096
"""Points at which residuals are computed at once, so that memory is bounded."""
TRACE = ("stage", "iteration", "seconds", "parameters", "rel_l2", "rel_h1", "max_error")
CELLS: dict[int, tuple[str, tuple[tuple[int, ...], ...]]] = {
    1: ("line", ((0,), (1,))),
    2: ("quad", ((0, 0), (1, 0), (1, 1), (0, 1))),
    3: (
        "hexahedron",
        ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)),
    ),
}
"""The cell of a grid by its number of axes, and the steps to its corners in the node order of VTK."""


@dataclass(frozen=True)
class Sample:
    """A solution on a uniform grid over the bounding box, or over a slice of it: coordinates in `fixed` do not vary.

    `axes` are the grid's values along the coordinates that vary, the last one fastest. `coordinates` is
    (point, coordinate); `solution` and `reference`, None if there is none, are (point, unknown), and nan at points
    outside the domain, for which `inside` (point,) is false. So is `residual` (point, equation), None if it is not
    known, of the equations named in `equations`. `time` is the coordinate of time, if that varies, and `units` are
    those of coordinates and unknowns, as far as they have any.
    `labels`, -1 or 1 (N,), at points (N, coordinate) are what a logit is compared with, where there is no reference
    on the grid.
    """

    problem: str
    unknowns: tuple[str, ...]
    names: tuple[str, ...]
    axes: dict[str, NDArray[np.float64]]
    fixed: dict[str, float]
    coordinates: NDArray[np.float64]
    solution: NDArray[np.float64]
    reference: NDArray[np.float64] | None
    inside: NDArray[np.bool_]
    residual: NDArray[np.float64] | None = None
    equations: tuple[str, ...] = ()
    time: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return tuple(len(axis) for axis in self.axes.values())

    @property
    def error(self) -> NDArray[np.float64] | None:
        """Solution minus reference (point, unknown)."""
        return None if self.reference is None else self.solution - self.reference

    @property
    def fields(self) -> dict[str, NDArray[np.float64]]:
        """The solution and, where there is a reference, the reference and the error, by name."""
        named = {"solution": self.solution, "reference": self.reference, "error": self.error}
        return {name: values for name, values in named.items() if values is not None}

    @property
    def columns(self) -> dict[str, NDArray[np.float64]]:
        """The values (point,) of each field of each unknown, and of the residual of each equation, by name."""
        named = {
            label if len(self.unknowns) == 1 else f"{label}_{unknown}": column
            for label, values in self.fields.items()
            for unknown, column in zip(self.unknowns, values.T, strict=True)
        }
        if self.residual is not None:
            named |= {f"residual_{label}": r for label, r in zip(self.equations, self.residual.T, strict=True)}
        return named

    @property
    def where(self) -> str:
        """Where the slice lies, for example "z = 0.5"; empty if the sample covers the box."""
        return ", ".join(f"{name} = {value:g}" for name, value in self.fixed.items())

    def label(self, name: str) -> str:
        """Return the name of a coordinate or an unknown with its unit, if it has one: "x (m)"."""
        unit = self.units.get(name.split(" at ")[0])
        return f"{name} ({unit})" if unit else name

    def plane(self) -> Sample:
        """Return the middle plane of a sample with three axes, and any other sample as it is."""
        if len(self.axes) < 3:
            return self
        last = list(self.axes)[-1]
        return self.cut(last, len(self.axes[last]) // 2)

    def snapshots(self, count: int | None = None) -> list[tuple[float, Sample]]:
        """Return the times of so many slices, evenly distributed with both ends, and what they hold; None for all."""
        assert self.time is not None
        times = self.axes[self.time]
        numbers = range(len(times)) if count is None else np.linspace(0, len(times) - 1, count).round().astype(int)
        return [(float(times[number]), self.cut(self.time, int(number))) for number in numbers]

    def cut(self, axis: str, number: int) -> Sample:
        """Return the slice at one of the grid's values along an axis."""
        place = list(self.axes).index(axis)

        def part(values: NDArray[Any]) -> NDArray[Any]:
            grid = values.reshape(*self.shape, *values.shape[1:])
            return np.ascontiguousarray(grid.take(number, axis=place).reshape(-1, *values.shape[1:]))

        return replace(
            self,
            axes={name: values for name, values in self.axes.items() if name != axis},
            fixed={**self.fixed, axis: float(self.axes[axis][number])},
            coordinates=part(self.coordinates),
            solution=part(self.solution),
            reference=None if self.reference is None else part(self.reference),
            inside=part(self.inside),
            residual=None if self.residual is None else part(self.residual),
            time=None if axis == self.time else self.time,
        )


def sample_solution(
    taylor: Taylor,
    problem: Problem,
    reference: Reference | None = None,
    device: torch.device | str = "cpu",
    *,
    complete: Taylor | None = None,
) -> Sample:
    """Return a solution and the reference, by default the problem's own, on a uniform grid over the bounding box.

    `complete` are the unknowns and the scalars that the equations read; with it the residuals are sampled too.

    With more than three coordinates the grid is a plane through the middle of the box, along the first two
    coordinates in space. With parameters it is the solution at their lower ends, middles and upper ends, as if these
    were so many unknowns. Raises KanpdeError if no point of it is in the domain.
    """
    geometry, reference = without_parameters(problem.geometry), reference or problem.reference
    names, every = geometry.names, problem.geometry.names
    members = ends_of(problem.geometry)
    labels = None if reference is None else reference.labels(problem.geometry)
    varied = geometry.space[:2] if len(names) > 3 else names
    axes, fixed = {}, {}
    for name, lower, upper in zip(names, geometry.lower, geometry.upper, strict=True):
        if name in varied:
            axes[name] = np.linspace(lower, upper, GRID[len(varied)])
        else:
            fixed[name] = (lower + upper) / 2
    grid = dict(zip(axes, np.meshgrid(*axes.values(), indexing="ij"), strict=True))
    shape = tuple(len(axis) for axis in axes.values())
    columns = [grid[name] if name in grid else np.full(shape, fixed[name]) for name in names]
    coordinates = np.stack([column.ravel() for column in columns], axis=1)

    inside = geometry.contains(torch.from_numpy(coordinates)).numpy()
    if not inside.any():
        raise KanpdeError(f"no point of the grid of a picture is in {geometry}: it is too thin to be shown.")

    def each(of: Callable[[Points], Tensor], width: int) -> NDArray[np.float64]:
        """Return the columns that a function has at points, for one member after the other."""
        at = Points.of(names, torch.from_numpy(coordinates[inside]).to(device))
        found = np.full((len(inside), width * len(members)), np.nan)
        like = getattr(at, names[0])
        for number, member in enumerate(members):
            there = at.moved(**{name: torch.full_like(like, value) for name, value in member.items()})
            points = Points.of(every, torch.stack([getattr(there, name) for name in every], dim=1))
            found[inside, number * width : (number + 1) * width] = of(points).cpu().numpy()
        return found

    def values(taylor: Taylor) -> NDArray[np.float64]:
        return each(lambda at: evaluate_chunks(taylor, at, IndexSet(every))[0], len(problem.unknowns))

    def named(parts: Iterable[str]) -> tuple[str, ...]:
        """Return the names of columns."""
        whole = tuple(parts)
        return tuple(f"{part} at {shown(member)}" if member else part for member in members for part in whole)

    return Sample(
        problem=problem.name,
        unknowns=named(problem.unknowns),
        names=names,
        axes=axes,
        fixed=fixed,
        coordinates=coordinates,
        solution=values(taylor),
        reference=None if reference is None or labels is not None else values(reference.taylor),
        inside=inside,
        residual=complete and each(lambda at: residuals(complete, problem, at), len(problem.equations)),
        equations=named(problem.equations) if complete else (),
        time=geometry.time if geometry.time in axes else None,
        units=problem.units,
        labels=labels and (labels[0].numpy(), labels[1].numpy()),
    )


def residuals(taylor: Taylor, problem: Problem, at: Points) -> Tensor:
    """Return the residuals of a problem's equations (point, equation); `taylor` has the scalars that they read, too.

    They are nan where the solution has no derivatives, such as in a corner that its lift is singular in.
    """
    equations = tuple(problem.equations)

    def of(part: Tensor) -> Tensor:
        points = Points.of(at.names, part)
        try:
            indices = IndexSet(at.names, problem.derivatives(equations, points))
            fields = problem.fields(indices, taylor(points, indices))
            return torch.stack([problem.residual_function(label)(*fields, points) for label in equations], dim=1)
        except KanpdeError:
            if len(part) == 1:
                return part.new_full((1, len(equations)), math.nan)
            return torch.cat([of(half) for half in part.tensor_split(2)])

    with torch.no_grad():
        return torch.cat([of(part) for part in at.array().split(RESIDUAL_CHUNK)])


def results(
    problem: Problem,
    methods: Sequence[Method],
    reference: Reference | None = None,
    environment: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of results.json; `reference` is by default the problem's own.

    `environment` is what the methods ran on, with the versions.
    """
    reference = reference or problem.reference
    place = ranks(methods)
    return {
        "problem": problem.name,
        "reference": reference
        and {"name": reference.name, "error": reference.error, "error_source": reference.error_source},
        "description": problem.description,
        "environment": dict(environment or {}),
        "scalars": {name: {"start": value.start, "exact": value.exact} for name, value in problem.scalars.items()},
        "methods": [
            {
                "name": method.name,
                "parameters": method.parameters,
                "rel_l2": method.errors and method.errors.rel_l2,
                "at_floor": method.errors and method.errors.at_floor,
                "rank": place[method.name],
                "rel_h1": method.errors and method.errors.rel_h1,
                "max_error": method.errors and method.errors.max_error,
                "rel_l2_at_values": dict(method.errors.at_values) if method.errors else {},
                "seconds": method.seconds,
                "iterations": method.iterations,
                "stopped": method.stopped,
                "scalars": dict(method.scalars),
                **({"verdict": method.errors.verdict} if method.errors and method.errors.verdict else {}),
            }
            for method in methods
        ],
    }


class RunDirectory:
    """The folder of one run. `create` makes a new one, `open` returns that of an earlier run, to resume it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, problem: str, out: Path | str | None = None, root: Path | str = "runs") -> RunDirectory:
        """Make `out`, or by default root/problem/date-time, and start its log.

        Raises KanpdeError if `out` holds files already or cannot be made.
        """
        try:
            return cls(_claim(Path(out)) if out is not None else _claim_dated(Path(root) / _file_name(problem)))
        except FileExistsError as error:
            raise KanpdeError(
                f"the run directory '{out or error.filename}' exists and is not an empty folder:"
                " choose another out=DIR, or continue the run in it with resume=DIR."
            ) from None
        except OSError as error:
            raise KanpdeError(
                f"the run directory '{out or error.filename}' cannot be made ({error.strerror}):"
                " choose another out=DIR."
            ) from None

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """Return the directory of an earlier run; raise KanpdeError if it is not one."""
        path = Path(path)
        if not (path / "config.yaml").is_file():
            raise KanpdeError(
                f"'{path}' holds no config.yaml, so it is not the directory of a run: give resume= one that is,"
                " runs/PROBLEM/DATE-TIME."
            )
        return cls(path)

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint lies."""
        return self.path / "checkpoint.pt"

    @property
    def simplifications(self) -> list[Path]:
        """The folders simplified, simplified-2, ... that `kanpde simplify` has left, the newest last."""
        numbered = []
        for folder in self.path.glob(f"{SIMPLIFIED}*"):
            found = re.fullmatch(rf"{SIMPLIFIED}(?:-(\d+))?", folder.name)
            if found:
                numbered.append((int(found[1] or 1), folder))
        return [folder for _, folder in sorted(numbered)]

    def picture(self, name: str) -> tuple[Path, Path]:
        """Return where a picture lies, as PNG and as PDF, and make the folder that holds them."""
        folder = self.path / "pictures"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.png", folder / f"{name}.pdf"

    @property
    def finished(self) -> bool:
        """Whether results.json says that the run has come to its end."""
        try:
            return bool(json.loads((self.path / "results.json").read_text(encoding="utf-8")).get("finished"))
        except (OSError, ValueError, AttributeError):
            return False

    def log(self, line: str) -> None:
        """Append a line to log.txt."""
        with open(self.path / "log.txt", "a", encoding="utf-8") as file:
            file.write(line.rstrip("\n") + "\n")

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.yaml from plain numbers, strings, lists and mappings."""
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        with atomic(self.path / "config.yaml") as path:
            path.write_text(text, encoding="utf-8")

    @property
    def configuration(self) -> str:
        """The text of config.yaml."""
        return (self.path / "config.yaml").read_text(encoding="utf-8")

    def read_config(self) -> dict[str, Any]:
        """Return the content of config.yaml; raise KanpdeError if it cannot be read."""
        path = self.path / "config.yaml"
        try:
            config = yaml.safe_load(self.configuration)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise KanpdeError(f"'{path}' cannot be read ({_first_line(error)}): start the run anew.") from None
        if not isinstance(config, dict):
            raise KanpdeError(f"'{path}' is not a mapping of settings: start the run anew.")
        return config

    def write_results(self, document: Mapping[str, Any]) -> None:
        """Write results.json; a number that is not finite becomes null."""
        text = json.dumps(finite(document), indent=2, allow_nan=False)
        with atomic(self.path / "results.json") as path:
            path.write_text(text + "\n", encoding="utf-8")

    def read_results(self) -> dict[str, Any]:
        """Return the content of results.json; raise KanpdeError if it is missing or damaged."""
        path = self.path / "results.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise KanpdeError(f"'{path}' cannot be read ({_first_line(error)}): start the run anew.") from None
        if not isinstance(document, dict):
            raise KanpdeError(f"'{path}' cannot be read (it is not a mapping): start the run anew.")
        return document

    def write_history(self, histories: Histories) -> None:
        """Write history.csv, one row per recorded iteration of each method, with the columns of `HISTORY`."""
        rows = [{"method": method, **row} for method, rows in histories.items() for row in rows]
        write_csv(self.path / "history.csv", HISTORY, rows)

    def write_trace(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write trace.csv, one row per moment of a training at which the error was measured."""
        write_csv(self.path / "trace.csv", TRACE, rows)

    def write_solution(self, sample: Sample) -> None:
        """Write solution.h5, solution.vtu and, where time and space vary, time_series.xdmf; log where a slice lies."""
        if sample.fixed:
            self.log(f"solution.h5 and solution.vtu hold the slice {sample.where}")
        datasets = {"coordinates": sample.coordinates, **sample.fields}
        if sample.residual is not None:
            datasets["residual"] = sample.residual
        with atomic(self.path / "solution.h5") as path, h5py.File(path, "w") as file:
            for name, values in datasets.items():
                file.create_dataset(name, data=values, compression="gzip", shuffle=True)
            file.attrs["problem"] = sample.problem
            file.attrs["coordinates"] = list(sample.names)
            file.attrs["unknowns"] = list(sample.unknowns)
            file.attrs["equations"] = list(sample.equations)
            file.attrs["shape"] = sample.shape
            for name, unit in sample.units.items():
                file.attrs[f"unit of {name}"] = unit
        with atomic(self.path / "solution.vtu") as path:
            meshio.write(path, _mesh(sample), file_format="vtu")
        if sample.time is not None and len(sample.axes) > 1:
            write_time_series(self.path / "time_series.xdmf", sample)


def write_time_series(path: Path, sample: Sample) -> None:
    """Write a mesh of space and the fields at every time of the grid as XDMF, with the numbers in an .h5 beside it."""
    snapshots = sample.snapshots()
    mesh, used = _cells(snapshots[0][1])
    data = path.with_suffix(".h5")
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        writer = meshio.xdmf.TimeSeriesWriter(Path(folder, path.name))
        # Its own context manager puts the numbers into the working directory.
        writer.h5_filename = str(Path(folder, data.name))
        with h5py.File(writer.h5_filename, "w") as writer.h5_file:
            writer.write_points_cells(mesh.points, mesh.cells)
            for time, part in snapshots:
                columns = {name: np.ascontiguousarray(values[used]) for name, values in part.columns.items()}
                writer.write_data(time, point_data=columns)
        for topology in writer.xdmf_file.iter("Topology"):
            if topology.get("TopologyType") == "Polyline":
                topology.set("NodesPerElement", "2")  # XDMF asks for it where cells are lines
        ElementTree.ElementTree(writer.xdmf_file).write(writer.filename, encoding="utf-8", xml_declaration=True)
        os.replace(writer.h5_filename, data)
        os.replace(writer.filename, path)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows to a file of comma-separated values, with a line of names first; what a row lacks stays empty."""
    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def digest(content: Any) -> str:
    """Return twelve digits that name plain data and the version of the package: another content has others."""
    text = json.dumps([content, __version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state of plain tensors, numbers, strings, lists and mappings."""
    with atomic(path) as temporary:
        torch.save(dict(state), temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state of a checkpoint, tensors on the CPU; raise KanpdeError if it is missing or damaged."""
    if not path.is_file():
        raise KanpdeError(f"there is no checkpoint '{path}': give resume= the directory of a run that has one.")
    try:
        # torch does not verify the checksums that it writes; zipfile does.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        state = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged file makes torch raise almost anything
        state = None
    if not isinstance(state, dict):
        raise KanpdeError(f"the checkpoint '{path}' is damaged or of another program: start the run anew.")
    return state


def _claim(path: Path) -> Path:
    """Make an empty folder and take it by creating its log, which only one process can; raise FileExistsError."""
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise FileExistsError(0, "not empty", str(path))
    open(path / "log.txt", "x").close()
    return path


def _claim_dated(parent: Path) -> Path:
    """Make parent/date-time, with a number behind it if another run began in the same second."""
    parent.mkdir(parents=True, exist_ok=True)
    stamp = strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while True:
        try:
            return _claim(parent / (stamp if number == 1 else f"{stamp}-{number}"))
        except FileExistsError:
            number += 1


def _file_name(problem: str) -> str:
    return re.sub(r"[^\w.-]+", "-", problem).strip(".") or "problem"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def finite(value: Any) -> Any:
    """Return a value as strict JSON has it: None in place of numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def _mesh(sample: Sample) -> meshio.Mesh:
    """Return the grid as lines, quadrilaterals or hexahedra with the fields at its points."""
    mesh, used = _cells(sample)
    mesh.point_data = {name: np.ascontiguousarray(column[used]) for name, column in sample.columns.items()}
    return mesh


def _cells(sample: Sample) -> tuple[meshio.Mesh, NDArray[np.int64]]:
    """Return the cells of the grid that lie in the domain with all corners, and which of the grid's points they use."""
    numbers = np.arange(math.prod(sample.shape)).reshape(sample.shape)
    cell, corners = CELLS[len(sample.shape)]
    cells = np.stack(
        [
            numbers[tuple(slice(c, n - 1 + c) for c, n in zip(corner, sample.shape, strict=True))].ravel()
            for corner in corners
        ],
        axis=1,
    )
    cells = cells[sample.inside[cells].all(axis=1)]
    used, renumbered = np.unique(cells, return_inverse=True)
    points = np.zeros((len(used), 3))
    for column, name in enumerate(sample.axes):
        points[:, column] = sample.coordinates[used, sample.names.index(name)]
    return meshio.Mesh(points, [(cell, renumbered.reshape(cells.shape))]), used
