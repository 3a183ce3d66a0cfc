"""The page about runs: what it says, that nothing in it comes alive, and how it behaves in a browser."""

import json
import re
import shutil
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import kanpde
from kanpde import KanpdeError
from kanpde.cli import main
from kanpde.metrics import Errors, Method
from kanpde.plot import STYLE, as_png, draw_convergence
from kanpde.record import RunDirectory, write_csv
from kanpde.report import runs as runs_of_page
from kanpde.report import write_report
from kanpde.report.page import read_all
from kanpde.report.parts import NAME, PNG
from kanpde.report.runs import flattened, over_seeds, settings_that_differ

NASTY = "</td><script>document.title = 'changed'</script><img src=x onerror=alert(1)>"
REFERENCE = {"name": "exact", "error": 1e-10, "error_source": "closed form"}


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    monkeypatch.setitem(STYLE, "savefig.dpi", 40)


@cache
def picture():
    """Return a picture as PNG."""
    return as_png(draw_convergence({}))


def method(name="kan", error=1e-6, parameters=200, seconds=2.5, stopped="ended"):
    times = {"setup": 0.0, "train": seconds, "evaluate_1e5": None}
    row = {"name": name, "parameters": parameters, "rel_l2": error, "rel_h1": None, "max_error": 1e-5}
    return {**row, "seconds": times, "iterations": 1234, "stopped": stopped, "scalars": {}}


def leave(path, methods, problem="poisson2d", pictures=True, reference=REFERENCE, **settings):
    """Leave what a run leaves, but for its solution."""
    folder = RunDirectory.create(problem, out=path)
    config = {"problem": {"name": problem}, "model": {"grid": 8}, "seed": 0, "out": str(path), **settings}
    folder.write_config(config)
    document = {"problem": problem, "description": "A square.", "reference": reference, "methods": methods}
    if methods:
        environment = {"versions": {"kanpde": "1.2.3"}, "processor": "fast", "memory_gib": 16.0, "threads": 1}
        folder.write_results({**document, "scalars": {}, "environment": environment})
    if pictures:
        png, pdf = folder.picture("convergence")
        png.write_bytes(picture())
        pdf.write_bytes(b"%PDF")
    return path


def leave_formula(path, number=1, **changed):
    """Leave what `kanpde simplify` leaves, but for the model."""
    folder = path / ("simplified" if number == 1 else f"simplified-{number}")
    folder.mkdir()
    rows = [
        {"label": "poisson", "kind": "equation", "verdict": "exact", "size": 0.0, "reason": ""},
        {"label": "walls at x-", "kind": "dirichlet", "verdict": "to rounding", "size": 3e-17, "reason": NASTY},
    ]
    document = {
        "problem": "poisson2d",
        "formula": {"u": "sin(pi*x)/2", "v": "x"},
        "latex": "\\begin{aligned}\nu &= \\frac{\\sin{\\left(\\pi x \\right)}}{2} \\\\\nv &= x\n\\end{aligned}",
        "verdict": "to rounding",
        "statements": rows,
        "residual": 2e-16,
        "rel_l2": 3e-16,
        "parameters_of_network": 1252,
        "constants_left": 1,
        "seconds": 12.34,
        "steps": ["one step", NASTY],
        **changed,
    }
    (folder / "formula.json").write_text(json.dumps(document))
    (folder / "formula.py").write_text("def u(x): pass")
    (folder / "network.png").write_bytes(picture())
    return folder


@pytest.fixture
def runs(tmp_path):
    """Three runs: two that differ in seed and grid, and one of another problem that has not ended."""
    leave(
        tmp_path / "runs/one",
        [method("kan", 1e-11), method("mlp", 1e-3, 210, 30.0), method("fem-p2-8", 1e-4, 900, 0.1)],
    )
    leave(tmp_path / "runs/two", [method("kan", 2e-7), method("mlp", None)], model={"grid": 9}, seed=1, pictures=False)
    leave(tmp_path / "runs/three", [], problem="heat1d", pictures=False)
    return tmp_path / "runs"


class Page(HTMLParser):
    """Elements, links and texts of a page."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.cells, self.text = [], [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "tr":
            self.cells.append([])
        if tag == "td":
            self.cells[-1].append("")

    def handle_data(self, data):
        self.text += data
        if self.cells and self.cells[-1]:
            self.cells[-1][-1] += data.strip()

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_one_run_has_a_page_in_its_directory(runs):
    path = write_report([runs / "one"])
    assert path == runs / "one" / NAME
    page = Page(path)
    kan, mlp, fem = page.cells[1:4]
    assert kan[:4] == ["kan", "200", "1.0e-11", "at the floor"]
    assert mlp[:6] == ["mlp", "210", "1.0e-03", "3", "-", "1.0e-05"]
    assert fem[:4] == ["fem-p2-8", "900", "1.0e-04", "2"]
    assert mlp[6:] == ["30.00", "-", "1,234", "ended"]
    for part in ("A square.", "own relative L2 error 1.0e-10 (closed form)", "1.2.3", "fast", "16.0", "grid: 8"):
        assert part in page.text
    comparison, convergence = page.all("img")
    assert all(image["src"].startswith("data:image/png;base64,") for image in (comparison, convergence))
    assert "at the floor" in comparison["alt"]
    links = [unquote(link["href"]) for link in page.all("a")]
    assert {"results.json", "config.yaml", "log.txt", "pictures/convergence.pdf"} <= set(links)
    assert all((path.parent / link).is_file() for link in links)


def test_several_runs_share_a_page(runs, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = write_report([runs / "two", runs / "one", runs / "two"])
    assert path == Path(NAME)
    page = Page(path)
    rows = [row for row in page.cells if len(row) == 14]
    assert [row[:5] for row in rows] == [
        ["two", "poisson2d", "1", "9", "kan"],
        ["two", "poisson2d", "1", "9", "mlp"],
        ["one", "poisson2d", "0", "8", "kan"],
        ["one", "poisson2d", "0", "8", "mlp"],
        ["one", "poisson2d", "0", "8", "fem-p2-8"],
    ]
    assert rows[1][6:10] == ["-", "-", "-", "-"]
    places = [link["href"] for link in page.all("a")]
    anchors = {f"#{section['id']}" for section in page.all("section")}
    assert anchors == {"#run-1", "#run-2"}
    assert anchors <= set(places)
    assert all(Path(unquote(place)).is_file() for place in places if not place.startswith("#"))


def test_a_folder_of_runs_is_searched(runs):
    path = write_report([runs])
    assert path == runs / NAME
    text = Page(path).text
    assert "3 runs of poisson2d, heat1d" in text
    assert "There are no results yet." in text
    assert "There are no pictures" in text


def test_nothing_from_files_comes_alive(tmp_path):
    nasty = [method(NASTY, stopped=NASTY), method("mlp")]
    reference = {"name": NASTY, "error": 1e-9, "error_source": NASTY}
    path = leave(tmp_path / "a&b <i>", nasty, problem=NASTY, reference=reference, note=NASTY, pictures=False)
    (path / "pictures").mkdir()
    (path / "pictures/solution.png").write_text("<svg onload='alert(1)'>")
    (path / "<b>.txt").write_text("x")
    page = write_report([path])
    found = Page(page)
    assert len(found.all("script")) == 1
    assert not found.all("b")
    assert all("onerror" not in attributes for _, attributes in found.elements)
    assert len(found.all("img")) == 1
    assert "data:" in found.all("img")[0]["src"]


def test_the_page_fetches_nothing_and_allows_only_its_own_script(runs):
    text = write_report([runs]).read_text()
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
    assert "@import" not in text
    assert "url(" not in text
    policy = next(meta["content"] for meta in Page(runs / NAME).all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_pages_are_the_same_each_time(runs):
    first = write_report([runs]).read_bytes()
    assert write_report([runs]).read_bytes() == first


def test_what_is_odd_is_shown_as_it_is(tmp_path):
    row = {**method(), "seconds": {"setup": 0.0, "train": None, "evaluate_1e5": None}}
    for number in range(2):
        path = leave(tmp_path / f"runs/{number}", [row], seed="many", pictures=False)
        (path / "pictures").mkdir()
        (path / "pictures/solution.png").write_bytes(PNG)
    page = Page(write_report([tmp_path / "runs"]))
    assert [row[2] for row in page.cells if len(row) == 13] == ["many", "many"]
    assert len(page.all("img")) == 1


SUMMARY = """# degree

Fitted exponents of the error
in the grid:

| series | L2 | parameters |
| --- | ---: | ---: |
| degree 5 | 2.0e-03 (0.5) | 1,200 |
| degree 9 | -14.37 ± 2.37 | 84 |
| FEM | - | 90 |

1 of 3 jobs failed:

- degree 3, seed 0: it is <b>too low</b>
"""


@pytest.fixture
def experiment(tmp_path):
    """An experiment that has ended, with three jobs of which one failed."""
    path = tmp_path / "runs/experiments/degree/heat1d"
    rows = []
    for number, (name, error) in enumerate([("degree 5", 2e-3), ("degree 9", 1e-12), ("degree 3", None)]):
        job = leave(path / f"jobs/kan-{number}", [method("kan", error)] if error else [], "heat1d", pictures=False)
        settings = {"run": f"jobs/{job.name}", "method": "kan", "series": name, "setting": "grid 4", "seed": 0}
        if error is None:
            RunDirectory(job).write_results({"problem": "heat1d", "reference": None, "methods": [], "failed": NASTY})
        rows.append({**settings, "rel_l2": error, "parameters": 84 * (number + 1), "failed": None if error else NASTY})
    config = {"problem": {"name": "heat1d"}, "experiment": {"_target_": "kanpde.experiments.Degree"}}
    RunDirectory(path).write_config(config)
    write_csv(path / "results.csv", list(rows[0]), rows)
    (path / "summary.md").write_text(SUMMARY, encoding="utf-8")
    for name in ("own_figure", "work_precision"):
        (path / f"{name}.png").write_bytes(picture())
        (path / f"{name}.pdf").write_bytes(b"%PDF")
    return path


def test_an_experiment_has_a_page_with_its_summary_figures_and_jobs(experiment):
    page = Page(write_report([experiment]))
    assert "degree on heat1d" in page.text
    assert "Fitted exponents of the error in the grid:" in page.text
    assert ["degree 9", "-14.37 ± 2.37", "84"] in page.cells
    assert [item for item in page.text.splitlines() if "too low" in item] == ["degree 3, seed 0: it is <b>too low</b>"]
    jobs = [row for row in page.cells if len(row) == 11]
    assert [row[:6] for row in jobs] == [
        ["kan-0", "degree 5", "grid 4", "0", "84", "2.0e-03"],
        ["kan-1", "degree 9", "grid 4", "0", "168", "1.0e-12"],
        ["kan-2", "degree 3", "grid 4", "0", "252", "-"],
    ]
    assert jobs[2][-1].startswith(f"failed: {NASTY}")
    assert "1 of 3 jobs failed" in page.text
    work, own = page.all("img")
    assert (work["alt"], own["alt"]) == ("Error against seconds of set-up and training.", "Own figure.")
    for part in ("1.2.3", "fast", "kanpde.experiments.Degree"):
        assert part in page.text
    links = {unquote(link["href"]) for link in page.all("a")}
    assert {"work_precision.pdf", "summary.md", "results.csv", "jobs/kan-0/results.json"} <= links
    assert all((experiment / link).is_file() for link in links)


def test_an_experiment_that_has_not_ended_shows_the_jobs_that_are_done(experiment):
    (experiment / "summary.md").unlink()
    (experiment / "jobs/kan-1/results.json").unlink()
    page = Page(write_report([experiment]))
    assert "The experiment has not ended. 2 jobs are done" in page.text
    assert [row[:2] for row in page.cells if len(row) == 11] == [["kan-0", "kan"], ["kan-2", ""]]


def test_jobs_of_an_experiment_are_no_runs_of_their_own(experiment, runs):
    page = Page(write_report([runs]))
    assert "degree on heat1d and 3 runs of poisson2d, heat1d" in page.text
    assert {section["id"] for section in page.all("section")} == {"experiment-1", "run-1", "run-2", "run-3"}
    alone = write_report([experiment / "jobs/kan-0"])
    assert Page(alone).cells[1][:3] == ["kan", "200", "2.0e-03"]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff"])
def test_a_damaged_table_of_an_experiment_is_named(experiment, runs, content):
    (experiment / "results.csv").write_bytes(content)
    with pytest.raises(KanpdeError, match=r"results.csv' cannot be read"):
        write_report([experiment])
    assert "results.csv' cannot be read" in Page(write_report([runs])).text


def test_the_newest_formula_of_a_run_is_shown(runs):
    leave_formula(runs / "one", formula={"u": "x"}, latex="u = x")
    leave_formula(runs / "one", 10)
    leave_formula(runs / "one", 9, formula=None, reason="none")
    path = write_report([runs / "one"])
    page = Page(path)
    assert "u = sin(pi*x)/2" in page.text
    assert ["poisson", "equation", "exact", "0", ""] in page.cells
    (walls,) = [row for row in page.cells if row[:1] == ["walls at x-"]]
    assert walls[1:4] == ["dirichlet", "to rounding", "3.0e-17"]
    assert walls[4].startswith(NASTY)
    for part in ("Verdict: to rounding", "2.0e-16", "3.0e-16", "12.3 s", "1,252 parameters", "numbers: 1", "one step"):
        assert part in page.text
    drawn = [image for image in page.all("img") if image["src"].startswith("data:image/svg+xml;base64,")]
    assert [image["alt"] for image in drawn] == ["u = sin(pi*x)/2", "v = x"]
    assert "simplified-10/formula.py" in [link["href"] for link in page.all("a")]
    assert len(page.all("script")) == 1
    assert path.read_bytes() == write_report([runs / "one"]).read_bytes()


def test_what_cannot_be_drawn_is_text(runs):
    cases = r"u = \begin{cases} x & \text{for}\: x > 0 \end{cases}"
    leave_formula(runs / "one", formula={"u": "Piecewise((x, x > 0))"}, latex=cases, rel_l2=None)
    page = Page(write_report([runs / "one"]))
    assert "u = Piecewise((x, x > 0))" in page.text
    assert not any("svg" in image["src"] for image in page.all("img"))


def test_why_there_is_no_formula_is_told(runs):
    leave_formula(runs / "one", formula=None, reason=f"no sum {NASTY}")
    page = Page(write_report([runs / "one"]))
    assert f"No formula was found: no sum {NASTY}" in page.text
    assert len(page.all("script")) == 1


@pytest.mark.parametrize("changed", [{"residual": None}, {"statements": [{}]}, {"latex": "u = x"}, {"formula": 7}])
def test_a_damaged_formula_is_named(runs, changed):
    leave_formula(runs / "one", **changed)
    with pytest.raises(KanpdeError, match=r"simplified/formula.json' cannot be read"):
        write_report([runs / "one"])


def test_medians_over_seeds(tmp_path):
    for seed, error in enumerate((3e-6, 1e-6, 2e-6)):
        leave(tmp_path / f"runs/{seed}", [method("kan", error), method("mlp", 1e-12)], seed=seed, pictures=False)
    leave(tmp_path / "runs/other", [method("kan", 5e-6)], model={"grid": 9}, pictures=False)
    found = read_all([tmp_path / "runs"]).runs
    assert settings_that_differ(found) == ["model.grid"]
    kan, mlp = over_seeds(found)["rows"]
    assert [cell.text for cell in kan] == ["poisson2d", "8", "kan", "3", "2.0e-06", "1.0e-06", "3.0e-06", "2.50"]
    assert mlp[4].text == "at the floor"
    assert not over_seeds(found[2:])["rows"]


def test_scalars_and_values_of_parameters_are_told(tmp_path):
    row = {**method(), "scalars": {"nu": 0.0101}, "rel_l2_at_values": {"nu = 0.1": 2e-6, "nu = 0.2": None}}
    row["verdict"] = "981 of 1000 are right"
    folder = RunDirectory(leave(tmp_path / "run", [row], pictures=False))
    folder.write_results({**folder.read_results(), "scalars": {"nu": {"start": 1.0, "exact": 0.01}}})
    text = Page(write_report([folder.path])).text
    assert "kan found nu = 0.0101, exactly 0.01, off by 1.0e-04." in text
    assert "kan: relative L2 error 2.0e-06 at nu = 0.1." in text
    assert "kan: 981 of 1000 are right." in text


def test_older_results_without_an_environment(tmp_path):
    folder = RunDirectory(leave(tmp_path / "run", [method()], pictures=False, reference=None))
    document = folder.read_results()
    del document["environment"], document["description"]
    folder.write_results(document)
    text = Page(write_report([folder.path])).text
    assert "They were not recorded." in text
    assert "No reference: errors are not known." in text


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"problem": "p", "methods": [], "reference": 7}',
        json.dumps({"problem": "p", "reference": None, "methods": [{**method(), "rel_l2": "small"}]}),
        json.dumps({"problem": "p", "reference": None, "methods": [{**method(), "seconds": {}}]}),
        json.dumps({"problem": "p", "reference": REFERENCE, "methods": [{**method(), "parameters": "many"}]}),
        json.dumps({"problem": "p", "reference": {"error": 0.1}, "methods": []}),
        json.dumps({"problem": "p", "reference": None, "methods": [], "environment": [1]}),
        json.dumps({"problem": "p", "reference": None, "methods": [{**method(), "scalars": {"a": "b"}}]}),
    ],
)
def test_damaged_results_are_left_out_and_named(runs, content):
    (runs / "two/results.json").write_text(content)
    with pytest.raises(KanpdeError, match=r"two/results.json' cannot be read"):
        write_report([runs / "two"])
    text = Page(write_report([runs])).text
    assert "Left out: " in text
    assert "two/results.json' cannot be read" in text


def test_a_sweep_of_many_runs_links_its_pictures(runs, monkeypatch):
    monkeypatch.setattr(runs_of_page, "MOST_WITH_PICTURES", 0)
    page = Page(write_report([runs / "one"]))
    assert len(page.all("img")) == 1
    assert "linked below" in page.text
    assert "pictures/convergence.png" in [link["href"] for link in page.all("a")]


def test_settings_have_dotted_names():
    assert dict(flattened({"a": {"b": None, "c": [1]}, "d": 2})) == {"a.b": "null", "a.c": "[1]", "d": "2"}


def test_bad_directories_and_pages(runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([], "report needs a run directory"),
        (["nowhere"], "there is no directory 'nowhere'"),
        ([str(tmp_path / "empty")], "no run is in"),
        (["-m", str(runs)], "has no option '-m'"),
        ([str(runs), "out=a", "out=b"], "give out once"),
        ([str(runs), f"out={tmp_path / 'none' / 'a.html'}"], "cannot be written"),
        ([str(runs), f"out={tmp_path}"], "cannot be written"),
    ):
        assert main(["report", *arguments]) == 2
        errors = capsys.readouterr().err
        assert message in errors
        assert errors.count("\n") == 1
    assert not list(tmp_path.rglob("*.html"))
    assert main(["report", str(runs), f"out={tmp_path / 'page.html'}"]) == 0
    assert capsys.readouterr().out == f"report: {tmp_path / 'page.html'}\n"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium of this machine; browsers are not downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Return a function that opens a page in a window of some width, and a list of what went wrong in it."""
    page, wrong = browser.new_page(), []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)

    def open_page(path, width=1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(path.resolve().as_uri())
        return page

    yield open_page, wrong
    page.close()


def test_the_page_works_in_a_browser(runs, opened):
    open_page, wrong = opened
    page = open_page(write_report([runs]))
    assert page.title() == "3 runs of poisson2d, heat1d - kanpde"
    images = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(images) == 2
    assert all(images)
    links = page.evaluate("[...document.links].map(link => link.href)")
    assert len(links) > 8
    assert all(Path(unquote(link.partition("#")[0].removeprefix("file://"))).is_file() for link in links)
    for link in page.evaluate("[...document.links].map(link => link.getAttribute('href'))"):
        assert not link.startswith("#") or page.query_selector(link)
    page.query_selector("details summary").click()
    assert page.inner_text("details table").splitlines()[0].startswith("kanpde")
    assert wrong == []


def column(page, title):
    """Return the texts of a column of the first table, and the button on its heading."""
    heads = [text.strip() for text in page.locator("table.sortable >> nth=0").locator("th").all_inner_texts()]
    number = heads.index(title) + 1
    table = page.locator("table.sortable >> nth=0")
    return table.locator(f"tbody td:nth-child({number})"), table.locator(f"th:nth-child({number}) button")


def test_tables_are_sorted_by_clicks(runs, opened):
    open_page, wrong = opened
    page = open_page(write_report([runs]))
    cells, button = column(page, "relative L2")
    button.click()
    assert cells.all_inner_texts() == ["1.0e-11", "2.0e-07", "1.0e-04", "1.0e-03", "-"]
    assert page.get_attribute("th[aria-sort]", "aria-sort") == "ascending"
    button.click()
    assert cells.all_inner_texts() == ["1.0e-03", "1.0e-04", "2.0e-07", "1.0e-11", "-"]
    cells, button = column(page, "parameters or dofs")
    button.focus()
    page.keyboard.press("Enter")
    assert cells.all_inner_texts() == ["200", "200", "200", "210", "900"]
    cells, button = column(page, "method")
    button.click()
    assert cells.all_inner_texts() == ["fem-p2-8", "kan", "kan", "mlp", "mlp"]
    cells, button = column(page, "rank")
    button.click()
    assert cells.all_inner_texts()[0] == "at the floor"
    assert cells.all_inner_texts()[-1] == "-"
    assert page.locator("th[aria-sort]").count() == 1
    assert wrong == []


@pytest.mark.parametrize("width", [400, 1280])
def test_a_window_of_any_width_needs_no_scrolling_to_the_side(runs, opened, width):
    open_page, wrong = opened
    leave_formula(runs / "one", formula={"u": "x" * 300, "v": "x"})
    RunDirectory(runs / "one").write_config({"problem": {"name": "poisson2d"}, "long": "x" * 500})
    page = open_page(write_report([runs]), width)
    for details in page.query_selector_all("details summary"):
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert all(page.evaluate("[...document.images].map(image => image.naturalWidth)"))
    assert wrong == []


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_of_an_experiment_works_in_a_browser(experiment, opened, width):
    open_page, wrong = opened
    page = open_page(write_report([experiment]), width)
    assert all(page.evaluate("[...document.images].map(image => image.naturalWidth)"))
    for title, texts in {
        "L2": ["-14.37 ± 2.37", "2.0e-03 (0.5)", "-"],
        "parameters": ["84", "90", "1,200"],
        "series": ["degree 5", "degree 9", "FEM"],
    }.items():
        cells, button = column(page, title)
        button.click()
        assert cells.all_inner_texts() == texts
    for details in page.query_selector_all("details:not([open]) summary"):
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wrong == []


def test_what_is_nasty_stays_text_in_a_browser(tmp_path, opened):
    open_page, wrong = opened
    path = leave(tmp_path / "run", [method(NASTY, stopped=NASTY)], problem=NASTY, pictures=False)
    page = open_page(write_report([path]))
    assert page.title() == f"{NASTY} - kanpde"
    assert NASTY in page.inner_text("tbody")
    assert wrong == []


def test_methods_of_this_version_have_the_rows_that_are_read(tmp_path):
    from kanpde.library import load_problem
    from kanpde.record import results

    seconds = {"setup": 0.5, "train": 3.0, "evaluate_1e5": 0.1}
    methods = [Method("kan", 290, Errors(1e-9, 1e-8, 1e-8), seconds, 90, "converged")]
    path = leave(tmp_path / "run", [], pictures=False)
    RunDirectory(path).write_results(results(load_problem("poisson2d"), methods, environment={"threads": 1}))
    assert Page(write_report([path])).cells[1][:4] == ["kan", "290", "1.0e-09", "1"]
    assert kanpde.__version__ in Page(path / NAME).text
