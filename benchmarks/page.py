"""The page of measured accuracies, written from the rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import numpy as np

from benchmarks.cases import TREND, WORST
from benchmarks.report import markdown
from benchmarks.results import Row, Summary

INTRODUCTION = f"""# Accuracy

Written by `python -m benchmarks.accuracy`, which measures rows anew or adds some and leaves the others. What is not
here was not measured.

Solves have the default settings, or what "Measured with" says. Errors are relative L2 errors on points not trained on,
against the reference, and mean nothing below the reference's own error. Every seed counts: one that raised an error or
became non-finite has an infinite error. Seconds are those of training, random starts and all stages included, on a
machine that may have done other work at the same time.

## Targets

Met is "yes" or "no", with what was reached in units of the target, so that at most 1 is met. The worst seed may be
{WORST:g} times above the target of the median. A trailing name is the unknown whose error counts.

"""


def page(rows: Mapping[str, Row]) -> str:
    """Return the page as Markdown. Rows without a target are listed with dashes."""
    trend = {case.label for cases in TREND.values() for case in cases}
    cases = {label: row for label, row in rows.items() if label not in trend}
    parts = [INTRODUCTION, markdown([target_cells(*item) for item in cases.items()]) if cases else "Nothing yet.\n"]
    series = {name: [rows[case.label] for case in cases if case.label in rows] for name, cases in TREND.items()}
    if any(series.values()):
        parts += ["\n## Error against parameters\n\n", trend_text(series)]
    if rows:
        parts += ["\n## Measured with\n\n", markdown([origin_cells(*item) for item in rows.items()])]
        seeds = [seed_cells(label, row, seed) for label, row in rows.items() for seed in row["seeds"]]
        parts += ["\n## Every seed\n\n", markdown(seeds)]
    return "".join(parts)


def target_cells(label: str, row: Row) -> dict[str, str]:
    """Return what a row reached, beside its target."""
    summary, target = Summary.of(row), row["target"] or dict.fromkeys(("error", "parameters", "seconds"))
    ratios = summary.ratios(target) if row["target"] else dict.fromkeys(("error", "worst", "parameters", "seconds"))
    return {
        "case": label + (f", {unknown}" if (unknown := row["made_with"]["unknown"]) else ""),
        "median": scientific(summary.median),
        "target": scientific(target["error"]),
        "met": verdict(ratios["error"]),
        "worst": scientific(summary.worst),
        "worst met": verdict(ratios["worst"]),
        "failed": f"{summary.failed} of {len(row['seeds'])}",
        "parameters": whole(summary.parameters),
        "at most": whole(target["parameters"]),
        "parameters met": verdict(ratios["parameters"]),
        "median s": seconds(summary.seconds),
        "at most s": seconds(target["seconds"]),
        "s met": verdict(ratios["seconds"]),
    }


def origin_cells(label: str, row: Row) -> dict[str, str]:
    """Return what a row was measured with and against."""
    origin, reference = row["made_with"], row["reference"]
    numbers = [seed["seed"] for seed in row["seeds"]]
    threads = sorted({seed["threads"] for seed in row["seeds"] if seed["threads"] is not None})
    return {
        "case": label,
        "seeds": ranges(numbers),
        "settings": origin["model"] or "defaults",
        "budget s": seconds(origin["budget"]["seconds"]),
        "reference": reference["name"],
        "its own error": scientific(reference["error"]),
        "kanpde": f"{origin['kanpde']}, sources {origin['sources']}",
        "torch": origin["torch"],
        "processor": origin["processor"],
        "threads": ", ".join(map(str, threads)) or "-",
        "date": max(seed["date"] for seed in row["seeds"]),
    }


def seed_cells(label: str, row: Row, seed: Mapping[str, Any]) -> dict[str, str]:
    """Return one seed of a row."""
    return {
        "case": label,
        "seed": str(seed["seed"]),
        "relative L2": scientific(seed["error"], missing="failed"),
        "parameters": whole(seed["parameters"]),
        "iterations": whole(seed["iterations"]),
        "s": seconds(seed["seconds"]),
        "why it stopped": " ".join(seed["stopped"].split()),
    }


def trend_text(series: Mapping[str, Sequence[Row]]) -> str:
    """Return the table of medians against parameters, and the slope of each series."""
    cells, slopes = [], []
    for name, rows in series.items():
        summaries = [Summary.of(row) for row in rows]
        points = [(s.parameters, s.median) for s in summaries if s.parameters is not None]
        cells += [
            {
                "settings": name,
                "model": f"`{row['made_with']['model']}`",
                "parameters": whole(summary.parameters),
                "median": scientific(summary.median),
                "worst": scientific(summary.worst),
                "seeds": ranges([seed["seed"] for seed in row["seeds"]]),
            }
            for row, summary in zip(rows, summaries, strict=True)
        ]
        steepness = slope(points)
        slopes.append(f"- {name}: " + (f"{steepness:.1f}" if isfinite(steepness) else "too few finite errors") + "\n")
    return markdown(cells) + "\nSlopes of log error over log parameters, by least squares:\n\n" + "".join(slopes)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of log y over log x by least squares; pairs that are not positive and finite are left out.

    It is nan where fewer than two different x remain.
    """
    usable = [(x, y) for x, y in points if x > 0 and y > 0 and isfinite(x) and isfinite(y)]
    if len({x for x, _ in usable}) < 2:
        return nan
    x, y = np.log(np.array(usable, dtype=float)).T
    return float(((x - x.mean()) @ (y - y.mean())) / ((x - x.mean()) @ (x - x.mean())))


def scientific(value: float | None, missing: str = "-") -> str:
    """Return an error as text."""
    return missing if value is None else f"{value:.1e}"


def whole(value: int | None) -> str:
    """Return a count as text."""
    return "-" if value is None else f"{value:,}"


def seconds(value: float | None) -> str:
    """Return seconds as text."""
    return "-" if value is None else f"{value:.3g}"


def verdict(ratio: float | None) -> str:
    """Return whether a target is met, with the ratio of what was reached to it."""
    return "-" if ratio is None else f"{'yes' if ratio <= 1 else 'no'} ({ratio:.2g})"


def ranges(numbers: Sequence[int]) -> str:
    """Return increasing numbers as text, runs of them as "first to last"."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
