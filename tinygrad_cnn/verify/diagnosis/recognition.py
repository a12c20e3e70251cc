"""Which operation of this package a piece of code is, told by its output alone.

Then its gradient can be compared with those of the same operation with another stride, and
the like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from ...kernels import Window
from ...ops.base import Op, registry
from ..subject import Array, OperationSubject, Subject
from .evidence import ERRORS

LAYOUT = {
    "stride": [(s, s) for s in (1, 2, 3, 4)],
    "padding": [(p, p) for p in (0, 1, 2, 3)],
    "dilation": [(d, d) for d in (1, 2)],
}
"""Settings of windows that are tried."""


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
        except (*ERRORS, AttributeError):  # of an input that is None
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


def _candidates(
    arrays: dict[str, Array], y: Array
) -> Iterator[tuple[Op, Sequence[str]]]:
    """Operations, with settings as most nets have them, that may have made y of these."""
    channels = [a.shape[1] for a in arrays.values() if a.ndim == 4 and a.shape[1]]
    layouts = list(product(*LAYOUT.values()))
    known: dict[str, Sequence[Any]] = {
        **LAYOUT,
        "groups": sorted({1, *[a // b for a, b in permutations(channels, 2)]} - {0}),
        "axis": range(y.ndim),
        "window": [Window((k, k), *layout) for layout in layouts for k in (1, 2, 3, 4)],
        "ceil_mode": [False],
    }
    for kind in registry.values():
        if not is_dataclass(kind) or kind.constant or kind.variadic:
            continue
        names = [f.name for f in fields(kind)]
        if names and known.keys() >= set(names):
            settings = product(*[known[name] for name in names])
            # "" stands for an input that is left out, a bias say
            given = permutations([*arrays, ""], len(kind.inputs))
            for values, inputs in product(settings, given):
                yield kind(*values), inputs
