"""True gradients of neighbouring computations: what the code may have computed instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from ..errors import TinygradError
from ..kernels import Window
from ..ops.base import Op, registry
from .check import Checker
from .difference import usual_step
from .subject import Array, OperationSubject

FEWEST = 96
"""Entries whose gradient is computed anew for each alternative."""

OTHER_VALUES: dict[str, tuple[Any, ...]] = {
    "stride": ((1, 1),),
    "padding": ((0, 0),),
    "dilation": ((1, 1),),
    "groups": (1,),
    "correction": (0, 1),
    "negative_slope": (0.0, 1.0),
    "eps": (0.0,),
}
"""What an attribute of an operation is when somebody forgets it."""


def of_operation(
    checker: Checker, name: str, entries: Array, make: Callable[..., Any]
) -> Iterator[Any]:
    """The gradient rule of the operation with one attribute forgotten, or off by one."""
    subject = checker.subject
    if not isinstance(subject, OperationSubject):
        return
    bases = [c for c in type(subject.op).__mro__ if registry.get(c.__name__) is c]
    rule_name = subject.inputs_by_key[name]
    if not bases or rule_name not in bases[0].rules:
        return
    inputs = subject.input_arrays()
    original = _as(bases[0], subject.op)
    y, kept = applied(original, inputs)
    for text, kind, other in _others(original):
        try:
            rule = other.rules[rule_name]
            g = checker.cotangents[0]
            d = rule.function(other, g, *other.resolved(rule, inputs, y, kept))
        except (ValueError, TypeError, IndexError, TinygradError):
            continue  # the shapes do not allow this one
        if d.shape == subject.arrays[name].shape:
            sentence = f"the gradient of the same operation with {text}"
            yield make(kind, sentence, np.asarray(d).reshape(-1)[entries])


def _others(op: Op) -> Iterator[tuple[str, str, Op]]:
    for holder, build in _holders(op):
        for f in fields(holder):
            value = getattr(holder, f.name)
            for other in (*OTHER_VALUES.get(f.name, ()), *_off_by_one(f.name, value)):
                if other != value:
                    text = f"{f.name} {other} instead of {value}"
                    kind = "shifted" if _is_shift(f.name, value, other) else f.name
                    yield text, kind, build(replace(holder, **{f.name: other}))


def _is_shift(name: str, value: Any, other: Any) -> bool:
    return name == "padding" and value == (0, 0) != other


def _off_by_one(name: str, value: Any) -> Iterator[Any]:
    if name in ("stride", "padding", "dilation"):
        least = 0 if name == "padding" else 1
        for step in (1, -1):
            if min(value) + step >= least:
                yield tuple(v + step for v in value)


def _holders(op: Op) -> Iterator[tuple[Any, Callable[[Any], Op]]]:
    """What has the attributes: the operation itself, or its window."""
    if is_dataclass(op):
        yield op, lambda other: other
        window = getattr(op, "window", None)
        if isinstance(window, Window):
            yield window, lambda other: replace(op, window=other)


def _as(kind: type[Op], op: Op) -> Op:
    """The same operation, of the registered class that it derives from."""
    return kind(**{f.name: getattr(op, f.name) for f in fields(kind)})  # type: ignore[arg-type]


def applied(op: Op, inputs: list[Any]) -> tuple[Any, list[Any]]:
    """The result, and the kept values."""
    result = op.forward(*inputs)
    y, *kept = result if op.keeps else (result,)
    return y, kept


def of_other_inputs(
    checker: Checker, name: str, entries: Array, make: Callable[..., Any]
) -> Iterator[Any]:
    """The true gradient with another input rotated, transposed or shifted."""
    subject = checker.subject
    some = entries[:FEWEST]
    for key, array in subject.arrays.items():
        if key == name:
            continue
        start = array.copy()
        for kind, text, changed in _changed(start):
            if np.array_equal(changed, start):
                continue
            array[...] = changed
            gradient = np.full(entries.shape, np.nan)
            gradient[: some.size] = _gradient(checker, name, some)
            array[...] = start
            claimed = checker.claims[name]
            assert claimed is not None
            # the entries not computed anew count as they were claimed
            rest = claimed.reshape(-1)[entries]
            gradient = np.where(np.isnan(gradient), rest, gradient)
            yield make(kind, f"the true gradient for {key} {text}", gradient)


def _changed(x: Array) -> Iterator[tuple[str, str, Array]]:
    if x.ndim >= 2:
        turned = x[..., ::-1, ::-1]
        yield (
            "kernel not rotated",
            "rotated by 180°: the kernel is not rotated in the backward pass (or once too "
            "often)",
            turned,
        )
        if x.shape[-1] == x.shape[-2]:
            yield "transposed", "transposed", np.swapaxes(x, -1, -2)
    if x.ndim >= 3:
        for axis in (-2, -1):
            for step in (1, -1):
                shifted = np.roll(x, step, axis)
                edge = [slice(None)] * x.ndim
                edge[axis] = slice(0, 1) if step > 0 else slice(-1, None)
                shifted[tuple(edge)] = 0
                yield (
                    "shifted",
                    f"shifted by {step:+d} along axis {axis}: the window is off by one",
                    shifted,
                )


def _gradient(checker: Checker, name: str, entries: Array) -> Array:
    subject = checker.subject
    flat = subject.arrays[name].reshape(-1)
    found = []
    for k in entries:
        start, total, width = flat[k], 0.0, 0.0
        h = usual_step(flat.dtype) * max(abs(float(start)), 1.0)
        for sign in (1, -1):
            flat[k] = start + sign * h
            width += sign * float(flat[k] - start)
            pairs = zip(checker.cotangents, subject.run().outputs, strict=True)
            total += sign * float(sum(np.sum(g * y) for g, y in pairs))
        flat[k] = start
        found.append(total / width)
    return np.array(found)
