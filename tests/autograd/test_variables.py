"""Variable: a Tensor, as in PyTorch."""

import pytest
from pytorch import from_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn.errors import DTypeError


def made(lib):
    x = lib.ones(2)
    variable = lib.autograd.Variable
    w = variable(x, requires_grad=True)
    with pytest.warns(UserWarning, match="volatile was removed"):
        old = variable(x, volatile=True)
    parts = [w, variable(w * 2), variable(x), old, lib.nn.Parameter(x)]
    x.add_(1)
    return [
        [isinstance(t, variable), t.requires_grad, t.is_leaf, t.tolist()] for t in parts
    ] + [isinstance(3.0, variable), type(w) is lib.Tensor]


def test_a_variable_is_a_tensor():
    assert made(tinygrad_cnn) == from_pytorch(lambda: made(torch))
    with pytest.raises(DTypeError, match="has to be a tensor, but got list"):
        tinygrad_cnn.autograd.Variable([1.0])
