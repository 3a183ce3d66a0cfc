"""A plate with a round hole under tension: plane-stress elasticity, with Kirsch's solution for an infinite plate.

Equilibrium s_xx,x + s_xy,y = 0 and s_xy,x + s_yy,y = 0 with Hooke's law on the quarter (0, size)^2 outside the circle
r = 1: symmetry at x = 0 and y = 0, no traction on the hole, on the outer sides that of the infinite plate. Lengths are
in radii of the hole, stresses in units of the tension, displacements in units of tension times radius over Young's
modulus. Source: Kirsch 1898, Die Theorie der Elastizitaet und die Beduerfnisse der Festigkeitslehre; as a benchmark in
Hughes, Cottrell & Bazilevs 2005, Isogeometric Analysis, section 4.1.
"""

from torch import atan2, clip, cos, sin, sqrt

from kanpde import Box, Disk, Problem, condition, dirichlet, neumann
from kanpde.reference import exact


def problem(poisson_ratio: float = 0.3, size: float = 4.0) -> Problem:
    nu = poisson_ratio
    shear, kappa = 1 / (2 * (1 + nu)), (3 - nu) / (1 + nu)

    def polar(at):  # kept away from the centre of the hole
        return sqrt(clip(at.x**2 + at.y**2, 0.01)), atan2(at.y, at.x + 1e-150)

    def displacement_x(at):
        r, a = polar(at)
        near = (1 + kappa) * cos(a) / r + cos(3 * a) / r - cos(3 * a) / r**3
        return ((kappa + 1) * r * cos(a) + 2 * near) / (8 * shear)

    def displacement_y(at):
        r, a = polar(at)
        near = (1 - kappa) * sin(a) / r + sin(3 * a) / r - sin(3 * a) / r**3
        return ((kappa - 3) * r * sin(a) + 2 * near) / (8 * shear)

    def stress_of_infinite_plate(at):
        r, a = polar(at)
        xx = 1 - (1.5 * cos(2 * a) + cos(4 * a)) / r**2 + 1.5 * cos(4 * a) / r**4
        yy = (cos(4 * a) - 0.5 * cos(2 * a)) / r**2 - 1.5 * cos(4 * a) / r**4
        return xx, yy, 1.5 * sin(4 * a) / r**4 - (0.5 * sin(2 * a) + sin(4 * a)) / r**2

    def stress(u, v):
        xx, yy = u.d("x") + nu * v.d("y"), v.d("y") + nu * u.d("x")
        return xx / (1 - nu**2), yy / (1 - nu**2), shear * (u.d("y") + v.d("x"))

    def traction(stresses, axis, at):
        xx, yy, xy = stresses
        along_x, along_y = (xx, xy) if axis == "x" else (xy, yy)
        return along_x * at.normal[:, 0] + along_y * at.normal[:, 1]

    def free(axis):
        return lambda u, v, at: traction(stress(u, v), axis, at)

    def pulled(axis):
        return lambda u, v, at: traction(stress(u, v), axis, at) - traction(stress_of_infinite_plate(at), axis, at)

    def equilibrium_x(u, v, at):
        return (u.d("xx") + nu * v.d("xy")) / (1 - nu**2) + shear * (u.d("yy") + v.d("xy"))

    def equilibrium_y(u, v, at):
        return (v.d("yy") + nu * u.d("xy")) / (1 - nu**2) + shear * (v.d("xx") + u.d("xy"))

    symmetry = {
        "u at the left": dirichlet("x-", 0.0, unknown="u"),
        "v at the left": neumann("x-", 0.0, unknown="v"),
        "u at the bottom": neumann("y-", 0.0, unknown="u"),
        "v at the bottom": dirichlet("y-", 0.0, unknown="v"),
    }
    hole = {f"hole, {axis}": condition("hole", free(axis)) for axis in "xy"}
    sides = {f"{side}, {axis}": condition(side, pulled(axis)) for side in ("x+", "y+") for axis in "xy"}
    return Problem(
        geometry=Box(x=(0, size), y=(0, size)) - Disk().named("hole"),
        equations={"equilibrium_x": equilibrium_x, "equilibrium_y": equilibrium_y},
        conditions={**symmetry, **hole, **sides},
        reference=exact(displacement_x, displacement_y),
    )
