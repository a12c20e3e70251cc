"""Element-wise kernels: one pass each, vectorised, on several threads where it is worth it.

What they compute stands in `reference`. Constants get the type of the values, `of`: with a
number of Python's, Numba would compute in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numba.extending import register_jitable

from .. import reference
from . import exponential
from .calls import FLOATS, Array, Call, InParts, run
from .exponential import exp, expm1, log1p
from .sums import block_of

LARGE = 16_384
"""Values from which on a compiled loop is faster than one function of NumPy's."""


def lies_in_order(x: Array) -> bool:
    """Whether x lies in one piece, in C order or with the batch innermost."""
    if x.flags.c_contiguous:
        return True
    return x.transpose(*range(1, x.ndim), 0).flags.c_contiguous


def readable(x: Array) -> bool:
    """Whether a kernel that goes through the values one by one can read them in place."""
    return x.flags.writeable and lies_in_order(x) and x.dtype.char in FLOATS


def alike(x: Array, other: Array) -> bool:
    """Whether the values of both lie in the same order."""
    if x.shape != other.shape:
        return False
    if x.flags.c_contiguous and other.flags.c_contiguous:
        return True
    axes = zip(x.shape, x.strides, other.strides, strict=True)
    one, two = x.itemsize, other.itemsize
    return all(count == 1 or s * two == t * one for count, s, t in axes)


def value_of(*values: Any) -> Any:
    """What the loops call; another function in the place of this one for each kernel."""


@register_jitable
def runs_of(part: int, parts: int, size: int, n: int) -> tuple[int, int, int, int]:
    """Of flat arrays with n images innermost, those values that are a part's: where they
    begin, how many runs there are, how far apart, and how long.
    """
    start, stop, first, last = block_of(part, parts, size // n, n)
    if last - first == n:
        return start * n, 1, 0, (stop - start) * n
    return start * n + first, stop - start, n, last - first


def each_of_one(part: int, parts: int, n: int, x: Array, y: Array) -> None:
    """y = f(x) of flat arrays with n images innermost."""
    start, count, step, size = runs_of(part, parts, x.size, n)
    for at in range(count):
        first = start + at * step
        x_run, y_run = x[first : first + size], y[first : first + size]
        for i in range(size):
            y_run[i] = value_of(x_run[i])


def each_of_two(part: int, parts: int, n: int, a: Array, b: Array, y: Array) -> None:
    """y = f(a, b)."""
    start, count, step, size = runs_of(part, parts, a.size, n)
    for at in range(count):
        first = start + at * step
        a_run, b_run = a[first : first + size], b[first : first + size]
        y_run = y[first : first + size]
        for i in range(size):
            y_run[i] = value_of(a_run[i], b_run[i])


def each_of_one_with(
    part: int, parts: int, n: int, x: Array, y: Array, p: Any, q: Any, r: Any
) -> None:
    """y = f(x, p, q, r), with numbers."""
    start, count, step, size = runs_of(part, parts, x.size, n)
    for at in range(count):
        first = start + at * step
        x_run, y_run = x[first : first + size], y[first : first + size]
        for i in range(size):
            y_run[i] = value_of(x_run[i], p, q, r)


def each_of_two_with(
    part: int,
    parts: int,
    n: int,
    a: Array,
    b: Array,
    y: Array,
    p: Any,
    q: Any,
    r: Any,
) -> None:
    """y = f(a, b, p, q, r), with numbers."""
    start, count, step, size = runs_of(part, parts, a.size, n)
    for at in range(count):
        first = start + at * step
        a_run, b_run = a[first : first + size], b[first : first + size]
        y_run = y[first : first + size]
        for i in range(size):
            y_run[i] = value_of(a_run[i], b_run[i], p, q, r)


LOOPS = {2: each_of_one, 3: each_of_two}
LOOPS |= {5: each_of_one_with, 6: each_of_two_with}
"""By how many arguments they have behind the parts."""


class Map(InParts):
    """The kernel that writes f of each value of one array, or of two, and of numbers.

    Called, it makes the result, laid out as the first array is. Where there are fewer
    values than `least`, or what no kernel reads, the function of its name in `reference`
    serves. weight: the products that a value is worth.
    """

    def __init__(self, f: Callable[..., Any], weight: int, least: int = 0) -> None:
        self.name, self.weight, self.least = f.__name__[:-3], weight, least
        count = f.__code__.co_argcount
        self.arrays = 1 if count in (1, 4) else 2
        value = register_jitable(forceinline=True)(f)
        code = LOOPS[count + 1].__code__
        # Compiled code is kept by the name of the function, as in `InParts`.
        loop = FunctionType(code, globals() | {"value_of": value})
        loop.__name__ = loop.__qualname__ = f"each_{self.name}"
        super().__init__(loop)

    def __call__(self, x: Array, *others: Any) -> Array:
        """f of each value of x (and of another array, one each), and of the numbers."""
        if x.size < self.least or not readable(x):
            return self._plain(x, *others)
        y = np.empty_like(x)
        if self.arrays == 1:
            run(map_call(self, x, y, *others))
            return y
        other, *numbers = others
        if other.shape != x.shape or other.dtype not in (x.dtype, np.bool_):
            return self._plain(x, *others)
        if not (other.flags.writeable and alike(x, other)):
            laid = np.empty_like(x, other.dtype)
            laid[...] = other
            other = laid
        run(map_call(self, x, other, y, *numbers))
        return y

    def _plain(self, *arguments: Any) -> Array:
        function: Callable[..., Array] = getattr(reference, self.name)
        return function(*arguments)


def map_call(kernel: Map, *arguments: Any) -> Call:
    """Write the last of the arrays, which lie alike and in one piece, from those before;
    behind them, the numbers that f takes.
    """
    x, count = arguments[0], kernel.arrays + 1
    flat = [v.ravel("K") for v in arguments[:count]]  # views
    if numbers := arguments[count:]:
        # The loops take three of them, or none.
        flat += [x.dtype.type(number) for number in (*numbers, 0, 0)[:3]]
    n = 1 if x.flags.c_contiguous else len(x)
    return kernel.call(kernel.weight * x.size, n, *flat)


# ------------------------------------------------------------- what they do with a value


def relu_of(x: Any) -> Any:
    return type(x)(0) if x < 0 else x


def keep_of(x: Any, kept: Any) -> Any:
    return x if kept else type(x)(0)


def gate_of(x: Any, by: Any) -> Any:
    return type(x)(0) if by <= 0 else x


def bend_of(x: Any, kept: Any, slope: Any, _: Any, __: Any) -> Any:
    return x if kept else slope * x


def erf_of(x: Any) -> Any:
    return exponential.erf(x)


@register_jitable(forceinline=True)
def logistic(x: Any) -> Any:
    """1 / (1 + e⁻ˣ), from e^−|x|, which cannot overflow."""
    one, power = type(x)(1), exp(-abs(x))
    return (one if x >= 0 else power) / (one + power)


def sigmoid_of(x: Any) -> Any:
    return logistic(x)


def sigmoid_input_of(g: Any, y: Any) -> Any:
    return g * (y * (type(y)(1) - y))


def tanh_input_of(g: Any, y: Any) -> Any:
    return g * (type(y)(1) - y * y)


def silu_of(x: Any) -> Any:
    return x / (type(x)(1) + exp(-x))


def silu_input_of(g: Any, x: Any) -> Any:
    share = logistic(x)
    return g * (share + x * share * (type(x)(1) - share))


def gelu_of(x: Any) -> Any:
    of = type(x)
    return x * (of(1) + exponential.erf(x * of(ROOT_HALF))) * of(0.5)


def gelu_input_of(g: Any, x: Any) -> Any:
    of = type(x)
    share = (of(1) + exponential.erf(x * of(ROOT_HALF))) * of(0.5)
    return g * (share + x * exp(x * x * of(-0.5)) * of(DENSITY))


ROOT_HALF, DENSITY = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)


def elu_of(x: Any, alpha: Any, scale: Any, rate: Any) -> Any:
    return scale * (alpha * expm1(rate * x) if x <= 0 else x)


def elu_input_of(g: Any, x: Any, alpha: Any, scale: Any, rate: Any) -> Any:
    bent = alpha * rate * exp(rate * (x if x <= 0 else type(x)(0)))
    return g * scale * (bent if x <= 0 else type(x)(1))


def softplus_of(x: Any, beta: Any, threshold: Any, _: Any) -> Any:
    z = x * beta
    soft = (log1p(exp(-abs(z))) + (z if z > 0 else type(x)(0))) / beta
    return x if z > threshold else soft


def softplus_input_of(g: Any, x: Any, beta: Any, threshold: Any, _: Any) -> Any:
    z = x * beta
    return g if z > threshold else g * logistic(z)


FEW, MANY = 4, 32

relu, keep, gate = Map(relu_of, FEW, LARGE), Map(keep_of, FEW, LARGE), Map(gate_of, FEW)
bend, tanh_input = Map(bend_of, FEW), Map(tanh_input_of, FEW)
sigmoid, sigmoid_input = Map(sigmoid_of, MANY), Map(sigmoid_input_of, FEW)
silu, silu_input = Map(silu_of, MANY), Map(silu_input_of, MANY)
erf, gelu, gelu_input = (Map(f, MANY) for f in (erf_of, gelu_of, gelu_input_of))
elu, elu_input = Map(elu_of, MANY), Map(elu_input_of, MANY)
softplus, softplus_input = Map(softplus_of, MANY), Map(softplus_input_of, MANY)
