"""What the documentation shows must run, and what it says of settings must be the code's."""

import json
import re
import shlex
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
from kanpde.experiments import EXPERIMENTS
from kanpde.model.kan import AFFINE, NONLINEAR, SUMS

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


def test_python_of_the_page_on_geometry_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = [body for body in blocks("docs/geometry.md", "python") if "def problem(" not in body]
    exec(compile(script, "geometry.md", "exec"), {})
    assert capsys.readouterr().out.startswith("3.21460")


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


COMPUTED = re.findall(r"^\| `(\w+)` \| .*, (\de-\d+) \|$", text_of("README.md"), flags=re.MULTILINE)


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


def test_links_lead_somewhere() -> None:
    pages = ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").glob("*.md")))]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(page))]
    assert links
    assert [link for link in links if not (ROOT / link[0]).parent.joinpath(link[1]).exists()] == []


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_and_hold_their_output(path: Path, with_files: Path) -> None:
    cells = [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    names: dict[str, object] = {"Image": Path}  # Jupyter is no dependency
    for cell in cells:
        source = "".join(cell["source"]).replace("from IPython.display import Image\n", "").replace("grid=10", "grid=4")
        source = re.sub(r"iterations=\d+", "iterations=3", source)
        exec(compile(source, path.name, "exec"), names)
    assert any(cell["outputs"] for cell in cells)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(output["output_type"] != "error" for cell in cells for output in cell["outputs"])
