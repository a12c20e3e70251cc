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

from ...core.engine import Tensor, run_backward
from ...core.recording import enable_grad
from ...core.replaying import as_dtype
from ...errors import AutogradError
from ...ops.base import Op, Position, Value, shape_of
from ...ops.formulas import formulas
from ...ops.words import named, position

Array = np.ndarray[Any, Any]


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
        if self._partners is not None:
            return self._partners > 0
        found = self.op.reached(self.inputs, self.i, self.index)
        return self.column != 0 if found is None else found

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
        return self.op.factor(self.inputs, self.i, self.index, at)

    def note(self, at: Position) -> str:
        """What became of x[index] at this value of y."""
        if self._partners is not None:
            return ""
        return self.op.note(self.inputs, self.i, self.index, at)

    def remark(self, g: Array) -> str:
        """What the operation and the loss behind it come to together."""
        return self.op.remark(self.inputs, self.i, self.index, g)

    @cached_property
    def _partners(self) -> Array | None:
        """For each value of y, 1 + the flat index of the entry that ∂y/∂x[index] is.

        Found by giving the other input its own indices for values.
        """
        if not (self.op.bilinear and self.i < 2):
            return None
        inputs = [as_dtype(np.float64)(x) for x in self.inputs]
        other = inputs[1 - self.i]
        inputs[1 - self.i] = np.arange(1.0, np.size(other) + 1).reshape(shape_of(other))
        return _column(self.op, inputs, self.i, self.index).astype(np.int64)


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
