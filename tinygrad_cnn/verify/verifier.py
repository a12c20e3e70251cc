"""`verify` and `verify_pair`: from whatever the user has to a report on its gradients."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..errors import ArgumentError
from .check import Checker, Settings, cotangents_for
from .difference import usual_step
from .frameworks import builder_for
from .frameworks.base import FrameworkSubject
from .handwritten.description import Description
from .handwritten.foreign import ForeignError, failed
from .handwritten.pair import subject_of
from .locate import add_diagnoses, find_cut, find_first_wrong
from .report import Report, TensorReport
from .subject import Array, Subject, TensorSubject, leaf_of
from .targets import Build, build_subject, builder

Progress = Callable[[str, int, int], None]
"""Told which tensor comes next, how many are done, and of how many."""


def verify(
    target: Any,
    inputs: Any = None,
    *,
    loss: Callable[..., Any] | None = None,
    labels: Any = None,
    order: int = 1,
    only: str | Sequence[str] | None = None,
    dtype: Any = np.float64,
    step: float | None = None,
    rtol: float | None = None,
    full: int = 1024,
    sample: int = 256,
    seed: int = 0,
    locate: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Check the gradients of target, with respect to every input and named parameter.

    target: a function of Tensors; a Module; or a Tensor already computed, such as a loss
    (its leaves are the inputs; a dict as `inputs` names them). Or PyTorch's: a module, a
    function of its tensors, an autograd.Function (the class); or a function of JAX arrays.
    inputs: a Tensor or an array, or several in a tuple, or in a dict by name; floating ones
    are checked, others passed on. The check computes on copies in `dtype`, float64.
    loss, labels: what is checked is loss(output), or loss(output, labels) if labels are
    given; loss is by default the target's attribute `loss`, else cross_entropy.

    The analytic gradient of Σ v y, with random v, is compared with central differences of
    the first step `step` (u^⅓ of the dtype), within rtol (1e-6 in float64, 1e-3 in float32)
    of the entry plus twice the estimated error of the difference. Tensors of up to `full`
    entries are checked entry by entry; of a larger one `sample` entries, and all in 64
    random sums, and again entry by entry whatever a sum throws doubt on. Kinks are listed
    and do not count. order=2 checks the gradient of the gradient as well. only: names of
    the tensors to check. With `locate`, the first wrong operation is looked for.
    progress: called before each tensor with its name, how many are done, and of how many.

    Raises ArgumentError for a target, inputs or names that do not fit. A gradient that is
    wrong raises nothing: the report is false.
    """
    start = time.perf_counter()
    if order not in (1, 2):
        raise ArgumentError(f"order is 1 or 2, got {order!r}")
    dtype = np.dtype(dtype)
    theirs = builder_for(target, inputs, loss, labels)
    if theirs is None:
        build = builder(target, inputs, loss, labels, sys._getframe(1).f_locals)
    elif order == 1:
        build = theirs(target, inputs, loss, labels)
    else:
        raise ArgumentError("order=2 is for functions and modules of this package")
    settings = Settings(
        step=usual_step(dtype) if step is None else step,
        full=full,
        sample=sample,
        rtol=rtol or (1e-6 if dtype == np.float64 else 1e-3),
        unclear=1e-3 if dtype == np.float64 else 0.1,
        seed=seed,
    )
    subject = build_subject(build, dtype)
    report = _report(subject, settings, only, locate, progress)
    if isinstance(subject, FrameworkSubject):
        report.notes = subject.notes + report.notes
    if order == 2 and report and isinstance(subject, TensorSubject):
        second = gradient_of(subject, seed)
        more = _report(second, settings, only, locate, progress)
        report.tensors += [
            replace(t, name=f"{t.name} (second order)") for t in more.tensors
        ]
        report.culprit, report.runs = more.culprit, report.runs + more.runs
        report.notes += [note for note in more.notes if note not in report.notes]
    _compare_precision(report, build, subject, seed)
    report.seconds = time.perf_counter() - start
    return report


def verify_pair(
    forward: Any,
    backward: Callable[..., Any] | None = None,
    inputs: Any = None,
    *,
    params: Mapping[str, str] | None = None,
    step: float | None = None,
    rtol: float = 1e-6,
    full: int = 1024,
    sample: int = 256,
    only: str | Sequence[str] | None = None,
    seed: int = 0,
    name: str | None = None,
    description: Any = None,
    progress: Progress | None = None,
) -> Report:
    """Check gradients written by hand in NumPy: two functions, or a layer object.

    verify_pair(forward, backward, inputs): forward(*inputs) gives the output (or a tuple);
    backward(g, *inputs) the gradient of Σ g y: one, or a tuple in the inputs' order.
    forward may return (y, cache) for a backward(g, cache). The derivative of a loss, a
    number, may do without g.
    verify_pair(layer, inputs=x): layer.forward(x), then layer.backward(g) returns the
    gradient of x (or backprop, forward_prop, …). Parameters are the floating arrays that
    the layer has before forward, in its attributes, lists, dicts and sub-layers. The
    gradient of W is in dW, grad_W, W_grad, …, in `grads`, or where params={"W": "dW"}
    says (then only those are checked); or it is returned after that of x; or it is the
    update of a backward(g, learning_rate) at the rate 1. Other styles, and what
    `description` may say of code that cannot be read by its names:
    `handwritten.description.Description`. What is not found "could not be read", and its
    report says what to add.

    inputs, only, step, rtol, full, sample, seed, progress: as for `verify`.
    Everything runs in float64, on copies, from the same random numbers. Parameters that
    are all zero or all one are drawn anew, since mistakes hide there. Branches of foreign
    code cannot be seen; a kink is known by a slope that jumps and does not close as the
    step shrinks.

    Raises ArgumentError for what does not fit together. An exception in the code under
    test is a finding: the report is false and names the line.
    """
    usual = type(forward).__name__ if backward is None else "forward"
    title = name or str(getattr(forward, "__name__", usual))
    said = Description.of(description)
    options: dict[str, Any] = {
        "step": step or said.step,
        "rtol": said.rtol or rtol,
        "full": full,
        "sample": sample,
    }
    try:
        subject = subject_of(title, forward, backward, inputs, params, said)
        return verify_code(subject, only=only, seed=seed, progress=progress, **options)
    except ForeignError as error:
        return failed(title, error)


def verify_code(
    subject: Subject,
    *,
    step: float | None = None,
    rtol: float = 1e-6,
    full: int = 1024,
    sample: int = 256,
    only: str | Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """The report on somebody's code that has been read; the options are `verify_pair`'s."""
    start = time.perf_counter()
    settings = Settings(
        step=step or usual_step(np.dtype(np.float64)),
        full=full,
        sample=sample,
        rtol=rtol,
        seed=seed,
    )
    try:
        asked = [only] if isinstance(only, str) else only
        unread = [t for t in subject.unread if asked is None or t.name in asked]
        if asked is not None:
            asked = [name for name in asked if name not in {t.name for t in unread}]
        report = _report(subject, settings, asked, False, progress)
        report.notes += subject.notes
        report.tensors += unread
    except ForeignError as error:
        report = failed(subject.name, error)
    report.seconds = time.perf_counter() - start
    return report


def _report(
    subject: Subject,
    settings: Settings,
    only: str | Sequence[str] | None,
    locate: bool,
    progress: Progress | None,
) -> Report:
    """The reports on these tensors, with the culprit and a diagnosis of what is wrong."""
    names = _choose(subject, only)
    with np.errstate(all="ignore"):
        checker = Checker(subject, settings)
        report = Report(subject.name, [], seed=settings.seed)
        for done, name in enumerate(names):
            if progress:
                progress(name, done, len(names))
            report.tensors.append(checker.report(name))
        wrong = [t for t in report.tensors if t.is_wrong]
        if wrong and locate:
            report.culprit = find_first_wrong(subject, settings)
            if report.culprit is None:
                report.notes += _explain_between(subject, wrong)
        if wrong and report.culprit is None:
            with suppress(ForeignError):  # its time is over, say: the verdict stands
                report.tensors = add_diagnoses(checker, report.tensors)
        report.runs = checker.differences.runs
        report.notes += checker.notes
    return report


def _explain_between(subject: Subject, wrong: Sequence[TensorReport]) -> list[str]:
    """Why a gradient is wrong though each operation alone is right."""
    if not isinstance(subject, TensorSubject):
        return []
    for tensor in wrong:
        record = find_cut(subject, tensor.name)
        if record is not None:
            return [
                f"{record} takes as a constant what depends on {tensor.name}: a detach(), "
                ".data, item(), numpy() or no_grad() on the way lets no gradient pass"
            ]
    return [
        "each operation alone is right: the gradient is lost or changed between them (by a "
        "hook, or a value that the graph does not see)"
    ]


def gradient_of(subject: TensorSubject, seed: int) -> TensorSubject:
    """The gradient of a subject, as a function of the same tensors and of the cotangent."""
    rng = np.random.default_rng(seed)
    weights = {
        f"g{i or ''}": leaf_of(rng.uniform(0.5, 1.5, y.shape), y.dtype)
        for i, y in enumerate(subject.outputs())
    }

    def gradient() -> list[Tensor]:
        found = subject.differentiate(weights.values(), create_graph=True)
        return [d for d in found if d is not None]

    name = f"{subject.name}, second order"
    return TensorSubject(name, gradient, subject.leaves | weights, subject.modules)


def _compare_precision(
    report: Report, build: Build, subject: Subject, seed: int
) -> None:
    """Note how far the gradients in the user's own float32 are from those checked."""
    checked = next(iter(subject.arrays.values())).dtype
    others = {a.dtype for a in build(None).arrays.values()} - {checked}
    if not others:
        return
    lowest = min(others, key=lambda d: d.itemsize)
    report.title += f" (checked on a {checked} copy of {lowest})"
    try:
        with np.errstate(all="ignore"):
            twin = build(lowest)
            high, low = [_gradients(s, seed) for s in (subject, twin)]
            if not _agree(subject.run().outputs, twin.run().outputs):
                return  # it draws other random numbers, say
    except Exception:  # code that cannot compute in float32 is right all the same
        return
    for i, tensor in enumerate(report.tensors):
        a, b = high.get(tensor.name), low.get(tensor.name)
        if a is not None and b is not None and a.shape == b.shape and a.size:
            scale, off = float(np.max(np.abs(a))), float(np.max(np.abs(a - b)))
            report.tensors[i] = replace(tensor, low_precision=off / (scale or 1.0))


def _agree(high: Sequence[Array], low: Sequence[Array]) -> bool:
    """Whether these are the same outputs, as exact as float32 may be."""
    return all(
        np.max(np.abs(a - b), initial=0) <= 0.01 * np.max(np.abs(a), initial=0)
        for a, b in zip(high, low, strict=True)
    )


def _gradients(subject: Subject, seed: int) -> dict[str, Array | None]:
    outputs = subject.run().outputs
    return subject.gradients(cotangents_for(outputs, np.random.default_rng(seed)))


def _choose(subject: Subject, only: str | Sequence[str] | None) -> list[str]:
    if only is None:
        return list(subject.arrays)
    names = [only] if isinstance(only, str) else list(only)
    unknown = [name for name in names if name not in subject.arrays]
    if unknown:
        raise ArgumentError(
            f"there is no {', '.join(unknown)} to check; there are "
            f"{', '.join(subject.arrays)}"
        )
    return names
