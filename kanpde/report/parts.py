"""What a page is made of: cells of sortable tables, pictures, and links to files."""

from __future__ import annotations

import math
import os
import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from kanpde.plot import Figure, as_svg

NAME = "report.html"
PNG = b"\x89PNG\r\n\x1a\n"
HEADER = 24
"""Bytes of a PNG file up to its width and height."""


class Column(NamedTuple):
    """A column of a sortable table."""

    title: str
    numeric: bool = False


class Cell(NamedTuple):
    """A cell of a sortable table: its text, what it is sorted by (empty: last), its kind and where it leads."""

    text: str
    key: str = ""
    kind: str = ""
    link: str = ""


class Shown(NamedTuple):
    """A picture in the page, as a data URI with its size in CSS pixels, and links to its files."""

    source: str
    width: int
    height: int
    caption: str
    links: Sequence[tuple[str, str]] = ()


class File(NamedTuple):
    """A file of a run."""

    name: str
    link: str
    size: str


def counted(value: int | None) -> Cell:
    """Return a whole number."""
    return Cell("-", "", "number") if value is None else Cell(f"{int(value):,}", str(int(value)), "number")


def measured(value: float | None, least: float = 0.0, kind: str = "number") -> Cell:
    """Return an error; it is sorted by no less than the reference's own."""
    if value is None or not math.isfinite(value):
        return Cell("-", "", kind)
    return Cell(f"{value:.1e}", repr(max(float(value), float(least))), kind)


def timed(value: float | None, digits: int) -> Cell:
    """Return seconds."""
    known = value is not None and math.isfinite(value)
    return Cell(f"{value:,.{digits}f}", repr(float(value)), "number") if known and value else Cell("-", "", "number")


def embedded(content: bytes, caption: str, links: Sequence[tuple[str, str]] = ()) -> Shown:
    """Return a PNG file as part of the page, in the size of print at 96 pixels per inch."""
    width, height = struct.unpack(">II", content[HEADER - 8 : HEADER])
    source = "data:image/png;base64," + b64encode(content).decode()
    return Shown(source, round(width * 96 / 150), round(height * 96 / 150), caption, links)


def drawn(figure: Figure, caption: str) -> Shown:
    """Return a figure as an SVG file in the page."""
    width, height = figure.get_size_inches()
    source = "data:image/svg+xml;base64," + b64encode(as_svg(figure)).decode()
    return Shown(source, round(96 * width), round(96 * height), caption)


def picture_of(path: Path, caption: str, base: Path) -> Shown | None:
    """Return a PNG file as part of the page with links to it and the PDF beside it; None if there is no such file."""
    content = path.read_bytes() if path.is_file() else b""
    if not content.startswith(PNG) or len(content) <= HEADER:
        return None
    beside = [file for file in (path.with_suffix(".pdf"), path) if file.is_file()]
    return embedded(content, caption, [(file.suffix[1:].upper(), link(file, base)) for file in beside])


def environment(recorded: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield versions and hardware as text."""
    names = {"memory_gib": "memory in GiB"}
    for name, value in recorded.items():
        if isinstance(value, Mapping):
            yield from ((str(key), str(item)) for key, item in value.items())
        else:
            yield names.get(name, str(name)), "-" if value is None else str(value)


def files(directory: Path, base: Path, deep: bool = True) -> Iterator[File]:
    """Yield the files in a directory, and below it if `deep`, but for hidden ones and reports."""
    for path in sorted(directory.rglob("*") if deep else directory.iterdir()):
        inside = path.relative_to(directory)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts) and inside.name != NAME:
            size = path.stat().st_size
            yield File(inside.as_posix(), link(path, base), f"{size / 1e6:.1f} MB" if size > 1e5 else f"{size:,} bytes")


def link(path: Path, base: Path) -> str:
    """Return a link to a file from a page in a folder."""
    return quote(Path(os.path.relpath(path.resolve(), base.resolve())).as_posix())
