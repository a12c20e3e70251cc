"""Functions of each element: values, dtypes and gradients are PyTorch's."""

import operator

import numpy as np
from agreement import agree, both, draw, dtype_of, library, same, torch
from each import for_each
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from tinygrad_cnn import tensor
from tinygrad_cnn.errors import NotDifferentiableError

UNARY = {
    "neg": lambda x: -x,
    "pos": lambda x: +x,
    "abs": lambda x: x.abs(),
    "abs()": lambda x: abs(x),
    "exp": lambda x: x.exp(),
    "sign": lambda x: x.sign(),
    "square": lambda x: x.square(),
    "atan": lambda x: x.atan(),
    "relu": lambda x: x.relu(),
    "sigmoid": lambda x: x.sigmoid(),
    "tanh": lambda x: x.tanh(),
    "log": lambda x: (x * x + 0.5).log(),
    "sqrt": lambda x: (x * x + 0.5).sqrt(),
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "clamp min": lambda x: x.clamp(min=-0.5),
    "clamp max": lambda x: x.clamp(max=0.5),
    "clamp positional": lambda x: x.clamp(0.25),
    "clamp crossed": lambda x: x.clamp(0.5, -0.5),
    "clip": lambda x: x.clip(-0.5, 0.5),
    "softmax": lambda x: x.softmax(0),
    "softmax last": lambda x: x.softmax(dim=-1),
    "log_softmax": lambda x: x.log_softmax(0),
    "log_softmax last": lambda x: x.log_softmax(dim=-1),
    "add number": lambda x: x + 2,
    "radd": lambda x: 2.5 + x,
    "sub number": lambda x: x - 2.5,
    "rsub": lambda x: 2 - x,
    "mul number": lambda x: x * -3,
    "rmul": lambda x: 0.1 * x,
    "div number": lambda x: x / 3,
    "rdiv": lambda x: 3 / (x + 10),
    "pow 2": lambda x: x**2,
    "pow 3": lambda x: x**3,
    "pow 0": lambda x: x**0,
    "pow 1": lambda x: x**1,
    "pow -1": lambda x: (x + 10) ** -1,
    "pow 0.5": lambda x: (x + 10) ** 0.5,
    "pow method": lambda x: x.pow(2),
    "rpow": lambda x: 2**x,
    "rpow 1": lambda x: 1.0**x,
    "rpow 0": lambda x: 0.0 ** (x * x),
    "rpow negative": lambda x: (-2.0) ** x,
    "add alpha": lambda x: x.add(x, alpha=2),
    "sub alpha": lambda x: x.sub(x * x, alpha=0.5),
    "add number alpha": lambda x: x.add(3, alpha=2),
    "clone": lambda x: x.clone(),
    "double": lambda x: x.double(),
    "float": lambda x: x.float(),
    "isnan": lambda x: x.isnan(),
    "isfinite": lambda x: x.isfinite(),
    "twice the same": lambda x: x * x,
    "round to decimals": lambda x: x.round(decimals=2),
    "round to tens": lambda x: (x * 100).round(decimals=-1),
    "logit with eps": lambda x: x.logit(0.25),
    "nan_to_num with limits": lambda x: x.nan_to_num(1.0, 2.0, -2.0),
}
NAMED = (
    "acos acosh asin asinh atanh ceil cos cosh deg2rad erf erfc exp2 expm1 floor frac "
    "isneginf isposinf log10 log1p log2 logical_not nan_to_num reciprocal rsqrt signbit "
    "sin sinh tan trunc"
)
UNARY |= {name: operator.methodcaller(name) for name in NAMED.split()}


@for_each("name", UNARY)
@for_each("shape", [(3, 4), (), (1,), (0, 2)], ids=str)
def test_a_function_of_one_tensor_is_pytorchs(name, shape):
    agree(UNARY[name], draw(*shape))


@for_each("name", ["relu", "abs", "sign", "sqrt", "log", "square"])
def test_at_zero_the_gradient_is_pytorchs(name):
    agree(lambda x: getattr(x, name)(), np.array([0.0, -0.0, 1.0]))


def test_the_power_of_zero_has_pytorchs_gradient():
    for exponent in (0, 1, 2, 3.0, 0.5):
        agree(lambda x, e=exponent: x**e, np.array([0.0, 2.0]))
    agree(lambda x, e: x**e, np.array([0.0, 0.0, 0.0, 2.0]), np.array([0.0, 2, 1, 3]))


def test_at_its_bounds_clamp_passes_the_gradient_on():
    agree(lambda x: x.clamp(-1.0, 1.0), np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 1.0])


def at_special_values(program, *arrays):
    """As PyTorch, and of the gradient all that does not stand beside a NaN result."""
    agree(program, *arrays, gradient=False)
    if not program(*map(torch.tensor, arrays)).isnan().any():
        agree(program, *arrays)


@for_each("name", UNARY)
def test_nan_and_infinity_come_out_as_in_pytorch_and_without_a_warning(name):
    for value in SPECIAL:
        at_special_values(UNARY[name], np.array([0.5, value, -0.5]))


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a.abs() ** b,
    "maximum": lambda a, b: a.maximum(b),
    "minimum": lambda a, b: a.minimum(b),
    "max": lambda a, b: a.max(b),
    "min": lambda a, b: a.min(b),
    "where": lambda a, b: library(a).where(a > b, a, b),
    "add alpha": lambda a, b: a.add(b, alpha=2),
    "sub alpha": lambda a, b: a.sub(b, alpha=3),
    "mul method": lambda a, b: a.mul(b),
    "multiply": lambda a, b: a.multiply(b),
    "div method": lambda a, b: a.div(b),
    "divide": lambda a, b: a.divide(b),
    "masked_fill": lambda a, b: (a + b).masked_fill(a > b, 7.0),
    "eq": lambda a, b: a.eq(b),
    "ne": lambda a, b: a.ne(b),
    "lt": lambda a, b: a.lt(b),
    "le": lambda a, b: a.le(b),
    "gt": lambda a, b: a.gt(b),
    "ge": lambda a, b: a.ge(b),
    "==": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "remainder by a number": lambda a, b: a % 0.75 + b,
    "div trunc": lambda a, b: a.div(b, rounding_mode="trunc"),
    "div floor": lambda a, b: a.div(b, rounding_mode="floor"),
    "clamp between tensors": lambda a, b: a.clamp(b, 1 - b),
    "clamp by a tensor": lambda a, b: a.clamp(max=b),
    "isclose": lambda a, b: a.isclose(b, equal_nan=True),
    "lerp": lambda a, b: a.lerp(b, 0.75),
}
NAMED = "atan2 fmax fmin fmod hypot logaddexp logical_xor xlogy"
BINARY |= {name: (lambda a, b, n=name: getattr(a, n)(b)) for name in NAMED.split()}


@given(
    shapes=mutually_broadcastable_shapes(
        num_shapes=2, max_dims=4, min_side=0, max_side=3
    )
)
def test_broadcasting_sums_the_gradient_to_the_shape_of_each_input(shapes):
    a, b = (draw(*shape, seed=i) for i, shape in enumerate(shapes.input_shapes))

    @for_each("name", BINARY)
    def agrees(name):
        agree(BINARY[name], a, b)

    agrees()


@given(
    shapes=mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3),
    data=st.data(),
)
def test_where_broadcasts_its_condition_and_both_choices(shapes, data):
    c, a, b = (draw(*shape, seed=i) for i, shape in enumerate(shapes.input_shapes))
    agree(lambda c, a, b: library(a).where(c > 0, a, b), c, a, b)


@for_each("name", BINARY)
def test_nan_in_either_operand_comes_out_as_in_pytorch(name):
    others = np.array([1.0, 2.0, 3.0])
    for value in SPECIAL:
        at = np.array([0.5, value, 2.0])
        for operands in ((at, others), (others, at), (at, at)):
            at_special_values(BINARY[name], *operands)


def test_where_two_inputs_tie_or_are_nan_the_gradient_is_pytorchs():
    tied = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
    unknown = np.array([np.nan, 1.0, np.nan]), np.array([1.0, np.nan, np.nan])
    for name in ("maximum", "minimum", "max", "min", "fmax", "fmin"):
        agree(BINARY[name], *tied)
        agree(BINARY[name], *unknown)
    agree(BINARY["clamp between tensors"], *tied)
    agree(UNARY["abs"], unknown[0])


def test_a_zero_d_tensor_broadcasts_against_an_empty_one():
    for name in ("add", "mul", "div", "maximum"):
        agree(BINARY[name], draw(0, 3), draw())


@for_each("value", [7, 7.5, True])
@for_each("dtype", ["float32", "float64", "int64", "bool"])
def test_masked_fill_keeps_the_dtype(dtype, value):
    x = np.array([[1, 0, 2]], dtype)
    mask = np.array([[True], [False]])
    agree(lambda x, m: x.masked_fill(m, value), x, mask)
    agree(lambda x, m: x.masked_fill(m, library(x).tensor(value)), x, mask)


def test_clamp_of_integers_by_integers_and_by_floats():
    x = np.array([-3, 0, 5])
    agree(lambda x: x.clamp(-1, 2), x)
    agree(lambda x: x.clamp(-0.5, 2.5), x)
    agree(lambda x: x.clamp(min=0), x.astype(np.uint8))


@for_each("dtype", ["int64", "int32", "uint8", "bool"])
@for_each("name", ["exp", "log", "sqrt", "sigmoid", "tanh", "atan"])
def test_functions_of_integers_are_float32(name, dtype):
    agree(lambda x: getattr(x, name)(), np.array([0, 1, 1], dtype))


@for_each("dtype", ["int64", "int32", "uint8"])
@for_each("name", ["abs", "sign", "square", "relu", "neg"])
def test_functions_of_integers_that_stay_integers(name, dtype):
    agree(lambda x: getattr(x, name)(), np.array([0, 1, 2], dtype))


def test_a_number_may_come_first_where_it_may_in_pytorch():
    for number, x in ((2, np.array([1.0, 3.0])), (2.5, np.array([1, 3]))):
        for name in ("add", "div", "pow", "xlogy", "float_power"):
            agree(lambda x, n=name, v=number: getattr(library(x), n)(v, x), x)


def test_powers_of_2_have_whole_logarithms():
    powers = np.arange(-30, 31)
    assert (tensor(2.0**powers).log2().numpy() == powers).all()


def test_softmax_takes_a_dtype():
    for name in ("softmax", "log_softmax"):
        agree(
            lambda x, n=name: getattr(x, n)(1, dtype=dtype_of(x, "float64")),
            draw(2, 3, dtype=np.float32),
        )


def test_comparisons_carry_no_gradient_and_fit_into_arithmetic():
    agree(lambda a, b: (a > b) * a + (a <= b) * b, draw(4), draw(4, seed=1))
    agree(lambda a: (a > 0).sum(), draw(4))
    agree(lambda a: (a == a).all(), draw(4))


def test_logical_operators_of_masks():
    p, q = np.array([True, True, False, False]), np.array([True, False, True, False])
    agree(lambda p, q: p & q, p, q)
    agree(lambda p, q: p | q, p, q)
    agree(lambda p, q: p ^ q, p, q)
    agree(lambda p: ~p, p)
    agree(lambda p: ~p, np.array([0, 1, -1]))
    agree(lambda p: p & True, p)


def test_comparison_with_none_or_a_string_is_plain_inequality():
    for other in (None, "a"):
        agree(lambda x, o=other: x == o, draw(3))
        agree(lambda x, o=other: x != o, draw(3))


def test_membership_asks_whether_any_element_is_equal():
    agree(lambda x: 2.0 in x, np.array([[1.0, 2.0]]))
    agree(lambda x: 3.0 in x, np.array([[1.0, 2.0]]))


def test_floor_division_and_remainder_round_down():
    for a, b in ((7, 2), (-7, 2), (7, -2), (-7, -2)):
        agree(lambda x, y: x // y, np.array([a]), np.array([b]))
        agree(lambda x, y: x % y, np.array([a]), np.array([b]))
        agree(lambda x, b=b: x // b, np.array([float(a)]), gradient=False)
        agree(lambda x, b=b: x % b, np.array([a + 0.25]), gradient=False)
        agree(lambda x, b=b: b % x, np.array([a + 0.25]), gradient=False)
    for value in SPECIAL:
        agree(lambda x: x % 0.75, np.array([0.5, value]), gradient=False)
        agree(lambda x: 0.75 % x, np.array([0.5, value]), gradient=False)


@for_each("operate", [operator.mod, operator.floordiv])
def test_the_gradient_of_a_remainder_is_pytorchs_or_refused(operate):
    # PyTorch differentiates %, and refuses // in the backward pass.
    for a, b in ((2.5, 2.0), (-2.5, 2.0)):
        x, z = both(np.array([a]), requires_grad=True)
        try:
            (operate(x, b) + x).backward()
        except NotDifferentiableError:
            continue
        (operate(z, b) + z).backward()
        same(x.grad, z.grad)
