"""What one input value does to each value of an operation's result: numbers, and names.

A gradient rule is linear in g: (∂L/∂x)[k] = Σ_i g[i] · ∂y[i]/∂x[k]. So the derivative of
its k-th value with respect to g is the column ∂y/∂x[k] itself, exactly, whatever the
operation. Some columns have names as well: that of a product is the other operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..engine import Tensor, run_backward
from ..errors import AutogradError
from ..kernels import Window
from ..ops.activation import ReLU
from ..ops.arithmetic import Mul
from ..ops.base import Op, Value, shape_of
from ..ops.classification import LogSoftmax, NLLLoss
from ..ops.convolution import Conv2d, Conv2dInput, Conv2dWeight
from ..ops.formulas import formulas
from ..ops.linear import Linear, Matmul
from ..ops.normalization import Dropout
from ..ops.pooling import MaxPool2d, MaxPoolPick, SumPool2d
from ..recording import enable_grad
from ..replay import as_dtype

Array = np.ndarray[Any, Any]
Position = tuple[int, ...]

PRODUCTS = (Conv2d, Conv2dInput, Conv2dWeight, Linear, Matmul, Mul, Dropout)
"""Linear in each of their first two inputs: ∂y/∂(one) is an entry of the other."""


class Entry(NamedTuple):
    """The entry of another input that ∂y/∂x is."""

    name: str
    position: Position


@dataclass(frozen=True, eq=False)
class LocalDerivative:
    """∂y/∂x[index] for y = op(*inputs) and x the i-th of these arrays."""

    op: Op
    inputs: Sequence[Value]
    i: int
    index: Position

    @property
    def letter(self) -> str:
        """What the operation calls x."""
        name = self.op.input_name(self.i)
        return f"{name}[{self.i}]" if self.op.variadic else name

    @property
    def formula(self) -> str:
        """The gradient rule, or what the operation computes where it does not say."""
        found = formulas(type(self.op))
        return found.gradients.get(self.op.input_name(self.i)) or found.forward

    @cached_property
    def column(self) -> Array:
        """∂y[i]/∂x[index] for every i, in the shape of y."""
        return _column(self.op, self.inputs, self.i, self.index)

    @cached_property
    def reached(self) -> Array:
        """Which values of y had to do with x[index], though ∂y/∂x may be 0 there."""
        op, x = self.op, self.inputs[self.i]
        if self._partners is not None:
            return self._partners > 0
        if isinstance(op, MaxPool2d):
            over = SumPool2d(op.window, op.ceil_mode)
            return _column(over, [np.zeros(x.shape)], 0, self.index) > 0
        if _element_wise(op):
            one = np.zeros(x.shape, np.bool_)
            one[self.index] = True
            return np.broadcast_to(one, self.column.shape)
        return self.column != 0

    def operand(self, at: Position) -> Entry | None:
        """The entry of another input that ∂y[at]/∂x[index] is, if it is one."""
        if self._partners is None:
            return None
        j = 1 - self.i
        k = int(self._partners[at]) - 1
        return Entry(self.op.input_name(j), position(k, shape_of(self.inputs[j])))

    def factor(self, at: Position) -> str:
        """∂y[at]/∂x[index] in letters, where it has a name."""
        operand = self.operand(at)
        if operand is not None:
            return named(*operand)
        if isinstance(self.op, LogSoftmax):
            return ("1 − " if at == self.index else "−") + named("p", self.index)
        return ""

    def note(self, at: Position) -> str:
        """Which piece of the operation x[index] took at this value of y."""
        op, x = self.op, self.inputs[self.i]
        if isinstance(op, MaxPool2d):
            return self._contest(op.window, x, at)
        if isinstance(op, ReLU):
            value = x[self.index]
            sign, fate = (">", "passes") if self.column[at] else ("≤", "is blocked")
            return f"{fate}: x = {number(value)} {sign} 0"
        if isinstance(op, NLLLoss):
            n, _, *rest = self.index
            return f"the label of image {n} is {self.inputs[1][(n, *rest)]}"
        if _element_wise(op) and not isinstance(op, PRODUCTS):
            return ", ".join(self._values(at))
        return ""

    def remark(self, g: Array) -> str:
        """What log-softmax and the loss behind it come to together."""
        if not isinstance(self.op, LogSoftmax):
            return ""
        axis = self.op.axis % g.ndim
        row = np.moveaxis(g, axis, -1)[self.index[:axis] + self.index[axis + 1 :]]
        labels = np.flatnonzero(row)
        if len(labels) != 1:
            return ""
        with np.errstate(all="ignore"):
            p = np.exp(self.op(self.inputs[0])[self.index])
        c, name = int(labels[0]), named("p", self.index)
        gap = f"({name} − 1)" if c == self.index[axis] else name
        return (
            f"g is 0 but for class {c}, so "
            f"∂L/∂x = {gap} · {number(-row[c])} with {name} = {number(p)}"
        )

    @cached_property
    def _partners(self) -> Array | None:
        """For each value of y, 1 + the flat index of the entry that ∂y/∂x[index] is.

        Found by giving the other input its own indices for values.
        """
        if not (isinstance(self.op, PRODUCTS) and self.i < 2):
            return None
        inputs = [as_dtype(np.float64)(x) for x in self.inputs]
        inputs[1 - self.i] = _numbered(inputs[1 - self.i])
        return _column(self.op, inputs, self.i, self.index).astype(np.int64)

    def _contest(self, window: Window, x: Array, at: Position) -> str:
        """How x[index] fared in the window of this output."""
        layout = window.stride, window.padding, window.dilation
        axes = zip(self.index[2:], at[2:], *layout, strict=True)
        tap = tuple([(h + p - s * i) // d for h, i, s, p, d in axes])
        best = position(int(self._winners[at]) - 1, x.shape)
        if best == self.index:
            return f"won at tap {tap}: x = {number(x[best])}"
        verb = "ties with the earlier" if x[best] == x[self.index] else "lost to"
        by = f"{named('x', best)} = {number(x[best])}"
        return f"tap {tap}: x = {number(x[self.index])} {verb} {by}"

    @cached_property
    def _winners(self) -> Array:
        """For each window, 1 + the flat index of the x that won it."""
        assert isinstance(self.op, MaxPool2d)
        _, tap = self.op.forward(self.inputs[0])
        return MaxPoolPick(self.op.window)(_numbered(self.inputs[0]), tap)

    def _values(self, at: Position) -> list[str]:
        """What the inputs of an element-wise operation were at this value of y."""
        shape = self.column.shape
        arrays = [np.broadcast_to(np.asarray(x), shape) for x in self.inputs]
        pairs = zip(self.op.inputs, arrays, strict=True)
        return [f"{name} = {number(x[at])}" for name, x in pairs]


def position(k: int, shape: tuple[int, ...]) -> Position:
    """The index of the k-th value in row-major order."""
    return tuple(int(i) for i in np.unravel_index(k, shape))


def named(name: str, index: Position) -> str:
    """An entry as it is written: x[0, 3], or x where there is but one."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def number(value: Any) -> str:
    """A value in six digits."""
    return f"{float(value):.6g}"


def _numbered(x: Value) -> Array:
    """1, 2, 3, … in the shape of x."""
    return np.arange(1.0, np.size(x) + 1).reshape(shape_of(x))


def _element_wise(op: Op) -> bool:
    """Whether y[i] comes from the inputs at i alone (of those that are no products)."""
    family = type(op).__module__.rpartition(".")[2]
    return op.broadcasts or family in ("activation", "arithmetic", "selection")


def _column(op: Op, inputs: Sequence[Value], i: int, index: Position) -> Array:
    with enable_grad():
        x = Tensor._wrap(inputs[i]).requires_grad_()
        y = op(*inputs[:i], x, *inputs[i + 1 :])
        g = Tensor._wrap(np.zeros_like(y._array)).requires_grad_()
        # A backward of the user's may refuse to be differentiated, or compute on arrays.
        with suppress(AutogradError):
            d = run_backward([y], [g], True, True, [x], False)[x]
            if d.requires_grad:
                found = run_backward([d[index]], [None], None, False, [g], False)
                return np.asarray(found.get(g, np.zeros_like(y._array)))
    return _column_by_units(x, y, index)


def _column_by_units(x: Tensor, y: Tensor, index: Position) -> Array:
    """The column one value at a time: the gradient for a g of 1 there and else 0."""
    column = np.zeros_like(y._array)
    for at in np.ndindex(y.shape):
        unit = np.zeros_like(column)
        unit[at] = 1
        g = Tensor._wrap(unit)
        column[at] = run_backward([y], [g], True, False, [x], False)[x][index]
    return column
