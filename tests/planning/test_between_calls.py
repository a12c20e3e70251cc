"""What happens between the calls of a plan is noticed: values, modes, parts, threads."""

import copy

import numpy as np
import pytest
from side_by_side import as_usual, assert_close, assert_same_gradients, gradients

import tinygrad_cnn
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor, is_grad_enabled, kernels, no_grad, planned, tensor
from tinygrad_cnn.kernels import threads
from tinygrad_cnn.optim import SGD, Adam
from tinygrad_cnn.planning.planner import KEPT


def small_net():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(12, 4),
    ).eval()


@pytest.fixture
def both(pair, table):
    return pair(small_net(), F.cross_entropy)


@pytest.fixture
def batch(images, labels):
    """A function that draws images and labels of a size."""
    return lambda count: (images(count, 1, 6, 6), labels(count, 4))


def in_double(model):
    for p in model.parameters():
        p.data = p.detach().double()
    return model


# --------------------------------------------------------------------------- values


def test_each_call_has_its_own_results(both, batch):
    kept = []
    for _ in range(4):
        found = both.agree(*batch(3))
        kept.append((found, [np.array(t._array) for t in found]))
    for found, before in kept:
        for t, values in zip(found, before, strict=True):
            np.testing.assert_array_equal(t._array, values)


def test_sizes_may_alternate(both, batch):
    for count in (1, 17, 1, 16, 17, 2, 1):
        both.agree(*batch(count))


def test_only_the_plans_used_last_are_kept(both, batch):
    for count in [*range(1, KEPT + 4), 1, 2]:
        both.agree(*batch(count))
        assert len(both.step._plans) <= KEPT
    plan = both.step._plans[0][2]
    for count in (3, 2):
        both.agree(*batch(count))
    assert both.step._plans[0][2] is plan


OPTIMIZERS = {
    "SGD": lambda p: SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "Adam": lambda p: Adam(p, lr=0.01),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_twenty_updates_lead_to_the_same_weights(
    optimizer, table, pair, images, labels
):
    both = pair(in_double(small_net()), F.cross_entropy)
    updates = [optimizer(m.parameters()) for m in (both.model, both.usual)]
    for i in range(20):
        x = images(17 if i % 5 else 4, 1, 6, 6, dtype=np.float64)
        y = labels(len(x), 4)
        both.step(x, y)
        as_usual(both.usual, F.cross_entropy, x, y)
        assert both.step.why is None
        for update in updates:
            update.step()
    pairs = zip(both.model.parameters(), both.usual.parameters(), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours._array, theirs._array, rtol=0, atol=1e-12)


@pytest.mark.parametrize("assign", [False, True])
def test_loaded_weights_serve(assign, both, batch):
    both.agree(*batch(2))
    state = small_net().state_dict()
    for model in (both.model, both.usual):
        model.load_state_dict(copy.deepcopy(state), assign=assign)
    for _ in range(2):
        both.agree(*batch(2))


def test_replaced_values_serve_also_where_old_memory_is_used_anew(both, batch):
    for i in range(2 * KEPT):
        for model in (both.model, both.usual):
            for p in model.parameters():
                values = np.full(p.shape, 0.01 * i, np.float32)
                p.data = Tensor(values)
        both.agree(*batch(2))


def test_weights_that_do_not_lie_row_by_row_are_read_anew(pair, table, images, labels):
    """Large enough for the compiled products as well."""

    def model():
        tinygrad_cnn.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 300)
        )
        for p in (net[0].weight, net[3].weight):
            p.data = Tensor._wrap(np.repeat(p._array, 2, -1)[..., ::2])
        return net

    both = pair(model(), F.cross_entropy)
    both.usual = model()
    for _ in range(3):
        both.agree(images(64, 2, 8, 8), labels(64, 300))
        with no_grad():
            for p in (*both.model.parameters(), *both.usual.parameters()):
                p *= 0.5


# ---------------------------------------------------------------------------- modes


def test_training_and_evaluation_alternate(both, batch):
    x, y = batch(4)
    for _ in range(2):
        both.agree(x, y)
        for model in (both.model, both.usual):
            model.train()
        tinygrad_cnn.manual_seed(5)
        loss, _ = both.step(x, y)
        assert both.step.why is None
        tinygrad_cnn.manual_seed(5)
        assert_close(loss, as_usual(both.usual, F.cross_entropy, x, y)[0])
        for model in (both.model, both.usual):
            model.eval()


def test_parameters_are_frozen_and_thawed(both, batch):
    for frozen in (True, False, True):
        for model in (both.model, both.usual):
            model[0].requires_grad_(not frozen)
        both.agree(*batch(3))
        assert (both.model[0].weight.grad is None) == frozen


def test_predictions_are_the_same_with_and_without_gradients(pair, table, images):
    both = pair(small_net())
    both.agree(images(2, 1, 6, 6))
    with no_grad():
        assert not both.agree(images(2, 1, 6, 6)).requires_grad


def test_a_forward_may_ask_whether_gradients_are_recorded(table, images):
    class Asking(nn.Module):
        def forward(self, x):
            return x * 2 if is_grad_enabled() else x * 3

    step = planned(Asking())
    for _ in range(2):
        x = images(2, 3)
        assert_close(step(x), x * 2)
        with no_grad():
            assert_close(step(x), x * 3)
        assert step.why is None


def test_a_step_without_gradients_is_refused_as_backward_refuses_it(both, batch):
    both.agree(*batch(2))
    with (
        no_grad(),
        pytest.raises(tinygrad_cnn.errors.AutogradError, match="require grad"),
    ):
        both.step(*batch(2))
    assert "gradients are off" in both.step.why
    both.agree(*batch(2))


# ---------------------------------------------------------------------------- parts


def new_dense():
    tinygrad_cnn.manual_seed(8)
    return nn.Linear(12, 4)


def exchange_a_module(model):
    model[5] = new_dense()


def exchange_a_parameter(model):
    model[5].weight = new_dense().weight


def take_a_bias_away(model):
    model[5].bias = None


def exchange_an_activation(model):
    model[1] = nn.Tanh()


def change_a_setting(model):
    model[0].padding = (1, 1)
    model[2].kernel_size = 3
    model[2].stride = 3


def share_a_bias(model):
    model[5].bias = nn.Parameter(model[5].weight.detach()[:, 0])


CHANGES = [
    exchange_a_module,
    exchange_a_parameter,
    take_a_bias_away,
    exchange_an_activation,
    change_a_setting,
    share_a_bias,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_a_change_after_planning_is_noticed(change, both, batch):
    both.agree(*batch(2))
    for model in (both.model, both.usual):
        change(model)
    for _ in range(2):
        both.agree(*batch(2))


def test_layers_that_are_there_already_may_take_each_other_s_place(
    pair, table, images, labels
):
    a, b = nn.Linear(4, 4), nn.Linear(4, 4)
    both = pair(nn.Sequential(a, nn.Tanh(), b, nn.Tanh(), a), F.cross_entropy)
    both.agree(images(2, 4), labels(2, 4))
    for model in (both.model, both.usual):
        model[4] = model[2]
    both.agree(images(2, 4), labels(2, 4))
    for model in (both.model, both.usual):
        model[0], model[2] = model[2], model[0]
    both.agree(images(2, 4), labels(2, 4))


def test_a_parameter_registered_later_has_a_gradient(pair, table, images, labels):
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.shift = nn.Linear(4, 3), None

        def forward(self, x):
            y = self.layer(x)
            return y if self.shift is None else y + self.shift

    both = pair(Shifted(), F.cross_entropy)
    both.agree(images(2, 4), labels(2, 3))
    for model in (both.model, both.usual):
        model.shift = nn.Parameter(tensor([1.0, 2.0, 3.0]))
    for _ in range(2):
        both.agree(images(2, 4), labels(2, 3))
    assert both.model.shift.grad is not None


def test_other_models_that_are_built_meanwhile_are_no_change(both, batch):
    both.agree(*batch(2))
    plan = both.step._plans[0][2]
    both.model(batch(2)[0])
    small_net()
    both.model(batch(2)[0])
    both.agree(*batch(2))
    assert both.step._plans[0][2] is plan and len(both.step._plans) == 1


def test_a_setting_of_the_loss_is_noticed(pair, table, images, labels):
    both = pair(nn.Linear(4, 3), nn.CrossEntropyLoss())
    both.agree(images(5, 4), labels(5, 3))
    both.loss.reduction = "sum"
    both.agree(images(5, 4), labels(5, 3))


def test_the_first_call_finds_the_table_of_kernels_and_plans_once(
    pair, images, labels, monkeypatch
):
    both = pair(nn.Linear(4, 3), F.cross_entropy)
    monkeypatch.setattr(kernels.active, "table", "")
    for name in kernels.reference.KERNELS:
        monkeypatch.delitem(vars(kernels.active), name, raising=False)
    for _ in range(2):
        both.agree(images(2, 4), labels(2, 3))
    assert len(both.step._plans) == 1


def test_the_other_table_of_kernels_serves_from_the_next_call_on(pair, images, labels):
    pytest.importorskip("numba")
    both = pair(small_net(), F.cross_entropy)
    before = kernels.active.table or "fast"
    try:
        for name in ("fast", "reference", "fast"):
            kernels.use(name)
            both.agree(images(17, 1, 6, 6), labels(17, 4))
    finally:
        kernels.use(before)


def test_another_number_of_threads_serves_from_the_next_call_on(pair, images, labels):
    model = nn.Sequential(nn.Conv2d(4, 16, 3), nn.ReLU(), nn.Flatten())
    both, before = pair(model, F.cross_entropy), threads.get_num_threads()
    try:
        for number in (1, 2, 1):
            tinygrad_cnn.set_num_threads(number)
            for _ in range(2):
                both.agree(images(64, 4, 12, 12), labels(64, 1600))
    finally:
        tinygrad_cnn.set_num_threads(before)


def test_after_a_fork_no_plan_of_several_threads_is_replayed(both, batch, monkeypatch):
    """The child has one thread; `threads` says so by `Pool.compiled`."""
    monkeypatch.setattr(threads.Pool, "compiled", 2)
    both.agree(*batch(2))
    monkeypatch.setattr(threads.Pool, "compiled", 1)
    both.agree(*batch(2))
    assert len(both.step._plans) == 2


# ---------------------------------------------------------------------- two at once


def test_two_plans_of_one_model_do_not_disturb_each_other(both, batch):
    predict, again = planned(both.model), planned(both.model, F.cross_entropy)
    x, y = batch(3)
    for _ in range(3):
        expected = both.agree(x, y)
        first = gradients(both.model)
        assert_close(predict(x), expected[1])
        other = batch(3)
        again(*other)
        assert_close(both.step(x, y)[0], expected[0])
        for name, g in gradients(both.model).items():
            np.testing.assert_array_equal(g, first[name])


def test_a_backward_in_between_adds_to_the_gradients_as_ever(both, batch):
    x, y = batch(3)
    both.agree(x, y)
    for model in (both.model, both.usual):
        F.cross_entropy(model(x), y).backward()
    assert_same_gradients(gradients(both.model), gradients(both.usual))
    both.agree(x, y)
