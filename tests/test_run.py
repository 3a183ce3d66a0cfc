"""`solve`: interrupted runs end where whole ones do, checkpoints of other runs are refused, solutions evaluate."""

from collections.abc import Iterator
from dataclasses import replace
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from domains import ring_arrays
from examples import small_kan
from oracles import close

import kanpde.run
import kanpde.training_points
from kanpde import (
    KAN,
    MLP,
    Adam,
    Box,
    Budget,
    Disk,
    Field,
    KanpdeError,
    LevenbergMarquardt,
    LShape,
    Points,
    Problem,
    Run,
    Sampling,
    dirichlet,
    neumann,
    observe,
    scalar,
    solve,
)
from kanpde.geometry import Mesh
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.plot import STYLE
from kanpde.position import Row
from kanpde.reference import exact
from kanpde.run import PICTURES

SETTINGS: dict[str, Any] = {
    "model": small_kan(width=(2,), grid=4, degree=(7, 4), start_grid=2),
    "solver": LevenbergMarquardt(starts=2, start_iterations=5, stage_iterations=25),
    "sampling": Sampling(least=150),
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Leave out what these tests are not about, and write every checkpoint that is offered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kanpde.run, "evaluation_seconds", lambda *_: 1.0)
        patch.setattr(kanpde.run, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 200)
        yield


@pytest.fixture(scope="module")
def whole(_quick: None) -> Run:
    return solve("poisson2d_sinsin", **SETTINGS)


def test_a_run_says_what_was_found(whole: Run) -> None:
    assert whole.errors is not None
    assert whole.errors.rel_l2 < 5e-2
    assert whole.method.parameters == whole.history[-1]["parameters"] == len(whole.theta)
    assert whole.method.iterations == len(whole.history)
    assert whole.method.stopped
    assert set(whole.method.seconds) == {"setup", "train", "evaluate_1e5"}
    assert {"stage", "iteration", "seconds", "loss", "held_out", "parameters"} <= set(whole.history[0])
    assert {row["stage"] for row in whole.history} == {0, 1, 2}


@pytest.mark.parametrize(("place", "stage"), [(2, 0), (7, 0), (18, 1), (38, 2)])
def test_an_interrupted_run_ends_where_a_whole_one_does(whole: Run, place: int, stage: int, tmp_path: Path) -> None:
    assert whole.history[place - 1]["stage"] == stage
    assert place < whole.method.iterations

    def interrupt(row: Row) -> None:
        if row.iteration == place:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        solve("poisson2d_sinsin", **SETTINGS, progress=interrupt, checkpoint=checkpoint)
    assert checkpoint.is_file() == (place > 5)  # the first random start has five iterations
    rows: list[Row] = []
    resumed = solve("poisson2d_sinsin", **SETTINGS, progress=rows.append, checkpoint=checkpoint)
    assert torch.equal(resumed.theta, whole.theta)
    assert resumed.method.iterations == whole.method.iterations
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in whole.history]
    assert (rows[0].iteration > 1) == (place > 5)
    assert len(rows) < whole.method.iterations or place <= 5


def test_a_finished_checkpoint_gives_the_run_at_once(whole: Run, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    solve("poisson2d_sinsin", **SETTINGS, checkpoint=checkpoint)
    rows: list[Row] = []
    again = solve("poisson2d_sinsin", **SETTINGS, progress=rows.append, checkpoint=checkpoint)
    assert rows == []
    assert torch.equal(again.theta, whole.theta)


def test_a_larger_budget_prolongs_a_run(whole: Run, tmp_path: Path) -> None:
    checkpoint, short = tmp_path / "checkpoint.pt", Budget(iterations=20)
    first = solve("poisson2d_sinsin", **SETTINGS, budget=short, checkpoint=checkpoint)
    assert first.method.stopped == "budget of 20 iterations"
    prolonged = solve("poisson2d_sinsin", **SETTINGS, checkpoint=checkpoint)
    assert torch.equal(prolonged.theta, whole.theta)
    assert prolonged.method.iterations == whole.method.iterations > 20


def test_slabs_and_corrections_are_resumed_from_a_file(tmp_path: Path) -> None:
    checkpoint, place = tmp_path / "checkpoint.pt", 35
    settings: dict[str, Any] = {**SETTINGS, "slabs": [0.4], "corrections": 1, "budget": Budget(iterations=48)}
    whole = solve("wave1d", **settings)
    assert whole.method.iterations == 48
    assert whole.history[place]["slab"] == 2

    def interrupt(row: Row) -> None:
        if row.iteration == place:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve("wave1d", **settings, progress=interrupt, checkpoint=checkpoint)
    resumed = solve("wave1d", **settings, checkpoint=checkpoint)
    assert torch.equal(resumed.theta, whole.theta)
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in whole.history]
    assert resumed.method.parameters == len(whole.theta) == 4 * whole.history[-1]["parameters"]
    assert resumed.u(0.3, 0.0) == pytest.approx(np.sin(0.3 * np.pi) + 0.5 * np.sin(1.2 * np.pi), abs=1e-13)
    with pytest.raises(KanpdeError, match=r"belongs to another run: slabs is \[0.4\], here 2"):
        solve("wave1d", **{**settings, "slabs": 2}, checkpoint=checkpoint)


def test_a_problem_with_other_arguments_is_another_one() -> None:
    model, solver = SETTINGS["model"], SETTINGS["solver"]
    one, other = (
        kanpde.run.fingerprint(load_problem("burgers1d", nu=nu), model, solver, Sampling(), "hard", 0)
        for nu in (0.02, 0.5)
    )
    assert one["problem"] != other["problem"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": "helmholtz2d"}, "belongs to another run: problem is poisson2d_sinsin {} on"),
        ({"model": small_kan(width=(3,), grid=4, degree=(7, 4))}, "belongs to another run: model is KAN"),
        ({"solver": Adam()}, "belongs to another run: solver is Levenberg"),
        ({"sampling": Sampling(rule="gauss")}, "belongs to another run: sampling is"),
        ({"conditions": "soft"}, "belongs to another run: conditions is hard, here soft"),
        ({"seed": 1}, "belongs to another run: seed is 0, here 1"),
        ({"corrections": 1}, "belongs to another run: corrections is 0, here 1"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    checkpoint, short = tmp_path / "checkpoint.pt", Budget(iterations=1)
    solve("poisson2d_sinsin", **SETTINGS, budget=short, checkpoint=checkpoint)
    with pytest.raises(KanpdeError, match=message):
        solve(**{"problem": "poisson2d_sinsin", **SETTINGS, **change}, checkpoint=checkpoint)


@pytest.mark.parametrize("keep", [0, 100, -10], ids=["empty", "cut short", "end missing"])
def test_a_damaged_checkpoint_is_refused(keep: int, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    solve("poisson2d_sinsin", **SETTINGS, budget=Budget(iterations=1), checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:keep])
    with pytest.raises(KanpdeError, match=r"checkpoint\.pt") as caught:
        solve("poisson2d_sinsin", **SETTINGS, checkpoint=checkpoint)
    assert "\n" not in str(caught.value)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    torch.save({"weights": torch.zeros(3)}, checkpoint)
    with pytest.raises(KanpdeError, match="is not a checkpoint"):
        solve("poisson2d_sinsin", **SETTINGS, checkpoint=checkpoint)


def test_solutions_evaluate_what_they_are_given(whole: Run) -> None:
    value = whole.u(0.3, -0.2)
    assert isinstance(value, float)
    assert value == pytest.approx(np.sin(np.pi * 0.3) * np.sin(-np.pi * 0.2), abs=0.05)
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    array = whole.u(x, -0.2)
    assert isinstance(array, np.ndarray)
    assert array.shape == (2, 3)
    tensor = whole.u(torch.from_numpy(x), torch.full((2, 3), -0.2))
    assert isinstance(tensor, torch.Tensor)
    assert np.allclose(array, tensor.numpy(), atol=1e-7)  # the second was given in float32
    assert whole.u([0.3, 0.3], [-0.2, -0.2]).tolist() == pytest.approx([value, value], rel=1e-9)
    many = whole.u(np.full(20_000, 0.3), -0.2)
    assert np.allclose(many, value, rtol=0, atol=1e-9)
    assert whole.u(1.0, 0.3) == 0.0


def test_wrong_calls_of_a_solution(whole: Run) -> None:
    with pytest.raises(KanpdeError, match=r"u\(x, y\) takes 2 coordinates, 1 were given"):
        whole.u(0.3)
    with pytest.raises(AttributeError, match="no attribute 'v'; the unknowns are u"):
        whole.v(0.3, 0.1)


def test_several_unknowns_are_functions_of_their_own() -> None:
    problem = Problem(
        Box(x=(0, 1)),
        {"first": lambda u, v, at: u.d("x") - v, "second": lambda v, at: v.d("x") - 1.0},
        {"u": dirichlet("x-", 1.0, "u"), "v": dirichlet("x-", 0.0, "v")},
        reference=exact(lambda at: 1 + at.x**2 / 2, lambda at: at.x),
    )
    run = solve(problem, **SETTINGS)
    assert run.u(0.5) == pytest.approx(1.125, abs=1e-8)
    assert run.v(0.5) == pytest.approx(0.5, abs=1e-8)
    assert run.errors is not None
    assert run.errors.rel_l2 < 1e-8


def test_poisson_on_a_disk_and_runs_on_an_l_shape_are_reproduced() -> None:
    def poisson(u: Field, at: Points) -> torch.Tensor:
        return -(u.d("xx") + u.d("yy")) - 1

    def parabola(at: Points) -> torch.Tensor:
        return (1 - at.x**2 - at.y**2) / 4

    conditions = {"walls": dirichlet("all")}
    disk = solve(Problem(Disk(), {"poisson": poisson}, conditions, reference=exact(parabola)), **SETTINGS)
    assert disk.errors is not None
    assert disk.errors.rel_l2 < 1e-12
    budget = Budget(iterations=8)
    runs = [solve(Problem(LShape(), {"poisson": poisson}, conditions), budget=budget, **SETTINGS) for _ in range(2)]
    assert torch.equal(runs[0].theta, runs[1].theta)


def test_a_mesh_in_soft_conditions() -> None:
    """Laplace's equation in an imported ring with the solution x + 2 y, with a flux on a part of the boundary."""

    def u(at: Points) -> torch.Tensor:
        return at.x + 2 * at.y

    conditions = {
        "inner": dirichlet("inner", u),
        "outer": neumann("outer", lambda at: at.normal[:, 0] + 2 * at.normal[:, 1]),
    }
    equations = {"laplace": lambda u, at: u.d("xx") + u.d("yy")}
    problem = Problem(Mesh(*ring_arrays()), equations, conditions, reference=exact(u))
    run = solve(problem, **SETTINGS)
    assert run.errors is not None
    assert run.errors.rel_l2 < 1e-6


def test_a_problem_without_a_reference_has_no_errors() -> None:
    problem = Problem(Box(x=(0, 1)), {"e": lambda u, at: u.d("xx") - 1.0}, {"w": dirichlet("x", 0.0)})
    run = solve(problem, **{**SETTINGS, "budget": Budget(iterations=3)})
    assert run.errors is None
    assert run.u(0.0) == 0.0


def test_devices_agree(device: torch.device) -> None:
    if device.type == "cpu":
        pytest.skip("there is only a CPU")
    settings = {**SETTINGS, "solver": LevenbergMarquardt(starts=1, start_iterations=2), "budget": Budget(iterations=2)}
    here, there = (solve("poisson2d_sinsin", **{**settings, "device": name}) for name in ("cpu", device.type))
    x = np.linspace(-1, 1, 21)
    assert np.allclose(here.u(x, 0.3), there.u(x, 0.3), rtol=0, atol=1e-10)


def test_wrong_devices_are_refused() -> None:
    with pytest.raises(KanpdeError, match="unknown device 'gpu'"):
        solve("poisson2d_sinsin", **{**SETTINGS, "device": "gpu"})
    if not torch.cuda.is_available():
        with pytest.raises(KanpdeError, match="cuda"):
            solve("poisson2d_sinsin", **{**SETTINGS, "device": "cuda"})


def test_settings_are_not_shared_between_runs(whole: Run) -> None:
    other = solve("poisson2d_sinsin", **{**SETTINGS, "seed": 1, "budget": Budget(iterations=5)})
    assert not torch.equal(other.theta[:5], whole.theta[:5])
    assert replace(whole).u(0.1, 0.1) == whole.u(0.1, 0.1)


@pytest.mark.parametrize(
    "model",
    [
        small_kan(width=(2,), grid=6, degree=(5, 3), start_grid=6),
        small_kan(width=(1,), products=2, grid=(4, 1), degree=(5, 3), start_grid=4, basis="fourier"),
        MLP(width=(6,)),
    ],
    ids=["splines", "waves", "mlp"],
)
def test_solutions_on_a_circle_are_periodic(model: KAN | MLP) -> None:
    run = solve(
        load_problem("advection", beta=1.0),
        **{**SETTINGS, "model": model, "solver": LevenbergMarquardt(starts=1, start_iterations=0)},
        budget=Budget(iterations=12),
    )
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    indices = IndexSet(("x", "t"), [(3, 0), (1, 1)])
    faces = [Points.of(("x", "t"), torch.stack([torch.full_like(t, x), t], dim=1)) for x in (0.0, 2 * pi)]
    left, right = (run.taylor(at, indices) for at in faces)
    for c, index in enumerate(indices.indices):
        assert close(left[c], right[c], 1e-11), index
    middle = run.taylor(Points.of(("x", "t"), torch.stack([torch.full_like(t, 0.1), t], dim=1)), indices)
    assert not close(left, middle, 1e-3)
    assert run.errors is not None
    assert run.errors.rel_l2 < 0.05


def decay(k: float, exact_known: bool = True) -> Problem:
    """u_x = -k u with u = exp(-2 x), k = 2 unknown, u observed at three points, two of them off the axis."""
    x = [0.25, 0.5, 1.0]
    return Problem(
        Box(x=(0, 1), y=(0, 1)),
        {"decay": lambda u, k, at: u.d("x") + k * u},
        {"start": dirichlet("x-", 1.0)},
        constraints={"seen": observe({"x": x, "y": [0.0, 0.3, 1.0]}, np.exp(-2 * np.array(x)))},
        scalars={"k": scalar(k, exact=2.0 if exact_known else None)},
        reference=exact(lambda at: torch.exp(-2 * at.x)),
    )


@pytest.mark.parametrize("model", [SETTINGS["model"], MLP(width=(4, 4))])
def test_an_unknown_scalar_is_found_with_the_solution(model: KAN | MLP) -> None:
    for start in (0.5, 5.0):
        run = solve(decay(start), **{**SETTINGS, "model": model, "budget": Budget(iterations=80)})
        assert set(run.scalars) == {"k"}
        assert run.scalars["k"] == pytest.approx(2.0, abs=1e-4)
        assert run.scalars["k"] != pytest.approx(2.02, abs=1e-4)
        assert run.errors is not None
        assert set(run.errors.each) == {"u"}
        assert run.errors.rel_l2 < 1e-4
        assert run.taylor(run.problem.middle(), IndexSet(("x", "y"))).shape == (1, 3, 1)
        with pytest.raises(AttributeError, match="the unknowns are u"):
            run.k(0.5, 0.5)


def test_an_interrupted_inverse_run_ends_where_a_whole_one_does(tmp_path: Path) -> None:
    settings = {**SETTINGS, "solver": LevenbergMarquardt(starts=2, start_iterations=2, stage_iterations=5)}
    whole = solve(decay(0.5), **settings)
    file = tmp_path / "checkpoint.pt"
    solve(decay(0.5), **settings, budget=Budget(iterations=6), checkpoint=file)
    found = solve(decay(0.5), **settings, checkpoint=file)
    assert torch.equal(found.theta, whole.theta)
    assert found.scalars == whole.scalars


def test_scalars_go_with_one_slab() -> None:
    with pytest.raises(KanpdeError, match="slabs=2: unknown scalars are the same in all of them: use slabs=1"):
        solve(decay(0.5), **SETTINGS, slabs=2)


def test_corrections_correct_scalars_as_well() -> None:
    run = solve(decay(0.5), **SETTINGS, corrections=1, budget=Budget(iterations=60))
    assert run.scalars["k"] == pytest.approx(2.0, abs=1e-4)


@pytest.fixture(scope="module")
def heat() -> Run:
    return solve("heat1d", budget=Budget(iterations=12), **SETTINGS)


def test_a_run_has_its_pictures(heat: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STYLE, "savefig.dpi", 40)
    assert heat.pictures == tuple(name for name in PICTURES if name != "volume")
    for name in heat.pictures:
        assert heat.plot(tmp_path / f"{name}.png", name) == tmp_path / f"{name}.png"
    assert len(list(tmp_path.iterdir())) == len(heat.pictures)
    with pytest.raises(KanpdeError, match=r"unknown picture of this run 'loss'.*convergence, network, points"):
        heat.draw("loss")
    with pytest.raises(KanpdeError, match="unknown picture of this run 'volume'"):
        heat.draw("volume")


def test_an_mlp_has_no_functions_and_a_steady_solution_no_slices() -> None:
    run = solve("poisson2d", **{**SETTINGS, "model": MLP(width=(3,))}, budget=Budget(iterations=3))
    assert run.pictures == ("solution", "convergence", "points")


def test_the_sample_has_the_residuals_that_training_lowers(heat: Run) -> None:
    sample = heat.sample
    assert sample.residual is not None
    assert sample.residual.shape == (201 * 201, 1)
    x, t = sample.coordinates[[5000, 30000]].T
    at = Points.of(("x", "t"), torch.from_numpy(np.stack([x, t], axis=1)))
    indices = IndexSet(("x", "t"), [(2, 0), (0, 1)])
    fields = heat.problem.fields(indices, heat.taylor(at, indices))
    (equation,) = heat.problem.equations.values()
    assert torch.allclose(equation(*fields, at), torch.from_numpy(sample.residual[[5000, 30000], 0]), rtol=1e-10)


def test_residuals_of_an_inverse_problem_have_the_scalars_that_were_found() -> None:
    run = solve("burgers_inverse", budget=Budget(iterations=4), **SETTINGS)
    found = run.sample.residual
    assert found is not None
    assert np.isfinite(found).all()
    exactly = replace(run.problem, scalars={"nu": replace(run.problem.scalars["nu"], exact=run.scalars["nu"])})
    names = exactly.geometry.names
    at = Points.of(names, torch.from_numpy(run.sample.coordinates[[7000]]))
    indices = exactly.indices
    fields = exactly.fields(indices, run.taylor(at, indices))
    label = next(iter(exactly.equations))
    assert float(exactly.residual_function(label)(*fields, at)) == pytest.approx(found[7000, 0], rel=1e-8)
