"""Threads of PyTorch on the CPU.

Importing this before PyTorch makes waiting OpenMP threads sleep rather than spin. The matrices here are small and
barriers many: where another process takes a core, spinning made a step ten times slower, and sleeping costs nothing
measurable on an idle machine. A user's own OMP_WAIT_POLICY is left alone.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SMALL = 1000
"""Parameters up to which one thread is as fast as many: the matrices of a step are then smaller than its barriers."""


def default_threads(parameters: int, processes: int = 1) -> int:
    """Return the number of threads for a network of so many parameters: one, or every core the process may use.

    So many processes share the cores.
    """
    return 1 if parameters <= SMALL else max(1, cores() // processes)


def cores() -> int:
    """Return the number of cores that the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
