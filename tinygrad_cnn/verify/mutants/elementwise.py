"""Wrong gradients of activations, of arithmetic and of what selects, entry by entry."""

from typing import Any

import numpy as np

from ...ops.activation import Atan, Hardtanh, LeakyReLU, ReLU, Sigmoid, Tanh
from ...ops.arithmetic import Add, Div, Exp, Log, Mul, Pow, Sqrt, Sub
from ...ops.classification import SquaredError
from ...ops.selection import Abs, Clip, Maximum, Where
from .mutant import Example, values, wrong

X, SECOND = values(4, 5), values(4, 5, draw=1)
POSITIVE, OTHER = values(4, 5, low=0.4, draw=2), values(4, 5, low=0.5, draw=3)
RELU, LEAKY = Example(ReLU(), (X,)), Example(LeakyReLU(0.1), (X,))
SIGMOID, TANH, ATAN = (
    Example(Sigmoid(), (X,)),
    Example(Tanh(), (X,)),
    Example(Atan(), (X,)),
)
HARDTANH, CLIP = Example(Hardtanh(), (X,)), Example(Clip(-1.0, 0.5), (X,))
EXP, LOG, SQRT = (Example(op, (POSITIVE,)) for op in (Exp(), Log(), Sqrt()))
ABS = Example(Abs(), (X,))
ADD = Example(Add(), (X, values(5)))
SUB, MUL, DIV = (Example(op, (X, OTHER)) for op in (Sub(), Mul(), Div()))
POW = Example(Pow(), (POSITIVE, OTHER))
SQUARE = Example(Mul(), (X,), compose=lambda op: lambda x: op(x, x))
ERROR = Example(SquaredError(), (X, OTHER))
MAXIMUM = Example(Maximum(), (X, SECOND))
CHOICE = Example(Where(), (X > 0, X, OTHER))


@wrong(RELU, "grad_x", "mask missing", "mask missing")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(RELU, "grad_x", "mask the wrong way round", "mask inverted")
def _(op: Any, g: Any, y: Any) -> Any:
    return g * (y <= 0)


@wrong(RELU, "grad_x", "mask made of g", "mask of g")
def _(op: Any, g: Any) -> Any:
    return g * (g > 0)


@wrong(RELU, "grad_x", "multiplied by x", "extra factor", says="times")
def _(op: Any, g: Any, x: Any, y: Any) -> Any:
    return g * x * (y > 0)


@wrong(LEAKY, "grad_x", "slope forgotten", "negative_slope")
def _(op: Any, g: Any, x: Any) -> Any:
    return g * (x > 0)


@wrong(SIGMOID, "grad_x", "y (1 − y) with x in the place of y", "wrong operand")
def _(op: Any, g: Any, x: Any) -> Any:
    return g * x * (1 - x)


@wrong(SIGMOID, "grad_x", "σ′ taken at y instead of x", "wrong point")
def _(op: Any, g: Any, y: Any) -> Any:
    s = 1 / (1 + np.exp(-y))
    return g * s * (1 - s)


@wrong(
    SIGMOID, "grad_x", "1 − y forgotten", "missing factor", says="(1 − y) is missing"
)
def _(op: Any, g: Any, y: Any) -> Any:
    return g * y


@wrong(TANH, "grad_x", "the square forgotten", "missing factor", says="(1 + y)")
def _(op: Any, g: Any, y: Any) -> Any:
    return g * (1 - y)


@wrong(TANH, "grad_x", "g passed on", "derivative missing")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(
    ATAN, "grad_x", "1 + y² in the place of 1 + x²", "wrong operand", says="y stands"
)
def _(op: Any, g: Any, y: Any) -> Any:
    return g / (1 + y * y)


@wrong(HARDTANH, "grad_x", "mask missing", "mask missing")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(CLIP, "grad_a", "only the values cut off", "mask inverted")
def _(op: Any, g: Any, a: Any) -> Any:
    return g * ((a < op.low) | (a > op.high))


@wrong(EXP, "grad_a", "a in the place of y", "wrong operand", says="a stands where y")
def _(op: Any, g: Any, a: Any) -> Any:
    return g * a


@wrong(LOG, "grad_a", "multiplied, not divided", "inverted factor")
def _(op: Any, g: Any, a: Any) -> Any:
    return g * a


@wrong(SQRT, "grad_a", "2 forgotten", "factor", says="times 2")
def _(op: Any, g: Any, y: Any) -> Any:
    return g / y


@wrong(ABS, "grad_a", "sign forgotten", "derivative missing")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(SUB, "grad_b", "wrong sign", "sign")
def _(op: Any, g: Any) -> Any:
    return g


wrong(ADD, "broadcasts", "broadcast not summed", "not summed", tensor="b")(False)


@wrong(MUL, "grad_a", "a in the place of b", "wrong operand", says="a stands where b")
def _(op: Any, g: Any, a: Any) -> Any:
    return g * a


@wrong(SQUARE, "grad_b", "x · x, of which only one x counts", "factor", says="used twice",
       tensor="x")  # fmt: skip
def _(op: Any, g: Any) -> Any:
    return 0 * g


@wrong(
    DIV, "grad_b", "divided by b once instead of twice", "extra factor", says="times b"
)
def _(op: Any, g: Any, a: Any, b: Any) -> Any:
    return -g * a / b


@wrong(POW, "grad_a", "the exponent not in front", "missing factor", says="factor b")
def _(op: Any, g: Any, a: Any, b: Any) -> Any:
    return g * a ** (b - 1)


@wrong(ERROR, "grad_a", "2 forgotten", "factor", says="1 / 2")
def _(op: Any, g: Any, a: Any, b: Any) -> Any:
    return g * (a - b)


@wrong(MAXIMUM, "grad_a", "g to both inputs", "mask missing")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(CHOICE, "grad_a", "the gradient of b", "mask inverted")
def _(op: Any, g: Any, condition: Any) -> Any:
    return g * ~condition
