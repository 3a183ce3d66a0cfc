"""Versions and hardware are those of this machine, as plain data."""

import json
import os

import pytest
import torch

import kanpde
from kanpde.environment import Path, environment, memory, processor


def test_what_a_run_works_with_is_plain_data() -> None:
    found = environment(torch.device("cpu"))
    assert json.loads(json.dumps(found)) == found
    assert found["versions"]["kanpde"] == kanpde.__version__
    assert found["versions"]["torch"] == torch.__version__
    assert found["cores"] == os.cpu_count()
    assert found["device"] == "cpu"
    assert found["processor"]
    assert found["memory_gib"] is None or found["memory_gib"] > 0.1


def test_systems_that_do_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(os, "sysconf", refuse)
    assert processor()
    assert memory() is None
