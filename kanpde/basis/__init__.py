"""Univariate bases on the edges of a network, one per file."""

from kanpde.basis.activation import Activation
from kanpde.basis.base import Basis
from kanpde.basis.bspline import BSpline

__all__ = ["Activation", "BSpline", "Basis"]
