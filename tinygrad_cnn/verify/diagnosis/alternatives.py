"""True gradients of neighbouring computations: what the code may have computed instead."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from ...ops.base import Op
from ...ops.convolution import Conv2d
from ...ops.pooling import MaxPool2d, SumPool2d
from ..subject import Array
from .evidence import PATIENCE, Evidence, Hypothesis
from .places import repeat, shift, turn
from .recognition import ERRORS, Recognised


def _near(value: Any) -> list[Any]:
    """What somebody may take in place of a setting: one off, or a usual value."""
    if isinstance(value, tuple) and all(isinstance(v, int) for v in value):
        ones = tuple([1 for _ in value])
        return [ones, *[tuple([v + step for v in value]) for step in (1, -1)]]
    numbers: dict[type, list[Any]] = {int: [0, 1, 2, 3], float: [0.0, 1.0]}
    return numbers.get(type(value), [])


def of_operation(e: Evidence) -> Iterator[Hypothesis]:
    """The gradient rule of the operation with one attribute forgotten, or off by one."""
    known = e.known
    if known is None or e.name not in known.rules:
        return
    g = known.scale * known.raised(e.cotangent)
    if known.often != 1:
        d = _gradient(known, known.op, e.name, g)
        if d is not None and d.size == e.x.size:
            text = "the gradient of a convolution, and forward is not one: it adds the "
            text += f"bias {known.often:g} times, not once"
            yield Hypothesis("forward", text, d.reshape(e.shape))
        if known.rules[e.name] == "b":
            return
    for attribute, value, other, op in _others(known.op):
        d = _gradient(known, op, e.name, g)
        if d is not None and d.ndim == len(e.shape) > 1 and 0 < d.shape[1] < e.shape[1]:
            # without groups there are channels for one group only
            d = np.concatenate([d] * (e.shape[1] // d.shape[1]), axis=1)
        if d is not None and d.shape == e.shape:
            text = f"the gradient of {type(op).__name__} for {attribute} {other}, and"
            yield Hypothesis(attribute, f"{text} here it is {value}", d)


def of_other_pooling(e: Evidence) -> Iterator[Hypothesis]:
    """The gradient of the largest value of a window, where forward takes the average, …"""
    known = e.known
    if known is None or not isinstance(known.op, MaxPool2d | SumPool2d):
        return
    window, g = known.op.window, known.raised(e.cotangent)
    pools: list[tuple[str, Op, float]] = [
        ("the largest value", MaxPool2d(window), 1.0),
        ("the average", SumPool2d(window), 1 / math.prod(window.kernel)),
        ("the sum", SumPool2d(window), 1.0),
    ]
    here = [w for w, op, scale in pools if (op, scale) == (known.op, known.scale)]
    for what, op, scale in pools if here else ():
        d = _gradient(known, op, e.name, scale * g)
        if d is not None and d.shape == e.shape and what not in here:
            text = f"the gradient of {what} of each window ({type(op).__name__}), and "
            text += f"forward takes {here[0]}: one of the two is not what is meant"
            yield Hypothesis("other operation", text, d)


def _gradient(known: Recognised, op: Op, name: str, g: Array) -> Array | None:
    """What the rule of this other operation gives, where the shapes allow it."""
    letter, inputs = known.rules[name], list(known.inputs)
    rule = op.rules[letter]
    try:
        if isinstance(op, Conv2d) and letter == "w":
            # without the positions whose window would reach out of the images
            x, w, *_ = inputs
            rows, columns = op.window(w.shape[2:]).output_size(x.shape[2:])
            g = g[:, :, :rows, :columns]
        own = known.op if type(op) is type(known.op) else op
        y, *kept = own.forward(*inputs) if op.keeps else [known.op(*inputs)]
        values = op.resolved(rule, inputs, y, kept)
        return known.lowered(np.asarray(rule.function(op, g, *values)), name)
    except ERRORS:
        return None


def _others(op: Any) -> Iterator[tuple[str, Any, Any, Op]]:
    """An attribute of it or its window, the value, another, and the operation with that."""
    holders: list[Any] = [op, getattr(op, "window", None)]
    for holder in holders:
        for f in fields(holder) if is_dataclass(holder) else ():
            value = getattr(holder, f.name)
            for other in dict.fromkeys([f.default, *_near(value)]):
                if type(other) is type(value) and other != value:
                    with suppress(*ERRORS):  # of settings that there cannot be
                        new: Any = replace(holder, **{f.name: other})
                        new = new if holder is op else replace(op, window=new)
                        yield f.name, value, other, new


# ------------------------------------------------------------------------ other inputs


def of_another_tensor(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient of another tensor that has this shape."""
    for key, array in e.subject.arrays.items():
        if key != e.name and array.shape == e.claim.shape and e.is_true_of(key):
            text = f"the true gradient of {key}: gradients are exchanged (the order in "
            yield Hypothesis("swapped", f"{text}which they are returned?)", e.claim)


def of_other_inputs(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient where an input is rotated, one, stale, …"""
    arrays = e.subject.arrays
    most = e.checker.differences.runs + int(np.clip(2 * e.x.size, *PATIENCE))

    for key, array in arrays.items():
        for kind, text, changed in _change(array.copy(), e.output, key == e.name):
            if e.checker.differences.runs > most:
                return
            if not np.array_equal(changed, array) and e.is_true_with(key, changed):
                yield Hypothesis(kind, f"the true gradient if {key} {text}", e.claim)


def _change(x: Array, y: Array, own: bool) -> Iterator[tuple[str, str, Array]]:
    """What may have stood in the place of x; own: only where x itself is perturbed."""
    if y.shape == x.shape:
        text = "were the output y: the derivative is taken at the output"
        yield "wrong point", text, y
    if own:
        return
    yield "missing factor", "were 1 throughout: that factor is missing", np.ones_like(x)
    if x.ndim >= 2:
        text = "held its last image everywhere: the others are overwritten"
        yield "stale input", text, np.broadcast_to(x[-1:], x.shape)
    for groups in range(2, x.shape[1] + 1) if x.ndim >= 3 else ():
        if x.shape[1] % groups == 0:
            first = x[:, : x.shape[1] // groups]
            text = f"gave each of {groups} groups the first one's channels"
            yield "groups", text, np.concatenate([first] * groups, axis=1)
    for kind, how, values in (*turn(x), *shift(x)):
        if kind == "rotated":
            kind, how = (
                "not rotated",
                f"{how}: it is not rotated here, or once too often",
            )
        yield kind, f"were {how}", np.nan_to_num(values)
    for kind, how, values in repeat(x):
        if "last index along axis 0" not in how:  # said above
            yield kind, f"were that {how}", values
