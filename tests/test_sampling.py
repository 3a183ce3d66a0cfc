"""Every rule: points inside, weights that integrate, other points for another seed; normals; concentration."""

from math import exp, pi

import pytest
import torch
from torch import Tensor

from kanpde import Box, KanpdeError, Points
from kanpde.sampling import RULES, Sampling, draw, draw_where_large, earlier, towards

BOXES = {
    "1d": Box(x=(-1, 2)),
    "2d": Box(x=(-1, 2), y=(0, 0.5)),
    "3d": Box(x=(0, 1), y=(-1, 1), t=(2, 5)),
}
TOLERANCE = {"gauss": 1e-13, "chebyshev": 1e-13, "uniform": 5e-3, "sobol": 5e-3}


def like(device: torch.device) -> Tensor:
    return torch.zeros((), dtype=torch.float64, device=device)


@pytest.mark.parametrize("where", BOXES)
@pytest.mark.parametrize("rule", RULES)
def test_points_and_weights_of_every_rule(rule: str, where: str, device: torch.device) -> None:
    box = BOXES[where]
    count = 200 if where == "1d" else 1000
    points = draw((box.interior(),), box.names, rule, count, 3, like(device))
    assert points.weights.dtype == points.at.x.dtype == torch.float64
    assert points.weights.device.type == points.at.x.device.type == device.type
    assert len(points.at) >= count
    assert bool(box.contains(points.at.array()).all())
    assert bool((points.weights > 0).all())
    assert float(points.weights.sum()) == pytest.approx(1, abs=1e-12)
    for power in (1, 2, 3):  # the mean of a coordinate's power
        for name, a, b in zip(box.names, box.lower, box.upper, strict=True):
            mean = (b ** (power + 1) - a ** (power + 1)) / (power + 1) / (b - a)
            found = float((points.weights * getattr(points.at, name) ** power).sum())
            scale = max(abs(a), abs(b)) ** power
            assert abs(found - mean) <= TOLERANCE[rule] * scale
            assert abs(1.1 * found - mean) > TOLERANCE[rule] * scale or abs(mean) < 0.1 * scale


@pytest.mark.parametrize("rule", RULES)
def test_seeds(rule: str) -> None:
    box = BOXES["2d"]
    first, again, other = (
        draw((box.interior(),), box.names, rule, 50, seed, like(torch.device("cpu"))).at.array() for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (rule != "sobol")


@pytest.mark.parametrize("rule", RULES)
def test_boundaries_have_outward_unit_normals(rule: str, device: torch.device) -> None:
    box = BOXES["2d"]
    points = draw(box.boundary("all"), box.names, rule, 60, 0, like(device))
    normal, array = points.at.normal, points.at.array()
    assert torch.equal(normal.norm(dim=1), torch.ones_like(points.weights))
    assert bool(box.contains(array).all())
    assert not box.contains(array + 1e-6 * normal).any()
    assert bool(box.contains(array - 1e-6 * normal).all())
    assert float(points.weights.sum()) == pytest.approx(1, abs=1e-12)
    # Faces have points and weight in proportion to their length: 0.5 of 7 on the left.
    left = points.at.x == -1
    assert float(points.weights[left].sum()) == pytest.approx(0.5 / 7, rel=1e-12)
    assert 2 <= int(left.sum()) <= 6


def test_the_ends_of_an_interval_are_points() -> None:
    box = BOXES["1d"]
    points = draw(box.boundary("all"), box.names, "sobol", 10, 0, like(torch.device("cpu")))
    assert points.at.x.tolist() == [-1, 2]
    assert points.at.normal.tolist() == [[-1], [1]]
    assert points.weights.tolist() == [0.5, 0.5]


def test_no_patch_is_refused() -> None:
    with pytest.raises(KanpdeError, match="no points"):
        draw((), ("x",), "sobol", 10, 0, like(torch.device("cpu")))


BREAKS = torch.tensor([0, 0.5, 0.75, 0.8, 0.81, 0.812, 0.9, 1.0], dtype=torch.float64)


def test_points_go_towards_short_intervals() -> None:
    unit = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    points, thinning = towards(BREAKS, unit)
    lengths, intervals = BREAKS.diff(), len(BREAKS) - 1
    assert bool((points.diff() > 0).all())
    assert float(points[0]) > 0
    assert float(points[-1]) < 1
    shares = torch.histogram(points, BREAKS).hist / len(points)
    assert float((shares - (lengths + 1 / intervals) / 2).abs().max()) < 2e-5
    where = torch.bucketize(points, BREAKS[1:-1], right=True)
    density = (1 + 1 / (intervals * lengths)) / 2
    assert float((thinning * density[where] - 1).abs().max()) < 1e-12
    mean = float((thinning * torch.exp(points)).mean())
    assert mean == pytest.approx(torch.e - 1, rel=1e-4)
    assert float(torch.exp(points).mean()) != pytest.approx(torch.e - 1, rel=1e-2)


def test_equal_intervals_leave_points_where_they_are() -> None:
    unit = torch.rand(100, dtype=torch.float64)
    points, thinning = towards(torch.linspace(0, 1, 8, dtype=torch.float64), unit)
    assert float((points - unit).abs().max()) < 1e-15
    assert float((thinning - 1).abs().max()) < 1e-14


@pytest.mark.parametrize("rule", RULES)
def test_rules_follow_the_knots(rule: str, device: torch.device) -> None:
    box = BOXES["2d"]
    points = draw((box.interior(),), box.names, rule, 4000, 3, like(device), [BREAKS.to(device), None])
    assert bool(box.contains(points.at.array()).all())
    assert float(points.weights.sum()) == pytest.approx(1, abs=1e-12)
    inside = (points.at.x > -1 + 3 * 0.8) & (points.at.x < -1 + 3 * 0.812)
    assert float(inside.to(torch.float64).mean()) == pytest.approx((0.012 + 2 / 7) / 2, abs=0.06)
    mean = float((points.weights * torch.exp(points.at.x) * points.at.y).sum())
    assert mean == pytest.approx((torch.e**2 - 1 / torch.e) / 3 * 0.25, rel=1e-2)


def test_adaptive_points_go_where_the_residual_is_large(device: torch.device) -> None:
    box = BOXES["2d"]

    def size(at: Points) -> Tensor:
        return torch.exp(-((at.x / 0.1) ** 2))

    def share(points: Points) -> float:
        return float((points.x.abs() < 0.2).to(torch.float64).mean())

    points = draw_where_large(box.interior(), box.names, 1000, 0, size, like(device))
    assert len(points.at) == 1000
    assert len(points.at.array().unique(dim=0)) == 1000
    assert bool(box.contains(points.at.array()).all())
    assert points.at.x.device.type == device.type
    even = draw((box.interior(),), box.names, "sobol", 1000, 0, like(device))
    # The density |r| / mean |r| + 1 puts half of the points there, plus half of the even share.
    assert share(even.at) == pytest.approx(0.4 / 3, abs=0.01)
    assert share(points.at) == pytest.approx(0.5 + 0.2 / 3, abs=0.1)
    again = draw_where_large(box.interior(), box.names, 1000, 0, size, like(device))
    assert torch.equal(points.at.array(), again.at.array())


def test_adaptive_points_are_even_where_the_residual_vanishes() -> None:
    box = BOXES["2d"]
    points = draw_where_large(
        box.interior(), box.names, 2000, 0, lambda at: torch.zeros_like(at.x), like(torch.device("cpu"))
    )
    assert float(torch.cos(pi * (points.at.x + 1) / 3).mean()) == pytest.approx(0, abs=0.05)


def test_causal_weights_fall_in_time(device: torch.device) -> None:
    box = BOXES["3d"]
    even = draw((box.interior(),), box.names, "sobol", 500, 0, like(device))
    for gamma in (0.5, 40.0, 1e9):
        points = earlier(even, box, gamma)
        assert points.at is even.at
        assert float(points.weights.sum()) == pytest.approx(1, abs=1e-12)
        assert bool(torch.isfinite(points.weights).all())
        order = points.at.t.argsort()
        assert bool((points.weights[order].diff() <= 0).all())
    points, (first, last) = earlier(even, box, 0.5), (even.at.t.argmin(), even.at.t.argmax())
    passed = float(even.at.t[last] - even.at.t[first]) / 3
    assert float(points.weights[first] / points.weights[last]) == pytest.approx(exp(0.5 * passed), rel=1e-12)


def test_causal_weights_need_time() -> None:
    Sampling(causal=10.0).check(BOXES["3d"])
    Sampling().check(BOXES["2d"])
    with pytest.raises(KanpdeError, match=r"sampling.causal=10.0: there is no time among the coordinates: use 0"):
        Sampling(causal=10.0).check(BOXES["2d"])


def test_counts() -> None:
    sampling = Sampling(ratio=5, least=100, boundary=4)
    assert sampling.interior_count(10) == 100
    assert sampling.interior_count(1000) == 5000
    assert Sampling(points=7).interior_count(1000) == 7
    assert sampling.boundary_count(900, 2) == 120
    assert sampling.boundary_count(900, 1) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "gaus"}, "unknown sampling rule 'gaus': did you mean 'gauss'"),
        ({"points": 0}, "sampling.points=0"),
        ({"adaptive": 1.5}, "sampling.adaptive=1.5"),
        ({"ratio": 0.0}, "sampling.ratio=0.0"),
        ({"redraw": 0}, "sampling.redraw=0"),
        ({"least": -1}, "sampling.least=-1"),
        ({"causal": -1.0}, "sampling.causal=-1.0"),
        ({"causal": float("nan")}, "sampling.causal=nan"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        Sampling(**settings)  # type: ignore[arg-type]
