"""Univariate bases on the edges of a network, one per file."""

from kanpde.basis.activation import Activation
from kanpde.basis.base import Basis, Learnable
from kanpde.basis.bspline import BSpline
from kanpde.basis.chebyshev import Chebyshev
from kanpde.basis.elementary import ELEMENTARY, Elementary, elementary
from kanpde.basis.fourier import Fourier

__all__ = [
    "ELEMENTARY",
    "Activation",
    "BSpline",
    "Basis",
    "Chebyshev",
    "Elementary",
    "Fourier",
    "Learnable",
    "elementary",
]
