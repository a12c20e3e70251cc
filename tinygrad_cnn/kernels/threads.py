"""How many threads compute: one number for the kernels and for BLAS, never both at once.

A thread that waits for work keeps its core busy for a moment, so that two pools at once
slow each other down tenfold. While the compiled kernels serve, BLAS has one thread.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ..errors import ArgumentError, DTypeError

WORTH = 300_000
"""Products for which a second thread is worth the few microseconds of waking it."""


class Pool:
    """How many threads are asked for, and how many the compiled kernels may use."""

    asked = 0
    compiled = 0  # 0: the compiled kernels are not loaded
    lost = False  # this process was forked from one whose pool may have been started


def _checked(number: int, source: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise DTypeError(f"{source}: the number of threads must be an int")
    if number < 1:
        raise ArgumentError(f"{source}: at least one thread is needed, got {number}")
    return number


def cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # the system does not say
        return os.cpu_count() or 1


def get_num_threads() -> int:
    """How many threads compute: TINYGRAD_CNN_THREADS, or one for each core."""
    if not Pool.asked:
        text = os.environ.get("TINYGRAD_CNN_THREADS", "")
        if text and not text.isdigit():
            raise ArgumentError(
                f"TINYGRAD_CNN_THREADS={text!r} is no number of threads"
            )
        Pool.asked = _checked(int(text), "TINYGRAD_CNN_THREADS") if text else cores()
    return Pool.asked


def set_num_threads(number: int) -> None:
    """Let so many threads compute, in the kernels or in BLAS, whichever serves.

    DTypeError for other than an int, ArgumentError below 1. For the compiled kernels more
    than the cores that there are count as that many, and any number as one in a child that
    was forked from a process with Numba.
    """
    Pool.asked = _checked(number, "set_num_threads")
    if Pool.compiled:
        start_pool()
    else:
        blas_on(number)


def start_pool() -> None:
    """Ready Numba's threads: one in a forked child, and where Numba's only pool is its own,
    which is slow and fails when two threads of Python use it.
    """
    # Waiting threads give up their core soon: a pool that spins, as this one does by
    # itself, brings itself to a crawl on a machine that does something else as well.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    import numba

    blas_on(1)
    Pool.compiled = 1
    for pool in () if Pool.lost else ("tbbpool", "omppool"):
        try:
            importlib.import_module(f"numba.np.ufunc.{pool}")
        except ImportError:
            continue
        Pool.compiled = min(get_num_threads(), numba.config.NUMBA_NUM_THREADS)
        numba.set_num_threads(Pool.compiled)
        break


@contextmanager
def one_thread() -> Iterator[None]:
    """While the block runs, calls of kernels are made for the thread that does them."""
    before, Pool.compiled = Pool.compiled, 1
    try:
        yield
    finally:
        Pool.compiled = before


def blas_on(number: int) -> AbstractContextManager[Any]:
    """BLAS has so many threads from now on, or inside of the `with` block if it is used as
    one, if threadpoolctl is there to say so.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(number, user_api="blas")
    return limits


def threads_of_blas() -> None:
    """While NumPy computes alone, BLAS has the threads that were asked for, if any were."""
    if Pool.asked or os.environ.get("TINYGRAD_CNN_THREADS"):
        blas_on(get_num_threads())


def _alone() -> None:
    # The pool's threads do not survive a fork, and waiting for them would end the process.
    Pool.lost = "numba" in sys.modules
    Pool.compiled = min(Pool.compiled, 1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alone)
