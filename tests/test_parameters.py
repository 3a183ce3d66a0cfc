"""Parameters: coordinates of a domain without a boundary, and problems that hold for every value of them."""

import json
from collections.abc import Callable
from math import pi
from pathlib import Path

import h5py
import pytest
import torch
from torch import Tensor

from kanpde import (
    KAN,
    Box,
    Budget,
    Disk,
    KanpdeError,
    LevenbergMarquardt,
    Points,
    Problem,
    dirichlet,
    initial,
    mean,
    neumann,
    observe,
    parameter,
    periodic,
    solve,
)
from kanpde.cli import main
from kanpde.geometry import Geometry, at_known_values, ends_of, values_of, without_parameters
from kanpde.library import load_problem
from kanpde.metrics import ErrorMeasure, errors
from kanpde.model import Ansatz
from kanpde.multiindex import IndexSet
from kanpde.record import sample_solution
from kanpde.reference import exact, solve_fem
from kanpde.reference.fem import Resolution

STRIP = Box(x=(0, 1), t=(0, 2)) * parameter(nu=(0.1, 0.3))
ROUND = Disk() * Box(t=(0, 1)) * parameter(a=(1, 2), b=(0, 1))


def heat(u, at):
    return u.d("t") - at.nu * u.d("xx")


def solution(at: Points) -> Tensor:
    return torch.exp(-at.nu * pi**2 * at.t) * torch.sin(pi * at.x)


def strip(geometry: Geometry = STRIP, **more: object) -> Problem:
    conditions = {"start": initial(lambda at: torch.sin(pi * at.x)), "walls": dirichlet("all", 0.0)}
    return Problem(geometry, {"heat": heat}, conditions, **more)  # type: ignore[arg-type]


def test_a_domain_has_its_parameters_as_coordinates_without_a_boundary() -> None:
    assert STRIP.names == ("x", "t", "nu")
    assert (STRIP.parameters, STRIP.space, STRIP.time) == (("nu",), ("x",), "t")
    assert list(STRIP.boundaries) == ["x-", "x+", "x", "t-", "t+", "t", "all"]
    assert repr(STRIP) == "Box(x=(0, 1), t=(0, 2)) * parameter(nu=(0.1, 0.3))"
    assert (ROUND.parameters, ROUND.space, ROUND.time) == (("a", "b"), ("x", "y"), "t")
    assert list(ROUND.boundaries) == ["all", "t-", "t+", "t"]
    assert ROUND.measure == pytest.approx(pi)
    assert (Disk() * parameter(a=(0, 1000))).size == 2
    assert bool(ROUND.contains(ROUND.sample(100)).all())
    (rim,) = ROUND.boundary("all")
    normals = rim.normals(torch.rand(5, rim.dimension, dtype=torch.float64))
    assert normals is not None
    assert normals.shape == (5, 5)
    assert bool((normals[:, 2:] == 0).all())


def test_without_parameters_the_domain_is_left() -> None:
    assert repr(without_parameters(STRIP)) == "Box(x=(0, 1), t=(0, 2))"
    assert repr(without_parameters(ROUND)) == "(Disk((0, 0), 1) * Box(t=(0, 1)))"
    assert without_parameters(Disk() * parameter(a=(0, 1))).names == ("x", "y")
    assert without_parameters(parameter(a=(0, 1)) * Box(x=(0, 1)).named("bar")).label == "bar"
    assert STRIP.until(0.5).parameters == ("nu",)
    assert STRIP.until(0.5).upper == (1, 1, 0.3)


def test_values_are_those_of_a_quadrature_rule() -> None:
    values = values_of(STRIP)
    assert [value["nu"] for value, _ in values[::2]] == pytest.approx([0.1, 0.2, 0.3])
    for power in range(8):
        integral = (0.3 ** (power + 1) - 0.1 ** (power + 1)) / (power + 1) / 0.2
        assert sum(weight * value["nu"] ** power for value, weight in values) == pytest.approx(integral, rel=1e-12)
    assert len(values_of(ROUND)) == 9
    assert sum(weight for _, weight in values_of(ROUND)) == pytest.approx(1)
    assert [len(ends_of(domain)) for domain in (STRIP, ROUND, Disk())] == [3, 3, 1]
    assert values_of(Disk()) == [({}, 1.0)]
    many = Box(x=(0, 1)) * parameter(**dict.fromkeys("abcd", (0, 1)))
    assert [list(value.values()) for value, _ in values_of(many)] == [[0] * 4, [0.5] * 4, [1] * 4]
    points = at_known_values(STRIP, torch.tensor([[0.3, 1.0, 0.11], [0.3, 1.0, 0.19]], dtype=torch.float64))
    assert points[:, 2].tolist() == pytest.approx([0.1, 0.2])


def refuse_mean() -> Problem:
    return strip(constraints={"c": mean()})


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: parameter(t=(0, 1)), "'t' is the time"),
    (lambda: parameter(nu=(1, 1)), r"the interval nu=\(1, 1\) is empty"),
    (lambda: STRIP.boundary("nu"), "unknown boundary 'nu'"),
    (lambda: STRIP - STRIP, "multiply with parameters what has been combined"),
    (lambda: without_parameters(parameter(nu=(0, 1))), "is no domain times the parameters nu"),
    (lambda: strip().fixed(), r"fixed\(\): give a value of each parameter, nu"),
    (lambda: strip().fixed(mu=1.0), "give a value of each parameter, nu"),
    (refuse_mean, "has the parameters nu, and a mean is for one value"),
    (lambda: strip(constraints={"c": observe([[0.5, 1.0]], [1.0])}), "2 coordinates: give x, t, nu of each point"),
    (
        lambda: strip(constraints={"c": observe([[0.5, 1.0, 0.2]], [1.0])}).fixed(nu=0.2),
        "the constraint 'c' may hold at other values",
    ),
    (lambda: Problem(STRIP, {"heat": heat}, {"p": periodic("nu")}), "unknown boundary 'nu'"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_bad_parameters_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        make()


def test_at_fixed_values_a_problem_has_no_parameters() -> None:
    lifted = {"start": initial(solution), "flux": neumann("x+", lambda at: at.nu * at.t), "wall": dirichlet("x-")}
    problem = Problem(STRIP, {"heat": heat}, lifted).fixed(nu=0.2)
    assert problem.geometry.names == ("x", "t")
    assert problem.unknowns == ("u",)
    at = Points.of(("x", "t"), torch.tensor([[0.3, 0.5], [0.6, 1.0]], dtype=torch.float64))
    value = problem.conditions["flux"].value
    assert callable(value)
    assert value(at).tolist() == pytest.approx([0.1, 0.2])
    indices = problem.indices
    u = exact(lambda at: torch.exp(-0.2 * pi**2 * at.t) * torch.sin(pi * at.x)).taylor(at, indices)
    residual = problem.residual_function("heat")
    assert float(residual(*problem.fields(indices, u), at).abs().max()) < 1e-13
    assert float(residual(*problem.fields(indices, u), at.moved(t=at.t + 1)).abs().max()) < 1e-13


def random_solution(problem: Problem) -> Callable[[Points, IndexSet], Tensor]:
    """Return the ansatz of a problem with a network of random parameters."""
    model, geometry = KAN(grid=3, products=2).suited(problem), problem.geometry
    lower, upper = (torch.tensor(side, dtype=torch.float64) for side in (geometry.lower, geometry.upper))
    network = model.network(lower, upper, 1, model.stages()[0], [], 0)
    theta = torch.randn(network.parameters, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ansatz = Ansatz(problem)
    return lambda at, indices: ansatz.taylor(network, theta, at, indices)


def around(u, at):
    return u.d("t") - at.a * (u.d("xx") + u.d("yy")) - at.b


def test_hard_conditions_hold_for_every_value() -> None:
    rim = dirichlet("all", lambda at: at.a * at.x)
    problems = {
        "box": Problem(STRIP, {"heat": heat}, {"s": initial(solution), "w": dirichlet("x", lambda at: at.nu * at.t)}),
        "disk": Problem(ROUND, {"e": around}, {"start": initial(lambda at: at.a * at.x), "rim": rim}),
    }
    for name, problem in problems.items():
        u = random_solution(problem)
        assert not Ansatz(problem).soft, name
        for condition in problem.conditions.values():
            for patch in problem.geometry.boundary(condition.where):
                unit = torch.rand(50, patch.dimension, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
                at = Points.of(problem.geometry.names, patch.place(unit))
                assert callable(condition.value)
                miss = u(at, IndexSet(at.names))[0, :, 0] - condition.value(at)
                assert float(miss.abs().max()) < 1e-9, (name, condition.kind)


def test_errors_are_those_over_all_values_and_of_each() -> None:
    problem = strip(reference=exact(solution))
    found = errors(exact(lambda at: (1 + at.nu) * solution(at)).taylor, problem)
    assert list(found.at_values) == [
        "nu = 0.1", "nu = 0.1345", "nu = 0.2", "nu = 0.2655", "nu = 0.3"
    ]  # fmt: skip
    assert [found.at_values[f"nu = {nu}"] for nu in (0.1, 0.2, 0.3)] == pytest.approx([0.1, 0.2, 0.3], rel=1e-12)
    assert 0.1 < found.rel_l2 < 0.3
    # Derivatives by a parameter, of which 1 + nu has one, are no part of the norm: the error is nu u at each value.
    assert found.rel_h1 < max(found.at_values.values())
    assert not errors(exact(lambda at: at.x).taylor, Problem(Box(x=(0, 1)), {"e": lambda u, at: u.d("x") - 1},
                                                             reference=exact(lambda at: at.x))).at_values  # fmt: skip


def test_finite_elements_are_solved_for_each_value() -> None:
    problem = strip(reference=exact(solution))
    fem = solve_fem(problem, 2, 16)
    assert (fem.name, fem.dofs) == (
        "fem-p2-16",
        sum(solve_fem(problem.fixed(**v), 2, 16).dofs for v, _ in values_of(STRIP)),
    )
    measured = ErrorMeasure(problem).of(fem.taylor)
    assert 1e-6 < measured.rel_l2 < 1e-3
    assert max(measured.at_values.values()) < 1e-3
    assert measured.rel_l2 / 10 < fem.error < 10 * measured.rel_l2


def test_samples_hold_the_ends_and_the_middle() -> None:
    sample = sample_solution(exact(solution).taylor, strip(reference=exact(solution)))
    assert sample.unknowns == ("u at nu = 0.1", "u at nu = 0.2", "u at nu = 0.3")
    assert (sample.names, sample.shape) == (("x", "t"), (201, 201))
    assert sample.solution.shape == (201 * 201, 3)
    at = Points.of(STRIP.names, torch.tensor([[0.5, 1.0, 0.3]], dtype=torch.float64))
    middle = sample.solution.reshape(201, 201, 3)[100, 100]
    assert middle[2] == pytest.approx(float(solution(at)))
    assert middle[0] > middle[1] > middle[2]


def test_a_parametric_problem_is_solved_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kanpde.record.GRID", {2: 41})
    monkeypatch.setattr("kanpde.run.PICTURES", ("solution",))
    monkeypatch.setattr("kanpde.compare.ladder", lambda _: (Resolution(1, 8),))
    monkeypatch.setattr("kanpde.compare.evaluation_seconds", lambda *_: 0.0)
    monkeypatch.setattr("kanpde.run.evaluation_seconds", lambda *_: 0.0)
    small = ["model.grid=3", "model.degree=[5,1]", "model.products=2", "budget.iterations=3", "threads=1", "out=run"]
    assert main(["problem=heat1d_parametric", "baseline=fem", *small]) == 0
    said = capsys.readouterr().out
    assert "parameter(nu=(0.01, 0.1))" in said
    assert "at nu = 0.055" in said
    results = json.loads(Path("run/results.json").read_text())
    assert [row["name"] for row in results["methods"]] == ["kan", "fem-p1-8"]
    assert all(len(row["rel_l2_at_values"]) == 5 for row in results["methods"])
    with h5py.File("run/solution.h5") as file:
        assert file["solution"].shape[1] == 3


@pytest.mark.slow
def test_one_network_solves_heat_conduction_for_all_diffusivities() -> None:
    run = solve("heat1d_parametric", threads=1)
    assert run.errors is not None
    assert run.errors.rel_l2 < 1e-6
    assert run.u(0.5, 0.0, 0.07) == pytest.approx(0.5)


def test_training_reduces_the_error_at_all_values() -> None:
    run = solve(
        load_problem("heat1d_parametric"),
        KAN(grid=2, degree=(7, 1), products=6),
        LevenbergMarquardt(starts=1),
        budget=Budget(iterations=60),
        threads=1,
    )
    assert run.errors is not None
    assert max(run.errors.at_values.values()) < 0.1
