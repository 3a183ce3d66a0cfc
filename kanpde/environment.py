"""What a run works with: versions and hardware."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from kanpde.version import __version__

PACKAGES = ("torch", "numpy", "scipy", "scikit-fem")


def environment(device: torch.device) -> dict[str, Any]:
    """Return versions by name, the operating system, the processor, its cores, the memory in GiB and the GPU."""
    return {
        "versions": {
            "kanpde": __version__,
            "Python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": memory(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def processor() -> str:
    """Return the model of the processor; its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def memory() -> float | None:
    """Return the memory in GiB; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None
