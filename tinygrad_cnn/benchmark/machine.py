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
    named = " ".join((linux_says("cpuinfo", "model name") or "").split())
    return named or platform.processor() or platform.machine()


def linux_says(file: str, name: str) -> str | None:
    """What stands behind a name in a file of /proc; None where there is no such thing."""
    path = Path("/proc", file)
    text = path.read_text() if path.exists() else ""
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return found and found[1]


def compiled_for() -> dict[str, Any] | None:
    """The processor that kernels are compiled for, by LLVM's name, and the bytes of its
    vectors; None without Numba.

    The system often hides the name, and NUMBA_CPU_NAME may choose another processor.
    """
    try:
        from numba.core.registry import cpu_target
    except ImportError:
        return None
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    return {"processor": name, "vector_bytes": vector_bytes(features.split(","))}


def vector_bytes(features: Sequence[str]) -> int:
    """Of the longest vectors, by LLVM's names of what a processor has."""
    return 64 if "+avx512f" in features else 32 if "+avx2" in features else 16


def describe(peers: Sequence[Peer], threads: int) -> dict[str, Any]:
    """All of it, as JSON values."""
    versions = {name: found for name in OTHERS if (found := version(name))}
    versions |= {p.name: found for p in peers if (found := p.available())}
    return {
        "processor": processor(),
        "compiled_for": compiled_for(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "threads": threads,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }
