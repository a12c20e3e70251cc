"""The pairs of a file that runs in another process, as subjects of a check in this one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, TinygradError
from ..branches import Path
from ..handwritten.foreign import ForeignError
from ..report import TensorReport
from ..subject import Array, Run, Subject
from .messages import Header
from .process import EndedError, Process, text_of

MOST = 1000
"""Pairs of a file, and arrays of a pair."""


class RemoteSubject(Subject):
    """A pair in the other process: the arrays here are copies, and changes are sent."""

    knows_branches = False

    def __init__(
        self,
        process: Process,
        name: str,
        arrays: dict[str, Array],
        told: Header,
    ) -> None:
        super().__init__(name, arrays)
        self.process = process
        self.notes = [text_of(note) for note in _listed(told, "notes")]
        self.changed = [text_of(name) for name in _listed(told, "changed")]
        lines = [line and text_of(line) for line in _listed(told, "lines")]
        self.lines = dict(zip(arrays, lines, strict=False))
        self.unread = [report for t in _listed(told, "unread") for report in _unread(t)]
        self.sent = [array.copy() for array in arrays.values()]
        self.shapes: list[tuple[int, ...]] = []
        """Those of the outputs, known after the first run."""

    def run(self, margins: bool = False) -> Run:
        outputs = [y for y in self._ask("run") if y is not None]
        shapes = [y.shape for y in outputs]
        self.shapes = self.shapes or shapes
        if shapes != self.shapes or not any(y.size for y in outputs):
            raise ForeignError(
                f"forward gave arrays of shape {_list(self.shapes)}, and then of "
                f"{_list(shapes)}"
            )
        return Run(outputs, Path())

    def line_for(self, name: str) -> str | None:
        return self.lines.get(name)

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        claims = self._ask("gradients", cotangents)
        if len(claims) != len(self.arrays):
            raise ForeignError(f"{len(claims)} gradients for {len(self.arrays)} arrays")
        return dict(zip(self.arrays, claims, strict=True))

    def _ask(self, do: str, more: Sequence[Array] = ()) -> list[Array | None]:
        """The arrays of the answer, once the other process has our values."""
        changed, arrays = [], []
        for k, (array, sent) in enumerate(
            zip(self.arrays.values(), self.sent, strict=True)
        ):
            # as bits: NaN is equal to itself, and −0 not to 0
            at = np.flatnonzero(_bits(array) != _bits(sent))
            if at.size:
                values = sent.flat[at] = array.flat[at]
                changed.append(k)
                arrays += [at, values]
        return self.process.ask(do, [*arrays, *more], changed=changed)[1]


Found = tuple[str, RemoteSubject | None, TinygradError | None]
"""What a pair is called, and its subject or why there is none."""


def subjects_in(process: Process) -> Iterator[Found]:
    """Each pair of the file that the process has been given, ready to be checked."""
    for _ in range(MOST):
        header, arrays = process.ask("next")
        if "title" not in header:
            return
        title = text_of(header["title"])[:200]
        if "problem" in header:
            unread = header.get("kind") == "ArgumentError"
            error = (ArgumentError if unread else ForeignError)(
                text_of(header["problem"])
            )
            yield title, None, error
        else:
            yield title, _subject(process, title, header, arrays), None


def _subject(
    process: Process, title: str, header: Header, arrays: list[Array | None]
) -> RemoteSubject:
    names, held = _listed(header, "names"), [a for a in arrays if a is not None]
    by_name = dict(zip([text_of(n)[:200] for n in names], held, strict=False))
    whole = len(by_name) == len(names) == len(arrays) <= MOST
    if not whole or not (by_name or _listed(header, "unread")):
        process.kill()
        process.ended = EndedError("the file writes where our answers go: no arrays")
        raise process.ended
    return RemoteSubject(process, title, by_name, header)


def _listed(told: Header, key: str) -> list[Any]:
    """What was sent as a list, if it is one."""
    found = told.get(key)
    return found[:MOST] if isinstance(found, list) else []


def _unread(told: Any) -> list[TensorReport]:
    """The report on a tensor whose gradient was not found."""
    match told:
        case [name, list(shape), text] if all(type(n) is int for n in shape):
            place = text_of(name)[:200], tuple(shape)
            return [TensorReport(*place, unread=text_of(text))]
    return []


def _bits(array: Array) -> Array:
    return array.view(f"i{array.itemsize}")


def _list(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join([str(list(shape)) for shape in shapes]) or "none"
