"""Boxes: names of faces, patches that keep measure, normals, and what is refused."""

import pytest
import torch

from kanpde import Box, KanpdeError


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
