"""One case or more for each registered operation: how to draw it, its inputs, its oracle.

A case is a function of a `Draw` that returns an `Example`. Points lie away from kinks and
ties by construction (at least 0.05), since most tests differentiate there; what happens at
kinks and ties is documented behaviour, and tested as such.
"""

import math
import operator
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import oracles

from tinygrad_cnn import Tensor, autograd, tensor
from tinygrad_cnn.kernels import Window
from tinygrad_cnn.ops import (
    activation,
    arithmetic,
    classification,
    convolution,
    cumulative,
    elementary,
    gelu,
    linear,
    normalization,
    pooling,
    reduction,
    resampling,
    selection,
    shape,
)
from tinygrad_cnn.ops.base import Op

# ------------------------------------------------------------------------- drawing


def _sliced(x):
    y = np.zeros([2 * s + 1 for s in x.shape], x.dtype)
    y = y[(..., *[slice(1, None, 2)] * x.ndim)]
    y[...] = x
    return y


def _reversed(x):
    back = (..., *[slice(None, None, -1)] * x.ndim)
    return np.array(x[back], order="C")[back]


def _batch_innermost(x):
    return x if x.ndim < 2 else np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0)


LAYOUTS = {
    "row-major": partial(np.array, order="C"),
    "column-major": partial(np.array, order="F"),
    "negative strides": _reversed,
    "every second value": _sliced,
    "batch innermost": _batch_innermost,
}


class Draw:
    """Draws numbers, shapes and arrays: of `dtype`, in any memory layout.

    With `empty`, every batch is of size 0.
    """

    def __init__(self, seed, dtype=np.float64, empty=False):
        self.rng = np.random.default_rng(seed)
        self.dtype, self.empty = np.dtype(dtype), empty

    def int(self, low, high):
        return int(self.rng.integers(low, high, endpoint=True))

    def of(self, options):
        options = list(options)
        return options[self.int(0, len(options) - 1)]

    def bool(self):
        return self.int(0, 1) == 1

    def maybe(self, value):
        return value if self.bool() else None

    def pair(self, low, high):
        return self.int(low, high), self.int(low, high)

    def batch(self):
        return 0 if self.empty else self.int(1, 2)

    def sizes(self, least, most):
        return tuple(self.int(1, 3) for _ in range(self.int(least, most)))

    def shape(self, least=0, most=3):
        """The sizes of a batch and of other axes; without any axes, of one number."""
        ndim = self.int(max(least, self.empty), most)
        return (self.batch(), *self.sizes(ndim - 1, ndim - 1)) if ndim else ()

    def narrowed(self, shape):
        """A shape that broadcasts to this one."""
        lead = self.int(0, len(shape))
        return tuple(s if self.bool() else 1 for s in shape[lead:])

    def meeting(self, count=2):
        """Shapes that broadcast together; the first is the result's."""
        full = self.shape()
        return full, *(self.narrowed(full) for _ in range(count - 1))

    def rotated(self, items):
        at = self.int(0, len(items) - 1)
        return (*items[at:], *items[:at])

    def axis(self, ndim):
        """None, or one axis or more, some counted from behind."""
        axes = [a - ndim * self.bool() for a in range(ndim) if self.bool()]
        return tuple(axes) or None

    def values(self, shape, low=-2.0, high=2.0):
        """Uniform; now and then one image, repeated by a stride of 0."""
        x = np.asarray(self.rng.uniform(low, high, shape), self.dtype)
        if x.ndim and self.int(0, 5) == 5:
            return np.broadcast_to(x[:1], shape)
        return self.laid(x)

    def away(self, shape, *kinks):
        """Uniform, but 0.1 or more from each kink (which are 1 or more apart)."""
        x = self.rng.uniform(-2, 2, shape)
        for kink in kinks:
            x = np.where(np.abs(x - kink) < 0.1, kink + np.copysign(0.1, x - kink), x)
        return self.laid(np.asarray(x, self.dtype))

    def distinct(self, *shapes):
        """Arrays whose values, all together, are 0.1 apart or more, and 0.05 from 0."""
        sizes = [math.prod(s) for s in shapes]
        total = sum(sizes)
        values = 0.1 * (self.rng.permutation(total) - total // 2) + 0.05
        parts = np.split(values.astype(self.dtype), np.cumsum(sizes)[:-1])
        found = [self.laid(v.reshape(s)) for v, s in zip(parts, shapes, strict=True)]
        return tuple(found) if len(found) > 1 else found[0]

    def mask(self, shape):
        return self.laid(self.rng.random(shape) < 0.5)

    def integers(self, high, shape):
        return self.laid(self.rng.integers(0, high, shape))

    def laid(self, x):
        return LAYOUTS[self.of(LAYOUTS)](np.asarray(x))

    def window(self, half=False):
        """A window, and the size of an input that it fits; `half`: pools' padding."""
        kernel = self.pair(1, 3)
        stride = self.of((self.pair(1, 3), kernel, (1, 1)))
        dilation = self.pair(1, 2) if self.bool() else (1, 1)
        most = [k // 2 for k in kernel] if half else (2, 2)
        padding = tuple(self.int(0, p) for p in most) if self.bool() else (0, 0)
        size = (
            max(d, d * (k - 1) + 1 - 2 * p) + self.int(0, 2)
            for k, p, d in zip(kernel, padding, dilation, strict=True)
        )
        return Window(kernel, stride, padding, dilation), tuple(size)

    def arguments(self, window, *names, **defaults):
        """Fields of a window as arguments: numbers or pairs; defaults may be left out."""
        defaults = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)} | defaults
        given = {n: getattr(window, n) for n in names}
        given = {n: v for n, v in given.items() if v != defaults[n] or self.bool()}
        number = [n for n, (y, x) in given.items() if y == x and self.bool()]
        return given | {n: given[n][0] for n in number}

    def some(self, **options):
        """Some of these arguments."""
        return {name: value for name, value in options.items() if self.bool()}


# ------------------------------------------------------------------------- examples


@dataclass
class Example:
    """An operation, inputs for it (arrays, or numbers and None), and its oracle."""

    op: Op
    inputs: tuple[Any, ...]
    oracle: Callable[..., Any]
    rng: np.random.Generator
    wrt: list[int]
    """Which inputs are differentiated: some of the arrays not declared constant."""

    def name(self, i):
        return self.op.inputs[0 if self.op.variadic else i]

    @np.errstate(all="ignore")  # as the engine does: inf and NaN are results
    def result(self):
        return np.asarray(self.op(*self.inputs))

    def expected(self):
        return self.oracle(*(_plain(x) for x in self.inputs))

    def differentiated(self):
        return [self.inputs[i] for i in self.wrt]

    def cotangent(self):
        """Random, never ones, in the layout of the result."""
        y = self.result()
        g = np.empty_like(y)
        g[...] = self.rng.uniform(0.5, 1.5, y.shape) * self.rng.choice([-1, 1], y.shape)
        return g

    def with_inputs(self, change):
        """The same example with each array of `inputs` changed."""
        changed = (change(x) if is_array(x) else x for x in self.inputs)
        return replace(self, inputs=tuple(changed))

    def with_differentiated(self, arrays):
        """The same example with other arrays in the places of `wrt`."""
        inputs = list(self.inputs)
        for i, x in zip(self.wrt, arrays, strict=True):
            inputs[i] = x
        return replace(self, inputs=tuple(inputs))

    def recorded(self):
        """The leaves, one per differentiated input, and the recorded result."""
        leaves = [leaf_on(x) for x in self.differentiated()]
        return leaves, self.op(*self.with_differentiated(leaves).inputs)

    def gradients(self, g, create_graph=False):
        """∂⟨g, y⟩/∂x for each differentiated input, as arrays."""
        leaves, y = self.recorded()
        found = autograd.grad(y, leaves, leaf_on(g), create_graph=create_graph)
        return [d._array for d in found]

    def second_gradients(self, g, cotangents):
        """∂/∂(inputs, g) of Σ ⟨cotangent, ∂⟨g, y⟩/∂x⟩, as arrays."""
        leaves, y = self.recorded()
        leaves_and_g = [*leaves, leaf_on(g)]
        first = autograd.grad(y, leaves, leaves_and_g[-1], create_graph=True)
        found = autograd.grad(
            first,
            leaves_and_g,
            [leaf_on(c) for c in cotangents],
            materialize_grads=True,
        )
        return [d._array for d in found]


def is_array(x):
    return isinstance(x, np.ndarray)


def leaf(*numbers):
    """A float32 Tensor of these numbers that asks for a gradient."""
    return tensor(list(map(float, numbers)), requires_grad=True)


def leaf_on(x):
    """A Tensor on these very bytes, strides included, that asks for a gradient."""
    return Tensor._wrap(x.view()).requires_grad_()


def _plain(x):
    """For an oracle: floats as row-major float64, anything else as it is."""
    is_float = is_array(x) and x.dtype.kind == "f"
    return np.array(x, np.float64, order="C") if is_float else x


@dataclass(frozen=True)
class Case:
    """How to draw examples of one operation."""

    op: type[Op]
    draw: Callable[[Draw], Example]
    linear: tuple[str, ...] = ()
    """Inputs in which the result is linear (or affine), the others being fixed."""
    label: str = ""

    def __str__(self):
        return self.op.__name__ + self.label


CASES: list[Case] = []


def case(op, linear="", label=""):
    """Register a function that draws (operation, inputs, oracle)."""

    def register(function):
        def draw(d):
            example = Example(*function(d), d.rng, [])
            arrays = (i for i, x in enumerate(example.inputs) if is_array(x))
            able = [i for i in arrays if example.name(i) not in op.constant]
            wrt = [i for i in able if d.int(0, 3)] or able
            return replace(example, wrt=wrt)

        CASES.append(Case(op, draw, tuple(linear.split()), label))
        return function

    return register


# --------------------------------------------------------------- element by element


def unary(op, f, linear="", kinks=(), low=-2.0, high=2.0):
    """A case for an operation on each element; f is the same in Python numbers."""

    @case(op, linear)
    def _(d):
        shape = d.shape()
        x = d.away(shape, *kinks) if kinks else d.values(shape, low, high)
        return op(), (x,), oracles.each(f)


unary(activation.ReLU, lambda x: max(x, 0.0), kinks=(0,))
unary(activation.Sigmoid, oracles.logistic)
unary(activation.Tanh, math.tanh)
unary(activation.Atan, math.atan)
unary(arithmetic.Neg, operator.neg, "a")
unary(arithmetic.Exp, math.exp)
unary(arithmetic.Log, math.log, low=0.3, high=3)
unary(arithmetic.Sqrt, math.sqrt, low=0.3, high=3)
unary(elementary.Sin, math.sin)
unary(elementary.Cos, math.cos)
unary(elementary.Tan, math.tan, low=-1.2, high=1.2)
unary(elementary.Asin, math.asin, low=-0.9, high=0.9)
unary(elementary.Acos, math.acos, low=-0.9, high=0.9)
unary(elementary.Sinh, math.sinh)
unary(elementary.Cosh, math.cosh)
unary(elementary.Asinh, math.asinh)
unary(elementary.Acosh, math.acosh, low=1.3, high=3)
unary(elementary.Atanh, math.atanh, low=-0.9, high=0.9)
unary(elementary.Expm1, math.expm1)
unary(elementary.Log1p, math.log1p, low=-0.7)
unary(elementary.Log2, math.log2, low=0.3, high=3)
unary(elementary.Log10, math.log10, low=0.3, high=3)
unary(elementary.Erf, oracles.erf)
unary(elementary.Erfc, lambda x: 1 - oracles.erf(x))
unary(selection.Sign, lambda a: math.copysign(1, a) if a == a else 0.0, kinks=(0,))
unary(selection.Abs, abs, kinks=(0,))


@case(selection.Round)
def _(d):
    ways = {"below": math.floor, "above": math.ceil, "zero": math.trunc}
    to, f = d.of((ways | {"nearest": round}).items())
    x = d.away(d.shape(), -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2)
    return selection.Round(to), (x,), oracles.each(lambda v: f(v) if v == v else v)


unary(activation.LogSigmoid, lambda x: math.log(oracles.logistic(x)))
unary(activation.SiLU, lambda x: x / (1 + math.exp(-x)))
unary(activation.Mish, lambda x: x * math.tanh(math.log(1 + math.exp(x))))
unary(gelu.GELU, lambda x: x * statistics.NormalDist().cdf(x))
unary(
    gelu.TanhGELU,
    lambda x: x / (1 + math.exp(-math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))),
)


def with_options(op, f, **choices):
    """As `unary`, for an operation with options; f takes them too. Kinks are at 0 or, by
    the name of an option, there and at its negative.
    """

    @case(op)
    def _(d):
        options = {name: d.of(values) for name, values in choices.items()}
        cut = options.get("lambd", options.get("threshold", 0) / options.get("beta", 1))
        x = d.away(d.shape(), *{-cut, cut})
        return op(**options), (x,), oracles.each(lambda v: f(v, **options))


with_options(
    activation.ELU,
    lambda v, alpha, scale, rate: (
        scale * (v if v > 0 else alpha * (math.exp(rate * v) - 1))
    ),
    alpha=(1.0, 0.5),
    scale=(1.0, 1.5),
    rate=(1.0, 2.0),
)
with_options(
    activation.Softplus,
    lambda v, beta, threshold: (
        math.log(1 + math.exp(beta * v)) / beta if beta * v <= threshold else v
    ),
    beta=(1.0, 0.5),
    threshold=(20.0, 0.6),
)
with_options(
    activation.Hardshrink,
    lambda v, lambd: 0.0 if abs(v) <= lambd else v,
    lambd=(0.5, 1),
)
with_options(
    activation.Softshrink,
    lambda v, lambd: math.copysign(max(abs(v) - lambd, 0), v),
    lambd=(0.5, 1),
)
with_options(
    activation.Threshold,
    lambda v, threshold, value: value if v <= threshold else v,
    threshold=(0.5, -1),
    value=(20.0, 0.0),
)


@case(activation.PReLU)
def _(d):
    s = d.shape()
    slope = d.values(d.narrowed(s))
    sloped = oracles.each(lambda x, w: x if x > 0 else w * x)
    return activation.PReLU(), (d.away(s, 0), slope), sloped


@case(activation.LeakyReLU)
def _(d):
    a = d.of((0.01, 0.3, -0.5, 0.0))
    x = d.away(d.shape(), 0)
    return activation.LeakyReLU(a), (x,), oracles.each(lambda v: v if v > 0 else a * v)


@case(activation.Bend)
def _(d):
    slope, s = d.of((0.01, 0.3, -0.5, 0.0)), d.shape()
    bent = oracles.each(lambda x, kept: x if kept else slope * x)
    return activation.Bend(slope), (d.values(s), d.mask(s)), bent


@case(activation.Hardtanh)
def _(d):
    low, high = d.of((-1.0, -0.75)), d.of((1.0, 0.5))
    clipped = oracles.each(lambda v: min(max(v, low), high))
    return activation.Hardtanh(low, high), (d.away(d.shape(), low, high),), clipped


@case(selection.Clip)
def _(d):
    low, high = d.of(((None, 0.5), (-0.5, None), (-0.5, 0.75), (-1, 1)))
    bounds = [-math.inf if low is None else low, math.inf if high is None else high]
    clipped = oracles.each(lambda v: min(max(v, bounds[0]), bounds[1]))
    kinks = [b for b in (low, high) if b is not None]
    return selection.Clip(low, high), (d.away(d.shape(), *kinks),), clipped


@case(activation.Keep, "x")
def _(d):
    s = d.shape()
    kept = oracles.each(lambda x, mask: x if mask else 0.0)
    return activation.Keep(), (d.values(s), d.mask(s)), kept


@case(activation.Gate, "x")
def _(d):
    s = d.shape()
    passed = oracles.each(lambda x, by: x if by > 0 else 0.0)
    return activation.Gate(), (d.values(s), d.away(s, 0)), passed


@case(normalization.Dropout, "x")
def _(d):
    s, p = d.shape(), 0.25
    m = d.mask(s).astype(d.dtype) / (1 - p)
    return normalization.Dropout(p), (d.values(s), m), oracles.each(operator.mul)


def operands(d, low=-2.0, high=2.0):
    """Two arrays that broadcast, in either order, or an array and a Python number."""
    full, other = d.meeting()
    a = d.values(full, low, high)
    b = float(low + 0.7 * (high - low)) if d.int(0, 3) == 3 else None
    return d.rotated((a, d.values(other, low, high) if b is None else b))


def binary(op, f, linear="", label="", low=-2.0, high=2.0):
    """A case for an operation on two operands."""

    @case(op, linear, label)
    def _(d):
        return op(), operands(d, low, high), oracles.each(f)


binary(arithmetic.Add, operator.add, "a b")
binary(arithmetic.Sub, operator.sub, "a b")
binary(arithmetic.Mul, operator.mul, "a b")
binary(arithmetic.Div, operator.truediv, "a", low=0.5)
binary(arithmetic.Div, operator.truediv, "a", "-by-negatives", low=-2.0, high=-0.5)
binary(arithmetic.Pow, math.pow, low=0.5)
binary(elementary.Atan2, math.atan2, low=0.3)
binary(elementary.Hypot, math.hypot, low=0.3)
binary(elementary.LogAddExp, lambda a, b: oracles.logsumexp([a, b]))
binary(classification.SquaredError, lambda a, b: (a - b) ** 2)


@case(arithmetic.Remainder)
def _(d):
    full, other = d.meeting()
    b = d.values(other, 0.5, 2.0) * d.of((1, -1))
    quotient = d.rng.integers(-2, 3, full) + d.rng.uniform(0.1, 0.9, full)
    to_zero = d.bool()
    remainder = oracles.each(math.fmod if to_zero else operator.mod)
    a = d.laid(np.asarray(quotient * b, d.dtype))
    return arithmetic.Remainder(to_zero), (a, b), remainder


@case(arithmetic.Pow, label="-of-numbers")
def _(d):
    power = d.of((0, 1, 2, 3, -1, -2, 2.0, 0.0))
    a = d.away(d.shape(), 0)
    return arithmetic.Pow(), (a, power), oracles.each(math.pow)


@case(elementary.XLogY, "a")
def _(d):
    a, b = d.meeting()
    inputs = d.values(a), d.values(b, 0.3, 3)
    return elementary.XLogY(), inputs, oracles.each(lambda a, b: a * math.log(b))


def apart(op, f):
    """A case for an operation on two operands that are nowhere equal."""

    @case(op)
    def _(d):
        return op(), d.distinct(*d.rotated(d.meeting())), oracles.each(f)


apart(selection.Maximum, lambda a, b: oracles.extreme(max, (a, b)))
apart(selection.Minimum, lambda a, b: oracles.extreme(min, (a, b)))
apart(classification.AbsoluteError, lambda a, b: abs(a - b))


@case(classification.Huber)
def _(d):
    a, b = d.distinct(*d.rotated(d.meeting()))  # multiples of 0.1 apart
    delta = d.of((0.25, 1.05))
    at = lambda v: v * v / 2 if abs(v) <= delta else delta * (abs(v) - delta / 2)
    return classification.Huber(delta), (a, b), oracles.each(lambda a, b: at(a - b))


@case(classification.BinaryCrossEntropy, "t")
def _(d):
    x, t = (d.values(s, 0.1, 0.9) for s in d.rotated(d.meeting()))
    loss = oracles.each(lambda x, t: -t * math.log(x) - (1 - t) * math.log(1 - x))
    return classification.BinaryCrossEntropy(), (x, t), loss


@case(selection.Where, "a b")
def _(d):
    condition, *others = d.rotated(d.meeting(3))
    chosen = oracles.each(lambda condition, a, b: a if condition else b)
    a, b = (d.values(s) for s in others)
    if d.int(0, 3) == 3:
        a, b = d.of(((a, 0.5), (0.5, b)))
    return selection.Where(), (d.mask(condition), a, b), chosen


@case(classification.LogisticLoss, "t")
def _(d):
    x, t, q = d.rotated(d.meeting(3))
    weight = d.values(q, 0.5, 3.0) if d.bool() else 1.0
    inputs = (d.values(x, -3, 3), d.values(t, 0, 1), weight)
    return classification.LogisticLoss(), inputs, oracles.each(oracles.logistic_loss)


# ------------------------------------------------------------------ moving values


@case(shape.Clone, "x")
def _(d):
    return shape.Clone(d.of("KC")), (d.values(d.shape()),), oracles.each(float)


@case(shape.Cast, "x")
def _(d):
    # To the wider dtype, which is linear; rounding is tested by itself.
    return shape.Cast(np.dtype(np.float64)), (d.values(d.shape()),), oracles.each(float)


@case(shape.Reshape, "x")
def _(d):
    s = d.shape(1)
    x = d.values(s)
    target = d.of([(x.size,), s[::-1], (*s, 1), (1, *s), (*s[:-2], math.prod(s[-2:]))])
    if x.size and d.bool():
        i = d.int(0, len(target) - 1)
        asked = (*target[:i], -1, *target[i + 1 :])
    else:
        asked = target
    return shape.Reshape(asked), (x,), lambda x: np.array(list(x.flat)).reshape(target)


@case(shape.Permute, "x")
def _(d):
    s = d.shape(d.of((1, 3, 4)), 4)  # of few axes, an order is its own inverse
    axes = tuple(int(a) for a in d.rng.permutation(len(s)))
    return shape.Permute(axes), (d.values(s),), partial(oracles.permuted, axes=axes)


@case(shape.Expand, "x")
def _(d):
    full, narrow = d.meeting()
    return shape.Expand(full), (d.values(narrow),), lambda x: x + np.zeros(full)


@case(shape.SumTo, "x")
def _(d):
    full, narrow = d.meeting()
    summed = partial(oracles.summed_to, shape=narrow)
    return shape.SumTo(narrow), (d.values(full),), summed


@case(shape.Concatenate, "xs")
def _(d):
    s = d.shape(1)
    at = d.int(0, len(s) - 1)
    lengths = [s[at] if d.empty else d.int(0, 3) for _ in range(d.int(1, 3))]
    xs = tuple(d.values((*s[:at], n, *s[at + 1 :])) for n in lengths)
    axis = at - len(s) * d.bool()
    return shape.Concatenate(axis), xs, lambda *xs: oracles.concatenated(xs, at)


@case(shape.Pad, "x")
def _(d):
    s = d.shape(1)
    # What is cropped on both sides together is less than there is.
    crops = ((n // 2, max(n - 1, 0) // 2) for n in s)
    widths = tuple((d.int(-b, 2), d.int(-a, 2)) for b, a in crops)
    value = d.of((0.0, 1.5))
    padded = partial(oracles.padded, widths=widths, value=value)
    return shape.Pad(widths, value), (d.values(s),), padded


def basic_key(d, s):
    """Slices (of either direction), integers, None and an ellipsis."""
    key = [slice(None) if n == 0 else _basic_part(d, n) for n in s]
    if d.bool():
        key.insert(d.int(0, len(key)), None)
    if d.bool():
        key = [*key[: d.int(0, len(key))], ...]
    return tuple(key)


def _basic_part(d, n):
    if d.bool():
        return d.int(-n, n - 1)
    start, stop = (d.maybe(d.int(-n - 1, n + 1)) for _ in range(2))
    return slice(start, stop, d.of((None, 1, 2, -1, -2)))


def array_key(d, s):
    """Integer arrays, repeating themselves, on some axes; slices on the others."""
    found = (d.int(1, 2), d.int(1, 3))
    parts = [
        slice(None) if n == 0 or d.bool() else d.rng.integers(-n, n, d.narrowed(found))
        for n in s
    ]
    return tuple(parts)


def mask_key(d, s):
    """A mask over the first axes, now and then a slice after it."""
    axes = d.int(1, len(s))
    key = (d.rng.random(s[:axes]) < 0.5,)
    return (*key, slice(0, 1)) if axes < len(s) and d.bool() else key


def once_key(d, s):
    """An integer array that names no place twice, on one axis."""
    axis = d.int(0, len(s) - 1)
    n = s[axis]
    part = d.rng.permutation(n)[: d.int(0, n)] - n * d.bool()
    return (slice(None),) * axis + (part,)


KEYS = {"basic": basic_key, "arrays": array_key, "mask": mask_key}


@case(shape.Diagonal, "x")
def _(d):
    s = (*d.shape(1, 2), d.int(1, 4), d.int(1, 4))
    offset = d.int(1 - s[-2], s[-1] - 1)
    r, c = max(-offset, 0), max(offset, 0)
    length = min(s[-2] - r, s[-1] - c)
    diagonal = lambda x: np.stack([x[..., r + i, c + i] for i in range(length)], -1)
    return shape.Diagonal(offset), (d.values(s),), diagonal


@case(shape.Windows, "x")
def _(d):
    s, step = (*d.shape(1, 2), d.int(1, 5)), d.int(1, 3)
    size = d.int(1, s[-1])
    starts = range(0, s[-1] - size + 1, step)
    windows = lambda x: np.stack([x[..., i : i + size] for i in starts], -2)
    return shape.Windows(size, step), (d.values(s),), windows


def index_cases(label, key_of):
    @case(shape.Index, "x", f"-{label}")
    def _(d):
        s = d.shape(1)
        key = key_of(d, s)
        return shape.Index(key), (d.values(s),), lambda x: x[key] + np.zeros(())

    @case(shape.IndexAdd, "x", f"-{label}")
    def _(d):
        s = d.shape(1)
        key = key_of(d, s)
        x = d.values(oracles.places(key, s).shape)
        added = partial(oracles.added_at, key=key, shape=s)
        return shape.IndexAdd(key, s), (x,), added

    @case(shape.Put, "x v", f"-{label}")
    def _(d):
        s = d.shape(1)
        key = once_key(d, s) if label == "arrays" else key_of(d, s)
        v = d.values(d.narrowed(oracles.places(key, s).shape))
        return shape.Put(key), (d.values(s), v), partial(oracles.put, key=key)


for label, key_of in KEYS.items():
    index_cases(label, key_of)


# --------------------------------------------------------------------- reductions


def reduces(op, f, linear="", distinct=False, **options):
    """A case for a reduction; f takes the list of values that are reduced to one."""

    @case(op, linear)
    def _(d):
        s = d.shape()
        axis, keepdims = d.axis(len(s)), d.bool()
        if d.empty:  # there is no maximum of nothing, so each image is reduced
            s = (*s, 2)
            axis = (len(s) - 1,)
        if options and math.prod(s[a] for a in axis or range(len(s))) < 2:
            s, axis = (*s, 3), (*(a % len(s) for a in axis or range(len(s))), len(s))
        x = d.distinct(s) if distinct else d.values(s)
        reduced = partial(oracles.reduced, f, axis=axis, keepdims=keepdims)
        return op(axis, keepdims, **options), (x,), reduced


reduces(reduction.Sum, math.fsum, "x")
reduces(reduction.Mean, oracles.mean, "x")
reduces(reduction.Max, partial(oracles.extreme, max), distinct=True)
reduces(reduction.Min, partial(oracles.extreme, min), distinct=True)
reduces(reduction.LogSumExp, oracles.logsumexp)
reduces(reduction.Var, partial(oracles.variance, correction=1), correction=1)
reduces(reduction.Var, partial(oracles.variance, correction=0), correction=0)
reduces(
    reduction.Std,
    lambda xs: math.sqrt(oracles.variance(xs, correction=1)),
    distinct=True,
    correction=1,
)


reduces(reduction.Norm, partial(oracles.norm, p=2), distinct=True)
reduces(reduction.PNorm, partial(oracles.norm, p=3), distinct=True)


@case(cumulative.Prod)
def _(d):
    s, keepdims = d.shape(1), d.bool()
    axis = d.int(-len(s), len(s) - 1)
    product = partial(oracles.reduced, math.prod, axis=(axis,), keepdims=keepdims)
    return cumulative.Prod((axis,), keepdims), (d.values(s),), product


def cumulates(op, f, linear=""):
    """A case for what makes of the values up to each one a value; f takes their list."""

    @case(op, linear)
    def _(d):
        s = d.shape(1)
        axis = d.int(-len(s), len(s) - 1)
        up_to = partial(np.apply_along_axis, oracles.of_each_beginning(f), axis)
        return op(axis), (d.values(s),), lambda x: up_to(x) if x.size else x


cumulates(cumulative.CumSum, math.fsum, "x")
cumulates(cumulative.CumProd, math.prod)
cumulates(cumulative.LogCumSumExp, oracles.logsumexp)


@case(cumulative.Recurrence, "x")
def _(d):
    s = d.shape(1)
    axis = d.int(-len(s), len(s) - 1)
    oracle = partial(oracles.recurrence, axis=axis)
    return cumulative.Recurrence(axis), (d.values(s), d.values(s)), oracle


# ------------------------------------------------------------------ classification


def along_axis(op, oracle):
    @case(op)
    def _(d):
        s = d.shape(1)
        axis = d.int(-len(s), len(s) - 1)
        return op(axis), (d.values(s, -4, 4),), partial(oracle, axis=axis)


along_axis(classification.Softmax, oracles.softmax)
along_axis(classification.LogSoftmax, oracles.log_softmax)


@case(classification.NLLLoss, "x")
def _(d):
    n, classes, rest = d.batch(), d.int(2, 4), d.sizes(0, 2)
    reduction, ignored = d.of(("mean", "sum", "none")), d.of((-100, -1, 0))
    target = d.rng.integers(0, classes, (n, *rest))
    target = np.where(d.mask(target.shape), target, ignored)
    target[:1] = classes - 1  # so that something counts
    weight = d.maybe(d.rng.uniform(0.5, 2, classes).astype(d.dtype))
    inputs = d.values((n, classes, *rest)), d.laid(target), weight
    loss = partial(oracles.nll_loss, reduction=reduction, ignore_index=ignored)
    return classification.NLLLoss(reduction, ignored), inputs, loss


def labelled(d):
    """A shape (N, C, …), and labels for it."""
    n, classes, rest = d.batch(), d.int(1, 4), d.sizes(0, 2)
    return (n, classes, *rest), d.integers(classes, (n, *rest))


@case(classification.Pick, "x")
def _(d):
    s, label = labelled(d)
    return classification.Pick(), (d.values(s), label), oracles.picked


@case(classification.Place, "x")
def _(d):
    s, label = labelled(d)
    x = d.values((s[0], *s[2:]))
    placed = partial(oracles.placed, classes=s[1])
    return classification.Place(s[1]), (x, label), placed


# ------------------------------------------------------------------ matrix products


@case(linear.Matmul, "a b")
def _(d):
    full = d.shape(0, 2)
    i, j, k = (d.int(1, 3) for _ in range(3))
    a, b = (full, d.narrowed(full)) if d.bool() else (d.narrowed(full), full)
    inputs = (d.values((*a, i, j)), d.values((*b, j, k)))
    return linear.Matmul(), inputs, oracles.matmul


@case(linear.Linear, "x w b")
def _(d):
    lead, features, units = d.shape(0, 2), d.int(1, 3), d.int(1, 4)
    x, w = d.values((*lead, features)), d.values((units, features))
    b = d.maybe(d.values(units))

    def product(x, w, b):
        y = np.einsum("...i,oi->...o", x, w)
        return y if b is None else y + b

    return linear.Linear(), (x, w, b), product


# ---------------------------------------------------------------------- convolution


def convolution_shapes(d):
    """A window, its layout as options, and the shapes of images, kernels and result."""
    window, size = d.window()
    groups = d.int(1, 2)
    n, c, o = d.batch(), d.int(1, 2), groups * d.int(1, 2)
    layout = window.stride, window.padding, window.dilation, groups
    counts = oracles.positions(size, window)
    shapes = (n, c * groups, *size), (o, c, *window.kernel), (n, o, *counts)
    return window, layout, shapes


@case(convolution.Conv2d, "x w b")
def _(d):
    window, layout, (x, w, _) = convolution_shapes(d)
    inputs = d.values(x), d.values(w), d.maybe(d.values(w[0]))
    oracle = partial(oracles.conv2d, window=window, groups=layout[3])
    return convolution.Conv2d(*layout), inputs, oracle


def adjoint_convolution(kind, d):
    window, layout, (x, w, y) = convolution_shapes(d)
    inputs = d.values(y), d.values(w), d.maybe(d.values(x[1]))
    given = {"size": x[2:], "window": window, "groups": layout[3]}
    oracle = partial(oracles.conv2d_input, **given)
    return kind(*layout, size=x[2:]), inputs, oracle


for _kind in (convolution.Conv2dInput, convolution.ConvTranspose2d):
    case(_kind, "x w b")(partial(adjoint_convolution, _kind))


@case(convolution.Conv2dWeight, "x h")
def _(d):
    window, layout, (x, w, y) = convolution_shapes(d)
    oracle = partial(oracles.conv2d_weight, window=window, groups=layout[3])
    op = convolution.Conv2dWeight(*layout, kernel=w[2:])
    return op, (d.values(x), d.values(y)), oracle


@case(convolution.Unfold, "x")
def _(d):
    window, _, (x, _, _) = convolution_shapes(d)
    unfolded = partial(oracles.unfolded, window=window)
    return convolution.Unfold(window), (d.values(x),), unfolded


@case(convolution.Fold, "x")
def _(d):
    window, _, (x, _, y) = convolution_shapes(d)
    parts = d.values((*x[:2], *window.kernel, *y[2:]))
    folded = partial(oracles.folded, size=x[2:], window=window)
    return convolution.Fold(window, x[2:]), (parts,), folded


# -------------------------------------------------------------------------- pooling


def pooling_shapes(d):
    """A window, ceil_mode, and the shapes of images and result."""
    window, size = d.window(half=True)
    ceil_mode = d.bool()
    n, c = d.batch(), d.int(1, 2)
    counts = oracles.positions(size, window, ceil_mode)
    return window, ceil_mode, (n, c, *size), (n, c, *counts)


@case(pooling.MaxPool2d)
def _(d):
    window, ceil_mode, x, _ = pooling_shapes(d)
    op = pooling.MaxPool2d(window, ceil_mode)
    return op, (d.distinct(x),), lambda x: oracles.max_pool2d(x, window, ceil_mode)[0]


def taps(d, window, s):
    return d.integers(math.prod(window.kernel), s).astype(np.uint8)


@case(pooling.MaxPoolPut, "x")
def _(d):
    window, _, x, y = pooling_shapes(d)
    oracle = partial(oracles.max_pool2d_put, size=x[2:], window=window)
    inputs = d.values(y), taps(d, window, y)
    return pooling.MaxPoolPut(window, x[2:]), inputs, oracle


@case(pooling.MaxPoolPick, "x")
def _(d):
    window, _, x, y = pooling_shapes(d)
    oracle = partial(oracles.max_pool2d_pick, window=window)
    return pooling.MaxPoolPick(window), (d.values(x), taps(d, window, y)), oracle


@case(pooling.SumPool2d, "x")
def _(d):
    window, ceil_mode, x, _ = pooling_shapes(d)
    oracle = partial(oracles.sum_pool2d, window=window, ceil_mode=ceil_mode)
    return pooling.SumPool2d(window, ceil_mode), (d.values(x),), oracle


@case(pooling.SumPoolInput, "x")
def _(d):
    window, ceil_mode, x, y = pooling_shapes(d)
    oracle = partial(oracles.sum_pool2d_input, size=x[2:], window=window)
    return pooling.SumPoolInput(window, x[2:], ceil_mode), (d.values(y),), oracle


@case(pooling.AdaptiveMaxPool)
def _(d):
    lead, lengths = axes_to_resample(d)
    sizes = tuple(d.int(1, 4) for _ in lengths)
    largest = partial(oracles.adaptive, partial(oracles.extreme, max), sizes=sizes)
    return pooling.AdaptiveMaxPool(sizes), (d.distinct((*lead, *lengths)),), largest


def places_in(d):
    """A batch of channels, their size, the shape of some places in it, and these."""
    lead, lengths = axes_to_resample(d)
    shape = (*lead, *(d.int(1, 3) for _ in lengths))
    return lead, lengths, shape, d.integers(math.prod(lengths), shape)


@case(pooling.PutAtPlace, "x")
def _(d):
    _, size, shape, place = places_in(d)
    put = partial(oracles.put_at_place, size=size)
    return pooling.PutAtPlace(size), (d.values(shape), place), put


@case(pooling.PickAtPlace, "x")
def _(d):
    lead, size, _, place = places_in(d)
    op = pooling.PickAtPlace(len(size))
    return op, (d.values((*lead, *size)), place), oracles.picked_at_place


# ----------------------------------------------------------------------- resampling


def axes_to_resample(d):
    """A batch of channels, and the lengths of one to three axes."""
    return (d.batch(), d.int(1, 2)), tuple(d.int(1, 5) for _ in range(d.int(1, 3)))


@case(resampling.Resample, "x")
def _(d):
    lead, lengths = axes_to_resample(d)
    matrices = [
        d.rng.choice([0, 0.5, 1, -2], (d.int(1, 4), n)) for n in lengths
    ]  # also with rows and columns of zeros
    taps = [
        resampling.Taps(a.shape, *np.nonzero(a), a[np.nonzero(a)]) for a in matrices
    ]
    oracle = partial(oracles.resampled, matrices=matrices)
    return resampling.Resample(tuple(taps)), (d.values((*lead, *lengths)),), oracle


@case(resampling.AdaptiveAvgPool, "x")
def _(d):
    lead, lengths = axes_to_resample(d)
    sizes = tuple(d.int(1, 6) for _ in lengths)
    maps = tuple(map(resampling.averages, lengths, sizes))
    means = partial(oracles.adaptive, oracles.mean, sizes=sizes)
    return resampling.AdaptiveAvgPool(maps), (d.values((*lead, *lengths)),), means


@case(resampling.PadWithin, "x")
def _(d):
    lead, lengths = axes_to_resample(d)
    mode = d.of(("reflect", "edge"))
    most = [n - 1 if mode == "reflect" else 2 for n in lengths]
    widths = [(d.int(0, min(m, 2)), d.int(0, min(m, 2))) for m in most]
    sides = zip(lengths, widths, strict=True)
    maps = tuple([resampling.around(n, *both, mode) for n, both in sides])
    padded = partial(np.pad, pad_width=[(0, 0), (0, 0), *widths], mode=mode)
    return resampling.PadWithin(maps, mode), (d.values((*lead, *lengths)),), padded


# -------------------------------------------------------------------- normalisation


@case(normalization.BatchNorm, "gamma beta")
def _(d):
    s = (d.batch(), d.int(1, 3), *d.sizes(0, 2), d.int(2, 4))
    gamma, beta = (d.maybe(d.values(s[1], 0.5, 2)) for _ in range(2))
    eps = d.of((1e-5, 0.1))
    oracle = partial(oracles.batch_norm, eps=eps)
    return normalization.BatchNorm(eps), (d.distinct(s), gamma, beta), oracle


@case(normalization.BatchNormEval, "x mean gamma beta")
def _(d):
    s = (d.batch(), d.int(1, 3), *d.sizes(0, 2))
    mean, var = d.values(s[1]), d.values(s[1], 0.5, 2)
    gamma, beta = (d.maybe(d.values(s[1])) for _ in range(2))
    eps = d.of((1e-5, 0.1))

    def each_channel(x, mean, var, gamma, beta):
        y = np.empty_like(x)
        for c in range(s[1]):
            y[:, c] = (x[:, c] - mean[c]) / math.sqrt(var[c] + eps)
            y[:, c] = y[:, c] * (1 if gamma is None else gamma[c])
            y[:, c] = y[:, c] + (0 if beta is None else beta[c])
        return y

    inputs = d.values(s), mean, var, gamma, beta
    return normalization.BatchNormEval(eps), inputs, each_channel
