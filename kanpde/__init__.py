"""A physics-informed PDE solver built on Kolmogorov-Arnold networks."""

# isort: off
from kanpde.threads import default_threads  # before PyTorch is loaded

# isort: on
from kanpde.constraint import classify, difference, mean, observe, sampled
from kanpde.errors import KanpdeError
from kanpde.field import Field, Points
from kanpde.geometry import Ball, Box, Disk, Ellipse, LShape, Mesh, Polygon, Triangle, parameter
from kanpde.metrics import Errors
from kanpde.model import KAN, MLP
from kanpde.position import Budget
from kanpde.problem import (
    Problem,
    Reference,
    condition,
    dirichlet,
    initial,
    initial_velocity,
    neumann,
    periodic,
    robin,
    scalar,
)
from kanpde.run import Run, solve
from kanpde.sampling import Sampling
from kanpde.solver import LBFGS, SOAP, Adam, Auto, Chain, GaussNewton, Kernel, LevenbergMarquardt, SelfScaledBroyden
from kanpde.version import __version__

__all__ = [
    "KAN",
    "LBFGS",
    "MLP",
    "SOAP",
    "Adam",
    "Auto",
    "Ball",
    "Box",
    "Budget",
    "Chain",
    "Disk",
    "Ellipse",
    "Errors",
    "Field",
    "GaussNewton",
    "KanpdeError",
    "Kernel",
    "LShape",
    "LevenbergMarquardt",
    "Mesh",
    "Points",
    "Polygon",
    "Problem",
    "Reference",
    "Run",
    "Sampling",
    "SelfScaledBroyden",
    "Triangle",
    "__version__",
    "classify",
    "condition",
    "default_threads",
    "difference",
    "dirichlet",
    "initial",
    "initial_velocity",
    "mean",
    "neumann",
    "observe",
    "parameter",
    "periodic",
    "robin",
    "sampled",
    "scalar",
    "solve",
]
