"""A physics-informed PDE solver built on Kolmogorov-Arnold networks."""

from kanpde.errors import KanpdeError
from kanpde.field import Field, Points
from kanpde.geometry import Box
from kanpde.model import KAN, MLP
from kanpde.problem import Problem, Reference, dirichlet, initial, initial_velocity, neumann, robin

__all__ = [
    "KAN",
    "MLP",
    "Box",
    "Field",
    "KanpdeError",
    "Points",
    "Problem",
    "Reference",
    "dirichlet",
    "initial",
    "initial_velocity",
    "neumann",
    "robin",
]
