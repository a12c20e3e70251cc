"""Indexing, and assignment to an index, with PyTorch's results and gradients."""

import numpy as np
import pytest
from agreement import agree, draw, library, refuses_as_torch, torch
from each import for_each
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from tinygrad_cnn import Tensor, tensor
from tinygrad_cnn.errors import TinygradError


def ints(x, *values, dtype="int64"):
    return library(x).tensor(list(values), dtype=getattr(library(x), dtype))


def mask(x, *values):
    return library(x).tensor(list(values))


BASIC = {
    "0": lambda x: 0,
    "-1": lambda x: -1,
    "int int": lambda x: (1, -2),
    "int int int": lambda x: (1, 2, 3),
    "numpy int": lambda x: np.int64(1),
    "slice": lambda x: slice(1, None),
    "slice negative": lambda x: slice(-1, None),
    "slice beyond": lambda x: slice(0, 99),
    "slice empty": lambda x: slice(2, 1),
    "slice step": lambda x: (slice(None), slice(None, None, 2)),
    "slice step from": lambda x: (slice(None), slice(None), slice(1, None, 2)),
    "ellipsis": lambda x: ...,
    "ellipsis int": lambda x: (..., 0),
    "int ellipsis": lambda x: (0, ...),
    "int ellipsis int": lambda x: (0, ..., 1),
    "none": lambda x: None,
    "none slice none": lambda x: (None, slice(None), None),
    "ellipsis none": lambda x: (..., None),
    "int none": lambda x: (0, None),
    "empty tuple": lambda x: (),
    "true": lambda x: True,
    "false": lambda x: False,
    "true int": lambda x: (True, 0),
    "mixed": lambda x: (0, None, slice(1, None), ..., 2),
}

ADVANCED = {
    "list": lambda x: [1, 0, 1],
    "list negative": lambda x: [-1, 0],
    "numpy array": lambda x: np.array([1, 0]),
    "tensor": lambda x: ints(x, 0, 1, 0),
    "tensor int32": lambda x: ints(x, 1, 0, dtype="int32"),
    "tensor 0-d": lambda x: library(x).tensor(1),
    "tensor 0-d second": lambda x: (slice(None), library(x).tensor(1)),
    "tensor 2-d": lambda x: library(x).tensor([[0, 1], [1, 0]]),
    "tensor empty": lambda x: ints(x),
    "two tensors": lambda x: (ints(x, 0, 1), ints(x, 2, 0)),
    "two broadcast": lambda x: (ints(x, 0, 1).reshape(2, 1), ints(x, 2, 0, 1)),
    "three": lambda x: (ints(x, 0, 1), ints(x, 1, 1), ints(x, 3, 0)),
    "slice tensor": lambda x: (slice(None), ints(x, 2, 2, 0)),
    "ellipsis tensor": lambda x: (..., ints(x, 3, 0)),
    "tensor slice": lambda x: (ints(x, 1, 1), slice(1, None)),
    "tensor slice tensor": lambda x: (ints(x, 0, 1), slice(None), ints(x, 2, 0)),
    "tensor int": lambda x: (ints(x, 0, 1), 1),
    "int tensor": lambda x: (1, ints(x, 0, 2)),
    "int slice tensor": lambda x: (0, slice(None), ints(x, 0, 1)),
    "tensor slice int": lambda x: (ints(x, 0, 1), slice(None), 1),
    "slice int tensor": lambda x: (slice(None), 0, ints(x, 0, 1)),
    "slice tensor int": lambda x: (slice(None), ints(x, 0, 1), 2),
    "int ellipsis tensor": lambda x: (0, ..., ints(x, 0, 1, 2)),
    "tensor int slice": lambda x: (ints(x, 0, 1), 2, slice(1, None)),
    "tensor int ellipsis tensor": lambda x: (ints(x, 0, 1), 2, ..., ints(x, 3, 0)),
    "int none tensor": lambda x: (0, None, ints(x, 0, 1)),
    "int slice mask": lambda x: (1, slice(2), mask(x, True, False, False, True)),
    "none tensor": lambda x: (None, ints(x, 0, 1)),
    "tensor none": lambda x: (ints(x, 0, 1), None),
    "tensor none tensor": lambda x: (ints(x, 0, 1), None, ints(x, 0, 1)),
    "tensor list": lambda x: (ints(x, 0, 1), [2, 0]),
    "0-d tensor slice tensor": lambda x: (
        library(x).tensor(0),
        slice(None),
        ints(x, 0, 1),
    ),
    "mask": lambda x: x > 0,
    "mask rows": lambda x: mask(x, True, False),
    "mask list": lambda x: [False, True],
    "mask numpy": lambda x: np.array([True, True]),
    "mask second": lambda x: (slice(None), mask(x, True, False, True)),
    "mask and int": lambda x: (mask(x, True, False), 1),
    "mask and slice": lambda x: (mask(x, True, True), slice(1, None)),
    "mask and tensor": lambda x: (mask(x, True, True), ints(x, 0, 2)),
    "mask of two axes": lambda x: x[..., 0] > 0,
    "mask slice mask": lambda x: (
        mask(x, True, False),
        slice(None),
        mask(x, True, False, False, True),
    ),
    "mask of nothing": lambda x: x > 1e9,
    "0-d mask": lambda x: library(x).tensor(True),
}

KEYS = BASIC | ADVANCED


def agree_or_refuse(program, *arrays):
    """As PyTorch, or one of our errors: never something else."""
    try:
        agree(program, *arrays)
    except TinygradError:
        return


@for_each("name", BASIC)
def test_a_basic_index_is_pytorchs(name):
    agree(lambda x: x[BASIC[name](x)], draw(2, 3, 4))


@for_each("name", ADVANCED)
def test_an_index_of_tensors_arrays_or_masks_is_pytorchs(name):
    agree_or_refuse(lambda x: x[ADVANCED[name](x)], draw(2, 3, 4))


def test_the_usual_indices_are_not_refused():
    refused = []
    for name in ADVANCED:
        x = tensor(draw(2, 3, 4))
        try:
            x[ADVANCED[name](x)]
        except TinygradError:
            refused.append(name)
    assert not refused


def test_a_nested_list_is_a_tensor_of_integers():
    x, z = tensor(draw(2, 3)), torch.tensor(draw(2, 3))
    rows = [[0, 1], [1, 1]]
    np.testing.assert_array_equal(x[rows].numpy(), z[torch.tensor(rows)].numpy())


@pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8")
def test_bytes_are_a_mask_as_in_pytorch_or_refused():
    agree_or_refuse(lambda x: x[ints(x, 1, 0, dtype="uint8")], draw(2, 3))


@given(key=basic_indices((2, 3, 4), allow_newaxis=True, allow_ellipsis=True))
def test_any_basic_index_is_pytorchs(key):
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(p, slice) and p.step is not None and p.step < 0 for p in parts):
        refuses_as_torch(lambda x: x[key], draw(2, 3, 4))
    else:
        agree(lambda x: x[key], draw(2, 3, 4))


@given(rows=st.lists(st.integers(-3, 2), min_size=1, max_size=8))
def test_the_gradient_of_a_repeated_index_adds_up(rows):
    agree(lambda x: x[ints(x, *rows)], draw(3, 2))
    agree(lambda x: x[:, ints(x, *rows)], draw(2, 3))
    agree(lambda x: x[ints(x, *rows), ints(x, *rows)], draw(3, 3))
    agree(lambda x: x[rows], draw(3))


def test_two_indices_of_the_same_tensor_add_their_gradients():
    agree(lambda x: x[0] * x[0] + x[1], draw(2, 3))
    agree(lambda x: x[:2] * x[1:], draw(3))


def test_iteration_and_unpacking_go_through_the_graph():
    agree(lambda x: sum(row * i for i, row in enumerate(x)), draw(3, 2))

    def unpacked(x):
        a, b = x
        return a * b

    agree(unpacked, draw(2, 3))


GATHERS = {
    "dim 0": (0, [[0, 1, 1], [1, 0, 0]]),
    "dim 1": (1, [[0, 0, 2, 2], [1, 2, 0, 1]]),
    "dim -1": (-1, [[2], [0]]),
    "fewer rows": (1, [[0, 1]]),
    "fewer columns": (0, [[1], [0], [1]]),
    "none": (1, np.zeros((2, 0), int)),
}


@for_each("name", GATHERS)
def test_gather_is_pytorchs(name):
    dim, at = GATHERS[name]
    at = np.array(at, np.int64)
    agree(lambda x, i: x.gather(dim, i), draw(2, 3), at)
    agree(lambda x, i: library(x).gather(x, dim, i), draw(2, 3), at)


REFUSED = {
    "beyond": lambda x: x[2],
    "before": lambda x: x[-3],
    "beyond second": lambda x: x[0, 3],
    "too many": lambda x: x[0, 0, 0, 0],
    "array beyond": lambda x: x[[0, 5]],
    "array before": lambda x: x[[0, -3]],
    "tensor beyond": lambda x: x[ints(x, 0, 2)],
    "mask too long": lambda x: x[mask(x, True, False, True)],
    "mask too short": lambda x: x[:, mask(x, True, False)],
    "mask of other shape": lambda x: x[x[0] > 0],
    "float": lambda x: x[1.0],
    "float tensor": lambda x: x[x],
    "string": lambda x: x["a"],
    "do not broadcast": lambda x: x[ints(x, 0, 1), ints(x, 0, 1, 2)],
    "step 0": lambda x: x[::0],
    "step -1": lambda x: x[::-1],
    "gather beyond": lambda x: x[0].gather(1, library(x).tensor([[4]])),
    "gather negative": lambda x: x[0].gather(1, library(x).tensor([[-1]])),
    "gather other axes": lambda x: x.gather(0, ints(x, 0)),
    "gather floats": lambda x: x[0].gather(1, x[0]),
    "gather no axis": lambda x: x[0].gather(2, library(x).tensor([[0]])),
    "narrow beyond": lambda x: x.narrow(1, 2, 5),
    "narrow starts beyond": lambda x: x.narrow(1, 4, 0),
    "narrow negative length": lambda x: x.narrow(1, 0, -1),
    "of a number": lambda x: x[0, 0, 0][0],
}


@for_each("name", REFUSED)
def test_an_impossible_index_is_refused_as_in_pytorch(name):
    kind = IndexError if name == "string" else None
    refuses_as_torch(REFUSED[name], draw(2, 3, 4), kind=kind)


# ---------------------------------------------------------------------- assignment


def assigned(key, value):
    """A program that writes value(x) to key(x) of what was computed from x."""

    def program(x):
        y = x * 1
        y[key(y)] = value(y)
        return y * x

    return program


@for_each("name", KEYS)
def test_assigning_a_number_cuts_the_gradient_there(name):
    agree_or_refuse(assigned(KEYS[name], lambda y: 7.0), draw(2, 3, 4))


@for_each("name", BASIC)
def test_assigning_a_number_to_a_basic_index_is_not_refused(name):
    agree(assigned(BASIC[name], lambda y: 7.0), draw(2, 3, 4))


UNIQUE = [
    name
    for name in KEYS
    # Where an index meets a place twice, which value stays is nobody's promise.
    if name not in ("list", "tensor", "tensor 2-d", "slice tensor", "tensor slice")
    # PyTorch leaves the gradient of what is written nowhere out, here it is zero.
    and name != "false"
]


@for_each("name", UNIQUE)
def test_assigning_a_tensor_sends_it_the_gradient(name):
    def program(x, v):
        y = x * 1
        key = KEYS[name](y)
        y[key] = v[key] * 2
        return y * x

    agree_or_refuse(program, draw(2, 3, 4), draw(2, 3, 4, seed=1))


VALUES = {
    "0-d": (),
    "row": (4,),
    "with a leading 1": (1, 4),
    "with leading 1s": (1, 1, 4),
    "column": (3, 1),
    "whole": (3, 4),
}


@for_each("name", VALUES)
def test_an_assigned_tensor_broadcasts_and_its_gradient_sums(name):
    def program(x, v):
        y = x * 1
        y[0] = v
        return y * x

    agree(program, draw(2, 3, 4), draw(*VALUES[name]))


def test_one_element_takes_a_tensor_of_one_element():
    for shape in ((), (1,), (1, 1)):

        def program(x, v):
            y = x * 1
            y[0, 1] = v
            return y * x

        agree(program, draw(2, 3), draw(*shape))


def test_assignment_into_a_tensor_without_gradient_makes_it_a_result():
    def program(x):
        out = library(x).zeros(2, 3, dtype=x.dtype)
        for i in range(2):
            out[i] = x[i] * (i + 1)
        return out * out

    agree(program, draw(2, 3))


def test_assignment_converts_to_the_dtype_of_the_target():
    def program(v):
        out = library(v).zeros(3, dtype=library(v).float32)
        out[1:] = v
        return out

    agree(program, draw(2))
    agree(program, np.array([1, 2]))


def test_assigning_to_integers_truncates():
    def program(x):
        x = x.clone()
        x[0] = 2.7
        return x

    agree(program, np.array([1, 2]))


def test_a_leaf_is_written_to_under_no_grad_only():
    x = tensor([1.0, 2.0], requires_grad=True)
    z = torch.tensor([1.0, 2.0], requires_grad=True)
    for library_, t in ((library(x), x), (torch, z)):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            t[0] = 5.0
        assert t.tolist() == [1.0, 2.0]
        with library_.no_grad():
            t[0] = 5.0
        assert t.tolist() == [5.0, 2.0]


def test_an_index_may_be_changed_after_use_without_harm():
    x = tensor(draw(3), requires_grad=True)
    rows, listed = np.array([0, 1]), [0, 1]
    index, chosen = tensor([0, 1]), tensor([True, True, False])
    total = sum(x[key].sum() for key in (rows, listed, index, chosen))
    rows[:], listed[:] = 2, [2, 2]
    index.fill_(2)
    chosen.fill_(False)
    total.backward()
    assert x.grad.tolist() == [4.0, 4.0, 0.0]


REFUSED_WRITES = {
    "beyond": (lambda x: 5, lambda x: 1.0),
    "array beyond": (lambda x: [0, 9], lambda x: 1.0),
    "too long": (lambda x: 0, lambda x: library(x).ones(5, dtype=x.dtype)),
    "too many axes": (lambda x: 0, lambda x: library(x).ones(2, 3, 4, dtype=x.dtype)),
    "mask too long": (lambda x: mask(x, True, False, True), lambda x: 1.0),
    "float index": (lambda x: 0.5, lambda x: 1.0),
    "step -1": (lambda x: slice(None, None, -1), lambda x: 1.0),
}


@for_each("requires_grad", [False, True])
@for_each("name", REFUSED_WRITES)
def test_an_impossible_assignment_is_refused_and_changes_nothing(name, requires_grad):
    key, value = REFUSED_WRITES[name]
    written = []

    def program(x):
        y = x * 1
        if isinstance(y, Tensor):
            written.append(y)
        y[key(y)] = value(y)

    x = draw(2, 3, 4)
    refuses_as_torch(program, x, requires_grad=requires_grad)
    np.testing.assert_array_equal(written[0].detach().numpy(), x)
