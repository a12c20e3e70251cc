"""True gradients of neighbouring computations: what the code may have computed instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ...kernels import Window
from ...ops.base import Op
from ...ops.convolution import Conv2dInput, Convolution
from ..subject import Array
from .evidence import ERRORS, Evidence, Hypothesis
from .recognition import Recognised, recognised


def _near(value: Any) -> list[Any]:
    """What somebody may take in place of a setting: one off, or a usual value."""
    if isinstance(value, tuple) and all(isinstance(v, int) for v in value):
        ones = tuple([1 for _ in value])
        return [ones, *[tuple([v + step for v in value]) for step in (1, -1)]]
    numbers: dict[type, list[Any]] = {int: [0, 1, 2, 3], float: [0.0, 1.0]}
    return numbers.get(type(value), [])


def of_operation(e: Evidence) -> Iterator[Hypothesis]:
    """The gradient rule of the operation with one attribute forgotten, or off by one."""
    known = recognised(e.subject)
    if known is None or e.name not in known.rules:
        return
    for attribute, value, other, op in _others(known.op):
        d = _gradient(known, op, e.name, e.cotangent)
        if d is not None and d.ndim == len(e.shape) > 1 and 0 < d.shape[1] < e.shape[1]:
            # without groups there are channels for one group only
            repeats = [1, e.shape[1] // d.shape[1]] + [1] * (d.ndim - 2)
            d = np.tile(d, repeats)
        if d is not None and d.shape == e.shape:
            text = f"the gradient of {type(op).__name__} for {attribute} {other}, and"
            yield Hypothesis(attribute, f"{text} here it is {value}", d)


def _gradient(known: Recognised, op: Op, name: str, g: Array) -> Array | None:
    """What the rule of this other operation gives, where the shapes allow it."""
    letter, inputs = known.rules[name], list(known.inputs)
    rule = op.rules[letter]
    try:
        if isinstance(op, Convolution) and letter == "w":
            inputs[0], g = _inside(op, inputs[0], inputs[1], g)
        y, *kept = known.op.forward(*known.inputs) if op.keeps else [known.op(*inputs)]
        values = op.resolved(rule, inputs, y, kept)
        return np.asarray(rule.function(op, g, *values))
    except ERRORS:
        return None


def _inside(op: Convolution, x: Array, w: Array, g: Array) -> tuple[Array, Array]:
    """x and g, without the positions whose window would reach out of the images."""
    turned = isinstance(op, Conv2dInput)
    images, maps = (g, x) if turned else (x, g)
    i, j = op.window(w.shape[2:]).output_size((images.shape[2], images.shape[3]))
    maps = maps[:, :, :i, :j]
    return (maps, images) if turned else (images, maps)


def _others(op: Op) -> Iterator[tuple[str, Any, Any, Op]]:
    """An attribute, its value, another value, and the operation with that."""
    for holder, build in _holders(op):
        for f in fields(holder):
            value = getattr(holder, f.name)
            near = _near(value)
            for other in dict.fromkeys([f.default, *near] if near else []):
                if type(other) is type(value) and other != value:
                    with suppress(*ERRORS):  # of settings that there cannot be
                        changed = replace(holder, **{f.name: other})
                        yield f.name, value, other, build(changed)


def _holders(op: Any) -> Iterator[tuple[Any, Callable[[Any], Any]]]:
    """What has the attributes: the operation itself, or its window."""
    yield op, lambda other: other
    window = getattr(op, "window", None)
    if isinstance(window, Window):
        yield window, lambda other: replace(op, window=other)


# ------------------------------------------------------------------------ other inputs


def of_other_inputs(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient of another input, or where an input is rotated, one, stale, …"""
    arrays = e.subject.arrays
    for key, array in arrays.items():
        if key != e.name and array.shape == e.shape and e.is_true_of(key):
            text = f"the true gradient of {key}: two inputs are exchanged"
            yield Hypothesis("swapped", text, e.claim)
    for key, array in arrays.items():
        others = _changed(array.copy(), e.output, own=key == e.name)
        for kind, text, changed in others:
            if not np.array_equal(changed, array) and e.is_true_with(key, changed):
                text = f"the true gradient if {text.format(key)}"
                yield Hypothesis(kind, text, e.claim)


def _changed(x: Array, y: Array, own: bool) -> Iterator[tuple[str, str, Array]]:
    if y.shape == x.shape:
        what = "the derivative is taken at the output"
        yield "wrong point", f"{{0}} were the output y: {what}", y
    if own:
        return
    text = "{0} were 1 throughout: that factor is missing"
    yield "missing factor", text, np.ones_like(x)
    if x.ndim >= 2:
        text = "{0} were rotated by 180°: it is not rotated here, or once too often"
        yield "not rotated", text, x[..., ::-1, ::-1]
        text = "{0} held its last image everywhere: the others are overwritten"
        yield "stale input", text, np.broadcast_to(x[-1:], x.shape)
        if x.shape[-1] == x.shape[-2]:
            yield "transposed", "{0} were transposed", np.swapaxes(x, -1, -2)
            text = "{0} were rotated by 90°: it is to be rotated by 180°"
            yield "not rotated", text, np.rot90(x, axes=(-2, -1))
            yield "not rotated", text, np.rot90(x, 3, axes=(-2, -1))
    for axis in range(x.ndim):
        text = f"{{0}} were reversed along axis {axis}"
        yield "flipped", text, np.flip(x, axis)
        for step in (1, -1) if x.ndim >= 3 else ():
            moved = np.roll(x, step, axis)
            moved[(slice(None),) * axis + (0 if step > 0 else -1,)] = 0
            text = f"{{0}} were shifted by {step:+d} along axis {axis}: the window is"
            yield "shifted", f"{text} off by one", moved
    for groups in range(2, x.shape[1] + 1) if x.ndim >= 3 else ():
        if x.shape[1] % groups == 0:
            first = x[:, : x.shape[1] // groups]
            repeats = [1, groups] + [1] * (x.ndim - 2)
            text = f"each of {groups} groups took the first one's channels of {{0}}"
            yield "groups", text, np.tile(first, repeats)
