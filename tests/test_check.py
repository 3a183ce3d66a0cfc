"""The check of a problem sees what training would trip over."""

from dataclasses import replace
from math import cos, sin

import pytest
import torch
from examples import SPECTRAL, with_long_references_slow

from kanpde import KAN, Box, KanpdeError, Problem, dirichlet, mean, neumann, observe, periodic
from kanpde.check import check
from kanpde.library import load_problem, problem_files
from kanpde.problem import Reference
from kanpde.reference import exact
from kanpde.sampling import Sampling


def problem(factor: float = 1.0, reference: Reference | None = None) -> Problem:
    def equation(u, at):
        return u.d("xx") + u.d("yy") + 2 * factor * torch.sin(at.x) * torch.sin(at.y)

    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1)),
        equations={"equation": equation},
        conditions={
            "left": dirichlet("x-"),
            "flux": neumann("y-", lambda at: -torch.sin(at.x)),
        },
        reference=reference,
    )


SOLUTION = exact(lambda at: torch.sin(at.x) * torch.sin(at.y))


@pytest.mark.parametrize("name", with_long_references_slow(problem_files(), SPECTRAL))
def test_every_problem_passes(name: str) -> None:
    problem = load_problem(name)
    rows = check(problem)
    assert len(rows) >= (2 if problem.equations else 1)
    assert all(row.points > 0 or row.kind == "periodic" for row in rows)
    assert all(row.vanishes for row in rows)
    # A reference that is known at test points only says nothing of the data.
    checked = problem.equations or (problem.reference is not None and problem.reference.smooth)
    assert all((row.residual is not None) == bool(checked) for row in rows)


def test_points_and_derivatives_are_counted() -> None:
    equation, left, flux = check(problem(reference=SOLUTION), sampling=Sampling(points=400, boundary=4.0))
    assert (equation.points, equation.derivatives, equation.hard) == (400, ("xx", "yy"), False)
    assert (left.kind, left.points, left.derivatives, left.hard) == ("dirichlet", 80, ("value",), True)
    assert (flux.kind, flux.points, flux.derivatives, flux.hard) == ("neumann", 80, ("value", "y"), False)
    assert not any(row.hard for row in check(problem(), conditions="soft"))


def test_a_wrong_equation_or_reference_is_seen() -> None:
    assert all(row.vanishes for row in check(problem(reference=SOLUTION)))
    assert [row.vanishes for row in check(problem(1.01, SOLUTION))] == [False, True, True]
    wrong = exact(lambda at: 1.01 * torch.sin(at.x) * torch.sin(at.y))
    assert [row.vanishes for row in check(problem(reference=wrong))] == [False, True, False]


@pytest.mark.parametrize("conditions", ["hard", "soft"])
def test_periodic_conditions_have_no_points_and_compare_the_faces(conditions: str) -> None:
    def on(a: float) -> Problem:
        solution = exact(lambda at: torch.sin(2 * torch.pi * at.x) + at.y)
        box = Box(x=(0, a), y=(0, 1))
        return Problem(box, {"e": lambda u, at: u.d("xy")}, {"sides": periodic("x")}, reference=solution)

    _, sides = check(on(1.0), conditions=conditions)
    assert (sides.kind, sides.points, sides.hard, sides.vanishes) == ("periodic", 0, True, True)
    assert not check(on(1.01))[1].vanishes
    assert not check(on(0.5))[1].vanishes  # the values agree and the slopes do not


def test_constraints_are_checked_up_to_the_noise_of_observations() -> None:
    def off(by: float, noise: float) -> Problem:
        seen = observe([[0.2, 0.3], [0.5, 1.0]], [by + sin(0.2) * sin(0.3), sin(0.5) * sin(1.0)], noise=noise)
        flux = mean(lambda u, at: u.d("x"), sin(1.0) * (1 - cos(1.0)))
        return replace(problem(reference=SOLUTION), constraints={"seen": seen, "mean": flux})

    *_, seen, flux = check(off(0.0, 0.0))
    assert (seen.kind, seen.points, seen.derivatives, seen.hard) == ("observation", 2, ("value",), False)
    assert (flux.kind, flux.points, flux.derivatives, flux.hard) == ("mean", 24**2, ("x",), False)
    assert seen.vanishes
    assert flux.vanishes
    assert not check(off(0.01, 0.0))[-2].vanishes
    assert check(off(0.01, 0.01))[-2].vanishes


def test_without_a_reference_nothing_is_claimed() -> None:
    assert all(row.residual is None and row.vanishes for row in check(problem()))


def test_what_training_would_refuse_is_refused() -> None:
    with pytest.raises(KanpdeError, match=r"model.degree >= 3"):
        check(problem(), KAN(degree=2))
    with pytest.raises(KanpdeError, match=r"'equation' is not finite at"):
        check(problem(float("nan")))
