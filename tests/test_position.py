from typing import Any

import pytest

from kanpde.errors import KanpdeError
from kanpde.floats import TINY
from kanpde.position import Budget


@pytest.mark.parametrize("budget", [{"iterations": 0}, {"seconds": 0.0}, {"seconds": float("nan")}])
def test_a_budget_is_positive(budget: dict[str, Any]) -> None:
    with pytest.raises(KanpdeError, match=rf"budget.{next(iter(budget))}="):
        Budget(**budget)


def test_what_is_left_is_shared_equally() -> None:
    assert Budget(100, 60.0).share(iterations=40, seconds=12.0, trainings=3) == Budget(20, 16.0)


def test_a_spent_budget_leaves_one_iteration() -> None:
    assert Budget(100, 60.0).share(iterations=100, seconds=61.0, trainings=2) == Budget(1, TINY)
