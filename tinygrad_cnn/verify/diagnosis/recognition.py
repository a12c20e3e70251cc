"""Which operation of this package a piece of code is, told by its output alone.

Then its gradient can be compared with those of the same operation with another stride, and
the like.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from ...kernels import Window
from ...ops.base import Op, registry
from ...ops.classification import LogSoftmax, Softmax
from ...ops.convolution import Conv2d
from ...ops.pooling import MaxPool2d
from ..subject import Array, OperationSubject, Subject
from .evidence import ERRORS


class Recognised(NamedTuple):
    """The operation, its inputs in order, and which of its inputs each tensor is."""

    op: Op
    inputs: list[Any]
    rules: dict[str, str]


def recognised(subject: Subject) -> Recognised | None:
    """The registered operation whose forward gives the output of this subject."""
    if isinstance(subject, OperationSubject):
        return _registered(subject)
    outputs = subject.run().outputs
    candidates = _candidates(subject.arrays, outputs[0]) if len(outputs) == 1 else ()
    for op, names in candidates:
        inputs = [subject.arrays[name] if name else None for name in names]
        try:
            y = op(*inputs)
        except ERRORS:
            continue
        if y.shape == outputs[0].shape and np.allclose(y, outputs[0], 1e-9, 1e-9):
            return Recognised(op, inputs, dict(zip(names, op.inputs, strict=True)))
    return None


def _registered(subject: OperationSubject) -> Recognised | None:
    """The operation itself; of a subclass, the class that it derives from."""
    op = subject.op
    bases = [c for c in type(op).__mro__ if registry.get(c.__name__) is c]
    if not bases or op.variadic or not is_dataclass(bases[0]):
        return None
    values = {f.name: getattr(op, f.name) for f in fields(bases[0])}
    return Recognised(bases[0](**values), subject.input_arrays(), subject.inputs_by_key)


def _candidates(arrays: dict[str, Array], y: Array) -> Iterator[tuple[Op, list[str]]]:
    """Operations of these arrays that would give the shape of y."""
    names = list(arrays)
    if len(names) == 1 and arrays[names[0]].shape == y.shape:
        for axis in range(y.ndim):
            yield Softmax(axis), names
            yield LogSoftmax(axis), names
    images = [name for name, a in arrays.items() if a.ndim == y.ndim == 4]
    biases = [name for name, a in arrays.items() if a.shape == y.shape[1:2]]
    for stride, padding, dilation in product((1, 2, 3, 4), (0, 1, 2, 3), (1, 2)):
        layout = (stride,) * 2, (padding,) * 2, (dilation,) * 2
        for x, w in permutations(images, 2):
            groups = arrays[x].shape[1] // max(arrays[w].shape[1], 1)
            if groups:
                yield Conv2d(*layout, groups), [x, w, *(biases[:1] or [""])]
        for k in (1, 2, 3, 4) if images == names else ():
            yield MaxPool2d(Window((k, k), *layout)), names
