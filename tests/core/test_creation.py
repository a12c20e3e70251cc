"""Making Tensors: PyTorch's values, dtypes, defaults and refusals."""

import inspect

import numpy as np
import pytest
from agreement import draw, same
from each import for_each
from pytorch import from_pytorch, refused_by_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn import Tensor, tensor
from tinygrad_cnn.errors import TinygradError


def alike(make):
    """`make(library)` gives the same Tensor with both."""
    same(make(tinygrad_cnn), from_pytorch(lambda: make(torch)))


# --------------------------------------------------------------------------- tensor

DATA = {
    "float": 1.5,
    "int": 2,
    "bool": True,
    "floats": [1.0, 2.5],
    "ints": [1, 2],
    "bools": [True, False],
    "mixed": [1, 2.5],
    "bools and ints": [True, 2],
    "bools and floats": [True, 2.5],
    "nested": [[1, 2], [3, 4]],
    "tuples": ((1.0, 2.0), (3.0, 4.0)),
    "empty": [],
    "empty rows": [[], []],
    "deep": [[[[1.0]]]],
    "big": 2**40,
    "negative": -3,
    "inf": [float("inf"), float("nan")],
    "range": range(3),
    "float64 array": np.array([1.0, 2.0]),
    "float32 array": np.array([1.0, 2.0], np.float32),
    "int64 array": np.array([1, 2]),
    "uint8 array": np.array([1, 2], np.uint8),
    "bool array": np.array([True, False]),
    "0-d array": np.array(1.5),
    "float64 scalar": np.float64(1.5),
    "float32 scalar": np.float32(1.5),
    "int32 scalar": np.int32(3),
    "list of float64": [np.float64(1.5), np.float64(2.5)],
    "list of float32": [np.float32(1.5)],
    "list of int32": [np.int32(1), np.int32(2)],
    "list of int64": [np.int64(1)],
    "list of bool_": [np.bool_(True)],
}


@for_each("name", DATA)
def test_the_dtype_of_what_is_given_is_pytorchs(name):
    alike(lambda library: library.tensor(DATA[name]))


@pytest.mark.filterwarnings("ignore:Creating a tensor from a list of numpy.ndarrays")
def test_a_list_of_arrays_or_tensors_is_stacked():
    arrays = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    alike(lambda library: library.tensor(arrays))
    alike(lambda library: library.tensor([library.tensor(1.5), library.tensor(2.5)]))


@for_each("dtype", ["float32", "float64", "float16", "int64", "int32", "uint8", "bool"])
@for_each("name", ["floats", "ints", "bools", "float64 array", "empty"])
def test_a_dtype_that_is_asked_for(name, dtype):
    alike(lambda library: library.tensor(DATA[name], dtype=getattr(library, dtype)))


def test_a_tensor_is_copied_and_keeps_its_dtype_and_no_graph():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = tensor(x)
    assert y.is_leaf
    assert not y.requires_grad
    y.zero_()
    assert x.tolist() == [1.0, 2.0]
    z = tensor(x * 2, requires_grad=True)
    assert z.is_leaf
    assert tensor(tensor([1, 2])).dtype == np.int64


def test_the_class_makes_float32_of_lists():
    alike(lambda library: library.Tensor([1, 2]))
    alike(lambda library: library.Tensor([[1.5]]))
    assert Tensor([1.0], requires_grad=True).requires_grad
    assert Tensor(3).tolist() == [0.0] * 3  # PyTorch gives uninitialised values


TYPES = {
    "sizes": lambda library: library.FloatTensor(2, 0),
    "a size": lambda library: library.Tensor(library.zeros(2, 0).shape),
    "nothing": lambda library: library.Tensor(),
    "values": lambda library: library.DoubleTensor([1, 2]),
    "cut": lambda library: library.LongTensor([1.7]),
    "bools": lambda library: library.BoolTensor([0, 2]),
    "new": lambda library: library.ones(1, dtype=library.float64).new([2, 3]),
    "new_full": lambda library: library.ones(1, dtype=library.int64).new_full((2,), 3),
    "new_tensor": lambda library: library.ones(1).new_tensor([1, 2]),
    "new_zeros": lambda library: library.ones(1).new_zeros(2, dtype=library.int8),
}


@for_each("name", TYPES)
def test_classes_named_by_dtype_make_what_pytorchs_make(name):
    alike(TYPES[name])


@for_each("data", [2.5, -1, "a"])
def test_classes_named_by_dtype_refuse_what_pytorchs_refuse(data):
    kinds = refused_by_pytorch(lambda: torch.FloatTensor(data))
    with pytest.raises(kinds) as refused:
        tinygrad_cnn.FloatTensor(data)
    assert isinstance(refused.value, TinygradError)


def test_a_class_named_by_dtype_is_that_of_the_tensors_of_that_dtype():
    x = tinygrad_cnn.nn.Parameter(Tensor(2, 3))
    assert isinstance(x, tinygrad_cnn.FloatTensor)
    assert not isinstance(x, tinygrad_cnn.DoubleTensor | tinygrad_cnn.LongTensor)
    assert not isinstance(x.detach().numpy(), tinygrad_cnn.FloatTensor)


def test_what_is_drawn_is_distributed_as_said():
    tinygrad_cnn.manual_seed(0)
    x = tinygrad_cnn.zeros(20000)
    assert abs(x.exponential_(2.0).mean().item() - 0.5) < 0.02
    assert abs(x.bernoulli_(0.25).mean().item() - 0.25) < 0.02
    assert set(x.random_(2, 5).tolist()) == {2.0, 3.0, 4.0}
    weights = tensor([[0.0, 1.0, 3.0], [2.0, 0.0, 2.0]])
    drawn = weights.multinomial(20000, replacement=True)
    shares = [(drawn == k).to(np.float64).mean(1).tolist() for k in range(3)]
    np.testing.assert_allclose(shares, [[0, 0.5], [0.25, 0], [0.75, 0.5]], atol=0.02)
    assert sorted(weights.multinomial(2)[1].tolist()) == [0, 2]
    spread = tinygrad_cnn.normal(tensor([3.0]).expand(20000), 0.5)
    assert abs(spread.mean().item() - 3) < 0.02
    assert abs(spread.std().item() - 0.5) < 0.02


REFUSED = {
    "ragged": [[1], [2, 3]],
    "ragged inside": [1, [2]],
    "none": None,
    "none inside": [1.0, None],
    "text": "abc",
    "text inside": ["a"],
    "object": object(),
    "dict": {"a": 1},
    "set": {1, 2},
    "too big": 2**70,
    "too big inside": [2**70],
}


@for_each("name", REFUSED)
def test_what_is_no_table_of_numbers_is_refused_as_in_pytorch(name):
    expected = refused_by_pytorch(lambda: torch.tensor(REFUSED[name]))
    for make in (tensor, tinygrad_cnn.as_tensor):
        with pytest.raises(TinygradError) as refused:
            make(REFUSED[name])
        if "inside" not in name and name != "too big":  # there PyTorch's are accidents
            assert isinstance(refused.value, expected)


# ---------------------------------------------------------------------------- filled

FILLED = {
    "zeros": lambda lib: lib.zeros(2, 3),
    "zeros tuple": lambda lib: lib.zeros((2, 3)),
    "zeros list": lambda lib: lib.zeros([2, 3]),
    "zeros ()": lambda lib: lib.zeros(()),
    "zeros 0": lambda lib: lib.zeros(0, 3),
    "zeros size": lambda lib: lib.zeros(lib.ones(2, 3).shape),
    "zeros float64": lambda lib: lib.zeros(2, dtype=lib.float64),
    "zeros None": lambda lib: lib.zeros(2, dtype=None, device=None),
    "zeros asking": lambda lib: lib.zeros(2, requires_grad=True),
    "ones": lambda lib: lib.ones(2, 3),
    "ones int": lambda lib: lib.ones(2, dtype=lib.int64),
    "ones bool": lambda lib: lib.ones(2, dtype=lib.bool),
    "full": lambda lib: lib.full((2, 3), 1.5),
    "full int": lambda lib: lib.full((2,), 3),
    "full bool": lambda lib: lib.full((2,), True),
    "full dtype": lambda lib: lib.full((2,), 3, dtype=lib.float32),
    "full ()": lambda lib: lib.full((), 2.0),
    "full asking": lambda lib: lib.full((2,), 2.0, requires_grad=True),
    "zeros_like": lambda lib: lib.zeros_like(lib.ones(2, 3)),
    "zeros_like int": lambda lib: lib.zeros_like(lib.arange(3)),
    "zeros_like dtype": lambda lib: lib.zeros_like(lib.arange(3), dtype=lib.float64),
    "ones_like": lambda lib: lib.ones_like(lib.zeros(2, 3, dtype=lib.float64)),
    "ones_like asking": lambda lib: lib.ones_like(lib.zeros(2), requires_grad=True),
    "full_like": lambda lib: lib.full_like(lib.zeros(2, 3), 7),
    "full_like int": lambda lib: lib.full_like(lib.arange(3), 7),
    "full_like int of float": lambda lib: lib.full_like(lib.arange(3), 7.9),
    "arange": lambda lib: lib.arange(5),
    "arange from": lambda lib: lib.arange(2, 5),
    "arange step": lambda lib: lib.arange(2, 11, 3),
    "arange negative": lambda lib: lib.arange(5, 0, -2),
    "arange float": lambda lib: lib.arange(0, 1, 0.1),
    "arange float end": lambda lib: lib.arange(5.0),
    "arange float start": lambda lib: lib.arange(0.5, 3),
    "arange dtype": lambda lib: lib.arange(3, dtype=lib.float64),
    "arange int dtype": lambda lib: lib.arange(3, dtype=lib.int32),
    "arange empty": lambda lib: lib.arange(0),
    "arange same": lambda lib: lib.arange(3, 3),
    "arange keywords": lambda lib: lib.arange(start=1, end=7, step=2),
    "arange NumPy float": lambda lib: lib.arange(np.float64(3)),
    "linspace": lambda lib: lib.linspace(0, 1, 5),
    "linspace one": lambda lib: lib.linspace(3, 9, 1),
    "linspace down": lambda lib: lib.linspace(1, -1, 9),
    "linspace none": lambda lib: lib.linspace(0, 1, 0),
    "linspace keyword": lambda lib: lib.linspace(0, 1, steps=3),
    "linspace dtype": lambda lib: lib.linspace(0, 1, 7, dtype=lib.float64),
    "linspace asking": lambda lib: lib.linspace(0, 1, 3, requires_grad=True),
    "eye": lambda lib: lib.eye(3),
    "eye wide": lambda lib: lib.eye(2, 4),
    "eye dtype": lambda lib: lib.eye(2, dtype=lib.int64),
    "eye asking": lambda lib: lib.eye(2, requires_grad=True),
}


@for_each("name", FILLED)
def test_filled_and_counted_tensors_are_pytorchs(name):
    alike(FILLED[name])


SHAPED = {
    "empty": lambda lib: lib.empty(2, 3),
    "empty tuple": lambda lib: lib.empty((2, 3), dtype=lib.float64),
    "empty_like": lambda lib: lib.empty_like(lib.arange(3)),
    "rand": lambda lib: lib.rand(2, 3),
    "rand tuple": lambda lib: lib.rand((2, 3)),
    "rand double": lambda lib: lib.rand(2, dtype=lib.float64),
    "rand asking": lambda lib: lib.rand(2, requires_grad=True),
    "randn": lambda lib: lib.randn(2, 3),
    "randn ()": lambda lib: lib.randn(()),
    "randn none": lambda lib: lib.randn(0, 3),
    "randn double": lambda lib: lib.randn(2, dtype=lib.float64),
    "randint": lambda lib: lib.randint(10, (2, 3)),
    "randint from": lambda lib: lib.randint(3, 10, (2, 3)),
    "randint keyword": lambda lib: lib.randint(0, 10, size=(4,)),
    "randint high": lambda lib: lib.randint(high=10, size=(4,)),
    "randint dtype": lambda lib: lib.randint(0, 10, (4,), dtype=lib.float32),
    "randperm": lambda lib: lib.randperm(5),
    "randn_like": lambda lib: lib.randn_like(lib.zeros(2, 3)),
    "rand_like": lambda lib: lib.rand_like(lib.zeros(2, dtype=lib.float64)),
    "rand_like asking": lambda lib: lib.rand_like(lib.zeros(2), requires_grad=True),
}


@for_each("name", SHAPED)
def test_drawn_tensors_have_pytorchs_shape_and_dtype(name):
    def outline():
        x = SHAPED[name](torch)
        return list(x.shape), str(x.dtype).removeprefix("torch."), x.requires_grad

    ours = SHAPED[name](tinygrad_cnn)
    found = [list(ours.shape), ours.dtype.name, ours.requires_grad]
    assert found == from_pytorch(outline)
    assert ours.is_leaf


REFUSED_CALLS = {
    "zeros negative": lambda lib: lib.zeros(-1),
    "ones negative": lambda lib: lib.ones(2, -3),
    "rand negative": lambda lib: lib.rand(-1),
    "zeros text": lambda lib: lib.zeros("a"),
    "zeros float": lambda lib: lib.zeros(2.5),
    "full none": lambda lib: lib.full((2,), None),
    "full text": lambda lib: lib.full((2,), "a"),
    "arange no step": lambda lib: lib.arange(0, 1, 0),
    "arange the wrong way": lambda lib: lib.arange(5, 1),
    "arange the other wrong way": lambda lib: lib.arange(1, 5, -1),
    "linspace negative": lambda lib: lib.linspace(0, 1, -1),
    "eye negative": lambda lib: lib.eye(-1),
    "randint empty range": lambda lib: lib.randint(3, 3, (2,)),
    "randint backwards": lambda lib: lib.randint(5, 3, (2,)),
    "randperm negative": lambda lib: lib.randperm(-1),
    "randn integers": lambda lib: lib.randn(2, dtype=lib.int64),
    "rand integers": lambda lib: lib.rand(2, dtype=lib.int64),
    "randn_like integers": lambda lib: lib.randn_like(lib.arange(3)),
    "another device": lambda lib: lib.zeros(2, device="nowhere"),
    "another device for a tensor": lambda lib: lib.tensor([1.0], device="nowhere"),
    "integers that ask": lambda lib: lib.arange(3, requires_grad=True),
    "arange from nan": lambda lib: lib.arange(float("nan"), 1),
    "arange to inf": lambda lib: lib.arange(0, float("inf")),
    "a dtype that there is not": lambda lib: lib.zeros(2, dtype="x"),
    "an argument that there is not": lambda lib: lib.zeros(2, foo=1),
    "linspace from a string": lambda lib: lib.linspace("a", 1, 2),
    "linspace by a float": lambda lib: lib.linspace(0, 3, 1.0),
    "eye of a string": lambda lib: lib.eye("a"),
    "bernoulli beyond 1": lambda lib: lib.bernoulli(lib.tensor([1.5])),
    "normal of std < 0": lambda lib: lib.normal(0.0, -1.0, (2,)),
    "exponential": lambda lib: lib.ones(2).exponential_(-1),
    "multinomial of none": lambda lib: lib.multinomial(lib.zeros(2), 1),
}


@for_each("name", REFUSED_CALLS)
def test_what_cannot_be_made_is_refused_as_in_pytorch(name):
    expected = refused_by_pytorch(lambda: REFUSED_CALLS[name](torch))
    with pytest.raises(TinygradError) as refused:
        REFUSED_CALLS[name](tinygrad_cnn)
    assert isinstance(refused.value, expected)


MAKERS = [
    "tensor",
    "as_tensor",
    "full",
    "zeros",
    "ones",
    "empty",
    "rand",
    "randn",
    "randint",
    "randperm",
    "arange",
    "linspace",
    "eye",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "randn_like",
    "rand_like",
]


@for_each("name", MAKERS)
def test_dtype_and_device_are_accepted_everywhere(name):
    arguments = {
        "tensor": ([1.0],),
        "as_tensor": ([1.0],),
        "full": ((2,), 1.0),
        "randint": (0, 5, (2,)),
        "arange": (3,),
        "linspace": (0, 1, 3),
        "eye": (2,),
        "randperm": (3,),
    }.get(name, (tinygrad_cnn.zeros(2),) if name.endswith("_like") else (2,))
    if name == "full_like":
        arguments = (tinygrad_cnn.zeros(2), 1.0)
    make = getattr(tinygrad_cnn, name)
    for device in (None, "cpu", "cpu:0", tinygrad_cnn.device("cpu")):
        assert isinstance(make(*arguments, dtype=None, device=device), Tensor)
        assert make(*arguments, dtype=np.float64, device=device).dtype == np.float64
    with pytest.raises(TinygradError):
        make(*arguments, device="cuda")


def test_like_functions_take_the_shape_of_any_tensor():
    x = tensor(draw(2, 3), requires_grad=True)
    for like in (
        tinygrad_cnn.zeros_like,
        tinygrad_cnn.ones_like,
        tinygrad_cnn.rand_like,
    ):
        assert like(x * 2).shape == (2, 3)
        assert not like(x).requires_grad
        assert like(x).is_leaf


def test_every_maker_has_a_docstring_and_its_arguments_by_name():
    for name in MAKERS:
        make = getattr(tinygrad_cnn, name)
        assert make.__doc__
        assert "dtype" in inspect.signature(make).parameters
