"""Leaving for Python and NumPy, other dtypes, copies, and how a Tensor prints."""

import copy

import numpy as np
import pytest
from agreement import (
    agree,
    both,
    draw,
    dtype_of,
    library,
    refuses_as_torch,
    same,
    torch,
)
from each import for_each

import tinygrad_cnn
from tinygrad_cnn import Tensor, tensor
from tinygrad_cnn.errors import ShapeError

DTYPES = [
    "float16",
    "float32",
    "float64",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
]


@for_each("dtype", DTYPES)
def test_item_and_tolist_give_python_numbers(dtype):
    for values in (1, [1], [[0]], [[1, 0], [2, 3]], []):
        array = np.array(values).astype(dtype)
        agree(lambda x: x.tolist(), array)
        if array.size == 1:
            agree(lambda x: x.item(), array)
            agree(lambda x: type(x.item()).__name__, array)


@for_each("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_python_conversions(dtype):
    for shape in ((), (1,), (1, 1)):
        one = np.ones(shape, dtype)
        for convert in (bool, int, float):
            agree(convert, one, gradient=False)
            agree(convert, 0 * one, gradient=False)
    agree(bool, np.array(np.nan), gradient=False)


def test_integers_can_count_and_index():
    agree(lambda x: list(range(5))[x], np.array(2))
    agree(lambda x: list(range(x)), np.array(3))
    agree(lambda x: "abc"[x], np.array(1, np.uint8))
    agree(lambda x: [10, 20, 30][x], np.array([1]))


FORMATS = ["", ".2f", "8.3f", "e", ".0%", ">10"]


def test_a_tensor_of_one_value_formats_as_that_value():
    for spec in FORMATS[1:]:
        agree(lambda x, s=spec: format(x, s), np.array(0.5))
    agree(lambda x: f"{x:d}", np.array(7))
    agree(lambda x: f"{x.sum():.3f}", draw(3))
    assert f"{tensor(2.5, requires_grad=True) * 1:.1f}" == "2.5"


def test_a_tensor_of_several_values_formats_as_its_repr():
    x = tensor([1.0, 2.0])
    assert f"{x}" == str(x) == repr(x)
    refuses_as_torch(lambda x: format(x, ".2f"), draw(2))


def test_repr_shows_values_dtype_and_gradient():
    x = tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert "grad_fn=<Mul" in repr(x * 2)
    assert repr(tensor([1, 2])) == "tensor([1, 2])"
    assert repr(tensor([True])) == "tensor([ True])"
    assert "float64" in repr(tensor(np.ones(2)))
    assert "int32" in repr(tensor(np.ones(2, np.int32)))
    assert "..." in repr(tensor(np.ones(5000)))
    assert repr(tinygrad_cnn.zeros(0)) == "tensor([])"


def test_length_and_iteration():
    agree(lambda x: len(x), draw(3, 2))
    agree(lambda x: [len(row) for row in x], draw(3, 2))
    agree(lambda x: list(x), draw(3, 2))
    agree(lambda x: list(x), draw(0, 2))
    agree(lambda x: [v.item() for v in x], draw(3))
    agree(lambda x: max(x), draw(4))
    agree(lambda x: sorted(x, reverse=True), draw(4))


REFUSED = {
    "item of several": lambda x: x.item(),
    "item of none": lambda x: x[:0].item(),
    "bool of several": lambda x: bool(x),
    "bool of none": lambda x: bool(x[:0]),
    "int of several": lambda x: int(x),
    "float of several": lambda x: float(x),
    "index of several": lambda x: [1, 2][x.long()],
    "index of a float": lambda x: [1, 2][x[0]],
    "range of a float": lambda x: range(x[0]),
    "len of 0-d": lambda x: len(x[0]),
    "iterate 0-d": lambda x: list(x[0]),
    "unpack 0-d": lambda x: [*x[0]],
}


@for_each("name", REFUSED)
def test_what_has_no_python_value_is_refused_as_in_pytorch(name):
    kind = ShapeError if name == "index of several" else None
    refuses_as_torch(REFUSED[name], draw(3), kind=kind)


# --------------------------------------------------------------------------- dtypes


@for_each("source", ["float32", "float64", "int64", "uint8", "bool"])
@for_each("target", DTYPES)
def test_to_another_dtype_and_back(source, target):
    values = np.array([0, 1, 2.75, 100]).astype(source)
    agree(lambda x: x.to(dtype_of(x, target)), values)
    agree(lambda x: x.to(dtype=dtype_of(x, target)), values)
    agree(lambda x: x.to("cpu", dtype_of(x, target)), values)
    agree(lambda x: x.to(library(x).zeros(1, dtype=dtype_of(x, target))), values)
    agree(lambda x: x.type_as(library(x).zeros(1, dtype=dtype_of(x, target))), values)


@for_each("name", ["float", "double", "half", "long", "int", "bool"])
def test_to_a_dtype_by_name(name):
    agree(lambda x: getattr(x, name)(), np.array([0.0, 1.5, -2.75]))
    agree(lambda x: getattr(x, name)(), np.array([0, 1, 2]))


def test_gradients_pass_through_a_change_of_float_dtype():
    agree(lambda x: x.double() * 3, draw(3, dtype=np.float32))
    agree(lambda x: x.float() * 3, draw(3))
    agree(lambda x: x.half().double() * 3, draw(3))


@for_each("name", ["long", "int", "bool"])
def test_a_cast_to_integers_asks_for_no_gradient(name):
    agree(lambda x: getattr(x, name)(), draw(3))
    agree(lambda x: x * getattr(x, name)(), draw(3))
    agree(lambda x: x.sum() + getattr(x, name)().to(x.dtype).sum(), draw(3))


def test_the_same_dtype_is_the_same_tensor():
    x = tensor([1.0])
    for same_ in (x.float(), x.to("cpu"), x.to(x.dtype), x.cpu(), x.to(x)):
        assert same_ is x
    assert x.to(x.dtype, copy=True) is not x


def test_device_is_accepted_and_only_the_cpu_is_there():
    agree(lambda x: x.to("cpu"), draw(2))
    agree(lambda x: x.to(device="cpu"), draw(2))
    agree(lambda x: x.to(library(x).device("cpu")), draw(2))
    agree(lambda x: str(x.device), draw(2))
    agree(lambda x: x.device.type, draw(2))
    agree(lambda x: x.to(x.device), draw(2))
    refuses_as_torch(lambda x: x.to("nowhere"), draw(2))
    refuses_as_torch(lambda x: x.to("cuda"), draw(2), kind=RuntimeError)


# ---------------------------------------------------------------------------- copies


def test_clone_is_a_copy_with_a_gradient():
    agree(lambda x: x.clone() * x, draw(3))
    x = tensor([1.0, 2.0])
    x.clone().zero_()
    assert x.tolist() == [1.0, 2.0]


def test_deepcopy_of_a_leaf_copies_values_gradient_and_what_is_asked():
    x, z = both(draw(3), requires_grad=True)
    for t in (x, z):
        (t * t).sum().backward()
    y, w = copy.deepcopy(x), copy.deepcopy(z)
    same(y, w)
    same(y.grad, w.grad)
    assert y.is_leaf
    assert not np.shares_memory(y.detach().numpy(), x.detach().numpy())
    assert not np.shares_memory(y.grad.numpy(), x.grad.numpy())
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * draw(3))


def test_deepcopy_keeps_shared_tensors_shared():
    x = tensor([1.0], requires_grad=True)
    a, b = copy.deepcopy([x, x])
    assert a is b
    assert a is not x


def test_deepcopy_of_a_result_is_refused_as_in_pytorch():
    refuses_as_torch(lambda x: copy.deepcopy(x * 2), draw(3), requires_grad=True)


def test_deepcopy_leaves_the_hooks_behind():
    x = tensor([1.0], requires_grad=True)
    x.register_hook(lambda g: g * 100)
    y = copy.deepcopy(x)
    y.sum().backward()
    assert y.grad.tolist() == [1.0]


# ----------------------------------------------------------------------------- NumPy


def test_numpy_gives_the_values_read_only():
    x = tensor([1.0, 2.0])
    array = x.numpy()
    assert array.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5
    x.add_(1)
    assert array.tolist() == [2.0, 3.0]  # it shares the memory, as in PyTorch


def test_numpy_refuses_where_a_gradient_is_asked():
    refuses_as_torch(lambda x: x.numpy(), draw(2), requires_grad=True)
    refuses_as_torch(lambda x: (x * 2).numpy(), draw(2), requires_grad=True)
    refuses_as_torch(lambda x: np.asarray(x), draw(2), requires_grad=True)


def test_numpy_functions_that_take_arrays_take_tensors():
    x = tensor(draw(3))
    np.testing.assert_array_equal(np.asarray(x), draw(3))
    assert np.array(x, dtype=np.float32).dtype == np.float32
    assert np.concatenate([x, x]).shape == (6,)
    x = tensor([1.0, 2.0])
    copied = np.array(x)
    copied[0] = 5
    assert x.tolist() == [1.0, 2.0]
    assert not np.shares_memory(np.asarray(x, dtype=np.float64), x.numpy())


OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "@": lambda a, b: a @ b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


@for_each("shape", [(3, 3), (3,), (1, 3)], ids=str)
@for_each("name", OPERATORS)
def test_an_array_on_either_side_is_a_tensor_without_gradient(name, shape):
    operate = OPERATORS[name]
    a, b = draw(3, 3) ** 2 + 0.5, draw(*shape, seed=1) ** 2 + 0.5
    if name == "@" and shape == (1, 3):
        b = b.T
    x, z = both(a, requires_grad=True)
    y, w = operate(x, b), operate(z, torch.tensor(b))
    assert isinstance(y, Tensor)
    same(y, w)
    if name != "@" or shape != (3, 1):
        c = b.T if name == "@" else b
        same(operate(c, x), operate(torch.tensor(c), z))
    if y.requires_grad:
        y.sum().backward()
        w.sum().backward()
        same(x.grad, z.grad)


def test_a_numpy_scalar_on_the_left_gives_a_tensor():
    for scalar in (np.float64(2), np.float32(2), np.int64(2), np.array(2.0)):
        y = scalar * tensor([1.0, 2.0])
        assert isinstance(y, Tensor)
        assert y.tolist() == [2.0, 4.0]


def test_a_numpy_function_of_a_tensor_refuses_instead_of_losing_the_gradient():
    x = tensor([1.0, 2.0], requires_grad=True)
    for function in (np.exp, np.add, np.sum, np.maximum, np.mean, np.concatenate):
        arguments = (x, x) if function in (np.add, np.maximum) else (x,)
        with pytest.raises((TypeError, RuntimeError)):
            function(*arguments)


def test_an_array_is_not_changed_by_what_is_computed_from_it():
    array = np.array([1.0, 2.0])
    y = tensor([1.0, 2.0]) + array
    y += 1
    assert array.tolist() == [1.0, 2.0]
    array[0] = 7  # and a mere operand stays writable
