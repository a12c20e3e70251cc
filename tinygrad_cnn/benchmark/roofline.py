"""What the machine can do at most: multiply-adds, and bytes to and from memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

SIDE = 1536
"""Of the square matrices, float32."""
NUMBERS = 1 << 23
"""float32 in each of the three arrays that go by memory: 32 MiB, more than caches hold."""


@dataclass(frozen=True)
class Roofline:
    """Single-precision multiply-adds, and bytes read or written, per second."""

    multiply_adds: float
    bytes: float
    threads: int

    def seconds(self, multiply_adds: float, moved: float) -> float:
        """The least time for so many multiply-adds and so many bytes at once."""
        return max(multiply_adds / self.multiply_adds, moved / self.bytes)


def measure(
    threads: int, side: int = SIDE, numbers: int = NUMBERS, runs: int = 7
) -> Roofline:
    """The fastest of several runs of each.

    The matrix product uses the threads that NumPy's BLAS was given when it was loaded.
    """
    a, b = np.random.default_rng(0).random((2, side, side), dtype=np.float32)
    product = np.empty_like(a)
    rate = side**3 / fastest(lambda: np.matmul(a, b, out=product), runs)
    return Roofline(rate, memory_rate(threads, numbers, runs), threads)


def memory_rate(threads: int, numbers: int, runs: int) -> float:
    """Bytes per second of c = a + b, two arrays read and one written.

    Each thread adds its part; NumPy lets the others run meanwhile.
    """
    a, b, c = (np.ones(numbers, np.float32) for _ in range(3))
    bounds = np.linspace(0, numbers, threads + 1).astype(int)
    parts = [slice(*pair) for pair in pairwise(bounds)]

    def add(part: slice) -> None:
        np.add(a[part], b[part], out=c[part])

    with ThreadPoolExecutor(threads) as pool:
        return 3 * a.nbytes / fastest(lambda: list(pool.map(add, parts)), runs)


def fastest(run: Callable[[], Any], runs: int) -> float:
    """Seconds of the fastest run, after one that is not timed."""
    run()
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)
