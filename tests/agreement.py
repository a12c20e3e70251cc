"""The same program run by tinygrad_cnn and by PyTorch, and what must agree.

A program takes Tensors and is written with their methods and operators, which have the
same names in both; `library(x)` gives the module for functions such as `cat`.
"""

import itertools

import numpy as np
import pytest
from pytorch import Answer, answer, from_pytorch, refused_by_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn import Tensor
from tinygrad_cnn.errors import TinygradError

TOLERANCE = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-12}


def library(x):
    """The module that this Tensor belongs to: torch or tinygrad_cnn."""
    return tinygrad_cnn if isinstance(x, Tensor) else torch


def dtype_of(x, name):
    """The dtype of that name in the library of x."""
    return getattr(library(x), name)


def functional(name, **options):
    """The function of `nn.functional` of that name with these options, as a program."""

    def program(*tensors):
        return getattr(library(tensors[0]).nn.functional, name)(*tensors, **options)

    return program


def both(array, requires_grad=False):
    """The array as a Tensor of each library."""
    ours = tinygrad_cnn.tensor(array, requires_grad=requires_grad)
    return ours, torch.tensor(array, requires_grad=requires_grad)


def agree(program, *arrays, gradient=True):
    """`program(*tensors)` gives the same results and, of floats, the same gradients."""

    def run(library):
        tensors = _tensors(library, arrays, gradient)
        results = _listed(program(*tensors))
        return results, tensors, _backward(library, results)

    def theirs():
        results, tensors, _ = run(torch)
        return results, [x.grad for x in tensors]

    expected, gradients = from_pytorch(theirs, *arrays)
    results, tensors, cotangents = run(tinygrad_cnn)
    same(results, expected)
    same([x.grad for x in tensors], gradients)
    apart([x.grad for x in tensors] + cotangents)


def alike(program, *arrays):
    """`program(library, *tensors)` returns the same in both; floats ask for gradients."""

    def run(library):
        return _listed(program(library, *_tensors(library, arrays, True)))

    same(run(tinygrad_cnn), from_pytorch(lambda: run(torch), *arrays))


def apart(tensors):
    """No two of these Tensors (or None) share memory."""
    arrays = [t.detach().numpy() for t in tensors if t is not None]
    for a, b in itertools.combinations(arrays, 2):
        assert not np.shares_memory(a, b)


def same(ours, theirs):
    """Two values are the same: dtype, shape, values, and whether a gradient is asked."""
    theirs = answer(theirs)
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for y, z in zip(ours, theirs, strict=True):
            same(y, z)
        return
    if not isinstance(theirs, Answer):
        assert type(ours) is type(theirs)
        assert ours == theirs
        return
    assert isinstance(ours, Tensor)
    assert (ours.dtype.name, ours.shape) == (theirs.dtype.name, theirs.shape)
    assert ours.requires_grad == theirs.requires_grad
    a, b = ours.detach().numpy(), theirs.array
    tolerance = TOLERANCE.get(a.dtype.name, 0)
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def refuses_as_torch(program, *arrays, requires_grad=False, kind=None):
    """Both refuse, and ours would be caught where PyTorch's is; returns our message.

    kind: what ours is instead, where the kind of PyTorch's is an accident.
    """

    def run(library):
        program(*_tensors(library, arrays, requires_grad))

    caught = refused_by_pytorch(lambda: run(torch), *arrays)
    with pytest.raises(TinygradError) as refused:
        run(tinygrad_cnn)
    assert isinstance(refused.value, kind or caught)
    return str(refused.value)


def draw(*shape, seed=0, dtype=np.float64):
    """Standard normal values, the same for the same shape and seed."""
    values = np.random.default_rng((seed, *shape)).standard_normal(shape)
    return np.asarray(values, dtype)


def _listed(result):
    return list(result) if isinstance(result, tuple | list) else [result]


def _tensors(library, arrays, asking):
    """The arrays as Tensors; of these, floats may ask for gradients."""
    asks = [asking and np.asarray(a).dtype.kind == "f" for a in arrays]
    if library is torch:  # which takes few strides
        arrays = [
            np.array(a, order="C") if isinstance(a, np.ndarray) else a for a in arrays
        ]
    return [
        library.tensor(a, requires_grad=r) for a, r in zip(arrays, asks, strict=True)
    ]


def _backward(library, results):
    """Go back from those that can, with cotangents that are the same everywhere."""
    kinds = Tensor if library is tinygrad_cnn else torch.Tensor
    able = [y for y in results if isinstance(y, kinds) and y.requires_grad]
    cotangents = [library.tensor(draw(*y.shape, seed=99)).to(y.dtype) for y in able]
    if able:
        library.autograd.backward(able, cotangents)
    return cotangents
