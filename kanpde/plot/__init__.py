"""Pictures of solutions, trainings and networks, in one style (`kanpde.mplstyle`)."""

from matplotlib.figure import Figure

from kanpde.plot.comparison import draw_comparison
from kanpde.plot.convergence import draw_convergence
from kanpde.plot.formula import draw_formula
from kanpde.plot.graph import draw_graph
from kanpde.plot.maps import draw_solution
from kanpde.plot.network import draw_network
from kanpde.plot.points import draw_points
from kanpde.plot.slices import draw_slices, has_slices
from kanpde.plot.style import COLOURS, DIVERGING, SEQUENTIAL, STYLE, as_png, as_svg, save, styled
from kanpde.plot.volume import can_render, draw_volume, has_volume

__all__ = [
    "COLOURS",
    "DIVERGING",
    "SEQUENTIAL",
    "STYLE",
    "Figure",
    "as_png",
    "as_svg",
    "can_render",
    "draw_comparison",
    "draw_convergence",
    "draw_formula",
    "draw_graph",
    "draw_network",
    "draw_points",
    "draw_slices",
    "draw_solution",
    "draw_volume",
    "has_slices",
    "has_volume",
    "save",
    "styled",
]
