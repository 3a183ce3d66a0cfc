"""What every benchmark prints and writes."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from kanpde.display import wide_console
from kanpde.record import atomic


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table; the keys of the first row are the columns."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    wide_console().print(table)


def write(path: Path, **content: Any) -> None:
    """Write a JSON file that also says on what it was measured."""
    machine = {
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    with atomic(path) as temporary:
        Path(temporary).write_text(json.dumps({"machine": machine, **content}, indent=1), encoding="utf-8")
    print(f"written to {path}")
