"""What a run tells TensorBoard while it goes on: a folder of event files per method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kanpde.errors import KanpdeError, unknown_name
from kanpde.metrics import Method
from kanpde.position import Progress, Row

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOGGERS = ("tensorboard",)
FLUSH_SECONDS = 1
"""Seconds after which what was told is in a file, at the latest."""


def require_logger(name: str) -> None:
    """Raise KanpdeError for an unknown logger, or one whose package is missing."""
    if name not in LOGGERS:
        raise unknown_name("logger", name, LOGGERS)
    if find_spec("tensorboard") is None:
        raise KanpdeError("logger=tensorboard needs the package tensorboard: pip install 'kanpde[tensorboard]'.")


class TensorBoard:
    """Writes event files to a folder, in which every method has one of its own.

    The step is the number of iterations in all trainings of a method. `configuration`, as text, goes with every
    training. Nothing is made before there is something to write.
    """

    def __init__(self, folder: Path, configuration: str) -> None:
        self.folder, self.configuration = folder, configuration
        self._writers: dict[str, SummaryWriter] = {}

    def progress(self, method: str) -> Progress:
        """Return a function that takes the iterations of a training.

        One that goes on from a checkpoint does some iterations again; TensorBoard then leaves out the earlier ones.
        """

        def write(row: Row) -> None:
            if method not in self._writers:
                writer = self._writer(method, purge_step=row.iteration)
                # Markdown shows what is indented as it is.
                text = "\n".join(f"    {line}" for line in self.configuration.splitlines())
                writer.add_text("configuration", text, row.iteration)
            values = {
                "loss/training": row.loss,
                "loss/held-out": row.held_out,
                "training/stage": row.stage,
                "training/parameters": row.parameters,
                "training/slab": row.slab,
                "training/correction": row.correction,
            }
            self._scalars(method, values, row.iteration)

        return write

    def finished(self, method: Method) -> None:
        """Write the errors of a method, and the unknown scalars that it found."""
        values = {"seconds": method.seconds["train"]}
        if method.errors is not None:
            errors = method.errors
            values |= {"error/relative L2": errors.rel_l2, "error/relative H1": errors.rel_h1}
            values |= {"error/max": errors.max_error, "error/the reference's own": errors.floor}
        values |= {f"scalar/{name}": value for name, value in method.scalars.items()}
        self._scalars(method.name, values, method.iterations)

    def picture(self, method: str, name: str, path: Path, step: int) -> None:
        """Write a picture from its PNG file."""
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._writer(method).add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left, and close all files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _scalars(self, method: str, values: Mapping[str, float], step: int) -> None:
        """Write values; one that is not a number, such as a held-out loss between its measurements, is left out."""
        writer = self._writer(method)
        for name, value in values.items():
            if not math.isnan(value):
                writer.add_scalar(name, value, step)

    def _writer(self, method: str, purge_step: int | None = None) -> SummaryWriter:
        if method not in self._writers:
            from torch.utils.tensorboard import SummaryWriter  # takes a second that other runs need not wait for

            self._writers[method] = SummaryWriter(self.folder / method, purge_step=purge_step, flush_secs=FLUSH_SECONDS)
        return self._writers[method]
