"""Small computations that `test_processes` does in one process and in several: torchrun together.py FILE.

Each returns tensors by name. FILE gets what the first process found, FILE.1 what the second one did.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from examples import small_kan
from oracles import random
from torch import Tensor

import kanpde.run
import kanpde.training_points
from kanpde import (
    KAN,
    LBFGS,
    Adam,
    Box,
    Budget,
    GaussNewton,
    KanpdeError,
    Kernel,
    LevenbergMarquardt,
    Points,
    Problem,
    Sampling,
    SelfScaledBroyden,
    dirichlet,
    initial,
    mean,
    neumann,
    observe,
    processes,
    scalar,
    solve,
)
from kanpde.full import FullProduct
from kanpde.library import load_problem
from kanpde.model import Ansatz
from kanpde.multiindex import IndexSet
from kanpde.solver import Solver
from kanpde.training_points import Collocation

Found = dict[str, Tensor]

LM = LevenbergMarquardt(starts=2, start_iterations=1, stage_iterations=2)
MODEL = small_kan(width=(2,), grid=8, start_grid=4)


def inverse() -> Problem:
    """Return an equation with an unknown scalar, three observations, and a mean, whose only row is in one process."""

    def wave(u: Any, a: Any, at: Any) -> Tensor:
        return u.d("xx") + a * u + torch.sin(at.x)

    return Problem(
        Box(x=(0, 3)),
        {"wave": wave},
        {"left": dirichlet("x-", 0.0), "right": neumann("x+", -1.0)},
        constraints={"seen": observe([[0.5], [1.0], [2.5]], [0.4, 0.8, 0.6]), "all": mean(value=0.5)},
        scalars={"a": scalar(0.5)},
    )


def burgers() -> Problem:
    """Return Burgers' equation with a mean that holds at all times, whose rows are no band."""

    def momentum(u: Any, at: Any) -> Tensor:
        return u.d("t") + u * u.d("x") - 0.1 * u.d("xx")

    return Problem(
        Box(x=(-1, 1), t=(0, 1)),
        {"momentum": momentum},
        {"start": initial(lambda at: -torch.sin(torch.pi * at.x)), "walls": dirichlet("x", 0.0)},
        constraints={"zero": mean(times=3)},
    )


def products_of_jacobians() -> Found:
    """Everything that a system gives, at points and groups whose numbers are odd."""
    problem, like = inverse(), torch.zeros((), dtype=torch.float64)
    ansatz = Ansatz(problem, "soft")
    collocation = Collocation(ansatz, Sampling(points=101), 0, like)
    network = MODEL.suited(problem).network(like.new_tensor([0.0]), like.new_tensor([3.0]), 1, None, [], 1)
    system = collocation.system(network, like, 1, 0)
    theta = random(network.parameters, like=like)
    linear = system.linearised(theta)
    loss, gradient = linear.gradient()
    r, again, matrix = linear.normal_equations()
    w = linear.times(random(network.parameters, like=like, seed=2))
    slopes, diagonal = linear.slopes()
    at_points = {f"at points {number}": rows for number, rows in enumerate(system.at_points(theta))}
    values = system.solution(theta).sort(dim=0).values
    return {
        "loss": torch.tensor([loss, system.loss(theta)], dtype=torch.float64),
        "rows": processes.gathered(r).square().sort().values,
        "gradients": torch.stack([gradient, again, slopes, diagonal, linear.transposed_times(w)]),
        "matrix": matrix,
        "values": values,
        "points": system.points().sort(dim=0).values,
        **at_points,
    }


def all_products() -> Found:
    """A search that is ended after some iterations, with its splines and how the residual varies across them."""
    problem, left = burgers(), 4

    def note(loss: float, parameters: int) -> str:
        nonlocal left
        left -= 1
        return "" if left else "enough"

    collocation = Collocation(Ansatz(problem, "hard"), Sampling(), 0, torch.zeros((), dtype=torch.float64))
    full = FullProduct(collocation, KAN(degree=(6, 1), grid=60, parameters=600, products=24).suited(problem), False)
    search = full.start()
    full.run(search, note, lambda: None)
    fast, slow = search.variations
    return {
        "theta": search.theta,
        "fast": fast,
        "slow": slow,
        "left": torch.tensor([search.trained, search.held_out], dtype=torch.float64),
    }


def trained(name: str | Problem, solver: Solver, **settings: Any) -> Callable[[], Found]:
    """Return a training that gives the solution, its parameters and the loss of each iteration."""

    def run(iterations: int = 40, checkpoint: Path | None = None) -> Found:
        problem = replace(load_problem(name), reference=None) if isinstance(name, str) else name
        settings.setdefault("sampling", Sampling(points=301))
        budget = Budget(iterations=iterations)
        found = solve(problem, MODEL, solver, budget=budget, threads=1, checkpoint=checkpoint, **settings)
        at = Points.of(problem.geometry.names, problem.geometry.sample(200))
        losses = torch.tensor([row["loss"] for row in found.history], dtype=torch.float64)
        return {"u": found.taylor(at, IndexSet(at.names))[0], "theta": found.theta, "losses": losses}

    return run


def refused() -> Found:
    """Whether methods that need all rows are refused, and too many processes; one process may do all that."""
    said = []
    for solver, points in ((Kernel(), 20), (GaussNewton(), 20), (LM, 1)):
        try:
            trained("poisson1d", solver, sampling=Sampling(points=points))()
        except KanpdeError as error:
            said.append(str(error))
    several = [
        "the method kernel needs all residual rows in one process, and here are 2: use",
        "the method gauss-newton needs all residual rows in one process, and here are 2: use",
        "1 points are too few for 2 processes",
    ]
    wanted = several if processes.count() > 1 else []
    return {"refused": torch.tensor([a.startswith(b) for a, b in zip(said, wanted, strict=True)]).all()}


def resumed() -> Found:
    """A training that is stopped and goes on from its checkpoint."""
    run = trained("heat1d", LM, conditions="soft")
    with TemporaryDirectory() as folder:
        checkpoint = Path(processes.first(lambda: folder)) / "checkpoint.pt"
        run(3, checkpoint)
        found, at_once = run(40, checkpoint), run(40)
        processes.gathered(torch.zeros(1))  # nobody leaves with the folder before all have read it
    return {"same": torch.tensor([torch.equal(found[name], at_once[name]) for name in found])}


CASES: dict[str, Callable[[], Found]] = {
    "products with the Jacobian": products_of_jacobians,
    "Levenberg-Marquardt": trained("poisson2d", LM),
    "QR": trained("poisson1d", replace(LM, projection=False, linear="qr")),
    "singular values": trained("poisson1d", replace(LM, projection=False, linear="svd")),
    "soft conditions": trained("heat1d", LM, conditions="soft"),
    "constraints": trained(inverse(), LM),
    "points that move": trained("poisson1d", LM, sampling=Sampling(points=101, adaptive=0.5, redraw=2)),
    "slabs": trained("heat1d", replace(LM, projection=False), slabs=2),
    "L-BFGS": trained("poisson1d", LBFGS(stage_iterations=6)),
    "Adam": trained("poisson1d", Adam(stage_iterations=15)),
    "self-scaled Broyden": trained("poisson1d", SelfScaledBroyden(stage_iterations=6)),
    "all products of splines": all_products,
    "what is refused": refused,
    "resumed": resumed,
}


def everything() -> dict[str, Found]:
    """Return what all cases find, on few held-out points and without timing the solutions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 201)
        patch.setattr(kanpde.run, "evaluation_seconds", lambda *_: 0.0)
        return {name: case() for name, case in CASES.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with processes.together():
        found, path = everything(), Path(sys.argv[1])
        torch.save(found, path if processes.is_first() else path.with_suffix(f".{processes.number()}"))
