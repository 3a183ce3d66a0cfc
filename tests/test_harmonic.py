"""Harmonic series: against closed forms, the torsion series and finite elements, with errors that are bounds."""

from math import log, pi

import pytest
import torch
from oracles import close
from torch import Tensor

from kanpde import Box, Disk, KanpdeError, LShape, Points, Polygon, dirichlet, neumann
from kanpde.geometry import Geometry
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.reference import harmonic, solve_fem, torsion_square
from kanpde.reference.harmonic import Harmonic

XY = ("x", "y")
RING = Disk(radius=2).named("rim") - Disk().named("hole")
SECOND = IndexSet(XY, [(2, 0), (1, 1), (0, 2)])


def inside(domain: Geometry, count: int = 500) -> Points:
    return Points.of(XY, domain.sample(count))


def corner_power(at: Points) -> Tensor:
    """Return r^(2/3) sin(2 theta / 3), which vanishes on both edges of the inner corner."""
    theta = torch.remainder(torch.atan2(at.y, at.x + 1e-300), 2 * pi)
    return (at.x**2 + at.y**2) ** (1 / 3) * torch.sin(2 * theta / 3)


def test_a_ring_has_a_logarithm() -> None:
    conditions = {"rim": dirichlet("rim", log(2)), "hole": dirichlet("hole", 0.0)}
    solution = harmonic(RING, conditions, poles=[(0, 0)], degree=4, powers=4)
    at = inside(RING)
    found, square = solution.taylor(at, SECOND)[..., 0], at.x**2 + at.y**2
    place = SECOND.position
    assert close(found[0], torch.log(square) / 2, 1e-13)
    assert not close(1.01 * found[0], torch.log(square) / 2, 1e-13)
    assert close(found[place[1, 0]], at.x / square, 1e-12)
    assert close(found[place[0, 1]], at.y / square, 1e-12)
    assert close(2 * found[place[2, 0]], 1 / square - 2 * at.x**2 / square**2, 1e-12)
    assert close(found[place[1, 1]], -2 * at.x * at.y / square**2, 1e-12)
    assert solution.error < 1e-13


def test_an_inner_corner_has_its_power() -> None:
    solution = harmonic(LShape(), {"walls": dirichlet("all", corner_power)}, corners=4, degree=4)
    at = inside(LShape())
    assert close(solution.taylor(at, IndexSet(XY))[0, :, 0], corner_power(at), 1e-12)
    assert solution.error < 1e-12


def test_a_square_is_the_torsion_series() -> None:
    square = Polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    walls = {"walls": dirichlet("all", 0.0)}
    solution = harmonic(square, walls, particular=lambda at: -(at.x**2 + at.y**2) / 4, corners=2, degree=30)
    turned = Polygon([(-1, 1), (1, 1), (1, -1), (-1, -1)])
    clockwise = harmonic(turned, walls, particular=lambda at: -(at.x**2) / 2, corners=2, degree=30)
    at = inside(square)
    wanted = torsion_square().taylor(at, SECOND)
    for found in (solution, clockwise):
        assert close(found.taylor(at, SECOND)[0], wanted[0], 1e-12)
        assert close(found.taylor(at, SECOND), wanted, 1e-9)
        assert found.error < 1e-11


def test_corners_of_unlike_angles() -> None:
    """A triangle, whose sides' product is the solution where it is equilateral."""
    triangle = Polygon([(0, 0), (2, 0), (1, 3**0.5)])
    solution = harmonic(
        triangle, {"walls": dirichlet("all", 0.0)}, particular=lambda at: -(at.y**2) / 2, corners=2, degree=3
    )
    at = inside(triangle)
    exact = at.y * (3**0.5 * at.x - at.y) * (3**0.5 * (2 - at.x) - at.y) / (4 * 3**0.5)
    assert close(solution.taylor(at, IndexSet(XY))[0, :, 0], exact, 1e-12)


@pytest.mark.parametrize("degree", [6, 12])
def test_the_error_is_a_bound(degree: int) -> None:
    """Without terms for the corners the polynomials converge slowly."""
    square = Box(x=(-1, 1), y=(-1, 1))
    walls = {"walls": dirichlet("all", 0.0)}
    solution = harmonic(square, walls, particular=lambda at: -(at.x**2 + at.y**2) / 4, degree=degree)
    at = inside(square, 2000)
    wanted = torsion_square().taylor(at, IndexSet(XY))
    error = float((solution.taylor(at, IndexSet(XY)) - wanted).norm() / wanted.norm())
    assert solution.error / 100 < error <= solution.error
    assert solution.error > 1e-6


@pytest.mark.parametrize(("name", "tolerance"), [("poisson_lshape", 2e-3), ("poisson_holes", 3e-4)])
def test_finite_elements_agree(name: str, tolerance: float) -> None:
    problem = load_problem(name)
    reference = problem.reference
    assert isinstance(reference, Harmonic)
    assert reference.error < 1e-11
    at = inside(problem.geometry, 1000)
    found, wanted = (u.taylor(at, IndexSet(XY)) for u in (solve_fem(problem, 4, 16), reference))
    assert float((found - wanted).norm() / wanted.norm()) < tolerance
    assert float((1.01 * found - wanted).norm() / wanted.norm()) > tolerance


@pytest.mark.parametrize("name", ["poisson_lshape", "poisson_holes"])
def test_a_coarser_series_is_within_its_bound(name: str) -> None:
    problem = load_problem(name)
    fine = problem.reference
    assert isinstance(fine, Harmonic)
    series = fine.series
    coarse = harmonic(
        problem.geometry,
        problem.conditions,
        particular=fine.particular,
        degree=series.degree // 2,
        poles=[(c.real, c.imag) for c in series.poles],
        powers=series.powers // 2,
        corners=max((c.terms for c in series.corners), default=0) // 4,
    )
    at = inside(problem.geometry, 1000)
    difference, values = coarse.taylor(at, IndexSet(XY)) - fine.taylor(at, IndexSet(XY)), fine.taylor(at, IndexSet(XY))
    assert 1e-11 < coarse.error < 1e-4
    assert float(difference.norm() / values.norm()) <= coarse.error


def test_what_it_is_not_for_is_refused() -> None:
    walls = {"walls": dirichlet("all", 0.0)}
    with pytest.raises(KanpdeError, match="in the plane"):
        harmonic(Box(x=(0, 1), t=(0, 1)), walls)
    with pytest.raises(KanpdeError, match="neumann"):
        harmonic(Box(x=(0, 1), y=(0, 1)), {"walls": neumann("all", 0.0)})
    with pytest.raises(KanpdeError, match="every part"):
        harmonic(RING, {"rim": dirichlet("rim", 0.0)})
    with pytest.raises(KanpdeError, match="Polygon"):
        harmonic(RING, walls, corners=3)
    with pytest.raises(KanpdeError, match="number 1 lies in the domain"):
        harmonic(RING, walls, poles=[(0, 0), (1.5, 0)])
