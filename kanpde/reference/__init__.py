"""References that state their own error."""

from kanpde.reference.cole_hopf import burgers_cole_hopf
from kanpde.reference.exact import exact
from kanpde.reference.fem import FEM, ladder, solve_fem

__all__ = ["FEM", "burgers_cole_hopf", "exact", "ladder", "solve_fem"]
