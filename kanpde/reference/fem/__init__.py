"""Finite elements, built from a problem's strong form: a competitor to the networks and a reference."""

from kanpde.reference.fem.solution import FEM
from kanpde.reference.fem.solve import ladder, solve_fem

__all__ = ["FEM", "ladder", "solve_fem"]
