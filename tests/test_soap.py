"""SOAP is there where its package is, and says what is missing where it is not; the contract is in test_solver."""

from typing import Any

import pytest

import kanpde.solver.soap as module
from kanpde import SOAP, KanpdeError


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(KanpdeError, match=r"pip install 'kanpde\[soap\]'"):
        SOAP()


@pytest.mark.parametrize("settings", [{"learning_rate": 0.0}, {"frequency": 0}, {"stage_iterations": 0}])
def test_wrong_settings(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(KanpdeError, match=f"solver.{name}=0"):
        SOAP(**settings)
