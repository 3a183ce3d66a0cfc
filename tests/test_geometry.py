"""Every domain: points inside, outward normals, measures that agree; names of boundaries, and what is refused."""

import re
from collections.abc import Callable
from math import pi

import pytest
import torch
from domains import DOMAINS, EXACT_MEASURE
from torch import Tensor

from kanpde import Ball, Box, Disk, Ellipse, KanpdeError, LShape, Polygon, Triangle
from kanpde.geometry import Geometry, Patch
from kanpde.geometry.base import distinct

every_domain = pytest.mark.parametrize("domain", DOMAINS.values(), ids=list(DOMAINS))


def unit_points(patch: Patch, count: int = 4096) -> Tensor:
    """Return points of the unit cube that are placed in a patch."""
    if patch.dimension == 0:
        return torch.zeros(1, 0, dtype=torch.float64)
    unit = torch.quasirandom.SobolEngine(patch.dimension, scramble=True, seed=0).draw(count, dtype=torch.float64)
    return unit[patch.kept(unit)]


def in_bounding_box(domain: Geometry, count: int) -> tuple[Tensor, float]:
    """Return points of the bounding box of a domain, and its measure."""
    lower, upper = (torch.tensor(side, dtype=torch.float64) for side in (domain.lower, domain.upper))
    unit = torch.quasirandom.SobolEngine(domain.dimension, scramble=True, seed=3).draw(count, dtype=torch.float64)
    return lower + (upper - lower) * unit, float((upper - lower).prod())


@every_domain
def test_samples_are_inside_and_even(domain: Geometry) -> None:
    points = domain.sample(4000, seed=1)
    assert points.shape == (4000, domain.dimension)
    assert bool(domain.contains(points).all())
    assert torch.equal(points, domain.sample(4000, seed=1))
    assert not torch.equal(points, domain.sample(4000, seed=2))
    box, _ = in_bounding_box(domain, 2**15)
    wanted = box[domain.contains(box)]
    spread = wanted.std(dim=0)
    assert float(((points.mean(dim=0) - wanted.mean(dim=0)) / spread).abs().max()) < 0.08
    assert float((points.std(dim=0) / spread - 1).abs().max()) < 0.05


@every_domain
def test_measures_agree_with_counting(domain: Geometry) -> None:
    box, measure = in_bounding_box(domain, 2**17)
    counted = measure * float(domain.contains(box).to(torch.float64).mean())
    assert domain.measure == pytest.approx(counted, rel=8e-3)


@pytest.mark.parametrize("name", EXACT_MEASURE)
def test_measures_are_those_of_the_textbook(name: str) -> None:
    assert DOMAINS[name].measure == pytest.approx(EXACT_MEASURE[name], rel=1e-8)


@every_domain
def test_normals_are_unit_and_outward(domain: Geometry) -> None:
    step = 1e-6 * domain.size
    for patch in distinct(domain):
        unit = unit_points(patch)
        points, normals = patch.place(unit), patch.normals(unit)
        assert normals is not None
        assert float((normals.norm(dim=1) - 1).abs().max()) < 1e-14
        assert bool(domain.contains(points).all())
        # Steps at the very end of a piece may leave the domain through the next one.
        assert float(domain.contains(points - step * normals).to(torch.float64).mean()) > 0.999
        assert float(domain.contains(points + step * normals).to(torch.float64).mean()) < 0.001


@every_domain
def test_the_divergence_theorem(domain: Geometry) -> None:
    """The integral of x.n over the boundary is d times the measure."""
    total = 0.0
    for patch in distinct(domain):
        unit = unit_points(patch, 2**13)
        normals = patch.normals(unit)
        assert normals is not None
        total += patch.measure * float((patch.place(unit) * normals).sum(dim=1).mean())
    assert total / domain.dimension == pytest.approx(domain.measure, rel=2e-3)


@every_domain
def test_levels_are_positive_inside_and_vanish_on_the_boundary(domain: Geometry) -> None:
    if domain.formula is None or "mesh" in repr(domain).lower():
        pytest.skip("a mesh has no formula")
    box, _ = in_bounding_box(domain, 4096)
    inside, level = domain.contains(box), domain.formula.level(box)
    assert bool((level[inside] > 0).all())
    assert bool((level[~inside] < 0).all())
    for patch in distinct(domain):
        points = patch.place(unit_points(patch, 512))
        assert float(domain.formula.level(points).abs().max()) < 1e-9 * domain.size
        assert patch.surface is not None
        assert patch.surface in domain.formula.surfaces
        assert float(patch.surface.inside(points).abs().max()) < 1e-12 * domain.size


@every_domain
def test_all_is_what_is_not_at_a_fixed_time(domain: Geometry) -> None:
    patches = {id(patch): patch.name for patch in distinct(domain)}
    assert {id(patch) for patch in domain.boundary("all")} == {
        i for i, name in patches.items() if name not in ("t-", "t+")
    }


@every_domain
def test_domains_describe_themselves(domain: Geometry) -> None:
    assert re.match(r"\(*(Ball|Box|Disk|Ellipse|Polygon|Triangle|LShape|Mesh|Solid)\(", repr(domain))
    assert "object at" not in repr(domain)
    assert repr(domain.named("rim")) == f"{domain.written()}.named('rim')"


CURVATURES = {
    "disk": 1 / 0.7,
    "ball": 1 / 0.8,
    "ball in four dimensions": 2.0,
    "ellipse": 3 / 0.5**2,
    "L-shape": 0.0,
    "box with holes": 5.0,
    "box": 0.0,
    "annulus in time": 1 / 0.3,
    "mesh of a ring": 0.0,
}


@pytest.mark.parametrize("name", CURVATURES)
def test_curvatures(name: str) -> None:
    assert DOMAINS[name].curvature == pytest.approx(CURVATURES[name], rel=0.05)


def test_names_of_a_domain_and_of_its_parts() -> None:
    domain = DOMAINS["box with holes"]
    assert {"all", "walls", "walls.x-", "walls.y", "holes"} <= set(domain.boundaries)
    length = sum(patch.measure for patch in domain.boundary("holes"))
    assert length == pytest.approx(2 * pi * 0.5, rel=1e-9)
    assert sum(patch.measure for patch in domain.boundary("all")) == pytest.approx(8 + pi, rel=1e-9)
    assert set(domain.named("plate").boundaries) >= {"all", "plate", "plate.walls.x-", "plate.holes"}
    assert "x-" in Box(x=(0, 1)).boundaries
    with pytest.raises(KanpdeError, match=r"unknown boundary 'hole': did you mean 'holes'.*Known: all, holes, walls"):
        domain.boundary("hole")
    with pytest.raises(KanpdeError, match=r"named\('all'\)"):
        domain.named("all")


def test_a_name_that_both_parts_have_stands_for_both() -> None:
    domain = Box(x=(0, 1), y=(0, 1)) | Box(x=(0.5, 2), y=(0, 2))
    assert sum(patch.measure for patch in domain.boundary("y-")) == pytest.approx(2, rel=1e-8)
    assert sum(patch.measure for patch in domain.boundary("x+")) == pytest.approx(2, rel=1e-8)
    # The second box's left side is a boundary above the first box only, where it is the side "x-" too.
    assert sum(patch.measure for patch in domain.boundary("x-")) == pytest.approx(2, rel=1e-8)


def test_a_product_of_boxes_is_a_box() -> None:
    box = Box(x=(0, 1)) * Box(t=(0, 2))
    assert isinstance(box, Box)
    assert repr(box) == "Box(x=(0, 1), t=(0, 2))"


def test_time_in_a_product() -> None:
    domain = Disk() * Box(t=(0, 2))
    assert (domain.time, domain.space, domain.names) == ("t", ("x", "y"), ("x", "y", "t"))
    assert set(domain.boundaries) == {"all", "t-", "t+", "t"}
    (start,) = domain.boundary("t-")
    assert start.measure == pytest.approx(pi)
    assert start.normals(torch.rand(1, 2, dtype=torch.float64)).tolist() == [[0, 0, -1]]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["disk", "star", "box with holes", "annulus in time", "shell"])
def test_domains_are_on_the_device_of_the_points(name: str, device: torch.device) -> None:
    domain = DOMAINS[name]
    for patch in (domain.interior(), *domain.boundary("all")):
        unit = unit_points(patch, 64)
        points = patch.place(unit.to(device))
        assert points.device.type == device.type
        assert torch.allclose(points.cpu(), patch.place(unit), rtol=0, atol=1e-14)
        assert bool(domain.contains(points).all())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Disk(radius=0), "radius=0: give a positive number"),
        (lambda: Ball((0,)), r"center=\(0\): give two finite coordinates or more"),
        (lambda: Ball((0, 0, 0, 0)), "give 4 names"),
        (lambda: Disk((0, 0, 0)), "a disk has a center of two coordinates; see also Ball"),
        (lambda: Ellipse((0, 0), (1, -1)), r"semi_axes=\(1, -1\): give two positive numbers"),
        (lambda: Polygon([(0, 0), (1, 0)]), "at least three vertices, 2 were given"),
        (lambda: Polygon([(0, 0), (1, 0), (1, 0), (0, 1)]), r"vertex 1 of the polygon, \(1, 0\), is there twice"),
        (lambda: Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "edges 0 and 2 of the polygon meet"),
        (lambda: Polygon([(0, 0), (2, 0), (1, 0), (0, 1)]), "edges 0 and 1 of the polygon meet"),
        (lambda: Polygon([(0, 0), (1, 0), (1, float("nan"))]), "needs two finite coordinates"),
        (lambda: Triangle((0, 0), (1, 1), (2, 2)), "of the polygon meet"),
        (lambda: LShape(-1), "size=-1: give a positive number"),
        (lambda: Disk() | Ball(), "combine domains of the same coordinates"),
        (lambda: Disk() & Disk((3, 0)), "is empty: the domains do not overlap"),
        (lambda: (Disk() - Disk(radius=2)).measure, "is empty, or smaller than can be seen"),
        (lambda: Disk() * Disk(), "both have the coordinate 'x'"),
    ],
)
def test_wrong_domains_are_refused(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        wrong()


def test_a_box_knows_its_coordinates() -> None:
    box = Box(x=(-1, 2), y=(0, 1), t=(0, 5))
    assert (box.names, box.lower, box.upper) == (("x", "y", "t"), (-1.0, 0.0, 0.0), (2.0, 1.0, 5.0))
    assert (box.dimension, box.time, box.space) == (3, "t", ("x", "y"))
    assert box.lengths == (3.0, 1.0, 5.0)
    assert repr(box) == "Box(x=(-1, 2), y=(0, 1), t=(0, 5))"
    assert Box(x=(0, 1)).time is None


def test_a_part_of_the_time() -> None:
    box = Box(x=(-1, 2), t=(1, 5)).until(0.25)
    assert (box.names, box.lower, box.upper) == (("x", "t"), (-1.0, 1.0), (2.0, 2.0))
    assert Box(x=(0, 1)).until(0.5).upper == (1.0,)


@pytest.mark.parametrize(
    ("name", "faces"),
    [
        ("x-", {"x-"}),
        ("y+", {"y+"}),
        ("x", {"x-", "x+"}),
        ("t-", {"t-"}),
        ("all", {"x-", "x+", "y-", "y+"}),
    ],
)
def test_names_of_the_boundary(name: str, faces: set[str]) -> None:
    patches = Box(x=(-1, 2), y=(0, 1), t=(0, 5)).boundary(name)
    assert {patch.name for patch in patches} == faces


def test_patches_map_the_unit_cube(device: torch.device) -> None:
    box = Box(x=(-1, 2), y=(0, 1), t=(0, 5))
    for patch, measure in ((box.interior(), 15.0), (box.boundary("x+")[0], 5.0), (box.boundary("t-")[0], 3.0)):
        assert patch.measure == measure
        unit = torch.rand(20, patch.dimension, dtype=torch.float64, device=device)
        points = patch.place(unit)
        assert points.device.type == device.type
        assert bool(box.contains(points).all())
        if patch.normal is not None:
            normal = points.new_tensor(patch.normal)
            assert float(normal.norm()) == 1.0
            assert not box.contains(points + 1e-6 * normal).any()
    corner = box.interior().place(torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], dtype=torch.float64))
    assert corner.tolist() == [[-1, 0, 0], [2, 1, 5]]


def test_contains() -> None:
    box = Box(x=(0, 1), y=(0, 1))
    points = torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0 + 1e-6, 0.5], [0.5, -1e-6]], dtype=torch.float64)
    assert box.contains(points).tolist() == [True, True, False, False]


@pytest.mark.parametrize("interval", [(1, 1), (2, 1), (0, float("inf")), (float("nan"), 1), (0,)])
def test_wrong_intervals_are_refused(interval: tuple[float, ...]) -> None:
    with pytest.raises(KanpdeError, match=r"the interval x=\(.* is empty or not finite"):
        Box(x=interval)  # type: ignore[arg-type]


def test_a_box_without_intervals_and_unknown_faces_are_refused() -> None:
    with pytest.raises(KanpdeError, match="at least one interval"):
        Box()
    with pytest.raises(KanpdeError, match=r"unknown boundary 'left'.*Known: all, x, x\+, x-"):
        Box(x=(0, 1)).boundary("left")
