"""Steps by LSMR are those of dense rows; the preconditioner is made of blocks of J^T J and needs no more than them."""

from itertools import chain
from typing import Any

import pytest
import torch
from examples import small_kan
from oracles import close, random
from torch import Tensor, sin

import kanpde.solver.gauss_newton as module
from kanpde import MLP, Box, Field, GaussNewton, KanpdeError, LevenbergMarquardt, Points, Problem, Sampling, dirichlet
from kanpde.model import Ansatz
from kanpde.residual import System
from kanpde.solver.gauss_newton import Preconditioner, block_grams, partition
from kanpde.training_points import Collocation

SQUARE = Box(x=(-1, 1), y=(-1, 1))


def equation(u: Field, at: Points) -> Tensor:
    return -(u.d("xx") + u.d("yy")) + u**3 - sin(at.x)


def system_of(device: torch.device, points: int = 300) -> tuple[System, Tensor]:
    like = torch.zeros((), dtype=torch.float64, device=device)
    problem = Problem(SQUARE, {"e": equation}, {"walls": dirichlet("all", 0.0)})
    model = small_kan(width=(3,), grid=4, degree=(5, 4))
    network = model.network(like.new_full((2,), -1.0), like.new_ones(2), 1)
    theta = model.initial_parameters(network, torch.Generator().manual_seed(0))
    theta = theta.to(like) + 0.1 * random(len(theta), like=like)
    collocation = Collocation(Ansatz(problem, "soft"), Sampling(points=points), 0, like)
    return collocation.system(network, theta, 0, 0), theta


@pytest.mark.parametrize(("whole", "block"), [(1000, 10), (10, 40), (10, 20), (1, 7), (1, 1)])
def test_blocks_hold_every_parameter_once(whole: int, block: int) -> None:
    for model in (small_kan(width=(3, 2), grid=4, degree=(5, 4)), MLP(width=(5, 4))):
        network = model.network(torch.zeros(2), torch.ones(2), 2)
        parts = [list(range(network.parameters))[part] for part in partition(network, whole, block)]
        assert sorted(chain.from_iterable(parts)) == list(range(network.parameters))
        if network.parameters > whole:
            assert max(map(len, parts)) <= block
        else:
            assert len(parts) == 1


@pytest.mark.parametrize("whole", [1, 1000])
def test_blocks_are_those_of_the_normal_equations(whole: int, device: torch.device) -> None:
    system, theta = system_of(device)
    linear = system.linearised(theta)
    matrix = linear.normal_equations()[2]
    parts = partition(system.network, whole, 12)
    for part, gram in zip(parts, block_grams(linear, parts, 1e9, system.rows), strict=True):
        assert close(gram, matrix[part, part], 1e-12)
        assert not close(1.01 * gram, matrix[part, part], 1e-12)
    some = block_grams(linear, parts, 5.0, system.rows)
    again = block_grams(linear, parts, 5.0, system.rows)
    assert all(torch.equal(a, b) for a, b in zip(some, again, strict=True))
    trace = sum(float(gram.diagonal().sum()) for gram in some)
    assert trace == pytest.approx(float(matrix.diagonal().sum()), rel=0.5)


def test_the_preconditioner_is_a_root_of_the_inverse(device: torch.device) -> None:
    system, theta = system_of(device)
    linear = system.linearised(theta)
    damping = torch.full_like(theta, 1e-3)
    parts = partition(system.network, 1, 12)
    root = Preconditioner(parts, block_grams(linear, parts, 1e9, system.rows), damping)
    p, z = random(len(theta), like=theta), random(len(theta), like=theta, seed=2)
    assert float(p @ root.whitened(z)) == pytest.approx(float(root.transposed_whitened(p) @ z), rel=1e-12)
    matrix = torch.zeros(len(theta), len(theta)).to(theta)
    for part in parts:
        matrix[part, part] = linear.normal_equations()[2][part, part]
    wanted = torch.linalg.solve(matrix + torch.diag(damping), p)
    assert close(root.whitened(root.transposed_whitened(p)), wanted, 1e-8)


@pytest.mark.parametrize("settings", [{}, {"whole": 1, "block": 20}, {"rows": 1.2}])
def test_steps_are_those_of_levenberg_marquardt(settings: dict[str, Any], device: torch.device) -> None:
    system, theta = system_of(device)
    common: dict[str, Any] = {"damping": 1e-4, "projection": False}
    exact, iterative = LevenbergMarquardt(**common), GaussNewton(**common, accuracy=1e-12, inner=2000, **settings)
    state, other = exact.init(system, theta), iterative.init(system, theta)
    damping = torch.full_like(theta, 1e-4)
    wanted, solve = exact.proposed(state.memory, damping)
    found, other_solve = iterative.proposed(other.memory, damping)
    assert wanted is not None
    assert found is not None
    assert close(found, wanted, 1e-7)
    assert not close(1.01 * found, wanted, 1e-7)
    w = random(system.rows, like=theta)
    second, other_second = solve(w), other_solve(w)
    assert second is not None
    assert other_second is not None
    assert close(other_second, second, 1e-7)


def test_one_block_needs_few_iterations_and_blocks_little_memory(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def counted(*arguments: Any) -> tuple[Tensor, int]:
        found = lsmr(*arguments)
        taken.append(found[1])
        return found

    lsmr = module.lsmr
    monkeypatch.setattr(module, "lsmr", counted)
    system, theta = system_of(device, 600)
    solver = GaussNewton()
    state = solver.init(system, theta)
    for _ in range(8):
        state = solver.step(system, state)
    assert max(taken) <= 25
    state = GaussNewton(whole=1, block=10).init(system, theta)
    assert max(gram.shape[0] for gram in state.memory["grams"]) <= 10


def test_a_block_without_rows_is_still_positive(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    for gram in (like.new_zeros(3, 3), like.new_ones(3, 3), torch.diag(like.new_tensor([1.0, 0.0, 1e-20]))):
        root = Preconditioner([slice(0, 3)], [gram], like.new_zeros(3))
        assert bool(torch.isfinite(root.whitened(like.new_ones(3))).all())


@pytest.mark.parametrize("name", ["whole", "block", "inner", "rows", "accuracy", "damping"])
def test_wrong_settings(name: str) -> None:
    with pytest.raises(KanpdeError, match=f"solver.{name}=0"):
        GaussNewton(**{name: 0})
