"""The rule that chooses a method by the size of the problem."""

from __future__ import annotations

from dataclasses import dataclass

from kanpde.solver.base import Solver
from kanpde.solver.chain import Chain
from kanpde.solver.first_order import LBFGS, Adam
from kanpde.solver.gauss_newton import GaussNewton
from kanpde.solver.kernel import Kernel
from kanpde.solver.levenberg_marquardt import LevenbergMarquardt

DENSE = 4000
"""Parameters, or residual rows, up to which a dense matrix of them is factorised in every iteration."""
ITERATIVE = 50_000
"""Parameters up to which steps are worth an iterative solution."""


@dataclass(frozen=True)
class Auto:
    """Stands for the method that suits the size of the problem, here or with `None` for a solver."""

    def suited(self, parameters: int, rows: int) -> Solver:
        """Return the method for P parameters and R residual rows.

        Fewer rows than parameters, up to 4,000 of them: the kernel form, whose matrix is R by R. Else up to 4,000
        parameters Levenberg-Marquardt, which costs R P^2 and P^3; up to 50,000 iterative Gauss-Newton; beyond, Adam and
        then L-BFGS, which hold a few vectors. Whether the equations are affine makes no difference here: each method of
        Gauss-Newton type then solves the last layer anew.
        """
        if rows < parameters and rows <= DENSE:
            return Kernel()
        if parameters <= DENSE:
            return LevenbergMarquardt()
        if parameters <= ITERATIVE:
            return GaussNewton()
        return Chain((Adam(), LBFGS()))
