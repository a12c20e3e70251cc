"""How much memory this process holds, and held at most, in bytes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def present_memory() -> int:
    """What it holds now; where the system does not say, the most it held so far."""
    return _status("VmRSS") or peak_memory()


def peak_memory() -> int:
    """The most it held at any time; 0 where the system does not say.

    Linux's `ru_maxrss` begins with that of the parent process, its VmHWM does not.
    """
    if peak := _status("VmHWM"):
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int | None:
    if not STATUS.exists():
        return None
    found = re.search(rf"^{name}:\s*(\d+) kB", STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
