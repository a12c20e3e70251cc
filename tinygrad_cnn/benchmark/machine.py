"""What a measurement was made on: processor, cores, versions."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .peers import Peer
from .peers.base import version

OTHERS = ("numpy", "numba", "scipy")
"""Distributions that are no peers, but matter for the times of several."""


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name, as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if named:
            return " ".join(named[1].split())
    return platform.processor() or platform.machine()


def describe(peers: Sequence[Peer], threads: int) -> dict[str, Any]:
    """All of it, as JSON values."""
    versions = {name: found for name in OTHERS if (found := version(name))}
    versions |= {p.name: found for p in peers if (found := p.available())}
    return {
        "processor": processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "threads": threads,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }
