"""What a wrong gradient looks like: hypotheses, tried by numbers until one explains it.

The true gradient of entry k is n_k = Σ_i J_ik g_i, with J from differences of the outputs.
A hypothesis is another combination of the same numbers (only the last image's i; the last i
instead of the sum; n rotated; …), or the true gradient of another computation (the kernel
rotated, the stride 1). If that equals what the code claims, and differs from n, the mistake
is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .alternatives import of_operation, of_other_inputs
from .check import Checker
from .difference import usual_step
from .factors import meaning
from .report import Diagnosis, TensorReport
from .subject import Array

MOST = 512
"""Entries that are looked at; of a larger tensor a part, which cannot be turned around."""


class Hypothesis(NamedTuple):
    """A kind of mistake, how to say it, and what the gradient would be."""

    kind: str
    sentence: str
    gradient: Array


@dataclass
class Evidence:
    """What is known about a wrong gradient, at some entries of its tensor."""

    shape: tuple[int, ...]
    entries: Array
    claimed: Array
    contributions: Array
    """J_ik g_i: one row for each entry k, one column for each output i."""
    diagonal: Array | None
    """J_kk g_k, where there are as many outputs as entries."""
    smooth: Array
    """Entries where no branch changed: the others prove nothing."""
    output: Array
    cotangent: Array

    @property
    def true(self) -> Array:
        """The true gradient at these entries."""
        return self.contributions.sum(axis=1)

    @property
    def whole(self) -> bool:
        """Whether these are all the entries, in order."""
        return self.entries.size == int(np.prod(self.shape))

    def explains(self, gradient: Array) -> bool:
        """Whether this is what was claimed, and not what is true."""
        return self._equal(gradient, self.claimed) and not self._equal(
            gradient, self.true
        )

    def _equal(self, a: Array, b: Array) -> bool:
        scale = float(np.max(np.abs(self.true), initial=0))
        return bool(np.all(np.abs(a - b)[self.smooth] <= 1e-5 * scale))


def diagnose(checker: Checker, report: TensorReport) -> Diagnosis | None:
    """The hypothesis that explains this report's wrong gradient, if one does."""
    if report.failure is not None:
        return None
    claim = checker.claims[report.name]
    if claim is None:
        return Diagnosis("zero", "it is never computed: no rule, or the graph is cut")
    evidence = gather(checker, report.name, claim)
    if report.claimed_shape is not None:
        found = _misshapen(evidence, claim)
    else:
        found = next(
            (h for h in _hypotheses(evidence, checker, report.name)
             if evidence.explains(h.gradient)),
            None,
        )  # fmt: skip
    if found is None:
        return None
    text = f"it equals {found.sentence}" if found.gradient.size else found.sentence
    return Diagnosis(found.kind, text)


def gather(checker: Checker, name: str, claim: Array) -> Evidence:
    """The Jacobian times the cotangent, entry by entry, at up to MOST entries."""
    subject = checker.subject
    flat = subject.arrays[name].reshape(-1)
    entries = np.arange(flat.size)
    if flat.size > MOST:
        entries = np.sort(np.random.default_rng(0).permutation(flat.size)[:MOST])
    base = subject.run()
    g = np.concatenate([c.reshape(-1) for c in checker.cotangents])
    rows, smooth = [], []
    for k in entries:
        start, sides, width = flat[k], [], 0.0
        h = usual_step(flat.dtype) * max(abs(float(start)), 1.0)
        for sign in (1, -1):
            flat[k] = start + sign * h
            width += sign * float(flat[k] - start)
            sides.append(subject.run())
        flat[k] = start
        up, down = [np.concatenate([y.reshape(-1) for y in s.outputs]) for s in sides]
        rows.append((up - down) / width * g)
        smooth.append(all(side.path.same_as(base.path) for side in sides))
    contributions = np.array(rows)
    square = entries.size == g.size == flat.size
    same = claim.size == flat.size
    return Evidence(
        shape=subject.arrays[name].shape,
        entries=entries,
        claimed=claim.reshape(-1)[entries] if same else claim.reshape(-1),
        contributions=contributions,
        diagonal=np.diagonal(contributions).copy() if square else None,
        smooth=np.array(smooth, bool),
        output=base.outputs[0],
        cotangent=checker.cotangents[0],
    )


def _hypotheses(e: Evidence, checker: Checker, name: str) -> Iterator[Hypothesis]:
    yield Hypothesis("zero", "zero everywhere", np.zeros_like(e.true))
    yield Hypothesis("sign", "the true gradient with the sign flipped", -e.true)
    yield from of_operation(checker, name, e.entries, Hypothesis)
    yield from _parts(e)
    yield from _assigned(e)
    yield from _pointwise(e)
    if e.whole:
        yield from _turned(e)
    yield from _scaled(e, checker, name)
    yield from of_other_inputs(checker, name, e.entries, Hypothesis)


def _scaled(e: Evidence, checker: Checker, name: str) -> Iterator[Hypothesis]:
    true, claimed = e.true[e.smooth], e.claimed[e.smooth]
    square = float(true @ true)
    if square:
        factor = float(claimed @ true) / square
        others = [a.shape for key, a in checker.subject.arrays.items() if key != name]
        text = meaning(factor, e.output.shape, e.shape, others)
        yield Hypothesis("factor", f"the true gradient times {text}", factor * e.true)


AXES = {
    4: ("image", "channel or filter", "row", "column"),
    3: ("channel or filter", "row", "column"),
    2: ("image", "feature"),
    1: ("entry",),
}


def _parts(e: Evidence) -> Iterator[Hypothesis]:
    """The gradient of a part of the output alone."""
    shape = e.output.shape
    if e.contributions.shape[1] != e.output.size or len(shape) not in AXES:
        return
    by_axis = e.contributions.reshape(-1, *shape)
    names = AXES[len(shape)]
    rest = tuple(range(1, len(shape) + 1))
    for axis, axis_name in enumerate(names):
        if shape[axis] < 2:
            continue
        for which, at in (("last", -1), ("first", 0)):
            part = by_axis.take([at], axis=axis + 1).sum(axis=rest)
            yield Hypothesis(
                f"{which} {axis_name.split()[0]}",
                f"the true gradient of the {which} {axis_name} of the output alone: it is "
                "assigned where it should be accumulated",
                part,
            )
    if len(shape) > 2:
        corner = by_axis[:, -1, -1] if len(shape) == 4 else by_axis[:, -1]
        yield Hypothesis(
            "last image" if len(shape) == 4 else "last channel",
            "the true gradient of the last image and the last filter alone: it is "
            "assigned inside both loops",
            corner.reshape(len(corner), -1).sum(axis=1),
        )


def _assigned(e: Evidence) -> Iterator[Hypothesis]:
    """One contribution of each entry, where all of them should be added up."""
    shape = e.output.shape
    if e.contributions.shape[1] != e.output.size:
        return
    loops = {"": (1, -1)}
    if len(shape) > 2:
        loops["of each image and channel "] = (int(np.prod(shape[:-2])), -1)
    for where, split in loops.items():
        parts = e.contributions.reshape(len(e.true), *split)
        for which, order in (("last", slice(None, None, -1)), ("first", slice(None))):
            seen = parts[:, :, order]
            at = np.argmax(seen != 0, axis=2)
            taken = np.take_along_axis(seen, at[..., None], 2).sum(axis=(1, 2))
            yield Hypothesis(
                "assigned",
                f"only the {which} contribution {where}to each entry: it is assigned "
                "where windows overlap or a value is used again, and should be added",
                taken,
            )


def _pointwise(e: Evidence) -> Iterator[Hypothesis]:
    """Combinations of g, the output and the diagonal of the Jacobian, entry by entry."""
    if e.cotangent.shape != e.shape or not e.whole:
        return
    g, y = e.cotangent, e.output
    for axis in range(y.ndim):
        if np.allclose(y.sum(axis=axis), 1) and np.all(y >= 0):
            yield Hypothesis(
                "softmax mean",
                "g · p: the mean Σ g p is not subtracted (softmax)",
                (g * y).reshape(-1),
            )
        if np.allclose(np.exp(y).sum(axis=axis), 1):
            yield Hypothesis(
                "softmax mean",
                "g itself: the term p Σ g is missing (log-softmax)",
                g.reshape(-1),
            )
            p = np.exp(y)
            yield Hypothesis(
                "softmax mean",
                "g − p Σ g p …: the sum is weighted by p, and should not be",
                (g - p * (g * p).sum(axis=axis, keepdims=True)).reshape(-1),
            )
    yield Hypothesis("mask missing", "g itself: the mask is missing", g.reshape(-1))
    yield from _statistics(e)
    if e.diagonal is not None and not np.allclose(e.diagonal, e.true):
        yield Hypothesis(
            "diagonal",
            "only the diagonal of the Jacobian times g: what each entry does to the other "
            "outputs is missing",
            e.diagonal,
        )


def _statistics(e: Evidence) -> Iterator[Hypothesis]:
    """Batch normalisation with its mean or its variance taken for constants."""
    g, claimed = e.cotangent, e.claimed.reshape(e.shape)
    if g.ndim < 2 or g.size == g.shape[1]:
        return
    axes = (0, *range(2, g.ndim))
    centred = g - g.mean(axis=axes, keepdims=True)
    for what, basis in (("mean and variance", g), ("variance", centred)):
        squares = (basis * basis).sum(axis=axes, keepdims=True)
        ratio = (claimed * basis).sum(axis=axes, keepdims=True) / squares
        if np.ptp(ratio) > 1e-9 * np.max(np.abs(ratio)):
            yield Hypothesis(
                "batch statistics",
                f"the gradient with the batch's {what} taken as constant, as running "
                "statistics are",
                (ratio * basis).reshape(-1),
            )


def _turned(e: Evidence) -> Iterator[Hypothesis]:
    """The right numbers in the wrong places."""
    true = e.true.reshape(e.shape)
    n = true.ndim

    def hypothesis(kind: str, text: str, turned: Array) -> Iterator[Hypothesis]:
        if turned.shape == true.shape:
            yield Hypothesis(kind, text, turned.reshape(-1))

    if n >= 2:
        yield from hypothesis(
            "transposed", "the true gradient transposed", np.swapaxes(true, -1, -2)
        )
        yield from hypothesis(
            "rotated",
            "the true gradient rotated by 180°",
            true[..., ::-1, ::-1],
        )
        yield from hypothesis(
            "transposed",
            "the true gradient with its first two axes exchanged",
            np.swapaxes(true, 0, 1),
        )
    for axis in range(n):
        yield from hypothesis(
            "flipped",
            f"the true gradient flipped along axis {axis}",
            np.flip(true, axis),
        )
    for axis in range(n):
        for step in (1, -1):
            rolled = np.roll(true, step, axis)
            edge = [slice(None)] * n
            edge[axis] = slice(0, 1) if step > 0 else slice(-1, None)
            filled = rolled.copy()
            filled[tuple(edge)] = 0
            for turned in (filled, rolled):
                yield from hypothesis(
                    "shifted",
                    f"the true gradient shifted by {step:+d} along axis {axis}: the "
                    "window is off by one",
                    turned,
                )


def _misshapen(e: Evidence, claim: Array) -> Hypothesis | None:
    """A gradient of another shape than its tensor's: transposed, or not summed."""
    nothing = np.zeros(0)
    if not e.whole:
        return None
    true = e.true.reshape(e.shape)
    scale = 1e-5 * float(np.max(np.abs(true), initial=0))
    if claim.T.shape == true.shape and np.all(np.abs(claim.T - true) <= scale):
        return Hypothesis("transposed", "it is the true gradient transposed", nothing)
    for lead in range(1, claim.ndim + 1):
        for axes in (tuple(range(lead)), tuple(range(claim.ndim - lead, claim.ndim))):
            summed = claim.sum(axis=axes)
            if summed.size == true.size and np.all(
                np.abs(summed.reshape(true.shape) - true) <= scale
            ):
                return Hypothesis(
                    "not summed",
                    f"its sum over axes {axes} is the true gradient: what broadcasting "
                    "repeated (the batch, say) must be summed",
                    nothing,
                )
    same = claim.reshape(true.shape) if claim.size == true.size else np.inf
    if np.all(np.abs(same - true) <= scale):
        return Hypothesis(
            "reshaped", "it holds the true gradient under another shape", nothing
        )
    return None
