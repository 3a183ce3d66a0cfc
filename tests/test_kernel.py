"""Steps in kernel form are those of the damped rows, with momentum those that stay near the step before."""

import pytest
import torch
from oracles import close, random
from test_gauss_newton import system_of

from kanpde import KanpdeError, Kernel
from kanpde.solver import State


@pytest.mark.parametrize("points", [20, 200])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_solve_the_damped_problem(momentum: float, points: int, device: torch.device) -> None:
    system, theta = system_of(device, points)
    solver = Kernel(momentum=momentum)
    before = random(len(theta), like=theta, seed=7)
    memory = {**solver.init(system, theta).memory, "step": before}
    damping = torch.full_like(theta, 1e-3)
    step, solve = solver.proposed(memory, damping)
    r, j = system.linearised(theta).dense()
    matrix = j.T @ j + torch.diag(damping)
    wanted = torch.linalg.solve(matrix, 1e-3 * momentum * before - j.T @ r)
    assert step is not None
    assert close(step, wanted, 1e-9)
    assert not close(1.01 * step, wanted, 1e-9)
    w = random(len(r), like=theta)
    other = solve(w)
    assert other is not None
    assert close(other, -torch.linalg.solve(matrix, j.T @ w), 1e-9)


def test_momentum_rests_after_a_rejected_step(device: torch.device) -> None:
    system, theta = system_of(device, 20)
    solver = Kernel(momentum=0.9)
    memory = {**solver.init(system, theta).memory, "step": random(len(theta), like=theta), "growth": 4.0}
    damping = torch.full_like(theta, 1e-3)
    plain = Kernel().proposed(memory, damping)[0]
    found = solver.proposed(memory, damping)[0]
    assert plain is not None
    assert found is not None
    assert torch.equal(found, plain)


def test_momentum_outlives_new_points_and_refinement(device: torch.device) -> None:
    system, theta = system_of(device, 20)
    solver = Kernel(momentum=0.9)
    state: State = solver.init(system, theta)
    while "step" not in state.memory:
        state = solver.step(system, state)
    kept = solver.kept(state)
    assert torch.equal(kept["step"], state.memory["step"])
    network, change = system.network.refined((8, 1))
    moved = solver.transfer(kept, change)
    assert len(moved["step"]) == network.parameters
    assert torch.equal(moved["step"], change.parameters(kept["step"]))
    assert moved["damping"] == kept["damping"]


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_wrong_settings(momentum: float) -> None:
    with pytest.raises(KanpdeError, match=f"solver.momentum={momentum}"):
        Kernel(momentum=momentum)
