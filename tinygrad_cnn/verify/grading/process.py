"""The process of one file, seen from the one that judges: it asks, and ends it in time."""

from __future__ import annotations

import codecs
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import ModelFileError
from ...output.text import printable
from ..handwritten.foreign import ForeignError
from ..subject import Array
from .messages import GarbledError, Header, receive, send

PACKAGES = Path(__file__).parents[3]
"""Where this package lies; the process imports the same one."""

PRINTED = 2**16
"""Characters of what a file prints that are passed on; the rest is read and dropped."""

HAS_GROUPS = sys.platform != "win32"
"""Whether processes can be ended by groups, and talk through a socket."""

DOING = {
    "open": "it was started",
    "next": "it was read",
    "run": "forward ran",
    "gradients": "backward ran",
}
"""What is asked, and what the process does then."""


class EndedError(ForeignError):
    """The process of the file is there no more: it ended, or time was over."""


class TimeoutEndedError(EndedError):
    """Time was over."""

    outcome = "timed out"


class TeacherError(ModelFileError):
    """The file with the inputs is at fault: then no file can be judged."""


class Process:
    """A process that runs one file; use it in a `with` block.

    timeout: seconds from now until it is ended, with all that it has started. printed:
    called in another thread with what the file prints. `ask` raises EndedError when the
    process is gone, and again from then on; `ended` is that error.
    """

    def __init__(self, timeout: float, printed: Callable[[str], None]) -> None:
        self.timeout, self.printed = timeout, printed
        self.ended: EndedError | None = None
        self.late = False
        self.socket: socket.socket | None = None
        theirs: Any = subprocess.PIPE
        if HAS_GROUPS:
            self.socket, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", f"{__package__}.worker"],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,
        )
        self.requests: Any = self.process.stdin
        self.answers: Any = self.process.stdout
        if self.socket:
            theirs.close()
            self.requests = self.socket.makefile("wb")
            self.answers = self.socket.makefile("rb")
        self.threads = [
            threading.Thread(target=work, daemon=True)
            for work in (self._watch, self._pass_on)
        ]
        for thread in self.threads:
            thread.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: Any) -> None:
        self.kill()
        for thread in self.threads:
            thread.join(1)  # what has left the group may hold the pipe for ever
        for stream in (self.requests, self.answers, self.socket):
            with suppress(OSError):
                if stream:
                    stream.close()

    def ask(
        self, do: str, arrays: Sequence[Array] = (), **request: Any
    ) -> tuple[Header, list[Array | None]]:
        """The answer to a message (see `worker`).

        Raises ForeignError with what the code raised; ModelFileError for what is no fault
        of that code, TeacherError if it was told before anything of the file ran.
        """
        if self.ended:
            raise self.ended
        try:
            send(self.requests, {"do": do, **request}, arrays)
            header, found = receive(self.answers)
        except GarbledError as error:
            self.kill()
            self.ended = EndedError(f"the file writes where our answers go: {error}")
            raise self.ended from None
        except (OSError, EOFError):
            self.ended = self._why_ended(DOING[do])
            raise self.ended from None
        if "error" in header:
            told = text_of(header["error"])
            if header.get("kind") != "ModelFileError":
                raise ForeignError(told)
            raise (TeacherError if do == "open" else ModelFileError)(told)
        return header, found

    def kill(self) -> None:
        """End the process, and all of its group."""
        with suppress(ProcessLookupError, PermissionError):
            if HAS_GROUPS:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()

    def _watch(self) -> None:
        """Wait for its end or for the time to be over, then end the whole group."""
        try:
            self.process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            self.late = True
        self.kill()
        self.process.wait()
        if self.socket:
            with suppress(OSError):  # what has left the group may hold the other end
                self.socket.shutdown(socket.SHUT_RDWR)

    def _pass_on(self) -> None:
        """Read what the file prints for as long as anybody prints."""
        decoder, left = codecs.getincrementaldecoder("utf-8")("replace"), PRINTED
        with self.process.stderr as stream:  # type: ignore[union-attr]
            while chunk := os.read(stream.fileno(), 2**16):
                text = printable(decoder.decode(chunk)) if left else ""
                if len(text) > left:
                    text = f"{text[:left]}\n(the rest is left out)\n"
                left = max(left - len(text), 0)
                if text:
                    self.printed(text)

    def _why_ended(self, doing: str) -> EndedError:
        """Why there is no answer."""
        self.threads[0].join(1)
        if self.threads[0].is_alive():  # it has closed our pipes, and goes on
            self.kill()
            return EndedError(f"the file closed the pipe of our answers while {doing}")
        if self.late:
            return TimeoutEndedError(f"no end after {self.timeout:g} s, while {doing}")
        status = self.process.returncode
        if status >= 0:
            return EndedError(
                f"the file ended the process (status {status}) while {doing}"
            )
        with suppress(ValueError):
            name = signal.Signals(-status).name
            return EndedError(f"the process was ended by {name} while {doing}")
        return EndedError(f"the process was ended by signal {-status} while {doing}")


def text_of(value: Any) -> str:
    """A text from the other side, without what could harm a terminal or a file."""
    return printable(str(value))


def _environment() -> dict[str, str]:
    """Ours, with one thread, since there are other processes, and this package."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
    paths = [str(PACKAGES), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        **{f"{name}_NUM_THREADS": "1" for name in names},
        "PYTHONIOENCODING": "utf-8:replace",
        "PYTHONPATH": os.pathsep.join([path for path in paths if path]),
    }
