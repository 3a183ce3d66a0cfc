"""Methods one after the other: each gets its iterations, and a checkpoint in any of them is exact."""

import copy
from typing import Any

import pytest
import torch

from kanpde import MLP, KanpdeError
from kanpde.library import load_problem
from kanpde.position import Budget, Position
from kanpde.sampling import Sampling
from kanpde.solver import LBFGS, Adam, Chain
from kanpde.training import Trainer

CHAIN = Chain((Adam(learning_rate=1e-2, stage_iterations=15), LBFGS(stage_iterations=25)))


def trainer() -> Trainer:
    problem = load_problem("poisson2d_sinsin")
    sampling, budget = Sampling(points=60), Budget(iterations=1000, seconds=100.0)
    return Trainer(problem, MLP(width=(6,)), CHAIN, sampling, "hard", budget, 0, torch.device("cpu"))


def test_each_method_gets_its_iterations() -> None:
    _, _, position = trainer().run()
    assert CHAIN.stage_iterations == 40
    assert position.total == 40
    losses = [row["loss"] for row in position.history]
    assert losses[14] < losses[0]
    assert losses[-1] < 0.5 * losses[15]


@pytest.mark.parametrize("iteration", [10, 30], ids=["in the first", "in the second"])
def test_a_checkpoint_is_exact(iteration: int) -> None:
    saved: list[dict[str, Any]] = []
    _, theta, _ = trainer().run(checkpoint=lambda state: saved.append(copy.deepcopy(state["position"])))
    position = next(p for p in saved if p["phase"] == "stages" and p["iteration"] == iteration)
    assert position["memory"]["place"] == (iteration > 15)
    _, resumed, _ = trainer().run(Position(**position))
    assert torch.equal(resumed, theta)


def test_an_empty_chain_is_refused() -> None:
    with pytest.raises(KanpdeError, match="at least one solver"):
        Chain(())
