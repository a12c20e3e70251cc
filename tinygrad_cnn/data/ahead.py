"""Items that a thread makes while earlier ones are being used."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

DEPTH = 2
"""How many items at most are made before they are asked for."""


def ahead(items: Iterator[Any]) -> Iterator[Any]:
    """The same items in the same order, made by a thread, in a copy of this context.

    The first is made here, so who wants one pays for one. What the items raise is raised
    in its place among them. The thread ends with the items, or when this iterator is
    closed or forgotten, after the item that it is at; it does not outlive the program.
    """
    yield from itertools.islice(items, 1)
    made: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    room, stop = threading.Semaphore(DEPTH), threading.Event()

    def work() -> None:
        try:
            while room.acquire() and not stop.is_set():
                made.put((True, next(items)))
        except BaseException as error:
            made.put((False, error))

    run = copy_context().run
    thread = threading.Thread(target=run, args=(work,), name="batches", daemon=True)
    thread.start()
    try:
        while True:
            good, item = made.get()
            if not good:
                break
            room.release()
            yield item
    finally:
        stop.set()
        room.release()
        thread.join()
    if not isinstance(item, StopIteration):
        raise item
