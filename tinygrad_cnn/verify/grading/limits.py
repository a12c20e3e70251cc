"""What the process of somebody's file may use, where the system can limit it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MEMORY = 4 * 2**30
"""Bytes of address space beyond what the process has before the file is read.

Of addresses, for that is what systems can limit: libraries reserve some that they never
use, and 4 GiB leave room for that."""

FILE = 2**30
"""The most bytes of a file that it writes."""

PROCESSES = 200
"""How many processes and threads the user may have more than now; root may have any."""


def limit_process(seconds: float) -> None:
    """Limit this process, and each that it starts; seconds: how long it is to last.

    The processor's time is limited for the case that nobody is left to end the process.
    """
    if resource is None:
        return
    limits = {
        resource.RLIMIT_AS: _address_space() + MEMORY,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(seconds) * (os.cpu_count() or 1) + 10,
        resource.RLIMIT_FSIZE: FILE,
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_NPROC] = _count_tasks() + PROCESSES
        with suppress(OSError):  # if memory runs out, it is this process that ends
            Path("/proc/self/oom_score_adj").write_text("1000")
    for which, most in limits.items():
        _, hard = resource.getrlimit(which)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(ValueError, OSError):  # macOS does not limit the address space
            resource.setrlimit(which, (most, most))


def _address_space() -> int:
    """Bytes of addresses in use; 0 where the system does not say."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def _count_tasks() -> int:
    """How many threads this user's processes have."""
    count, user = 0, os.getuid()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if process.stat().st_uid == user:
                count += len(os.listdir(process / "task"))
    return count
