"""What each part of the method is worth: python -m benchmarks.ablation [--seeds 5] [problem ...]

Each row leaves out or replaces one part of a network of five sums, all else at the defaults.
"""

from __future__ import annotations

import argparse
from math import inf, isfinite
from pathlib import Path
from statistics import median
from typing import Any

import kanpde
from benchmarks.report import show, write
from kanpde import KAN, LevenbergMarquardt

WIDTH = (5,)
VARIANTS: dict[str, dict[str, Any]] = {
    "nothing left out": {},
    "no geodesic acceleration": {"solver": LevenbergMarquardt(acceleration=0.0)},
    "no variable projection": {"solver": LevenbergMarquardt(projection=False)},
    "one random start": {"solver": LevenbergMarquardt(starts=1)},
    "no stages (final grid at once)": {"model": KAN(width=WIDTH, start_grid=20)},
    "outer functions of degree 5": {"model": KAN(width=WIDTH, degree=(11, 5))},
    "outer splines of degree 7 on 4 intervals": {"model": KAN(width=WIDTH, degree=(11, 7), hidden_grid=4)},
    "inner degree 5": {"model": KAN(width=WIDTH, degree=(5, 3))},
    "three hidden units": {"model": KAN(width=(3,))},
    "soft boundary conditions": {"conditions": "soft"},
}


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", default=["poisson2d"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("ablation.json"))
    options = parser.parse_args()
    rows = []
    for problem in options.problems:
        for label, changes in VARIANTS.items():
            settings = {"model": KAN(width=WIDTH), **changes}
            errors, seconds, parameters = [], [], 0
            for seed in range(options.seeds):
                run = kanpde.solve(problem, seed=seed, threads=options.threads, **settings)
                error = inf if run.errors is None else run.errors.rel_l2
                errors.append(error if isfinite(error) else inf)
                seconds.append(run.method.seconds["train"])
                parameters = max(parameters, run.method.parameters)
            rows.append(
                {
                    "problem": problem,
                    "variant": label,
                    "median rel. L2": f"{median(errors):.1e}",
                    "worst": f"{max(errors):.1e}",
                    "parameters": parameters,
                    "median s": f"{median(seconds):.1f}",
                }
            )
            print(*rows[-1].values(), sep=", ", flush=True)
    show(f"ablation, {options.seeds} seeds", rows)
    write(options.out, rows=rows)


if __name__ == "__main__":
    main()
