"""What `kanpde simplify` leaves in a run directory: the formula, how it was found and checked, and the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from kanpde.errors import KanpdeError
from kanpde.files import atomic
from kanpde.interpret import (
    Model,
    NoFormula,
    Simplified,
    Statement,
    c_code,
    check_exactly,
    latex,
    python_code,
    satisfied,
)
from kanpde.interpret.code import simplified as shorter
from kanpde.metrics import Errors
from kanpde.plot import Figure, save
from kanpde.record import SIMPLIFIED, RunDirectory, finite
from kanpde.run import Run

CHECKED = 60.0
"""Seconds for proofs."""

Say = Callable[[str], None]


def simplify_run(run: Run, directory: Path, seconds: float, say: Say) -> Path:
    """Find a formula for a run, check it and write all about it to a new folder of the run directory; return that.

    Without a formula the folder says why there is none, has the model as far as its edges could be simplified, and
    NoFormula is raised.
    """
    begin = perf_counter()
    folder = new_folder(directory)
    try:
        found = run.simplify(seconds, say)
    except NoFormula as error:
        write_json(folder / "formula.json", {"problem": run.problem.name, "formula": None, "reason": str(error)})
        if error.model is not None:
            write_model(folder, error.model)
        raise
    formulas = {name: shorter(formula) for name, formula in found.model.formula().items()}
    statements = check_exactly(run.problem, formulas, CHECKED)
    took = perf_counter() - begin
    for name, formula in formulas.items():
        say(f"{name} = {formula}")
    for statement in statements:
        say(f"  {statement.label}: {statement.verdict}" + (f" ({statement.reason})" if statement.reason else ""))
    write(folder, found, formulas, statements, run, took)
    say(f"{satisfied(statements)}, {took:.1f} s: {folder}")
    return folder


def write(
    folder: Path,
    found: Simplified,
    formulas: Mapping[str, Any],
    statements: Sequence[Statement],
    run: Run,
    seconds: float,
) -> None:
    """Write the formula as JSON, text, LaTeX, Python and C, the model and its picture."""
    problem, names = run.problem, run.problem.geometry.names
    errors = found.model.errors
    write_json(
        folder / "formula.json",
        {
            "problem": problem.name,
            "formula": {name: str(formula) for name, formula in formulas.items()},
            "latex": latex(formulas),
            "verdict": satisfied(statements),
            "statements": [
                {"label": s.label, "kind": s.kind, "verdict": s.verdict, "size": s.size, "reason": s.reason}
                for s in statements
            ],
            "residual": found.residual,
            "rel_l2": None if errors is None else errors.rel_l2,
            "parameters_of_network": len(run.theta),
            "constants_left": found.model.graph.parameters,
            "seconds": seconds,
            "steps": list(found.steps),
        },
    )
    functions = {name: formula for name, formula in formulas.items() if name in problem.unknowns}
    write_text(folder / "formula.md", page(found, formulas, statements, run, errors, seconds))
    write_text(folder / "formula.tex", latex(formulas) + "\n")
    write_text(folder / "formula.py", python_code(functions, names))
    write_text(folder / "formula.c", c_code(functions, names))
    write_model(folder, found.model)


def write_model(folder: Path, model: Model) -> None:
    """Write a model and its picture."""
    model.save(folder / "model.pt")
    save(model.draw(), folder / "network.png", folder / "network.pdf")


def page(
    found: Simplified,
    formulas: Mapping[str, Any],
    statements: Sequence[Statement],
    run: Run,
    errors: Errors | None,
    seconds: float,
) -> str:
    """Return a page about a formula in Markdown."""
    lines = [f"# {run.problem.name}: the solution as a formula", ""]
    lines += [f"    {name} = {formula}" for name, formula in formulas.items()]
    lines += ["", f"Found in {seconds:.1f} s from a network of {len(run.theta):,} parameters."]
    lines += [f"Relative residual of equations and conditions on held-out points: {found.residual:.1e}."]
    if errors is not None:
        lines += [f"Relative L2 error against the reference (which the search did not see): {errors.rel_l2:.1e}."]
    lines += [
        "",
        "| equation or condition | verdict | largest residual, relative to its terms |",
        "| --- | --- | ---: |",
    ]
    for s in statements:
        size = "" if s.size is None else f"{s.size:.1e}"
        reason = f" ({s.reason})" if s.reason else ""
        lines.append(f"| {s.label} | {s.verdict}{reason} | {size} |")
    return "\n".join([*lines, "", "## How it was found", "", *(f"- {step}" for step in found.steps), ""])


def read_formula(directory: Path) -> dict[str, Any]:
    """Return the content of the newest formula.json of a run; raise KanpdeError if there is none."""
    folders = [folder for folder in RunDirectory(directory).simplifications if (folder / "formula.json").is_file()]
    if not folders:
        raise KanpdeError(f"'{directory}' has no formula yet: find one with python -m kanpde simplify {directory}")
    path = folders[-1] / "formula.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise KanpdeError(f"'{path}' is damaged ({error}): find the formula anew.") from None
    if not document["formula"]:
        raise KanpdeError(f"no formula was found for '{directory}': {document['reason']}")
    return {**document, "folder": str(folders[-1])}


def read_model(run: Run, directory: Path) -> Model:
    """Return the model of the newest formula of a run."""
    return Model.load(Path(read_formula(directory)["folder"]) / "model.pt", run.problem)


def draw_simplified(run: Run, directory: Path) -> Figure:
    """Return the picture of the network of the newest formula of a run."""
    return read_model(run, directory).draw()


def new_folder(directory: Path) -> Path:
    """Make simplified, simplified-2, ... in a run directory."""
    number = 1
    while True:
        folder = directory / (SIMPLIFIED if number == 1 else f"{SIMPLIFIED}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document atomically as strict JSON."""
    write_text(path, json.dumps(finite(document), indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
