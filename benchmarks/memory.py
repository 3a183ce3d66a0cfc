"""Peak memory of the normal equations: python -m benchmarks.memory [--points 100000]

Residual, Jacobian and J^T J of Poisson's equation with about 1,000 parameters, in chunks of points.
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path
from time import perf_counter

import torch

from benchmarks.report import show, write
from benchmarks.step import poisson, system_of
from kanpde import KAN


def peak_bytes() -> int:
    """Return the largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("memory.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    problem = poisson()
    kan = KAN(width=(8, 8), grid=(8, 8, 8), start_grid=8, degree=3)
    network = kan.network(
        *(torch.tensor(s, dtype=torch.float64) for s in (problem.geometry.lower, problem.geometry.upper)), 1
    )
    theta = 0.3 * torch.randn(network.parameters, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = peak_bytes()
    system = system_of(problem, network, options.points)
    begin = perf_counter()
    system.linearised(theta).normal_equations()
    row = {
        "points": options.points,
        "parameters": network.parameters,
        "libraries MB": before / 1e6,
        "peak MB": peak_bytes() / 1e6,
        "dense Jacobian MB": 8 * system.rows * network.parameters / 1e6,
        "seconds": perf_counter() - begin,
    }
    show("memory of the normal equations", [row])
    write(options.out, rows=[row])


if __name__ == "__main__":
    main()
