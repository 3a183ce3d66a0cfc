"""References that are known by values: functions of arrays, and measurements that were kept back."""

import numpy as np
import pytest
import torch

from kanpde import Box, KanpdeError, Points, Problem, observe
from kanpde.metrics import errors
from kanpde.multiindex import IndexSet
from kanpde.problem import NotKnown
from kanpde.reference import labelled, measured, pointwise

SQUARE = Box(x=(0, 1), y=(0, 2))
AT = Points.of(("x", "y"), torch.tensor([[0.25, 1.0], [0.5, 2.0]], dtype=torch.float64))
VALUES = IndexSet(("x", "y"))


def data() -> Problem:
    return Problem(SQUARE, constraints={"data": observe([[0.5, 1.0]], [1.0])})


def test_a_function_is_called_with_a_column_for_each_coordinate() -> None:
    found = pointwise(lambda x, y: x + 10 * y, np.maximum).taylor(AT, VALUES)
    assert found.tolist() == [[[10.25, 1.0], [20.5, 2.0]]]


def test_it_has_no_derivatives() -> None:
    with pytest.raises(NotKnown, match="known by its values only"):
        pointwise(np.hypot).taylor(AT, IndexSet(("x", "y"), [(1, 0)]))


def test_errors_against_it_are_those_of_values_over_the_box() -> None:
    reference = pointwise(lambda x, y: np.sin(x) * y)
    found = errors(pointwise(lambda x, y: 1.01 * np.sin(x) * y).taylor, data(), reference)
    assert found.rel_l2 == pytest.approx(0.01)
    assert np.isnan(found.rel_h1)
    assert found.note.startswith("no H1 error")


def test_measurements_count_at_their_points_only() -> None:
    reference = measured({"y": [1.0, 2.0], "x": [0.25, 0.5]}, [3.0, 4.0])
    found = errors(pointwise(lambda x, y: np.where(x < 0.3, 3.0, 4.5)).taylor, data(), reference)
    assert found.rel_l2 == pytest.approx(0.5 / 5)


def test_labels_are_compared_with_logits() -> None:
    reference = labelled({"x": [0.25, 0.5, 0.5, 1.0], "y": [1.0, 2.0, 0.5, 0.5]}, [0, 1, 1, 0])
    found = errors(pointwise(lambda x, y: np.where(x < 0.9, 8 * x - 3, 1.0)).taylor, data(), reference)
    means = np.tanh(np.array([-1.0, 1.0, 1.0, 1.0]) / 2)
    assert found.rel_l2 == pytest.approx(np.sqrt(np.mean((means - [-1, 1, 1, -1]) ** 2)))
    entropy = np.mean(np.log1p(np.exp([-1.0, -1.0, -1.0, 1.0])))
    assert found.verdict == f"75.0 % of 4 test points right, cross-entropy {entropy:.2g}"
    points, labels = reference.labels(SQUARE)
    assert points[0].tolist() == [0.25, 1.0]
    assert labels.tolist() == [-1, 1, 1, -1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pointwise, r"pointwise\(\): give a function"),
        (lambda: pointwise(1.0), r"pointwise\(float\): give a function"),
        (lambda: pointwise(np.hypot, error=0), "error=0: give a positive"),
        (lambda: pointwise(lambda x, y: 1.0).taylor(AT, VALUES), r"returned the shape \(\) at 2 points"),
        (lambda: measured({"x": [1.0, 2.0]}, [1.0]), "give arrays of one length"),
        (lambda: measured({}, [1.0]), "give arrays of one length"),
        (lambda: measured({"x": [1.0]}), "give arrays of one length"),
        (lambda: labelled({"x": [1.0, 2.0]}, [1, 2]), "other labels than 0 and 1"),
    ],
)
def test_what_is_no_reference_is_refused(make, message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        make()
