"""From somebody's files to reports: one process for each, some of them at a time."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, ModelFileError, TinygradError
from ...output.text import format_plural
from ..handwritten.foreign import failed
from ..report import OUTCOMES, Report, TensorReport
from ..verifier import verify_code
from .process import Process, TeacherError
from .remote import RemoteSubject, subjects_in


@dataclass
class Graded:
    """A file, the reports on its pairs, what it printed, and the seconds that it took."""

    file: str
    reports: list[Report] = field(default_factory=list)
    printed: str = ""
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.outcome == "right"

    @property
    def outcome(self) -> str:
        """That of the pair that is worst, by the order of `report.OUTCOMES`."""
        found = [report.outcome for report in self.reports]
        return min(found, key=OUTCOMES.index, default="could not read")

    @property
    def gradients(self) -> tuple[int, int]:
        """How many gradients are right, and of how many."""
        tensors = [t for report in self.reports for t in report.tensors]
        return sum(map(bool, tensors)), len(tensors)

    @property
    def what(self) -> str:
        """What is not right, in a few words: "Conv.w: sign; 2 more"."""
        bad = [(r, t) for r in self.reports for t in r.tensors if not t]
        bad.sort(key=lambda pair: OUTCOMES.index(pair[0].outcome))
        if not bad:
            return ""
        first = ": ".join(filter(None, [place(*bad[0]), _words(bad[0][1])]))
        return first + (f"; {len(bad) - 1} more" if bad[1:] else "")

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        found = {"file": self.file, "outcome": self.outcome, "what": self.what}
        reports = [json.loads(report.to_json()) for report in self.reports]
        return found | {"seconds": self.seconds, "reports": reports}


def _limits(wanted: Any) -> dict[str, dict[str, float]]:
    """The rtol and the step that a teacher says for each pair, told before it runs."""
    return {
        str(name): {
            key: value
            for key, value in zip(("rtol", "step"), said, strict=True)
            if isinstance(value, float)
        }
        for name, said in wanted.items()
    }


def place(report: Report, tensor: TensorReport) -> str:
    """The pair and its tensor: Conv.w; or what of that is known."""
    pair = report.title.partition(":")[2]
    named = [pair] * bool(pair) + [tensor.name] * (
        tensor.shape != () or tensor.checked > 0
    )
    return ".".join(named)


def _words(tensor: TensorReport) -> str:
    if tensor.diagnosis:
        return tensor.diagnosis.kind
    why = tensor.failure or tensor.unread
    return why or next(iter(tensor.details()), tensor.verdict).partition(";")[0]


def summary_of(graded: Sequence[Graded]) -> str:
    """30 files: 21 right, 5 wrong, 4 timed out."""
    found = Counter([one.outcome for one in graded])
    counts = [f"{found[k]} {k}" for k in ("right", *OUTCOMES[:-1]) if found[k]]
    return f"{format_plural(len(graded), 'file')}: {', '.join(counts) or 'none'}"


class Grader:
    """Runs files in processes of their own, and judges what they say.

    inputs: a teacher's file; timeout: seconds that a file has in all; seed: of what is
    drawn; options: more of `verify_code`'s, for every pair.
    """

    def __init__(
        self, inputs: Path | None, timeout: float, seed: int = 0, **options: Any
    ) -> None:
        self.inputs, self.timeout, self.seed = inputs, timeout, seed
        self.options = options
        self.running: list[Process] = []
        self.stopped = False

    def reports(self, spec: str, printed: Callable[[str], None]) -> Iterator[Report]:
        """The report on each pair of a file, or on the one of "FILE.py:NAME".

        printed: called in another thread with what the file prints. Whatever the file does
        ends in a report; ModelFileError is raised if it or the teacher's cannot be read.
        """
        with Process(self.timeout, printed) as process:
            self.running.append(process)
            if self.stopped:
                process.kill()
            try:
                yield from self._judge(process, spec)
            finally:
                self.running.remove(process)

    def _judge(self, process: Process, spec: str) -> Iterator[Report]:
        name, titles = Path(spec.partition(":")[0]).name, []
        inputs = str(self.inputs) if self.inputs else None
        asked: dict[str, Any] = {"seed": self.seed, "seconds": self.timeout}
        try:
            header, _ = process.ask("open", file=spec, inputs=inputs, **asked)
            wanted = _limits(header.get("wanted"))
            for title, subject, problem in subjects_in(process):
                titles.append(title)
                pair = title.partition(":")[2].partition(",")[0]
                said = wanted.get(pair, wanted.get("", {}))
                yield self._report(subject, said) if subject else failed(title, problem)
                if process.ended:
                    return
        except ModelFileError:
            raise
        except TinygradError as error:
            yield failed(name, error)
            return
        # the teacher's names were told before anything of the file ran
        given = [title.partition(", point ")[0] for title in titles]
        missing = [n for n in wanted if n and f"{name}:{n}" not in given]
        if missing and name not in titles and ":" not in spec:
            text = f"nothing was said of {', '.join(missing)}"
            yield failed(name, ArgumentError(text))

    def _report(self, subject: RemoteSubject, said: dict[str, float]) -> Report:
        """The verdict on one pair; said: the teacher's rtol and step for it."""
        given = {k: v for k, v in self.options.items() if v is not None}
        try:
            report = verify_code(subject, seed=self.seed, **said | given)
        except ArgumentError as error:
            return failed(subject.name, error)
        except Exception as error:  # values that nobody has thought of
            text = f"it could not be judged: {type(error).__name__}: {error}"
            return failed(subject.name, ArgumentError(text))
        ended = subject.process.ended
        if ended and all(t.failure is not None for t in report.tensors):
            return failed(subject.name, ended)
        if ended:
            report.notes.append(f"no more is told of it: {ended}")
        return report

    def grade(self, path: Path, label: str) -> Graded:
        """All of one student's file; label: what the file is called.

        Raises TeacherError, for then nobody's file can be judged.
        """
        start, graded = time.monotonic(), Graded(label)
        printed: list[str] = []
        try:
            for report in self.reports(str(path), printed.append):
                # a title is what the file says: it must not be another's
                pair = report.title.removeprefix(path.name).removeprefix(":")
                report.title = f"{label}:{pair}" if pair else label
                graded.reports.append(report)
        except TeacherError:
            raise
        except ModelFileError as error:
            graded.reports.append(failed(label, error))
        graded.printed = "".join(printed)
        graded.seconds = time.monotonic() - start
        return graded

    def grade_all(
        self, files: dict[str, Path], jobs: int, done: Callable[[Graded], None]
    ) -> list[Graded]:
        """All files, by their labels, so many at a time; done: told of each at its end."""
        with ThreadPoolExecutor(jobs) as pool:
            try:
                tasks = {
                    pool.submit(self.grade, path, label): label
                    for label, path in files.items()
                }
                for task in as_completed(tasks):
                    done(task.result())
            except BaseException:  # Ctrl-C
                self.stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                for process in [*self.running]:
                    process.kill()
                raise
        found = {task.result().file: task.result() for task in tasks}
        return [found[label] for label in files]
