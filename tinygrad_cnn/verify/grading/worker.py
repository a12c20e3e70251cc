"""The process that runs somebody's file: `python -m tinygrad_cnn.verify.grading.worker`.

It answers the messages on stdin with one each on stdout (`messages`). It only reads and
computes: what it says is judged by the process that asks.

    open       limit this process: {"wanted"}, the pairs that a teacher's file names, each
               with its description's rtol and step; "" is for all others
    next       read on: {"title", "notes", "names", "lines", "changed", "unread"} of a
               pair and its arrays; or {"title", "problem", "kind"}; or {} after the last
    run        the outputs, after these changes to the arrays
    gradients  the claims for the cotangents that follow the changes

or with {"error", "kind"}. Changes are the numbers of arrays; for each the positions of
values and these values lead the arrays of the message.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..handwritten.file import subjects_of, wanted_names
from ..handwritten.foreign import described
from ..handwritten.pair import CodeSubject
from ..subject import Array
from .limits import limit_process
from .messages import FLOATS, POSITIONS, Header, receive, send

LONGEST = 10_000
"""Characters of a text that are sent."""

Answer = tuple[Header, list[Any]]


class Worker:
    """What can be asked is a method: arrays, and what the header says besides."""

    def open(
        self,
        arrays: list[Any],
        file: str,
        inputs: str | None,
        seed: int,
        seconds: float,
    ) -> Answer:
        """Before anything of the file runs."""
        limit_process(seconds)
        teacher = Path(inputs) if inputs else None
        wanted = {
            name: [said.rtol, said.step]
            for name, said in (wanted_names(teacher) if teacher else {}).items()
        }
        self.found = subjects_of(file, teacher, seed)
        return {"wanted": wanted}, []

    def next(self, arrays: list[Any]) -> Answer:
        """Read on to the next pair."""
        found = next(self.found, None)
        if found is None:
            return {}, []
        if found.subject is None:
            return {"title": found.title, **_told(found.problem)}, []
        self.subject: CodeSubject = found.subject
        held = self.subject.arrays
        told = {
            "notes": [note[:LONGEST] for note in self.subject.notes],
            "lines": [self.subject.line_for(name) for name in held],
            "changed": [*self.subject.changed],
            "unread": [[t.name, t.shape, t.unread] for t in self.subject.unread],
        }
        return {"title": found.title, "names": [*held]} | told, [*held.values()]

    def run(self, arrays: list[Any], changed: list[int]) -> Answer:
        """Run forward."""
        self._change(arrays, changed)
        return {}, self.subject.run().outputs

    def gradients(self, arrays: list[Any], changed: list[int]) -> Answer:
        """Run backward."""
        found = self.subject.gradients(self._change(arrays, changed))
        return {}, [found[name] for name in self.subject.arrays]

    def _change(self, arrays: list[Array], changed: list[int]) -> list[Array]:
        """Change the arrays as is said; the other arrays of the message."""
        held = [*self.subject.arrays.values()]
        for k, at, values in zip(changed, arrays[::2], arrays[1::2], strict=False):
            held[k].flat[at] = values
        return arrays[2 * len(changed) :]


def _told(error: BaseException | None) -> Header:
    """What somebody's code raised, in text, even if it does not want to be printed."""
    kind = type(error).__name__
    try:
        known = kind in ("ForeignError", "ArgumentError", "ModelFileError")
        text = str(error) if known or error is None else described(error)
    except BaseException:
        text = f"{kind}, which cannot be printed"
    return {"problem": text[:LONGEST], "kind": kind}


def private_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """stdin and stdout as they were, for messages alone.

    The file reads nothing, and what it prints goes to stderr.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def main() -> None:
    """Answer until nobody asks."""
    requests, answers = private_pipes()
    worker, own = Worker(), os.getpid()
    with np.errstate(all="ignore"):
        while True:
            try:
                header, arrays = receive(requests, (*FLOATS, POSITIONS))
            except EOFError:
                os._exit(0)
            del header["arrays"]
            try:
                answer = getattr(worker, header.pop("do"))(arrays, **header)
            except BaseException as error:  # whatever somebody's code raises
                told = _told(error)
                answer = {"error": told["problem"], "kind": told["kind"]}, []
            if os.getpid() != own:  # somebody's code has forked, and returned twice
                os._exit(0)
            send(answers, *answer)


if __name__ == "__main__":
    main()
