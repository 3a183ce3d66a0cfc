"""Pictures of graphs: what is written in them, where it stands, and what is left out."""

import itertools

import pytest
import sympy
import torch
from examples import small_kan
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.text import Text

from kanpde.edges import importance
from kanpde.interpret.edit import locked
from kanpde.interpret.expression import graph_from
from kanpde.model import Graph
from kanpde.model.chain import elementary
from kanpde.plot import STYLE, as_svg, draw_formula, draw_graph
from kanpde.plot.layered import apart, layered
from kanpde.plot.shown import MOST_FUNCTIONS, MOST_NODES
from kanpde.plot.written import MINUS, TIMES, written

LOWER, UPPER = torch.tensor([-1.0, 0.5], dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
POINTS = LOWER + (UPPER - LOWER) * torch.rand(64, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
X, Y = sympy.symbols("x y")
FORMULAS = {
    "product": {"u": sympy.sin(sympy.pi * X) * sympy.sin(sympy.pi * Y**2)},
    "several": {
        "u": 1 - sympy.exp(-0.96 * X) * sympy.cos(6.28 * Y),
        "v": 0.153 * sympy.exp(-0.96 * X) * sympy.sin(6.28 * Y),
        "pressure": 0.5 - 0.5 * sympy.exp(-1.93 * X),
    },
    "straight": {"u": 3 * X - 2 * Y + 1 + X * Y},
    "deep": {
        "u": sympy.exp(sympy.sin(3 * (X**2 + Y**2)) + sympy.cos(X * Y) / 3) * sympy.sqrt(2 + X)
        + sympy.log(3 + sympy.sin(X + 2 * Y) ** 2) * X
        - 0.25
    },
    "constant": {"u": sympy.Integer(2) + 0 * X},
}


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STYLE, "savefig.dpi", 60)


def formula(name: str) -> Graph:
    return graph_from(FORMULAS[name], ("x", "y"), LOWER, UPPER)


def trained(width: tuple[int, ...], products: int = 0, outputs: int = 1) -> Graph:
    """Return a graph of splines with random weights."""
    network = small_kan(width, products=products).network(LOWER, UPPER, outputs)
    generator = torch.Generator().manual_seed(3)
    return Graph.of(network, torch.randn(network.parameters, generator=generator, dtype=torch.float64))


def picture(graph: Graph, outputs: tuple[str, ...] = ("u", "v", "pressure"), name: str = "example") -> Figure:
    names = outputs[: len(graph.outputs)]
    return draw_graph(graph, importance(graph, POINTS).edges, POINTS, ("x", "y"), names, name)


def texts(figure: Figure) -> list[str]:
    """Return what is written, the signs of mathematics as those of a keyboard."""
    return [ascii_signs(text.get_text()) for text in figure.axes[0].texts]


def ascii_signs(text: str) -> str:
    return text.replace(MINUS, "-").replace(TIMES, "times")


GRAPHS = {
    **{name: lambda name=name: formula(name) for name in FORMULAS},
    "kan": lambda: trained((5,)),
    "two layers": lambda: trained((4, 3), outputs=2),
    "products": lambda: trained((0,), products=6, outputs=3),
    "large": lambda: trained((30, 12)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_is_written_over_something_else(name: str) -> None:
    figure = picture(GRAPHS[name]())
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.axes[0]
    written_there = [text for text in axes.texts if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in written_there]
    for (a, one), (b, other) in itertools.combinations(zip(written_there, boxes, strict=True), 2):
        assert not overlap(one, other), (a.get_text(), b.get_text())
    curves = [patch.get_window_extent(renderer) for patch in axes.patches if isinstance(patch, Rectangle)]
    for text, box in zip(written_there, boxes, strict=True):
        assert figure.bbox.x0 <= box.x0, text.get_text()
        assert box.x1 <= figure.bbox.x1, text.get_text()
        assert not any(overlap(box, curve) for curve in curves), text.get_text()
    for one, other in itertools.combinations(curves, 2):
        assert not overlap(one, other)


def overlap(a: object, b: object) -> bool:
    """Return whether two boxes have a common part of more than a pixel."""
    x = min(a.x1, b.x1) - max(a.x0, b.x0)  # type: ignore[attr-defined]
    y = min(a.y1, b.y1) - max(a.y0, b.y0)  # type: ignore[attr-defined]
    return bool(x > 1 and y > 1)


def test_functions_and_constants_of_a_formula_are_written() -> None:
    said = texts(picture(formula("several")))
    for part in (
        "exp(-0.96 x)",
        "cos(6.28 y)",
        "-0.5 exp(-1.93 x)",
        "+ 1",
        "+ 0.5",
        "times -1",
        "times 0.153",
        "pressure",
    ):
        assert part in said
    assert "-1 to 1" in said
    assert any(text.startswith("example: 7 edges") for text in said)


def test_splines_have_a_curve_and_no_name() -> None:
    graph = trained((5,))
    figure = picture(graph)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    nodes = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    assert len(boxes) == len(graph.edges) == 15
    assert len(nodes) == 2 + 5 + 1
    assert {str(n) for n in range(10)} <= set(texts(figure))


def test_the_curve_is_that_of_the_edge_over_what_points_reach() -> None:
    graph = formula("product")
    figure = picture(graph)
    curve = max(figure.axes[0].get_lines(), key=lambda line: len(line.get_xdata()))
    y = torch.as_tensor(curve.get_ydata())
    reached = POINTS[:, 0].aminmax()
    z = torch.linspace(float(reached[0]), float(reached[1]), len(y), dtype=torch.float64)
    expected = torch.sin(torch.pi * z)
    slope = (y.max() - y.min()) / (expected.max() - expected.min())
    assert torch.allclose(y - y.mean(), slope * (expected - expected.mean()), atol=1e-12)


def test_lines_are_as_wide_as_edges_are_important() -> None:
    graph = formula("straight")
    scores = torch.tensor([1.0, 0.25, 0.1, 0.1, 0.5, 0.5], dtype=torch.float64)[: len(graph.edges)]
    figure = draw_graph(graph, scores, POINTS, ("x", "y"), ("u",))
    widths = {round(float(line.get_linewidth()), 6) for line in figure.axes[0].get_lines()}
    kept = [float(s) for s, edge in zip(scores, graph.edges, strict=True) if edge.chain[0].edges]
    assert {round(0.4 + 3.6 * s / max(kept), 6) for s in kept} <= widths


def test_locked_edges_have_a_dark_frame() -> None:
    free = trained((2,))

    def frames(graph: Graph) -> int:
        patches = picture(graph).axes[0].patches
        return sum(isinstance(patch, Rectangle) and patch.get_linewidth() > 1 for patch in patches)

    assert frames(free) == 0
    assert not any("Dark frame" in text for text in texts(picture(free)))
    held = locked(free, 1)
    assert frames(held) == 1
    assert any("Dark frame: held fixed." in text for text in texts(picture(held)))


def test_the_title_says_what_is_left_out() -> None:
    graph = trained((30, 12))
    figure = picture(graph)
    said = " ".join(texts(figure)[-2].split())
    assert f"the {MOST_NODES} most important of 30 nodes of layer 1" in said
    assert f"the {MOST_NODES} most important of 12 nodes of layer 2" in said
    assert f"the {MOST_FUNCTIONS} most important of" in said
    kept = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    assert len(kept) == 2 + 2 * MOST_NODES + 1


def test_the_most_important_nodes_are_kept() -> None:
    graph = trained((12,))
    found = importance(graph, POINTS)
    figure = draw_graph(graph, found.edges, POINTS, ("x", "y"), ("u",))
    least = sorted(range(2, 14), key=lambda n: float(found.nodes[n]))[:2]
    gone = {str(e) for e, edge in enumerate(graph.edges) if {edge.source, edge.target} & set(least)}
    assert not gone & set(texts(figure))


@pytest.mark.parametrize(
    ("chain", "weights", "text"),
    [
        (elementary("sin"), [3.14159, 0, 1, 0], "sin(3.14 x)"),
        (elementary("sin", "x^2"), [3.0, 0.5, -2, 1], "-2 sin(3 x² + 0.5)"),
        (elementary("exp"), [-1, 0, 1, 0], "exp(-x)"),
        (elementary("x^2"), [1, 0, 0.5, 0], "0.5 x²"),
        (elementary("x^2"), [1, -2, 1, 0], "(x - 2)²"),
        (elementary("1/x"), [2, 1, 3, 0], "3/(2 x + 1)"),
        (elementary("sqrt"), [1, 0, 1, 0], "√x"),
        (elementary("sech^2"), [1, 0, 1, 0], "sech²(x)"),
        (elementary("gauss"), [2, 0, 1, 0], "exp(-(2 x)²)"),
        (elementary("abs"), [1, 0.5, 1, 0], "|x + 0.5|"),
        (elementary("tanh", "exp"), [0.12345, 1.23456, 98.7654, 0], "c tanh(a exp(x) + b)"),
    ],
)
def test_how_functions_are_written(chain, weights, text) -> None:
    parts = [torch.tensor(weights[k : k + 2], dtype=torch.float64)[:, None] for k in (0, 2)]
    found = written(chain, parts, "x")
    assert found is not None
    assert ascii_signs(found.text(shift=False)) == text
    assert found.shift == weights[3]


def test_splines_are_not_written() -> None:
    graph = trained((2,))
    assert written(graph.edges[0].chain, graph.weights(graph.values)[0], "x") is None


def test_long_links_pass_through_every_column() -> None:
    found = layered([0, 0, 1, 2, 3], [(0, 2), (1, 4), (2, 3), (3, 4)])
    assert found.paths[1] == [1, 5, 6, 4]
    assert [len(column) for column in found.columns] == [2, 2, 2, 1]


def test_crossings_are_taken_out() -> None:
    found = layered([0, 0, 1, 1], [(0, 3), (1, 2)])
    assert found.columns == [[0, 1], [3, 2]]


def test_places_are_apart_and_near_what_is_wanted() -> None:
    assert apart([], []) == []
    assert apart([5.0, 0.0], [1.0, 1.0]) == [5.0, 0.0]
    assert apart([0.0, 0.0, 0.0], [1.0, 2.0, 1.0]) == pytest.approx([1.5, 0.0, -1.5])


def test_formulas_are_drawn_as_far_as_they_can_be() -> None:
    figure = draw_formula(r"u = \frac{\sin{\left(\pi x \right)}}{2}")
    assert figure is not None
    assert as_svg(figure).startswith(b"<?xml")
    assert as_svg(figure) == as_svg(draw_formula(r"u = \frac{\sin{\left(\pi x \right)}}{2}"))  # type: ignore[arg-type]
    renderer = FigureCanvasAgg(figure).get_renderer()
    (text,) = [artist for artist in figure.texts if isinstance(artist, Text)]
    box = text.get_window_extent(renderer)
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    for none in (r"\begin{cases} x \end{cases}", r"\unknown", "a $ b", "x + " * 2000 + "x"):
        assert draw_formula(none) is None
