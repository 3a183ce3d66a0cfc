"""Several processes: what they find together equals what one finds, they leave one directory, and none is left alone.

What `together` lists is done here and by two processes that torchrun starts on this machine.
"""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import together
import torch
from oracles import close

import kanpde
from kanpde import KanpdeError, default_threads, processes
from kanpde.cli import main
from kanpde.residual import clipped

HERE = Path(__file__).resolve().parent
SMALL = [
    "problem=poisson2d",
    "model.width=[0]",
    "model.products=1",
    "model.grid=8",
    "model.start_grid=8",
    "solver=levenberg_marquardt",
    "solver.starts=2",
    "solver.start_iterations=2",
    "solver.stage_iterations=12",
    "baseline=none",
    "pictures=false",
]
UNDETERMINED = {"Levenberg-Marquardt", "soft conditions", "points that move"}
"""Trainings that solve the last layer anew, where rounding chooses among many parameters that make one solution."""


def start(*command: str, folder: Path = HERE) -> subprocess.Popen[str]:
    """Start two processes, each with one thread."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = [str(Path(kanpde.__file__).parent.parent), str(HERE), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [*launcher, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(processes: subprocess.Popen[str]) -> str:
    """Return what processes that end well print."""
    out, err = processes.communicate(timeout=300)
    assert processes.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, together.Found]]:
    """What one process finds, and each of two."""
    path = tmp_path_factory.mktemp("together") / "found"
    running = start("together.py", str(path))
    one = together.everything()
    finished(running)
    return [one, *(torch.load(where, weights_only=True) for where in (path, path.with_suffix(".1")))]


@pytest.mark.parametrize("case", together.CASES)
def test_two_processes_find_what_one_finds(found: list[dict[str, together.Found]], case: str) -> None:
    one, first, second = (each[case] for each in found)
    for name, wanted in one.items():
        assert torch.equal(first[name], second[name]), name
        if wanted.dtype == torch.bool:
            assert bool(wanted.all() & first[name].all()), name
        elif not (name == "theta" and case in UNDETERMINED):
            assert close(first[name], wanted, 1e-10), name


def test_a_command_leaves_one_directory_and_one_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = finished(start("-m", "kanpde", *SMALL, "out=two", folder=tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "out=one"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    one, two = (sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("one", "two"))
    assert one == two
    assert printed.count("run directory: two") == printed.count("1 thread, 2 processes") == 1
    log = (tmp_path / "two" / "log.txt").read_text()
    assert log.count("run directory: two") == 1
    with h5py.File("one/solution.h5") as a, h5py.File("two/solution.h5") as b:
        error = np.abs(b["solution"][:] - a["solution"][:]).max() / np.abs(a["solution"][:]).max()
    assert error < 1e-10
    before = (tmp_path / "two" / "history.csv").read_text()
    assert main(["resume=two"]) == 0  # what two have done one process does not do again
    assert (tmp_path / "two" / "history.csv").read_text() == before


@pytest.mark.slow
def test_an_error_in_one_process_ends_all(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(
        "import os\n"
        "from kanpde import Box, KanpdeError, Problem, dirichlet\n"
        "calls = 0\n"
        "def problem():\n"
        "    def poisson(u, at):\n"
        "        global calls\n"
        "        calls += 1\n"
        "        if calls > 40 and os.environ['RANK'] == '1':\n"
        "            raise KanpdeError('the second process has enough.')\n"
        "        return u.d('xx') + u.d('yy') + 1\n"
        "    return Problem(Box(x=(0, 1), y=(0, 1)), {'poisson': poisson}, {'walls': dirichlet('all', 0.0)})\n"
    )
    small = [setting for setting in SMALL if not setting.startswith("problem=")]
    running = start("-m", "kanpde", "problem=./faulty.py", *small, "out=two", folder=tmp_path)
    _, err = running.communicate(timeout=120)
    assert running.returncode != 0
    assert "kanpde: error: the second process has enough." in err


def test_one_process_has_everything() -> None:
    x = torch.arange(3.0)
    assert (processes.number(), processes.count(), processes.is_first()) == (0, 1, True)
    assert processes.share(7) == slice(0, 7)
    assert processes.summed(x) is processes.gathered(x) is processes.first(lambda: x) is x
    assert processes.total(0.1) == 0.1
    assert processes.decided(True)


def test_shares_cover_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes._group, "size", 3)
    parts = [slice(0, 2), slice(2, 9), slice(9, 11)]
    shares, covered = [], []
    for rank in range(3):
        monkeypatch.setattr(processes._group, "rank", rank)
        own = processes.share(11)
        shares += range(own.start, own.stop)
        covered += [own.start + number for part in clipped(parts, own) for number in range(part.start, part.stop)]
    assert shares == covered == list(range(11))


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [default_threads(2000, count) for count in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert default_threads(10, 2) == 1


def test_a_failed_exchange_says_whose_message_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(x: torch.Tensor) -> None:
        raise RuntimeError("Connection closed by peer\nand more")

    monkeypatch.setattr(processes._group, "size", 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", closed)
    with pytest.raises(KanpdeError, match=r"^process 0 of 2 cannot go on, .* printed \(Connection closed by peer\)\.$"):
        processes.total(1.0)


@pytest.mark.parametrize("arguments", [["-m", "seed=0,1"], ["experiment=degree"]])
def test_several_processes_are_for_one_run(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes._group, "size", 2)
    assert main(arguments) == 2
    assert "start sweeps and experiments without torchrun" in capsys.readouterr().err
    assert not list(tmp_path.glob("**/results.json"))


def test_a_process_works_alone_in_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_group", processes._Group(1, 3, 3))
    assert (processes.count(), processes.share(9)) == (3, slice(3, 6))
    with processes.alone():
        assert (processes.count(), processes.number(), processes.share(9)) == (1, 0, slice(0, 9))
    assert (processes.count(), processes.number(), processes.count_here()) == (3, 1, 3)
