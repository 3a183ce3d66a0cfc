import math
from dataclasses import replace

import pytest
import torch

from kanpde import Box, KanpdeError, Problem
from kanpde.metrics import ErrorMeasure, Errors, Method, errors, evaluation_rule, evaluation_seconds, ranks
from kanpde.multiindex import IndexSet
from kanpde.problem import Reference
from kanpde.reference import exact
from kanpde.sampling import RULES


def laplace(u, at):
    return u.d("xx")


def problem_with(box, *solutions):
    equations = {"first": laplace} if len(solutions) == 1 else {"first": lambda u, v, at: u.d("xx") + v}
    return Problem(geometry=box, equations=equations, reference=exact(*solutions) if solutions else None)


SQUARE = problem_with(Box(x=(-1, 1), y=(0, 3)), lambda at: torch.sin(3 * at.x) * torch.exp(at.y))


def scaled(problem, factor):
    return lambda at, indices: factor * problem.reference.taylor(at, indices)


class ValuesOnly(Reference):
    """A reference that has no derivatives."""

    name, error, error_source, smooth = "tabulated", 1e-3, "none", False

    def taylor(self, at, indices):
        if len(indices) > 1:
            raise KanpdeError("the table has no derivatives.")
        return SQUARE.reference.taylor(at, indices)


@pytest.mark.parametrize(
    "problem",
    [
        problem_with(Box(x=(0, 2)), lambda at: torch.exp(at.x)),
        SQUARE,
        problem_with(Box(x=(0, 1), y=(0, 1), t=(0, 1)), lambda at: at.x * at.y + at.t),
        problem_with(Box(a=(0, 1), b=(0, 1), c=(0, 1), x=(0, 1)), lambda at: at.a * at.b + at.c * at.x),
        problem_with(Box(x=(0, 1), t=(0, 1)), lambda at: at.x + at.t, lambda at: torch.cos(at.x)),
    ],
    ids=["1d", "2d", "3d", "4d", "two unknowns"],
)
def test_one_percent_off_is_an_error_of_one_percent(problem):
    off = errors(scaled(problem, 1.01), problem)
    assert off.rel_l2 == pytest.approx(0.01, rel=1e-10)
    assert off.rel_h1 == pytest.approx(0.01, rel=1e-10)
    assert off.note == ""
    right = errors(problem.reference.taylor, problem)
    assert (right.rel_l2, right.rel_h1, right.max_error) == (0.0, 0.0, 0.0)


def test_each_unknown_has_its_own_error():
    box = Box(x=(0, 1), t=(0, 1))
    problem = problem_with(box, lambda at: at.x + at.t, lambda at: 10 * torch.cos(at.x))
    factors = torch.tensor([1.01, 1.0002], dtype=torch.float64)
    off = errors(scaled(problem, factors), problem)
    assert list(off.each) == ["u", "v"]
    assert off.each["u"] == pytest.approx(0.01, rel=1e-10)
    assert off.each["v"] == pytest.approx(0.0002, rel=1e-10)
    assert off.each["v"] < off.rel_l2 < off.each["u"]


def test_an_unknown_that_is_zero_has_no_relative_error():
    problem = problem_with(Box(x=(0, 1)), lambda at: 1 + at.x, lambda at: 0 * at.x)
    off = errors(lambda at, indices: problem.reference.taylor(at, indices) + 1e-3, problem)
    assert math.isfinite(off.rel_l2)
    assert off.each["u"] > 0
    assert math.isnan(off.each["v"])


def test_norms_are_integrals():
    box = Box(x=(0, 1), y=(0, 2))
    problem = problem_with(box, lambda at: torch.ones_like(at.x))
    solution = exact(lambda at: 1 + torch.sin(math.pi * at.x) * at.y)
    found = errors(solution.taylor, problem)
    # int sin^2(pi x) y^2 = 4/3; its gradient adds pi^2 4/3 and 1; int 1 = 2.
    assert found.rel_l2 == pytest.approx(math.sqrt(4 / 3 / 2), rel=1e-12)
    assert found.rel_h1 == pytest.approx(math.sqrt((4 / 3 + math.pi**2 * 4 / 3 + 1) / 2), rel=1e-12)
    assert found.max_error == pytest.approx(2, rel=1e-2)


def test_weights_sum_to_the_volume_and_the_rule_integrates_a_front():
    at, weights = evaluation_rule(Box(x=(-1, 1), t=(0, 1)))
    assert float(weights.sum()) == pytest.approx(2, rel=1e-13)
    width = 0.0064
    assert float((weights / torch.cosh(at.x / width) ** 2).sum()) == pytest.approx(2 * width, rel=1e-2)
    at, weights = evaluation_rule(Box(a=(0, 1), b=(0, 1), c=(0, 1), x=(0, 1)))
    assert float((weights * at.a * at.b * at.c * at.x).sum()) == pytest.approx(1 / 16, rel=1e-4)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_points_are_not_those_of_training(rule):
    at, _ = evaluation_rule(Box(x=(0, 1)))
    for count in (20, 64, 180, 360):
        training, _ = RULES[rule](count, 1, 0)
        assert float((at.x[:, None] - training[:, 0]).abs().min()) > 1e-12


def test_a_reference_without_derivatives_gives_no_h1_error_and_says_so():
    found = errors(scaled(SQUARE, 1.01), SQUARE, reference=ValuesOnly())
    assert found.rel_l2 == pytest.approx(0.01, rel=1e-10)
    assert math.isnan(found.rel_h1)
    assert "the table has no derivatives" in found.note


def test_no_reference_and_wrong_shapes_are_refused():
    with pytest.raises(KanpdeError, match="no reference"):
        errors(SQUARE.reference.taylor, replace(SQUARE, reference=None))
    with pytest.raises(KanpdeError, match="channel, point, unknown"):
        errors(lambda at, indices: SQUARE.reference.taylor(at, indices)[..., 0], SQUARE)


def test_a_diverged_solution_has_errors_that_are_nan():
    found = errors(scaled(SQUARE, math.nan), SQUARE)
    assert math.isnan(found.rel_l2)
    assert math.isnan(found.max_error)


def test_the_reference_is_evaluated_once_for_many_methods():
    calls = []

    class Counting(ValuesOnly):
        def taylor(self, at, indices):
            calls.append(len(at))
            return SQUARE.reference.taylor(at, indices)

    measure = ErrorMeasure(SQUARE, Counting())
    for factor in (1.01, 1.02, 1.03):
        measure.of(scaled(SQUARE, factor))
    assert sum(calls) == len(measure.at) + len(SQUARE.middle())


def test_evaluation_is_timed_on_values_in_chunks():
    sizes = []

    def taylor(at, indices):
        assert indices == IndexSet(("x", "y"))
        sizes.append(len(at))
        return SQUARE.reference.taylor(at, indices)

    seconds = evaluation_seconds(taylor, SQUARE, count=20_000)
    assert seconds > 0
    assert sum(sizes) == 4 * 20_000
    assert max(sizes) < 20_000


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_devices_agree():
    on_cpu, on_cuda = (errors(scaled(SQUARE, 1.01), SQUARE, device=device) for device in ("cpu", "cuda"))
    assert on_cuda.rel_l2 == pytest.approx(on_cpu.rel_l2, rel=1e-10)
    assert evaluation_seconds(SQUARE.reference.taylor, SQUARE, count=1000, device="cuda") > 0


def test_methods_are_ranked_above_the_floor_only():
    def method(name, rel_l2, floor=1e-6):
        errors = None if rel_l2 is None else Errors(rel_l2, 0.0, 0.0, floor=floor)
        return Method(name, 1, errors, {}, 1, "")

    rows = [("a", 3e-6), ("b", 9e-7), ("c", None), ("d", 2e-6), ("e", 1e-6), ("f", math.nan)]
    assert ranks([method(*row) for row in rows]) == {"a": 4, "b": None, "c": None, "d": 3, "e": None, "f": None}
    assert ranks([method(*row, floor=0.0) for row in rows[:2]]) == {"a": 2, "b": 1}


def test_errors_carry_that_of_the_reference():
    found = errors(scaled(SQUARE, 1.01), SQUARE, reference=ValuesOnly())
    assert found.floor == 1e-3
    assert not found.at_floor
    assert errors(scaled(SQUARE, 1.0001), SQUARE, reference=ValuesOnly()).at_floor
