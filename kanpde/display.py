"""What a run shows while it goes on and at its end, on the screen and in its log."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kanpde.metrics import Errors, Method, ranks
from kanpde.position import Progress, Row
from kanpde.problem import Reference

PLAIN_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""
PLAIN_SECONDS = 5.0
"""Seconds between two lines of progress where there is no terminal."""


def wide_console() -> Console:
    """Return the console of standard output, wide enough for tables where there is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PLAIN_WIDTH)
    return console


class Display:
    """Prints lines, progress and tables; `log` also gets every line that stays on the screen."""

    def __init__(self, log: Callable[[str], None], console: Console | None = None) -> None:
        self.log = log
        self.console = console or wide_console()

    def say(self, line: str = "") -> None:
        """Print one line."""
        self.console.print(Text(line), soft_wrap=True)
        self.log(line)

    @contextmanager
    def progress(self, method: str) -> Iterator[Progress]:
        """Give a function that shows how a training goes: one moving line on a terminal, else a line now and then."""
        if self.console.is_terminal:
            with self.console.status(method) as status:
                yield lambda row: status.update(describe(method, row))
            return
        shown, place = monotonic(), (0, 0, 0)

        def plain(row: Row) -> None:
            nonlocal shown, place
            now = (row.slab, row.correction, row.stage)
            if now != place or monotonic() - shown >= PLAIN_SECONDS:
                shown, place = monotonic(), now
                self.say(describe(method, row))

        yield plain

    def table(self, methods: Sequence[Method], reference: Reference | None) -> None:
        """Print a row per method, and beneath the reference with its own error."""
        table = comparison_table(methods)
        self.console.print(table)
        text = Console(file=io.StringIO(), width=PLAIN_WIDTH, color_system=None)
        text.print(table)
        assert isinstance(text.file, io.StringIO)
        self.log(text.file.getvalue())
        if reference is None:
            self.say("no reference: errors are not known")
            return
        self.say(f"reference: {reference.name}, own relative L2 error {reference.error:.1e} ({reference.error_source})")
        for method in methods:
            if method.errors is not None and method.errors.verdict:
                self.say(f"{method.name}: {method.errors.verdict}")
        if any(method.errors is not None and method.errors.at_floor for method in methods):
            self.say("at the floor: not above the reference's own error, so such methods are not ranked")


def describe(method: str, row: Row) -> str:
    """Return a line about one iteration."""
    stage = f"stage {row.stage}" if row.stage else "random starts"
    if row.correction:
        stage = f"correction {row.correction}, {stage}"
    if row.slab > 1:
        stage = f"slab {row.slab}, {stage}"
    held_out = "" if math.isnan(row.held_out) else f", held-out {row.held_out:.2e}"
    return (
        f"{method}: {stage}, iteration {row.iteration}, {row.parameters} parameters, loss {row.loss:.2e}{held_out},"
        f" {row.seconds:.1f} s"
    )


def shown_error(errors: Errors) -> str:
    """Return a line about an error and the reference's own."""
    place = ", at the floor" if errors.at_floor else ""
    return f"relative L2 error {errors.rel_l2:.1e}{place} (the reference's own: {errors.floor:.1e})"


def comparison_table(methods: Sequence[Method]) -> Table:
    """Return the table of methods, ranked by error as far as the reference tells."""
    table = Table()
    table.add_column("method", no_wrap=True)
    for title in (
        "parameters\nor dofs",
        "relative\nL2",
        "rank",
        "relative\nH1",
        "max\nerror",
        "training\ns",
        "s per 1e5\nvalues",
    ):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("iterations", justify="right")
    table.add_column("why it stopped")
    place = ranks(methods)
    for method in methods:
        shown = ["-"] * 4
        if method.errors is not None:
            values = (method.errors.rel_l2, method.errors.rel_h1, method.errors.max_error)
            shown = ["-" if math.isnan(value) else f"{value:.1e}" for value in values]
            shown.insert(1, "at the floor" if method.errors.at_floor else str(place[method.name] or "-"))
        table.add_row(
            method.name,
            f"{method.parameters:,}",
            *shown,
            f"{method.seconds['train']:.2f}",
            f"{method.seconds['evaluate_1e5']:.3f}",
            f"{method.iterations:,}",
            Text(method.stopped),
        )
    return table
