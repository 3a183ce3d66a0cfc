"""Settings are checked against the signature that holds their defaults."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from kanpde import KanpdeError
from kanpde.settings import call, coerce, defaults


@dataclass(frozen=True)
class Settings:
    width: Sequence[int] = (3,)
    grid: int | Sequence[int] = 20
    points: int | None = None
    ratio: float = 5.0
    rule: str = "sobol"

    name = "not a setting"


def test_defaults_are_those_of_the_signature() -> None:
    assert defaults(Settings, "settings") == {"width": (3,), "grid": 20, "points": None, "ratio": 5.0, "rule": "sobol"}


def test_call_converts_plain_data() -> None:
    settings = call(Settings, "settings", {"width": [4, 4], "grid": [8, 2], "points": 10, "ratio": 2})
    assert settings == Settings((4, 4), (8, 2), 10, 2.0)
    assert isinstance(settings.ratio, float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 3}, r"settings: width=3 is not of type Sequence\[int\] \(default \(3,\)\)"),
        ({"width": ["a"]}, r"width=\['a'\] is not of type"),
        ({"grid": 2.5}, r"grid=2.5 is not of type int \| Sequence\[int\]"),
        ({"points": "many"}, r"points='many' is not of type int \| None"),
        ({"rul": "gauss"}, r"unknown argument of settings: 'rul': did you mean 'rule'\?"),
    ],
)
def test_wrong_settings(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        call(Settings, "settings", arguments)


def test_other_hints_let_values_pass() -> None:
    assert coerce({"a": 1}, dict[str, int]) == {"a": 1}
    assert coerce(3, Any) == 3
