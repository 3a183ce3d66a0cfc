"""One thread, fixed seeds, and every test of the engine on every device that is there."""

import random
from collections.abc import Iterator

import numpy
import pytest
import torch

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KANPDE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def _quick() -> Iterator[None]:
    """Few held-out points, and evaluations that are not timed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kanpde.run.evaluation_seconds", lambda *_: 1.0)
        patch.setattr("kanpde.training_points.HELD_OUT_LEAST", 200)
        yield


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)
