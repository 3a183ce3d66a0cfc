"""Networks: from parameters to fields at points."""

from kanpde.model.ansatz import Ansatz
from kanpde.model.factor import Factor, Factors, First, FirstFactor, jacobian_blocks, plain
from kanpde.model.graph import Graph
from kanpde.model.kan import KAN
from kanpde.model.mlp import MLP
from kanpde.model.network import Change, Network

__all__ = [
    "KAN",
    "MLP",
    "Ansatz",
    "Change",
    "Factor",
    "Factors",
    "First",
    "FirstFactor",
    "Graph",
    "Network",
    "jacobian_blocks",
    "plain",
]
