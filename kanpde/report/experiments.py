"""What the page says of experiments, from the files that they left: figures, summary, and a row per job."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kanpde.collect import Row, rows_of
from kanpde.errors import KanpdeError
from kanpde.record import RunDirectory
from kanpde.report.parts import Cell, Column, Shown, counted, environment, files, link, measured, picture_of, timed

CAPTIONS = {
    "error_against_parameters": "Error against the number of parameters or degrees of freedom.",
    "work_precision": "Error against seconds of set-up and training.",
    "fronts": "The fronts of each family: what no other of its members beats in both error and cost.",
    "degree": "Error against the number of parameters, a line per degree.",
    "staircase": "Error and loss of one training over its stages.",
    "training_curves": "Errors during training.",
    "optimisers": "Errors during training, by method.",
    "seeds": "Errors over the seeds.",
}
"""What each figure shows, in the order of the page; others follow."""
JOBS = (
    *(Column(title) for title in ("job", "series", "setting")),
    Column("seed", True),
    *(Column(title, True) for title in ("parameters or dofs", "relative L2", "relative H1", "max error")),
    *(Column(title, True) for title in ("training s", "iterations")),
    Column("why it stopped"),
)
NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")


class Block(NamedTuple):
    """A paragraph, a list or a table of a summary."""

    kind: str
    lines: Sequence[str] = ()
    columns: Sequence[Column] = ()
    rows: Sequence[Sequence[Cell]] = ()


@dataclass(frozen=True)
class LeftExperiment:
    """What an experiment has left: its configuration, the lines of its summary if it has ended, and a row per job."""

    directory: Path
    name: str
    config: dict[str, Any]
    summary: list[str] | None
    jobs: list[Row]

    @property
    def kind(self) -> str:
        """The name of the experiment's class."""
        return str(self.config["experiment"].get("_target_", "")).rpartition(".")[2]

    @property
    def title(self) -> str:
        """Which experiment it is, and on which problem."""
        what = self.summary[0].removeprefix("# ") if self.summary else self.kind
        named = self.config.get("problem")
        problem = str(named.get("name", "")) if isinstance(named, Mapping) else ""
        return f"{what} on {Path(problem).stem}" if problem else what


def is_experiment(directory: Path) -> bool:
    """Whether a directory with a configuration is that of an experiment, which has jobs of its own."""
    try:
        return isinstance(RunDirectory(directory).read_config().get("experiment"), Mapping)
    except KanpdeError:
        return False


def read_experiment(directory: Path, name: str) -> LeftExperiment:
    """Return what an experiment has left; raise KanpdeError if its table or a job is damaged.

    Until it has ended, the rows are read from the directories of the jobs that are done.
    """
    folder = RunDirectory(directory)
    config, summary, table = folder.read_config(), directory / "summary.md", directory / "results.csv"
    if summary.is_file() and table.is_file():
        return LeftExperiment(directory, name, config, read_text(summary).splitlines(), read_table(table))
    done = sorted(path.parent for path in directory.glob("jobs/*/results.json"))
    rows = [row for path in done for row in rows_of(path, path.relative_to(directory).as_posix())]
    return LeftExperiment(directory, name, config, None, rows)


def read_text(path: Path) -> str:
    """Return the text of a file; raise KanpdeError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KanpdeError(f"'{path}' cannot be read ({type(error).__name__}): resume the experiment.") from None


def read_table(path: Path) -> list[Row]:
    """Return the rows of results.csv, None in place of what is empty; raise KanpdeError if it is no such table."""
    rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(read_text(path).splitlines())]
    if not rows or "run" not in rows[0]:
        raise KanpdeError(f"'{path}' cannot be read (it has no rows of jobs): resume the experiment.")
    return rows


def experiment_section(left: LeftExperiment, number: int, base: Path) -> dict[str, Any]:
    """Return what the page says of one experiment."""
    failed = sum(bool(row.get("failed")) for row in left.jobs)
    return {
        "name": left.name,
        "title": left.title,
        "anchor": f"experiment-{number + 1}",
        "ended": left.summary is not None,
        "failed": failed,
        "figures": list(figures(left.directory, base)),
        "summary": list(blocks((left.summary or [])[1:])),
        "columns": JOBS,
        "jobs": [job_row(row, left.directory, base) for row in left.jobs],
        "environment": list(environment(recorded(left))),
        "configuration": RunDirectory(left.directory).configuration,
        "files": list(files(left.directory, base, deep=False)),
    }


def figures(directory: Path, base: Path) -> Iterator[Shown]:
    """Yield the figures of an experiment, those of `CAPTIONS` first."""
    there = {path.stem: path for path in sorted(directory.glob("*.png"))}
    for name in sorted(there, key=lambda name: (*CAPTIONS, name).index(name)):
        shown = picture_of(there[name], CAPTIONS.get(name, f"{name.replace('_', ' ').capitalize()}."), base)
        if shown is not None:
            yield shown


def recorded(left: LeftExperiment) -> Mapping[str, Any]:
    """Return the versions and the hardware that the first job with any ran on."""
    for row in left.jobs:
        try:
            document = json.loads((left.directory / str(row["run"]) / "results.json").read_text(encoding="utf-8"))
            if isinstance(document["environment"], dict) and document["environment"]:
                return document["environment"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {}


def job_row(row: Row, directory: Path, base: Path) -> list[Cell]:
    """Return the row of a job."""
    place = directory / str(row["run"])
    name, why = place.name, str(row.get("failed") or row.get("stopped") or "-")
    results = place / "results.json"
    series, setting = (str(row.get(key) or "") for key in ("series", "setting"))
    return [
        Cell(name, name, "name", link(results, base) if results.is_file() else ""),
        Cell(series or str(row.get("method") or ""), series, "name"),
        Cell(setting, sorted_by(setting) or setting, "name"),
        whole(row.get("seed")),
        whole(row.get("parameters")),
        *(measured(real(row.get(key))) for key in ("rel_l2", "rel_h1", "max_error")),
        timed(real(row.get("seconds.train")), 2),
        whole(row.get("iterations")),
        Cell(f"failed: {why}" if row.get("failed") else why, why, "text"),
    ]


def real(value: Any) -> float | None:
    """Return a number of a table, None if there is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def whole(value: Any) -> Cell:
    """Return a whole number of a table."""
    number = real(value)
    return counted(int(number) if number is not None and math.isfinite(number) else None)


def blocks(lines: Sequence[str]) -> Iterator[Block]:
    """Yield the paragraphs, lists and tables of a summary, as experiments write them, in Markdown."""
    for part in "\n".join(lines).split("\n\n"):
        own = [line for line in part.splitlines() if line.strip()]
        if own and all(line.startswith("|") for line in own) and len(own) > 1:
            header, rule, *rows = ([cell.strip() for cell in line.strip().strip("|").split("|")] for line in own)
            columns = [Column(title, align.endswith(":")) for title, align in zip(header, rule, strict=False)]
            yield Block("table", columns=columns, rows=[table_row(columns, cells) for cells in rows])
        elif own and all(line.startswith("- ") for line in own):
            yield Block("list", [line.removeprefix("- ") for line in own])
        elif own:
            yield Block("text", [" ".join(own)])


def table_row(columns: Sequence[Column], cells: Sequence[str]) -> list[Cell]:
    """Return a row of a summary's table; numbers are sorted by the first one in their cell."""
    return [
        Cell(text, sorted_by(text) if column.numeric else text, "number" if column.numeric else "name")
        for column, text in zip(columns, cells, strict=False)
    ]


def sorted_by(text: str) -> str:
    """Return the first number in a text, as a table is sorted by it; empty if there is none."""
    found = NUMBER.search(text)
    return found[0].replace(",", "") if found else ""
