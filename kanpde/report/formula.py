"""What the page says of the formula that was found for a run, from the files that `kanpde simplify` left."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kanpde.errors import KanpdeError
from kanpde.plot import draw_formula
from kanpde.record import RunDirectory
from kanpde.report.parts import Cell, Column, Shown, counted, drawn, link, measured, picture_of

COLUMNS = (
    Column("equation or condition"),
    Column("kind"),
    Column("verdict"),
    Column("largest residual, relative to its terms", True),
    Column("why"),
)
FILES = {
    "formula.py": "Python",
    "formula.c": "C",
    "formula.tex": "LaTeX",
    "formula.md": "text",
    "formula.json": "JSON",
    "model.pt": "model",
}


@dataclass(frozen=True)
class LeftFormula:
    """The content of the newest formula.json of a run."""

    folder: Path
    document: dict[str, Any]


class Line(NamedTuple):
    """The formula of an unknown as text and, where it can be drawn, as a picture."""

    name: str
    text: str
    shown: Shown | None


def read_formula(run: RunDirectory) -> LeftFormula | None:
    """Return the newest formula of a run, None if there is none; raise KanpdeError if it is damaged."""
    folders = [folder for folder in run.simplifications if (folder / "formula.json").is_file()]
    if not folders:
        return None
    path = folders[-1] / "formula.json"
    try:
        left = LeftFormula(folders[-1], json.loads(path.read_text(encoding="utf-8")))
        assert formula_section(left, run.path)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise KanpdeError(
            f"'{path}' cannot be read ({type(error).__name__}: {error}): find the formula anew."
        ) from None
    return left


def formula_section(left: LeftFormula, base: Path) -> dict[str, Any]:
    """Return what the page says of a formula, with links relative to a folder."""
    document, folder = left.document, left.folder
    if not document["formula"]:
        return {"reason": str(document["reason"]), "steps": list(map(str, document.get("steps", [])))}
    caption = "The formula as a network: curves over the values that they reach, lines as wide as they are important."
    return {
        "reason": "",
        "lines": list(lines(document["formula"], str(document["latex"]))),
        "summary": summary(document),
        "columns": COLUMNS,
        "rows": [
            [
                *(Cell(str(row[key]), str(row[key])) for key in ("label", "kind", "verdict")),
                measured(row["size"]) if row["size"] != 0 else Cell("0", "0", "number"),
                Cell(str(row["reason"]), str(row["reason"])),
            ]
            for row in document["statements"]
        ],
        "picture": picture_of(folder / "network.png", caption, base),
        "links": [(text, link(folder / name, base)) for name, text in FILES.items() if (folder / name).is_file()],
        "steps": list(map(str, document["steps"])),
    }


def lines(formulas: Mapping[str, Any], latex: str) -> Iterator[Line]:
    """Yield the formula of each unknown with its line of the LaTeX."""
    rows = [row.replace("&", "", 1).strip() for row in re.sub(r"\\(begin|end)\{aligned\}", "", latex).split("\\\\\n")]
    for (name, text), row in zip(formulas.items(), rows, strict=True):
        figure = draw_formula(row)
        yield Line(str(name), str(text), None if figure is None else drawn(figure, f"{name} = {text}"))


def summary(document: Mapping[str, Any]) -> str:
    """Return the verdict and the numbers of a formula in words."""
    error = document["rel_l2"]
    against = "" if error is None else f", relative L2 error {error:.1e} against the reference, which was not used"
    left, parameters = counted(document["constants_left"]).text, counted(document["parameters_of_network"]).text
    return (
        f"Verdict: {document['verdict']}. Relative residual {document['residual']:.1e} on held-out points{against}."
        f" Found in {document['seconds']:.1f} s from a network of {parameters} parameters; constants that are no simple"
        f" numbers: {left}."
    )
