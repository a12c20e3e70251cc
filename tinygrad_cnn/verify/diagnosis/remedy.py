"""Where to look, and what would be right there for the operation that the code is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations, product

import numpy as np

from ...ops.convolution import Conv2d
from ...ops.pooling import MaxPool2d
from ..subject import Array
from .evidence import Evidence
from .factoring import sigmoid
from .terms import softmax

ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], str]] = {
    "": (lambda z: z, "g"),
    "relu": (lambda z: np.maximum(z, 0), "g * ({x} > 0)"),
    "sigmoid": (sigmoid, "g * y * (1 - y)"),
    "tanh": (np.tanh, "g * (1 - y**2)"),
    "exp": (np.exp, "g * y"),
    "log": (np.log, "g / {x}"),
    "square": (np.square, "2 * g * {x}"),
    "sqrt": (np.sqrt, "g / (2 * y)"),
    "abs": (np.abs, "g * np.sign({x})"),
}
"""What is known of element-wise functions: the values, and the right line."""

CONVOLUTION = {
    "x": "dx[n, :, {i} : {i} + k, {j} : {j} + k] += g[n, o, i, j] * {w}[o]",
    "w": "dw[o] += g[n, o, i, j] * {x}[n, :, {i} : {i} + k, {j} : {j} + k]",
    "b": "db = g.sum(axis=(0, 2, 3))",
}


def remedy(e: Evidence) -> str:
    """The line that makes this gradient, and a right one; each where it is known."""
    place = e.subject.line_for(e.name)
    right = next(_right_lines(e), None) if len(e.checker.outputs) == 1 else None
    changed = ", ".join(e.subject.changed)
    parts = [
        changed
        and f"forward changes {changed} in place: backward reads what is left of it.",
        place and f"Look at {place}.",
        right and f"Right would be: {right}",
    ]
    return " ".join([part for part in parts if part])


def _right_lines(e: Evidence) -> Iterator[str]:
    """For the operation that gives this output, whatever it is called in the code."""
    yield from _dense(e)
    yield from _elementwise(e)
    yield from _softmax(e)
    yield from _windows(e)


def _dense(e: Evidence) -> Iterator[str]:
    """x @ w, perhaps + b, perhaps an activation of it."""
    arrays, y = e.subject.arrays, e.output
    matrices = [k for k, a in arrays.items() if a.ndim == 2]
    vectors = [k for k, a in arrays.items() if a.size == y.shape[-1]] if y.ndim else []
    for (x, w), b in product(permutations(matrices, 2), ["", *vectors]):
        if e.name not in (x, w, b) or y.shape != (len(arrays[x]), arrays[w].shape[1]):
            continue
        if arrays[x].shape[1] != len(arrays[w]) or b in (x, w):
            continue
        z = arrays[x] @ arrays[w] + (arrays[b].reshape(-1) if b else 0)
        for f, slope in ACTIVATIONS.values():
            if np.allclose(f(z), y, 1e-9, 1e-9):
                d = slope.format(x=f"({x} @ {w}{f' + {b}' if b else ''})")
                first = "" if d == "g" else f"d = {d}; "
                d = "g" if d == "g" else "d"
                lines = {
                    x: f"d{x} = {d} @ {w}.T",
                    w: f"d{w} = {x}.T @ {d}",
                    b: f"d{b} = {d}.sum(axis=0)",
                }
                yield first + lines[e.name]


def _elementwise(e: Evidence) -> Iterator[str]:
    if e.output.shape == e.shape and e.is_elementwise:
        for f, slope in ACTIVATIONS.values():
            if np.allclose(f(e.x), e.output, 1e-9, 1e-9):
                yield f"d{e.name} = {slope.format(x=e.name)}"


def _softmax(e: Evidence) -> Iterator[str]:
    y = e.output
    for axis in range(e.x.ndim) if y.shape == e.shape else ():
        p = softmax(e.x, axis)
        if np.allclose(p, y, 1e-9, 1e-9):
            yield f"d{e.name} = y * (g - (g * y).sum(axis={axis}, keepdims=True))"
        if np.allclose(np.log(p), y, 1e-9, 1e-9):
            yield f"d{e.name} = g - np.exp(y) * g.sum(axis={axis}, keepdims=True)"


def _windows(e: Evidence) -> Iterator[str]:
    """Written for (n, channel, i, j), whatever the order of the axes in the code."""
    known = e.known
    if known is None or e.name not in known.rules:
        return
    names = {letter: name for name, letter in known.rules.items()}
    if isinstance(known.op, Conv2d) and known.op.groups == 1:
        (s, _), (p, _) = known.op.stride, known.op.padding
        at = {k: f"{s} * {k}" if s > 1 else k for k in "ij"}
        cut = f" ({{}} being padded by {p})" if p else ""
        letter = known.rules[e.name]
        cut = cut.format("dx" if letter == "x" else names["x"])
        line = CONVOLUTION[letter].format(**at, **names)
        yield f"{line}{cut}" if letter != "b" else line
    elif isinstance(known.op, MaxPool2d):
        yield "g[n, c, i, j] is added where the window of (i, j) has its largest value"
