"""Rules whose gradient is right, and whose gradient's gradient is not.

They compute with values outside of the graph: at first order nobody sees it.
"""

from functools import partial

import numpy as np

from ...core.engine import Tensor
from ...ops.activation import Sigmoid, Tanh
from ...ops.arithmetic import Mul
from ...ops.base import Value
from ...ops.convolution import Conv2d
from ...ops.linear import Matmul, transposed
from ...ops.normalization import BatchNorm
from .mutant import Example, values, wrong

X = values(3, 4)
CONV = Example(Conv2d(), (values(2, 3, 4, 5), values(2, 3, 3, 2), None))
NORM = Example(BatchNorm(), (values(4, 2, 3), values(2), None))


def outside(x: Value) -> Value:
    """The same values, cut out of the graph."""
    return x.detach() if isinstance(x, Tensor) else x


sigmoid = partial(wrong, Example(Sigmoid(), (X,)), "grad_x", order=2)
sigmoid("y outside of the graph", "never computed")(
    lambda op, g, y: g * (outside(y) * (1 - outside(y)))
)

tanh = partial(wrong, Example(Tanh(), (X,)), "grad_x", order=2)
tanh("one y of y² outside", "factor: 1 / 2")(lambda op, g, y: g * (1 - y * outside(y)))

mul = partial(wrong, Example(Mul(), (X, values(4))), "grad_a", tensor="b", order=2)
mul("b outside of the graph", "never computed")(lambda op, g, b: g * outside(b))

product = partial(wrong, Example(Matmul(), (values(2, 3), X)), "grad_a", order=2)
product("g outside of the graph", "part missing", tensor="g")(
    lambda op, g, b: Matmul()(outside(g), transposed(b))
)

conv = partial(wrong, CONV, "grad_x", tensor="w", order=2)
conv("w outside of the graph", "never computed")(
    lambda op, g, w, x_shape: Conv2d.grad_x(op, g, outside(w), x_shape)
)

norm = partial(wrong, NORM, "mu", tensor="x", order=2)
norm("the mean outside of the graph", "constant")(
    lambda op, x: np.mean(x._array, axis=(0, 2), keepdims=True)
)
