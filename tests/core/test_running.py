"""`unchanged`: whatever the block does to a model or to random numbers is put back."""

import random

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn import Generator, errors, nn, no_grad, tensor
from tinygrad_cnn.core.recording import change
from tinygrad_cnn.core.running import ATTRIBUTE, DRAWN, REPLACED, unchanged
from tinygrad_cnn.nn import functional as F


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("steps", tensor([0.0]))
        self.register_buffer("nothing", None)
        self.chance = Generator(seed=5)
        self.numpy_chance = np.random.default_rng(6)
        self.loose = tensor([1.0, 2.0])

    def forward(self, x):
        return self.norm(self.layer(x))


class Model(nn.Module):
    """A Block inside, so that nothing here is found at the top."""

    def __init__(self):
        super().__init__()
        self.block = Block()

    def forward(self, x):
        return self.block(x)


@pytest.fixture
def model():
    tinygrad_cnn.manual_seed(1)
    return Model()


X = tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 2.0]])


def all_of(model):
    """Everything in the model, by identity where it is an object, by value where it is
    numbers."""
    found = []
    for module in model.modules():
        found.append(type(module))
        for store in (vars(module), module._parameters, module._buffers):
            for name, value in store.items():
                if name != "_path_cache":
                    found.append((name, id(value)))
                if isinstance(value, tinygrad_cnn.Tensor):
                    found.append((id(value._array), value._array.tolist()))
                    found.append((id(value._version), value._version.count))
                    found.append((value.requires_grad, id(value.grad), value.is_leaf))
    return found


def draws_to_come(model):
    """The next numbers of every generator, which are then put back where they were."""
    block = model.block
    states = (
        random.getstate(),
        np.random.get_state(),
        tinygrad_cnn.random.default_generator.get_state(),
        block.chance.get_state(),
        block.numpy_chance.bit_generator.state,
    )
    drawn = [
        random.random(),
        np.random.randn(),  # of a pair, the other half of which is kept
        tinygrad_cnn.rand(1).item(),
        tinygrad_cnn.rand(1, generator=block.chance).item(),
        block.numpy_chance.random(),
    ]
    random.setstate(states[0])
    np.random.set_state(states[1])
    tinygrad_cnn.random.default_generator.set_state(states[2])
    block.chance.set_state(states[3])
    block.numpy_chance.bit_generator.state = states[4]
    return drawn


def batch_norm_in_training(model):
    model.train()
    model(X)


def buffer_filled(model):
    model.block.steps.fill_(7.0)


def buffer_changed_as_layers_do(model):
    def double(steps):
        steps *= 2
        steps += 1

    change(double, (model.block.steps,))


def buffer_replaced(model):
    model.block.steps = model.block.steps + 1


def buffer_filled_and_replaced(model):
    model.block.steps.fill_(7.0)
    model.block.steps = tensor([3.0])


def buffer_with_a_history(model):
    model.block.steps.add_(model.block.layer.weight.sum())


def loose_tensor_changed(model):
    model.block.loose.mul_(2.0)


def new_attribute(model):
    model.block.last = model(X)


def attribute_exchanged(model):
    model.block.loose = tensor([0.0])


def attribute_removed(model):
    del model.block.loose


def buffer_removed(model):
    del model.block.steps


def buffer_removed_and_put_back(model):
    steps = model.block.steps
    del model.block.steps
    model.block.register_buffer("steps", steps)


def parameter_exchanged(model):
    model.block.layer.weight = nn.Parameter(tensor([[0.0] * 3] * 2))


def data_exchanged(model):
    model.block.layer.weight.data = tensor([[0.0] * 3] * 2)


def gradient_made(model):
    F.mse_loss(model(X), tensor([[0.0, 1.0]] * 2)).backward()


def gradient_no_longer_asked(model):
    model.requires_grad_(False)


def mode_changed(model):
    model.eval()


def class_changed(model):
    model.block.__class__ = Model


CHANGES = {
    class_changed: [REPLACED],
    batch_norm_in_training: [],
    buffer_filled: [],
    buffer_changed_as_layers_do: [],
    buffer_replaced: [ATTRIBUTE],
    buffer_filled_and_replaced: [ATTRIBUTE],
    buffer_with_a_history: [REPLACED],
    loose_tensor_changed: [],
    new_attribute: [ATTRIBUTE],
    attribute_exchanged: [ATTRIBUTE],
    attribute_removed: [ATTRIBUTE],
    buffer_removed: [ATTRIBUTE],
    buffer_removed_and_put_back: [ATTRIBUTE],
    parameter_exchanged: [ATTRIBUTE],
    data_exchanged: [REPLACED],
    gradient_made: [REPLACED],
    gradient_no_longer_asked: [REPLACED],
    mode_changed: [ATTRIBUTE],
}


@pytest.mark.parametrize("parameters", [False, True])
@pytest.mark.parametrize("action", CHANGES, ids=lambda f: f.__name__)
def test_what_is_done_to_a_model_is_put_back(model, action, parameters):
    before = all_of(model)
    with unchanged(model, parameters=parameters) as changes:
        action(model)
        assert changes == [] and all_of(model) != before
    assert all_of(model) == before
    assert changes == CHANGES[action]


def test_nothing_done_is_nothing_changed(model):
    model.eval()
    before = all_of(model)
    with unchanged(model) as changes:
        model(X)
    assert changes == [] and all_of(model) == before


def test_parameters_and_their_gradients_are_put_back_on_request(model):
    gradient_made(model)
    weight = model.block.layer.weight
    values, grads = weight.detach().numpy().copy(), weight.grad.numpy().copy()
    before = all_of(model)
    with unchanged(model, parameters=True) as changes:
        with no_grad():
            weight.fill_(3.0)
        gradient_made(model)  # into the same array
    assert all_of(model) == before and REPLACED not in changes
    np.testing.assert_array_equal(weight.detach().numpy(), values)
    np.testing.assert_array_equal(weight.grad.numpy(), grads)


def test_without_the_request_changed_parameters_are_seen_to_be_changed(model):
    weight = model.block.layer.weight
    y = (weight * weight).sum()
    with unchanged(model), no_grad():
        weight.fill_(3.0)
    assert weight[0, 0].item() == 3
    with pytest.raises(errors.MutationError):
        y.backward()


def test_memory_that_others_share_is_put_back_in_place(model):
    model.train()
    shared = model.state_dict()
    values = {name: t.numpy().copy() for name, t in shared.items()}
    with unchanged(model):
        model(X)
        assert any((t.numpy() != values[name]).any() for name, t in shared.items())
    for name, t in shared.items():
        np.testing.assert_array_equal(t.numpy(), values[name])


def test_a_graph_that_was_there_can_still_be_differentiated(model):
    steps = model.block.steps
    y = (model.block.layer.weight * steps).sum()
    with unchanged(model):
        steps.fill_(7.0)
    y.backward()
    np.testing.assert_array_equal(model.block.layer.weight.grad.numpy(), 0)


def test_results_are_left_alone(model):
    model.train()
    with unchanged(model):
        y = model(X)
        values = y.detach().numpy().copy()
    np.testing.assert_array_equal(y.detach().numpy(), values)
    y.sum().backward()
    assert model.block.layer.weight.grad is not None


def test_an_exception_goes_on_when_all_is_put_back(model):
    before, drawn = all_of(model), draws_to_come(model)
    with pytest.raises(ZeroDivisionError), unchanged(model):
        buffer_filled_and_replaced(model)
        tinygrad_cnn.rand(3)
        raise ZeroDivisionError
    assert all_of(model) == before and draws_to_come(model) == drawn


# -------------------------------------------------------------------------- random numbers


def ours(model):
    tinygrad_cnn.rand(3)


def ours_seeded(model):
    tinygrad_cnn.manual_seed(1)


def numpys(model):
    np.random.rand(3)


def one_of_a_pair_of_numpys(model):
    np.random.randn()


def numpys_seeded(model):
    np.random.seed(3)


def pythons(model):
    random.random()


def a_module_s(model):
    tinygrad_cnn.rand(2, generator=model.block.chance)


def a_module_s_seeded(model):
    model.block.chance.manual_seed(9)


def a_module_s_of_numpy(model):
    model.block.numpy_chance.normal(size=3)


def dropout(model):
    F.dropout(X, 0.5)


DRAWS = [
    *(ours, ours_seeded, numpys, one_of_a_pair_of_numpys, numpys_seeded, pythons),
    *(a_module_s, a_module_s_seeded, a_module_s_of_numpy, dropout),
]


@pytest.mark.parametrize("action", DRAWS, ids=lambda f: f.__name__)
def test_random_numbers_are_drawn_as_if_nothing_had_run(model, action):
    np.random.randn()  # so that the second of a pair is kept already
    drawn, before = draws_to_come(model), all_of(model)
    with unchanged(model) as changes:
        action(model)
    assert changes == [DRAWN]
    assert draws_to_come(model) == drawn and all_of(model) == before
    assert tinygrad_cnn.initial_seed() == 1
    assert model.block.chance.initial_seed() == 5


def test_generators_are_left_alone_on_request(model):
    state = tinygrad_cnn.random.default_generator.get_state()
    with unchanged(model, draws=False) as changes:
        tinygrad_cnn.rand(3)
        buffer_filled(model)
    assert changes == [] and model.block.steps.item() == 0
    assert tinygrad_cnn.random.default_generator.get_state() != state


def test_without_a_model_it_is_about_random_numbers(model):
    drawn = draws_to_come(model)
    with unchanged() as changes:
        ours(model)
        numpys(model)
    assert changes == [DRAWN] and draws_to_come(model) == drawn


def test_several_models_and_blocks_within_blocks(model):
    other = nn.BatchNorm1d(3)
    before = all_of(model), all_of(other)
    with unchanged(model, other) as outer:
        other(X)
        with unchanged(other) as inner:
            within = all_of(other)
            other(X)
            tinygrad_cnn.rand(3)
            model.block.last = 1
        assert all_of(other) != before[1] and within == all_of(other)
    assert (all_of(model), all_of(other)) == before
    assert (outer, inner) == ([ATTRIBUTE], [DRAWN])


def test_a_module_used_twice_is_put_back_once(model):
    twice = nn.Sequential(model, model.block, model.block.norm)
    before = all_of(twice)
    with unchanged(twice, model):
        model.train()
        model(X)
    assert all_of(twice) == before
