"""Every file in problems/ says where it comes from, has points for all it asks, and a reference that satisfies it."""

import ast
from pathlib import Path

import pytest
import torch
from examples import SPECTRAL, with_long_references_slow
from torch import Tensor

import kanpde
from kanpde import Box, KanpdeError, Problem
from kanpde.check import constraint_of_reference, jump_of_reference
from kanpde.library import load_problem
from kanpde.model import Ansatz
from kanpde.multiindex import IndexSet
from kanpde.problem import Periodic
from kanpde.reference import ladder
from kanpde.reference.exact import Exact
from kanpde.sampling import PointSet, draw

FILES = sorted((Path(kanpde.__file__).parents[1] / "problems").glob("[!_]*.py"))
NAMES = [path.stem for path in FILES]


def test_there_are_problems() -> None:
    assert {"poisson2d", "poisson2d_sinsin", "helmholtz2d", "heat1d", "burgers1d"} <= set(NAMES)


@pytest.fixture(
    scope="module",
    params=with_long_references_slow(NAMES, SPECTRAL),
)
def problem(request: pytest.FixtureRequest) -> Problem:
    return load_problem(request.param)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_it_says_what_it_is_and_where_it_comes_from(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.splitlines()[0].endswith(".")
    assert "Source:" in docstring


def point_sets(problem: Problem, like: Tensor) -> dict[str, PointSet]:
    box = problem.geometry
    sets = {label: draw((box.interior(),), box.names, "sobol", 200, 0, like) for label in problem.equations}
    for label, condition in problem.conditions.items():
        if isinstance(condition, Periodic):
            continue
        sets[label] = draw(box.boundary(condition.where), box.names, "sobol", 40, 0, like)
    return sets


def residual(problem: Problem, label: str, points: PointSet, factor: float = 1.0) -> float:
    """The largest residual of `factor` times the reference, in units of its values and the derivatives that enter."""
    assert problem.reference is not None
    box = problem.geometry
    inside = draw((box.interior(),), box.names, "sobol", 50, 0, points.weights).at
    values = float(problem.reference.taylor(inside, IndexSet(box.names)).abs().max())
    indices = IndexSet(problem.geometry.names, problem.derivatives((label,), points.at))
    u = factor * problem.reference.taylor(points.at, indices)
    size = float((u * u.new_tensor(indices.factorials)[:, None, None]).abs().max())
    return float(problem.residual_function(label)(*problem.fields(indices, u), points.at).abs().max()) / max(
        size, values
    )


def test_samples_lie_inside_and_every_condition_has_points(problem: Problem, device: torch.device) -> None:
    assert problem.unknowns
    assert problem.order >= 1 if problem.equations else problem.order == 0 and problem.data >= 100
    for points in point_sets(problem, torch.zeros((), dtype=torch.float64, device=device)).values():
        assert len(points.at) > 0
        assert bool(problem.geometry.contains(points.at.array()).all())
        assert float(points.weights.sum()) == pytest.approx(1)


def test_the_reference_states_a_small_error(problem: Problem) -> None:
    reference = problem.reference
    assert reference is not None
    assert 0 < reference.error <= 1e-6
    assert reference.name
    assert reference.error_source


def test_a_smooth_reference_satisfies_the_problem(problem: Problem, device: torch.device) -> None:
    assert problem.reference is not None
    if not problem.reference.smooth:
        pytest.skip("the reference has no derivatives")
    tolerance = 1e-12 if isinstance(problem.reference, Exact) else max(1e-9, problem.reference.error)
    sets = point_sets(problem, torch.zeros((), dtype=torch.float64, device=device))
    for label, points in sets.items():
        assert residual(problem, label, points) <= tolerance, label
    # One percent more is seen, by the equations or, where these are homogeneous, by the conditions.
    assert not sets or max(residual(problem, label, points, 1.01) for label, points in sets.items()) > 1e-3


def test_a_smooth_reference_satisfies_the_constraints(problem: Problem) -> None:
    assert problem.reference is not None
    if not problem.reference.smooth:
        pytest.skip("the reference has no derivatives")
    for label, constraint in problem.constraints.items():
        groups = constraint.groups(problem.geometry)
        missed = constraint_of_reference(problem, label, groups)
        assert missed is not None
        assert missed <= max(1e-12, constraint.tolerance)
        indices = IndexSet(problem.geometry.names, problem.derivatives((label,), groups.at))
        u = problem.reference.taylor(groups.at, indices)
        u[0] += 0.01 + 10 * constraint.tolerance  # a shift is seen
        sums = groups.sums(problem.residual_function(label)(*problem.fields(indices, u), groups.at))
        assert float(sums.abs().max()) > max(1e-3, constraint.tolerance)


def test_the_reference_of_a_periodic_problem_is_periodic(problem: Problem) -> None:
    box = problem.geometry
    like = torch.zeros((), dtype=torch.float64)
    for name in problem.periodic:
        faces = draw(box.boundary(f"{name}-"), box.names, "sobol", 40, 0, like)
        jump = jump_of_reference(problem, name, faces)
        assert jump is not None
        assert jump <= 1e-12
        # A little inside the face the derivatives are others, so agreement is not for want of a look.
        inside = PointSet(faces.at.moved(**{name: getattr(faces.at, name) + 0.01}), faces.weights)
        shifted = jump_of_reference(problem, name, inside)
        assert shifted is not None
        assert shifted > 1e-6


NO_FINITE_ELEMENTS = {
    "advection": "second order in space",
    "biharmonic_plate": "u_yyyy",
    "burgers_inverse": "it finds no unknown scalars, and the equation has nu",
    "cahn_hilliard": "u_xxxx",
    "eikonal": "second order in space",
    "kdv": "u_xxx",
    "klein_gordon": "u_tt",
    "kuramoto_sivashinsky": "u_xxxx",
    "lotka_volterra": "second order in space",
    "oscillator": "u_tt",
    "poisson5d": "1 to 3 space dimensions",
    "poisson_interface": "do not give the conormal derivatives",
    "poisson_inverse": "one equation for each unknown",
    "taylor_green": "second derivative of another unknown in each equation",
    "wave1d": "u_tt",
    "wave2d": "u_tt",
}


def test_finite_elements_apply_or_say_why_not(problem: Problem) -> None:
    why = NO_FINITE_ELEMENTS.get(problem.name, None if problem.equations else "one equation for each unknown")
    if why is not None:
        with pytest.raises(KanpdeError, match=why):
            ladder(problem)
    else:
        assert ladder(problem)


def test_the_ansatz_is_finite_up_to_the_boundary(problem: Problem) -> None:
    """Also a lift that is not smooth at the start."""
    box = problem.geometry
    for name in (*box.space, *([box.time] if box.time else [])) if isinstance(box, Box) else ["all"]:
        at = draw(box.boundary(name), box.names, "uniform", 9, 0, torch.zeros((), dtype=torch.float64)).at
        units = [tuple(int(i == j) for i in range(box.dimension)) for j in range(box.dimension)]
        frame = Ansatz(problem).frame(IndexSet(box.names, units), at)
        assert bool(torch.isfinite(frame.lift).all() and torch.isfinite(frame.factor).all()), name


def test_the_ansatz_has_values_in_the_corners(problem: Problem) -> None:
    """Pictures show them, and derivatives may be infinite there."""
    box = problem.geometry
    sides = [torch.tensor(ends, dtype=torch.float64) for ends in zip(box.lower, box.upper, strict=True)]
    corners = torch.cartesian_prod(*sides).reshape(-1, box.dimension)
    at = kanpde.Points.of(box.names, corners[box.contains(corners)])
    frame = Ansatz(problem).frame(IndexSet(box.names), at)
    assert bool(torch.isfinite(frame.lift).all() and torch.isfinite(frame.factor).all())


def test_the_reference_is_defined_by_value_everywhere(problem: Problem) -> None:
    assert problem.reference is not None
    box = problem.geometry
    sides = [torch.linspace(a, b, 5, dtype=torch.float64) for a, b in zip(box.lower, box.upper, strict=True)]
    corners = kanpde.Points.of(box.names, torch.cartesian_prod(*sides).reshape(-1, box.dimension))
    values = problem.reference.taylor(corners, IndexSet(box.names))
    assert values.shape == (1, len(corners), len(problem.unknowns))
    assert bool(torch.isfinite(values).all())
