"""Tables of a summary, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite

from kanpde.experiments.statistics import (
    Point,
    cost_at_error,
    error_at_cost,
    series_of,
    slope_of,
)

SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, numbers to the right but for the first column."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]


def shown_error(value: float) -> str:
    """Return an error with two digits."""
    return f"{value:.1e}" if isfinite(value) else "-"


def shown_cost(value: float) -> str:
    """Return a number of parameters or of seconds."""
    return "-" if not isfinite(value) else f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def shown_ratio(value: float, unit: float) -> str:
    """Return a cost or an error in units of another one."""
    return f"{value / unit:.2g}" if isfinite(value) and isfinite(unit) and unit > 0 else "-"


def beside(shown: str, value: float, unit: float) -> str:
    """Return a value with its ratio to another one in brackets, if both are known."""
    return f"{shown} ({shown_ratio(value, unit)})" if shown_ratio(value, unit) != "-" else shown


def points_table(points: Sequence[Point]) -> list[str]:
    """Return a table with a row per setting: median errors with their range over seeds, seconds, failures."""
    header = ("series", "setting", "parameters", "L2, median", "L2, range", "H1, median", "seconds", "seeds", "failed")
    rows = [
        (
            point.series,
            ", ".join(f"{name} {value}" for name, value in point.place.items()),
            shown_cost(point.parameters),
            shown_error(point.rel_l2.median) + (" (at the floor)" if point.at_floor else ""),
            f"{shown_error(point.rel_l2.low)} to {shown_error(point.rel_l2.high)}",
            shown_error(point.rel_h1.median),
            shown_cost(point.seconds.median),
            str(point.seeds),
            str(point.failed),
        )
        for point in points
    ]
    return table(header, rows)


def slopes_table(points: Sequence[Point], cost: str = "parameters") -> list[str]:
    """Return a table of fitted exponents of the errors in a cost, a row per series."""
    rows = []
    for name, group in series_of(points).items():
        fitted = [slope_of(group, norm, cost) for norm in ("rel_l2", "rel_h1")]
        if any(fitted):
            rows.append((name, *(str(slope or "-") for slope in fitted), str(max(s.points for s in fitted if s))))
    return table(("series", "L2", "H1", "points"), rows)


def equal_error_table(families: Mapping[str, Sequence[Point]]) -> list[str]:
    """Return what each family needs for an error, by decades, in parameters and seconds and relative to the first."""
    first, *others = families
    header = ["L2 error at most"]
    for what in ("parameters", "seconds"):
        header += [f"{first}: {what}", *(f"{name}: {what} (ratio)" for name in others)]
    rows = []
    for digit in range(1, 14):
        wanted, cells, reached = 10.0**-digit, [f"1e-{digit:02d}"], 0
        for what in ("parameters", "seconds"):
            costs = {name: cost_at_error(points, wanted, what) for name, points in families.items()}
            reached += sum(map(isfinite, costs.values()))
            cells.append(shown_cost(costs[first]))
            cells += [beside(shown_cost(costs[name]), costs[name], costs[first]) for name in others]
        if reached:
            rows.append(cells)
    return table(header, rows)


def equal_time_table(families: Mapping[str, Sequence[Point]]) -> list[str]:
    """Return the least error of each family within a time, and relative to the first one's."""
    first, *others = families
    header = ["seconds at most", f"{first}: L2", *(f"{name}: L2 (ratio)" for name in others)]
    rows = []
    for limit in SECONDS:
        errors = {name: error_at_cost(points, limit, "seconds") for name, points in families.items()}
        if any(map(isfinite, errors.values())):
            cells = [shown_error(errors[first])]
            cells += [beside(shown_error(errors[name]), errors[name], errors[first]) for name in others]
            rows.append([f"{limit:g}", *cells])
    longest = max((p.seconds.median for points in families.values() for p in points), default=inf)
    return table(header, [row for row in rows if float(row[0]) <= 4 * longest])
