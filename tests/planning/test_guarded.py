"""Steps that `fit` plans without being asked are those that it would record, to the bit."""

import copy
import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor, tensor
from tinygrad_cnn.nn.loss import default_loss
from tinygrad_cnn.optim import SGD
from tinygrad_cnn.planning import Guarded, planned
from tinygrad_cnn.training.model_file import load_class

MODELS = Path(__file__).parents[2] / "models"


def recorded(model, loss, *inputs):
    output = model(*inputs[:-1])
    value = loss(output, inputs[-1])
    value.backward()
    return value.detach(), output.detach()


def bits_of(model, loss, batches, step, between=lambda model, i: None):
    """All that some steps of training give and leave behind."""
    tinygrad_cnn.manual_seed(7)
    optimizer, found = SGD(model.parameters(), lr=0.01, momentum=0.9), []
    for i, batch in enumerate(batches):
        optimizer.zero_grad()
        between(model, i)
        results = step(*batch)
        grads = [p.grad for p in model.parameters()]
        found += [None if t is None else t._array.tobytes() for t in (*results, *grads)]
        optimizer.step()
    found += [t._array.tobytes() for t in (*model.parameters(), *model.buffers())]
    return found, tinygrad_cnn.random.default_generator.get_state()


def agree(model, loss, batches, between=lambda model, i: None):
    """Train both ways; return the guarded step."""
    other = copy.deepcopy(model)
    step = Guarded(model, loss)
    ours = bits_of(model, loss, batches, step, between)
    usual = partial(recorded, other, loss)
    assert ours == bits_of(other, loss, batches, usual, between)
    return step


def drawn_batches(count, shape, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (
            tensor(rng.normal(size=shape).astype(np.float32)),
            tensor(rng.integers(0, classes, shape[0])),
        )
        for _ in range(count)
    ]


@settings(max_examples=15, deadline=None)
@given(
    batch=st.integers(2, 9),
    smoothing=st.sampled_from([0.0, 0.1]),
    p=st.sampled_from([0.0, 0.3, 1.0]),
    norm=st.booleans(),
    activation=st.sampled_from([nn.ReLU, nn.Tanh, nn.GELU]),
)
def test_drawn_nets(batch, smoothing, p, norm, activation):
    tinygrad_cnn.manual_seed(1)
    layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3) if norm else nn.Identity()]
    layers += [activation(), nn.Dropout2d(p), nn.Flatten(), nn.Dropout(p)]
    model = nn.Sequential(*layers, nn.Linear(48, 4))
    loss = partial(F.cross_entropy, label_smoothing=smoothing)
    agree(model, loss, drawn_batches(6, (batch, 1, 6, 6)))


@pytest.mark.parametrize("ignored", [0, 1, 5])
def test_smoothed_labels_that_are_ignored(ignored):
    loss = nn.CrossEntropyLoss(label_smoothing=0.2, ignore_index=ignored)
    step = agree(nn.Linear(3, 4), loss, drawn_batches(6, (5, 3)))
    assert step.why is None


NETS = {
    "lenet5": (1, 32, 32),
    "mlp": (1, 28, 28),
    "mnist_net": (1, 28, 28),
    "numpy_cnn": (1, 28, 28),
    "patches_cnn": (1, 28, 28),
    "cifar_resnet": (3, 32, 32),
}


@pytest.mark.parametrize("name", NETS)
def test_the_models_of_the_repository(name):
    model = load_class(str(MODELS / f"{name}.py"))()
    step = agree(model, default_loss(model), drawn_batches(4, (5, *NETS[name]), 10))
    assert step._made == 1


def test_a_model_of_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(3, 4)

        def forward(self, x, y):
            return self.a(x) + self.b(y)

    batches = [(x, x * 2, y) for x, y in drawn_batches(5, (3, 3))]
    assert agree(Two(), F.cross_entropy, batches).why is None
    assert planned(Two())(*batches[0][:2]).shape == (3, 4)


# ----------------------------------------------------------- what changes meanwhile


def net():
    tinygrad_cnn.manual_seed(2)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5, 4))


def add_a_hook(model, i):
    if i == 3:
        model[0].register_forward_hook(lambda m, x, y: y * 2)


def replace_a_module(model, i):
    if i == 3:
        model[1] = nn.Tanh()


def evaluate_between(model, i):
    model.eval()
    model(tensor(np.ones((2, 3), np.float32)))
    model.train(i % 2 == 0)


def patch_a_layer(model, i):
    if i == 3:
        model[1].forward = lambda x: x * i


def keep_gradients(model, i):
    if i:
        model[0].weight.grad = tensor(np.ones((5, 3), np.float32))


def tie(model, i):
    if i == 2:
        model[0].weight = model[0].weight


def change_a_probability(model, i):
    model[2].p = 0.1 * (i + 1)


CHANGES = [
    add_a_hook,
    replace_a_module,
    evaluate_between,
    patch_a_layer,
    keep_gradients,
    tie,
    change_a_probability,
]


@pytest.mark.parametrize("between", CHANGES, ids=lambda f: f.__name__)
def test_changes_between_steps(between):
    agree(net(), F.cross_entropy, drawn_batches(9, (4, 3)), between)


def test_a_model_that_changes_at_each_step_is_recorded_at_last():
    model = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.1))

    def between(model, i):
        model[1].negative_slope = 0.01 * i

    step = agree(model, F.cross_entropy, drawn_batches(30, (4, 3)), between)
    assert "changes from step to step" in step.why


def test_gradients_that_somebody_keeps_stay_as_they_were():
    model = nn.Linear(3, 4)
    step, kept = Guarded(model, F.cross_entropy), []
    for batch in drawn_batches(5, (4, 3)):
        model.zero_grad()
        step(*batch)
        kept.append((model.weight.grad, model.weight.grad._array.copy()))
    for g, values in kept:
        np.testing.assert_array_equal(g._array, values)


def test_a_difference_is_noticed_and_the_recorded_values_count(monkeypatch, caplog):
    model, batches = nn.Linear(3, 4), drawn_batches(2, (4, 3))
    step, other = Guarded(model, F.cross_entropy), copy.deepcopy(model)
    usual = planned.__globals__["Plan"].replay

    def spoilt(self, arrays):
        return [Tensor._wrap(t._array * 2) for t in usual(self, arrays)]

    monkeypatch.setattr(planned.__globals__["Plan"], "replay", spoilt)
    for batch in batches:
        model.zero_grad()
        loss, _ = step(*batch)
        assert loss.item() == recorded(other, F.cross_entropy, *batch)[0].item()
    assert step.why == "a replay differed from the recorded step"
    assert [r.levelno for r in caplog.records] == [logging.WARNING]


def test_the_reason_is_logged(caplog):
    class Reading(nn.Linear):
        def forward(self, x):
            return super().forward(x)

    caplog.set_level(logging.DEBUG, "tinygrad_cnn.planning.guarded")
    step = agree(Reading(3, 4), F.cross_entropy, drawn_batches(3, (4, 3)))
    assert "super" in step.why and step.why in caplog.text


def test_an_error_is_that_of_the_recorded_step():
    step = Guarded(nn.Linear(3, 4), F.cross_entropy)
    (x, _), wrong = drawn_batches(1, (2, 3))[0], tensor([0, 9])
    with pytest.raises(tinygrad_cnn.errors.LabelError, match="9"):
        step(x, wrong)


def test_the_first_replay_of_each_plan_is_compared(monkeypatch):
    step, compared = Guarded(nn.Linear(3, 4), F.cross_entropy), []
    usual = Guarded._compared
    monkeypatch.setattr(
        Guarded,
        "_compared",
        lambda self, x, *a: (compared.append(len(x[0])), usual(self, x, *a))[1],
    )
    for count in (4, 4, 4, 4, 4, 2, 2):
        step.model.zero_grad()
        step(*drawn_batches(1, (count, 3))[0])
    assert compared == [4, 4, 4, 2]
