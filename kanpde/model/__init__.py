"""Networks: from parameters to fields at points."""

from kanpde.model.ansatz import Ansatz
from kanpde.model.kan import KAN
from kanpde.model.mlp import MLP
from kanpde.model.network import Change, Factor, Network

__all__ = ["KAN", "MLP", "Ansatz", "Change", "Factor", "Network"]
