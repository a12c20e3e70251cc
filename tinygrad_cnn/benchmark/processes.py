"""The processes of the peers, seen from the one that compares them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from ..errors import BenchmarkError
from .peers import Peer

PACKAGES = Path(__file__).parents[2]
"""Where this package lies; the processes import the same one."""

LIMIT = 900.0
"""Seconds after which an answer is no longer waited for."""


class NotSupported(Exception):
    """The peer says that it cannot do this case."""


def environment(threads: int) -> dict[str, str]:
    """That of a peer's process: ours, with so many threads for every library."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "VECLIB_MAXIMUM")
    counts = {f"{name}_NUM_THREADS": str(threads) for name in names}
    several = str(threads > 1).lower()
    paths = [str(PACKAGES), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        **counts,
        "TINYGRAD_CNN_THREADS": str(threads),
        "NPROC": str(threads),  # XLA's threads
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={several}",
        "PYTHONPATH": os.pathsep.join([path for path in paths if path]),
        "PYTHONWARNINGS": "ignore",
    }


class Process:
    """A running worker for one peer; use it in a `with` block."""

    def __init__(self, peer: Peer, threads: int, limit: float = LIMIT) -> None:
        self.peer, self.limit = peer, limit
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        # -P: a user's random.py in this directory is not NumPy's.
        command = [sys.executable, "-P", "-m", f"{__package__}.worker", peer.load]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment(threads),
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a request.

        Raises NotSupported, and BenchmarkError if there is none in time, or an error.
        """
        assert self.process.stdin and self.process.stdout
        patience = threading.Timer(self.limit, self.process.kill)
        patience.start()
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            patience.cancel()
        if not line:
            raise BenchmarkError(self._end())
        answer: dict[str, Any] = json.loads(line)
        if "unsupported" in answer:
            raise NotSupported(answer["unsupported"])
        if "error" in answer:
            raise BenchmarkError(answer["error"])
        return answer

    def _end(self) -> str:
        """Why the process has ended: the last line that it wrote."""
        status = self.process.wait()
        self.errors.seek(0)
        lines = [line for line in self.errors.read().splitlines() if line.strip()]
        if status == -9 and not lines:
            return f"no answer after {self.limit:.0f} s, or memory has run out"
        return f"its process ended with status {status}: {''.join(lines[-1:])[:200]}"
