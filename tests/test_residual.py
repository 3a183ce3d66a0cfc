"""Residuals, Jacobians and products: against nested autograd, finite differences and each other."""

from collections.abc import Mapping
from math import pi
from unittest.mock import Mock

import numpy
import pytest
import torch
from examples import small_kan
from oracles import close, field, jacobian, network_output, random
from torch import Tensor, sin

import kanpde.residual as module
from kanpde import (
    KAN,
    MLP,
    Box,
    Field,
    KanpdeError,
    Points,
    Problem,
    condition,
    difference,
    dirichlet,
    mean,
    neumann,
    observe,
    robin,
    scalar,
)
from kanpde.constraint import MEAN_NODES, Constraint
from kanpde.model import Ansatz
from kanpde.problem import Condition
from kanpde.residual import System, residual_scales
from kanpde.sampling import Sampling, draw
from kanpde.training_points import Collocation

SQUARE = Box(x=(-1, 1), y=(-1, 1))
WALLS: dict[str, Condition] = {"walls": dirichlet("all", 0.0)}


def poisson(u: Field, at: Points) -> Tensor:
    return -(u.d("xx") + u.d("yy")) - sin(pi * at.x)


def nonlinear(u: Field, at: Points) -> Tensor:
    return -u.d("xx") - u.d("yy") + u * u.d("x") + u.d("xy") ** 2 - sin(at.x * at.y)


def first(u: Field, v: Field, at: Points) -> Tensor:
    return u.d("xx") - v * u - 1.0


def second(v: Field, at: Points) -> Tensor:
    return v.d("yy") + v.d("x") ** 2 - at.x


def third(u: Field, rate: Field, k: Field, at: Points) -> Tensor:
    return u.d("xx") - k * u.d("y") - k * rate + at.x


SOFT: dict[str, Condition] = {
    "walls": dirichlet("y", 0.5),
    "flux": neumann("x-", lambda at: at.y, weight=2.0),
    "mixed": robin("x+", 1.0, coefficient=lambda at: 2 + at.y),
}
SLOPES = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
CONSTRAINTS: dict[str, Constraint] = {
    "mean": mean(lambda u, at: at.x * u**2 + u.d("x"), 0.5, weight=2.0),
    "slopes": observe([[0.1, 0.2], [0.3, -0.7], [1.0, 1.0]], SLOPES, lambda u, at: u.d("y")),
    "turn": difference("x", value=lambda at: at.y, points=7),
}
PROBLEMS = {
    "linear": Problem(SQUARE, {"poisson": poisson}, WALLS),
    "nonlinear": Problem(SQUARE, {"nonlinear": nonlinear}, WALLS),
    "two unknowns": Problem(SQUARE, {"first": first, "second": second}, {"left": dirichlet("x-", 1.0, "u")}),
    "soft": Problem(SQUARE, {"nonlinear": nonlinear}, SOFT),
    "a condition of two unknowns": Problem(
        SQUARE,
        {"first": first, "second": second},
        {"meet": condition("x+", lambda v, u, at: u * v.d("x") - at.normal[:, 0] * at.y, weight=2.0)},
    ),
    "constraints": Problem(SQUARE, {"nonlinear": nonlinear}, constraints=CONSTRAINTS),
    "scalars": Problem(
        SQUARE,
        {"third": third},
        constraints={"slopes": CONSTRAINTS["slopes"], "sum": mean(lambda u, k, at: u * k, 0.5, weight=2.0)},
        scalars={"k": scalar(-0.5), "rate": scalar(0.0, size=3.0)},
    ),
}
MODELS: dict[str, KAN | MLP] = {"kan": small_kan(width=(2,), grid=3, degree=(5, 4)), "mlp": MLP(width=(4, 3))}


def system_of(
    name: str, model: str = "kan", count: int = 9, device: torch.device | None = None, mode: str = "hard"
) -> tuple[System, Tensor]:
    """Return a system on a few points, and random parameters."""
    problem = PROBLEMS[name]
    like = torch.zeros((), dtype=torch.float64, device=device)
    ansatz = Ansatz(problem, "soft" if name == "soft" else mode)
    lower, upper = like.new_tensor(SQUARE.lower), like.new_tensor(SQUARE.upper)
    network = MODELS[model].suited(problem).network(lower, upper, len(problem.unknowns), scalars=len(problem.scalars))
    sets = {tuple(problem.equations): draw((SQUARE.interior(),), SQUARE.names, "sobol", count, 1, like)}
    for label in ansatz.soft:
        sets[(label,)] = draw(
            SQUARE.boundary(problem.conditions[label].where), SQUARE.names, "sobol", count // 2 + 2, 2, like
        )
    labels = (*problem.equations, *problem.conditions, *problem.constraints)
    system = System(ansatz, network, sets, dict.fromkeys(labels, 2.0))
    return system, random(network.parameters, like=like)


def plain_residual(system: System, theta: Tensor) -> Tensor:
    """The rows by nested autograd of a plain forward pass, in the system's order of rows.

    The hard conditions of the problems above are written out here: u = 0 on all walls, or u = 1 on the left.
    """
    problem, rows = system.ansatz.problem, []
    for batch in system.batches:
        points = batch.at.array().clone().requires_grad_()
        output = network_output(system.network, theta, points)
        x, y = points.unbind(dim=1)
        values: Mapping[str, Tensor] = dict(zip(problem.names, output.unbind(dim=1), strict=True))
        if problem.scalars:
            values = {"u": output[:, 0], "k": -0.5 + 0.5 * output[:, 1], "rate": 3 * output[:, 2]}
        if system.ansatz.hard == ("walls",):
            values = {"u": (1 - x**2) * (1 - y**2) * output[:, 0]}
        elif system.ansatz.hard == ("left",):
            values = {"u": 1 + (x + 1) / 2 * output[:, 0], "v": output[:, 1]}
        fields = {name: field(name, SQUARE.names, value, points) for name, value in values.items()}
        for label in batch.labels:
            if label == "flux":
                r, size = -fields["u"].d("x") - y, 2.0
            elif label == "mixed":
                r, size = (2 + y) * fields["u"] + fields["u"].d("x") - 1, 1.0
            elif label == "meet":
                r, size = fields["u"] * fields["v"].d("x") - y, 2.0
            elif label in ("mean", "sum"):
                _, gauss = numpy.polynomial.legendre.leggauss(MEAN_NODES[2])
                share = torch.from_numpy(numpy.outer(gauss, gauss).ravel() / 4)
                u = fields["u"]
                g = x * u**2 + u.d("x") if label == "mean" else u * fields["k"]
                r, size = (g @ share - 0.5)[None], 2.0
            elif label == "slopes":
                r, size = fields["u"].d("y") - SLOPES, 1.0
            elif label == "turn":
                values = fields["u"].value
                r, size = values[1::2] - values[::2] - y[::2], 1.0
            elif label in problem.conditions:
                r, size = fields["u"] - 0.5, 1.0
            else:
                named = {"first": ("u", "v"), "second": ("v",), "third": ("u", "rate", "k")}
                arguments = named.get(label, ("u",))
                r, size = problem.equations[label](*(fields[name] for name in arguments), batch.at), 1.0
            rows.append(r * (size / len(r)) ** 0.5 / 2.0)
    return torch.cat(rows)


CASES = [(name, model) for name in PROBLEMS for model in MODELS]


@pytest.mark.parametrize(("name", "model"), CASES)
def test_rows_and_jacobian_are_those_of_autograd(name: str, model: str, device: torch.device) -> None:
    system, theta = system_of(name, model, device=device)
    r, j = system.linearised(theta).dense()
    assert r.dtype == j.dtype == torch.float64
    assert j.shape == (system.rows, system.network.parameters)
    assert torch.equal(r, system.residual(theta))
    wanted = plain_residual(system, theta).detach()
    assert close(r, wanted, 1e-11)
    assert not close(1.01 * r, wanted, 1e-11)
    slopes = jacobian(lambda theta: plain_residual(system, theta), theta)
    assert close(j, slopes, 1e-10)
    assert not close(1.01 * j, slopes, 1e-10)


@pytest.mark.parametrize(("name", "model"), CASES)
def test_jacobian_agrees_with_finite_differences(name: str, model: str) -> None:
    system, theta = system_of(name, model)
    v, h = random(len(theta), like=theta, seed=4), 1e-6
    slope = (system.residual(theta + h * v) - system.residual(theta - h * v)) / (2 * h)
    assert close(system.linearised(theta).times(v), slope, 1e-7)
    assert not close(1.01 * system.linearised(theta).times(v), slope, 1e-7)


@pytest.mark.parametrize(("name", "model"), CASES)
def test_products_are_those_of_the_dense_jacobian(name: str, model: str, device: torch.device) -> None:
    system, theta = system_of(name, model, device=device)
    linear = system.linearised(theta)
    r, j = linear.dense()
    v, w = random(len(theta), like=theta, seed=4), random(len(r), like=theta, seed=5)
    assert close(linear.times(v), j @ v, 1e-12)
    assert close(linear.transposed_times(w), j.T @ w, 1e-12)
    assert float(linear.times(v) @ w) == pytest.approx(float(v @ linear.transposed_times(w)), rel=1e-11)
    rows, gradient, matrix = linear.normal_equations()
    assert torch.equal(rows, r)
    assert close(gradient, j.T @ r, 1e-12)
    assert close(matrix, j.T @ j, 1e-12)
    loss, gradient = linear.gradient()
    assert loss == pytest.approx(0.5 * float(r @ r), rel=1e-13)
    assert loss == pytest.approx(system.loss(theta), rel=1e-13)
    assert close(gradient, j.T @ r, 1e-12)
    rows, last = system.linear_part(theta)
    assert torch.equal(rows, r)
    assert close(last, j[:, system.network.places[-1]], 1e-13)


@pytest.mark.parametrize(("name", "model"), CASES)
def test_the_kernel_is_that_of_the_dense_jacobian(
    name: str, model: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    for entries in (module.CHUNK_ENTRIES, 1):
        monkeypatch.setattr(module, "CHUNK_ENTRIES", entries)
        system, theta = system_of(name, model, count=80, device=device)
        linear = system.linearised(theta)
        r, j = linear.dense()
        rows, kernel = linear.kernel()
        assert torch.equal(rows, r)
        assert close(kernel, j @ j.T, 1e-12)
        assert not close(1.01 * kernel, j @ j.T, 1e-12)
        assert close(kernel, kernel.T, 1e-15)


@pytest.mark.parametrize("name", PROBLEMS)
def test_chunks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 200  # a chunk has at least 64 points
    system, theta = system_of(name, count=count)
    monkeypatch.setattr(module, "CHUNK_ENTRIES", 1)
    chunked, _ = system_of(name, count=count)
    assert len(chunked.batches) > len(system.batches)
    v = random(len(theta), like=theta, seed=4)
    whole, parts = system.linearised(theta), chunked.linearised(theta)
    assert chunked.rows == system.rows
    assert system.loss(theta) == pytest.approx(chunked.loss(theta), rel=1e-13)
    for found, wanted in zip(parts.normal_equations()[1:], whole.normal_equations()[1:], strict=True):
        assert close(found, wanted, 1e-13)
    assert close(parts.gradient()[1], whole.gradient()[1], 1e-12)
    assert parts.times(v).norm().item() == pytest.approx(whole.times(v).norm().item(), rel=1e-12)


@pytest.mark.parametrize("name", PROBLEMS)
def test_caches_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    system, theta = system_of(name)
    monkeypatch.setattr(module, "CACHE_ENTRIES", 0)
    uncached, _ = system_of(name)
    assert all(batch.first is None for batch in uncached.batches)
    assert all(batch.first is not None for batch in system.batches)
    v = random(len(theta), like=theta, seed=4)
    assert torch.equal(uncached.residual(theta), system.residual(theta))
    held, anew = system.linearised(theta), uncached.linearised(theta)
    assert torch.equal(anew.times(v), held.times(v))
    for found, wanted in zip(anew.normal_equations(), held.normal_equations(), strict=True):
        assert torch.equal(found, wanted)


def test_factors_are_held_where_they_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    for room, evaluations in ((module.CACHE_ENTRIES, 1), (0, 2)):
        monkeypatch.setattr(module, "CACHE_ENTRIES", room)
        system, theta = system_of("linear")
        counted = Mock(wraps=system.factors)
        monkeypatch.setattr(system, "factors", counted)
        linear = system.linearised(theta)
        linear.gradient()
        linear.times(theta)
        assert counted.call_count == evaluations


def test_magnitudes_add_up_to_the_loss() -> None:
    for name in ("two unknowns", "soft"):
        system, theta = system_of(name)
        assert 0.5 * sum(float(r.square().sum()) for r in system.at_points(theta)) == pytest.approx(
            system.loss(theta), rel=1e-12
        )


def scales_of(problem: Problem, mode: str = "hard") -> dict[str, float]:
    like = torch.zeros((), dtype=torch.float64)
    box = problem.geometry
    sets = {tuple(problem.equations): draw((box.interior(),), box.names, "gauss", 400, 0, like)}
    ansatz = Ansatz(problem, mode)
    for label in ansatz.soft:
        sets[(label,)] = draw(box.boundary(problem.conditions[label].where), box.names, "gauss", 20, 0, like)
    return residual_scales(ansatz, sets)


def test_scales_are_the_size_of_the_residual_of_a_zero_network() -> None:
    assert scales_of(PROBLEMS["linear"])["poisson"] == pytest.approx(0.5**0.5, rel=1e-12)
    assert scales_of(PROBLEMS["soft"], "soft") == pytest.approx(
        {"nonlinear": scales_of(PROBLEMS["nonlinear"])["nonlinear"], "walls": 0.5, "flux": 3**-0.5, "mixed": 1.0},
        rel=1e-12,
    )


def test_constraints_have_scales_and_no_part_in_magnitudes() -> None:
    scales = scales_of(PROBLEMS["constraints"])
    assert scales["slopes"] == pytest.approx(float(SLOPES.square().mean().sqrt()), rel=1e-14)
    assert scales["mean"] == 0.5
    assert 0.4 < scales["turn"] < 0.75  # of y on (-1, 1) at few points
    system, theta = system_of("constraints", count=9)
    assert [r.shape for r in system.at_points(theta)] == [(1, 9)]
    assert system.rows == 9 + 1 + 3 + 7


def test_a_residual_that_vanishes_up_to_rounding_has_scale_one() -> None:
    problem = Problem(
        Box(x=(0, 1), t=(0, 1)),
        {"heat": lambda u, at: u.d("t") - u.d("xx")},
        {"start": dirichlet("t-", lambda at: torch.cos(pi * at.x)), "flux": neumann("x", 0.0)},
    )
    assert scales_of(problem)["flux"] == 1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_source_that_is_not_finite_is_refused_with_its_place(value: float) -> None:
    def source(at: Points) -> Tensor:
        return torch.where((at.x > 0.5) & (at.y < 0), torch.full_like(at.x, value), at.x)

    problem = Problem(SQUARE, {"poisson": lambda u, at: u.d("xx") - source(at)}, WALLS)
    with pytest.raises(KanpdeError, match=r"'poisson' is not finite at x=0\.\d+, y=-0\.\d+: check the source term"):
        scales_of(problem)


def test_data_that_are_rounding_on_the_boundary_have_no_size() -> None:
    problem = Problem(
        geometry=Box(x=(-1, 1), y=(-1, 1)),
        equations={"poisson": lambda u, at: u.d("xx") + u.d("yy") - torch.sin(torch.pi * at.x)},
        conditions={
            "walls": dirichlet("x", lambda at: torch.sin(torch.pi * at.x)),
            "top": dirichlet("y+", lambda at: 1e-13 * at.x),
        },
    )
    collocation = Collocation(Ansatz(problem, "soft"), Sampling(), 0, torch.zeros(1, dtype=torch.float64))
    assert collocation.scales["walls"] == 1.0
    assert 0 < collocation.scales["top"] < 1e-12
