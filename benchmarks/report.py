"""What every benchmark prints and writes."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from kanpde.display import wide_console
from kanpde.files import atomic
from kanpde.record import finite


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table; the keys of the first row are the columns."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    wide_console().print(table)


def processor() -> str:
    """Return the model of the CPU, or at least its architecture."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Return on what is measured here."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table; the keys of the first row are the columns."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([str(v) for v in row.values()] for row in rows)]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def number(error: float | None) -> float:
    """Return an error as a number: none, or one that is not finite, is infinite."""
    return error if error is not None and isfinite(error) else inf


def write(path: Path, **content: Any) -> None:
    """Write a JSON file that also says on what it was measured."""
    save(path, {"machine": {**machine(), "threads": torch.get_num_threads()}, **content})
    print(f"written to {path}")


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a strict JSON file, which an interruption leaves whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(finite(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
