"""What a type checker is told that operators and methods give."""

import inspect

import pytest

from tinygrad_cnn import Tensor

TENSORS = [
    "__add__",
    "__radd__",
    "__mul__",
    "__truediv__",
    "__pow__",
    "__neg__",
    "__matmul__",
    "__eq__",
    "__lt__",
    "__getitem__",
    "exp",
    "relu",
    "softmax",
    "clamp",
    "maximum",
    "matmul",
    "sum",
    "mean",
    "amax",
    "argmax",
    "norm",
    "reshape",
    "flatten",
    "permute",
    "squeeze",
    "gather",
    "detach",
    "clone",
    "to",
    "float",
]
ITSELF = [
    "requires_grad_",
    "add_",
    "mul_",
    "zero_",
    "copy_",
    "clamp_",
    "__iadd__",
    "cpu",
]


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor(name):
    method = getattr(Tensor, name)
    assert inspect.signature(method).return_annotation == "Tensor"


@pytest.mark.parametrize("name", ITSELF)
def test_itself_a_parameter_too(name):
    method = getattr(Tensor, name)
    assert inspect.signature(method).return_annotation == "Self"
