"""What was measured, as a JSON file with a row per case that every run adds to, and what a row says of its target.

A row is a plain dict: `made_with` (what it was measured with), `target`, `reference`, and `seeds`, a dict per seed.
Of a failed seed `error` is None and `stopped` is the message; it counts as an infinite error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import kanpde
from benchmarks.cases import WORST, Case
from benchmarks.report import machine, number
from kanpde import KAN, Budget, KanpdeError, Problem
from kanpde.library import find_problem

Row = dict[str, Any]


def read(path: Path) -> dict[str, Row]:
    """Return the rows of a file by their labels; none if there is no file. Raise KanpdeError if it is damaged."""
    if not path.is_file():
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return {label: {**row, "seeds": list(row["seeds"])} for label, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KanpdeError(f"'{path}' does not hold measured rows ({type(error).__name__}: {error}).") from error


def sources(problem: str) -> str:
    """Return a digest of the package's modules and of a problem's file."""
    package = Path(kanpde.__file__).parent
    files = [*sorted(package.rglob("*.py")), find_problem(problem)]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]


def spelled(model: KAN) -> str:
    """Return a network's settings that are not the defaults, as Python has them."""
    values = [(f.name, getattr(model, f.name), f.default) for f in fields(model)]
    return f"KAN({', '.join(f'{name}={value!r}' for name, value, default in values if value != default)})"


def settings(case: Case) -> str | None:
    """Return the network of a case if it is not the default."""
    return None if case.model is None else spelled(case.model)


def made_with(case: Case, threads: int | None) -> dict[str, Any]:
    """Return all that a measurement depends on but the seed."""
    return {
        "problem": case.problem,
        "arguments": dict(case.arguments),
        "model": settings(case),
        "budget": asdict(Budget()),
        "unknown": case.unknown,
        "threads": threads,
        "kanpde": kanpde.__version__,
        "sources": sources(case.problem),
        **machine(),
    }


def new_row(case: Case, problem: Problem, threads: int | None) -> Row:
    """Return a row without seeds."""
    reference = problem.reference
    assert reference is not None
    return {
        "made_with": made_with(case, threads),
        "target": None if case.target is None else asdict(case.target),
        "reference": {"name": reference.name, "error": reference.error, "error_source": reference.error_source},
        "seeds": [],
    }


def merged(new: Row, old: Row | None, seeds: Iterable[int]) -> Row:
    """Return the new row with those of the wanted seeds that the old one has, if both are made with the same."""
    same = old is not None and old["made_with"] == new["made_with"]
    wanted = set(seeds)
    return {**new, "seeds": [seed for seed in old["seeds"] if seed["seed"] in wanted] if old and same else []}


def with_seed(row: Row, seed: Row) -> Row:
    """Return a row with one more seed, in order."""
    others = [other for other in row["seeds"] if other["seed"] != seed["seed"]]
    return {**row, "seeds": sorted([*others, seed], key=lambda s: s["seed"])}


@dataclass(frozen=True)
class Summary:
    """A row in numbers. Failed seeds count in the errors, as infinite; parameters and seconds are of the others."""

    median: float
    worst: float
    failed: int
    parameters: int | None
    seconds: float | None

    @classmethod
    def of(cls, row: Row) -> Summary:
        """Return the summary of a row with at least one seed."""
        errors = [number(seed["error"]) for seed in row["seeds"]]
        parameters = [seed["parameters"] for seed in row["seeds"] if seed["parameters"] is not None]
        seconds = [seed["seconds"] for seed in row["seeds"] if seed["seconds"] is not None]
        return cls(
            median(errors),
            max(errors),
            errors.count(inf),
            max(parameters, default=None),
            median(seconds) if seconds else None,
        )

    def ratios(self, target: Mapping[str, Any]) -> dict[str, float | None]:
        """Return what was reached in units of what was wanted, so that at most 1 is met; None where nothing was wanted.

        The keys are "error", "worst", "parameters" and "seconds". What was wanted but not measured is infinite.
        """

        def ratio(reached: float | None, wanted: float | None) -> float | None:
            return None if wanted is None else inf if reached is None else reached / wanted

        return {
            "error": ratio(self.median, target["error"]),
            "worst": ratio(self.worst, WORST * target["error"]),
            "parameters": ratio(self.parameters, target["parameters"]),
            "seconds": ratio(self.seconds, target["seconds"]),
        }
