"""What sympy does is interrupted in time, and nothing is left behind."""

import signal
import threading
from time import monotonic, sleep

import pytest

from kanpde.interpret.limit import OutOfTime, interruptible, limited


def stubborn(seconds: float) -> None:
    """Run for a while, and catch exceptions as sympy does."""
    end = monotonic() + seconds
    while monotonic() < end:
        try:
            sum(range(1000))
        except Exception:
            continue


def test_what_takes_long_is_interrupted() -> None:
    start = monotonic()
    with pytest.raises(OutOfTime), limited(0.1):
        stubborn(10)
    assert monotonic() - start < 5
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_is_done_in_time_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with limited(0.2):
        value = 1
    sleep(0.25)
    assert value == 1
    assert signal.getsignal(signal.SIGALRM) == before


def test_the_outer_limit_stays_in_force() -> None:
    def inside() -> None:
        with pytest.raises(OutOfTime), limited(0.1):
            stubborn(10)
        with limited(10):
            pass
        stubborn(10)

    start = monotonic()
    with pytest.raises(OutOfTime), limited(0.3):
        inside()
    assert monotonic() - start < 5


def test_other_threads_have_no_limit() -> None:
    found = []

    def work() -> None:
        with limited(0.01):
            sleep(0.05)
            found.append(interruptible())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
    assert interruptible()
