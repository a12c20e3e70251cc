"""Threads that replay the lists of calls of a phase, side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from queue import SimpleQueue

from ..core.recording import quiet
from .lower import Call


class Job:
    """A list of calls for another thread, and how it ended."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls
        self.error: BaseException | None = None
        self.running = threading.Lock()
        self.running.acquire()

    def run(self) -> None:
        """What the thread does."""
        try:
            quiet.run(run_calls, self.calls)
        except BaseException as error:
            self.error = error
        finally:
            self.running.release()

    def wait(self) -> None:
        """Until it is done; raises its error."""
        self.running.acquire()
        if self.error is not None:
            raise self.error


class Crew:
    """The threads; they wait for jobs, and end with the process."""

    jobs: SimpleQueue[Job] = SimpleQueue()
    size = 0

    @classmethod
    def grow(cls, size: int) -> None:
        """So many threads at least."""
        while cls.size < size:
            cls.size += 1
            threading.Thread(target=cls.work, args=(cls.jobs,), daemon=True).start()

    @staticmethod
    def work(jobs: SimpleQueue[Job]) -> None:
        """Do one job after the other."""
        while True:
            jobs.get().run()


def run_calls(calls: Sequence[Call]) -> None:
    """One after the other."""
    for function, arguments in calls:
        function(*arguments)


def run_together(lists: Sequence[Sequence[Call]]) -> None:
    """Each list by a thread of its own, the first by this one."""
    if len(lists) == 1:
        return run_calls(lists[0])
    Crew.grow(len(lists) - 1)
    jobs = [Job(calls) for calls in lists[1:]]
    for job in jobs:
        Crew.jobs.put(job)
    try:
        run_calls(lists[0])
    finally:
        for job in jobs:
            job.wait()


def _alone() -> None:
    # Threads do not survive a fork.
    Crew.jobs, Crew.size = SimpleQueue(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alone)
