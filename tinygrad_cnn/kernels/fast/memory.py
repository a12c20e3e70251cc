"""Memory of one training step is kept for the next."""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_… in malloc.h


def keep_memory(unused: int = 1 << 29, largest: int = 1 << 25) -> None:
    """Let glibc keep up to `unused` bytes of free memory, and pieces up to `largest`.

    By itself it hands large pieces back to the system as soon as they are free, and a
    step spends a third of its time on being given them again, page by page, zeroed. This
    holds for the whole process. Elsewhere than with glibc it does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(TRIM_THRESHOLD, unused)
        libc.mallopt(MMAP_THRESHOLD, largest)
