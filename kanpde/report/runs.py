"""What the page says of runs, from the files that they left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from kanpde.compare import finished_methods
from kanpde.errors import KanpdeError
from kanpde.metrics import Method, ranks
from kanpde.plot import as_png, draw_comparison
from kanpde.record import RunDirectory
from kanpde.report.formula import LeftFormula, formula_section, read_formula
from kanpde.report.parts import Cell, Column, Shown, counted, embedded, environment, files, measured, picture_of, timed

CAPTIONS = {
    "solution": "Solution, reference and signed error.",
    "volume": "The solution in space: middle planes and surfaces of equal values, and the error on the planes.",
    "slices": "The solution at a few times, with the reference and the error.",
    "convergence": "Loss and held-out loss of every training; circles mark where stages begin.",
    "points": "Interior collocation points of the last stage over the absolute residual.",
    "network": "The network with the functions on its edges.",
}
"""What each picture of a run shows, in the order of the page."""
MOST_WITH_PICTURES = 24
"""Runs whose pictures are in the page, at most: a page of hundreds of megabytes opens in no browser."""
SAME_EVERYWHERE = ("out", "problem.name", "problem._target_", "pictures", "seed")
"""Settings that tell nothing about a method, or have a column of their own."""


@dataclass(frozen=True)
class Left:
    """What a run has left, as read from its directory: config.yaml and, if there are any, results and a formula."""

    directory: Path
    name: str
    config: dict[str, Any]
    document: dict[str, Any]
    methods: list[Method]
    formula: LeftFormula | None = None

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


def read_run(directory: Path, name: str) -> Left:
    """Return what a run has left; raise KanpdeError if that is damaged."""
    folder = RunDirectory.open(directory)
    config, results = folder.read_config(), directory / "results.json"
    if not results.is_file():
        return Left(directory, name, config, {}, [])
    left = Left(directory, name, config, folder.read_results(), finished_methods(folder), read_formula(folder))
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
        "formula": None if run.formula is None else formula_section(run.formula, base),
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
    """Yield lines about unknown scalars, errors at the values of parameters, and what the reference says besides."""
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
        if method.errors and method.errors.verdict:
            yield f"{method.name}: {method.errors.verdict}."


def own_pictures(run: Left, base: Path) -> Iterator[Shown]:
    """Yield the pictures in a run's folder of them."""
    for name, caption in CAPTIONS.items():
        shown = picture_of(run.directory / "pictures" / f"{name}.png", caption, base)
        if shown is not None:
            yield shown
