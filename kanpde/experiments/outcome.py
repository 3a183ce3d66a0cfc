"""What a job left in its directory."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kanpde.compare import finished_methods
from kanpde.experiments.job import Job
from kanpde.metrics import Method
from kanpde.record import RunDirectory


@dataclass(frozen=True)
class Outcome:
    """A job, its directory, and the row it gave; None if it failed."""

    job: Job
    path: Path
    method: Method | None

    @classmethod
    def of(cls, job: Job, root: Path) -> Outcome:
        """Return the outcome of a job that was done under `root`; raise KanpdeError if its results are damaged."""
        path = root / job.directory
        methods = finished_methods(RunDirectory(path))
        return cls(job, path, methods[0] if methods else None)

    def failure(self) -> str:
        """Return why the job failed; empty if it did not."""
        return json.loads((self.path / "results.json").read_text(encoding="utf-8")).get("failed", "")

    def history(self) -> list[dict[str, Any]]:
        """Return the rows of the training's history; none of a finite element solution."""
        return read_rows(self.path / "history.csv")

    def trace(self) -> list[dict[str, Any]]:
        """Return the errors during training, if they were measured."""
        return read_rows(self.path / "trace.csv")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of comma-separated values with numbers as numbers; none if there is no file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def number(text: str) -> float | str:
    """Return a text as a number if it is one."""
    try:
        return float(text)
    except ValueError:
        return text
