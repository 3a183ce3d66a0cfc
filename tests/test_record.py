import csv
import json
import math
from dataclasses import replace
from pickle import PicklingError

import h5py
import meshio
import numpy as np
import pytest
import torch

from kanpde import Box, Disk, KanpdeError, Problem, observe, scalar
from kanpde.metrics import Errors, Method
from kanpde.record import HISTORY, RunDirectory, load_checkpoint, results, sample_solution, save_checkpoint
from kanpde.reference import exact


def problem_on(box, *solutions):
    equations = {"first": lambda u, at: u.d("x")} if len(solutions) == 1 else {"first": lambda u, v, at: u.d("x") + v}
    return Problem(geometry=box, equations=equations, reference=exact(*solutions), name="example")


def off_by(problem, error):
    return lambda at, indices: problem.reference.taylor(at, indices) + error


ODE = Problem(
    geometry=Box(t=(0, 1)), equations={"first": lambda u, at: u.d("t")}, reference=exact(lambda at: at.t), name="ode"
)
PLANE = problem_on(Box(x=(0, 1), t=(0, 2)), lambda at: at.x + 10 * at.t)


def test_directories_are_new_and_named_by_problem(tmp_path):
    first, second = (RunDirectory.create("poisson2d", root=tmp_path) for _ in range(2))
    assert first.path != second.path
    assert first.path.parent == second.path.parent == tmp_path / "poisson2d"
    assert (first.path / "log.txt").exists()


def test_a_run_directory_is_never_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    run = RunDirectory.create("poisson2d", out=tmp_path / "run")
    run.write_results({"problem": "poisson2d"})
    before = (run.path / "results.json").read_bytes()
    with pytest.raises(KanpdeError, match=r"choose another out=DIR.*resume=DIR"):
        RunDirectory.create("poisson2d", out=tmp_path / "run")
    assert (run.path / "results.json").read_bytes() == before


def test_a_run_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    for out in (tmp_path / "run", tmp_path / "run" / "inner"):
        with pytest.raises(KanpdeError, match="choose another out=DIR"):
            RunDirectory.create("poisson2d", out=out)
    with pytest.raises(KanpdeError, match="choose another out=DIR"):
        RunDirectory.create("poisson2d", root=tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_failing_checkpoint_leaves_the_old_one(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", {"iteration": 1})
    with pytest.raises((AttributeError, PicklingError)):
        save_checkpoint(tmp_path / "checkpoint.pt", {"iteration": lambda: 2})
    assert load_checkpoint(tmp_path / "checkpoint.pt") == {"iteration": 1}


def test_checkpoints_return_what_was_saved(tmp_path):
    theta = torch.linspace(0, 1, 7, dtype=torch.float64)
    state = {"problem": "poisson2d", "stages": [5, 10], "solver": {"damping": 0.1, "theta": theta}, "loss": math.inf}
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    loaded = load_checkpoint(tmp_path / "checkpoint.pt")
    assert torch.equal(loaded["solver"].pop("theta"), state["solver"].pop("theta"))
    assert loaded == state


def test_damaged_checkpoints_are_named(tmp_path):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(KanpdeError, match="there is no checkpoint"):
        load_checkpoint(path)
    save_checkpoint(path, {"theta": torch.ones(1000, dtype=torch.float64)})
    whole = path.read_bytes()
    at = whole.index(torch.ones(2, dtype=torch.float64).numpy().tobytes()) + 800
    damaged = [b"", b"not a checkpoint", whole[: len(whole) // 2], whole[:at] + b"\x07" + whole[at + 1 :]]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(KanpdeError, match=r"is damaged.*start the run anew") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)
    torch.save([1, 2], path)
    with pytest.raises(KanpdeError, match="of another program"):
        load_checkpoint(path)


def test_configurations_are_read_back(tmp_path):
    run = RunDirectory.create("example", out=tmp_path)
    config = {"problem": {"name": "burgers1d", "nu": 0.01}, "model": {"width": [3], "grid": 20}, "seed": 0, "out": None}
    run.write_config(config)
    assert RunDirectory.open(tmp_path).read_config() == config
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(KanpdeError, match="cannot be read"):
        run.read_config()
    (tmp_path / "config.yaml").write_text("7")
    with pytest.raises(KanpdeError, match="not a mapping"):
        run.read_config()
    with pytest.raises(KanpdeError, match="not the directory of a run"):
        RunDirectory.open(tmp_path / "elsewhere")


def test_results_follow_the_schema_and_hold_no_nan(tmp_path):
    seconds = {"setup": 0.5, "train": 3.0, "evaluate_1e5": math.nan}
    methods = [
        Method("kan", 290, Errors(1e-9, math.nan, math.inf), seconds, 90, "converged"),
        Method("mlp", 300, None, seconds, 5, "diverged"),
    ]
    RunDirectory.create("example", out=tmp_path).write_results(results(PLANE, methods, environment={"cores": 2}))

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    document = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert document["problem"] == "example"
    assert document["environment"] == {"cores": 2}
    assert document["reference"] == {
        "name": "exact",
        "error": 1e-15,
        "error_source": "closed form, rounding only",
    }
    kan, mlp = document["methods"]
    assert kan == {
        "name": "kan",
        "parameters": 290,
        "rel_l2": 1e-9,
        "at_floor": False,
        "rank": 1,
        "rel_h1": None,
        "max_error": None,
        "rel_l2_at_values": {},
        "seconds": {"setup": 0.5, "train": 3.0, "evaluate_1e5": None},
        "iterations": 90,
        "stopped": "converged",
        "scalars": {},
    }
    assert (mlp["rel_l2"], mlp["rel_h1"], mlp["max_error"]) == (None, None, None)


def test_histories_are_one_table(tmp_path):
    row = {"stage": 1, "iteration": 0, "seconds": 0.1, "loss": 1e-3, "held_out": 2e-3, "parameters": 290}
    histories = {"kan": [row, {**row, "iteration": 1, "loss": 0.1 + 0.2}], "mlp": [row]}
    RunDirectory.create("example", out=tmp_path).write_history(histories)
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HISTORY
    assert [(r["method"], r["iteration"]) for r in rows] == [("kan", "0"), ("kan", "1"), ("mlp", "0")]
    assert float(rows[1]["loss"]) == 0.1 + 0.2


def test_the_log_grows_by_lines(tmp_path):
    run = RunDirectory.create("example", out=tmp_path)
    run.log("first")
    RunDirectory(tmp_path).log("ünd weiter\n")
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "first\nünd weiter\n"


def test_hdf5_holds_coordinates_and_fields(tmp_path):
    sample = sample_solution(off_by(PLANE, 0.5), PLANE)
    RunDirectory.create("example", out=tmp_path).write_solution(sample)
    with h5py.File(tmp_path / "solution.h5") as file:
        x, t = file["coordinates"][:].T
        assert np.allclose(file["solution"][:, 0], x + 10 * t + 0.5)
        assert np.allclose(file["reference"][:, 0], x + 10 * t)
        assert np.allclose(file["error"][:, 0], 0.5)
        assert (file.attrs["problem"], *file.attrs["coordinates"]) == ("example", "x", "t")
        assert list(file.attrs["unknowns"]) == ["u"]
        assert tuple(file.attrs["shape"]) == sample.shape
    assert (x.min(), x.max(), t.min(), t.max()) == (0, 1, 0, 2)


@pytest.mark.parametrize(
    ("box", "kind", "measure"),
    [
        (Box(x=(0, 2)), "line", 2),
        (Box(x=(0, 2), t=(0, 3)), "quad", 6),
        (Box(x=(0, 2), y=(0, 3), z=(0, 0.5)), "hexahedron", 3),
    ],
)
def test_vtu_is_a_grid_that_fills_the_box(tmp_path, box, kind, measure):
    problem = problem_on(box, lambda at: torch.sin(at.x))
    RunDirectory.create("example", out=tmp_path).write_solution(sample_solution(off_by(problem, 1e-3), problem))
    mesh = meshio.read(tmp_path / "solution.vtu")
    ((block),) = mesh.cells
    assert block.type == kind
    assert np.allclose(mesh.point_data["solution"], np.sin(mesh.points[:, 0]) + 1e-3)
    assert np.allclose(mesh.point_data["error"], mesh.point_data["solution"] - mesh.point_data["reference"])
    corners = mesh.points[block.data]
    edges = np.stack([corners[:, n] - corners[:, 0] for n in (1, 3, 4)[: len(box.names)]], axis=2)[:, : len(box.names)]
    volumes = np.linalg.det(edges)
    assert (volumes > 0).all()
    assert volumes.sum() == pytest.approx(measure)


@pytest.mark.parametrize(
    ("domain", "kind", "measure"),
    [
        (Box(x=(-1, 1), y=(-1, 1)) - Disk(radius=0.5), "quad", 4 - math.pi / 4),
        (Disk() * Box(t=(0, 2)), "hexahedron", 2 * math.pi),
    ],
)
def test_what_is_outside_the_domain_is_left_out(tmp_path, domain, kind, measure):
    problem = problem_on(domain, lambda at: torch.where(domain.contains(at.array()), at.x, torch.nan))
    sample = sample_solution(off_by(problem, 1e-3), problem)
    inside = domain.contains(torch.from_numpy(sample.coordinates)).numpy()
    assert np.array_equal(np.isfinite(sample.solution[:, 0]), inside)
    assert np.array_equal(sample.inside, inside)
    assert sample.plane().inside.shape == sample.plane().solution[:, 0].shape
    run = RunDirectory.create("example", root=tmp_path)
    run.write_solution(sample)
    mesh = meshio.read(run.path / "solution.vtu")
    (block,) = mesh.cells
    assert block.type == kind
    corners = mesh.points[block.data]
    cell = np.prod(np.ptp(corners, axis=1)[:, : len(sample.axes)], axis=1)
    assert cell.sum() == pytest.approx(measure, rel=0.1)
    assert np.allclose(mesh.point_data["error"], 1e-3)
    assert np.isfinite(mesh.point_data["solution"]).all()


@pytest.mark.parametrize(
    ("domain", "kind", "width"),
    [
        (Box(x=(0, 2), t=(1, 3)), "line", 0),
        (Box(x=(0, 2), y=(0, 1), t=(1, 3)), "quad", 1),
        (Disk() * Box(t=(1, 3)), "quad", 2),
    ],
    ids=["line", "rectangle", "disk"],
)
def test_a_time_series_is_read_back(tmp_path, monkeypatch, domain, kind, width):
    monkeypatch.chdir(tmp_path)
    problem = problem_on(domain, lambda at: at.x * at.t, lambda at: at.t)
    run = RunDirectory.create("example", out=tmp_path / "run")
    sample = sample_solution(off_by(problem, 1e-3), problem)
    run.write_solution(sample)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]
    assert 'NodesPerElement="2"' in (run.path / "time_series.xdmf").read_text() or kind != "line"
    monkeypatch.chdir(run.path)
    with meshio.xdmf.TimeSeriesReader("time_series.xdmf") as reader:
        points, cells = reader.read_points_cells()
        assert [block.type for block in cells] == [kind]
        assert np.ptp(points, axis=0).tolist() == pytest.approx([2, width, 0], abs=0.1)
        assert reader.num_steps == sample.shape[-1]
        for step in (0, reader.num_steps // 2, reader.num_steps - 1):
            time, data, _ = reader.read_data(step)
            assert time == pytest.approx(1 + 2 * step / (reader.num_steps - 1))
            assert np.allclose(data["reference_u"], points[:, 0] * time)
            assert np.allclose(data["solution_v"], time + 1e-3)
            assert np.allclose(data["error_v"], 1e-3)


@pytest.mark.parametrize("box", [Box(x=(0, 2)), Box(x=(0, 2), y=(0, 1)), Box(t=(0, 1))])
def test_without_time_and_space_there_is_no_time_series(tmp_path, box):
    problem = problem_on(box, lambda at: getattr(at, box.names[0])) if "x" in box.names else ODE
    run = RunDirectory.create("example", out=tmp_path / "run")
    run.write_solution(sample_solution(off_by(problem, 1e-3), problem))
    assert not (run.path / "time_series.xdmf").exists()


def test_residuals_are_sampled_and_written(tmp_path):
    problem = Problem(
        geometry=Disk() * Box(t=(0, 1)),
        equations={"first": lambda u, c, at: u.d("xx") + c * u.d("t") - at.y, "second": lambda u, c, at: 0 * u},
        scalars={"c": scalar(2.0, exact=3.0)},
        constraints={"data": observe(torch.tensor([[0.0, 0.0, 0.5]]), torch.tensor([0.0]))},
        name="example",
    )
    solution = exact(lambda at: at.x**3 + at.t)

    def complete(at, indices):
        found = solution.taylor(at, indices)
        constant = torch.zeros_like(found)
        constant[0] = 2.0
        return torch.cat([found, constant], dim=-1)

    sample = sample_solution(solution.taylor, problem, complete=complete)
    x, y, _ = sample.coordinates.T
    assert sample.equations == ("first", "second")
    assert np.array_equal(np.isfinite(sample.residual[:, 0]), sample.inside)
    assert np.allclose(sample.residual[sample.inside, 0], (6 * x + 2 - y)[sample.inside], rtol=1e-12)
    assert (sample.residual[sample.inside, 1] == 0).all()
    run = RunDirectory.create("example", out=tmp_path / "run")
    run.write_solution(sample)
    with h5py.File(run.path / "solution.h5") as file:
        assert np.array_equal(file["residual"][:], sample.residual, equal_nan=True)
        assert list(file.attrs["equations"]) == ["first", "second"]
    mesh = meshio.read(run.path / "solution.vtu")
    assert {"solution", "residual_first", "residual_second"} == set(mesh.point_data)
    assert sample_solution(solution.taylor, problem).residual is None


def test_residuals_are_nan_where_a_solution_has_no_derivatives():
    def broken(at, indices):
        if bool(((at.x == 1) & (at.t == 0)).any()):
            raise KanpdeError("not finite")
        return PLANE.reference.taylor(at, indices)

    sample = sample_solution(PLANE.reference.taylor, PLANE, complete=broken)
    where = np.isnan(sample.residual[:, 0])
    assert sample.coordinates[where].tolist() == [[1, 0]]
    assert np.allclose(sample.residual[~where], 1)


def test_slices_and_snapshots_hold_what_they_say():
    problem = problem_on(Box(x=(0, 1), y=(0, 2), t=(0, 4)), lambda at: at.x + 10 * at.y + 100 * at.t)
    sample = sample_solution(off_by(problem, 0.0), problem)
    assert sample.time == "t"
    snapshots = sample.snapshots(3)
    assert [time for time, _ in snapshots] == [0, 2, 4]
    for time, part in snapshots:
        x, y, t = part.coordinates.T
        assert (t == time).all()
        assert np.allclose(part.solution[:, 0], x + 10 * y + 100 * time)
        assert (part.time, tuple(part.axes), part.where) == (None, ("x", "y"), f"t = {time:g}")
    row = sample.cut("y", 0)
    assert np.allclose(row.solution[:, 0], row.coordinates @ [1, 10, 100])
    assert (row.coordinates[:, 1] == 0).all()
    assert row.time == "t"
    assert len(sample.snapshots()) == sample.shape[2]


def test_units_are_written_behind_names(tmp_path):
    problem = replace(PLANE, units={"x": "m", "u": "K"})
    sample = sample_solution(off_by(problem, 0.0), problem)
    assert [sample.label(name) for name in ("x", "t", "u", "u at nu = 0.1")] == [
        "x (m)",
        "t",
        "u (K)",
        "u at nu = 0.1 (K)",
    ]
    run = RunDirectory.create("example", out=tmp_path / "run")
    run.write_solution(sample)
    with h5py.File(run.path / "solution.h5") as file:
        assert (file.attrs["unit of x"], file.attrs["unit of u"]) == ("m", "K")
    with pytest.raises(KanpdeError, match=r"unknown name in units: 'z'.*t, u, x"):
        replace(PLANE, units={"z": "m"})


def test_damaged_results_are_named(tmp_path):
    run = RunDirectory.create("example", out=tmp_path / "run")
    for content in ("{", "[1]", "\xff"):
        (run.path / "results.json").write_text(content, encoding="latin-1")
        with pytest.raises(KanpdeError, match=r"results.json'.*start the run anew"):
            run.read_results()


def test_a_domain_between_the_points_of_the_grid_is_refused():
    domain = Disk(radius=1e-4) | Disk((10, 10), 1e-4)
    thin = (Disk((1e-1, 0), 1e-4) | Disk((1, 0.03), 1e-4)) & Box(x=(0, 2), y=(-1, 1))
    assert domain.size > 9
    with pytest.raises(KanpdeError, match="too thin to be shown"):
        sample_solution(lambda at, indices: at.x[None, :, None], problem_on(thin, lambda at: at.x))


def test_each_unknown_has_its_own_vtu_fields(tmp_path):
    problem = problem_on(Box(x=(0, 1)), lambda at: at.x, lambda at: 2 * at.x)
    RunDirectory.create("example", out=tmp_path).write_solution(sample_solution(off_by(problem, 0.0), problem))
    mesh = meshio.read(tmp_path / "solution.vtu")
    assert set(mesh.point_data) == {f"{f}_{u}" for f in ("solution", "reference", "error") for u in "uv"}
    assert np.allclose(mesh.point_data["solution_v"], 2 * mesh.points[:, 0])


def test_high_dimensions_leave_a_slice_and_say_so(tmp_path):
    problem = problem_on(Box(x=(0, 1), y=(0, 2), z=(0, 4), t=(0, 8)), lambda at: at.x + at.y + at.z + at.t)
    sample = sample_solution(off_by(problem, 0.0), problem)
    assert sample.where == "z = 2, t = 4"
    RunDirectory.create("example", out=tmp_path).write_solution(sample)
    assert "slice z = 2, t = 4" in (tmp_path / "log.txt").read_text()
    mesh = meshio.read(tmp_path / "solution.vtu")
    assert np.allclose(mesh.point_data["solution"], mesh.points[:, 0] + mesh.points[:, 1] + 6)


def test_the_middle_plane_of_three_axes():
    problem = problem_on(Box(x=(0, 1), y=(0, 2), z=(0, 4)), lambda at: at.x + 10 * at.y + 100 * at.z)
    plane = sample_solution(off_by(problem, 0.0), problem).plane()
    assert plane.where == "z = 2"
    assert tuple(plane.axes) == ("x", "y")
    x, y, z = plane.coordinates.T
    assert (z == 2).all()
    assert np.allclose(plane.solution[:, 0], x + 10 * y + 200)
    assert plane.plane() is plane


def test_without_a_reference_there_is_no_error(tmp_path):
    problem = Problem(geometry=Box(x=(0, 1)), equations={"first": lambda u, at: u.d("x")}, name="example")
    sample = sample_solution(exact(lambda at: at.x).taylor, problem)
    RunDirectory.create("example", out=tmp_path).write_solution(sample)
    with h5py.File(tmp_path / "solution.h5") as file:
        assert set(file) == {"coordinates", "solution"}
    assert results(problem, [])["reference"] is None
