"""References that state their own error."""

from kanpde.reference.cole_hopf import burgers_cole_hopf
from kanpde.reference.exact import exact

__all__ = ["burgers_cole_hopf", "exact"]
