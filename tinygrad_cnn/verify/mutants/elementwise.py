"""Wrong gradients of activations, of arithmetic and of what selects, entry by entry."""

from functools import partial

import numpy as np

from ...ops.activation import Atan, Hardtanh, LeakyReLU, ReLU, Sigmoid, Tanh
from ...ops.arithmetic import Add, Div, Exp, Log, Mul, Pow, Sqrt, Sub
from ...ops.classification import SquaredError
from ...ops.selection import Abs, Clip, Maximum, Where
from .mutant import Example, values, wrong

X, SECOND = values(4, 5), values(4, 5, draw=1)
POSITIVE, OTHER = values(4, 5, low=0.4, draw=2), values(4, 5, low=0.5, draw=3)
SQUARE = Example(Mul(), (X,), compose=lambda op: lambda x: op(x, x))

relu = partial(wrong, Example(ReLU(), (X,)), "grad_x")
relu("mask missing", "mask missing")(lambda op, g: g)
relu("mask the wrong way round", "mask inverted")(lambda op, g, y: g * (y <= 0))
relu("mask made of g", "mask of g")(lambda op, g: g * (g > 0))
relu("multiplied by x", "extra factor: times")(lambda op, g, x, y: g * x * (y > 0))

leaky_relu = partial(wrong, Example(LeakyReLU(0.1), (X,)), "grad_x")
leaky_relu("slope forgotten", "negative_slope")(lambda op, g, x: g * (x > 0))

sigmoid = partial(wrong, Example(Sigmoid(), (X,)), "grad_x")
sigmoid("y (1 − y) with x in the place of y", "wrong operand")(
    lambda op, g, x: g * x * (1 - x)
)
sigmoid("σ′ taken at y instead of x", "wrong point")(
    lambda op, g, y: g * np.exp(-y) / (1 + np.exp(-y)) ** 2
)
sigmoid("1 − y forgotten", "missing factor: (1 − y) is missing")(lambda op, g, y: g * y)

tanh = partial(wrong, Example(Tanh(), (X,)), "grad_x")
tanh("the square forgotten", "missing factor: (1 + y)")(lambda op, g, y: g * (1 - y))
tanh("g passed on", "derivative missing")(lambda op, g: g)

atan = partial(wrong, Example(Atan(), (X,)), "grad_x")
atan("1 + y² in the place of 1 + x²", "wrong operand: y stands")(
    lambda op, g, y: g / (1 + y * y)
)

hardtanh = partial(wrong, Example(Hardtanh(), (X,)), "grad_a")
hardtanh("mask missing", "mask missing")(lambda op, g: g)

clip = partial(wrong, Example(Clip(-1.0, 0.5), (X,)), "grad_a")
clip("only the values cut off", "mask inverted")(
    lambda op, g, a: g * ((a < op.low) | (a > op.high))
)

exp = partial(wrong, Example(Exp(), (POSITIVE,)), "grad_a")
exp("a in the place of y", "wrong operand: a stands where y")(lambda op, g, a: g * a)

log = partial(wrong, Example(Log(), (POSITIVE,)), "grad_a")
log("multiplied, not divided", "inverted factor")(lambda op, g, a: g * a)

sqrt = partial(wrong, Example(Sqrt(), (POSITIVE,)), "grad_a")
sqrt("2 forgotten", "factor: times 2")(lambda op, g, y: g / y)

absolute = partial(wrong, Example(Abs(), (X,)), "grad_a")
absolute("sign forgotten", "derivative missing")(lambda op, g: g)

sub = partial(wrong, Example(Sub(), (X, OTHER)), "grad_b")
sub("wrong sign", "sign")(lambda op, g: g)

add = partial(wrong, Example(Add(), (X, values(5))), "broadcasts")
add("broadcast not summed", "not summed", tensor="b")(False)

mul = partial(wrong, Example(Mul(), (X, OTHER)), "grad_a")
mul("a in the place of b", "wrong operand: a stands where b")(lambda op, g, a: g * a)

square = partial(wrong, SQUARE, "grad_b")
square("x · x, of which only one x counts", "factor: used twice", tensor="x")(
    lambda op, g: 0 * g
)

div = partial(wrong, Example(Div(), (X, OTHER)), "grad_b")
div("divided by b once instead of twice", "extra factor: times b")(
    lambda op, g, a, b: -g * a / b
)

power = partial(wrong, Example(Pow(), (POSITIVE, OTHER)), "grad_a")
power("the exponent not in front", "missing factor: factor b")(
    lambda op, g, a, b: g * a ** (b - 1)
)

squared_error = partial(wrong, Example(SquaredError(), (X, OTHER)), "grad_a")
squared_error("2 forgotten", "factor: 1 / 2")(lambda op, g, a, b: g * (a - b))

maximum = partial(wrong, Example(Maximum(), (X, SECOND)), "grad_a")
maximum("g to both inputs", "mask missing")(lambda op, g: g)

where = partial(wrong, Example(Where(), (X > 0, X, OTHER)), "grad_a")
where("the gradient of b", "mask inverted")(lambda op, g, condition: g * ~condition)
