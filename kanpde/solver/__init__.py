"""Training methods behind one interface, one per file."""

from kanpde.solver.auto import Auto
from kanpde.solver.base import Solver, State
from kanpde.solver.chain import Chain
from kanpde.solver.first_order import LBFGS, Adam
from kanpde.solver.gauss_newton import GaussNewton
from kanpde.solver.kernel import Kernel
from kanpde.solver.levenberg_marquardt import LevenbergMarquardt
from kanpde.solver.self_scaled_broyden import SelfScaledBroyden
from kanpde.solver.soap import SOAP

__all__ = [
    "LBFGS",
    "SOAP",
    "Adam",
    "Auto",
    "Chain",
    "GaussNewton",
    "Kernel",
    "LevenbergMarquardt",
    "SelfScaledBroyden",
    "Solver",
    "State",
]
