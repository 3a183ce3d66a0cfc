"""What each solver reaches in the same time on one thread: python -m benchmarks.solvers [--seconds 20] [problem ...]

Seconds are those of the processor, so other work on the machine matters little. Networks, points and starts are the
defaults, so a part goes into random starts where a method has any.
"""

from __future__ import annotations

import argparse
from math import inf
from pathlib import Path
from time import process_time

import kanpde
import kanpde.training
from benchmarks.report import show, write
from kanpde import (
    LBFGS,
    SOAP,
    Adam,
    Budget,
    Chain,
    GaussNewton,
    Kernel,
    LevenbergMarquardt,
    Sampling,
    SelfScaledBroyden,
)
from kanpde.solver import Solver

SOLVERS: dict[str, Solver] = {
    "`levenberg_marquardt`": LevenbergMarquardt(),
    "`gauss_newton`": GaussNewton(),
    "`kernel`": Kernel(),
    "`kernel momentum=0.9`": Kernel(momentum=0.9),
    "`self_scaled_broyden`": SelfScaledBroyden(),
    "`self_scaled_broyden update=ssbfgs`": SelfScaledBroyden(update="ssbfgs"),
    "`self_scaled_broyden update=bfgs`": SelfScaledBroyden(update="bfgs"),
    "`lbfgs`": LBFGS(),
    "`adam`": Adam(),
    "Adam, then L-BFGS": Chain((Adam(stage_iterations=500), LBFGS())),
    "`soap`": SOAP(),
}
FEW_POINTS = Sampling(points=200)
"""Of the kernel form, which is for fewer points than parameters."""


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", default=["poisson2d", "burgers1d"])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("solvers.json"))
    options = parser.parse_args()
    kanpde.training.perf_counter = process_time
    rows = []
    for label, solver in SOLVERS.items():
        row = {"solver": label}
        for problem in options.problems:
            sampling = FEW_POINTS if isinstance(solver, Kernel) else None
            budget = Budget(seconds=options.seconds)
            run = kanpde.solve(problem, solver=solver, sampling=sampling, budget=budget, seed=options.seed, threads=1)
            error = inf if run.errors is None else run.errors.rel_l2
            row |= {problem: f"{error:.1e}", f"iterations ({problem})": str(run.method.iterations)}
        rows.append(row)
        print(*row.values(), sep=", ", flush=True)
    show(f"solvers, {options.seconds:g} s each", rows)
    write(options.out, rows=rows)


if __name__ == "__main__":
    main()
