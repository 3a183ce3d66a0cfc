"""Structures of functions: those that are there are found, and where there is none, nothing is, in bounded time."""

from collections.abc import Callable
from math import pi

import pytest
import torch

from kanpde.basis.elementary import ELEMENTARY
from kanpde.interpret.build import graph_of
from kanpde.interpret.structure import Structure, selected, structures

Function = Callable[..., torch.Tensor]
SMALL_LIBRARY = {name: ELEMENTARY[name] for name in ("x", "x^2", "1/x", "exp", "sin", "cos", "tanh")}


def box(d: int, lower: float = -1.0, upper: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((d,), lower, dtype=torch.float64), torch.full((d,), upper, dtype=torch.float64)


def first(
    u: Function, d: int, tolerance: float = 1e-9, lower: float = -1.0, upper: float = 1.0, noise: float = 0.0
) -> Structure | None:
    """Return the first structure of u(x, y, ...) on a box whose error is small."""
    generator = torch.Generator().manual_seed(0)

    def values(points: torch.Tensor) -> torch.Tensor:
        found = u(*points.T).expand(len(points))
        return found + noise * torch.randn(len(points), generator=generator, dtype=torch.float64)

    every = structures(values, *box(d, lower, upper), tolerance, SMALL_LIBRARY)
    return next((found for found in every if found.error <= 100 * max(tolerance, noise)), None)


def rebuilt(found: Structure, d: int, lower: float = -1.0, upper: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points and the values there of the graph of a structure."""
    low, high = box(d, lower, upper)
    points = low + (high - low) * torch.rand(200, d, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    graph = graph_of([found], low, high)
    return points, graph.evaluated(points)[0][:, graph.outputs[0]]


CASES: dict[str, tuple[int, Function, str, int]] = {
    # dimension, function, outer function, number of terms
    "one wave": (1, lambda x: 2 * torch.sin(3 * x + 0.5), "x", 1),
    "a wave behind a function": (1, lambda x: torch.exp(torch.sin(3 * x)), "any", 1),
    "product": (2, lambda x, y: torch.sin(pi * x) * torch.exp(-2 * y), "x", 1),
    "sum": (2, lambda x, y: torch.sin(pi * x) + y**2, "x", 2),
    "polynomial": (2, lambda x, y: 0.25 * (1 - x**2) * (1 - y**2), "x", 4),
    "constant in y": (2, lambda x, y: torch.tanh(3 * x) + 0 * y, "x", 1),
    "travelling wave": (2, lambda x, y: torch.sin(2 * x - 3 * y), "x", 2),
    "kovasznay": (2, lambda x, y: 1 - torch.exp(-0.96 * x) * torch.cos(2 * pi * y), "x", 2),
    "three coordinates": (3, lambda x, y, z: torch.sin(pi * x) * torch.cos(2 * y) * torch.exp(z), "x", 1),
    "exp of a sum": (2, lambda x, y: torch.exp(torch.sin(3 * x) + y**2), "exp", 2),
    "a front": (2, lambda x, y: torch.tanh(4 * x - 2 * y + 0.5), "tanh", 3),
    "a quotient": (2, lambda x, y: 1 / (1 + x**2 * torch.exp(y)), "1/x", 2),
    "a root": (2, lambda x, y: torch.sqrt(1.5 + x**2 + y**2), "sqrt", 3),
    "a negative root": (2, lambda x, y: -torch.sqrt(1.5 + x**2 + y**2), "sqrt", 3),
}


FAST = ("product", "kovasznay", "three coordinates", "a quotient", "a root", "constant in y")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in FAST)) for n in CASES])
def test_structures_that_are_there_are_found(name: str) -> None:
    d, u, outer, terms = CASES[name]
    found = first(u, d)
    assert found is not None
    assert outer in ("any", found.outer.name)
    assert len(found.terms) == terms
    points, values = rebuilt(found, d)
    assert torch.allclose(values, u(*points.T), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(values, 1.01 * u(*points.T), rtol=1e-6, atol=1e-6)


def test_constants_and_zero() -> None:
    for value in (0.0, 2.5, -1.0):
        found = first(lambda x, y, value=value: torch.full_like(x, value), 2)
        assert found is not None
        _, values = rebuilt(found, 2)
        assert torch.allclose(values, torch.full_like(values, value), atol=1e-12)


def test_functions_on_one_side_of_zero() -> None:
    found = first(lambda x, y: -1 / (1 + x**2 * torch.exp(y)), 2)
    assert found is not None
    assert (found.outer.name, found.sign) == ("1/x", -1.0)
    points, values = rebuilt(found, 2)
    assert torch.allclose(values, -1 / (1 + points[:, 0] ** 2 * torch.exp(points[:, 1])), atol=1e-6)


def test_noise_leaves_the_structure() -> None:
    found = first(lambda x, y: torch.sin(pi * x) * torch.exp(-y), 2, tolerance=2e-3, noise=1e-4)
    assert found is not None
    assert len(found.terms) == 1
    points, values = rebuilt(found, 2)
    assert torch.allclose(values, torch.sin(pi * points[:, 0]) * torch.exp(-points[:, 1]), atol=1e-2)


@pytest.mark.parametrize(
    "u",
    [
        lambda x, y: torch.sin(7 * x * y) + torch.cos(5 * x * y**2 + x),
        lambda x, y: torch.rand(len(x), generator=torch.Generator().manual_seed(1), dtype=torch.float64),
        lambda x, y: (x > y).to(x),
        lambda x, y: x * float("nan"),
        lambda x, y: 1 / (x * 0),
    ],
    ids=["not separable", "noise", "jump", "nan", "infinite"],
)
def test_functions_without_a_structure(u: Function) -> None:
    assert first(u, 2, tolerance=1e-6) is None


def test_the_same_seed_gives_the_same_structure() -> None:
    d, u, *_ = CASES["sum"]
    assert first(u, d) == first(u, d)


def test_terms_that_are_not_needed_go() -> None:
    x = torch.linspace(-1, 1, 200, dtype=torch.float64)
    matrix = torch.stack([torch.ones_like(x), x, x**2, x**3], dim=1)
    kept, coefficients, error = selected(matrix, 3 * x - 2 * x**3, 1e-10)
    assert kept == [1, 3]
    assert coefficients.tolist() == pytest.approx([3.0, -2.0], rel=1e-12)
    assert error < 1e-12
    kept, coefficients, error = selected(matrix, torch.zeros_like(x), 1e-10)
    assert len(kept) == 1
    assert float(coefficients.abs().max()) < 1e-12
