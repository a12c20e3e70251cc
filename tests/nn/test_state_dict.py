"""state_dict and load_state_dict: PyTorch's keys, results and messages."""

import numpy as np
import pytest
from pytorch import torch

import tinygrad_cnn as tg
from tinygrad_cnn import nn


def model(lib):
    return lib.nn.Sequential(
        lib.nn.Conv2d(1, 2, 3, groups=1),
        lib.nn.BatchNorm2d(2),
        lib.nn.Sequential(lib.nn.Flatten(), lib.nn.Linear(8, 2, bias=False)),
        lib.nn.CrossEntropyLoss(weight=lib.ones(2)),
    )


def test_keys_shapes_and_order_are_pytorchs(agree):
    agree(lambda lib: [(k, tuple(v.shape)) for k, v in model(lib).state_dict().items()])


def test_its_tensors_are_detached_and_share_memory():
    m = model(tg)
    state = m.state_dict()
    assert not state["0.weight"].requires_grad
    with tg.no_grad():
        m[0].weight.fill_(5)
    assert (state["0.weight"] == 5).all()
    assert m.state_dict(keep_vars=True)["0.weight"] is m[0].weight


def test_values_of_pytorch_load_into_the_same_model():
    theirs, ours = model(torch), model(tg)
    result = ours.load_state_dict(theirs.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    for key, value in theirs.state_dict().items():
        assert np.array_equal(ours.state_dict()[key], value)
        assert ours.state_dict()[key].dtype == value.numpy().dtype


def test_loading_copies_and_casts():
    m = nn.Linear(2, 1)
    weight, values = m.weight, np.array([[1.0, 2.0]])
    m.load_state_dict({"weight": values, "bias": tg.ones(1)})
    values[:] = 0
    assert m.weight is weight and weight.dtype == np.float32
    assert weight.tolist() == [[1, 2]] and weight.requires_grad


def test_assigning_takes_the_given_tensors_and_keeps_requires_grad():
    m = nn.Linear(2, 1)
    m.bias.requires_grad_(False)
    weight = tg.ones(1, 2, dtype=np.float64)
    m.load_state_dict({"weight": weight, "bias": tg.ones(1)}, assign=True)
    assert isinstance(m.weight, nn.Parameter) and m.weight.dtype == np.float64
    assert m.weight._array is weight._array
    assert m.weight.requires_grad and not m.bias.requires_grad


def spoiled(lib, **changes):
    state = model(lib).state_dict()
    for key, value in changes.items():
        key = key.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = lib.ones(*value)
    return state


SPOILED = {
    "missing": {"2__1__weight": None, "0__bias": None},
    "unexpected": {"nonsense": (1,), "1__more": (1,), "7__weight": (2,)},
    "both": {"0__bias": None, "0__bais": (2,)},
    "wrong shapes": {"0__bias": (3,), "2__1__weight": (2, 3)},
    "everything": {"0__bias": (3,), "1__weight": None, "x": (1,)},
    "no count of batches": {"1__num_batches_tracked": None},
    "a scalar in an axis": {"1__num_batches_tracked": (1,)},
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("case", SPOILED)
def test_what_does_not_fit_is_reported_as_in_pytorch(agree, case, strict):
    def loaded(lib):
        state = dict(spoiled(lib, **SPOILED[case]))
        return tuple(model(lib).load_state_dict(state, strict=strict))

    agree(loaded)


def test_the_result_prints_as_in_pytorch(agree):
    agree(
        lambda lib: repr(
            lib.nn.ReLU().load_state_dict({"a": lib.ones(1)}, strict=False)
        )
    )


def test_what_is_no_tensor_is_refused_by_name():
    with pytest.raises(RuntimeError, match='"bias", expected a Tensor or an array'):
        nn.Linear(1, 1).load_state_dict({"weight": [[1.0]], "bias": "one"})
    with pytest.raises(RuntimeError, match="dtype <U3"):
        nn.Linear(1, 1).load_state_dict({"weight": np.array([["one"]])}, strict=False)
