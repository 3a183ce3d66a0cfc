"""The command line: what it composes, what it prints, and how it refuses bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

import kanpde
import kanpde.compare
import kanpde.record
import kanpde.run
import kanpde.training_points
from kanpde import cli, display
from kanpde.cli import main
from kanpde.configured import GROUPS
from kanpde.library import home, problem_files
from kanpde.plot import STYLE
from kanpde.position import Row
from kanpde.run import PICTURES

CONF = home() / "conf"
CONFIGURATIONS = [path.relative_to(CONF).with_suffix("") for path in sorted(CONF.glob("*/*.yaml"))]
CHOICES = [f"{group}={name}" for group, choices in GROUPS.items() for name in choices]
QUICK = ["baseline=none", "model.grid=4", "sampling.points=100", "budget.iterations=20", "threads=1", "pictures=false"]

EQUATION = """
from torch import log
from kanpde import Box, Problem, dirichlet, neumann
from kanpde.reference import exact

def problem():
    def equation(u, at):
        return {residual}
    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1)),
        equations={{"equation": equation}},
        conditions={{"walls": {condition}}},
        reference={reference},
    )
"""


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes time in every run and is not tested here: timing of solutions, and fine grids and points."""
    for module in (kanpde.run, kanpde.compare):
        patch.setattr(module, "evaluation_seconds", lambda *_: 0.0)
    patch.setattr(kanpde.record, "GRID", {1: 101, 2: 41, 3: 11})
    patch.setattr(kanpde.training_points, "HELD_OUT_LEAST", 200)
    patch.setitem(STYLE, "savefig.dpi", 40)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hurry(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_problem(
    residual: str = "u.d('xx') + u.d('yy')", condition: str = "dirichlet('all')", reference: str = "None"
) -> None:
    Path("mine.py").write_text(EQUATION.format(residual=residual, condition=condition, reference=reference))


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command line and return its error, having checked its form and that nothing was left behind."""
    before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("kanpde: error: ")
    assert errors.count("\n") == 1
    assert errors.endswith("\n")
    assert [p for p in sorted(Path().rglob("*")) if "__pycache__" not in p.parts] == before
    return errors


SOME = {"poisson2d", "cavity", "fit_table"}
"""Problems that the fast tests compose; every one is loaded and checked elsewhere."""


@pytest.mark.parametrize(
    "problem", [pytest.param(name, marks=[pytest.mark.slow] * (name not in SOME)) for name in problem_files()]
)
def test_every_problem_composes(problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"problem={problem}", "--cfg", "job"]) == 0
    assert f"name: {problem}" in capsys.readouterr().out


@pytest.mark.parametrize("choice", [*CHOICES, *map("=".join, (path.parts for path in CONFIGURATIONS))])
def test_every_choice_composes(choice: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([choice, "--cfg", "job"]) == 0
    assert "_target_: kanpde.KAN" in capsys.readouterr().out or choice == "model=mlp"


def test_configurations_are_found() -> None:
    assert {path.parts[0] for path in CONFIGURATIONS} >= {"budget", "experiment"}


def test_composing_leaves_no_files(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cfg", "job"]) == 0
    assert main(["list"]) == 0
    assert list(empty_folder.iterdir()) == []


def test_defaults_come_from_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["problem=burgers1d", "problem.nu=0.02", "model.grid=[8,2]", "--cfg", "job"]) == 0
    text = capsys.readouterr().out
    assert "nu: 0.02" in text
    assert "seed: 0" in text
    assert "baseline: all" in text


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "python -m kanpde resume=DIR" in text
    assert "solver: adam, auto, gauss_newton, kernel, lbfgs, levenberg_marquardt, self_scaled_broyden, soap" in text


def test_list_shows_a_line_per_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(problem_files())
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("problem", ["poisson2d", "heat1d", "kovasznay", "poisson_inverse"])
def test_check_prints_what_it_finds(problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What it finds for every problem is in `test_check`."""
    assert main(["check", f"problem={problem}"]) == 0
    text = capsys.readouterr().out
    assert "derivatives asked for" in text
    assert "reference: " in text


def test_check_refuses_a_wrong_reference(capsys: pytest.CaptureFixture[str]) -> None:
    write_problem("u.d('xx') + u.d('yy') - 4.04", reference="exact(lambda at: at.x**2 + at.y**2)")
    assert main(["check", "problem=./mine.py"]) == 2
    assert "the reference leaves a residual" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["problem=poison2d"], "unknown problem 'poison2d': did you mean 'poisson2d'?"),
        (["problem=./nowhere.py"], "there is no problem file ./nowhere.py"),
        (["model=kann"], "unknown model 'kann': did you mean 'kan'? Known: kan, mlp"),
        (
            ["solver=lbgfs"],
            "unknown solver 'lbgfs': did you mean 'lbfgs'? Known: adam, auto, gauss_newton, kernel, lbfgs,",
        ),
        (["budget=big"], "unknown budget 'big'"),
        (["experiment=smok"], "unknown experiment 'smok': did you mean 'smoke'?"),
        (["modell=kan"], "unknown setting 'modell': did you mean 'model'?"),
        (["sed=1"], "unknown setting 'sed': did you mean 'seed'?"),
        (["model.gird=20"], "unknown setting of model: 'gird': did you mean 'grid'?"),
        (["model=mlp", "model.grid=20"], "unknown setting of model: 'grid'. Known: activation, width"),
        (["problem=burgers1d", "problem.mu=1"], "unknown setting of problem: 'mu': did you mean 'nu'?"),
        (["problem=burgers1d", "problem.nu=small"], "nu='small' is not of type float"),
        (["model.grid=0"], "grid=0: a spline needs at least 1 interval"),
        (["model.grid=many"], "grid='many' is not of type int | Sequence[int]"),
        (["model.degree=2"], "model.degree >= 3"),
        (["solver=levenberg_marquardt", "solver.starts=1.5"], "starts=1.5 is not of type int"),
        (["solver=levenberg_marquardt", "solver.linear=lu"], "unknown solver.linear 'lu'"),
        (["solver=self_scaled_broyden", "solver.update=dfp"], "unknown solver.update 'dfp'"),
        (["solver.starts=1"], "solver.starts: this solver has no settings: choose one with solver=NAME as well"),
        (["baseline=pinn"], "unknown baseline 'pinn'"),
        (["conditions=firm"], "'firm'"),
        (["seed=zero"], "seed='zero' is not of type int"),
        (["threads=0"], "threads=0: give at least 1"),
        (["logger=wandb"], "unknown logger 'wandb'. Known: tensorboard"),
        (["experiment=degree", "logger=tensorboard"], "logger=tensorboard: an experiment has none"),
        (["seed=-1"], "seed=-1: give an integer"),
        (["device=tpu"], "tpu"),
        (["seed=0,1"], "has several values: add -m"),
        (["seed="], "seed='' is not of type int"),
        (["problem=[poisson2d"], "'problem=[poisson2d' cannot be read: write key=value"),
        (
            ["lst"],
            "unknown command 'lst': did you mean 'list'? Known: check, collect, draw, formula, list, report, simplify",
        ),
        (["list", "all"], "takes no arguments"),
        (["resume=nowhere"], "'nowhere' holds no config.yaml"),
        (["resume=nowhere", "seed=1"], "resume=DIR takes no other arguments"),
        (["check", "problem=poison2d"], "did you mean 'poisson2d'?"),
        (["check", "problem=heat1d", "slabs=[0.5,0.2]"], "slabs=[0.5,0.2]: give times that ascend inside (0, 1)"),
    ],
    ids=str,
)
def test_bad_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(arguments, capsys)


@pytest.mark.parametrize("command", [[], ["check"]], ids=["run", "check"])
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"residual": "u.d('xz')"}, "unknown derivative d('xz')"),
        ({"residual": "u.d('xx') - at.z"}, "unknown coordinate 'z': the coordinates are x, y"),
        ({"residual": "u.d('xx')[:2]"}, "'equation' returned (2,) at 3 points"),
        ({"residual": "u.d('xx') - log(at.x - 2)"}, "'equation' is not finite"),
        ({"condition": "dirichlet('top')"}, "unknown boundary 'top'"),
        ({"condition": "dirichlet('x-', unknown='v')"}, "'v'"),
        ({"condition": "dirichlet('all', lambda at: at.x[:1])"}, "returned shape (1,)"),
    ],
    ids=["derivative", "coordinate", "shape", "nan", "boundary", "unknown", "data"],
)
def test_bad_problem(
    command: list[str], parts: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_problem(**parts)
    assert message in refused([*command, "problem=./mine.py", *QUICK], capsys)


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "cuda" in refused(["device=cuda"], capsys)


def test_a_directory_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    Path("here").mkdir()
    Path("here/notes.txt").write_text("mine")
    assert "'here' exists" in refused(["out=here", *QUICK], capsys)


def test_a_run_leaves_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["problem=heat1d", "out=here", *QUICK, "pictures=true"]) == 0
    assert {path.relative_to("here").as_posix() for path in Path("here").rglob("*") if path.is_file()} == {
        "checkpoint.pt",
        "config.yaml",
        "history.csv",
        "log.txt",
        "results.json",
        "solution.h5",
        "solution.vtu",
        "time_series.h5",
        "time_series.xdmf",
        *(f"pictures/{name}.{kind}" for name in PICTURES if name != "volume" for kind in ("png", "pdf")),
    }
    assert sorted(path.name for path in Path().iterdir()) == ["here"]
    results = json.loads(Path("here/results.json").read_text())
    assert results["problem"] == "heat1d"
    assert results["reference"]["name"] == "exact"
    assert results["environment"]["versions"]["kanpde"] == kanpde.__version__
    assert results["environment"]["threads"] == 1
    (method,) = results["methods"]
    assert set(method) == {
        "name",
        "parameters",
        "rel_l2",
        "rel_h1",
        "max_error",
        "seconds",
        "iterations",
        "stopped",
        "rank",
        "at_floor",
        "scalars",
        "rel_l2_at_values",
    }
    assert set(method["seconds"]) == {"setup", "train", "evaluate_1e5"}
    text = capsys.readouterr().out
    for part in (
        "heat1d: ",
        "LevenbergMarquardt(damping=0.01",
        "seed 0",
        "1 thread,",
        "float64",
        "why it stopped",
        "reference: exact",
        "here",
    ):
        assert part in text
        assert part in Path("here/log.txt").read_text()


@pytest.mark.slow
def test_a_problem_of_ones_own_and_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    write_problem("u.d('xx') + u.d('yy') - 4", "dirichlet('all', lambda at: at.x**2 + at.y**2)")
    assert main(["-m", "problem=./mine.py", "seed=0,1", *QUICK]) == 0
    assert len(list(Path("runs/mine").glob("*/results.json"))) == 2
    assert sorted(path.name for path in Path("runs").iterdir()) == ["mine", "multirun"]


def test_a_sweep_reports_the_runs_that_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", "model.grid=0,4", *[a for a in QUICK if "grid" not in a]]) == 2
    assert capsys.readouterr().err.count("kanpde: error: ") == 1
    assert len(list(Path("runs/poisson2d").glob("*/results.json"))) == 1


def test_a_sweep_that_is_started_again_repeats_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = display.describe

    def interrupt(name: str, row: Row) -> str:
        if Path("runs/poisson2d").is_dir() and len(list(Path("runs/poisson2d").glob("sweep-*/results.json"))) == 1:
            raise KeyboardInterrupt
        return describe(name, row)

    monkeypatch.setattr(display, "describe", interrupt)
    monkeypatch.setattr(display, "PLAIN_SECONDS", 0.0)
    assert main(["-m", "seed=0,1,2", *QUICK]) == 130
    monkeypatch.setattr(display, "describe", describe)
    (first,) = Path("runs/poisson2d").glob("sweep-*/results.json")
    before = first.stat().st_mtime_ns
    capsys.readouterr()
    assert main(["-m", "seed=0,1,2", *QUICK]) == 0
    assert capsys.readouterr().out.count("finished before: ") == 1
    assert first.stat().st_mtime_ns == before
    rows = [json.loads(path.read_text())["methods"] for path in Path("runs/poisson2d").glob("sweep-*/results.json")]
    assert len({row[0]["rel_l2"] for row in rows}) == 3
    assert main(["-m", "seed=0,1,2", *QUICK]) == 0
    assert capsys.readouterr().out.count("finished before: ") == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "launcher"),
    [
        ("hydra_joblib_launcher", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
        ("hydra_submitit_launcher", ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"]),
    ],
    ids=["joblib", "submitit"],
)
def test_launchers_run_sweeps_in_other_processes(plugin: str, launcher: list[str]) -> None:
    pytest.importorskip(f"hydra_plugins.{plugin}")
    command = [sys.executable, "-m", "kanpde", "-m", *launcher, "seed=0,1", *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(Path("runs/poisson2d").glob("sweep-*/results.json"))) == 2
    done = subprocess.run([*command, "model.grid=0"], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr


def test_the_smoke_experiment_compares_all_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = kanpde.compare.ladder
    monkeypatch.setattr(kanpde.compare, "ladder", lambda of: [step for step in ladder(of) if step.cells <= 64])
    assert main(["experiment=smoke", "budget.iterations=2", "out=here", "threads=1", "pictures=false"]) == 0
    names = [method["name"] for method in json.loads(Path("here/results.json").read_text())["methods"]]
    assert names[:3] == ["kan", "mlp", "mlp-adam-lbfgs"]
    assert len([name for name in names if name.startswith("fem-p")]) >= 5


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        "problem=poisson2d",
        "model.grid=4",
        "model.start_grid=2",
        "sampling.points=100",
        "solver=levenberg_marquardt",
        "solver.starts=2",
        "solver.start_iterations=6",
        "budget.iterations=40",
        "baseline=mlp",
        "threads=1",
        "pictures=false",
    ]
    assert main([*arguments, "out=whole"]) == 0

    describe = display.describe

    def interrupt(after: int, method: str) -> None:
        def interrupting(name: str, row: Row) -> str:
            if name == method and row.iteration >= after:
                raise KeyboardInterrupt
            return describe(name, row)

        monkeypatch.setattr(display, "describe", interrupting)
        monkeypatch.setattr(display, "PLAIN_SECONDS", 0.0)

    capsys.readouterr()
    interrupt(25, "kan")
    assert main([*arguments, "out=parts"]) == 130
    assert capsys.readouterr().err == "kanpde: interrupted: continue with python -m kanpde resume=parts\n"
    interrupt(20, "mlp")
    assert main(["resume=parts"]) == 130
    monkeypatch.setattr(display, "describe", describe)
    assert main(["resume=parts"]) == 0

    whole, parts = (json.loads(Path(name, "results.json").read_text())["methods"] for name in ("whole", "parts"))
    for expected, found in zip(whole, parts, strict=True):
        for key in ("name", "parameters", "rel_l2", "rel_h1", "max_error", "iterations", "stopped"):
            assert found[key] == expected[key], (expected["name"], key)


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        assert main([f"out={path}", *QUICK]) == 0
    return path


@pytest.fixture
def finished(finished_once: Path) -> Path:
    return Path(copytree(finished_once, "run"))


def test_a_finished_run_is_not_trained_again(finished: Path) -> None:
    before = json.loads((finished / "results.json").read_text())
    assert main(["resume=run"]) == 0
    assert json.loads((finished / "results.json").read_text()) == before


@pytest.mark.parametrize("what", ["damaged", "of another problem", "not a configuration", "results"])
def test_a_directory_that_cannot_be_resumed(finished: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, config = finished / "checkpoint.pt", finished / "config.yaml"
    if what == "damaged":
        data = bytearray(checkpoint.read_bytes())
        data[len(data) // 2] ^= 255
        checkpoint.write_bytes(data)
    elif what == "of another problem":
        config.write_text(config.read_text().replace("name: poisson2d", "name: poisson2d_sinsin"))
    elif what == "not a configuration":
        config.write_text("- 1\n")
    else:
        (finished / "results.json").write_text("{")
    capsys.readouterr()
    assert main(["resume=run"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("kanpde: error: ")
    assert errors.count("\n") == 1


def test_a_configuration_file_cannot_choose_what_is_called(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = finished / "config.yaml"
    config.write_text(config.read_text().replace("kanpde.KAN", "os.system"))
    capsys.readouterr()
    assert main(["resume=run"]) == 2
    assert "unknown model._target_ 'os.system'" in capsys.readouterr().err


def test_hydra_stays_usable_by_others() -> None:
    before = os.environ.get("HYDRA_FULL_ERROR"), list(sys.argv)
    main(["--cfg", "job"])
    assert (os.environ.get("HYDRA_FULL_ERROR"), sys.argv) == before
    assert cli.known_keys("problem", ["problem=burgers1d"]) == ["nu"]


def test_bare_checkout_from_an_empty_folder(empty_folder: Path) -> None:
    """The console's way in, with nothing installed but the path."""
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    command = [sys.executable, "-m", "kanpde"]
    wrong = subprocess.run([*command, "problem=poison2d"], capture_output=True, text=True, env=environment, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("kanpde: error: unknown problem 'poison2d': did you mean 'poisson2d'?")
    assert wrong.stderr.count("\n") == 1
    assert list(empty_folder.iterdir()) == []
