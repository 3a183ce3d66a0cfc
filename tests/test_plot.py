import math
from dataclasses import replace

import matplotlib
import matplotlib.style
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from matplotlib.text import Text

import kanpde.record
from kanpde import Box, Disk, KanpdeError, Problem
from kanpde.edges import LayerEdges
from kanpde.metrics import Errors, Method
from kanpde.plot import (
    COLOURS,
    STYLE,
    as_png,
    draw_comparison,
    draw_convergence,
    draw_network,
    draw_points,
    draw_slices,
    draw_solution,
    has_slices,
    save,
)
from kanpde.plot.comparison import family
from kanpde.plot.style import scale
from kanpde.record import sample_solution
from kanpde.reference import exact

BOXES = {
    "1d": Box(x=(0, 2)),
    "2d without a disk": Box(x=(-1, 1), y=(0, 1)) - Disk(radius=0.4),
    "disk and time": Disk() * Box(t=(0, 1)),
    "1d and time": Box(x=(0, 1), t=(0, 9)),
    "2d": Box(x=(0, 1), y=(0, 50)),
    "3d": Box(x=(0, 1), y=(0, 1), z=(0, 1)),
    "3d and time": Box(x=(0, 1), y=(0, 1), z=(0, 1), t=(0, 1)),
}


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    """Draw few points and pixels: what is tested here does not depend on their number."""
    monkeypatch.setattr(kanpde.record, "GRID", {1: 101, 2: 41, 3: 11})
    monkeypatch.setitem(STYLE, "savefig.dpi", 60)


def sample_on(box, unknowns=1, error=1e-6):
    solutions = [lambda at: torch.sin(3 * at.x), lambda at: 1e-7 * torch.cos(at.x)][:unknowns]
    equation = (lambda u, at: u.d("x")) if unknowns == 1 else (lambda u, v, at: u.d("x") + v)
    problem = Problem(
        geometry=box, equations={"first": equation}, reference=exact(*solutions), units={"x": "m"}, name="example"
    )

    def taylor(at, indices):
        return problem.reference.taylor(at, indices) + error

    return sample_solution(taylor, problem, complete=taylor)


def history(count, rate=0.8, seconds=0.1, stages=3):
    return [
        {
            "stage": 1 + n * stages // count,
            "iteration": n,
            "seconds": seconds * n,
            "loss": rate**n,
            "held_out": 2 * rate**n,
            "parameters": 290,
        }
        for n in range(count)
    ]


def drawn(figure, path):
    """Return the picture; it is not blank and its border is white, so nothing was cut off."""
    save(figure, path)
    picture = imread(path)[..., :3]
    assert picture.std() > 0.02
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (border == 1).all()
    return picture


def words(figure):
    """Return all text of a figure."""
    return " ".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize(("box", "unknowns"), list(zip(BOXES.values(), (2, 2, 1, 1, 2, 1, 1), strict=True)), ids=BOXES)
def test_solutions_are_drawn(tmp_path, box, unknowns):
    figure = draw_solution(sample_on(box, unknowns), "kan", 1e-6)
    drawn(figure, tmp_path / "solution.png")
    assert {"x (m)", "u, reference" if "y" in box.names else "x (m)"} <= {t.get_text() for t in figure.findobj(Text)}
    assert "relative L2 error 1.00e-06" in words(figure)


@pytest.mark.parametrize("box", [BOXES["1d"], BOXES["2d"]], ids=["1d", "2d"])
@pytest.mark.parametrize("error", [0.0, math.nan])
def test_perfect_and_diverged_solutions_are_drawn(tmp_path, box, error):
    sample = sample_on(box, error=error)
    drawn(draw_solution(sample, "kan"), tmp_path / "solution.png")
    drawn(draw_points(sample, np.full((3, len(box.names)), 0.5), box.names), tmp_path / "points.png")


def test_a_solution_without_a_reference_is_drawn(tmp_path):
    for box in (BOXES["2d"], BOXES["1d and time"], BOXES["disk and time"]):
        sample = replace(sample_on(box), reference=None)
        drawn(draw_solution(sample, "kan"), tmp_path / "solution.png")
        if has_slices(sample):
            drawn(draw_slices(sample, "kan"), tmp_path / "slices.png")


def test_pictures_are_the_same_each_time_and_leave_the_style_alone(tmp_path):
    style = dict(matplotlib.rcParams)
    sample = sample_on(BOXES["2d"])
    for kind in ("png", "pdf", "svg"):
        for name in "ab":
            save(draw_solution(sample, "kan", 1e-6), tmp_path / f"{name}.{kind}")
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert dict(matplotlib.rcParams) == style
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert "<text" in (tmp_path / "a.svg").read_text()
    assert as_png(draw_solution(sample, "kan", 1e-6)) == (tmp_path / "a.png").read_bytes()


def test_pictures_go_where_they_can(tmp_path):
    figure = draw_convergence({})
    with pytest.raises(KanpdeError, match=r"unknown kind of picture '.bmp'.*\.pdf, \.png, \.svg"):
        save(figure, tmp_path / "a.bmp")
    with pytest.raises(KanpdeError, match="there is no folder"):
        save(figure, tmp_path / "none" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_the_style_can_be_used_by_name():
    with matplotlib.style.context("kanpde.plot.kanpde"):
        cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
        assert [f"#{colour.lstrip('#')}" for colour in cycle] == list(COLOURS)


@pytest.mark.parametrize("box", ["1d and time", "disk and time"])
def test_slices_are_drawn(tmp_path, box):
    figure = draw_slices(sample_on(BOXES[box], 1), "kan")
    drawn(figure, tmp_path / "slices.png")
    for time in ("t = 0", "t = 9" if box == "1d and time" else "t = 1"):
        assert time in words(figure)


@pytest.mark.parametrize("box", ["1d", "2d", "3d", "3d and time"])
def test_what_has_no_slices_is_refused(box):
    sample = sample_on(BOXES[box])
    assert not has_slices(sample)
    with pytest.raises(KanpdeError, match="no slices in time"):
        draw_slices(sample)


def test_slices_show_the_times_that_they_name():
    sample = sample_solution(
        lambda at, indices: (at.x + 10 * at.t)[None, :, None],
        Problem(geometry=Box(x=(0, 1), t=(0, 9)), equations={"first": lambda u, at: u.d("x")}, name="example"),
    )
    curves = [line for line in draw_slices(sample).axes[0].get_lines() if len(line.get_xdata()) > 2]
    factor = 10.0  # values up to 91 are shown as they are
    assert [float(line.get_ydata()[0]) for line in curves] == pytest.approx([0, 2.25 * factor, 45, 67.5, 90], abs=0.3)


@pytest.mark.parametrize(("box", "count"), [*((box, 20) for box in BOXES), ("2d", 0), ("1d", 9000), ("2d", 9000)])
def test_points_are_drawn_over_the_residual(tmp_path, box, count):
    names = BOXES[box].names
    points = np.random.default_rng(0).random((count, len(names)))
    figure = draw_points(sample_on(BOXES[box]), points, names)
    drawn(figure, tmp_path / "points.png")
    text = words(figure)
    assert "collocation points" in text
    assert "residual of 'first'" in text
    if count == 9000 and box in ("2d", "1d"):
        assert "4,000 of 9,000" in text
    if box in ("3d", "disk and time"):
        number = int((np.abs(points[:, -1] - 0.5) <= 0.05).sum())
        assert f"{number:,} collocation points within 0.05 of it" in text
    if box == "3d and time":
        assert "of all z, t" in text


def test_many_equations_share_a_picture(tmp_path):
    sample = sample_on(BOXES["2d"])
    sample = replace(sample, residual=np.tile(sample.residual, 8), equations=tuple("abcdefgh"))
    figure = draw_points(sample, np.zeros((1, 2)), ("x", "y"))
    drawn(figure, tmp_path / "points.png")
    assert "residual of 'f'" in words(figure)
    assert "residual of 'g'" not in words(figure)
    assert "2 more equations" in words(figure)


def test_points_need_residuals():
    with pytest.raises(KanpdeError, match="no residuals"):
        draw_points(replace(sample_on(BOXES["2d"]), residual=None), np.zeros((1, 2)), ("x", "y"))


@pytest.mark.parametrize(
    "histories",
    [
        {"kan": history(40), "mlp": history(60, 0.9), "mlp-adam-lbfgs": history(1000, 0.999, stages=2)},
        {"kan": history(1), "mlp": []},
        {},
    ],
    ids=["three", "short", "none"],
)
def test_convergence_is_drawn(tmp_path, histories):
    drawn(draw_convergence(histories), tmp_path / "convergence.png")


def test_a_diverged_history_is_drawn(tmp_path):
    rows = history(20)
    rows[-1]["loss"] = rows[-1]["held_out"] = math.nan
    rows[-2]["loss"] = 0.0
    drawn(draw_convergence({"kan": rows}), tmp_path / "convergence.png")


def test_a_loss_that_is_zero_from_the_start_is_drawn(tmp_path):
    rows = [{**row, "loss": 0.0, "held_out": 0.0} for row in history(1)]
    drawn(draw_convergence({"kan": rows}), tmp_path / "convergence.png")


def edges(inputs, nodes, sums=0, straight=False):
    """Return edges from inputs to nodes whose importance falls with the node's number."""
    x = torch.linspace(0, 1, 50, dtype=torch.float64)
    values = (x if straight else torch.sin(6 * x))[:, None, None].expand(-1, inputs, nodes)
    importance = 0.5 ** torch.arange(nodes, dtype=torch.float64)
    knots = tuple(torch.linspace(0, 1, 5) for _ in range(inputs))
    return LayerEdges(sums, x[:, None].expand(-1, inputs), values, knots, importance.expand(inputs, nodes), importance)


@pytest.mark.parametrize(
    ("layers", "inputs", "outputs", "said"),
    [
        ([edges(2, 40), edges(40, 1, 1, True)], "xy", "u", "the 8 most important of 40 product nodes, 99.6 %"),
        ([edges(2, 5, 5), edges(5, 5, 5), edges(5, 1, 1)], "xy", "u", "16 most important of 25 functions"),
        ([edges(5, 4, 2), edges(4, 3, 3)], "abcde", "uvp", "4 nodes"),
        ([edges(1, 1), edges(1, 1, 1, True)], "t", "u", "1 product node"),
        ([edges(2, 1, 1)], "xy", "u", "the network"),
    ],
    ids=["many products", "deep", "several outputs", "one node", "one layer"],
)
def test_networks_are_drawn(tmp_path, layers, inputs, outputs, said):
    figure = draw_network(layers, tuple(inputs), tuple(outputs), "example")
    drawn(figure, tmp_path / "network.png")
    assert said in words(figure)
    assert all(f"N_{{{name}}}" in words(figure) for name in outputs if len(outputs) > 1)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert 0 < len(boxes) <= 8 * len(inputs) + 16
    width, height = figure.get_size_inches()
    for box in boxes:
        assert 0 < box.get_x() < box.get_x() + box.get_width() < width
        assert 0 < box.get_y() < box.get_y() + box.get_height() < height
    corners = [(box.get_x(), box.get_y()) for box in boxes]
    assert len(set(corners)) == len(corners)
    for text in figure.axes[0].texts:
        extent = text.get_window_extent(FigureCanvasAgg(figure).get_renderer())
        assert 0 <= extent.x0 < extent.x1 <= figure.bbox.x1, text.get_text()


def method(name, size, error, seconds=1.0, floor=0.0):
    times = {"setup": 0.0, "train": seconds, "evaluate_1e5": 0.1}
    errors = None if error is None else Errors(error, math.nan, 1.0, floor=floor)
    return Method(name, size, errors, times, 1, "ended")


def test_methods_are_compared(tmp_path):
    methods = [
        method("kan", 200, 1e-12, floor=1e-10),
        method("mlp", 210, 1e-3),
        method("fem-p2-16", 900, 1e-3, 0.0),
        method("fem-p2-8", 200, 1e-2),
        method("mlp-adam-lbfgs", 210, None),
    ]
    figure = draw_comparison(methods, 1e-10, "example")
    drawn(figure, tmp_path / "comparison.png")
    first = figure.axes[0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "kan",
        "mlp",
        "fem-p2",
        "the reference's own error",
    ]
    kan = first.get_lines()[1]
    assert (kan.get_xdata()[0], kan.get_ydata()[0], kan.get_markerfacecolor()) == (200, 1e-10, "white")
    joined = next(line for line in first.get_lines() if len(line.get_xdata()) == 2 and line.get_linestyle() == "-")
    assert list(joined.get_xdata()) == [200, 900]
    assert draw_comparison(methods[:1], None) is None
    assert draw_comparison([method("kan", 200, 0.0), method("mlp", 200, 0.0)], None) is not None


def test_resolutions_share_a_family():
    assert family("fem-p4-32-adaptive") == "fem-p4-adaptive"
    assert family("fem-p2-64") == "fem-p2"
    assert family("mlp-adam-lbfgs") == "mlp-adam-lbfgs"


def test_scales_are_powers_of_ten():
    assert scale(np.array([0.0])) == (1.0, "")
    assert scale(np.array([-3.0, 900.0])) == (1.0, "")
    unit, text = scale(np.array([2e-9, -4e-9, np.nan]))
    assert unit == pytest.approx(1e-9)
    assert "10^{-9}" in text
