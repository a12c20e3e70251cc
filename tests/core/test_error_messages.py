"""What an error says: the operation, each operand's shape and dtype, the user's line."""

import inspect
import re

import numpy as np
import pytest
from each import for_each

import tinygrad_cnn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import enable_grad, no_grad, tensor
from tinygrad_cnn.errors import OutOfMemoryError, ShapeError, TinygradError

A = tensor(np.ones((2, 3)))
B = tensor(np.ones((4, 5), np.float32))
IMAGES = tensor(np.ones((2, 3, 8, 8), np.float32))
KERNELS = tensor(np.ones((5, 4, 3, 3), np.float32))
ASKED = tensor(np.ones((2, 3)), requires_grad=True)

FAILING = {
    "add": (lambda: A + B, "Add()", "float64[2, 3]", "float64[4, 5]"),
    "add same dtype": (lambda: B + B.T, "Add()", "float32[4, 5]", "float32[5, 4]"),
    "radd of an array": (lambda: np.ones((4, 5)) * A, "Mul()", "[2, 3]", "[4, 5]"),
    "maximum": (lambda: A.maximum(B), "Maximum()", "[2, 3]", "[4, 5]"),
    "where": (lambda: tinygrad_cnn.where(A > 0, B, A), "Where()", "[2, 3]", "[4, 5]"),
    "matmul": (lambda: A @ B, "Matmul()", "float64[2, 3]", "float64[4, 5]"),
    "matmul vector": (lambda: A @ B[0], "Matmul()", "float64[2, 3]", "float64[5, 1]"),
    "reshape": (lambda: A.reshape(4, 2), "Reshape(shape=(4, 2))", "float64[2, 3]"),
    "expand": (lambda: A.expand(7, 3), "Expand(shape=(7, 3))", "float64[2, 3]"),
    "cat": (
        lambda: tinygrad_cnn.cat([A, B.double()], 0),
        "Concatenate(axis=0)",
        "float64[2, 3]",
        "float64[4, 5]",
    ),
    "index": (lambda: A[7], "Index", "float64[2, 3]"),
    "index array": (lambda: A[[0, 9]], "Index", "float64[2, 3]"),
    "conv2d": (
        lambda: F.conv2d(IMAGES, KERNELS),
        "Conv2d(",
        "float32[2, 3, 8, 8]",
        "float32[5, 4, 3, 3]",
    ),
    "conv2d dtypes": (
        lambda: F.conv2d(IMAGES, KERNELS[:, :3].double()),
        "Conv2d(",
        "float32[2, 3, 8, 8]",
        "float64[5, 3, 3, 3]",
    ),
    "linear": (
        lambda: F.linear(B, A.float()),
        "Linear()",
        "float32[4, 5]",
        "float32[2, 3]",
    ),
    "max_pool2d": (lambda: F.max_pool2d(B[0], 2), "MaxPool2d(", "float32[5]"),
    "max of nothing": (lambda: A[:0].max(), "Max(", "float64[0, 3]"),
    "integer power": (lambda: A.long() ** -1, "Pow()", "int64[2, 3]", "-1"),
    "minus a mask": (lambda: -(A > 0), "Neg()", "bool[2, 3]"),
    "setitem": (
        lambda: (ASKED * 1).__setitem__(0, B),
        "Put",
        "float64[2, 3]",
        "float64[4, 5]",
    ),
    "comparison": (lambda: A > B, "[2, 3]", "[4, 5]"),
    "equality": (lambda: A == B, "[2, 3]", "[4, 5]"),
    "and": (lambda: (A > 0) & (B > 0), "bool[2, 3]", "bool[4, 5]"),
    "floor division": (lambda: A // B, "[2, 3]", "[4, 5]"),
    "remainder": (lambda: A % B, "[2, 3]", "[4, 5]"),
    "setitem unrecorded": (lambda: A.clone().__setitem__(0, B), "[2, 3]", "[4, 5]"),
    "argmax of nothing": (lambda: A[:0].argmax(0), "[0, 3]"),
    "in place": (
        lambda: A.clone().add_(B[:, :1].reshape(2, 2, 1)),
        "[2, 3]",
        "[2, 2, 3]",
    ),
}


def line_of(function):
    """The lines that a lambda stands on."""
    lines, first = inspect.getsourcelines(function)
    return range(first, first + len(lines))


@for_each("name", FAILING)
def test_the_message_names_operation_operands_and_line(name):
    failing, *mentioned = FAILING[name]
    with pytest.raises(TinygradError) as refused:
        failing()
    text = str(refused.value)
    missing = [part for part in mentioned if part not in text]
    assert missing == [], text
    if name not in ("in place",):
        assert any(f"{__file__}:{n}" in text for n in line_of(failing)), text


def test_the_line_is_the_users_inside_a_decorated_function():
    @no_grad()
    def evaluate():
        return A + B

    with pytest.raises(ShapeError) as refused:
        evaluate()
    assert f"{__file__}:{evaluate.__wrapped__.__code__.co_firstlineno + 2}" in str(
        refused.value
    )


def test_the_line_is_the_users_in_a_backward_error():
    with enable_grad():
        y = (ASKED * ASKED).sum()
        line = inspect.currentframe().f_lineno - 1
    y.backward()
    with pytest.raises(TinygradError) as refused:
        y.backward()
    assert f"{__file__}:{line}" in str(refused.value)


def test_a_long_line_is_found_at_the_call_that_failed():
    with pytest.raises(ShapeError) as refused:
        (
            A.exp() + A.sum() + A.reshape(4, 4)  # this one
        )
    lines, first = inspect.getsourcelines(
        test_a_long_line_is_found_at_the_call_that_failed
    )
    here = first + next(i for i, text in enumerate(lines) if "this one" in text)
    assert f"{__file__}:{here}" in str(refused.value)


def test_a_graph_knows_the_line_and_the_operands_of_each_operation():
    y = (ASKED * 2).sum()
    line = inspect.currentframe().f_lineno - 1
    text = str(y.grad_fn.next_functions[0][0])
    assert text.startswith("Mul() of (float64[2, 3], ")
    assert text.endswith(f"at {__file__}:{line}")


def test_the_cause_is_said_once_and_nothing_of_numpy_shows():
    for failing in (lambda: A + B, lambda: A @ B, lambda: A[9], lambda: A.reshape(9)):
        with pytest.raises(TinygradError) as refused:
            failing()
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__ or not refused.value.__context__
        assert not re.search(r"gufunc|ufunc|signature", str(refused.value))


def test_a_message_about_shapes_shows_every_size_that_disagrees():
    with pytest.raises(ShapeError, match=r"2x3.*4x5|3 columns.*4 rows"):
        A @ B
    with pytest.raises(ShapeError, match=r"in_features=3.*5 in its last axis"):
        F.linear(B, A.float())
    with pytest.raises(ShapeError, match=r"4 channels.*3 channels"):
        F.conv2d(IMAGES, KERNELS)
    with pytest.raises(ShapeError, match=r"\[4, 2\].*size 6"):
        A.reshape(4, 2)


def test_what_is_too_large_says_how_large():
    for make in (
        lambda: tinygrad_cnn.zeros(10**15),
        lambda: tinygrad_cnn.zeros(1).expand(10**8, 10**8).clone(),
    ):
        with pytest.raises(OutOfMemoryError, match="Unable to allocate") as caught:
            make()
        assert isinstance(caught.value, MemoryError)
