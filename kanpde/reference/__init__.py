"""References that state their own error."""

from kanpde.reference.cole_hopf import burgers_cole_hopf
from kanpde.reference.collocation import collocation
from kanpde.reference.exact import exact
from kanpde.reference.family import Family, per_value
from kanpde.reference.fem import FEM, ladder, solve_fem
from kanpde.reference.harmonic import harmonic
from kanpde.reference.pointwise import labelled, measured, pointwise
from kanpde.reference.series import torsion_square
from kanpde.reference.spectral import fourier
from kanpde.reference.table import table
from kanpde.reference.taylor_hood import taylor_hood

__all__ = [
    "FEM",
    "Family",
    "burgers_cole_hopf",
    "collocation",
    "exact",
    "fourier",
    "harmonic",
    "labelled",
    "ladder",
    "measured",
    "per_value",
    "pointwise",
    "solve_fem",
    "table",
    "taylor_hood",
    "torsion_square",
]
