"""Formulas that are found: python -m benchmarks.formulas [--seeds 5] [--noise 0.01] [problems | laws | NAME ...]

Each problem is solved with the defaults, and `simplify` then looks for a formula; only that time counts. A solution of
a differential equation is found if sympy proves that the formula satisfies equations and conditions, or if they hold to
1e-12. A law is found if its formula differs by at most 1e-12 over its box, relative L2, whatever it is written like:
exactly, if its constants are simple numbers, and else to rounding. With noise, the *form* is found if it differs by at
most a tenth of the noise. What is measured is kept in a file that further seeds are added to. The search was developed
on seed 0 of the laws; others draw other samples.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import sympy

import kanpde
from benchmarks.report import markdown, save, show
from kanpde import Budget, KanpdeError
from kanpde.interpret import check_exactly, satisfied
from kanpde.library import load_problem

PROBLEMS = ("poisson2d_sinsin", "poisson2d", "heat1d", "wave1d", "kovasznay", "helmholtz2d")
# fmt: off
LAWS = (
    "I.6.2", "I.6.2b", "I.9.18", "I.12.11", "I.13.12", "I.15.3x", "I.16.6", "I.18.4", "I.26.2", "I.27.6", "I.29.16",
    "I.30.3", "I.30.5", "I.37.4", "I.40.1", "I.44.4", "I.50.26", "II.2.42", "II.6.15a", "II.11.7", "II.11.27",
    "II.35.18", "II.36.38", "II.38.3", "III.9.52", "III.10.19", "III.17.37",
)
# fmt: on
EXACT = 1e-12
SECONDS = 30.0
"""Of training. A search gets what the command gives it."""


def measured(name: str, seed: int, noise: float) -> dict[str, Any]:
    """Return what is found for a problem or a law."""
    law = name in LAWS
    problem = load_problem("fit_feynman", law=name, noise=noise, seed=seed) if law else load_problem(name)
    row: dict[str, Any] = {"name": name, "seed": seed, "noise": noise if law else 0.0, "verdict": "none"}
    run = kanpde.solve(problem, budget=Budget(seconds=SECONDS), seed=seed, threads=1)
    row["network"] = None if run.errors is None else run.errors.rel_l2
    begin = perf_counter()
    try:
        found = run.simplify()
    except KanpdeError as error:
        return {**row, "seconds": perf_counter() - begin, "stopped": str(error)}
    formula = found.model.formula()
    row["formula"] = {u: str(f) for u, f in formula.items()}
    row["error"] = None if found.model.errors is None else found.model.errors.rel_l2
    if not law:
        row["verdict"] = satisfied(check_exactly(problem, formula))
    elif row["error"] is not None:
        form = "form" if noise and row["error"] <= noise / 10 else "none"
        simple = not any(f.atoms(sympy.Float) for f in formula.values())
        row["verdict"] = form if row["error"] > EXACT else "exact" if simple else "to rounding"
    return {**row, "seconds": perf_counter() - begin, "stopped": ""}


def cells(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the line of a problem in the table: how often, in what time, and the formula of the first seed."""
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("exact", "to rounding", "form")}
    found = [row for row in rows if row["verdict"] != "none" and row.get("formula")]
    seconds = [row["seconds"] for row in rows]
    shown = found[0]["formula"] if found else {}
    return {
        "problem": name,
        "found": ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "none",
        "seeds": str(len(rows)),
        "seconds, median (worst)": f"{median(seconds):.0f} ({max(seconds):.0f})",
        "formula": "; ".join(f"{u} = {brief(f)}" for u, f in shown.items()),
    }


def brief(formula: str) -> str:
    """Return a formula that is not too long for a table."""
    return formula if len(formula) <= 90 else formula[:87] + "..."


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["problems"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--out", type=Path, default=Path("docs/formulas.json"))
    options = parser.parse_args()
    groups = {"problems": PROBLEMS, "laws": LAWS}
    names = [name for group in options.names for name in groups.get(group, (group,))]
    rows = json.loads(options.out.read_text(encoding="utf-8"))["rows"] if options.out.is_file() else []
    for seed in range(options.seeds):
        for name in names:
            noise = options.noise if name in LAWS else 0.0
            if any((r["name"], r["seed"], r["noise"]) == (name, seed, noise) for r in rows):
                continue
            rows.append(measured(name, seed, noise))
            print(name, seed, rows[-1]["verdict"], f"{rows[-1]['seconds']:.1f} s", flush=True)
            save(options.out, {"kanpde": kanpde.__version__, "sympy": sympy.__version__, "rows": rows})
    write_page(rows, options.out.with_suffix(".md"))


def write_page(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Print the tables and write the page of all rows."""
    text = [
        "# Formulas that were found\n\nWritten by `python -m benchmarks.formulas`. What is not here was not measured."
    ]
    text.append((__doc__ or "").split("\n\n", 1)[1])
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        noise = f", noise of {100 * row['noise']:g} %" if row["noise"] else ""
        kinds.setdefault(f"Laws, 1,000 samples{noise}" if row["name"] in LAWS else "Solutions", []).append(row)
    for title, own in kinds.items():
        table = [cells(name, [r for r in own if r["name"] == name]) for name in dict.fromkeys(r["name"] for r in own)]
        show(title, table)
        text += [f"## {title}\n", markdown(table)]
    path.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
