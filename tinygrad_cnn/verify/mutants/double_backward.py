"""Rules whose gradient is right, and whose gradient's gradient is not.

They compute with values outside of the graph: at first order nobody sees it.
"""

from typing import Any

import numpy as np

from ...engine import Tensor
from ...ops.activation import Sigmoid, Tanh
from ...ops.arithmetic import Mul
from ...ops.convolution import Conv2d
from ...ops.linear import Matmul, transposed
from ...ops.normalization import BatchNorm
from .mutant import Example, values, wrong

SIGMOID, TANH = (Example(op, (values(3, 4),)) for op in (Sigmoid(), Tanh()))
MUL = Example(Mul(), (values(3, 4), values(4)))
PRODUCT = Example(Matmul(), (values(2, 3), values(3, 4)))
CONV = Example(Conv2d(), (values(2, 3, 4, 5), values(2, 3, 3, 2), None))
NORM = Example(BatchNorm(), (values(4, 2, 3), values(2), None))


def outside(x: Any) -> Any:
    """The same values, cut out of the graph."""
    return x.detach() if isinstance(x, Tensor) else x


@wrong(SIGMOID, "grad_x", "y outside of the graph", "never computed", order=2)
def _(op: Any, g: Any, y: Any) -> Any:
    y = outside(y)
    return g * (y * (1 - y))


@wrong(TANH, "grad_x", "one y of y² outside", "factor", says="1 / 2", order=2)
def _(op: Any, g: Any, y: Any) -> Any:
    return g * (1 - y * outside(y))


@wrong(MUL, "grad_a", "b outside of the graph", "never computed", tensor="b", order=2)
def _(op: Any, g: Any, b: Any) -> Any:
    return g * outside(b)


@wrong(PRODUCT, "grad_a", "g outside of the graph", "part missing", tensor="g", order=2)
def _(op: Any, g: Any, b: Any) -> Any:
    return Matmul()(outside(g), transposed(b))


@wrong(CONV, "grad_x", "w outside of the graph", "never computed", tensor="w", order=2)
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    return Conv2d.grad_x(op, g, outside(w), x_shape)


wrong(
    NORM,
    "mu",
    "the mean outside of the graph",
    "constant",
    tensor="x",
    order=2,
)(lambda op, x: np.mean(x._array, axis=(0, 2), keepdims=True))
