"""Several processes that solve one problem together: each holds a share of the points, and sums go over all of them.

`torchrun` starts them; without it there is one, and nothing here has any effect. All processes do the same, with the
same numbers, but for what they compute at their own points. So whatever is a sum over points is summed over processes,
and what may differ, such as the time that has passed, is what it is in the first process, which alone prints and
writes. A process that ends early ends the others: their next exchange fails.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from kanpde.errors import KanpdeError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others: references are solved by the first one alone."""


@dataclass
class _Group:
    """This process: its number among all, and how many of them are on this machine."""

    rank: int = 0
    size: int = 1
    here: int = 1


_group = _Group()


@contextmanager
def together() -> Iterator[None]:
    """Let the processes that torchrun has started solve together in a block; all but the first print nothing there.

    Sums of tensors on a GPU go through NCCL if each process has its own, all others through Gloo. Raises KanpdeError if
    the processes cannot reach each other.
    """
    started = dist.is_available() and dist.is_torchelastic_launched()
    if not started or int(os.environ["WORLD_SIZE"]) == 1 or _group.size > 1:
        yield
        return
    group = _Group(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")))
    backend, devices = "gloo", torch.cuda.device_count()
    if devices:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % devices)
        backend = "cpu:gloo,cuda:nccl" if group.here <= devices else "gloo"
    try:
        dist.init_process_group(backend, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise KanpdeError(f"the {group.size} processes do not reach each other ({first_line(error)}).") from None
    vars(_group).update(vars(group))
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stdout if is_first() else nowhere):
            yield
    finally:
        vars(_group).update(vars(_Group()))
        if backend == "gloo" or sys.exc_info()[0] is None:  # NCCL would wait for what the others still compute
            dist.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """Let this process work in a block as if it were the only one: with all points, and without the others."""
    before = dict(vars(_group))
    vars(_group).update(vars(_Group()))
    try:
        yield
    finally:
        vars(_group).update(before)


def number() -> int:
    """Return the number of this process, from 0."""
    return _group.rank


def count() -> int:
    """Return how many processes solve together."""
    return _group.size


def count_here() -> int:
    """Return how many of them are on this machine."""
    return _group.here


def is_first() -> bool:
    """Return whether this process is the one that prints and writes."""
    return _group.rank == 0


def share(total: int) -> slice:
    """Return which of so many things in a row are this process's; shares differ by one at most."""
    return slice(total * _group.rank // _group.size, total * (_group.rank + 1) // _group.size)


def summed(x: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, the same bits in each of them; x itself may become it."""
    if _group.size == 1:
        return x
    x = x.contiguous()
    _exchange(lambda: dist.all_reduce(x))
    return x


def total(x: float) -> float:
    """Return the sum of a number over all processes."""
    return x if _group.size == 1 else float(summed(torch.tensor([x], dtype=torch.float64)))


def gathered(x: Tensor) -> Tensor:
    """Return the rows (n, ..) of all processes, one process's after the other's, of which each may have another n."""
    if _group.size == 1:
        return x
    counts = torch.zeros(_group.size, dtype=torch.int64)
    counts[_group.rank] = len(x)
    ends = summed(counts).cumsum(0).tolist()
    whole = x.new_zeros(ends[-1], *x.shape[1:])
    whole[ends[_group.rank] - len(x) : ends[_group.rank]] = x
    return summed(whole)


def first(make: Callable[[], T]) -> T:
    """Return what the first process makes, plain data with tensors; the others get it and make nothing."""
    if _group.size == 1:
        return make()
    buffer = BytesIO()
    if is_first():
        torch.save(make(), buffer)
    length = torch.tensor([len(buffer.getvalue())])
    _exchange(lambda: dist.broadcast(length, 0))
    data = torch.frombuffer(bytearray(buffer.getvalue() or int(length)), dtype=torch.uint8)
    _exchange(lambda: dist.broadcast(data, 0))
    return torch.load(BytesIO(data.numpy().tobytes()), map_location="cpu", weights_only=True)


def decided(condition: bool) -> bool:
    """Return whether a condition holds in the first process."""
    if _group.size == 1:
        return condition
    answer = torch.tensor([condition], dtype=torch.float64)
    _exchange(lambda: dist.broadcast(answer, 0))
    return bool(answer)


def _exchange(call: Callable[[], object]) -> None:
    """Exchange something; raise KanpdeError where that fails."""
    try:
        call()
    except RuntimeError as error:
        raise KanpdeError(
            f"process {_group.rank} of {_group.size} cannot go on, since another one has ended or does not answer:"
            f" see what that one printed ({first_line(error)})."
        ) from None


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
