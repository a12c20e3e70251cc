"""A process that computes for one peer: `python -m tinygrad_cnn.benchmark.worker PEER`.

PEER is module:function, see `peers.Peer.load`. It answers requests on stdin, a JSON object
on each line, with one on stdout:

    {"do": "build", "case": {...}}      build it: {}
    {"do": "check", "steps": 3}         {"losses", "arrays"}, see `checking.pack`
    {"do": "calibrate", "seconds": s}   find how many steps take s: {"steps"}
    {"do": "time", "steps": n}          {"seconds"} of one step, the mean of n
    {"do": "memory"}                    {"growth", "total"} in bytes, at most at any time
    {"do": "roofline", "runs": n}       what `roofline.measure` finds

or with {"unsupported": why} or {"error": why}. Between requests it waits in a read, which
costs nothing.
"""

from __future__ import annotations

import json
import os
import pkgutil
import sys
import time
from typing import IO, Any

import numpy as np

from .cases import Case
from .checking import pack
from .machine import linux_says
from .peers.base import Program, Unsupported
from .roofline import measure

WARM = 3
"""Steps before calibration, in which libraries compile and choose their algorithms."""


class Worker:
    """The program of a peer; what can be asked is a method."""

    def __init__(self, peer: str) -> None:
        self.peer = peer

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request, with the reason if there is none."""
        try:
            answer: dict[str, Any] = getattr(self, request.pop("do"))(**request)
            return answer
        except Unsupported as error:
            return {"unsupported": str(error)}
        except Exception as error:  # whatever a library does
            text = " ".join(str(error).split())
            return {"error": f"{type(error).__name__}: {text}"[:300]}

    def build(self, case: dict[str, Any]) -> dict[str, Any]:
        """Build the program; the library is there before memory is looked at."""
        build = pkgutil.resolve_name(self.peer)()
        wanted = Case.from_json(case)
        self.before = _memory("VmRSS") or peak_memory()
        self.program: Program = build(wanted)
        return {}

    def check(self, steps: int) -> dict[str, Any]:
        """The loss of each of the first steps, and the arrays after them."""
        losses = []
        for _ in range(steps):
            self.run(1)
            losses.append(self.program.loss())
        return {"losses": losses, "arrays": [pack(a) for a in self.program.arrays()]}

    def calibrate(self, seconds: float) -> dict[str, Any]:
        """How many steps last at least so long, once the program is warm."""
        self.program.checked()
        self.program.begin()
        self.run(WARM)
        steps = 1
        while (taken := self.run(steps)) < seconds:
            wanted = seconds / max(taken, 1e-9) * steps
            steps = max(steps + 1, min(round(1.2 * wanted), 10 * steps))
        return {"steps": steps}

    def time(self, steps: int) -> dict[str, Any]:
        """Seconds of a step; one untimed step first brings threads and caches back."""
        self.program.begin()
        self.run(1)
        return {"seconds": self.run(steps) / steps}

    def memory(self) -> dict[str, Any]:
        """The peak of the process, and how far it lies above what there was before."""
        total = peak_memory()
        return {"growth": max(0, total - self.before), "total": total}

    def roofline(self, runs: int) -> dict[str, Any]:
        """The rates of the machine, the best of so many runs."""
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        return vars(measure(threads, runs=runs))

    def run(self, steps: int) -> float:
        """Seconds of so many steps."""
        step = self.program.step
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return time.perf_counter() - start


def peak_memory() -> int:
    """The most bytes that the process held so far; 0 where the system does not say.

    Linux's `ru_maxrss` begins with that of the parent process, its VmHWM does not.
    """
    if peak := _memory("VmHWM"):
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _memory(name: str) -> int | None:
    """What Linux says of the process, in bytes; it counts in kB."""
    found = linux_says("self/status", name)
    return int(found.split()[0]) * 1024 if found else None


def private_stdout() -> IO[str]:
    """The real stdout for answers alone; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def main(peer: str) -> None:
    """Answer until stdin ends."""
    answers = private_stdout()
    worker = Worker(peer)
    with np.errstate(all="ignore"):
        for line in sys.stdin:
            print(json.dumps(worker.answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
