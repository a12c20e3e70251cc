"""The proof that the checker checks: wrong gradients, each of which it has to find.

A mutant is an operation of which one gradient rule is replaced by one that people really
write. `self_test` checks each, and each operation as it is, which must pass.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ...ops.base import Op
from ...output.text import format_columns
from ..check import Checker, Settings
from ..difference import usual_step
from ..locate import add_diagnoses
from ..report import TensorReport
from ..subject import OperationSubject, TensorSubject, leaf_of
from ..verifier import gradient_of
from . import elementwise as elementwise
from . import layers as layers
from . import rearranged as rearranged
from . import reductions as reductions
from . import second_order as second_order
from . import various as various
from .mutant import CATALOGUE, Example, Mutant

__all__ = ["CATALOGUE", "Example", "Mutant", "SelfTest", "self_test"]


@dataclass(frozen=True)
class Tried:
    """A mutant after the check: whether it was found, and what was said of it.

    killed: whether its gradient is reported as wrong. made: the keyword of the mistake.
    kind: that of the diagnosis, "" without one. named: whether the diagnosis is true.
    """

    name: str
    family: str
    killed: bool
    made: str
    kind: str
    sentence: str
    named: bool


@dataclass(frozen=True)
class SelfTest:
    """What the checker said of every mutant and every right operation.

    alarms: the right operations that it called wrong.
    """

    mutants: Sequence[Tried]
    rules: int
    alarms: Sequence[str]
    seconds: float

    def __bool__(self) -> bool:
        return not self.alarms and all(m.killed for m in self.mutants)

    @property
    def summary(self) -> str:
        """The counts, in a line."""
        n, killed = len(self.mutants), sum(m.killed for m in self.mutants)
        named = sum(m.named for m in self.mutants)
        return (
            f"{killed} of {n} killed, hypothesis true for {named}, {len(self.alarms)} "
            f"false alarms on {self.rules} right rules"
        )

    def __str__(self) -> str:
        rows = [["mutant", "killed", "what is said of it"]]
        for m in self.mutants:
            killed = "yes" if m.killed else "NO"
            remark = "" if m.named else f"  [made: {m.made}]"
            said = (m.sentence or "nothing") + remark
            rows.append([m.name, killed, said])
        alarms = [f"false alarm: {name}" for name in self.alarms]
        return "\n".join([*format_columns(rows), *alarms, self.summary])

    def to_dict(self) -> dict[str, object]:
        """All of it as plain values."""
        return {"right": bool(self), "summary": self.summary, **asdict(self)}

    def to_json(self) -> str:
        """The same as a JSON text."""
        return json.dumps(self.to_dict())


def self_test(catalogue: Sequence[Mutant] = tuple(CATALOGUE)) -> SelfTest:
    """Check every mutant, and every operation of the catalogue as it is."""
    start = time.perf_counter()
    with np.errstate(all="ignore"):
        tried = [_try(mutant) for mutant in catalogue]
        rules, alarms = 0, []
        for example, order in dict.fromkeys((m.example, m.order) for m in catalogue):
            for report in _reports(example, example.op, order):
                rules += 1
                if not report:
                    alarms.append(f"{example.op}, {report.name}: {report.verdict}")
    return SelfTest(tried, rules, alarms, time.perf_counter() - start)


def _try(mutant: Mutant) -> Tried:
    op = mutant.operation()
    (report,) = _reports(mutant.example, op, mutant.order, mutant.tensor)
    killed = report.is_wrong
    if mutant.order == 2:  # the gradient itself is right
        killed = killed and all(_reports(mutant.example, op, 1))
    said = report.diagnosis
    kind, sentence = (said.kind, said.sentence) if said else ("", "")
    named = kind == mutant.kind and mutant.says in sentence
    return Tried(
        *(mutant.name, mutant.family, killed, mutant.kind, kind, sentence, named)
    )


def _reports(
    example: Example, op: Op, order: int, only: str | None = None
) -> list[TensorReport]:
    settings = Settings(step=usual_step(np.dtype(np.float64)))
    subject = _subject(example, op)
    if order == 2:
        subject = gradient_of(subject, settings.seed)
    checker = Checker(subject, settings)
    names = subject.arrays if only is None else [only]
    return add_diagnoses(checker, [checker.report(name) for name in names])


def _subject(example: Example, op: Op) -> TensorSubject:
    if example.compose is not None:
        x = leaf_of(example.inputs[0], np.float64)
        function = example.compose(op)
        return TensorSubject(str(op), lambda: function(x), {"x": x})
    checked = [
        i
        for i, x in enumerate(example.inputs)
        if isinstance(x, np.ndarray) and x.dtype.kind == "f"
        if op.input_name(i) not in op.constant
    ]
    return OperationSubject(op, example.inputs, checked)
