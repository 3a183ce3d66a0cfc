"""Computed references on disk: kept by what they depend on, rebuilt when damaged, safe with several processes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from kanpde.field import Points
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.reference import cache
from kanpde.reference.cache import Arrays, Computed, folder, stored

PROBLEM = '''"""Heat on a circle. Source: a test."""

from torch import sin

from kanpde import Box, Problem, initial, periodic
from kanpde.reference import fourier


def problem(rate: float = 0.5) -> Problem:
    box = Box(x=(0, 6.283185307179586), t=(0, 1))

    def heat(u, at):
        return u.d("t") - rate * u.d("xx")

    return Problem(
        geometry=box,
        equations={"heat": heat},
        conditions={"start": initial(lambda at: sin(at.x)), "circle": periodic("x")},
        reference=fourier(box, lambda d: rate * d**2, lambda u, at: 0 * u, lambda at: sin(at.x), modes=8, steps=40),
    )
'''


class Counted:
    """A computation that counts how often it is done."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Arrays:
        self.count += 1
        return {"error": np.float64(1e-9), "states": np.arange(1000.0)}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KANPDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_reference_is_computed_once(directory: Path) -> None:
    compute = Counted()
    first, second = (stored("file", "modes=8", compute) for _ in range(2))
    assert compute.count == 1
    assert first.keys() == second.keys() == {"error", "states"}
    assert np.array_equal(first["states"], second["states"])
    assert float(second["error"]) == 1e-9
    (path,) = directory.iterdir()
    assert path.suffix == ".npz"


def test_everything_that_it_depends_on_is_in_the_hash(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = Counted()
    stored("file", "modes=8", compute)
    stored("other file", "modes=8", compute)
    stored("file", "modes=9", compute)
    monkeypatch.setattr(cache, "package", lambda: "another version")
    stored("file", "modes=8", compute)
    assert compute.count == 4
    assert len(list(directory.iterdir())) == 4


def test_without_a_file_or_a_folder_nothing_is_kept(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = Counted()
    stored("", "modes=8", compute)
    monkeypatch.setenv("KANPDE_CACHE", "")
    stored("file", "modes=8", compute)
    assert compute.count == 2
    assert not directory.exists()


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KANPDE_CACHE", "~/mine")
    assert folder() == Path.home() / "mine"
    monkeypatch.delenv("KANPDE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "kanpde"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folder() == Path.home() / ".cache" / "kanpde"


def flipped(content: bytes) -> bytes:
    """Another byte in the middle of the states."""
    place = content.index(np.arange(1000.0).tobytes()) + 4000
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"\0" * len(b), flipped],
    ids=["empty", "half", "zeros", "one bit"],
)
def test_a_damaged_file_is_computed_anew_with_a_warning(directory: Path, damage: Callable[[bytes], bytes]) -> None:
    compute = Counted()
    stored("file", "modes=8", compute)
    (path,) = directory.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match="is damaged"):
        arrays = stored("file", "modes=8", compute)
    assert np.array_equal(arrays["states"], np.arange(1000.0))
    stored("file", "modes=8", compute)
    assert compute.count == 2


@pytest.mark.parametrize(
    "arrays", [{"states": np.zeros(3)}, {"error": np.array([{}], dtype=object)}], ids=["no error", "pickled"]
)
def test_files_of_others_are_not_taken(directory: Path, arrays: Arrays) -> None:
    """Above all no pickles, which could run code."""
    compute = Counted()
    stored("file", "modes=8", compute)
    (path,) = directory.iterdir()
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="is damaged"):
        assert float(stored("file", "modes=8", compute)["error"]) == 1e-9


def test_a_folder_that_cannot_be_written_is_only_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    monkeypatch.setenv("KANPDE_CACHE", str(tmp_path / "cache"))
    with pytest.warns(UserWarning, match="was not kept"):
        assert float(stored("file", "modes=8", Counted())["error"]) == 1e-9


def test_an_interrupt_leaves_no_half_written_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(file: BinaryIO, **arrays: object) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(KeyboardInterrupt):
        stored("file", "modes=8", Counted())
    assert list(directory.iterdir()) == []


def test_another_process_may_finish_first(directory: Path) -> None:
    compute = Counted()

    def overtaken() -> Arrays:
        stored("file", "", compute)
        return compute()

    assert float(stored("file", "", overtaken)["error"]) == 1e-9
    assert compute.count == 2
    assert len(list(directory.iterdir())) == 1


@pytest.mark.slow
def test_several_processes_at_once_do_no_harm(directory: Path) -> None:
    code = (
        "import time, numpy as np; from kanpde.reference.cache import stored;"
        "arrays = stored('file', '', lambda: (time.sleep(0.2), {'error': np.float64(1), 'u': np.ones(10**5)})[1]);"
        "assert arrays['u'].sum() == 10**5"
    )
    processes = [subprocess.Popen([sys.executable, "-W", "error", "-c", code]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(list(directory.iterdir())) == 1


def test_a_problem_from_a_file_keeps_its_reference(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "heat.py"

    def values(**arguments: float) -> torch.Tensor:
        problem = load_problem(path, **arguments)
        assert isinstance(problem.reference, Computed)
        assert problem.reference.error < 1e-6
        at = Points.of(("x", "t"), torch.tensor([[1.0, 0.5]], dtype=torch.float64))
        return problem.reference.taylor(at, IndexSet(("x", "t")))

    path.write_text(PROBLEM)
    first, again = values(), values()
    assert torch.equal(first, again)
    assert len(list(directory.iterdir())) == 1
    assert not torch.equal(values(rate=0.6), first)
    assert len(list(directory.iterdir())) == 2
    path.write_text(PROBLEM.replace("rate * d**2", "2 * rate * d**2"))
    assert not torch.equal(values(), first)
    assert len(list(directory.iterdir())) == 3
