"""kanpde: default network and Levenberg-Marquardt, which also choose the number of points."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import kanpde
from benchmarks.peers.trial import Array, Watch, main


def train(watch: Watch, seed: int) -> None:
    """Solve in portions of ten iterations, each of which goes on from the checkpoint of the one before.

    Random starts are one portion. The clock is the package's own, which leaves out the errors that `solve` measures.
    """
    solver = kanpde.LevenbergMarquardt()
    iterations, setup = solver.starts * solver.start_iterations, 0.0
    with TemporaryDirectory() as folder:
        while True:
            run = kanpde.solve(
                "poisson2d",
                solver=solver,
                budget=kanpde.Budget(iterations=iterations, seconds=watch.limit),
                seed=seed,
                device="cpu",
                threads=1,
                checkpoint=Path(folder) / "checkpoint.pt",
            )
            setup += run.method.seconds["setup"]
            watch.says(parameters=run.method.parameters)

            def values(points: Array, run: kanpde.Run = run) -> Array:
                return np.asarray(run.u(points[:, 0], points[:, 1]))

            if watch(values, setup + run.method.seconds["train"]) or not run.method.stopped.startswith("budget"):
                return
            iterations += 10


if __name__ == "__main__":
    main(train)
