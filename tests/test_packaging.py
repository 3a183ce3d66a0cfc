"""What is installed works from an empty folder, away from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kanpde.library import home, problem_files

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_carries_problems_and_configurations(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    expected = [path.relative_to(home()) for path in sorted((home() / "conf").rglob("*.yaml"))]
    expected += [path.relative_to(home()) for path in problem_files().values()]
    assert len(expected) > 8
    assert {f"kanpde/_data/{path.as_posix()}" for path in expected} <= set(names)
    assert "kanpde/py.typed" in names
    assert {f"kanpde/page/report.{kind}" for kind in ("html", "css", "js")} <= set(names)
    assert "kanpde/plot/kanpde.mplstyle" in names
    assert not [name for name in names if name.endswith(".pyc")]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"kanpde"}


def run(command: list[str], folder: Path, **environment: str) -> str:
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env={**variables, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_unpacked_wheel_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, folder = tmp_path / "site", tmp_path / "empty"
    folder.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    listing = "import kanpde, kanpde.cli; print(kanpde.__file__); kanpde.cli.main(['list'])"
    where, *listed = run([sys.executable, "-c", listing], folder, PYTHONPATH=str(site)).splitlines()
    assert where.startswith(str(site))
    assert [line.split()[0] for line in listed] == list(problem_files())
    composed = run([sys.executable, "-m", "kanpde", "experiment=smoke", "--cfg", "job"], folder, PYTHONPATH=str(site))
    assert "grid: 8" in composed
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_the_installed_console_script_solves_a_problem(wheel: Path, tmp_path: Path) -> None:
    """A virtual environment of its own for the wheel, which borrows the dependencies from the present one."""
    venv, folder = tmp_path / "venv", tmp_path / "empty"
    folder.mkdir()
    run([sys.executable, "-m", "venv", str(venv)], folder)
    python = venv / "bin" / "python"
    site = run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    here = run([sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    Path(site, "dependencies.pth").write_text(here + "\n")
    run([str(python), "-m", "pip", "install", "--no-deps", "--force-reinstall", str(wheel)], folder)
    run([str(venv / "bin" / "kanpde"), "experiment=smoke", "budget.iterations=2", "baseline=none", "out=run"], folder)
    assert sorted(path.name for path in folder.iterdir()) == ["run"]
    assert (folder / "run" / "results.json").is_file()
