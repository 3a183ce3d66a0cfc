"""Errors that a user can act on: each message says what, with the value, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class KanpdeError(Exception):
    """Bad input. The command line prints it as one line and exits with code 2."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> KanpdeError:
    """Return an error for an unknown name that lists the known ones and suggests the nearest."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f": did you mean '{near[0]}'?" if near else "."
    return KanpdeError(f"unknown {what} '{name}'{hint} Known: {', '.join(known) or 'none'}.")
