"""The torsion of a square: against the plain series, in the corners, and against its own symmetries."""

from math import log, pi

import pytest
import torch
from oracles import close, points_in
from torch import Tensor

from kanpde import Points
from kanpde.library import load_problem
from kanpde.metrics import evaluation_rule
from kanpde.multiindex import IndexSet
from kanpde.reference import torsion_square
from kanpde.reference.series import Torsion

XY = ("x", "y")


def plain_series(x: Tensor, y: Tensor) -> Tensor:
    """The single series with its ratio of hyperbolic cosines, term by term, which is enough away from y = +-1."""
    n = 2 * torch.arange(200, dtype=torch.float64) + 1
    ratio = torch.exp(n * pi / 2 * (y.abs()[:, None] - 1)) * (1 + torch.exp(-n * pi * y.abs()[:, None]))
    sign = 1 - 2 * (torch.arange(200, dtype=torch.float64) % 2)
    terms = sign * torch.cos(n * pi / 2 * x[:, None]) / n**3 * ratio / (1 + torch.exp(-n * pi))
    return (1 - x**2) / 2 - 16 / pi**3 * terms.sum(dim=1)


def test_values_are_those_of_the_plain_series(device: torch.device) -> None:
    at = Points.of(XY, points_in((-1, -0.8), (1, 0.8), 200, torch.zeros((), dtype=torch.float64, device=device)))
    found = torsion_square().value(at).cpu()
    wanted = plain_series(at.x.cpu(), at.y.cpu())
    assert close(found, wanted, 1e-14)
    assert not close(1.01 * found, wanted, 1e-14)


def test_the_mean_is_the_torsional_rigidity_of_handbooks() -> None:
    """J = 0.1406 a^4 for the side a, and 4 times the integral of u (Roark's Formulas for Stress and Strain)."""
    at, weights = evaluation_rule(load_problem("torsion").geometry)
    assert 4 * float(weights @ torsion_square().value(at)) == pytest.approx(0.1406 * 2**4, rel=3e-4)


def test_derivatives_have_the_symmetries_and_satisfy_the_equation() -> None:
    indices = IndexSet(XY, [(2, 0), (0, 2)])
    points = points_in((-1, -1), (1, 1), 500, torch.zeros((), dtype=torch.float64))
    u, swapped = (torsion_square().taylor(Points.of(XY, p), indices)[..., 0] for p in (points, points.flip(1)))
    place = indices.position
    assert close(u[0], swapped[0], 1e-14)
    assert close(u[place[1, 0]], swapped[place[0, 1]], 1e-11)
    laplacian = 2 * (u[place[2, 0]] + u[place[0, 2]])
    assert float((laplacian + 1).abs().max()) < 1e-13
    middle = Points.of(XY, torch.tensor([[0.0, 0.5], [0.5, 0.0]], dtype=torch.float64))
    u = torsion_square().taylor(middle, indices)[..., 0]
    assert abs(float(u[place[1, 0], 0])) < 1e-13
    assert abs(float(u[place[0, 1], 1])) < 1e-13
    assert torch.allclose(2 * (u[place[2, 0]] + u[place[0, 2]]), -torch.ones(2, dtype=torch.float64), atol=1e-13)


def test_walls_and_corners() -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)
    walls = Points.of(XY, torch.cat([torch.cartesian_prod(x, x[[0, -1]]), torch.cartesian_prod(x[[0, -1]], x)]))
    u = torsion_square().taylor(walls, IndexSet(XY, [(1, 0), (0, 1)]))
    assert bool(torch.isfinite(u).all())
    assert float(u[0].abs().max()) < 1e-15
    # At the small distance s from both walls u is 2 / pi s^2 (log(1 / s) + constant).
    s = 10.0 ** -torch.arange(2, 7, dtype=torch.float64)
    ratio = torsion_square().value(Points.of(XY, torch.stack([1 - s, s - 1], dim=1))) / s**2
    assert torch.allclose(ratio.diff(), torch.full_like(ratio[1:], 2 / pi * log(10)), rtol=1e-3)


@pytest.mark.parametrize("terms", [4, 8, 16])
def test_the_stated_error_is_the_true_one(terms: int) -> None:
    at, weights = evaluation_rule(load_problem("torsion").geometry)
    u, wanted = (series.value(at) for series in (Torsion(terms), Torsion()))
    true = float(((u - wanted) ** 2 @ weights).sqrt() / (wanted**2 @ weights).sqrt())
    assert 0.3 * true <= Torsion(terms).error <= 10 * true
    assert Torsion().error <= 1e-14
