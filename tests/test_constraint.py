"""Constraints: rows that sum over points of their own, and the shapes and numbers that they refuse."""

from collections.abc import Callable
from math import cos, log, pi, sin
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from kanpde import Box, Disk, Ellipse, KanpdeError, Points, Problem, Triangle, classify, difference, mean, observe
from kanpde.constraint import SMOOTHING, Constraint, deviance
from kanpde.geometry import Geometry

SQUARE = Box(x=(0, 2), y=(-1, 1))
STRIP = Box(x=(0, 2), t=(0, 3))


def equation(u, at):
    return u.d("x") - at.x


def test_observations_take_arrays_and_coordinates_by_name() -> None:
    points = numpy.array([[0.5, -1.0], [2.0, 0.25]])
    for given in (points, points.tolist(), torch.tensor(points), {"y": points[:, 1], "x": points[:, 0]}):
        groups = observe(given, [3.0, 4.0]).groups(SQUARE)
        assert torch.equal(groups.at.array(), torch.tensor(points))
        assert torch.equal(groups.sums(torch.tensor([5.0, 5.0], dtype=torch.float64)), torch.tensor([2.0, 1.0]))


TABLE = "y,noise,u,x\n-1,0.1,3,0.5\n0.25,0.1,4,2\n"


def test_observations_are_read_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(TABLE)
    for given in (path, str(path)):
        groups = observe(given, "u").groups(SQUARE)
        assert groups.at.array().tolist() == [[0.5, -1.0], [2.0, 0.25]]
        assert groups.values.tolist() == [3.0, 4.0]


BAD_TABLES = {
    "y,u\n-1,3\n": r"readings.csv' have the columns y beside that of the values .*: name the columns of .* x, y",
    "x,y\n0.5,-1\n": "unknown column of '.*readings.csv': 'u'. Known: x, y",
    "x,y,u\n0.5,-1\n": "has 2 columns, and its first line names 3",
    "x,y,u\n0.5,-1,3\n0.5,3\n": "has a row that is not of numbers",
    "x,y,u\n": "readings.csv' has no rows below its first line",
    "x,y,u\n0.5,-1,nan\n": "the values of observations are not all finite",
}


@pytest.mark.parametrize("content", BAD_TABLES)
def test_tables_that_are_no_observations_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(content)
    with pytest.raises(KanpdeError, match=BAD_TABLES[content]):
        observe(path, "u").groups(SQUARE)


def test_a_grid_of_values_is_no_table_of_observations(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "grid.npz", x=numpy.arange(3), y=numpy.arange(4), u=numpy.ones((3, 4)))
    with pytest.raises(KanpdeError, match="has 12 values in 'u' and no other column of this length"):
        observe(tmp_path / "grid.npz", "u")


def test_the_column_of_the_values_is_named(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(TABLE)
    with pytest.raises(KanpdeError, match="values ndarray: give the name of a column, one of y, noise, u, x"):
        observe(path, numpy.ones(2))
    with pytest.raises(KanpdeError, match="there is no table"):
        observe(tmp_path / "other.csv", "u")


MEANS: dict[str, tuple[Geometry, Callable[[Points], Tensor], float]] = {
    "a line": (Box(x=(0, 2)), lambda at: at.x**5, 32 / 6),
    "a square": (SQUARE, lambda at: at.x**5 * at.y**2, 32 / 6 / 3),
    "waves": (SQUARE, lambda at: torch.cos(3 * pi * at.x) * torch.cos(2 * pi * at.y) + 1, 1.0),
    "a cube": (Box(x=(0, 1), y=(0, 1), z=(0, 1)), lambda at: at.x * at.y**2 * at.z**3, 1 / 24),
}


@pytest.mark.parametrize("name", MEANS)
def test_means_are_those_of_quadrature(name: str) -> None:
    geometry, g, wanted = MEANS[name]
    groups = mean(value=0.25).groups(geometry)
    assert groups.coefficients.shape == (1, len(groups.at))
    found = float(groups.sums(g(groups.at))) + 0.25
    assert found == pytest.approx(wanted, rel=1e-12)
    assert 1.01 * found != pytest.approx(wanted, rel=1e-12)


def test_a_mean_in_many_dimensions_is_one_of_random_points() -> None:
    groups = mean().groups(Box(**dict.fromkeys("vwxyz", (0, 1))))
    assert float(groups.sums(groups.at.v * groups.at.z)) == pytest.approx(0.25, abs=2e-4)


HOLED = Box(x=(-1, 1), y=(-1, 1)) - Disk(radius=0.5)
SHAPES: dict[str, tuple[Geometry, float]] = {  # and the mean of x^2 over them
    "a square without a disk": (HOLED, (4 / 3 - pi * 0.5**4 / 4) / (4 - pi * 0.5**2)),
    "an ellipse": (Ellipse((0, 0), (2, 1), pi / 3), (4 * cos(pi / 3) ** 2 + sin(pi / 3) ** 2) / 4),
    "a triangle": (Triangle((0, 0), (2, 0), (0, 1)), 2 / 3),
    "a box of two factors": (Box(y=(0, 1)).named("low") * Box(x=(0, 3)), 3.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_means_over_any_shape(name: str) -> None:
    geometry, wanted = SHAPES[name]
    groups = mean().groups(geometry)
    assert bool(geometry.contains(groups.at.array()).all())
    assert float(groups.sums(groups.at.x**2)) == pytest.approx(wanted, rel=1e-3)
    moving = mean(value=lambda at: at.t, times=5).groups(geometry * Box(t=(1, 3)))
    t = moving.at.t.view(5, -1)
    assert t[[0, -1], 0].tolist() == [1.0, 3.0]
    assert torch.allclose(moving.sums(moving.at.x**2 * moving.at.t), (wanted - 1) * t[:, 0], rtol=0, atol=2e-3)
    assert torch.equal(mean().groups(Box(t=(1, 3)) * geometry).at.x, mean().groups(geometry * Box(t=(1, 3))).at.x)


@pytest.mark.parametrize("geometry", [Box(x=(0, 1), t=(0, 1)) - Disk(coordinates=("x", "t")), Box(t=(0, 1))], ids=repr)
def test_a_mean_is_over_space(geometry: Geometry) -> None:
    with pytest.raises(KanpdeError, match=r"mean: the domain .* is not one in space times an interval of time"):
        mean().groups(geometry)


def test_a_mean_holds_at_every_time() -> None:
    groups = mean(value=lambda at: at.t, times=5).groups(STRIP)
    t = groups.at.t.view(groups.coefficients.shape)
    assert torch.equal(t, t[:, :1].expand_as(t))
    assert t[[0, -1], 0].tolist() == [0.0, 3.0]
    wanted = 2 * t[:, 0]  # the mean of 3 x t less t
    assert torch.allclose(groups.sums(3 * groups.at.x * groups.at.t), wanted, atol=1e-13)


def test_a_difference_is_that_of_opposite_points() -> None:
    groups = difference("x", value=lambda at: 2 * at.y, points=9).groups(SQUARE)
    lower, upper = groups.at.array().view(9, 2, 2).unbind(dim=1)
    assert torch.equal(lower[:, 1], upper[:, 1])
    assert set(lower[:, 0].tolist()) == {0.0}
    assert set(upper[:, 0].tolist()) == {2.0}
    assert torch.allclose(groups.sums(groups.at.x * groups.at.y), torch.zeros(9, dtype=torch.float64), atol=1e-15)


@pytest.mark.parametrize("constraint", [mean(times=7), difference("x", points=7), observe([[1.0, 2.0]] * 7, [1.0] * 7)])
def test_parts_are_whole_groups_in_order(constraint: Constraint) -> None:
    groups = constraint.groups(STRIP)
    k = groups.coefficients.shape[1]
    g = torch.randn(7 * k, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for points in (0, 2 * k, 10**6):
        parts = list(groups.parts(points))
        assert len(parts) == {0: 7, 2 * k: 4, 10**6: 1}[points]
        shares = g.split([len(part.at) for part in parts])
        sums = torch.cat([part.sums(share) for part, share in zip(parts, shares, strict=True)])
        assert torch.equal(sums, groups.sums(g))
        assert torch.equal(torch.cat([part.at.array() for part in parts]), groups.at.array())


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: observe([[0.5, 0.5]], [1.0, 2.0]), r"observations of the shape \(2,\) at 1 points: give \(1,\)"),
    (lambda: observe([[0.5, 0.5]], [[1.0]]), r"observations of the shape \(1, 1\) at 1 points"),
    (lambda: observe([0.5, 0.5], [1.0]), r"points of the shape \(2,\): give an array \(N, d\), N > 0"),
    (lambda: observe(numpy.zeros((0, 2)), []), r"points of the shape \(0, 2\)"),
    (lambda: observe({"x": [0.5], "y": [0.5, 1.0]}, [1.0]), r"shapes x: \(1,\), y: \(2,\): give arrays of one length"),
    (lambda: observe({}, [1.0]), "points of the shapes"),
    (lambda: observe([["a", "b"]], [1.0]), "the points of observations are not numbers"),
    (lambda: observe([[0.5, 0.5]], [1j]), "the values of observations are complex: give their real"),
    (lambda: observe([[0.5, 0.5]], [numpy.nan]), "the values of observations are not all finite"),
    (lambda: observe([[0.5, 0.5]], [1.0], noise=-1), "noise=-1: a standard deviation is not negative"),
    (lambda: mean(times=1), "times=1: a mean at every time needs at least 2"),
    (lambda: difference("x", points=0), "points=0: give at least 1 pair"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_bad_constraints_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        make()


UNFIT: list[tuple[Constraint, str]] = [
    (observe([[0.5]], [1.0]), "observations have 1 coordinates: give x, y of each point"),
    (observe({"x": [0.5], "t": [0.5]}, [1.0]), "observations have the coordinates x, t: give x, y"),
    (observe([[0.5, 0.5], [3.0, 0.5]], [1.0, 1.0]), r"1 observations lie outside the domain, the first at x=3, y=0\.5"),
    (difference("t"), "unknown coordinate of a difference: 't'"),
    (mean("w"), "unknown field in constraint 'c': 'w'"),
    (mean(lambda w, at: w), "unknown field in 'c': 'w'"),
    (mean(lambda u: u), r"'c' has the arguments \(u\)"),
]


@pytest.mark.parametrize(("constraint", "message"), UNFIT)
def test_constraints_that_do_not_fit_are_refused(constraint: Constraint, message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        Problem(SQUARE, {"e": equation}, constraints={"c": constraint})


def test_with_several_unknowns_a_constraint_says_which() -> None:
    equations = {"e": lambda u, v, at: u.d("x") - v}
    with pytest.raises(
        KanpdeError, match="constraint 'c' does not say which unknown it is about: give of= one of u, v"
    ):
        Problem(SQUARE, equations, constraints={"c": mean()})
    problem = Problem(SQUARE, equations, constraints={"c": mean("v")})
    assert problem.derivatives(("c",), problem.middle()) == {(0, 0)}


def test_only_boxes_have_opposite_faces() -> None:
    class Disc(Geometry):
        names = ("x", "y")

    Disc.__abstractmethods__ = frozenset()
    with pytest.raises(KanpdeError, match=r"difference\('x'\): the domain is a Disc, not a Box"):
        difference("x").groups(Disc())


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """That of labels which stand for a probability, less the entropy of that."""
    softplus = torch.nn.functional.softplus
    found = (1 - smoothing) * softplus(-logits) + smoothing * softplus(logits)
    found = torch.where(labels == 1, found, (1 - smoothing) * softplus(logits) + smoothing * softplus(-logits))
    return found + smoothing * log(smoothing) + (1 - smoothing) * log(1 - smoothing)


def test_half_the_square_sum_of_the_rows_of_labels_is_the_cross_entropy() -> None:
    at, labels = torch.rand(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64), [0, 1] * 20
    logits = torch.linspace(-9, 9, 40, dtype=torch.float64)
    for smoothing in (0.001, SMOOTHING, 0.2):
        groups = classify(at, labels, smoothing=smoothing).groups(Box(x=(0, 1), y=(0, 1)))
        for part, of in ((groups, slice(0, 40)), (groups.part(slice(10, 20)), slice(10, 20))):
            wanted = cross_entropy(logits, torch.tensor(labels), smoothing)[of]
            assert torch.allclose(part.sums(logits[of]) ** 2 / 2, wanted, rtol=1e-8, atol=1e-15)


def test_rows_of_labels_are_smooth_wherever_logits_are() -> None:
    best = log(1 / SMOOTHING - 1)
    steps = [-3000.0, -800, -40, -1, -0.01001, -0.00999, -1e-6, 0, 1e-6, 0.00999, 0.01001, 1, 40, 800, 3000]
    z = (best + torch.tensor(steps, dtype=torch.float64)).requires_grad_()
    (slope,) = torch.autograd.grad(deviance(z, SMOOTHING).sum(), z)
    r, z = deviance(z, SMOOTHING).detach(), z.detach()
    assert bool((r.diff() > 0).all() and (slope > 0).all() and torch.isfinite(slope).all())
    assert float(r[0]) == pytest.approx(-((2 * (3000 - best) * (1 - SMOOTHING)) ** 0.5), rel=1e-2)
    assert float(slope[7]) == pytest.approx((SMOOTHING * (1 - SMOOTHING)) ** 0.5, rel=1e-12)
    for a, b in ((4, 5), (9, 10)):  # from the closed form to the series
        chord = float((r[b] - r[a]) / (z[b] - z[a]))
        assert chord == pytest.approx(float(slope[a] + slope[b]) / 2, rel=1e-6)


def test_labels_make_a_problem_nonlinear() -> None:
    def whole(constraint: Constraint) -> Problem:
        return Problem(SQUARE, constraints={"labels": constraint})

    points = [[0.5, 0.0], [1.0, 0.0], [1.5, 0.5], [0.2, 0.3]]
    labels = classify(points, [0, 1, 1, 0], of="v")
    assert not whole(labels).affine
    assert whole(observe(points, [0, 1, 1, 0])).affine
    assert whole(labels).unknowns == ("v",)
    assert [len(part.groups(SQUARE).values) for part in labels.divided()] == [3, 1]
    assert labels.groups(SQUARE).to(torch.zeros(1)).values.dtype == torch.float32


def test_labels_are_read_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,y,kind\n1,0,0\n1.5,0.5,1\n")
    assert classify(tmp_path / "rows.csv", "kind").groups(SQUARE).values.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("labels", "smoothing", "message"),
    [
        ([0, 1, 2], 0.1, "the labels are 0, 1, 2: give 0 and 1, both"),
        ([1, 1, 1], 0.1, "the labels are 1: give 0 and 1, both"),
        ([-1, 1, 1], 0.1, "the labels are -1, 1: give 0 and 1"),
        ([0, 1], 0.1, r"of the shape \(2,\) at 3 points"),
        ([0, 1, 1], 0.0, "smoothing=0.0: give the probability"),
        ([0, 1, 1], 0.5, "smoothing=0.5: give the probability"),
    ],
)
def test_labels_that_are_none_are_refused(labels: list[int], smoothing: float, message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        classify([[0.5, 0.0], [1.0, 0.0], [1.5, 0.5]], labels, smoothing=smoothing)
