"""References against codes that share nothing with them, and against data that others have published."""

from math import pi
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from torch import Tensor

from kanpde import Box, Points, initial, neumann
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.reference import burgers_cole_hopf, collocation, fourier, solve_fem, table

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BURGERS, ALLEN_CAHN = DATA / "burgers_shock.mat", DATA / "allen_cahn_raissi.mat"
NAMES = ("x", "t")


def difference(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def on_grid(reference, x: Tensor, t: Tensor) -> Tensor:
    """Return values (x, t)."""
    at = Points.of(NAMES, torch.cartesian_prod(x, t))
    return reference.taylor(at, IndexSet(NAMES))[0, :, 0].reshape(len(x), len(t))


@pytest.mark.skipif(not BURGERS.is_file(), reason=f"there is no {BURGERS}")
def test_burgers_agrees_with_published_data() -> None:
    """Their error is 2.9e-12; the table is read as a user would."""
    published = table(BURGERS, {"x": "x", "t": "t"}, "usol", degree=None, error=1e-11)
    rule = published.rule(Box(x=(-1, 1), t=(0, 1)))
    assert rule is not None
    at, _ = rule
    assert len(at) == 25_600
    wanted = published.taylor(at, IndexSet(NAMES))
    found = burgers_cole_hopf(0.01 / pi).taylor(at, IndexSet(NAMES))
    assert difference(found, wanted) < 1e-11
    assert difference(1.01 * found, wanted) > 5e-3


@pytest.mark.skipif(not ALLEN_CAHN.is_file(), reason=f"there is no {ALLEN_CAHN}")
def test_allen_cahn_agrees_with_published_data() -> None:
    """Their error is 1.2e-5 at the kink x = 1 and 5.8e-8 away from it."""
    data = loadmat(ALLEN_CAHN)
    x, t, wanted = (torch.from_numpy(data[name]) for name in ("x", "tt", "uu"))
    x, t, wanted = x[0], t[0, ::5], wanted[:, ::5]
    u = on_grid(load_problem("allen_cahn").reference, x, t)
    inside = x.abs() <= 0.95
    assert difference(u, wanted) < 1.3e-5
    assert difference(u[inside], wanted[inside]) < 7e-8
    assert difference(1.01 * u, wanted) > 5e-3


def by_rkstiff(linear, start, n: int, end: float) -> tuple[Tensor, Tensor]:
    """Return the grid and the solution of u_t = L u - u u_x on (-1, 1) at the end, by another scheme and code."""
    rkstiff = pytest.importorskip("rkstiff.etd35")
    solver = pytest.importorskip("rkstiff.solveras")
    x = 2 * np.arange(n) / n - 1
    d = 1j * pi * np.arange(n // 2 + 1)

    def convection(modes):
        u = np.fft.irfft(modes)
        result = -0.5 * d * np.fft.rfft(u**2)
        result[n // 3 :] = 0
        return result

    scheme = rkstiff.ETD35(linear(d), convection, config=solver.SolverConfig(epsilon=1e-9))
    modes = scheme.evolve(np.fft.rfft(start(x)), t0=0.0, tf=end, h_init=1e-4, store_data=False)
    return torch.from_numpy(x), torch.from_numpy(np.fft.irfft(modes))


def test_burgers_agrees_with_rkstiff() -> None:
    nu = 0.02
    x, wanted = by_rkstiff(lambda d: nu * d**2, lambda x: -np.sin(pi * x), 512, 0.6)
    found = on_grid(burgers_cole_hopf(nu), x, torch.tensor([0.6], dtype=torch.float64))[:, 0]
    assert difference(found, wanted) < 1e-8
    assert difference(1.01 * found, wanted) > 5e-3


def test_korteweg_de_vries_agrees_with_rkstiff() -> None:
    x, wanted = by_rkstiff(lambda d: -0.0025 * d**3, lambda x: np.cos(pi * x), 384, 0.4)
    reference = fourier(
        Box(x=(-1, 1), t=(0, 0.4)),
        lambda d: -0.0025 * d**3,
        lambda u, at: -u * u.d("x"),
        lambda at: torch.cos(pi * at.x),
        modes=128,
        steps=1000,
    )
    found = on_grid(reference, x, torch.tensor([0.4], dtype=torch.float64))[:, 0]
    assert difference(found, wanted) < max(1e-8, reference.error)
    assert reference.error < 1e-6
    assert difference(1.01 * found, wanted) > 5e-3


def test_torsion_agrees_with_finite_elements() -> None:
    problem = load_problem("torsion")
    assert problem.reference is not None
    fem = solve_fem(problem, 4, 32)
    side = torch.linspace(-1, 1, 21, dtype=torch.float64)
    at = Points.of(("x", "y"), torch.cartesian_prod(side, side))
    found, wanted = (r.taylor(at, IndexSet(("x", "y"))) for r in (problem.reference, fem))
    assert difference(found, wanted) < 1e-6
    assert difference(1.01 * found, wanted) > 5e-3


def test_fourier_and_collocation_agree() -> None:
    """Two methods for one problem: even about both walls, so that it is periodic on twice the interval."""

    def growth(u, at):
        return u.d("t") - 0.1 * u.d("xx") - 5 * u * (1 - u)

    def start(at):
        return 0.3 + 0.2 * torch.cos(pi * at.x)

    wide = fourier(
        Box(x=(-1, 1), t=(0, 0.5)),
        lambda d: 0.1 * d**2,
        lambda u, at: 5 * u * (1 - u),
        start,
        modes=24,
        steps=200,
    )
    half = collocation(
        Box(x=(0, 1), t=(0, 0.5)), {"growth": growth}, {"start": initial(start), "walls": neumann("x")}, nodes=24
    )
    x, t = torch.linspace(0, 1, 21, dtype=torch.float64), torch.linspace(0, 0.5, 11, dtype=torch.float64)
    assert difference(on_grid(half, x, t), on_grid(wide, x, t)) < 1e-8
    assert max(half.error, wide.error) < 1e-7
    assert difference(1.01 * on_grid(half, x, t), on_grid(wide, x, t)) > 5e-3
