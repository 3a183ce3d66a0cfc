"""The inverse Hessian meets the secant equation, stays symmetric and positive definite, and survives refinement."""

import pytest
import torch
from examples import small_kan
from oracles import close, random
from torch import Tensor

from kanpde import KanpdeError, SelfScaledBroyden
from kanpde.solver.self_scaled_broyden import UPDATES, parameters, updated


def positive(size: int, like: Tensor, condition: float = 1e4) -> Tensor:
    """Return a random symmetric positive definite matrix."""
    q = torch.linalg.qr(random(size, size, like=like)).Q
    matrix = q * condition ** torch.linspace(0, 1, size).to(like) @ q.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("update", UPDATES)
def test_updates_meet_the_secant_equation_and_stay_positive_definite(update: str, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    hessian, h = positive(8, like), None
    for seed in range(40):
        s = random(8, like=like, seed=seed) * 10.0 ** (seed % 5 - 2)
        y = hessian @ s
        bs = s if h is None else torch.linalg.solve(h, s)
        h = updated(h, s, y, bs, update)
        assert h is not None
        assert torch.equal(h, h.T)
        assert close(h @ y, s, 1e-9)
        assert not close(1.01 * h @ y, s, 1e-9)
        assert float(torch.linalg.eigvalsh(h)[0]) > 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("update", UPDATES)
def test_every_ratio_of_curvatures_keeps_the_update_positive(update: str, scale: float) -> None:
    like = torch.zeros((), dtype=torch.float64)
    h = positive(5, like, 100.0) * scale
    for seed in range(60):
        s, y = random(5, like=like, seed=seed), random(5, like=like, seed=seed + 100)
        y = y if float(s @ y) > 0 else -y
        new = updated(h, s, y, torch.linalg.solve(h, s), update)
        assert new is not None
        assert float((new @ y - s).norm()) <= 1e-12 * float(new.norm() * y.norm())
        assert float(torch.linalg.eigvalsh(new)[0]) > -1e-12 * float(new.norm())


def test_bfgs_is_the_textbook_formula() -> None:
    """Nocedal & Wright 2006, equation 6.17."""
    like = torch.zeros((), dtype=torch.float64)
    h, s = positive(6, like), random(6, like=like)
    y = positive(6, like, 10.0) @ s
    rho, one = 1 / (y @ s), torch.eye(6).to(like)
    wanted = (one - rho * torch.outer(s, y)) @ h @ (one - rho * torch.outer(y, s)) + rho * torch.outer(s, s)
    found = updated(h, s, y, torch.linalg.solve(h, s), "bfgs")
    assert found is not None
    assert close(found, wanted, 1e-12)


def test_members_of_the_family_lie_where_they_are_positive_definite() -> None:
    for b in (1e-6, 0.1, 1.0, 3.0, 1e6):
        for h in (1.001 / b, 10 / b, 1e6 / b):
            theta, tau = parameters(b, h, 50, "ssbroyden")
            assert theta > -1 / (b * h - 1)
            assert tau > 0
            assert parameters(b, h, 50, "ssbfgs") == (0.0, min(1.0, 1 / b))
    assert parameters(0.5, 2.0, 50, "ssbroyden") == (0.0, 1.0)


def test_without_positive_curvature_nothing_changes() -> None:
    like = torch.zeros((), dtype=torch.float64)
    h, s = positive(4, like), random(4, like=like)
    assert updated(h, s, -s, s, "ssbroyden") is h
    assert updated(None, s, -s, s, "ssbroyden") is None


@pytest.mark.parametrize("grids", [(8, 2), (8, 3), (4, 1)])
def test_the_inverse_hessian_survives_refinement(grids: tuple[int, int], device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    network = small_kan(width=(2,), grid=4, degree=(6, 4)).network(like.new_full((2,), -1.0), like.new_ones(2), 1)
    new, change = network.refined(grids)
    h, g = positive(network.parameters, like), random(network.parameters, like=like)
    moved = SelfScaledBroyden().transfer({"inverse": h}, change)["inverse"]
    assert moved.shape == (new.parameters, new.parameters)
    assert torch.equal(moved, moved.T)
    assert float(torch.linalg.eigvalsh(moved)[0]) > 0
    assert close(moved @ change.gradient(g), change.parameters(h @ g), 1e-9)
    assert SelfScaledBroyden().transfer({}, change) == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"update": "dfp"}, "unknown solver.update 'dfp'"),
        ({"tolerance": 0.0}, "solver.tolerance=0.0"),
        ({"stage_iterations": 0}, "solver.stage_iterations=0"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        SelfScaledBroyden(**settings)  # type: ignore[arg-type]
