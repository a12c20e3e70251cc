"""Which operation of this package a piece of code is, told by its output alone.

Then its gradient can be compared with those of the same operation with another stride, and
the like; and a forward that is nearly an operation, but not quite, is known for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from ...errors import TinygradError
from ...kernels import Window
from ...ops.base import Op, registry
from ...ops.convolution import Conv2d
from ...ops.pooling import MaxPool2d, SumPool2d
from ..subject import Array, OperationSubject, Subject
from .layouts import Layout, layouts_of_images, layouts_of_kernels

LAYOUT = {
    "stride": [(s, s) for s in (1, 2, 3, 4)],
    "padding": [(p, p) for p in (0, 1, 2, 3)],
    "dilation": [(d, d) for d in (1, 2)],
}
"""Settings of windows that are tried."""


ERRORS = (ValueError, TypeError, IndexError, ArithmeticError, TinygradError)
"""What code may raise for values or shapes that it was not made for."""


class Recognised(NamedTuple):
    """The operation, its inputs in order, and which of its inputs each tensor is.

    layouts: of tensors (and "" for the output) whose axes stand in another order. scale:
    what the operation's result is multiplied by. often: how many times the bias is added.
    """

    op: Op
    inputs: list[Any]
    rules: dict[str, str]
    layouts: Mapping[str, Layout] = {}
    scale: float = 1.0
    often: float = 1.0

    def raised(self, g: Array) -> Array:
        """g in the order of axes that the operation has."""
        return self.layouts[""].raised(g) if "" in self.layouts else g

    def lowered(self, d: Array, name: str) -> Array:
        """A gradient as the code has that tensor."""
        return self.layouts[name].lowered(d) if name in self.layouts else d


def recognised(subject: Subject) -> Recognised | None:
    """The registered operation whose forward gives the output of this subject."""
    if isinstance(subject, OperationSubject):
        return _registered(subject)
    outputs = subject.run().outputs
    if len(outputs) != 1:
        return None
    y, arrays = outputs[0], subject.arrays
    for op, names in _candidates(arrays, y):
        inputs = [arrays[name] if name else None for name in names]
        try:
            found = op(*inputs)
        except (*ERRORS, AttributeError):  # of an input that is None
            continue
        if _same(found, y):
            return Recognised(op, inputs, dict(zip(names, op.inputs, strict=True)))
    return next(_windows_over(arrays, y), None)


def _same(found: Any, y: Array) -> bool:
    return found.shape == y.shape and np.allclose(found, y, 1e-9, 1e-9)


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


# ------------------------------------------------------- windows, in any order of the axes


def _windows_over(arrays: Mapping[str, Array], y: Array) -> Iterator[Recognised]:
    """Convolutions and poolings of images, or of one image, that give this output."""
    for (name, x), above in product(arrays.items(), layouts_of_images(y)):
        raised = above.raised(y)
        for layout in layouts_of_images(x):
            image = layout.raised(x)
            axes = {name: layout, "": above}
            if image.shape[0] != raised.shape[0]:
                continue
            if image.shape[1] == raised.shape[1]:
                yield from _poolings(name, image, raised, axes)
            for key, w in arrays.items():
                for order in layouts_of_kernels(w) if key != name else ():
                    kernels = order.raised(w)
                    if kernels.shape[:2] == (raised.shape[1], image.shape[1]):
                        named = {name: image, key: kernels}
                        layouts = {**axes, key: order}
                        yield from _convolutions(arrays, named, raised, layouts)


def _poolings(
    name: str, x: Array, y: Array, layouts: Mapping[str, Layout]
) -> Iterator[Recognised]:
    for k, s, p in product((2, 3, 4), (1, 2, 3, 4), (0, 1)):
        window = Window((k, k), (s, s), (p, p), (1, 1))
        if _fits(window, x, y):
            largest, total = MaxPool2d(window), SumPool2d(window)
            for op, scale in ((largest, 1.0), (total, 1.0), (total, 1 / k**2)):
                if np.allclose(scale * op(x), y, 1e-9, 1e-9):
                    yield Recognised(op, [x], {name: "x"}, layouts, scale)


def _fits(window: Window, x: Array, y: Array) -> bool:
    try:
        return window.output_size(x.shape[2:]) == y.shape[2:]
    except ERRORS:
        return False


def _convolutions(
    arrays: Mapping[str, Array],
    named: Mapping[str, Array],
    y: Array,
    layouts: Mapping[str, Layout],
) -> Iterator[Recognised]:
    (name, x), (key, w) = named.items()
    for s, p in product(LAYOUT["stride"], LAYOUT["padding"]):
        if not _fits(Window(w.shape[2:], s, p, (1, 1)), x, y):
            continue
        op = Conv2d(s, p)
        rest = y - op(x, w, None)
        rules = {name: "x", key: "w"}
        if np.allclose(rest, 0, 0, 1e-9 * np.abs(y).max()):
            yield Recognised(op, [x, w, None], rules, layouts)
        each = rest.mean(axis=(0, 2, 3))
        if not np.allclose(rest, each[:, None, None], 1e-9, 1e-9):
            continue
        for bias, b in arrays.items():
            if bias not in named and b.size == each.size:
                often = float(np.mean(each / b.reshape(-1)))
                if np.allclose(often * b.reshape(-1), each, 1e-9, 1e-9):
                    inputs = [x, w, b.reshape(-1)]
                    more = {**rules, bias: "b"}
                    yield Recognised(op, inputs, more, layouts, 1.0, often)
