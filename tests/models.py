"""Models for tests of what is done with them: formulas, and splines in place of some of their functions."""

from math import pi

import sympy
import torch

from kanpde import Box, Field, Points, Problem, dirichlet, observe, scalar
from kanpde.interpret import Model
from kanpde.reference import exact

X, Y = sympy.symbols("x y", real=True)
SINES = sympy.sin(sympy.pi * X) * sympy.sin(sympy.pi * Y)
PERTURBED = 1.1 * sympy.sin(3.2 * X) * sympy.sin(3.0 * Y + 0.05) + 0.02


def poisson() -> Problem:
    """Return Poisson's equation with the solution sin(pi x) sin(pi y) on a square."""

    def solution(at: Points) -> torch.Tensor:
        return torch.sin(pi * at.x) * torch.sin(pi * at.y)

    def equation(u: Field, at: Points) -> torch.Tensor:
        return -(u.d("xx") + u.d("yy")) - 2 * pi**2 * solution(at)

    return Problem(
        Box(x=(-1, 1), y=(-1, 1)),
        {"poisson": equation},
        {"walls": dirichlet("all", 0.0)},
        reference=exact(solution),
        name="sines",
    )


def with_scalar() -> Problem:
    """Return u_xx = -k u with an unknown k, which starts at 0.5, and one observation."""
    return Problem(
        Box(x=(0, 1), y=(0, 2)),
        {"decay": lambda u, k, at: u.d("xx") + k * u},
        {},
        constraints={"seen": observe({"x": [0.5], "y": [1.0]}, [1.0])},
        scalars={"k": scalar(0.5)},
    )


def model_of(formula: sympy.Expr = SINES) -> Model:
    """Return the model of a formula in x and y on a square, with the problem whose solution is SINES."""
    return Model.from_formula(poisson(), {"u": formula})


def values(model: Model, points: torch.Tensor) -> torch.Tensor:
    """Return the outputs (N, U) of a model's graph at points (N, d)."""
    return model.graph.evaluated(points)[0][:, list(model.graph.outputs)]
