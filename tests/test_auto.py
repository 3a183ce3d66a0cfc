"""The method follows from the numbers of parameters and residual rows, in one place."""

import pytest

from kanpde import KAN, MLP, Auto, Chain, GaussNewton, Kernel, LevenbergMarquardt, Sampling
from kanpde.library import load_problem
from kanpde.run import suited_solver
from kanpde.solver import Solver


@pytest.mark.parametrize(
    ("parameters", "rows", "method"),
    [
        (1, 1000, LevenbergMarquardt),
        (4000, 20_000, LevenbergMarquardt),
        (4000, 3999, Kernel),
        (4000, 4000, LevenbergMarquardt),
        (4001, 20_000, GaussNewton),
        (50_000, 250_000, GaussNewton),
        (50_000, 4000, Kernel),
        (50_000, 4001, GaussNewton),
        (50_001, 250_000, Chain),
    ],
)
def test_the_rule(parameters: int, rows: int, method: type[Solver]) -> None:
    assert type(Auto().suited(parameters, rows)) is method


def test_sizes_are_those_of_the_last_stage() -> None:
    problem, kan = load_problem("poisson2d"), KAN().suited(load_problem("poisson2d"))
    assert isinstance(suited_solver(Auto(), problem, kan, Sampling()), LevenbergMarquardt)
    assert isinstance(suited_solver(Auto(), problem, kan, Sampling(points=300)), Kernel)
    assert isinstance(suited_solver(Auto(), problem, MLP(width=(80, 80)), Sampling()), GaussNewton)
    chosen = GaussNewton(starts=2)
    assert suited_solver(chosen, problem, kan, Sampling()) is chosen
