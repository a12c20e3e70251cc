"""state_dict and load_state_dict: PyTorch's keys, results and messages."""

import copy
import pickle

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


def versioned(lib, seen=None):
    """A model of an old layer that renames what older files have, and has more state."""

    class Old(lib.nn.Module):
        _version = 3

        def __init__(self):
            super().__init__()
            self.w = lib.nn.Parameter(lib.ones(1))
            self.add_module("nothing", None)
            self.norm = lib.nn.BatchNorm1d(1)
            self.steps = 4

        def get_extra_state(self):
            return {"steps": self.steps}

        def set_extra_state(self, state):
            self.steps = state["steps"]

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
            if seen is not None:
                seen.append(dict(local_metadata))
            if local_metadata.get("version", None) in (None, 2):
                state_dict[prefix + "w"] = state_dict.pop(prefix + "weight")
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    return lib.nn.Sequential(Old(), lib.nn.Linear(1, 1))


def aged(state, version):
    """The state as a file of another version would have it; None: that says none."""
    if version is None:
        state = dict(state)
    else:
        state._metadata["0"] = {"version": version}
    state["0.weight"] = state.pop("0.w") * 5
    state["0._extra_state"] = {"steps": 9}
    return state


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("version", [None, 2, 3])
def test_a_layer_is_told_the_version_of_what_it_loads(agree, version, assign):
    def loaded(lib):
        seen = []
        m = versioned(lib, seen)
        m.load_state_dict(aged(m.state_dict(), version), assign=assign)
        return seen, m[0].w, m[0].steps, list(m.state_dict())

    agree(loaded, refused=version == 3)


def test_metadata_says_each_version_and_survives_copies(agree):
    def listed(lib):
        state = versioned(lib).state_dict(prefix="x.")
        copied = copy.deepcopy(state)
        pickled = pickle.loads(pickle.dumps(state))
        return [list(s._metadata.items()) for s in (state, copied, pickled)]

    agree(listed)


@pytest.mark.parametrize("lost", ["0._extra_state", "0.norm.num_batches_tracked"])
def test_what_a_file_of_this_version_lacks_is_missing(agree, lost):
    def loaded(lib):
        m = versioned(lib)
        state = m.state_dict()
        del state[lost]
        return m.load_state_dict(state)

    agree(loaded, refused=True)


def test_extra_state_that_no_module_takes_is_unexpected(agree):
    def loaded(lib):
        m = lib.nn.Linear(1, 1)
        m.load_state_dict({**m.state_dict(), "_extra_state": 1})

    agree(loaded, refused=True)
    for ask in (nn.ReLU().get_extra_state, lambda: nn.ReLU().set_extra_state(1)):
        with pytest.raises(tg.errors.CheckpointError, match="ReLU has no extra state"):
            ask()


def test_hooks_of_the_state_see_what_pytorchs_see(agree):
    def told(lib):
        m, seen = lib.nn.Sequential(lib.nn.Linear(1, 1, bias=False)), []
        layer = m[0]

        def note(name):
            def hook(*args):
                args = [list(a) if hasattr(a, "keys") else a for a in args]
                seen.append([name, [type(a).__name__ for a in args]])
                seen.append([a for a in args if not isinstance(a, lib.nn.Module)])

            return hook

        handles = [
            layer.register_state_dict_pre_hook(note("before taking")),
            layer.register_state_dict_post_hook(note("after taking")),
            layer._register_state_dict_hook(note("after taking, own")),
            layer.register_load_state_dict_pre_hook(note("before loading")),
            layer._register_load_state_dict_pre_hook(note("without")),
            layer._register_load_state_dict_pre_hook(note("with"), with_module=True),
            m.register_load_state_dict_post_hook(note("after loading")),
        ]
        m.load_state_dict(m.state_dict())
        for handle in handles:
            handle.remove()
        m.load_state_dict(m.state_dict())
        return [[*map(str, line)] for line in seen]

    agree(told)


def test_hooks_of_the_state_may_change_it(agree):
    def changed(lib):
        m = lib.nn.Sequential(lib.nn.Linear(1, 1, bias=False))

        def rename(state, prefix, *_):
            state[prefix + "weight"] = state.pop(prefix + "kernel")

        m[0]._register_load_state_dict_pre_hook(rename)
        m.register_load_state_dict_post_hook(lambda _, keys: keys[1].clear())
        m.load_state_dict({"0.kernel": lib.full((1, 1), 7.0)})
        m._register_state_dict_hook(lambda m, state, *_: {"only": state["0.weight"]})
        return m.state_dict()

    agree(changed)


@pytest.mark.parametrize("when", ["state_dict_post", "load_state_dict_post"])
def test_what_a_public_hook_returns_is_refused(when):
    m = nn.ReLU()
    getattr(m, f"register_{when}_hook")(lambda *args: 3)
    with pytest.raises(tg.errors.CheckpointError, match="must return None"):
        m.load_state_dict(m.state_dict())
