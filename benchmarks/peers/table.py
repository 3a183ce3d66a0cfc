"""What the trials of a package say together, and the page of all of them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.page import ranges, scientific, seconds, whole
from benchmarks.peers.trial import EVERY, POINTS, TARGETS
from benchmarks.report import markdown, number

INTRODUCTION = f"""# Time to a given error

Written by `python -m benchmarks.peers`, which measures packages anew or adds some and leaves the others. What is not
here was not measured.

The problem is Poisson's equation with the solution $\\sin(\\pi x) \\sin(\\pi y^2)$ on $(-1, 1)^2$. Every network trains
in double precision on one CPU core on $u = (1 - x^2)(1 - y^2) N$, which is zero on the boundary, with {POINTS:,} points
where a package does not choose their number by itself. A package has one setting, near that of its own examples where
they have one. kanpde has its defaults, which were developed on this very problem among others. The others were not
searched for their best: after short first trials jaxKAN got L-BFGS of SciPy, because that of optax took a minute to
compile, and Adam of DeepXDE was cut from 1,000 iterations to 201, to leave time for L-BFGS. Other settings may be
faster or more accurate. The machine may have done other work at the same time.

Seconds include building and compiling, but neither imports nor measuring errors, which is done whenever the time has
grown by {EVERY - 1:.0%}, for kanpde every ten iterations after its random starts. "s to 1e-03" is the median over the
seeds of the first such time with a relative L2 error of at most 1e-3; "-" says that half of the seeds or more did not
get there within the limit. Warm-up is the time up to the first error measured: building, compiling and the first
iteration (of kanpde its random starts); it is part of the other times.

"""


def trial(report: Path) -> dict[str, Any]:
    """Return the parameters and the curve of (seconds, error) that a trial recorded; both are empty if it did not."""
    lines = report.read_text(encoding="utf-8").splitlines() if report.is_file() else []
    found: dict[str, Any] = {"parameters": None, "curve": []}
    for line in map(json.loads, lines):
        if "parameters" in line:
            found["parameters"] = line["parameters"]
        else:
            found["curve"].append([line["seconds"], line["error"]])
    return found


def time_to(curve: Sequence[Sequence[float | None]], error: float, limit: float) -> float:
    """Return the first time up to the limit at which an error is reached; infinite if there is none."""
    times = (number(second) for second, reached in curve if number(reached) <= error)
    return next((time for time in times if time <= limit), inf)


def cells(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Return a package's row with at least one trial."""
    curves = [seed["curve"] for seed in row["seeds"]]
    warm = [curve[0][0] for curve in curves if curve]
    best = [min((number(error) for _, error in curve), default=inf) for curve in curves]
    parameters = [seed["parameters"] for seed in row["seeds"] if seed["parameters"] is not None]
    limit = row["made_with"]["limit"]
    times = {f"s to {error:.0e}": median(time_to(curve, error, limit) for curve in curves) for error in TARGETS}
    return {
        "package": f"{name} {row['made_with']['version']}",
        "parameters": whole(max(parameters, default=None)),
        "warm-up s": seconds(median(warm) if warm else None),
        **{heading: seconds(None if time == inf else time) for heading, time in times.items()},
        "best error, median": scientific(None if median(best) == inf else median(best)),
        "limit s": seconds(limit),
        "seeds": ranges([seed["seed"] for seed in row["seeds"]]),
        "ended early": "; ".join(sorted({seed["message"] for seed in row["seeds"] if seed["message"]})) or "-",
    }


def origin_cells(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Return what a package was measured with."""
    origin = row["made_with"]
    return {
        "package": name,
        "settings": origin["settings"],
        "python": origin["python"],
        "processor": f"{origin['processor']}, {origin['cores']} cores",
        "date": max(seed["date"] for seed in row["seeds"]),
    }


def settings(module: Path) -> str:
    """Return the first line of a module's docstring without its name, without importing what it imports."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].partition(": ")[2].rstrip(".")


def page(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page as Markdown."""
    if not rows:
        return INTRODUCTION + "Nothing yet.\n"
    return (
        INTRODUCTION
        + markdown([cells(*item) for item in rows.items()])
        + "\n## Measured with\n\n"
        + markdown([origin_cells(*item) for item in rows.items()])
    )
