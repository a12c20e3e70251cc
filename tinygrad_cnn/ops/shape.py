"""Operations that move values and compute none. Each is linear, and its gradient is its
adjoint: what goes back where it came from. Adjoint pairs: Expand/SumTo, Index/IndexAdd;
Reshape, Permute and Cast are undone by another of their kind.
"""

from __future__ import annotations

import math
from dataclasses import field
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np

from ..errors import ShapeError
from .base import Op, Value


class Clone(Op):
    """y = x in memory of its own; of order "C" row-major, "K" as x.   ∂L/∂x = g."""

    order: Literal["C", "K"] = "K"
    moves = True
    keeps_channels = True

    @property
    def name(self) -> str:
        """What users call it."""
        return "Contiguous" if self.order == "C" else "Clone"

    def forward(self, x: Value) -> Value:
        return np.array(x, order=self.order)

    def grad_x(self, g: Value) -> Value:
        return g


class Cast(Op):
    """y = x in another dtype.   ∂L/∂x = g in the dtype of x."""

    dtype: np.dtype[Any]
    moves = True
    keeps_channels = True

    def forward(self, x: Value) -> Value:
        return np.asarray(x).astype(self.dtype)

    def grad_x(self, g: Value, x_dtype: np.dtype[Any]) -> Value:
        return Cast(x_dtype)(g)


class Reshape(Op):
    """y = x under another shape, in row-major order; one entry of it may be −1.

    The k-th value of y is the k-th of x: ∂L/∂x = g under the shape of x.
    """

    shape: tuple[int, ...]
    view = True
    moves = True
    row_major = True
    index_formulas: ClassVar = {"y": "y[k] = x[k]", "x": "∂L/∂x[k] = g[k]"}

    def forward(self, x: Value) -> Value:
        if math.prod(self.shape) == x.size and min(self.shape, default=0) >= 0:
            return x.reshape(self.shape)
        known = math.prod([s for s in self.shape if s != -1])
        fits = x.size % max(known, 1) == 0 if -1 in self.shape else x.size == known
        if self.shape.count(-1) > 1 or not fits:
            raise ShapeError(
                f"shape {list(self.shape)} is invalid for input of size {x.size}: "
                f"{list(x.shape)} holds {x.size} values, {list(self.shape)} {known}"
            )
        return x.reshape(self.shape)

    def parts_images(self, x: Value) -> bool:
        if not x.size or not self.shape:
            return False
        known = math.prod(s for s in self.shape if s != -1)
        return len(x) == (x.size // known if self.shape[0] == -1 else self.shape[0])

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        return Reshape(x_shape)(g)


class Permute(Op):
    """y[i_σ(0), i_σ(1), …] = x[i_0, i_1, …] for the order σ = axes.

    ∂L/∂x[i_0, i_1, …] = g[i_σ(0), i_σ(1), …]: Permute(σ⁻¹) puts the axes back.
    """

    axes: tuple[int, ...]
    view = True
    moves = True

    def forward(self, x: Value) -> Value:
        return x.transpose(self.axes)

    def grad_x(self, g: Value) -> Value:
        return Permute(tuple(int(i) for i in np.argsort(self.axes)))(g)


class Expand(Op):
    """y[…, i, …] = x[…, 0, …]: axes of length 1, or new in front, repeated to `shape`.

    x is used once per copy: ∂L/∂x[…, 0, …] = Σ_i g[…, i, …]: SumTo.
    """

    shape: tuple[int, ...]
    view = True
    moves = True

    def forward(self, x: Value) -> Value:
        return np.broadcast_to(x, self.shape)

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        return SumTo(x_shape)(g)


class SumTo(Op):
    """y[…, 0, …] = Σ_i x[…, i, …]: over all axes that broadcasting from `shape` repeats.

    Each x counts once: ∂L/∂x[…, i, …] = g[…, 0, …]: Expand.
    """

    shape: tuple[int, ...]

    def forward(self, x: Value) -> Value:
        y = np.add.reduce(x, axis=_repeated(self.shape, x.shape), keepdims=True)
        return y if y.shape == self.shape else y.reshape(self.shape)

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        return Expand(x_shape)(g)


@lru_cache
def _repeated(shape: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...]:
    """The axes along which broadcasting from `shape` repeats."""
    padded = (1,) * (len(to) - len(shape)) + shape
    pairs = enumerate(zip(padded, to, strict=True))
    return tuple([i for i, (s, n) in pairs if s == 1 and n != 1])


sum_to = lru_cache(SumTo)  # the engine asks for the same ones at every step


class Concatenate(Op):
    """y[…, m + i, …] = xs[k][…, i, …] with m values along the axis before xs[k].

    Each input is one slice of y, and its gradient is the same slice of g:
    ∂L/∂xs[k][…, i, …] = g[…, m + i, …].
    """

    axis: int
    moves = True

    def forward(self, *xs: Value) -> Value:
        return np.concatenate(xs, axis=self.axis)

    def grad_xs(self, g: Value, xs_shape: Any, index: int) -> Value:
        axis = self.axis % len(xs_shape[0])
        start = sum(shape[axis] for shape in xs_shape[:index])
        stop = start + xs_shape[index][axis]
        return Index((slice(None),) * axis + (slice(start, stop),))(g)


class Pad(Op):
    """y[…, i, …] = x[…, i − before, …] inside, value outside.

    widths[a] = (before, after) along axis a; negative widths crop. The inside of y is x:
    ∂L/∂x[…, i, …] = g[…, i + before, …] inside, 0 outside: Pad with the widths negated.
    """

    widths: tuple[tuple[int, int], ...]
    value: float = 0.0

    def forward(self, x: Value) -> Value:
        crop = tuple(
            slice(max(-before, 0), s - max(-after, 0))
            for s, (before, after) in zip(x.shape, self.widths, strict=True)
        )
        cropped = [min(before, 0) + min(after, 0) for before, after in self.widths]
        if any(s + c < 0 for s, c in zip(x.shape, cropped, strict=True)):
            raise ShapeError(f"pad {self.widths} crops more than {list(x.shape)} has")
        grow = [(max(before, 0), max(after, 0)) for before, after in self.widths]
        return np.pad(x[crop], grow, constant_values=self.value)

    def grad_x(self, g: Value) -> Value:
        return Pad(tuple((-before, -after) for before, after in self.widths))(g)


class Diagonal(Op):
    """y[…, i] = x[…, i + r, i + c], r = max(−offset, 0), c = max(offset, 0).

    ∂L/∂x[…, i + r, i + c] = g[…, i], 0 elsewhere: IndexAdd.
    """

    offset: int = 0
    view = True
    moves = True

    def forward(self, x: Value) -> Value:
        y = np.diagonal(x, self.offset, -2, -1)
        y.flags.writeable = x.flags.writeable
        return y

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        return IndexAdd(diagonal_key(self.offset, g.shape[-1]), x_shape)(g)


def diagonal_key(offset: int, length: int) -> tuple[Any, ...]:
    """The index of a diagonal of the last two axes."""
    i = np.arange(length)
    return ..., i + max(-offset, 0), i + max(offset, 0)


class Windows(Op):
    """y[…, i, k] = x[…, i · step + k], 0 ≤ k < size: windows along the last axis.

    Each x goes back from all windows that it is in:
    ∂L/∂x[…, j] = Σ_i g[…, i, j − i · step], where 0 ≤ j − i · step < size: IndexAdd.
    """

    size: int
    step: int
    view = True
    moves = True

    def forward(self, x: Value) -> Value:
        n = x.shape[-1] - self.size + 1
        alone = self.step >= self.size and x.flags.writeable
        if not self.size:
            return np.empty((*x.shape[:-1], len(range(0, n, self.step)), 0), x.dtype)
        slide = np.lib.stride_tricks.sliding_window_view
        return slide(x, self.size, -1, writeable=alone)[..., :: self.step, :]

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        starts = np.arange(0, x_shape[-1] - self.size + 1, self.step)
        key = ..., starts[:, None] + np.arange(self.size)
        return IndexAdd(key, x_shape)(g)


class Index(Op, eq=False):
    """y = x[key] for slices, integers, None, …, integer arrays, masks.

    Every entry of y is a copy of one of x, and one of x may have several:
    ∂L/∂x[j] = Σ_i g[i] where y[i] is a copy of x[j]: IndexAdd.
    """

    key: Any = field(repr=False)
    view = True
    moves = True

    def forward(self, x: Value) -> Value:
        y = np.asarray(x[self.key])
        steps = [part.step for part in self.key if isinstance(part, slice)]
        # Slices forward are views, as in PyTorch; its flip() is a copy.
        return y.copy() if any(step and step < 0 for step in steps) else y

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        return IndexAdd(self.key, x_shape)(g)


class IndexAdd(Op, eq=False):
    """y = 0 of the given shape, then y[key] += x, entries that meet being added up.

    ∂L/∂x = g[key]: Index.
    """

    key: Any = field(repr=False)
    shape: tuple[int, ...]

    def forward(self, x: Value) -> Value:
        y = np.zeros(self.shape, x.dtype)
        parts = self.key if isinstance(self.key, tuple) else (self.key,)
        if any(isinstance(part, np.ndarray) and part.dtype != bool for part in parts):
            np.add.at(y, self.key, x)
        else:
            y[self.key] = x
        return y

    def grad_x(self, g: Value) -> Value:
        return Index(self.key)(g)


class Put(Op, eq=False):
    """y = x, but y[key] = v: what assignment to an index does.

    x passes everywhere but there, v is what stands there (once per copy, if it broadcasts):
    ∂L/∂x = g, but 0 at [key];   ∂L/∂v = g[key], summed to the shape of v.
    """

    key: Any = field(repr=False)

    def forward(self, x: Value, v: Value) -> Value:
        y = np.array(x)
        y[self.key] = v
        return y

    def grad_x(self, g: Value) -> Value:
        return Put(self.key)(g, np.zeros((), g.dtype))

    def grad_v(self, g: Value, v_shape: tuple[int, ...]) -> Value:
        return SumTo(v_shape)(Index(self.key)(g))
