"""Which operation of a network is wrong: each is checked alone, with its real inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..core.engine import Record, Tensor
from ..core.replaying import nodes_of, replay
from ..errors import TinygradError
from .check import Checker, Settings
from .diagnosis import diagnose
from .difference import with_values
from .frameworks.base import FrameworkSubject, Part
from .report import Culprit, TensorReport
from .subject import OperationSubject, Subject, TensorSubject


def find_first_wrong(subject: Subject, settings: Settings) -> Culprit | None:
    """The first operation, in the order of the forward pass, whose gradient is wrong.

    Each is given the inputs that it has in the network, and a random cotangent of its own.
    """
    light = replace(settings, full=256, sample=48, blocks=16)
    with np.errstate(all="ignore"):
        for part in parts_of(subject):
            reports = _check(part.subject, light)
            if any(r.is_wrong for r in reports):
                return Culprit(*part[:3], tuple(reports))
    return None


def parts_of(subject: Subject) -> Iterator[Part]:
    """The operations of a subject; of another framework's, its modules and functions."""
    if isinstance(subject, FrameworkSubject):
        yield from subject.parts()
    elif isinstance(subject, TensorSubject):
        leaves = {leaf: leaf._array for leaf in subject.leaves.values()}
        for record, op, inputs, _ in replay(nodes_of(subject.outputs()), leaves):
            asked = [i for i, parent in enumerate(record.parents) if parent is not None]
            alone = OperationSubject(op, inputs, asked)
            yield Part(str(op), record.module, str(record.where), alone)


def _check(subject: Subject, settings: Settings) -> list[TensorReport]:
    """The reports on one operation alone, each mistake with its diagnosis."""
    try:
        checker = Checker(subject, settings)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        failure = f"{type(error).__name__}: {error}"
        arrays = subject.arrays.items()
        return [TensorReport(name, x.shape, failure=failure) for name, x in arrays]
    return add_diagnoses(checker, [checker.report(name) for name in subject.arrays])


def add_diagnoses(checker: Checker, reports: list[TensorReport]) -> list[TensorReport]:
    """The same reports; a wrong gradient with what it looks like."""
    return [
        replace(r, diagnosis=diagnose(checker, r)) if r.is_wrong else r for r in reports
    ]


def find_cut(subject: TensorSubject, name: str) -> Record | None:
    """The first record that takes as a constant what in truth depends on this tensor.

    So it is after detach(), .data, item(), numpy() or no_grad(): no gradient passes.
    """
    array = subject.arrays[name]
    others = array + np.random.default_rng(0).uniform(0.5, 1, array.shape) * 1e-3
    before = nodes_of(subject.outputs())
    try:
        found = with_values(array, slice(None), others, subject.outputs)
    except TinygradError:
        return None
    for old, new in zip(before, nodes_of(found), strict=False):
        if isinstance(old, Tensor) or isinstance(new, Tensor):
            continue
        for a, b in zip(old.constants, new.constants, strict=False):
            if isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=True):
                return old
    return None
