"""Finite elements, built from a problem's strong form: a competitor to the networks and a reference."""

from kanpde.reference.fem.flow import Flow, SolvedFlow, estimated, solve_flow
from kanpde.reference.fem.flowform import FlowForm
from kanpde.reference.fem.graded import GradedGrid
from kanpde.reference.fem.solution import FEM
from kanpde.reference.fem.solve import Resolution, ladder, solve_fem

__all__ = [
    "FEM",
    "Flow",
    "FlowForm",
    "GradedGrid",
    "Resolution",
    "SolvedFlow",
    "estimated",
    "ladder",
    "solve_fem",
    "solve_flow",
]
