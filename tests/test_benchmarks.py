"""The parts of the benchmarks that do not measure: cases, rows, page and slope; and one short measurement."""

import json
import math
import platform
import re
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

import kanpde
from benchmarks import accuracy, problems, results
from benchmarks.cases import CASES, TREND, Case, Target, find_case
from benchmarks.page import page, ranges, slope, target_cells, verdict
from benchmarks.peers import __main__ as peers
from benchmarks.peers import table, trial
from benchmarks.published import RECORDS
from benchmarks.report import markdown, save
from kanpde import KAN, Budget, KanpdeError, LevenbergMarquardt, library
from kanpde.field import Points
from kanpde.multiindex import IndexSet
from kanpde.reference.fem import Resolution

SOLVE = kanpde.solve
TARGET = {"error": 1e-8, "parameters": 500, "seconds": 20.0}


def seed(number, error, parameters=300, seconds=10.0):
    return {
        "seed": number,
        "date": "2030-01-02",
        "error": error,
        "parameters": parameters,
        "iterations": 40,
        "seconds": seconds,
        "threads": 1,
        "stopped": "stalled | or not",
    }


def row(*seeds, target=TARGET, model=None):
    case = Case("poisson2d", model=model)
    new = results.new_row(case, library.load_problem("poisson2d"), 1)
    return {**new, "target": target, "seeds": list(seeds)}


@pytest.mark.parametrize("case", [*CASES, *(case for series in TREND.values() for case in series)], ids=str)
def test_every_case_is_found_by_its_label(case):
    assert find_case(case.label) is case


def test_labels_are_unique():
    labels = [case.label for case in (*CASES, *(case for series in TREND.values() for case in series))]
    assert len(set(labels)) == len(labels) == 27


def test_a_case_is_a_problem_with_arguments():
    assert find_case("helmholtz2d").target == Target(1e-9, 500, 30)
    assert find_case("helmholtz2d:b=6,a=6").target == Target(1e-6, 1500, 120)
    other = find_case("helmholtz2d:a=6,k=0.5")
    assert other == Case("helmholtz2d", arguments={"a": 6, "k": 0.5})
    assert other.label == "helmholtz2d:a=6,k=0.5"
    assert find_case("poisson2d").model is None
    assert find_case("poisson2d-deep").model.width == (5,) * 5


@pytest.mark.parametrize("text", ["helmholtz2d:", "helmholtz2d:a", "helmholtz2d:a=", "helmholtz2d:=6", ":a=6", ""])
def test_a_malformed_case_is_refused(text):
    with pytest.raises(KanpdeError, match="write"):
        find_case(text)


def test_a_row_keeps_the_wanted_seeds_that_were_made_with_the_same():
    old = row(seed(0, 1e-9), seed(1, 1e-9), seed(7, 1e-9))
    new = row()
    assert [s["seed"] for s in results.merged(new, old, range(5))["seeds"]] == [0, 1]
    assert results.merged(new, None, range(5))["seeds"] == []
    for what in ("torch", "sources", "processor", "threads", "budget", "model"):
        other = {**old, "made_with": {**old["made_with"], what: "another"}}
        assert results.merged(new, other, range(5))["seeds"] == []
    assert results.merged({**new, "target": None}, old, range(5))["target"] is None


def test_settings_are_spelled_without_the_defaults():
    assert results.spelled(TREND["degree 3 alone"][0].model) == "KAN(grid=6, degree=(3, 1), products=3)"
    assert results.spelled(find_case("poisson2d-deep").model) == "KAN(width=(5, 5, 5, 5, 5))"
    assert results.spelled(KAN()) == "KAN()"


def test_seeds_are_in_order_and_replaced():
    found = results.with_seed(results.with_seed(row(seed(3, 1e-9)), seed(1, 1e-8)), seed(3, 1e-7))
    assert [(s["seed"], s["error"]) for s in found["seeds"]] == [(1, 1e-8), (3, 1e-7)]


def test_a_file_gives_back_its_rows(tmp_path):
    path = tmp_path / "new" / "rows.json"
    assert results.read(path) == {}
    written = {"poisson2d": row(seed(0, 1e-9), seed(1, None)), "another": row(seed(0, math.inf))}
    save(path, {"rows": written})
    assert results.read(path)["poisson2d"] == written["poisson2d"]
    assert results.read(path)["another"]["seeds"][0]["error"] is None
    assert results.merged(row(), results.read(path)["poisson2d"], [0, 1])["seeds"] == written["poisson2d"]["seeds"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": {"poisson2d": {}}}', '{"rows": []}'])
def test_a_damaged_file_is_refused(text, tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(KanpdeError, match="does not hold measured rows"):
        results.read(path)


def test_failed_seeds_count_as_infinite_errors():
    found = results.Summary.of(row(seed(0, 1e-9), seed(1, None, None, None), seed(2, 3e-9, 310, 30.0)))
    assert (found.median, found.worst, found.failed) == (3e-9, math.inf, 1)
    assert (found.parameters, found.seconds) == (310, 20.0)
    none = results.Summary.of(row(seed(0, None, None, None)))
    assert (none.median, none.failed, none.parameters, none.seconds) == (math.inf, 1, None, None)
    assert set(none.ratios(TARGET).values()) == {math.inf}


def test_targets_are_met_or_not_with_the_ratio():
    reached = results.Summary.of(row(seed(0, 2e-8), seed(1, 1e-8), seed(2, 29e-8)))
    assert reached.ratios(TARGET) == pytest.approx({"error": 2, "worst": 29 / 30, "parameters": 0.6, "seconds": 0.5})
    assert reached.ratios({**TARGET, "parameters": None, "seconds": None})["parameters"] is None
    assert (verdict(2.04), verdict(1.0), verdict(0.0123), verdict(None), verdict(math.inf)) == (
        "no (2)",
        "yes (1)",
        "yes (0.012)",
        "-",
        "no (inf)",
    )


def test_a_page_has_the_rows_and_nothing_else():
    text = page({"poisson2d": row(seed(0, 2e-8), seed(1, None)), "mine": row(seed(4, 1e-3), target=None)})
    lines = text.splitlines()
    assert any(line.startswith("| poisson2d | inf | 1.0e-08 | no (inf) | inf | no (inf) | 1 of 2 |") for line in lines)
    assert any(line.startswith("| mine | 1.0e-03 | - | - | 1.0e-03 | - | 0 of 1 | 300 |") for line in lines)
    assert "| poisson2d | 1 | failed | 300 | 40 | 10 | stalled \\| or not |" in lines
    assert "Error against parameters" not in text
    assert "helmholtz2d" not in text
    assert "Nothing yet" in page({})


def test_the_trend_has_a_slope_per_series():
    rows = {
        case.label: row(seed(0, 2.0 * p**-4.0, p), target=None, model=case.model)
        for case, p in zip(TREND["degree 3 alone"], (100, 120, 150, 200, 300), strict=True)
    }
    text = page(rows)
    assert "- degree 3 alone: -4.0\n" in text
    assert "- defaults: too few finite errors\n" in text
    assert "Nothing yet" in text


def test_slope_is_that_of_the_finite_points():
    points = [(p, 3e-4 * p**-5.5) for p in (100.0, 130.0, 300.0)]
    assert slope(points) == pytest.approx(-5.5, rel=1e-12)
    assert slope([*points, (400.0, math.inf), (500.0, math.nan), (600.0, 0.0)]) == pytest.approx(-5.5, rel=1e-12)
    assert abs(slope([(100.0, 1e-3), (200.0, 1e-3 / 2**5.5 * 1.01)]) + 5.5) > 1e-2
    assert math.isnan(slope(points[:1]))
    assert math.isnan(slope([]))


def test_tables_and_ranges():
    assert markdown([{"a": 1, "b": "x|y"}]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n"
    assert [ranges(n) for n in ([], [3], [0, 1, 2], [0, 1, 5, 100, 101])] == [
        "",
        "3",
        "0 to 2",
        "0 to 1, 5, 100 to 101",
    ]


@pytest.fixture
def short(monkeypatch):
    """Let every solve end after a few iterations on a small network, and count the calls."""
    calls = []

    def solve(problem, model, **options):
        calls.append(options["seed"])
        if options["seed"] == 101:
            raise KanpdeError("no luck.")
        solver = LevenbergMarquardt(starts=1, start_iterations=1)
        return SOLVE(problem, KAN(grid=4), solver, **{**options, "budget": Budget(iterations=2)})

    monkeypatch.setattr(kanpde, "solve", solve)
    monkeypatch.setattr(kanpde.run, "evaluation_seconds", lambda *_: 0.0)
    return calls


def test_a_measurement_adds_its_rows_and_goes_on_where_it_was(short, tmp_path, capsys):
    files = ["--out", str(tmp_path / "a.json"), "--markdown", str(tmp_path / "a.md"), "--threads", "1"]
    accuracy.main(["poisson2d_sinsin", "there_is_none", "--seeds", "1", *files])
    assert "there_is_none is skipped: unknown problem" in capsys.readouterr().out
    accuracy.main(["poisson2d", "--first-seed", "100", "--seeds", "2", *files])
    assert short == [0, 100, 101]
    rows = json.loads(Path(tmp_path / "a.json").read_text(encoding="utf-8"))["rows"]
    assert list(rows) == ["poisson2d_sinsin", "poisson2d"]
    good, failed = rows["poisson2d"]["seeds"]
    assert (good["seed"], good["threads"], failed["error"]) == (100, 1, None)
    assert good["error"] > 0
    assert failed["stopped"] == "KanpdeError: no luck."
    accuracy.main(["poisson2d", "--first-seed", "100", "--seeds", "3", *files])
    assert short == [0, 100, 101, 102]
    accuracy.main(["poisson2d", "--first-seed", "100", "--seeds", "1", "--again", *files])
    assert short == [0, 100, 101, 102, 100]
    text = Path(tmp_path / "a.md").read_text(encoding="utf-8")
    assert "| poisson2d_sinsin |" in text
    assert "| poisson2d |" in text


def test_problems_are_measured_with_finite_elements_once(short, tmp_path, monkeypatch):
    files = ["--out", str(tmp_path / "p.json"), "--markdown", str(tmp_path / "p.md"), "--threads", "1"]
    monkeypatch.setattr(problems, "ladder", lambda problem: (_ for _ in ()).throw(KanpdeError("not here.")))
    problems.main(["wave1d", "--seeds", "1", *files])
    monkeypatch.setattr(problems, "ladder", lambda problem: [Resolution(1, 8), Resolution(2, 8), Resolution(4, 16)])
    problems.main(["poisson1d:b=2", "--seeds", "1", *files])
    monkeypatch.setattr(problems, "solved_by_fem", None)
    problems.main(["poisson1d:b=2", "--seeds", "2", *files])
    assert short == [0, 0, 1]
    rows = json.loads(Path(tmp_path / "p.json").read_text(encoding="utf-8"))["rows"]
    assert list(rows) == ["wave1d", "poisson1d:b=2"]
    assert rows["wave1d"]["fem"] == {"solutions": [], "note": "not here."}
    solutions = rows["poisson1d:b=2"]["fem"]["solutions"]
    assert [(s["name"], s["dofs"]) for s in solutions] == [("fem-p1-8", 7), ("fem-p2-8", 15), ("fem-p4-16", 63)]
    errors = [s["error"] for s in solutions]
    assert 0.1 > errors[0] > errors[1] > errors[2] > 1e-9
    text = Path(tmp_path / "p.md").read_text(encoding="utf-8")
    assert "| poisson1d:b=2 |" in text
    assert "- wave1d: not here." in text
    assert "- wave1d, KAN: 2.4e-04, another wave problem\n" in text
    for name in library.problem_files():
        assert f"\n### {name}\n".replace("_", "\\_") in text


def test_finite_elements_at_equal_error_are_the_fastest_that_are_as_accurate():
    solutions = [
        {"name": name, "dofs": 1, "error": error, "seconds": s}
        for name, error, s in (("a", 1e-3, 0.1), ("b", 1e-6, 3.0), ("c", 1e-5, 1.0), ("d", None, 0.0))
    ]
    assert [problems.chosen(solutions, e)["name"] for e in (1e-2, 1e-4, 2e-6, 1e-9)] == ["a", "c", "b", "b"]
    assert problems.chosen([], 1.0) is None
    found = problems.cells("poisson2d", {**row(seed(0, 1e-4)), "fem": {"solutions": solutions, "note": ""}})
    assert (found["fem"], found["fem error"], found["better"]) == ("c", "1.0e-05", "yes")
    assert problems.cells("poisson2d", row(seed(0, 1e-3)))["better"] == "no"
    assert problems.cells("poisson2d", row(seed(0, 1e-3)))["fem"] == "-"


def test_what_stops_a_network_is_said_where_it_is_far_from_its_goal():
    far = row(seed(0, 1e-2))
    assert problems.limit(far) == "Not known."
    assert problems.limit({**far, "made_with": {**far["made_with"], "problem": "gray_scott"}}).startswith("As ")
    assert problems.limit(row(seed(0, 1e-5))) == ""
    assert problems.limit({**far, "reference": {**far["reference"], "error": 2e-3}}) == ""
    assert set(problems.LIMITS) <= set(library.problem_files())


def test_published_errors_are_positive_and_say_where_they_are_from():
    for record in RECORDS.values():
        assert any(found.error is not None for found in record)
        assert all(found.error is None or found.error > 0 for found in record)


def test_the_error_of_one_unknown_can_be_asked_for(short):
    case = replace(find_case("poisson2d"), unknown="u")
    problem = accuracy.loaded(case)
    assert (
        accuracy.solved(case, problem, 0, 1)["error"] == accuracy.solved(find_case("poisson2d"), problem, 0, 1)["error"]
    )
    assert (
        target_cells("poisson2d", {**row(seed(0, 1.0)), "made_with": results.made_with(case, 1)})["case"]
        == "poisson2d, u"
    )
    assert accuracy.loaded(replace(case, unknown="w")) is None


def test_the_peers_solve_the_problem_poisson2d():
    problem, x, y = library.load_problem("poisson2d"), *np.random.default_rng(0).uniform(-1, 1, (2, 50))
    at = Points.of(("x", "y"), torch.from_numpy(np.stack([x, y], axis=1)))
    u, u_xx, u_yy = problem.reference.taylor(at, IndexSet(("x", "y"), [(2, 0), (0, 2)]))[[0, -1, -2], :, 0].numpy()
    np.testing.assert_allclose(trial.solution(x, y), u, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(trial.source(x, y, np.sin, np.cos), -2 * (u_xx + u_yy), rtol=1e-10, atol=1e-10)
    assert trial.walls(np.array([-1.0, 0.3, 0.0]), np.array([0.2, 1.0, 0.0])).tolist() == [0, 0, 1]


def test_the_watch_measures_when_it_is_due_and_stops_at_the_smallest_target(tmp_path):
    watch = trial.Watch(tmp_path / "report.jsonl", limit=100.0)

    def off(factor):
        return lambda points: factor * trial.solution(*points.T)

    assert watch(off(1.01), 1.0) is False
    assert watch(off(1.001), 1.04) is False  # too early to measure
    assert watch(off(math.nan), 2.0) is False
    assert watch(off(1 + 1e-7), 3.0) is True
    assert watch(off(2.0), 100.0) is True
    watch.says(parameters=7)
    found = table.trial(watch.report)
    assert found["parameters"] == 7
    assert [second for second, _ in found["curve"]] == [1.0, 2.0, 3.0, 100.0]
    assert found["curve"][0][1] == pytest.approx(0.01, rel=1e-10)
    assert found["curve"][1][1] is None
    with pytest.raises(ValueError, match="shape"):
        watch(lambda points: points, 200.0)


def test_the_clock_stands_still_while_the_error_is_measured(tmp_path):
    watch = trial.Watch(tmp_path / "report.jsonl", limit=100.0)

    def slow(points):
        time.sleep(0.2)
        return trial.solution(*points.T)

    begin = time.perf_counter()
    watch(slow)
    assert time.perf_counter() - begin - watch.seconds > 0.2 - 0.01


def peer(*curves, message=""):
    seeds = [
        {"seed": i, "date": "2030-01-02", "message": message, "parameters": 300 if curve else None, "curve": curve}
        for i, curve in enumerate(curves)
    ]
    origin = {"version": "1.2", "python": "3.11", "settings": "so", "limit": 60.0, "processor": "p", "cores": 2}
    return {"made_with": origin, "seeds": seeds}


def test_times_to_an_error_are_of_the_first_time_and_count_failures():
    curve = [[1.0, 0.5], [2.0, 9e-4], [3.0, None], [4.0, 2e-3], [5.0, 5e-5]]
    assert [table.time_to(curve, error, 9.0) for error in (1.0, 1e-3, 1e-4, 1e-6)] == [1.0, 2.0, 5.0, math.inf]
    assert table.time_to(curve, 1e-4, limit=4.9) == math.inf
    found = table.cells("other", peer(curve, [[3.0, 1e-5]], []))
    assert (found["package"], found["parameters"], found["warm-up s"]) == ("other 1.2", "300", "2")
    assert (found["s to 1e-03"], found["s to 1e-04"], found["s to 1e-06"]) == ("3", "5", "-")
    nothing = table.cells("other", peer([], message="killed"))
    assert (nothing["warm-up s"], nothing["s to 1e-03"], nothing["best error, median"]) == ("-", "-", "-")
    assert nothing["ended early"] == "killed"


def test_the_page_of_the_peers_has_measured_rows_only():
    text = table.page({"other": peer([[3.0, 1e-5]])})
    assert "| other 1.2 | 300 | 3 | 3 | 3 | - | 1.0e-05 | 60 | 0 | - |" in text.splitlines()
    assert "pykan" not in text
    assert "Nothing yet" in table.page({})


@pytest.mark.parametrize("name", peers.PACKAGES)
def test_every_package_says_its_settings_and_needs_nothing_of_kanpde(name):
    module = Path(peers.HERE, f"{name}.py")
    assert len(table.settings(module)) > 20
    imports = re.findall(r"^(?:import|from) ([\w.]+)", module.read_text(encoding="utf-8"), re.MULTILINE)
    assert [i for i in imports if i.startswith("benchmarks")] == ["benchmarks.peers.trial"]
    assert name == "kanpde" or "kanpde" not in imports


def test_interpreters_are_chosen_by_name():
    assert peers.interpreters([f"pykan={sys.executable}"]) == dict.fromkeys(peers.PACKAGES, sys.executable)
    for text in ("pykan", "other=/bin/sh", "pykan=/there/is/none"):
        with pytest.raises(KanpdeError, match="--python"):
            peers.interpreters([text])


def test_a_trial_that_is_too_slow_or_crashes_leaves_a_message():
    assert peers.run_trial("kanpde", sys.executable, 0, 1.0, seconds=0.01) == {
        "seed": 0,
        "date": date.today().isoformat(),
        "message": "killed after the hard limit",
        "parameters": None,
        "curve": [],
    }
    assert "No module named benchmarks.peers.no_such" in peers.run_trial("no_such", sys.executable, 0, 1.0)["message"]


def test_a_package_that_is_missing_is_named_with_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(peers, "version", lambda name, python: None)
    peers.main(["pykan", "--out", str(tmp_path / "a.json"), "--markdown", str(tmp_path / "a.md")])
    assert "pykan: not installed" in (said := capsys.readouterr().out)
    assert "-m pip install pykan" in said
    assert not list(tmp_path.iterdir())


def test_versions_come_from_the_interpreter():
    assert peers.version("kanpde", sys.executable) == (platform.python_version(), kanpde.__version__)
    assert peers.version("numpy", sys.executable) == (platform.python_version(), np.__version__)
    assert peers.version("there-is-no-such-package", sys.executable) is None
