"""The same program run by tinygrad_cnn and by PyTorch, and what must agree.

A program takes Tensors and is written with their methods and operators, which have the
same names in both; `library(x)` gives the module for functions such as `cat`.
"""

import itertools

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn import Tensor, autograd
from tinygrad_cnn.errors import TinygradError

torch = pytest.importorskip("torch")

TOLERANCE = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-12}


def library(x):
    """The module that this Tensor belongs to: torch or tinygrad_cnn."""
    return torch if isinstance(x, torch.Tensor) else tinygrad_cnn


def dtype_of(x, name):
    """The dtype of that name in the library of x."""
    return getattr(library(x), name)


def both(array, requires_grad=False):
    """The array as a Tensor of each library."""
    ours = tinygrad_cnn.tensor(array, requires_grad=requires_grad)
    return ours, torch.tensor(array, requires_grad=requires_grad)


def agree(program, *arrays, gradient=True):
    """`program(*tensors)` gives the same results and, of floats, the same gradients."""
    pairs = [both(a, gradient and np.asarray(a).dtype.kind == "f") for a in arrays]
    ours = _listed(program(*[pair[0] for pair in pairs]))
    theirs = _listed(program(*[pair[1] for pair in pairs]))
    assert len(ours) == len(theirs)
    for y, z in zip(ours, theirs, strict=True):
        same(y, z)
    cotangents = _backward(ours, theirs)
    for x, z in pairs:
        same(x.grad, z.grad)
    apart([x.grad for x, _ in pairs] + cotangents)


def alike(program, *arrays):
    """`program(library, *tensors)` returns the same in both; floats ask for gradients."""
    pairs = [both(a, np.asarray(a).dtype.kind == "f") for a in arrays]
    ours = _listed(program(tinygrad_cnn, *[pair[0] for pair in pairs]))
    theirs = _listed(program(torch, *[pair[1] for pair in pairs]))
    assert len(ours) == len(theirs)
    for y, z in zip(ours, theirs, strict=True):
        same(y, z)


def apart(tensors):
    """No two of these Tensors (or None) share memory."""
    arrays = [t.detach().numpy() for t in tensors if t is not None]
    for a, b in itertools.combinations(arrays, 2):
        assert not np.shares_memory(a, b)


def same(ours, theirs):
    """Two values are the same: dtype, shape, values, and whether a gradient is asked."""
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for y, z in zip(ours, theirs, strict=True):
            same(y, z)
        return
    if not isinstance(theirs, torch.Tensor):
        assert type(ours) is type(theirs)
        assert ours == theirs
        return
    assert isinstance(ours, Tensor)
    dtype = str(theirs.dtype).removeprefix("torch.")
    assert (ours.dtype.name, ours.shape) == (dtype, tuple(theirs.shape))
    assert ours.requires_grad == theirs.requires_grad
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    tolerance = TOLERANCE.get(a.dtype.name, 0)
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def refuses_as_torch(program, *arrays, requires_grad=False, kind=None):
    """Both refuse, and ours would be caught where PyTorch's is; returns our message.

    kind: what ours is instead, where the kind of PyTorch's is an accident.
    """
    pairs = [both(a, requires_grad and np.asarray(a).dtype.kind == "f") for a in arrays]
    with pytest.raises(Exception) as expected:
        program(*[pair[1] for pair in pairs])
    kinds = (RuntimeError, ValueError, TypeError, IndexError)
    caught = [k for k in kinds if isinstance(expected.value, k)]
    with pytest.raises(TinygradError) as refused:
        program(*[pair[0] for pair in pairs])
    assert isinstance(refused.value, kind or tuple(caught)), (
        f"{type(refused.value).__name__} would not be caught as "
        f"{type(expected.value).__name__}: {expected.value}"
    )
    return str(refused.value)


def draw(*shape, seed=0, dtype=np.float64):
    """Standard normal values, the same for the same shape and seed."""
    values = np.random.default_rng((seed, *shape)).standard_normal(shape)
    return np.asarray(values, dtype)


def _listed(result):
    return list(result) if isinstance(result, tuple | list) else [result]


def _backward(ours, theirs):
    pairs = [
        pair
        for pair in zip(ours, theirs, strict=True)
        if isinstance(pair[1], torch.Tensor) and pair[1].requires_grad
    ]
    cotangents = [both(draw(*y.shape, seed=99).astype(y.dtype)) for y, _ in pairs]
    if pairs:
        autograd.backward([y for y, _ in pairs], [c for c, _ in cotangents])
        torch.autograd.backward([z for _, z in pairs], [c for _, c in cotangents])
    return [c for c, _ in cotangents]
