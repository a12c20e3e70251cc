"""Ctrl-C and SIGTERM, at moments when nothing is lost by them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Ctrl-C in the block takes effect at its end; a second one at once."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    pending: list[Any] = []

    def wait(*signal_and_frame: Any) -> None:
        pending.append(signal_and_frame)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pending and callable(before):
        before(*pending[0])


@contextmanager
def terminated_like_ctrl_c() -> Iterator[None]:
    """In the block SIGTERM, by which a cluster stops a run, does what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[bool] = []

    def terminate(*_: Any) -> None:
        asked.append(True)
        signal.raise_signal(signal.SIGINT)

    def stop_if_asked(*_: Any) -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    # A shell lets what it starts in the background ignore Ctrl-C.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, stop_if_asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
