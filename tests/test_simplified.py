"""What a simplification leaves in a run directory, and the commands that read it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
from models import SINES, model_of

import kanpde.plot
from kanpde.cli import main
from kanpde.interpret import NoFormula, Simplified
from kanpde.record import RunDirectory
from kanpde.run import Run

QUICK = ["baseline=none", "sampling.points=150", "threads=1", "pictures=false", "device=cpu"]
SMALL = ["model.width=[0]", "model.products=1", "model.grid=4", "model.degree=[7,1]", "model.start_grid=4"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw graphs as empty figures: their pictures have tests of their own."""
    monkeypatch.setattr(kanpde.plot, "draw_graph", lambda *_: plt.figure(figsize=(1, 1)), raising=False)
    sys.modules.pop("kanpde.simplified", None)
    yield
    sys.modules.pop("kanpde.simplified", None)
    plt.close("all")


@pytest.fixture(autouse=True)
def _known_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find the formula without a search, which has tests of its own."""

    def simplify(run: Run, seconds: float, say: object) -> Simplified:
        if run.problem.name == "heat1d":
            raise NoFormula("no sum of a few products of elementary functions is 'u' to 1e-06.")
        model = model_of(SINES)
        return Simplified(type(model)(run.problem, model.ansatz, model.graph), 1e-16, ("a step",))

    monkeypatch.setattr(Run, "simplify", simplify)


def train(out: str, problem: str = "poisson2d_sinsin", iterations: int = 6, *more: str) -> None:
    budget = f"budget.iterations={iterations}"
    assert main([f"problem={problem}", f"out={out}", budget, *QUICK, *SMALL, *more]) == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run that tests may copy."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(str(folder))
    return folder


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("kanpde: error: ")
    assert error.count("\n") == 1
    return error


def test_a_run_gets_a_formula_and_keeps_what_it_has(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copytree(trained, "run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert main(["simplify", "run", "seconds=30"]) == 0
    output = capsys.readouterr().out
    assert "u = sin(pi*x)*sin(pi*y)" in output
    assert "poisson: exact" in output
    first = Path("run/simplified")
    names = {path.name for path in first.iterdir()}
    assert names == {f"formula.{end}" for end in ("json", "md", "tex", "py", "c")} | {
        "model.pt",
        "network.png",
        "network.pdf",
    }
    document = json.loads((first / "formula.json").read_text())
    assert document["formula"] == {"u": "sin(pi*x)*sin(pi*y)"}
    assert document["rel_l2"] < 1e-14
    assert {s["verdict"] for s in document["statements"]} == {"exact"}
    assert main(["simplify", "run"]) == 0
    assert Path("run/simplified-2/formula.json").is_file()
    assert (first / "formula.json").read_text() == json.dumps(document, indent=2) + "\n"
    assert all(path.read_bytes() == content for path, content in before.items())

    capsys.readouterr()
    for form, part in {"text": "u = sin", "latex": r"\sin", "python": "def ", "c": "double"}.items():
        assert main(["formula", "run", f"as={form}"]) == 0
        assert part in capsys.readouterr().out
    assert main(["formula", "run"]) == 0
    assert "# poisson2d_sinsin" in capsys.readouterr().out
    assert "unknown form of a formula: as = 'word'" in refused(["formula", "run", "as=word"], capsys)

    assert main(["draw", "run", "what=formula", "out=f.png"]) == 0
    assert Path("f.png").is_file()
    assert "there is such a file already" in refused(["draw", "run", "what=formula", "out=f.png"], capsys)

    from kanpde.simplified import read_formula, read_model

    assert Path(read_formula(Path("run"))["folder"]).name == "simplified-2"
    model = read_model(SimpleNamespace(problem=model_problem()), Path("run"))  # type: ignore[arg-type]
    assert model.formula() == {"u": SINES}
    Path("run/simplified-2/formula.json").write_text("{")
    assert "is damaged" in refused(["formula", "run"], capsys)


def model_problem() -> kanpde.Problem:
    from kanpde.library import load_problem

    return load_problem("poisson2d_sinsin")


def test_pictures_of_a_run(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("network", "solution"):
        assert main(["draw", str(trained), f"what={what}"]) == 0
        assert capsys.readouterr().out == f"{what}.png\n"
        assert Path(f"{what}.png").stat().st_size > 1000
    assert "unknown picture of this run 'loss'" in refused(["draw", str(trained), "what=loss"], capsys)
    assert "no formula yet" in refused(["draw", str(trained), "what=formula"], capsys)


def test_a_run_without_a_formula(capsys: pytest.CaptureFixture[str]) -> None:
    train("heat", "heat1d", 2)
    assert "no sum of a few products" in refused(["simplify", "heat"], capsys)
    document = json.loads(Path("heat/simplified/formula.json").read_text())
    assert document["formula"] is None
    assert "no formula was found for 'heat'" in refused(["formula", "heat"], capsys)
    assert [path.name for path in Path("heat/simplified").iterdir()] == ["formula.json"]


def test_folders_are_ordered_by_number(tmp_path: Path) -> None:
    from kanpde.simplified import new_folder

    for number in range(11):
        assert new_folder(tmp_path).name == ("simplified" if number == 0 else f"simplified-{number + 1}")
    (tmp_path / "simplified-old").mkdir()
    (tmp_path / "simplified2").mkdir()
    assert [folder.name for folder in RunDirectory(tmp_path).simplifications][-2:] == ["simplified-10", "simplified-11"]
    assert len(RunDirectory(tmp_path).simplifications) == 11


@pytest.mark.parametrize("command", ["simplify", "formula", "draw"])
def test_directories_that_are_no_finished_runs(command: str, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "takes the directory of one run, 0 were given" in refused([command], capsys)
    assert "takes the directory of one run, 2 were given" in refused([command, str(trained), str(trained)], capsys)
    assert "nowhere" in refused([command, "nowhere"], capsys)
    Path("empty").mkdir()
    assert "empty" in refused([command, "empty"], capsys)
    assert "unknown option of" in refused([command, str(trained), "colour=red"], capsys)
    assert list(Path("empty").iterdir()) == []
    copytree(trained, "begun")
    (Path("begun") / "results.json").unlink()
    message = refused([command, "begun"], capsys)
    assert "is not finished: continue it with" in message or "has no formula yet" in message
    assert not (Path("begun") / "simplified").exists()
    copytree(trained, "lost")
    (Path("lost") / "checkpoint.pt").unlink()
    message = refused([command, "lost"], capsys)
    assert "is missing, and with it the trained network" in message or "has no formula yet" in message
    experiment = Path("experiment")
    copytree(trained, experiment)
    with (experiment / "config.yaml").open("a") as file:
        file.write("experiment:\n  _target_: kanpde.experiments.Seeds\n")
    message = refused([command, "experiment"], capsys)
    assert "is not the configuration of a run" in message or "has no formula yet" in message


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan"])
def test_wrong_times(seconds: str, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"seconds={seconds}: give a positive number" in refused(
        ["simplify", str(trained), f"seconds={seconds}"], capsys
    )
    assert not (trained / "simplified").exists()
