import math
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.image import imread

from kanpde import Box, Disk, Problem
from kanpde.plot import _scale, plot_convergence, plot_solution
from kanpde.record import sample_solution
from kanpde.reference import exact


def sample_on(box, unknowns=1, error=1e-6):
    solutions = [lambda at: torch.sin(3 * at.x), lambda at: 1e-7 * torch.cos(at.x)][:unknowns]
    equation = (lambda u, at: u.d("x")) if unknowns == 1 else (lambda u, v, at: u.d("x") + v)
    problem = Problem(geometry=box, equations={"first": equation}, reference=exact(*solutions), name="example")
    return sample_solution(lambda at, indices: problem.reference.taylor(at, indices) + error, problem)


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


def drawn(path):
    """Return the picture; it is not blank and its border is white, so nothing was cut off."""
    picture = imread(path)[..., :3]
    assert picture.std() > 0.02
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (border == 1).all()
    return picture


@pytest.mark.parametrize(
    ("box", "unknowns"),
    [
        (Box(x=(0, 2)), 2),
        (Box(x=(-1, 1), y=(0, 1)) - Disk(radius=0.4), 2),
        (Disk() * Box(t=(0, 1)), 1),
        (Box(x=(0, 1), t=(0, 9)), 1),
        (Box(x=(0, 1), y=(0, 50)), 2),
        (Box(x=(0, 1), y=(0, 1), z=(0, 1)), 1),
    ],
    ids=["1d", "2d without a disk", "disk and time", "1d and time", "2d", "3d"],
)
def test_solutions_are_drawn(tmp_path, box, unknowns):
    plot_solution(sample_on(box, unknowns), tmp_path / "solution.png", "kan", 1e-6)
    drawn(tmp_path / "solution.png")


@pytest.mark.parametrize("box", [Box(x=(0, 2)), Box(x=(0, 2), y=(0, 1))], ids=["1d", "2d"])
@pytest.mark.parametrize("error", [0.0, math.nan])
def test_perfect_and_diverged_solutions_are_drawn(tmp_path, box, error):
    plot_solution(sample_on(box, error=error), tmp_path / "solution.png", "kan")
    drawn(tmp_path / "solution.png")


def test_a_solution_without_a_reference_is_drawn(tmp_path):
    plot_solution(replace(sample_on(Box(x=(0, 2), y=(0, 1))), reference=None), tmp_path / "solution.png", "kan")
    drawn(tmp_path / "solution.png")


def test_pictures_are_the_same_each_time_and_leave_the_style_alone(tmp_path):
    style = dict(matplotlib.rcParams)
    sample = sample_on(Box(x=(0, 2), y=(0, 1)))
    for name in ("a.png", "b.png"):
        plot_solution(sample, tmp_path / name, "kan", 1e-6)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert dict(matplotlib.rcParams) == style


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
    plot_convergence(histories, tmp_path / "convergence.png")
    drawn(tmp_path / "convergence.png")


def test_a_diverged_history_is_drawn(tmp_path):
    rows = history(20)
    rows[-1]["loss"] = rows[-1]["held_out"] = math.nan
    rows[-2]["loss"] = 0.0
    plot_convergence({"kan": rows}, tmp_path / "convergence.png")
    drawn(tmp_path / "convergence.png")


def test_a_loss_that_is_zero_from_the_start_is_drawn(tmp_path):
    rows = [{**row, "loss": 0.0, "held_out": 0.0} for row in history(1)]
    plot_convergence({"kan": rows}, tmp_path / "convergence.png")
    drawn(tmp_path / "convergence.png")


def test_scales_are_powers_of_ten():
    assert _scale(np.array([0.0])) == (1.0, "")
    assert _scale(np.array([-3.0, 900.0])) == (1.0, "")
    scale, text = _scale(np.array([2e-9, -4e-9, np.nan]))
    assert scale == pytest.approx(1e-9)
    assert "10^{-9}" in text
