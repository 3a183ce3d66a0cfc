"""One HTML page for one or several runs, from the files that they left. It needs no network and no other file."""

from __future__ import annotations

import hashlib
import math
import os
import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kanpde.compare import finished_methods
from kanpde.errors import KanpdeError
from kanpde.files import atomic
from kanpde.metrics import Method, ranks
from kanpde.plot import as_png, draw_comparison
from kanpde.record import RunDirectory
from kanpde.version import __version__

PAGE = Path(__file__).parent / "page"
NAME = "report.html"
CAPTIONS = {
    "solution": "Solution, reference and signed error.",
    "slices": "The solution at a few times, with the reference and the error.",
    "convergence": "Loss and held-out loss of every training; circles mark where stages begin.",
    "points": "Interior collocation points of the last stage over the absolute residual.",
    "network": "The network with the functions on its edges.",
}
"""What each picture of a run shows, in the order of the page."""
MOST_WITH_PICTURES = 24
"""Runs whose pictures are in the page, at most: a page of hundreds of megabytes opens in no browser."""
PNG = b"\x89PNG\r\n\x1a\n"
HEADER = 24
"""Bytes of a PNG file up to its width and height."""
SAME_EVERYWHERE = ("out", "problem.name", "problem._target_", "pictures", "seed")
"""Settings that tell nothing about a method, or have a column of their own."""


class Column(NamedTuple):
    """A column of a sortable table."""

    title: str
    numeric: bool = False


class Cell(NamedTuple):
    """A cell of a sortable table: its text, what it is sorted by (empty: last), its kind and where it leads."""

    text: str
    key: str = ""
    kind: str = ""
    link: str = ""


class Shown(NamedTuple):
    """A picture in the page, as a data URI with its size in CSS pixels, and links to its files."""

    source: str
    width: int
    height: int
    caption: str
    links: Sequence[tuple[str, str]] = ()


class File(NamedTuple):
    """A file of a run."""

    name: str
    link: str
    size: str


@dataclass(frozen=True)
class Left:
    """What a run has left, as read from its directory: config.yaml and, as far as there are any, results."""

    directory: Path
    name: str
    config: dict[str, Any]
    document: dict[str, Any]
    methods: list[Method]

    @property
    def problem(self) -> str:
        """The name of the problem."""
        named = self.config.get("problem")
        fallback = named.get("name", "") if isinstance(named, Mapping) else ""
        return str(self.document.get("problem", fallback))

    @property
    def floor(self) -> float | None:
        """The reference's own error."""
        reference = self.document.get("reference")
        return float(reference["error"]) if reference else None

    @property
    def settings(self) -> dict[str, str]:
        """The settings by dotted names."""
        return {key: value for key, value in flattened(self.config) if key not in SAME_EVERYWHERE}


def write_report(directories: Sequence[Path | str], out: Path | str | None = None) -> Path:
    """Write the page about runs, or about all runs in folders, and return its path.

    It goes to `out`, by default report.html in the directory if that is one, or else in the working directory.
    Raises KanpdeError if there is no run that can be read, or the page cannot be written.
    """
    if not directories:
        raise KanpdeError("report needs a run directory, or a folder of them: kanpde report runs/PROBLEM/DATE-TIME.")
    given = [Path(directory).expanduser() for directory in directories]
    page = Path(out).expanduser() if out is not None else (given[0] if len(given) == 1 else Path()) / NAME
    runs, left_out = read_runs(given)
    if not runs:
        raise KanpdeError(left_out[0])
    if page.is_dir() or not page.parent.is_dir():
        raise KanpdeError(f"the page '{page}' cannot be written: give out=FILE in a folder that exists.")
    text = render(runs, left_out, page.parent)
    try:
        with atomic(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise KanpdeError(f"the page '{page}' cannot be written ({error.strerror}): give another out=FILE.") from None
    return page


def read_runs(given: Sequence[Path]) -> tuple[list[Left], list[str]]:
    """Return the runs in directories, in their order, and a line about each that cannot be read."""
    found: dict[Path, Path] = {}
    for directory in given:
        if not directory.is_dir():
            raise KanpdeError(f"there is no directory '{directory}': give that of a run, or a folder of runs.")
        inside = sorted(path.parent for path in directory.rglob("config.yaml"))
        if not inside:
            raise KanpdeError(f"no run is in '{directory}': give runs/PROBLEM/DATE-TIME, or a folder of such.")
        for path in [directory] if (directory / "config.yaml").is_file() else inside:
            found.setdefault(path.resolve(), path)
    above = Path(os.path.commonpath([path.parent for path in found]))
    runs, left_out = [], []
    for resolved, path in found.items():
        try:
            runs.append(read_run(path, resolved.relative_to(above).as_posix()))
        except KanpdeError as error:
            left_out.append(str(error))
    return runs, left_out


def read_run(directory: Path, name: str) -> Left:
    """Return what a run has left; raise KanpdeError if that is damaged."""
    folder = RunDirectory.open(directory)
    config, results = folder.read_config(), directory / "results.json"
    if not results.is_file():
        return Left(directory, name, config, {}, [])
    left = Left(directory, name, config, folder.read_results(), finished_methods(folder))
    try:
        reference_line(left)
        for row in method_rows([left], [], directory):
            assert row
        list(notes(left)), list(environment(left.document.get("environment") or {}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KanpdeError(
            f"'{results}' cannot be read ({type(error).__name__}: {error}): start the run anew."
        ) from None
    return left


def render(runs: Sequence[Left], left_out: Sequence[str], base: Path) -> str:
    """Return the page, whose links are relative to a folder; everything that comes from files is escaped."""
    loader = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = ((PAGE / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    differing = settings_that_differ(runs)
    columns, rows = method_columns(runs, differing), list(method_rows(runs, differing, base))
    return loader.get_template("report.html").render(
        title=runs[0].problem if len(runs) == 1 else f"{len(runs)} runs of {', '.join(problems(runs))}",
        columns=columns,
        rows=rows,
        seeds=over_seeds(runs),
        comparisons=list(comparisons(runs)),
        runs=[section(run, number, base) for number, run in enumerate(runs)],
        left_out=left_out,
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        hashes={"style": digest(style), "script": digest(script)},
    )


def digest(text: str) -> str:
    """Return the hash by which a page allows one script or style, and no other, to be used in it."""
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


def problems(runs: Sequence[Left]) -> list[str]:
    """Return the names of the problems, each once."""
    return list(dict.fromkeys(run.problem for run in runs))


def flattened(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield settings with dotted names and their values as text."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "null" if value is None else str(value)


def settings_that_differ(runs: Sequence[Left]) -> list[str]:
    """Return the settings in which runs of one problem differ, or of which only some of them have one."""
    found: dict[str, None] = {}
    for problem in problems(runs):
        settings = [run.settings for run in runs if run.problem == problem]
        for key in dict.fromkeys(key for one in settings for key in one):
            if len({one.get(key) for one in settings}) > 1:
                found[key] = None
    return list(found)


def method_columns(runs: Sequence[Left], differing: Sequence[str]) -> list[Column]:
    """Return the columns of the table of methods."""
    several = [Column("run"), Column("problem"), Column("seed", True), *map(Column, differing)] if len(runs) > 1 else []
    numbers = ("parameters or dofs", "relative L2", "rank", "relative H1", "max error", "training s")
    more = ("s per 1e5 values", "iterations")
    return [*several, Column("method"), *(Column(name, True) for name in (*numbers, *more)), Column("why it stopped")]


def method_rows(runs: Sequence[Left], differing: Sequence[str], base: Path) -> Iterator[list[Cell]]:
    """Yield a row per method of every run."""
    for number, run in enumerate(runs):
        place = ranks(run.methods)
        for method in run.methods:
            row = []
            if len(runs) > 1:
                settings = run.settings
                row += [
                    Cell(run.name, run.name, "name", f"#{anchor(number)}"),
                    Cell(run.problem, run.problem, "name"),
                    Cell(str(run.config.get("seed", "-")), str(run.config.get("seed", "")), "number"),
                    *(Cell(settings.get(key, ""), settings.get(key, "")) for key in differing),
                ]
            row += [Cell(str(method.name), str(method.name), "name"), counted(method.parameters)]
            errors = method.errors
            if errors is None:
                row += [Cell("-", "", "number")] * 4
            else:
                floored = Cell("at the floor", "0", "number floor")
                row += [
                    measured(errors.rel_l2, least=errors.floor, kind="number floor" if errors.at_floor else "number"),
                    floored if errors.at_floor else counted(place[method.name]),
                    measured(errors.rel_h1),
                    measured(errors.max_error),
                ]
            row += [timed(method.seconds["train"], 2), timed(method.seconds["evaluate_1e5"], 3)]
            yield [*row, counted(method.iterations), Cell(str(method.stopped), str(method.stopped), "text")]


def counted(value: int | None) -> Cell:
    """Return a whole number."""
    return Cell("-", "", "number") if value is None else Cell(f"{int(value):,}", str(int(value)), "number")


def measured(value: float | None, least: float = 0.0, kind: str = "number") -> Cell:
    """Return an error; it is sorted by no less than the reference's own."""
    if value is None or not math.isfinite(value):
        return Cell("-", "", kind)
    return Cell(f"{value:.1e}", repr(max(float(value), float(least))), kind)


def timed(value: float | None, digits: int) -> Cell:
    """Return seconds."""
    known = value is not None and math.isfinite(value)
    return Cell(f"{value:,.{digits}f}", repr(float(value)), "number") if known and value else Cell("-", "", "number")


def over_seeds(runs: Sequence[Left]) -> dict[str, Any]:
    """Return the table of medians and ranges over runs that differ in their seeds only; it may have no rows."""
    differing = settings_that_differ(runs)
    groups: dict[tuple[str, ...], list[Method]] = {}
    for run in runs:
        for method in run.methods:
            if method.errors is not None:
                key = (run.problem, str(method.name), *(run.settings.get(name, "") for name in differing))
                groups.setdefault(key, []).append(method)
    rows = []
    for (problem, name, *settings), methods in groups.items():
        found = [method.errors.rel_l2 for method in methods if method.errors]
        if len(found) < 2:
            continue
        floor = max(method.errors.floor for method in methods if method.errors)
        middle = median(found)
        rows.append(
            [
                Cell(problem, problem, "name"),
                *(Cell(value, value) for value in settings),
                Cell(name, name, "name"),
                counted(len(found)),
                Cell("at the floor", repr(floor), "number floor") if middle <= floor else measured(middle),
                measured(min(found), floor),
                measured(max(found), floor),
                timed(median(method.seconds["train"] or math.nan for method in methods), 2),
            ]
        )
    numbers = ("runs", "median relative L2", "least", "greatest", "median training s")
    columns = [Column("problem"), *map(Column, differing), Column("method"), *(Column(name, True) for name in numbers)]
    return {"columns": columns, "rows": rows}


def comparisons(runs: Sequence[Left]) -> Iterator[Shown]:
    """Yield a picture of error against size and time per problem that has several methods or runs."""
    for problem in problems(runs):
        own = [run for run in runs if run.problem == problem]
        floors = [run.floor for run in own if run.floor is not None]
        methods = [method for run in own for method in run.methods]
        figure = draw_comparison(methods, max(floors, default=None), problem)
        if figure is not None:
            caption = (
                f"{problem}: relative L2 error against parameters or degrees of freedom, and against training time."
            )
            if any(method.errors and method.errors.at_floor for method in methods):
                caption += " Open markers are at the floor."
            yield embedded(as_png(figure), caption)


def section(run: Left, number: int, base: Path) -> dict[str, Any]:
    """Return what the page says of one run."""
    pictures = list(own_pictures(run, base)) if number < MOST_WITH_PICTURES else []
    missing = "There are no pictures: they were not asked for, or the run has not ended."
    if number >= MOST_WITH_PICTURES:
        missing = f"Only the first {MOST_WITH_PICTURES} runs have their pictures in this page; others are linked below."
    return {
        "name": run.name,
        "anchor": anchor(number),
        "description": run.document.get("description") or run.problem,
        "reference": reference_line(run),
        "notes": list(notes(run)),
        "pictures": pictures,
        "without_pictures": missing,
        "environment": list(environment(run.document.get("environment") or {})),
        "configuration": RunDirectory(run.directory).configuration,
        "files": list(files(run.directory, base)),
    }


def anchor(number: int) -> str:
    """Return the name of a run's section."""
    return f"run-{number + 1}"


def reference_line(run: Left) -> str:
    """Return what the errors of a run are measured against."""
    if not run.document:
        return "There are no results yet."
    reference = run.document.get("reference")
    if not reference:
        return "No reference: errors are not known."
    return (
        f"Reference: {reference['name']}, own relative L2 error {reference['error']:.1e} ({reference['error_source']})."
    )


def notes(run: Left) -> Iterator[str]:
    """Yield lines about unknown scalars, and about errors at the values of parameters."""
    scalars = run.document.get("scalars", {})
    for method in run.methods:
        for name, value in method.scalars.items():
            exact = scalars.get(name, {}).get("exact")
            known = "" if exact is None else f", exactly {exact:.6g}, off by {abs(value - exact):.1e}"
            yield f"{method.name} found {name} = {value:.10g}{known}."
        values = method.errors.at_values if method.errors else {}
        parts = [f"{error:.1e} at {at}" for at, error in values.items() if not math.isnan(error)]
        if parts:
            yield f"{method.name}: relative L2 error {', '.join(parts)}."


def environment(recorded: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield versions and hardware as text."""
    names = {"memory_gib": "memory in GiB"}
    for name, value in recorded.items():
        if isinstance(value, Mapping):
            yield from ((str(key), str(item)) for key, item in value.items())
        else:
            yield names.get(name, str(name)), "-" if value is None else str(value)


def own_pictures(run: Left, base: Path) -> Iterator[Shown]:
    """Yield the pictures in a run's folder of them."""
    for name, caption in CAPTIONS.items():
        path = run.directory / "pictures" / f"{name}.png"
        if path.is_file():
            beside = [path.with_suffix(kind) for kind in (".pdf", ".png")]
            links = [(file.suffix[1:].upper(), link(file, base)) for file in beside if file.is_file()]
            content = path.read_bytes()
            if content.startswith(PNG) and len(content) > HEADER:
                yield embedded(content, caption, links)


def embedded(content: bytes, caption: str, links: Sequence[tuple[str, str]] = ()) -> Shown:
    """Return a PNG file as part of the page, in the size of print at 96 pixels per inch."""
    width, height = struct.unpack(">II", content[HEADER - 8 : HEADER])
    source = "data:image/png;base64," + b64encode(content).decode()
    return Shown(source, round(width * 96 / 150), round(height * 96 / 150), caption, links)


def files(directory: Path, base: Path) -> Iterator[File]:
    """Yield the files of a run, but for hidden ones and reports."""
    for path in sorted(directory.rglob("*")):
        inside = path.relative_to(directory)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts) and inside.name != NAME:
            size = path.stat().st_size
            yield File(inside.as_posix(), link(path, base), f"{size / 1e6:.1f} MB" if size > 1e5 else f"{size:,} bytes")


def link(path: Path, base: Path) -> str:
    """Return a link to a file from a page in a folder."""
    return quote(Path(os.path.relpath(path.resolve(), base.resolve())).as_posix())
