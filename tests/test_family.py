"""References per value of parameters: each is that of its own problem, built once."""

from math import pi

import pytest
import torch

from kanpde import Box, KanpdeError, Points, Problem, dirichlet, initial, observe, parameter, periodic
from kanpde.check import check
from kanpde.field import Field
from kanpde.metrics import errors
from kanpde.multiindex import IndexSet
from kanpde.problem import Reference
from kanpde.reference import Family, collocation, exact, fourier, harmonic, per_value, taylor_hood

DOMAIN = Box(x=(0, 1), t=(0, 1)) * parameter(nu=(0.1, 0.3))


def closed(nu: float) -> Reference:
    return exact(lambda at: torch.exp(-nu * pi**2 * at.t) * torch.sin(pi * at.x))


def heat(u: Field, at: Points) -> torch.Tensor:
    return u.d("t") - at.nu * u.d("xx")


CONDITIONS = {"start": initial(lambda at: torch.sin(pi * at.x)), "walls": dirichlet("x", 0.0)}
EVERY = exact(lambda at: torch.exp(-at.nu * pi**2 * at.t) * torch.sin(pi * at.x))


def test_values_and_derivatives_are_those_of_each_value() -> None:
    built = []

    def make(nu: float) -> Reference:
        built.append(nu)
        return closed(nu)

    family = per_value(DOMAIN, make)
    points = torch.rand(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points[:, 2] = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64).repeat(10)
    at, indices = Points.of(DOMAIN.names, points), IndexSet(DOMAIN.names, [(2, 0, 0), (0, 1, 0)])
    found, wanted = family.taylor(at, indices), EVERY.taylor(at, indices)
    assert float((found - wanted).abs().max()) < 1e-13
    assert float((found - 1.01 * wanted).abs().max()) > 1e-3
    family.taylor(at, indices)
    assert built == [0.1, 0.2, 0.3]
    assert family.smooth
    assert family.error == 1e-15
    assert family.name == "exact per value"
    assert family.error_source == "the largest of 5 values, each by closed form, rounding only"
    assert len(built) == 5


def test_a_run_can_be_measured_and_checked_with_it() -> None:
    problem = Problem(DOMAIN, {"heat": heat}, CONDITIONS, reference=per_value(DOMAIN, closed))
    assert errors(EVERY.taylor, problem).rel_h1 < 1e-14
    rows = check(problem)
    assert all(row.residual is not None and row.vanishes for row in rows)
    wrong = Problem(DOMAIN, {"heat": heat}, CONDITIONS, reference=per_value(DOMAIN, lambda nu: closed(1.01 * nu)))
    assert not all(row.vanishes for row in check(wrong))


def test_observations_at_other_values_are_not_checked() -> None:
    points = torch.rand(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points[:, 2] = 0.1 + 0.2 * points[:, 2]
    constraints = {"seen": observe(points, torch.ones(100))}
    problem = Problem(DOMAIN, {"heat": heat}, CONDITIONS, reference=per_value(DOMAIN, closed), constraints=constraints)
    assert [row.residual for row in check(problem) if row.label == "seen"] == [None]


def test_collocation_takes_a_domain_with_parameters() -> None:
    reference = collocation(DOMAIN, {"heat": heat}, CONDITIONS, nodes=32)
    assert isinstance(reference, Family)
    problem = Problem(DOMAIN, {"heat": heat}, CONDITIONS, reference=reference)
    assert errors(EVERY.taylor, problem).rel_l2 < 1e-9
    assert errors(exact(lambda at: 1.01 * EVERY.functions[0](at)).taylor, problem).rel_l2 > 1e-3
    assert reference.error < 1e-9


def test_a_fourier_reference_is_built_per_value() -> None:
    box = Box(x=(0, 2), t=(0, 1))
    domain = box * parameter(nu=(0.01, 0.1))

    def member(nu: float) -> Reference:
        return fourier(
            box,
            linear=lambda d: nu * d**2,
            nonlinear=lambda v, at: 0 * v.value,
            start=lambda at: torch.sin(pi * at.x),
            modes=8,
            steps=40,
        )

    problem = Problem(
        domain,
        {"heat": heat},
        {"start": CONDITIONS["start"], "sides": periodic("x")},
        reference=per_value(domain, member),
    )
    assert all(row.vanishes for row in check(problem))
    assert errors(EVERY.taylor, problem).rel_l2 < 1e-8


def test_what_a_family_cannot_give_is_refused() -> None:
    family = per_value(DOMAIN, closed)
    at = Points.of(DOMAIN.names, DOMAIN.sample(100))
    with pytest.raises(KanpdeError, match="values at 100 values of nu are asked for"):
        family.taylor(at, IndexSet(at.names))
    with pytest.raises(KanpdeError, match="no derivative by a parameter"):
        family.taylor(at, IndexSet(at.names, [(0, 0, 1)]))
    with pytest.raises(KanpdeError, match="has no parameters: multiply it"):
        per_value(Box(x=(0, 1)), closed)
    with pytest.raises(KanpdeError, match=r"the function returned float for nu = 0\.1: return a reference"):
        _ = per_value(DOMAIN, lambda nu: nu).error  # type: ignore[arg-type, return-value]
    with pytest.raises(KanpdeError, match="the Fourier reference: the domain has the parameters nu"):
        fourier(DOMAIN, lambda d: d**2, lambda v, at: 0, lambda at: at.x, modes=8, steps=40)
    plane = Box(x=(0, 1), y=(0, 1)) * parameter(nu=(0, 1))
    with pytest.raises(KanpdeError, match="the harmonic reference: the domain has the parameters nu"):
        harmonic(plane, {"walls": dirichlet("all")}, degree=4)
    with pytest.raises(KanpdeError, match="the Taylor-Hood reference: the domain has the parameters nu"):
        taylor_hood(plane, {"e": lambda u, at: u.d("x")}, {})


def test_members_are_kept_on_disk_apart() -> None:
    family = per_value(
        DOMAIN, lambda nu: collocation(Box(t=(0, 1)), {"e": lambda u, at: u.d("t") + nu * u}, {"s": initial(1.0)})
    )
    family.origin = "problem"
    assert len({member.origin for member in family.members}) == 5
