"""Accuracy of the default settings over several seeds: python -m benchmarks.accuracy [--seeds 5] [problem ...]

A row per problem: median and worst relative L2 error on points not trained on, parameters, training seconds, and the
targets. Every seed counts; a failed seed is an infinite error.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from statistics import median
from typing import Any

import kanpde
from benchmarks.report import show, write


@dataclass(frozen=True)
class Target:
    """What a problem's default run should reach: median relative L2, parameters, seconds."""

    rel_l2: float
    parameters: int
    seconds: float


TARGETS = {
    "poisson2d": Target(1e-8, 500, 20),
    "poisson2d_sinsin": Target(1e-9, 400, 15),
    "helmholtz2d": Target(1e-7, 500, 30),
    "heat1d": Target(1e-8, 500, 15),
    "burgers1d": Target(1e-3, 3000, 300),
}


def measure(name: str, seeds: int, threads: int | None) -> list[dict[str, Any]]:
    """Return a row per seed."""
    rows = []
    for seed in range(seeds):
        run = kanpde.solve(name, seed=seed, threads=threads)
        method = run.method
        error = inf if run.errors is None or not isfinite(run.errors.rel_l2) else run.errors.rel_l2
        rows.append(
            {
                "problem": name,
                "seed": seed,
                "rel_l2": error,
                "rel_h1": inf if run.errors is None else run.errors.rel_h1,
                "parameters": method.parameters,
                "iterations": method.iterations,
                "seconds": method.seconds["train"],
                "stopped": method.stopped,
            }
        )
        print(
            f"{name} seed {seed}: {error:.1e}, {method.parameters} parameters, {method.seconds['train']:.1f} s",
            flush=True,
        )
    return rows


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", default=list(TARGETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("accuracy.json"))
    options = parser.parse_args()
    seeds, summary = [], []
    for name in options.problems:
        rows = measure(name, options.seeds, options.threads)
        seeds += rows
        errors = sorted(row["rel_l2"] for row in rows)
        target = TARGETS.get(name)
        summary.append(
            {
                "problem": name,
                "median rel. L2": f"{median(errors):.1e}",
                "worst": f"{errors[-1]:.1e}",
                "target": f"{target.rel_l2:.0e}" if target else "-",
                "parameters": max(row["parameters"] for row in rows),
                "at most": target.parameters if target else "-",
                "median s": f"{median(row['seconds'] for row in rows):.1f}",
                "worst s": f"{max(row['seconds'] for row in rows):.1f}",
                "at most s": target.seconds if target else "-",
            }
        )
    show(f"default settings, {options.seeds} seeds", summary)
    write(options.out, seeds=seeds, summary=summary)


if __name__ == "__main__":
    main()
