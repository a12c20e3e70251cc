"""Which dtype an operation of two operands has: PyTorch's rule, for all of their kinds."""

import operator

import numpy as np
from agreement import both, same, torch
from each import for_each

import tinygrad_cnn
from tinygrad_cnn.errors import TinygradError

DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")
OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "//": operator.floordiv,
    "%": operator.mod,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "maximum": lambda a, b: a.maximum(b),
    "minimum": lambda a, b: a.minimum(b),
}
WITH_SCALARS = [name for name in OPERATORS if not name.endswith("imum")]
SCALARS = [2.5, 2, True, *(np.dtype(d).type(3) for d in DTYPES)]


def array(dtype, *, axes):
    values = [1, 2, 3] if axes else 2
    return np.array(values, dtype)


def disagreement(function, ours, theirs):
    """None, or a line on how `function` differs; a refusal must be one of our errors."""
    try:
        expected = function(*theirs)
    except Exception:
        return None  # what PyTorch refuses, we may refuse or do
    try:
        same(function(*ours), expected)
    except TinygradError:
        return None
    except (Exception, AssertionError) as error:
        kinds = " and ".join(
            f"{type(x).__name__} {getattr(x, 'dtype', x)}{list(getattr(x, 'shape', []))}"
            for x in ours
        )
        return f"{kinds}: {type(error).__name__} {' '.join(str(error).split())[:150]}"
    return None


def disagreements(function, cases):
    found = [disagreement(function, ours, theirs) for ours, theirs in cases]
    return "\n".join(line for line in found if line)


@for_each("dtype", DTYPES)
@for_each("name", OPERATORS)
def test_two_tensors_give_the_dtype_and_values_of_pytorch(name, dtype):
    cases = []
    for other in DTYPES:
        for left in (True, False):
            for right in (True, False):
                x, z = both(array(dtype, axes=left))
                y, w = both(array(other, axes=right))
                cases.append(((x, y), (z, w)))
    assert disagreements(OPERATORS[name], cases) == ""


@for_each("dtype", DTYPES)
@for_each("name", WITH_SCALARS)
def test_a_python_or_numpy_scalar_on_the_right_decides_as_in_pytorch(name, dtype):
    cases = []
    for axes in (True, False):
        x, z = both(array(dtype, axes=axes))
        # PyTorch makes float32 of anything that meets np.bool_, by accident.
        theirs = [s.item() if isinstance(s, np.bool_) else s for s in SCALARS]
        cases += [((x, s), (z, t)) for s, t in zip(SCALARS, theirs, strict=True)]
    assert disagreements(OPERATORS[name], cases) == ""


@for_each("dtype", DTYPES)
@for_each("name", WITH_SCALARS)
def test_a_scalar_on_the_left_is_a_python_scalar_even_if_numpys(name, dtype):
    # PyTorch leaves a NumPy scalar on the left to NumPy; the sensible answer is the
    # one for the same Python number.
    cases = []
    for axes in (True, False):
        x, z = both(array(dtype, axes=axes))
        for s in SCALARS:
            cases.append(((s, x), (s.item() if isinstance(s, np.generic) else s, z)))
    assert disagreements(OPERATORS[name], cases) == ""


@for_each("dtype", ["float32", "float64"])
@for_each("scalar", SCALARS, ids=lambda s: f"{type(s).__name__}")
def test_no_scalar_widens_a_float(dtype, scalar):
    x = tinygrad_cnn.tensor(array(dtype, axes=True))
    functions = {
        "clamp min": lambda: x.clamp(min=scalar),
        "clamp max": lambda: x.clamp(max=scalar),
        "clamp": lambda: x.clamp(scalar, scalar),
        "masked_fill": lambda: x.masked_fill(x > 1, scalar),
        "where": lambda: tinygrad_cnn.where(x > 1, x, scalar),
        "where left": lambda: tinygrad_cnn.where(x > 1, scalar, x),
        "add alpha": lambda: x.add(x, alpha=scalar),
        "sub alpha": lambda: x.sub(x, alpha=scalar),
        "add_": lambda: x.clone().add_(scalar),
        "mul_": lambda: x.clone().mul_(scalar),
        "fill_": lambda: x.clone().fill_(scalar),
        "full_like": lambda: tinygrad_cnn.full_like(x, scalar),
    }
    widened = {n: f().dtype.name for n, f in functions.items() if f().dtype != x.dtype}
    assert widened == {}


@for_each("dtype", ["float32", "float64"])
def test_every_function_of_one_float_tensor_keeps_its_dtype(dtype):
    x = tinygrad_cnn.tensor(np.array([[0.5, 0.25], [0.125, 0.75]], dtype))
    names = [
        "exp",
        "log",
        "sqrt",
        "square",
        "abs",
        "sign",
        "atan",
        "relu",
        "sigmoid",
        "tanh",
        "sum",
        "mean",
        "var",
        "std",
        "amax",
        "amin",
        "max",
        "min",
        "norm",
        "clone",
        "detach",
        "flatten",
        "ravel",
        "t",
        "contiguous",
        "cpu",
        "neg",
    ]
    along = [
        "softmax",
        "log_softmax",
        "sum",
        "mean",
        "var",
        "std",
        "amax",
        "amin",
        "logsumexp",
    ]
    dtypes = {n: getattr(x, n)().dtype.name for n in names}
    dtypes |= {f"{n}(1)": getattr(x, n)(1).dtype.name for n in along}
    assert {n: d for n, d in dtypes.items() if d != dtype} == {}


@for_each("dtype", ["float32", "float64"])
def test_where_of_two_numbers_is_float32_as_in_pytorch(dtype):
    x, z = both(array(dtype, axes=True))
    same(tinygrad_cnn.where(x > 1, 1.0, 0.0), torch.where(z > 1, 1.0, 0.0))
    same(tinygrad_cnn.where(x > 1, 1, 0), torch.where(z > 1, 1, 0))


@for_each("name", ["+", "-", "*", "/", "**"])
@for_each("narrow", [np.float32, np.float64])
def test_the_gradient_has_the_dtype_of_its_input_not_of_the_result(name, narrow):
    for other in DTYPES[:5]:
        x, z = both(array(narrow, axes=True), requires_grad=True)
        y, w = both(array(other, axes=False))
        OPERATORS[name](x, y).sum().backward()
        OPERATORS[name](z, w).sum().backward()
        same(x.grad, z.grad)
