"""What is inside a trained KAN: importance, pruning, elementary functions, formulas."""

from kanpde.edges import Importance, importance
from kanpde.interpret.code import c_code, latex, python_code
from kanpde.interpret.exact import Statement, check_exactly, satisfied
from kanpde.interpret.model import Model, Worse
from kanpde.interpret.recognise import Candidate, Fit
from kanpde.interpret.simplify import NoFormula, Simplified, simplify, sufficient
from kanpde.interpret.stepwise import stepwise

__all__ = [
    "Candidate",
    "Fit",
    "Importance",
    "Model",
    "NoFormula",
    "Simplified",
    "Statement",
    "Worse",
    "c_code",
    "check_exactly",
    "importance",
    "latex",
    "python_code",
    "satisfied",
    "simplify",
    "stepwise",
    "sufficient",
]
