"""What one input value does to each value of an operation's result.

A gradient rule is linear in g: (∂L/∂x)[k] = Σ_i g[i] · ∂y[i]/∂x[k]. So the derivative of
its k-th value with respect to g is the column ∂y/∂x[k] itself, exactly, whatever the
operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ...core.engine import Tensor, run_backward
from ...core.recording import enable_grad
from ...errors import AutogradError
from ...ops.base import Op, Position, Value

Array = np.ndarray[Any, Any]


def column_of(op: Op, inputs: Sequence[Value], i: int, index: Position) -> Array:
    """∂y/∂x[index] for y = op(*inputs) and x the i-th of these arrays, in y's shape."""
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
    # Then one value after the other: the gradient for a g of 1 there and else 0.
    column = np.zeros_like(y._array)
    for at in np.ndindex(y.shape):
        unit = np.zeros_like(column)
        unit[at] = 1
        g = Tensor._wrap(unit)
        column[at] = run_backward([y], [g], True, False, [x], False)[x][index]
    return column
