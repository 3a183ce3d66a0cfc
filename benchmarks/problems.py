"""Every problem from its default settings: python -m benchmarks.problems [--seeds 3] [problem ...]

Measures the error of the default network over seeds and the ladder of finite elements where they apply, and writes the
table beside the best published networks (benchmarks/published.py). Rows are added to a JSON file after every seed, and
the page is written from it after every problem. What the file has already of the same sources, settings and machine is
not measured again unless --again is given, so the same command goes on after an interruption.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import results
from benchmarks.accuracy import measure, parsed, parser_of, report
from benchmarks.cases import Case, find_case
from benchmarks.page import origin_cells, scientific, seconds, seed_cells, whole
from benchmarks.published import RECORDS, Published, Record
from benchmarks.report import markdown
from benchmarks.results import Row, Summary
from kanpde import KanpdeError, Problem
from kanpde.library import problem_files
from kanpde.metrics import ErrorMeasure
from kanpde.reference import ladder

INTRODUCTION = """# Problems

Written by `python -m benchmarks.problems`, which measures rows anew or adds some and leaves the others. What is not in
a table was not measured.

Networks have the default settings. Errors are relative L2 errors on points not trained on, against the reference, and
mean nothing below the reference's own error; a seed that failed counts as an infinite error. Seconds are those of
training, or of the solution by finite elements with its assembly, on a machine that may have done other work at the
same time.

The finite elements are the fastest of a ladder of orders and meshes that are at least as accurate as the median of the
network, or the most accurate ones, with their error, if none is. "Better" compares the median with the published error
of a Kolmogorov-Arnold network; how each was measured is said below the table.

"""

GOAL = 1e-4
"""The median error, or ten times the reference's own, above which the page says what stops the network."""
LIMITS = {
    "burgers2d": "Three coordinates: networks grow there, since products of all splines would be too many, and the"
    " budget ends before the end of the time interval.",
    "burgers_inverse": "The values that it is fitted to have 1 % of noise.",
    "channel_cylinder": "The domain is no box, and the budget ends; more was not examined.",
    "gray_scott": "As burgers2d.",
    "heat2d_multiscale": "Three coordinates, ten waves along x: most random starts end in false minima, where held-out"
    " residuals are many times those of training.",
    "kuramoto_sivashinsky": "All products need about 200 intervals along x, and the budget ends before the end of the"
    " time interval.",
    "poisson_inverse": "The coefficient is found from noisy values of the solution, and the budget ends.",
}


def solved_by_fem(problem: Problem) -> tuple[list[dict[str, Any]], str]:
    """Return name, dofs, error and seconds of each finite element solution of the ladder, and why there are none."""
    try:
        resolutions = ladder(problem)
    except KanpdeError as error:
        return [], str(error)
    found, left_out = [], []
    measure_error = ErrorMeasure(problem)
    for resolution in resolutions:
        try:
            fem = resolution.solve(problem)
        except KanpdeError as error:
            left_out.append(f"{resolution.name}: {error}")
            continue
        error = measure_error.of(fem.taylor).rel_l2
        found.append({"name": fem.name, "dofs": fem.dofs, "error": error, "seconds": fem.seconds["train"]})
    return found, "; ".join(left_out)


def with_fem(case: Case, problem: Problem, row: Row, before: Row | None) -> Row:
    """Return a row with its finite elements; those of the row before, if that was made with the same."""
    if before is not None and before["made_with"] == row["made_with"] and "fem" in before:
        return {**row, "fem": before["fem"]}
    print(f"{case.label}: finite elements", flush=True)
    solutions, note = solved_by_fem(problem)
    return {**row, "fem": {"solutions": solutions, "note": note}}


def chosen(solutions: Sequence[Mapping[str, Any]], error: float) -> Mapping[str, Any] | None:
    """Return the fastest solution with at most this error, or the most accurate one if there is none."""
    good = [s for s in solutions if s["error"] is not None and s["error"] <= error]
    if good:
        return min(good, key=lambda s: s["seconds"])
    return min((s for s in solutions if s["error"] is not None), key=lambda s: s["error"], default=None)


def cells(label: str, row: Row) -> dict[str, str]:
    """Return a row of the table."""
    summary = Summary.of(row)
    fem = chosen(row.get("fem", {}).get("solutions", []), summary.median)
    record = RECORDS.get(row["made_with"]["problem"], Record())
    better = "-" if record.kan.error is None else "yes" if summary.median < record.kan.error else "no"
    return {
        "problem": label,
        "parameters": whole(summary.parameters),
        "median": scientific(summary.median),
        "worst": scientific(summary.worst),
        "s": seconds(summary.seconds),
        "reference": scientific(row["reference"]["error"]),
        "fem": fem["name"] if fem else "-",
        "dofs": whole(fem["dofs"]) if fem else "-",
        "fem error": scientific(fem["error"]) if fem else "-",
        "fem s": seconds(fem["seconds"]) if fem else "-",
        "published KAN": scientific(record.kan.error),
        "better": better,
        "published network": scientific(record.network.error),
    }


def page(rows: Mapping[str, Row]) -> str:
    """Return the page as Markdown: the table, its sources, every seed, and what each problem is."""
    parts = [INTRODUCTION, markdown([cells(*item) for item in rows.items()]) if rows else "Nothing yet.\n"]
    published = [line for row in rows.values() for line in source_lines(row["made_with"]["problem"])]
    if published:
        parts += ["\n## Published errors\n\n", *published]
    refused = [f"- {label}: {note}\n" for label, row in rows.items() if (note := row.get("fem", {}).get("note"))]
    if refused:
        parts += ["\n## Finite elements left out\n\n", *refused]
    stopped = [f"- {label}: {reason}\n" for label, row in rows.items() if (reason := limit(row))]
    if stopped:
        parts += [f"\n## What stops those above {GOAL:g}\n\n", *stopped]
    if rows:
        parts += ["\n## Measured with\n\n", markdown([origin_cells(*item) for item in rows.items()])]
        seeds = [seed_cells(label, row, seed) for label, row in rows.items() for seed in row["seeds"]]
        parts += ["\n## Every seed\n\n", markdown(seeds)]
    parts += ["\n## What each problem is\n\n", "From the files in `problems/`, which are one page each.\n"]
    return "".join([*parts, *map(described, problem_files())])


def limit(row: Row) -> str:
    """Return what stops a network that is far from its goal and from the error of the reference, or nothing."""
    if Summary.of(row).median <= max(GOAL, 10 * (row["reference"]["error"] or 0.0)):
        return ""
    return LIMITS.get(row["made_with"]["problem"], "Not known.")


def source_lines(problem: str) -> list[str]:
    """Return the lines that say where the published errors of a problem come from."""
    record = RECORDS.get(problem, Record())

    def line(kind: str, found: Published) -> str:
        return f"- {problem}, {kind}: {scientific(found.error)}{', ' if found.source else ''}{found.source}\n"

    return [line(k, f) for k, f in (("KAN", record.kan), ("any network", record.network)) if f.error is not None]


def described(name: str) -> str:
    """Return the section of a problem: its file's docstring."""
    docstring = ast.get_docstring(ast.parse(problem_files()[name].read_text(encoding="utf-8"))) or ""
    return f"\n### {name}\n\n{docstring}\n".replace("*", "\\*").replace("_", "\\_").replace("|", "\\|")


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table and write it."""
    parser = parser_of(__doc__, seeds=3, page="problems")
    options = parsed(parser, arguments)
    try:
        # A case of accuracy has settings of its own in places; here it is a problem and its arguments.
        found = [find_case(text) for text in options.cases or problem_files()]
        rows = results.read(options.out)
    except KanpdeError as error:
        parser.error(str(error))
    cases = [Case(case.problem, arguments=case.arguments) for case in found]
    report(rows, measure(cases, rows, options, page, with_fem), options, cells)


if __name__ == "__main__":
    main()
