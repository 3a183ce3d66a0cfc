"""Time limits for sympy, whose simplifications may take any time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

AGAIN = 0.05
"""Seconds after which an interruption is tried again, should sympy have caught the last one."""


class OutOfTime(BaseException):
    """The limit of `limited` has passed. Not an Exception, which sympy catches in places."""


def interruptible() -> bool:
    """Whether what runs here can be interrupted: in the main thread, where there are interval timers."""
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in what runs inside after so many seconds; an outer limit stays in force.

    Without a limit where nothing can be interrupted (`interruptible`).
    """
    if not interruptible():
        yield
        return
    start = monotonic()
    outer, again = signal.getitimer(signal.ITIMER_REAL)

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    handler = signal.getsignal(signal.SIGALRM)
    inner = min(seconds, outer) if outer else seconds
    signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(inner, 1e-4), AGAIN)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if outer:
            signal.setitimer(signal.ITIMER_REAL, max(outer - (monotonic() - start), 1e-4), again)
