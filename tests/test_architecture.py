"""Imports go down the levels of the design, and outside packages stay where they belong."""

import ast
from functools import cache
from pathlib import Path

import pytest

import kanpde
from kanpde.floats import TINY

PACKAGE = Path(kanpde.__file__).parent

# Modules and folders, lowest first: each imports from those above it in this list only, or from its own folder.
# Points are drawn from geometries alone, and constraints, which problems hold, draw some: `sampling` is below both.
ORDER = [
    {"errors", "files", "floats", "threads", "version"},
    {"environment", "processes"},
    {"settings", "multiindex", "reading"},
    {"field", "geometry"},
    {"basis", "sampling"},
    {"constraint"},
    {"problem"},
    {"model", "library"},
    {"linalg", "residual"},
    {"banded", "check", "solver", "reference", "training_points", "growth", "balance", "separate", "edges"},
    {"newton"},
    {"metrics", "full", "position"},
    {"training"},
    {"logger", "march", "record"},
    {"plot", "trace"},
    {"interpret"},
    {"run", "display"},
    {"compare", "collect", "simplified"},
    {"experiments", "report"},
    {"__init__"},
    {"configured"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
LEVELS = {name: level for level, names in enumerate(ORDER) for name in names}
ALLOWED = {
    "hydra": {"cli"},
    "omegaconf": {"cli"},
    "matplotlib": {"plot", "experiments"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "pytorch_optimizer": {"solver"},
    "skfem": {"reference"},
    "ngsolve": {"reference"},
    "netgen": {"reference"},
    "meshio": {"geometry", "reading", "record"},
    "tensorboard": {"logger"},
    "PIL": {"logger"},
    "pyvista": {"plot"},
}


def modules() -> list[tuple[str, ...]]:
    """Return the modules of the package as parts of their paths, without the copied data of a wheel."""
    files = [path.relative_to(PACKAGE).with_suffix("").parts for path in sorted(PACKAGE.rglob("*.py"))]
    return [parts for parts in files if parts[0] != "_data"]


@cache
def imports(module: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Return the dotted names that a module imports anywhere, with the names taken from a module as its last part."""
    tree = ast.parse(PACKAGE.joinpath(*module).with_suffix(".py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide levels"
            found |= {(*str(node.module).split("."), alias.name) for alias in node.names}
    return found


def part_of_package(name: tuple[str, ...]) -> str:
    """Return the module or folder of the package that a dotted name is in; names of `kanpde` itself are `__init__`."""
    return name[1] if len(name) > 1 and name[1] in LEVELS else "__init__"


def violations(module: tuple[str, ...], imported: set[tuple[str, ...]]) -> list[str]:
    wrong = []
    for name in imported:
        where = ".".join(name)
        if name[0] == "kanpde":
            target = part_of_package(name)
            if target != module[0] and LEVELS[target] >= LEVELS[module[0]]:
                wrong.append(f"{'.'.join(module)} imports {where}, which is not on a lower level")
        elif module[0] not in ALLOWED.get(name[0], {module[0]}):
            wrong.append(f"{'.'.join(module)} imports {where}, which only {ALLOWED[name[0]]} may")
    return wrong


def test_modules_are_found() -> None:
    assert len(modules()) > 20
    assert {parts[0] for parts in modules()} <= set(LEVELS)


@pytest.mark.parametrize("module", modules(), ids=".".join)
def test_imports_go_down(module: tuple[str, ...]) -> None:
    assert violations(module, imports(module)) == []


def test_the_documented_levels_are_those_of_the_imports() -> None:
    text = (Path(__file__).parent.parent / "docs/how-it-works.md").read_text().split("## Levels of modules")[1]
    rows = [line.split("|")[2] for line in text.splitlines() if "`" in line and line.startswith("| ")]
    level = {name.rstrip("/"): number for number, row in enumerate(rows) for name in row.split("`")[1::2]}
    assert set(level) <= set(LEVELS)
    assert {"sampling", "problem", "model", "solver", "run"} <= set(level)
    for module in modules():
        for name in imports(module):
            if name[0] == "kanpde" and module[0] in level:
                target = part_of_package(name)
                assert level.get(target, -1) <= level[module[0]], f"{'.'.join(module)} imports {'.'.join(name)}"


@pytest.mark.parametrize("module", modules(), ids=".".join)
def test_what_stands_for_zero_has_one_home(module: tuple[str, ...]) -> None:
    tree = ast.parse(PACKAGE.joinpath(*module).with_suffix(".py").read_text())
    numbers = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    assert (TINY in numbers) == (module == ("floats",))


def test_only_figures_of_experiments_import_matplotlib() -> None:
    drawing = {module for module in modules() if any(name[0] == "matplotlib" for name in imports(module))}
    assert {module for module in drawing if module[0] == "experiments"} == {("experiments", "figures")}


def test_folders_have_no_cycles() -> None:
    """Within a folder modules may import each other, but not mutually."""
    names = {parts: (parts[:-1] if parts[-1] == "__init__" else parts) for parts in modules()}
    edges = {
        module: {
            other
            for other in names
            for name in imports(module)
            if other != module
            and len(other) > 1
            and other[0] == module[0]
            and name[1 : 1 + len(names[other])] == names[other]
            and (other[-1] != "__init__" or (name[1:-1] == names[other] and name[1:] not in names))
        }
        for module in names
        if len(module) > 1
    }
    done: set[tuple[str, ...]] = set()

    def visit(module: tuple[str, ...], path: tuple[tuple[str, ...], ...]) -> None:
        assert module not in path, f"mutual import: {[*path, module]}"
        if module not in done:
            for other in edges[module]:
                visit(other, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (("basis", "bspline"), ("kanpde", "run", "solve")),
        (("basis", "bspline"), ("kanpde", "KAN")),
        (("residual",), ("kanpde", "linalg", "solve_damped")),
        (("run",), ("hydra", "main")),
        (("run",), ("omegaconf", "OmegaConf")),
        (("record",), ("matplotlib", "pyplot")),
        (("metrics",), ("skfem",)),
        (("compare",), ("ngsolve", "Mesh")),
        (("problem",), ("meshio",)),
    ],
)
def test_a_wrong_import_is_seen(module: tuple[str, ...], name: tuple[str, ...]) -> None:
    assert violations(module, {name})
