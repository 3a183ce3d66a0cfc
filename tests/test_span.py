"""Distances from spans are those of plain least squares, and their minima are found."""

import pytest
import torch
from oracles import close
from torch import Tensor

from kanpde.basis import ELEMENTARY
from kanpde.interpret.span import Constants, Span, fitted

X = torch.linspace(-1, 2, 40, dtype=torch.float64)


def plain_distance(values: Tensor, modes: Tensor, known: Tensor, weights: Tensor) -> float:
    """Return |g' - P g'| / |g'| by two least-squares problems."""
    root = weights.sqrt()[:, None]

    def rest(v: Tensor, columns: Tensor) -> Tensor:
        return v - columns @ torch.linalg.lstsq(root * columns, root * v).solution

    g = rest(values[:, None], known)
    return float((root * rest(g, modes)).norm() / (root * g).norm())


@pytest.mark.parametrize("unlike", [0, 1], ids=["even weights", "weights"])
def test_distances_are_those_of_least_squares(unlike: float) -> None:
    weights = torch.exp(unlike * X)
    modes = torch.stack([torch.ones_like(X), X, torch.sin(X) - 3], dim=1) @ torch.randn(3, 3, dtype=torch.float64)
    known = torch.ones(40, 1, dtype=torch.float64)
    span = Span.of(modes, known, weights)
    assert (span.basis.shape[1], span.found.shape[1], span.holds_one()) == (3, 1, True)
    for function in ("exp", "cos", "tanh"):
        values = ELEMENTARY[function](X)
        part = span.independent(values)
        found = float(span.outside(part).norm() / part.norm())
        assert found == pytest.approx(plain_distance(values, modes, known, weights), rel=1e-9)
        assert float(span.coarse(values)) == pytest.approx(found**2, rel=1e-6)
    assert float(span.coarse(torch.ones_like(X))) == torch.inf
    assert float(span.coarse(X / 0)) == torch.inf


def test_columns_that_depend_on_others_do_not_count() -> None:
    modes = torch.stack([X, 2 * X, torch.zeros_like(X), X**2], dim=1)
    span = Span.of(modes, X.new_zeros(40, 0), torch.ones_like(X))
    assert (span.basis.shape[1], span.found.shape[1], span.holds_one()) == (2, 0, False)


@pytest.mark.parametrize(("free", "b"), [((True, True), 0.4), ((True, False), 0.0), ((False, True), 0.4)])
def test_constants_are_found_to_rounding(free: tuple[bool, bool], b: float) -> None:
    wave = ELEMENTARY["sin"]
    modes = torch.stack([wave(2.3 * X + b), torch.ones_like(X)], dim=1)
    span = Span.of(modes, torch.ones(40, 1, dtype=torch.float64), torch.ones_like(X))
    start = Constants(X.new_tensor([2.3 + 0.1 * free[0]] * 2), X.new_tensor([b + 0.1 * free[1]] * 2))
    bounds = X.new_tensor([[0.1, 10.0], [2.35, 10.0]])
    found, distances = fitted(wave, X.expand(2, -1), start, torch.tensor([free, free]), bounds, span)
    assert float(distances[0]) < 1e-13
    assert close(found.a[:1], X.new_tensor([2.3]), 1e-12)
    assert float((found.b[:1] - b).abs()) < 1e-12
    if free[0]:  # the second one may not come so far
        assert float(found.a[1]) >= 2.35
        assert float(distances[1]) > 1e-3
