"""References that take time are computed once and kept on disk, by the hash of all that they depend on."""

from __future__ import annotations

import os
import warnings
import zipfile
from abc import abstractmethod
from collections.abc import Callable
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kanpde.files import atomic
from kanpde.problem import Reference
from kanpde.version import __version__

Arrays = dict[str, NDArray[Any]]


class Computed(Reference):
    """A reference that is computed when it is first used; if its problem came from a file, it is then kept on disk.

    `compute` returns all that values need, and the relative L2 error as "error".
    """

    @property
    @abstractmethod
    def settings(self) -> str:
        """What the arrays depend on besides the problem's file, its arguments and this package."""

    @abstractmethod
    def compute(self) -> Arrays:
        """Return the arrays of the reference."""

    @cached_property
    def arrays(self) -> Arrays:
        """The arrays of the reference, from the disk if they are there."""
        with torch.enable_grad():  # it may be used first where nothing else is differentiated
            return stored(self.origin, f"{type(self).__name__} {self.settings}", self.compute)

    @cached_property
    def error(self) -> float:  # type: ignore[override]
        """The estimated relative L2 error."""
        return float(self.arrays["error"])


def folder() -> Path | None:
    """Return where references are kept: KANPDE_CACHE, or kanpde in XDG_CACHE_HOME or ~/.cache; None if it is empty."""
    chosen = os.environ.get("KANPDE_CACHE")
    if chosen is not None:
        return Path(chosen).expanduser() if chosen else None
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kanpde"


def stored(origin: str, settings: str, compute: Callable[[], Arrays]) -> Arrays:
    """Return computed arrays, from the disk if they are there; without an `origin` they are not kept.

    A file that cannot be read is computed anew, with a warning. Files are moved into place whole, so that processes
    at work on the same reference at once do no harm.
    """
    directory = folder() if origin else None
    if directory is None:
        return compute()
    path = directory / f"{sha256(f'{origin} {package()} {settings}'.encode()).hexdigest()}.npz"
    if path.is_file():
        try:
            return read(path)
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(f"'{path}' is damaged ({error}): the reference is computed anew.", stacklevel=2)
    arrays = compute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # mypy takes the names for allow_pickle
    except OSError as error:
        warnings.warn(f"the reference was not kept as '{path}' ({error}): set KANPDE_CACHE.", stacklevel=2)
    return arrays


def read(path: Path) -> Arrays:
    """Return the arrays of a file; every byte of them is verified by its checksums."""
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if "error" not in arrays:
        raise KeyError("it has no error")
    return arrays


@cache
def package() -> str:
    """Return the version of this package and the hash of the modules that compute references."""
    digest = sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{__version__} {digest.hexdigest()}"
