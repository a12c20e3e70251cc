"""What holds for every operation: dtypes, memory order, empty batches, no warnings."""

import numpy as np
import pytest
from agreement import draw
from each import for_each
from hypothesis import given
from hypothesis import strategies as st
from pytorch import from_pytorch, torch

import tinygrad_cnn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import autograd, from_numpy, tensor
from tinygrad_cnn.errors import LabelError, TinygradError

from .operations import OPERATIONS, functional

WIDENING = ("double",)  # which is there to change the dtype


def run(name, arrays):
    """Result and gradients of an operation on leaves."""
    operation = OPERATIONS[name][0]
    leaves = [tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y = operation(*leaves)
    y.backward(tensor(draw(*y.shape, seed=9)).to(y.dtype))
    return y, [t.grad for t in leaves if t.requires_grad]


def values(name, arrays):
    y, grads = run(name, arrays)
    given = [None if g is None else g.numpy() for g in grads]
    return [y.detach().numpy(), *given]


# -------------------------------------------------------------------- against torch


@for_each("name", OPERATIONS)
def test_values_and_gradients_are_pytorchs(name):
    operation, *arrays = OPERATIONS[name]

    def theirs():
        leaves = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        z = operation(*leaves)
        z.backward(torch.tensor(draw(*z.shape, seed=9)).to(z.dtype))
        return z, [t.grad for t in leaves if t.requires_grad]

    z, expected = from_pytorch(theirs, *arrays)
    y, grads = run(name, arrays)
    np.testing.assert_allclose(y.detach().numpy(), z.numpy(), 1e-6, 1e-9)
    for g, h in zip(grads, expected, strict=True):
        assert (g is None) == (h is None)
        if g is not None:
            np.testing.assert_allclose(g.numpy(), h.numpy(), 1e-6, 1e-9)


# --------------------------------------------------------------------------- dtypes


@for_each("dtype", [np.float32, np.float64])
@for_each("name", [n for n in OPERATIONS if n not in WIDENING])
def test_dtype_in_is_dtype_out_and_the_gradients(name, dtype):
    arrays = [
        a.astype(dtype) if a.dtype.kind == "f" else a for a in OPERATIONS[name][1:]
    ]
    y, grads = run(name, arrays)
    assert {t.dtype.name for t in (y, *grads) if t is not None} == {
        np.dtype(dtype).name
    }


@for_each("name", [n for n in OPERATIONS if n not in WIDENING])
def test_float32_is_as_good_as_float32_can_be(name):
    exact = values(name, OPERATIONS[name][1:])
    narrow = [
        a.astype(np.float32) if a.dtype.kind == "f" else a for a in OPERATIONS[name][1:]
    ]
    for a, b in zip(values(name, narrow), exact, strict=True):
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@for_each("name", [n for n in OPERATIONS if n not in WIDENING])
def test_second_gradients_keep_the_dtype(name):
    operation, *arrays = OPERATIONS[name]
    arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    leaves = [tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    asking = [t for t in leaves if t.requires_grad]
    y = operation(*leaves)
    y = (y * y * y).sum()
    options = {"allow_unused": True, "materialize_grads": True}
    first = autograd.grad(y, asking, create_graph=True, **options)
    total = sum((g * g).sum() for g in first)
    if total.requires_grad:
        second = autograd.grad(total, asking, **options)
        assert {g.dtype.name for g in second} == {"float32"}


# --------------------------------------------------------------------- memory order


def backwards(a):
    flips = (slice(None, None, -1),) * a.ndim
    return a[flips].copy()[flips]


LAYOUTS = {
    "fortran": np.asfortranarray,
    "backwards": backwards,
    "sliced": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "batch last": lambda a: np.moveaxis(np.moveaxis(a, 0, -1).copy(), -1, 0),
}


def laid_out(layout, array):
    return from_numpy(LAYOUTS[layout](array) if array.ndim else array.copy())


@for_each("layout", LAYOUTS)
@for_each("name", OPERATIONS)
def test_the_memory_order_of_the_operands_makes_no_difference(name, layout):
    operation, *arrays = OPERATIONS[name]
    expected = values(name, arrays)
    leaves = [
        laid_out(layout, a.copy()).requires_grad_(a.dtype.kind == "f") for a in arrays
    ]
    y = operation(*leaves)
    y.backward(laid_out(layout, draw(*y.shape, seed=9).astype(y.dtype)))
    grads = [t.grad for t in leaves if t.requires_grad]
    found = [y.detach().numpy(), *[None if g is None else g.numpy() for g in grads]]
    for a, b in zip(found, expected, strict=True):
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@for_each("name", OPERATIONS)
def test_neither_operands_nor_the_given_gradient_are_changed(name):
    operation, *arrays = OPERATIONS[name]
    leaves = [tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y = operation(*leaves)
    result = y.detach().numpy().copy()
    cotangent = tensor(draw(*y.shape, seed=9)).to(y.dtype)
    before = cotangent.tolist()
    y.backward(cotangent)
    assert cotangent.tolist() == before
    np.testing.assert_array_equal(y.detach().numpy(), result)
    for leaf, array in zip(leaves, arrays, strict=True):
        np.testing.assert_array_equal(leaf.detach().numpy(), array)


# --------------------------------------------------------------------- empty batches

EMPTY = {
    "conv2d": lambda x: F.conv2d(x, tensor(draw(4, 3, 3, 3)), tensor(draw(4))),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "relu": lambda x: F.relu(x),
    "flatten": lambda x: x.flatten(1),
    "linear": lambda x: F.linear(x.flatten(1), tensor(draw(5, 192))),
    "log_softmax": lambda x: F.log_softmax(x.flatten(1), 1),
    "softmax": lambda x: x.flatten(1).softmax(1),
    "matmul": lambda x: x.flatten(1) @ tensor(draw(192, 5)),
    "mean over features": lambda x: x.flatten(1).mean(1),
    "sum over the batch": lambda x: x.sum(0),
    "max over features": lambda x: x.flatten(1).max(1).values,
    "cat": lambda x: tinygrad_cnn.cat([x, x]),
    "index": lambda x: x[:, 0],
    "dropout": lambda x: F.dropout(x, 0.5),
    "nll sum": lambda x: F.cross_entropy(
        x.flatten(1), tensor(np.zeros(0, np.int64)), reduction="sum"
    ),
    "nll none": lambda x: F.cross_entropy(
        x.flatten(1), tensor(np.zeros(0, np.int64)), reduction="none"
    ),
}


@for_each("name", EMPTY)
def test_a_batch_of_no_images_goes_forward_and_backward(name):
    x = tensor(np.zeros((0, 3, 8, 8)), requires_grad=True)
    y = EMPTY[name](x)
    y.sum().backward()
    assert x.grad.shape == (0, 3, 8, 8)
    assert np.isfinite(y.detach().numpy()).all()


def test_weights_that_saw_no_image_have_gradient_zero():
    w = tensor(draw(4, 3, 3, 3), requires_grad=True)
    b = tensor(draw(4), requires_grad=True)
    F.conv2d(tensor(np.zeros((0, 3, 8, 8))), w, b).sum().backward()
    assert not w.grad.numpy().any()
    assert not b.grad.numpy().any()


def test_the_mean_loss_of_no_image_is_nan_as_in_pytorch():
    x = tensor(np.zeros((0, 3)), requires_grad=True)
    loss = F.cross_entropy(x, tensor(np.zeros(0, np.int64)))
    assert np.isnan(loss.item())
    loss.backward()
    assert x.grad.shape == (0, 3)


# ----------------------------------------------------------------- NaN and infinity


def values_of_pytorch(operation, arrays):
    return from_pytorch(lambda: operation(*map(torch.tensor, arrays)), *arrays).numpy()


SPREADING = [
    *("add", "sub", "mul", "mul number", "div", "neg", "exp", "log", "sqrt", "square"),
    *("abs", "sigmoid", "tanh", "atan", "relu", "leaky_relu", "hardtanh", "clamp"),
    *(
        "maximum",
        "minimum",
        "softmax",
        "log_softmax",
        "logsumexp",
        "sum",
        "mean",
        "var",
    ),
    *(
        "std",
        "norm",
        "amax",
        "amin",
        "max",
        "matmul",
        "linear",
        "reshape",
        "cat",
        "pow",
    ),
    *("pow number", "rpow", "stack", "setitem", "pad", "conv2d", "conv_transpose2d"),
    *("avg_pool2d", "adaptive_avg_pool2d", "max_pool2d", "batch_norm", "cross_entropy"),
    *("mse_loss", "l1_loss", "logistic loss", "double"),
]


@for_each("name", SPREADING)
def test_nan_in_any_operand_comes_out_where_pytorch_lets_it_out(name):
    operation, *arrays = OPERATIONS[name]
    for which, array in enumerate(arrays):
        if array.dtype.kind != "f":
            continue
        for position in {0, array.size // 2, array.size - 1}:
            spoilt = array.copy()
            spoilt.flat[position] = np.nan
            changed = [*arrays[:which], spoilt, *arrays[which + 1 :]]
            y = operation(*map(tensor, changed)).numpy()
            z = values_of_pytorch(operation, changed)
            np.testing.assert_array_equal(np.isnan(y), np.isnan(z))
            assert position > 0 or np.isnan(y).any()


# What PyTorch sums in float64 there, or puts together differently.
ROBUST = ("batch_norm", "adaptive_avg_pool2d", "double")


@for_each("name", [n for n in SPREADING if n != "batch_norm"])
def test_infinite_operands_give_pytorchs_values_without_a_warning(name):
    operation, *arrays = OPERATIONS[name]
    for which, array in enumerate(arrays):
        if array.dtype.kind != "f":
            continue
        for value in (np.inf, -np.inf):
            spoilt = array.copy()
            spoilt.flat[array.size // 2] = value
            changed = [*arrays[:which], spoilt, *arrays[which + 1 :]]
            y = operation(*map(tensor, changed)).numpy()
            z = values_of_pytorch(operation, changed)
            np.testing.assert_allclose(y, z, rtol=1e-6, atol=1e-9)


@for_each("name", [n for n in SPREADING if n not in ROBUST])
def test_float32_overflow_is_infinity_without_a_warning(name):
    operation, *arrays = OPERATIONS[name]
    huge = [
        np.where(a > 0, 3e38, -3e38).astype(np.float32) if a.dtype.kind == "f" else a
        for a in arrays
    ]
    y = operation(*map(tensor, huge)).numpy()
    z = values_of_pytorch(operation, huge)
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(z))


# ------------------------------------------------------------------------- labels


@given(labels=st.lists(st.integers(-10, 9), min_size=1, max_size=6))
def test_a_label_outside_the_classes_is_refused_and_named(labels):
    classes = 5
    x = tensor(draw(len(labels), classes), requires_grad=True)
    wrong = [v for v in labels if not 0 <= v < classes]
    for loss in (F.cross_entropy, lambda x, t: F.nll_loss(x.log_softmax(1), t)):
        if wrong:
            with pytest.raises(LabelError, match=f"{wrong[0]}") as refused:
                loss(x, tensor(labels))
            assert isinstance(refused.value, ValueError)
            assert isinstance(refused.value, IndexError)  # what PyTorch raises
        else:
            loss(x, tensor(labels)).backward()


@given(
    labels=st.lists(st.integers(-3, 4), min_size=1, max_size=6),
    ignore=st.integers(-3, -1),
)
def test_only_the_label_to_be_ignored_may_be_outside(labels, ignore):
    x = draw(len(labels), 5)
    y = tensor(x, requires_grad=True)
    if any(v < 0 and v != ignore for v in labels):
        with pytest.raises(LabelError):
            F.cross_entropy(y, tensor(labels), ignore_index=ignore)
        return
    ours = F.cross_entropy(y, tensor(labels), ignore_index=ignore, reduction="sum")
    ours.backward()
    loss, gradient = 0.0, np.zeros_like(x)
    for row, label in enumerate(labels):
        if label != ignore:  # −ln softmax, and softmax − one-hot
            p = np.exp(x[row]) / np.exp(x[row]).sum()
            loss -= np.log(p[label])
            gradient[row] = p
            gradient[row, label] -= 1
    np.testing.assert_allclose(ours.item(), loss, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(y.grad.numpy(), gradient, rtol=1e-12, atol=1e-12)


def test_labels_of_another_dtype_are_refused_or_read_as_in_pytorch():
    x = draw(3, 4)
    for dtype in (np.int32, np.uint8, np.int8, np.bool_, np.float16):
        labels = np.array([0, 1, 1], dtype)
        try:
            loss = F.cross_entropy(tensor(x), tensor(labels))
        except TinygradError:
            continue
        picked = x[range(3), labels.astype(int)] - np.log(np.exp(x).sum(1))
        np.testing.assert_allclose(loss.item(), -picked.mean(), rtol=1e-12)


def test_one_hot_and_indexing_do_not_wrap_labels():
    for wrong in ([-1], [5]):
        with pytest.raises(TinygradError):
            F.one_hot(tensor(wrong), 5)
    assert functional(tensor([0])) is F
