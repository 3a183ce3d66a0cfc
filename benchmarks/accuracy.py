"""Accuracy of the default settings over several seeds: python -m benchmarks.accuracy [--seeds 5] [case ...]

A case is a problem with its arguments, such as poisson2d or helmholtz2d:a=6,b=6, or one of the names in
benchmarks/cases.py; without one all cases with a target are measured, with --trend alone the error against the number
of parameters. Rows are added to a JSON file after every seed, and the page is written from it after every case. What
the file has already of the same sources, settings and machine is not measured again unless --again is given, so the
same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path

import torch

import kanpde
from benchmarks import results
from benchmarks.cases import CASES, TREND, Case, find_case
from benchmarks.page import page, scientific, target_cells
from benchmarks.report import save, show
from benchmarks.results import Row
from kanpde import KanpdeError, Problem
from kanpde.library import load_problem

Cells = Callable[[str, Row], Mapping[str, str]]


def solved(case: Case, problem: Problem, seed: int, threads: int | None) -> Row:
    """Return what one seed gives; an error that the solve raises is a failed seed with its message."""
    row: Row = dict.fromkeys(("error", "rel_h1", "max_error", "parameters", "iterations", "seconds", "threads"))
    row |= {"seed": seed, "date": date.today().isoformat()}
    try:
        run = kanpde.solve(problem, case.model, seed=seed, threads=threads)
    except Exception as error:
        return {**row, "stopped": f"{type(error).__name__}: {error}"}
    method, errors = run.method, run.errors
    assert errors is not None  # the problem has a reference
    row |= {
        "error": errors.each[case.unknown] if case.unknown else errors.rel_l2,
        "rel_h1": errors.rel_h1,
        "max_error": errors.max_error,
        "parameters": method.parameters,
        "iterations": method.iterations,
        "seconds": method.seconds["train"],
        "threads": torch.get_num_threads(),
        "stopped": method.stopped,
    }
    return row


def measured(
    case: Case, problem: Problem, seeds: Iterable[int], threads: int | None, before: Row | None
) -> Iterator[Row]:
    """Give the row of a case after each of its seeds; those that the row before has of the same are kept."""
    row = results.merged(results.new_row(case, problem, threads), before, seeds)
    there = {seed["seed"] for seed in row["seeds"]}
    if there:
        yield row
    for seed in seeds:
        if seed not in there:
            row = results.with_seed(row, solved(case, problem, seed, threads))
            yield row


def loaded(case: Case) -> Problem | None:
    """Return the problem of a case; None, with a line that says why, if it cannot be measured."""
    try:
        problem = load_problem(case.problem, **case.arguments)
        if problem.reference is None:
            raise KanpdeError(f"problem '{case.problem}' has no reference to compare with.")
        if case.unknown not in (None, *problem.unknowns):
            raise KanpdeError(f"problem '{case.problem}' has no unknown '{case.unknown}'.")
    except KanpdeError as error:
        print(f"{case.label} is skipped: {error}", flush=True)
        return None
    return problem


def parser_of(description: str | None, seeds: int, page: str) -> argparse.ArgumentParser:
    """Return a parser of the options of a measurement over seeds that writes docs/PAGE.json and docs/PAGE.md."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="case", help="PROBLEM, PROBLEM:ARGUMENT=VALUE,... or a name")
    parser.add_argument("--seeds", type=int, default=seeds, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="of PyTorch; by default the package decides")
    parser.add_argument("--again", action="store_true", help="measure again what the file has already")
    parser.add_argument("--out", type=Path, default=Path(f"docs/{page}.json"))
    parser.add_argument("--markdown", type=Path, default=Path(f"docs/{page}.md"))
    return parser


def parsed(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Return the options, with the wanted seeds as a range in place of their number."""
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: give at least 1")
    options.seeds = range(options.first_seed, options.first_seed + options.seeds)
    return options


def measure(
    cases: Iterable[Case],
    rows: dict[str, Row],
    options: argparse.Namespace,
    write: Callable[[Mapping[str, Row]], str],
    finish: Callable[[Case, Problem, Row, Row | None], Row] = lambda case, problem, row, before: row,
) -> list[str]:
    """Measure cases, add their rows, write the file after each seed and the page after each case; return the labels.

    `finish` adds to a row what does not depend on seeds; it is given the row before if that is not to be replaced.
    """
    done = []
    for case in cases:
        problem = loaded(case)
        if problem is None:
            continue
        before = None if options.again else rows.get(case.label)
        for row in measured(case, problem, options.seeds, options.threads, before):
            rows[case.label] = row
            save(options.out, {"rows": rows})
            print(f"{case.label}: " + ", ".join(scientific(s["error"], "failed") for s in row["seeds"]), flush=True)
        rows[case.label] = finish(case, problem, rows[case.label], before)
        save(options.out, {"rows": rows})
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(write(rows), encoding="utf-8")
        done.append(case.label)
    return done


def report(rows: Mapping[str, Row], labels: Iterable[str], options: argparse.Namespace, cells: Cells) -> None:
    """Print the table of what was measured and where it is written."""
    found = [cells(label, rows[label]) for label in labels]
    if found:
        show(f"seeds {options.seeds.start} to {options.seeds.stop - 1}", found)
        print(f"written to {options.out} and {options.markdown}")


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table and write it."""
    parser = parser_of(__doc__, seeds=5, page="accuracy")
    parser.add_argument("--trend", action="store_true", help="error against parameters on poisson2d")
    options = parsed(parser, arguments)
    try:
        cases = [find_case(text) for text in options.cases] or ([] if options.trend else list(CASES))
        rows = results.read(options.out)
    except KanpdeError as error:
        parser.error(str(error))
    if options.trend:
        cases += [case for series in TREND.values() for case in series]
    report(rows, measure(cases, rows, options, page), options, target_cells)


if __name__ == "__main__":
    main()
