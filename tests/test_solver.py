"""Every solver lowers the loss, never takes parameters that are not finite, and survives checkpoints and refinement."""

import copy
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from math import isfinite, pi

import pytest
import torch
from examples import small_kan
from oracles import random
from torch import Tensor, sin

from kanpde import (
    LBFGS,
    SOAP,
    Adam,
    Box,
    Chain,
    Field,
    GaussNewton,
    KanpdeError,
    Kernel,
    LevenbergMarquardt,
    Points,
    Problem,
    Sampling,
    SelfScaledBroyden,
    dirichlet,
)
from kanpde.model import Ansatz, Network
from kanpde.residual import System
from kanpde.solver import Solver, State
from kanpde.training_points import Collocation

SQUARE = Box(x=(-1, 1), y=(-1, 1))
SOLVERS: dict[str, Solver] = {
    "levenberg-marquardt": LevenbergMarquardt(patience=50),
    "without projection": LevenbergMarquardt(projection=False, patience=50),
    "without acceleration": LevenbergMarquardt(acceleration=0.0, patience=50),
    "by svd": LevenbergMarquardt(patience=50, linear="svd"),
    "gauss-newton": GaussNewton(patience=50),
    "gauss-newton by blocks": GaussNewton(patience=50, whole=1, block=20, inner=30),
    "kernel": Kernel(patience=50),
    "kernel with momentum": Kernel(patience=50, momentum=0.9),
    "adam": Adam(learning_rate=1e-2),
    "l-bfgs": LBFGS(memory=5),
    "self-scaled broyden": SelfScaledBroyden(),
    "self-scaled bfgs": SelfScaledBroyden(update="ssbfgs"),
    "bfgs": SelfScaledBroyden(update="bfgs"),
    "chain": Chain((Adam(stage_iterations=8), LBFGS())),
}
if find_spec("pytorch_optimizer"):
    SOLVERS["soap"] = SOAP(learning_rate=3e-2)
MONOTONE = [name for name in SOLVERS if name not in ("adam", "chain", "soap")]


def poisson(u: Field, at: Points) -> Tensor:
    return -(u.d("xx") + u.d("yy")) - 2 * pi**2 * sin(pi * at.x) * sin(pi * at.y)


def nonlinear(u: Field, at: Points) -> Tensor:
    return -(u.d("xx") + u.d("yy")) + u**3 - 1.0


def barrier(u: Field, at: Points) -> Tensor:
    """Not finite where u > 0.02, which the solution without the barrier exceeds."""
    return -(u.d("xx") + u.d("yy")) - 10 + 1e-3 * torch.log(0.02 - u)


class Case:
    """A small KAN on a problem with hard conditions."""

    def __init__(self, equation: Callable[..., Tensor], device: torch.device, mode: str = "hard") -> None:
        self.like = torch.zeros((), dtype=torch.float64, device=device)
        problem = Problem(SQUARE, {"e": equation}, {"walls": dirichlet("all", 0.0)})
        self.collocation = Collocation(Ansatz(problem, mode), Sampling(points=150), 0, self.like)
        model = small_kan(width=(2,), grid=4, degree=(6, 4))
        self.network = model.network(self.like.new_tensor(SQUARE.lower), self.like.new_tensor(SQUARE.upper), 1)
        self.theta = model.initial_parameters(self.network, torch.Generator().manual_seed(0))
        self.theta = self.theta + 0.01 * random(len(self.theta), like=self.theta)

    def system(self, network: Network | None = None) -> System:
        return self.collocation.system(network or self.network, self.theta, 0, 0)


def iterate(solver: Solver, system: System, state: State, steps: int) -> list[State]:
    states = [state]
    for _ in range(steps):
        if states[-1].stopped:
            break
        states.append(solver.step(system, states[-1]))
    return states


@pytest.mark.parametrize("equation", [poisson, nonlinear])
@pytest.mark.parametrize("name", SOLVERS)
def test_the_loss_falls(name: str, equation: Callable[..., Tensor], device: torch.device) -> None:
    case, solver = Case(equation, device), SOLVERS[name]
    system = case.system()
    before = system.loss(case.theta)
    states = iterate(solver, system, solver.init(system, case.theta), 20)
    assert len(states) == 21
    assert min(state.loss for state in states) < 0.99 * before
    assert states[-1].theta.device.type == device.type
    assert states[-1].theta.dtype == torch.float64
    for state in states:
        assert state.loss == pytest.approx(system.loss(state.theta), rel=1e-9)
    if name in MONOTONE:
        # Up to rounding: what a trial is accepted by is computed anew with the Jacobian.
        assert all(new.loss <= old.loss * (1 + 1e-9) for old, new in pairwise(states))


def linear_system(device: torch.device) -> tuple[System, Tensor, Ansatz]:
    """Without hidden layers a KAN is linear; u = (1 - x^2) x^3 is in the space of this one."""
    like = torch.zeros((), dtype=torch.float64, device=device)
    box = Box(x=(-1, 1))
    problem = Problem(box, {"e": lambda u, at: u.d("xx") - (6 * at.x - 20 * at.x**3)}, {"w": dirichlet("all", 0.0)})
    network = small_kan(width=(), grid=2, degree=4).network(like.new_tensor([-1.0]), like.new_tensor([1.0]), 1)
    theta = random(network.parameters, like=like)
    ansatz = Ansatz(problem)
    return Collocation(ansatz, Sampling(points=60), 0, like).system(network, theta, 0, 0), theta, ansatz


@pytest.mark.parametrize("name", [name for name in MONOTONE if name != "without acceleration"])
def test_it_stops_with_a_reason(name: str, device: torch.device) -> None:
    (system, theta, _), solver = linear_system(device), SOLVERS[name]
    states = iterate(solver, system, solver.init(system, theta), 300)
    assert states[-1].stopped.startswith(("stalled: ", "converged: "))
    assert not any(state.stopped for state in states[:-1])
    assert states[-1].loss < 1e-20


@pytest.mark.parametrize("name", SOLVERS)
def test_parameters_that_are_not_finite_are_never_taken(name: str, device: torch.device) -> None:
    case = Case(barrier, device)
    solver: Solver = Adam(learning_rate=0.3) if name == "adam" else SOLVERS[name]
    if name == "chain":
        solver = Chain((Adam(learning_rate=0.3, stage_iterations=30), LBFGS()))
    system = case.system()
    last = system.network.places[-1]
    theta = case.theta.clone()
    theta[last] *= 0.1
    assert isfinite(system.loss(theta))
    far = theta.clone()
    far[last] = 1.0
    assert not isfinite(system.loss(far))
    for state in iterate(solver, system, solver.init(system, theta), 40):
        assert bool(torch.isfinite(state.theta).all())
        assert isfinite(state.loss)
        assert isfinite(system.loss(state.theta))


@pytest.mark.parametrize("name", SOLVERS)
def test_the_state_survives_refinement(name: str, device: torch.device) -> None:
    case, solver = Case(nonlinear, device), SOLVERS[name]
    system = case.system()
    state = iterate(solver, system, solver.init(system, case.theta), 15)[-1]
    assert not state.stopped
    network, change = case.network.refined((8, 2))
    memory = solver.transfer(solver.kept(state), change)
    finer, theta = case.system(network), change.parameters(state.theta)
    assert finer.loss(theta) == pytest.approx(state.loss, rel=1e-9)
    new = solver.init(finer, theta, memory)
    assert new.loss <= state.loss * (1 + 1e-9)
    states = iterate(solver, finer, new, 5)
    assert states[-1].loss < state.loss
    assert len(states[-1].theta) == network.parameters


def test_curvature_pairs_of_l_bfgs_survive_refinement(device: torch.device) -> None:
    case, solver = Case(nonlinear, device), LBFGS(memory=5)
    system = case.system()
    state = iterate(solver, system, solver.init(system, case.theta), 10)[-1]
    memory = solver.kept(state)
    _, change = case.network.refined((8, 3))
    old, new = memory["optimiser"], solver.transfer(memory, change)["optimiser"]
    assert len(old["old_stps"]) == 5
    for s, y, moved_s, moved_y in zip(old["old_stps"], old["old_dirs"], new["old_stps"], new["old_dirs"], strict=True):
        assert len(moved_s) == change.new.parameters
        assert float(moved_s @ moved_y) == pytest.approx(float(s @ y), rel=1e-9)


def test_curvature_pairs_stay_positive_where_a_grid_drops_intervals(device: torch.device) -> None:
    case, solver = Case(nonlinear, device), LBFGS(memory=20)
    model = small_kan(width=(2,), grid=(4, 12), degree=(6, 4), start_grid=20)
    case.network = model.network(case.network.lower, case.network.upper, 1)
    case.theta = 0.1 * random(case.network.parameters, like=case.theta)
    system = case.system()
    state = iterate(solver, system, solver.init(system, case.theta), 20)[-1]
    network, change = case.network.covering(state.theta, system.batches[0].at.array())
    assert network.parameters < case.network.parameters
    memory = solver.transfer(solver.kept(state), change)
    new = memory["optimiser"]
    assert len(new["old_stps"]) == len(new["old_dirs"]) == len(new["ro"]) <= 20
    for s, y, ro in zip(new["old_stps"], new["old_dirs"], new["ro"], strict=True):
        assert float(s @ y) > 0
        assert float(ro * (s @ y)) == pytest.approx(1)
    covered, theta = case.system(network), change.parameters(state.theta)
    assert covered.loss(theta) == pytest.approx(state.loss, rel=1e-8)
    assert iterate(solver, covered, solver.init(covered, theta, memory), 3)[-1].loss < state.loss


@pytest.mark.parametrize("name", SOLVERS)
def test_two_runs_are_bit_identical(name: str) -> None:
    case, solver = Case(nonlinear, torch.device("cpu")), SOLVERS[name]
    first, second = (
        iterate(solver, system, solver.init(system, case.theta), 8)[-1] for system in (case.system(), case.system())
    )
    assert torch.equal(first.theta, second.theta)


@pytest.mark.parametrize(("steps", "mode"), [(4, "hard"), (4, "soft"), (12, "soft")])
@pytest.mark.parametrize("name", SOLVERS)
def test_a_restored_state_goes_on_bit_by_bit(name: str, steps: int, mode: str, device: torch.device) -> None:
    case, solver = Case(nonlinear, device, mode), SOLVERS[name]
    system = case.system()
    state = iterate(solver, system, solver.init(system, case.theta), steps)[-1]
    theta, memory = state.theta.clone(), copy.deepcopy(solver.saved(state))
    went_on = iterate(solver, system, state, 6)
    restored = iterate(solver, case.system(), solver.restored(case.system(), theta, memory), 6)
    for first, second in zip(went_on, restored, strict=True):
        assert torch.equal(first.theta, second.theta)
        assert first.loss == second.loss


@pytest.mark.parametrize("name", SOLVERS)
def test_memory_is_plain_data(name: str) -> None:
    case, solver = Case(nonlinear, torch.device("cpu")), SOLVERS[name]
    system = case.system()
    state = iterate(solver, system, solver.init(system, case.theta), 12)[-1]

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(entry) for key, entry in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or isinstance(value, (Tensor, bool, int, float, str))

    assert plain(solver.saved(state))
    assert plain(solver.kept(state))


def test_a_linear_problem_is_solved_at_once_to_rounding(device: torch.device) -> None:
    system, theta, ansatz = linear_system(device)
    assert system.loss(theta) > 1e-2
    solver = LevenbergMarquardt()
    states = iterate(solver, system, solver.init(system, theta), 3)
    assert states[-1].loss < 1e-24
    at = Points.of(("x",), torch.linspace(-1, 1, 11, dtype=torch.float64, device=device)[:, None])
    u = ansatz.taylor(system.network, states[-1].theta, at, system.batches[0].indices)[0, :, 0]
    assert torch.allclose(u, (1 - at.x**2) * at.x**3, atol=1e-11)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (lambda: LevenbergMarquardt(damping=0.0), "solver.damping=0.0"),
        (lambda: LevenbergMarquardt(starts=0), "solver.starts=0"),
        (lambda: LevenbergMarquardt(patience=0), "solver.patience=0"),
        (lambda: Adam(learning_rate=-1.0), "solver.learning_rate=-1.0"),
        (lambda: LBFGS(memory=0), "solver.memory=0"),
    ],
)
def test_wrong_settings(settings: Callable[[], Solver], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        settings()
