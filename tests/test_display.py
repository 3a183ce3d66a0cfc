"""What a run prints: lines, progress and the table, on the screen and in the log."""

import io
import math

from rich.console import Console

from kanpde.display import Display, describe, shown_error
from kanpde.metrics import Errors, Method
from kanpde.position import Row
from kanpde.problem import Reference
from kanpde.reference import exact

SECONDS = {"setup": 0.1, "train": 1.234, "evaluate_1e5": 0.01}
ROW = Row(stage=1, iteration=7, seconds=2.0, loss=1e-3, held_out=math.nan, parameters=290)


class Rough(Reference):
    name = "rough"
    error = 1e-4
    error_source = "two resolutions"


def shown(methods: list[Method], reference: Reference | None, terminal: bool = False) -> tuple[str, str]:
    lines: list[str] = []
    file = io.StringIO()
    console = Console(file=file, width=140, force_terminal=terminal, color_system=None)
    Display(lines.append, console).table(methods, reference)
    return file.getvalue(), "\n".join(lines)


def method(name: str, rel_l2: float, floor: float = 0.0) -> Method:
    return Method(name, 1290, Errors(rel_l2, math.nan, 0.5, floor=floor), SECONDS, 1234, "budget [of] 10 s")


def test_table_has_a_row_per_method_on_screen_and_in_the_log() -> None:
    screen, log = shown([method("kan", 1e-6), method("mlp", 1e-2)], exact(lambda at: at.x))
    assert screen == log + "\n" or screen.split() == log.split()
    for part in ("kan", "mlp", "1,290", "1.0e-06", "1.23", "0.010", "1,234", "budget [of] 10 s", "reference: exact"):
        assert part in screen
    assert "floor" not in screen
    assert [cells[3] for cells in rows(screen)] == ["1", "2"]


def rows(screen: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:]] for line in screen.splitlines() if line.startswith("│")]


def test_errors_below_the_references_own_are_not_ranked() -> None:
    methods = [method("mlp", 4e-4, 1e-4), method("kan", 9e-5, 1e-4), method("fem", 2e-4, 1e-4)]
    screen, _ = shown(methods, Rough)  # type: ignore[arg-type]
    assert [cells[3] for cells in rows(screen)] == ["3", "at the floor", "2"]
    assert "at the floor: not above" in screen
    assert "1.0e-04 (two resolutions)" in screen


def test_the_references_own_error_stands_beside_every_error() -> None:
    assert shown_error(Errors(2e-4, math.nan, 0.5, floor=1e-4)) == (
        "relative L2 error 2.0e-04 (the reference's own: 1.0e-04)"
    )
    assert "9.0e-05, at the floor" in shown_error(Errors(9e-5, math.nan, 0.5, floor=1e-4))


def test_without_reference_no_errors_are_shown() -> None:
    screen, _ = shown([Method("kan", 10, None, SECONDS, 1, "done")], None)
    assert "no reference" in screen


def test_progress_is_a_line_per_stage_without_a_terminal() -> None:
    lines: list[str] = []
    display = Display(lines.append, Console(file=io.StringIO(), width=140))
    with display.progress("kan") as progress:
        for _ in range(3):
            progress(ROW)
        progress(Row(2, 8, 2.1, 1e-4, 2e-4, 310))
    assert lines == [
        "kan: stage 1, iteration 7, 290 parameters, loss 1.00e-03, 2.0 s",
        "kan: stage 2, iteration 8, 310 parameters, loss 1.00e-04, held-out 2.00e-04, 2.1 s",
    ]


def test_progress_moves_on_a_terminal() -> None:
    lines: list[str] = []
    file = io.StringIO()
    with Display(lines.append, Console(file=file, width=140, force_terminal=True)).progress("kan") as progress:
        progress(ROW)
    assert lines == []
    assert describe("kan", ROW) not in lines
    assert "kan" in file.getvalue()
