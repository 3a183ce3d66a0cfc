"""Wall time of two processes beside one on many points: python -m benchmarks.processes [--points 200000]

Poisson's equation on a square with a KAN of product nodes, float64: some iterations of Levenberg-Marquardt, whose sums
are normal equations, and of L-BFGS, whose sums are gradients. One process with one thread and with two is measured
beside two processes with one thread each, which torchrun starts on this machine. Differences, of the solution at points
not trained on and of the parameters, are relative to the largest entry. The last layer is not solved anew in each
iteration: of the parameters that this leaves undetermined rounding chooses some, with any number of processes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.report import show, write
from kanpde import KAN, LBFGS, Budget, KanpdeError, LevenbergMarquardt, Points, Sampling, processes, solve
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.solver import Solver

SOLVERS: dict[str, Solver] = {
    "Levenberg-Marquardt": LevenbergMarquardt(starts=1, start_iterations=0, stage_iterations=8, projection=False),
    "L-BFGS": LBFGS(stage_iterations=8),
}
RUNS = {"1 process": (1, 1), "1 process, 2 threads": (1, 2), "2 processes": (2, 1)}
"""Processes, and threads of each."""
COMPARED = 10_000


def solved(name: str, points: int, threads: int, out: Path) -> None:
    """Solve in the processes of torchrun, and write what the first one finds."""
    problem, solver = load_problem("poisson2d"), SOLVERS[name]
    run = solve(
        problem,
        KAN(width=(0,), products=4, grid=20, start_grid=20),
        solver,
        sampling=Sampling(points=points),
        budget=Budget(iterations=solver.stage_iterations, seconds=3600.0),
        threads=threads,
    )
    if processes.is_first():
        at = Points.of(problem.geometry.names, problem.geometry.sample(COMPARED))
        u = run.taylor(at, IndexSet(at.names))[0]
        found = {"u": u, "theta": run.theta, "seconds": run.method.seconds["train"]}
        torch.save({**found, "iterations": run.method.iterations}, out)


def measured(name: str, points: int, count: int, threads: int) -> dict[str, Any]:
    """Return what so many processes find."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "found"
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        command = ["-m", "benchmarks.processes", "--points", str(points), "--part", name, str(threads), str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run([*launcher, *command], env=environment, check=True)
        return torch.load(out, weights_only=True)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest entry of b."""
    return float((a - b).abs().max() / b.abs().max())


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=Path("processes.json"))
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.points < 2:
        raise KanpdeError(f"--points={options.points}: give at least 2.")
    if options.part:
        name, threads, out = options.part
        with processes.together():
            solved(name, options.points, int(threads), Path(out))
        return
    rows = []
    for name in SOLVERS:
        load = os.getloadavg()[0]
        found = {label: measured(name, options.points, *run) for label, run in RUNS.items()}
        one = found["1 process"]
        for label, each in found.items():
            rows.append(
                {
                    "method": name,
                    "run": label,
                    "points": options.points,
                    "parameters": len(each["theta"]),
                    "iterations": each["iterations"],
                    "seconds": each["seconds"],
                    "times as fast": one["seconds"] / each["seconds"],
                    "difference of u": difference(each["u"], one["u"]),
                    "of parameters": difference(each["theta"], one["theta"]),
                    "load before": load,
                }
            )
    show("one and two processes", rows)
    write(options.out, rows=rows)


if __name__ == "__main__":
    main()
