"""What the documentation shows must run, and what it says of settings must be the code's."""

import json
import os
import re
import shlex
import subprocess
import sys
import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
from domains import ring_arrays

from kanpde import (
    KAN,
    LBFGS,
    MLP,
    SOAP,
    Adam,
    Auto,
    Budget,
    GaussNewton,
    Kernel,
    LevenbergMarquardt,
    Sampling,
    SelfScaledBroyden,
    library,
    run,
    solve,
)
from kanpde.cli import main
from kanpde.compare import Job
from kanpde.experiments import EXPERIMENTS, job
from kanpde.model.kan import AFFINE, NONLINEAR, SUMS
from kanpde.plot import STYLE

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "docs/add-a-problem.md", "docs/geometry.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS: dict[str, type] = {
    "The run": Job,
    "`model=kan`": KAN,
    "`model=mlp`": MLP,
    "`solver=auto`": Auto,
    "`solver=levenberg_marquardt`": LevenbergMarquardt,
    "`solver=gauss_newton`": GaussNewton,
    "`solver=kernel`": Kernel,
    "`solver=self_scaled_broyden`": SelfScaledBroyden,
    "`solver=lbfgs`": LBFGS,
    "`solver=adam`": Adam,
    "`solver=soap`": SOAP,
    "`sampling`": Sampling,
    "`budget`": Budget,
}


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in a language."""
    return [body for name, body in FENCE.findall(text_of(page)) if name == language]


def problem_files(page: str) -> list[tuple[str, str]]:
    """Return name and content of the problem files of a page; `NAME.py` in the paragraph before names a file."""
    files = []
    for match in FENCE.finditer(text_of(page)):
        if match[1] == "python" and re.search(r"^def problem\(", match[2], re.MULTILINE):
            named = re.findall(r"`(?:[\w./]*/)?(\w+)\.py`", text_of(page)[: match.start()].rstrip().split("\n\n")[-1])
            files.append((named[-1] if named else "mine", match[2]))
    return files


def commands(page: str) -> list[str]:
    """Return the shell lines of a page that solve or check a problem."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    return [line for line in lines if line.startswith("python -m kanpde")]


FILES = [(page, name, content) for page in PAGES for name, content in problem_files(page)]


@pytest.fixture
def with_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that holds the problem files of the guide, and skip what only measures times."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "evaluation_seconds", lambda *_: 0.0)
    for name, content in problem_files("docs/add-a-problem.md"):
        Path(f"{name}.py").write_text(content, encoding="utf-8")
    write_ring(Path("ring.msh"))
    (script,) = scripts_of_meshes()
    exec(compile(script, "add-a-problem.md", "exec"), {})
    return tmp_path


def scripts_of_meshes() -> list[str]:
    """Return the Python of the guide that writes a mesh."""
    return [body for body in blocks("docs/add-a-problem.md", "python") if "meshio.write(" in body]


def write_ring(path: Path) -> None:
    """Write the mesh of the page on geometry."""
    points, cells, tags = ring_arrays()
    blocks = [("triangle", cells), *(("line", lines) for lines in tags.values())]
    numbers = [np.full(len(block), number, dtype=np.int32) for number, (_, block) in enumerate(blocks, start=1)]
    names = {name: np.array([number, 1]) for number, name in enumerate(tags, start=2)}
    data = {"gmsh:physical": numbers, "gmsh:geometrical": numbers}
    mesh = meshio.Mesh(np.pad(points, ((0, 0), (0, 1))), blocks, cell_data=data, field_data=names)
    meshio.write(path, mesh, file_format="gmsh22")


def test_the_pages_have_problem_files_and_commands() -> None:
    assert [name for page, name, _ in FILES if page == "docs/add-a-problem.md"] == [
        "layer",
        "warmed",
        "cooling",
        "fisher",
        "plate",
        "cooling_rate",
        "any_diffusivity",
    ]
    assert [page for page, *_ in FILES].count("CONTRIBUTING.md") == 1
    assert len(commands("docs/add-a-problem.md")) >= 14
    assert len(commands("docs/configuration.md")) >= 4


def test_the_first_problems_of_the_guide_have_under_twenty_lines() -> None:
    first = problem_files("docs/add-a-problem.md")[:2]
    assert all(len(content.splitlines()) < 20 for _, content in first)


@pytest.mark.parametrize(("page", "name", "content"), FILES, ids=[f"{page}:{name}" for page, name, _ in FILES])
def test_problem_files_run(page: str, name: str, content: str, with_files: Path) -> None:
    Path(f"{name}.py").write_text(content, encoding="utf-8")
    solved = solve(
        library.load_problem(f"{name}.py"),
        KAN(grid=4),
        LevenbergMarquardt(starts=1, start_iterations=1),
        budget=Budget(iterations=3),
        threads=1,
    )
    assert solved.problem.description.endswith(".")
    assert solved.history[-1]["loss"] < solved.history[0]["loss"]
    assert (solved.errors is None) == (solved.problem.reference is None)


@pytest.mark.parametrize("page", ["docs/add-a-problem.md", "docs/configuration.md"])
def test_commands_are_composed_and_their_problems_pass_the_check(
    page: str, with_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in commands(page):
        arguments = shlex.split(command)[3:]
        assert main(["check", *[a for a in arguments if a != "check"]]) == 0, command
    assert capsys.readouterr().out.count("equation or condition") == len(commands(page))


def test_python_of_the_guide_runs(with_files: Path) -> None:
    scripts = [body for body in blocks("docs/add-a-problem.md", "python") if "kanpde.solve(" in body]
    assert scripts
    for script in scripts:
        short, count = re.subn(r"iterations=\d+", "iterations=3", script.replace("grid=10", "grid=4"))
        assert count == 1
        exec(compile(short, "add-a-problem.md", "exec"), {})
    assert Path("cooling.png").is_file()


def test_python_of_the_page_on_references_runs(with_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripts = blocks("docs/references.md", "python")
    assert len(scripts) == 5
    for script in scripts:
        exec(compile(script, "references.md", "exec"), {})
    errors = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(errors) == 5
    assert all(0 < error < 1e-4 for error in errors)


def test_python_of_the_page_on_data_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = blocks("docs/data.md", "python")
    exec(compile(script.replace("seconds=5", "iterations=60"), "data.md", "exec"), {})
    error, value = map(float, capsys.readouterr().out.split())
    assert error < 0.1
    assert value == pytest.approx(0.4987, abs=0.05)


def test_python_of_the_page_on_interpretation_runs(with_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripts = blocks("docs/interpretation.md", "python")
    assert len(scripts) == 4
    for script in scripts:
        exec(compile(script, "interpretation.md", "exec"), {})
    said = capsys.readouterr().out
    for part in ("{'u': sin(pi*x)*sin(pi*y**2)}", "['exact', 'exact', 'exact', 'exact', 'exact']", "double u(double x"):
        assert part in said
    assert Path("formula.png").is_file()


def test_python_of_the_page_on_geometry_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = [body for body in blocks("docs/geometry.md", "python") if "def problem(" not in body]
    exec(compile(script, "geometry.md", "exec"), {})
    assert capsys.readouterr().out.startswith("3.21460")


def test_python_of_the_page_on_experiments_runs(with_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = blocks("docs/experiments.md", "python")
    exec(compile(script.replace("iterations=50", "iterations=5"), "experiments.md", "exec"), {})
    assert "| KAN degree 5 | grid 16 |" in capsys.readouterr().out
    assert list((with_files / "runs" / "degree").glob("*.png"))


def test_basis_and_solver_of_the_guide_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole basis reaches the accuracy of the package's own; the solver goes downhill."""
    names: dict[str, object] = {}
    for script in blocks("docs/add-a-basis-or-solver.md", "python"):
        exec(compile(script.replace("iterations=500", "iterations=60"), "add-a-basis-or-solver.md", "exec"), names)
    rounding, refined, with_basis, with_solver = capsys.readouterr().out.splitlines()
    assert all(float(number) < 1e-10 for number in (*rounding.split(), refined))
    assert float(with_basis.split()[0]) < 1e-9
    assert float(with_solver.split(":")[0]) < 0.1
    assert with_solver.endswith("budget of 60 iterations")


def test_every_problem_is_listed() -> None:
    listed = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", text_of("docs/list-of-problems.md"), re.M)))
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "problems").glob("*.py"))


def test_output_of_check_in_the_guide_is_what_it_prints(with_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "problem=./cooling.py"]) == 0
    (shown,) = blocks("docs/add-a-problem.md", "text")

    def without_numbers(text: str) -> list[str]:
        """Numbers of points follow from the model that is chosen, residuals are rounding."""
        return re.sub(r"\d\.\de[-+]\d+|\d{2,}", "#", text).split()

    assert without_numbers(capsys.readouterr().out) == without_numbers(shown)


def section(title: str) -> str:
    """Return a section of the page on configuration."""
    parts = re.split(r"^## (.*)$", text_of("docs/configuration.md"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def spelled(value: Any) -> str:
    """Return a value as the command line takes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize(("title", "settings"), SECTIONS.items(), ids=[c.__name__ for c in SECTIONS.values()])
def test_every_setting_is_listed_with_its_default(title: str, settings: type) -> None:
    assert is_dataclass(settings)
    listed = re.findall(r"^\| `(\w+)` \| `(.+?)` \| \S", section(title).split("**`null`")[0], flags=re.MULTILINE)
    assert listed == [(field.name, spelled(field.default)) for field in fields(settings)]


def test_every_setting_of_an_experiment_is_listed_with_its_default() -> None:
    parts = re.split(r"^### `(.*)`$", text_of("docs/experiments.md").split("## Sweeps")[0], flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert set(sections) == set(EXPERIMENTS)
    for name, kind in EXPERIMENTS.items():
        listed = re.findall(r"^\| `(\w+)` \| `(.+?)` \| \S", sections[name], flags=re.MULTILINE)
        assert listed == [(field.name, spelled(field.default)) for field in fields(kind)], name


def test_what_null_means_is_what_is_chosen() -> None:
    listed = re.findall(r"^\| `(\w+)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|$", section("`model=kan`"), flags=re.MULTILINE)
    choices = (AFFINE, NONLINEAR, {**SUMS, "width": "given"})
    names = {field.name for field in fields(KAN) if field.default is None}
    assert {name for name, *_ in listed} == set().union(*choices) == names
    assert listed == [(name, *(spelled(choice.get(name)) for choice in choices)) for name, *_ in listed]


COMPUTED = re.findall(r"^\| `(\w+)` \| .*, (\de-\d+) \|$", text_of("docs/list-of-problems.md"), flags=re.MULTILINE)


def test_computed_references_are_listed() -> None:
    assert {"burgers1d", "burgers2d", "cahn_hilliard", "fisher_kpp"} <= {name for name, _ in COMPUTED}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stated"), COMPUTED)
def test_stated_errors_of_references_are_theirs(name: str, stated: str) -> None:
    """One digit is stated. What is rounding differs from machine to machine."""
    reference = library.load_problem(name).reference
    assert reference is not None
    digit = float("1" + stated[1:])
    assert abs(reference.error - float(stated)) < 0.6 * digit or max(reference.error, float(stated)) < 1e-12


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURE_SIZE, NOTEBOOK_SIZE = 200_000, 300_000


def cells_of(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return the cells of one kind, "code" or "markdown", of a notebook."""
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == kind]


def documents() -> dict[Path, str]:
    """Return the text of every page and notebook by its path."""
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    pages += sorted((ROOT / "docs").glob("*.md"))
    texts = {path: "\n\n".join("".join(c["source"]) for c in cells_of(path, "markdown")) for path in NOTEBOOKS}
    return {**{path: path.read_text(encoding="utf-8") for path in pages}, **texts}


def test_links_lead_somewhere() -> None:
    pattern = r"\]\(([^)#:]+)(?:#[^)]*)?\)"
    links = [(path, link) for path, text in documents().items() for link in re.findall(pattern, text)]
    assert len({path for path, _ in links}) > 8
    assert [(path.name, link) for path, link in links if not (path.parent / link).exists()] == []


def test_the_site_lists_every_page_and_notebook() -> None:
    listed = re.findall(r": ([\w/-]+\.md)$", text_of("mkdocs.yml"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(path.relative_to(ROOT).with_suffix(".md").as_posix() for path in documents())


def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    """Links between pages, and to places in them, are checked; formulas are translated."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("nbconvert")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert len(pages) == len(documents()) + 1  # and the one for an unknown address
    assert not [path for path, text in pages.items() if "arithmatex" in text or re.search(r"<p>[^<]*\$\$", text)]
    assert pages[tmp_path / "docs" / "how-it-works.html"].count('display="block"') > 10
    assert len(list((tmp_path / "notebooks").rglob("*.png"))) >= len(NOTEBOOKS)
    for text in pages.values():
        assert not re.findall(r'(?:src|<link[^>]* href)="https?://', text), "nothing is fetched from elsewhere"


def test_the_picture_of_the_readme_is_small() -> None:
    (path,) = re.findall(r"!\[[^]]+\]\((.+\.png)\)", text_of("README.md"))
    assert 0 < (ROOT / path).stat().st_size < PICTURE_SIZE


def test_there_are_notebooks() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_their_output(path: Path) -> None:
    cells = cells_of(path, "code")
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert {output["output_type"] for output in outputs} == {"stream", "execute_result"}  # no errors, no warnings
    assert all(output["name"] == "stdout" for output in outputs if output["output_type"] == "stream")
    assert any("image/png" in output.get("data", {}) for output in outputs)
    told = json.dumps([{**o, "data": {**o.get("data", {}), "image/png": ""}} for o in outputs])
    assert not re.search(r"/(?:tmp|home|root|work|usr)/|20\d\d-\d\d-\d\d", told), "no paths or dates of a machine"
    assert path.stat().st_size < NOTEBOOK_SIZE


LONG = {"03_accuracy_vs_parameters", "04_kan_paper_poisson", "05_inverse_problem", "06_inside_the_kan"}
"""Notebooks that take ten seconds."""


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=[pytest.mark.slow] * (p.stem in LONG), id=p.stem) for p in NOTEBOOKS]
)
def test_notebooks_run(path: Path, with_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    display = types.ModuleType("IPython.display")
    display.Image = Path  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython.display", display)  # Jupyter is not needed to test what it shows
    monkeypatch.setitem(STYLE, "savefig.dpi", STYLE["savefig.dpi"])  # notebooks set it
    monkeypatch.setattr(job, "evaluation_seconds", lambda *_: 0.0)
    monkeypatch.setenv("KANPDE_QUICK", "1")
    names: dict[str, object] = {}
    for cell in cells_of(path, "code"):
        exec(compile("".join(cell["source"]), path.name, "exec"), names)
    assert list(with_files.rglob("*.png"))
