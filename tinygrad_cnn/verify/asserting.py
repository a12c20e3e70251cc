"""`assert_gradients`: the check of a gradient as one line of somebody's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import WrongGradientError
from ..nn import Module
from .handwritten.conventions import methods_of
from .report import Report
from .verifier import verify, verify_pair


def assert_gradients(
    target: Any,
    inputs: Any = None,
    *,
    backward: Callable[..., Any] | None = None,
    **options: Any,
) -> None:
    """Raise WrongGradientError, an AssertionError, unless all gradients are right.

    target, inputs, options: as for `verify`: functions, modules and results of this
    package, of PyTorch and of JAX. With `backward`, and for a layer object written in
    NumPy, as for `verify_pair`.

    The message names the tensor, its worst entry, what the mistake looks like, and where
    the first wrong operation is. What could not be decided is no success either.
    """
    __tracebackhide__ = True  # pytest shows the test that called
    by_hand = backward is not None or _is_by_hand(target)
    if by_hand:
        report = verify_pair(target, backward, inputs, **options)
    else:
        report = verify(target, inputs, **options)
    if not report:
        raise WrongGradientError(describe(report))


def _is_by_hand(target: Any) -> bool:
    """Whether it is an object with methods forward and backward, and no framework's."""
    return not isinstance(target, type | Module) and methods_of(target) is not None


def describe(report: Report) -> str:
    """What is not right, in a few lines."""
    bad = [tensor for tensor in report.tensors if not tensor]
    if not bad:
        return report.summary
    first, *others = bad
    lines = [f"gradient of {first.name} in {report.title}: {first.verdict}"]
    lines += first.details()[:2]
    culprit = report.culprit
    if culprit is not None:
        wrong = next(tensor for tensor in culprit.reports if tensor.is_wrong)
        lines.append(f"the first wrong operation is {culprit}")
        lines += wrong.details()[-1:]
    if others:
        names = [f"{tensor.name} ({tensor.verdict})" for tensor in others]
        lines.append(f"also not right: {', '.join(names)}")
    return "\n  ".join([*lines, *[f"note: {note}" for note in report.notes]])
