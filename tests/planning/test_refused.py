"""What a replay could not do the same is called as usual, every time, and `why` says so."""

import random

import numpy as np
import pytest

import tinygrad_cnn
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Generator, autograd, no_grad, planned, tensor
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.errors import MutationError
from tinygrad_cnn.planning.tracing import traced


class Of(nn.Module):
    """A dense layer, and a function of the module and its result."""

    def __init__(self, after):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.after = after

    def forward(self, x):
        return self.after(self, self.layer(x))


class Doubled(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


class ReLU(Function):
    """Bears the name of an operation of the package, and computes something else."""

    @staticmethod
    def forward(ctx, x):
        return x * 3

    @staticmethod
    def backward(ctx, g):
        return g * 3


def one_hot_of_the_largest(self, h):
    return h * F.one_hot(h.argmax(1), 3).float()


def number_read_from_a_result(self, h):
    return h * float(h.detach().sum())


def branch_on_a_value(self, h):
    return h if h.detach().sum() > 0 else -h


def branch_on_equality(self, h):
    return h if tinygrad_cnn.equal(h.detach().relu(), h.detach()) else -h


def branch_on_closeness(self, h):
    return h if tinygrad_cnn.allclose(h.detach().abs(), h.detach()) else -h


def branch_on_the_text(self, h):
    return h if "-" in repr(h.detach()) else h * 2


def reading_swallowed_by_an_except(self, h):
    try:
        return h * h.detach().max().item()
    except Exception:
        return h


def numpy_array_of_a_result(self, h):
    return h + tensor(np.asarray(h.detach()))


def index_by_a_computed_number(self, h):
    return h * h[0, h.detach()[0].argmax()]


def index_by_an_array(self, h):
    return h[:, np.array([0, 2, 1])]


def mask_of_a_comparison(self, h):
    return h * (h > 0).float()


def constant_array(self, h):
    return h + np.ones(3, np.float32)


def changed_in_place(self, h):
    h.relu_()
    return h * 2


def added_in_place(self, h):
    h += 1
    return h * h


def assigned_to_an_index(self, h):
    h = h.clone()
    h[0] = 5.0
    return h


def function_of_the_user(self, h):
    return Doubled.apply(h)


def function_named_as_an_operation(self, h):
    return ReLU.apply(h)


def gradient_within(self, h):
    with tinygrad_cnn.enable_grad():
        x = h.detach().requires_grad_()
        (g,) = autograd.grad((x * x * x).sum(), x)
    return h * g


PLAIN = [
    one_hot_of_the_largest,
    number_read_from_a_result,
    branch_on_a_value,
    branch_on_equality,
    branch_on_closeness,
    branch_on_the_text,
    reading_swallowed_by_an_except,
    numpy_array_of_a_result,
    index_by_a_computed_number,
    index_by_an_array,
    mask_of_a_comparison,
    constant_array,
    changed_in_place,
    added_in_place,
    assigned_to_an_index,
    function_of_the_user,
    function_named_as_an_operation,
    gradient_within,
]


@pytest.mark.parametrize("after", PLAIN, ids=lambda f: f.__name__)
def test_called_as_usual_because_of(after, table, pair, images, labels):
    training, predicting = pair(Of(after), F.cross_entropy), pair(Of(after))
    for _ in range(3):
        training.agree(images(2, 4), labels(2, 3), replayed=False)
        predicting.agree(images(2, 4), replayed=False)


def test_inplace_layers_are_called_as_usual_and_agree(table, pair, images, labels):
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8, 3)
    )
    both = pair(model, F.cross_entropy)
    for _ in range(2):
        both.agree(images(2, 1, 4, 4), labels(2, 3), replayed=False)
    assert "in place" in both.step.why


# ----------------------------------------------------------------------- side effects


def test_batch_norm_in_training_updates_its_figures_once_a_call(
    table, pair, images, labels
):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten())
    both = pair(model, F.cross_entropy)
    for count in (1, 2, 3):
        both.agree(images(4, 1, 5, 5), labels(4, 27), replayed=True)
        assert model[1].num_batches_tracked.item() == count


def test_a_replay_that_fails_half_way_leaves_the_running_figures_to_the_usual_call(
    table, pair, images, labels
):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten())
    both = pair(model, F.cross_entropy)
    both.agree(images(4, 1, 5, 5), labels(4, 27), replayed=True)
    spoilt = images(4, 1, 5, 5)
    spoilt._array[0, 0, 2, 2] = np.nan
    both.agree(spoilt, labels(4, 27), replayed=False)
    assert model[1].num_batches_tracked.item() == 2


def test_a_graph_that_saved_running_figures_notices_that_a_replay_changed_them(
    table, images, labels
):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten())
    step = planned(model, F.cross_entropy)
    step(images(4, 1, 5, 5), labels(4, 27))
    weights = tensor([1.0, 2.0, 3.0], requires_grad=True)
    product = (weights * model[1].running_mean).sum()
    step(images(4, 1, 5, 5), labels(4, 27))
    assert step.why is None
    with pytest.raises(MutationError):
        product.backward()


def test_batch_norm_without_running_figures_has_none_to_update(
    table, pair, images, labels
):
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    both = pair(nn.Sequential(nn.Conv2d(1, 3, 3), norm, nn.Flatten()), F.cross_entropy)
    for _ in range(2):
        both.agree(images(4, 1, 5, 5), labels(4, 27), replayed=None)


def outputs_from(seed, call, images):
    tinygrad_cnn.manual_seed(seed)
    return [call(x)._array.copy() for x in images]


def test_dropout_draws_the_masks_that_it_would_have_drawn(images):
    model = nn.Sequential(nn.Linear(20, 20), nn.Dropout(0.5))
    xs = [images(3, 20) for _ in range(3)]
    step = planned(model)
    found = outputs_from(9, step, xs)
    state = tinygrad_cnn.random.default_generator.get_state()
    expected = outputs_from(9, lambda x: model(x).detach(), xs)
    np.testing.assert_array_equal(found, expected)
    assert state == tinygrad_cnn.random.default_generator.get_state()
    assert step.why is None


class Chance(nn.Module):
    """Scales by a number that some stream of random numbers gives."""

    def __init__(self, draw):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.draw = draw
        self.own = np.random.default_rng(2)
        self.generator = Generator().manual_seed(2)

    def forward(self, x):
        return self.layer(x) * self.draw(self)


STREAMS = {
    "NumPy's": lambda self: np.random.random(),
    "Python's": lambda self: random.random(),
    "ours": lambda self: random_default().random(),
    "of the model, NumPy's": lambda self: self.own.random(),
    "of the model, ours": lambda self: self.generator.numpy.random(),
}


def as_it_is(model):
    return lambda x: model(x).detach()


def random_default():
    return tinygrad_cnn.random.default_generator.numpy


@pytest.mark.parametrize("draw", STREAMS.values(), ids=STREAMS)
def test_random_numbers_are_drawn_as_without_a_plan(draw, images):
    xs, found = [images(2, 4) for _ in range(3)], []
    for plan in (planned, as_it_is):
        np.random.seed(4)
        random.seed(4)
        tinygrad_cnn.manual_seed(4)
        model = Chance(draw)
        found.append([plan(model)(x)._array for x in xs[:1]])
        step = plan(model)
        found[-1] += [step(x)._array for x in xs]
    np.testing.assert_array_equal(*found)


def test_module_hooks_are_called_once_a_call(table, images, labels):
    model, calls = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), []
    step, predict = planned(model, F.cross_entropy), planned(model)
    x, y = images(2, 4).detach(), labels(2, 3)
    step(x, y)
    predict(x)
    handles = [
        model[0].register_forward_hook(lambda *_: calls.append("forward")),
        model[1].register_forward_pre_hook(lambda *_: calls.append("before")),
        model[1].register_full_backward_hook(lambda *_: calls.append("backward")),
        model[1].register_full_backward_pre_hook(lambda *_: calls.append("behind")),
    ]
    for _ in range(2):
        calls.clear()
        step(x, y)
        assert calls == ["forward", "before", "behind", "backward"]
        assert "hooks" in step.why
    calls.clear()
    predict(x)
    assert calls == ["forward", "before"]
    for handle in handles:
        handle.remove()
    step(x, y)
    assert step.why is None


def test_a_hook_of_the_loss_is_called_once_a_call(images, labels):
    loss, calls = nn.CrossEntropyLoss(), []
    step = planned(nn.Linear(4, 3), loss)
    step(images(2, 4), labels(2, 3))
    loss.register_forward_hook(lambda *_: calls.append(1))
    step(images(2, 4), labels(2, 3))
    assert calls == [1] and "hooks" in step.why


@pytest.mark.parametrize("kind", ["hook", "post_accumulate_grad_hook"])
def test_hooks_of_parameters_are_called_once_a_call(kind, images, labels):
    model, calls = nn.Linear(4, 3), []
    step = planned(model, F.cross_entropy)
    step(images(2, 4), labels(2, 3))
    handle = getattr(model.weight, f"register_{kind}")(lambda _: calls.append(1))
    for count in (1, 2):
        step(images(2, 4), labels(2, 3))
        assert len(calls) == count and "hooks" in step.why
    handle.remove()
    step(images(2, 4), labels(2, 3))
    assert step.why is None


def test_a_hook_that_the_forward_registers_is_called_once_a_call(images, labels):
    calls = []

    def hooked(self, h):
        h.register_hook(lambda g: calls.append(1))
        return h * 2

    step = planned(Of(hooked), F.cross_entropy)
    for count in (1, 2, 3):
        step(images(2, 4), labels(2, 3))
        assert len(calls) == count and "hooks" in step.why


def test_hooks_that_only_recorded_results_take_do_not_stop_predictions(images):
    def hooked(self, h):
        h.register_hook(lambda g: g)
        return h * 2

    model = Of(hooked)
    step = planned(model)
    for _ in range(2):
        x = images(2, 4)
        np.testing.assert_array_equal(step(x)._array, model(x)._array)


class Counting(nn.Module):
    """Counts its calls in an attribute, or keeps a running mean in a new buffer."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.register_buffer("mean", tensor([0.0]))

    def forward(self, x):
        self.calls += 1
        self.mean = self.mean * 0.5 + x.mean() * 0.5
        return x - self.mean


def test_attributes_and_buffers_that_a_forward_sets_are_set_once_a_call(pair, images):
    both = pair(Counting())
    for count in (1, 2, 3):
        both.agree(images(3, 2), replayed=False)
        assert both.model.calls == both.usual.calls == count
        np.testing.assert_allclose(both.model.mean._array, both.usual.mean._array)


class Decaying(nn.Module):
    """Changes its parameter within the forward."""

    def __init__(self, change):
        super().__init__()
        self.weight = nn.Parameter(tensor([1.0, 2.0]))
        self.change = change

    def forward(self, x):
        with no_grad():
            self.change(self.weight)
        return x * self.weight


def halve(weight):
    weight *= 0.5


def replace(weight):
    weight.data = weight.detach() * 0.5


@pytest.mark.parametrize("change", [halve, replace])
def test_parameters_that_a_forward_changes_are_changed_once_a_call(
    change, pair, images, labels
):
    both = pair(Decaying(change), F.cross_entropy)
    for count in (1, 2, 3):
        both.agree(images(3, 2), labels(3, 2), replayed=False)
        assert both.model.weight.tolist() == [0.5**count, 2 * 0.5**count]


def test_images_that_a_forward_changes_are_changed_once_a_call():
    step = planned(Adding())
    for _ in range(2):
        x = tensor([1.0, 2.0])
        assert step(x).tolist() == [2.0, 3.0]
        assert x.tolist() == [2.0, 3.0]
        assert "in place" in step.why


class Adding(nn.Module):
    def forward(self, x):
        x += 1
        return x * 1


def test_planning_leaves_versions_as_they_are_so_that_older_graphs_serve(images):
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    x = tensor([3.0], requires_grad=True)
    older = (x * model[1].running_var).sum()
    traced(model, None, [images(2, 1, 2, 2)])
    older.backward()
    assert x.grad.tolist() == model[1].running_var.tolist()


# ------------------------------------------------------------------------- the calls


def test_a_loss_that_is_not_one_number_is_refused_as_backward_refuses_it(images):
    step = planned(nn.Linear(4, 3), lambda y, t: (y - t) * (y - t))
    for _ in range(2):
        with pytest.raises(tinygrad_cnn.errors.AutogradError, match="scalar outputs"):
            step(images(2, 4), images(2, 3))


def test_a_model_whose_parameters_are_all_frozen_is_refused_likewise(images, labels):
    step = planned(nn.Linear(4, 3).requires_grad_(False), F.cross_entropy)
    for _ in range(2):
        with pytest.raises(
            tinygrad_cnn.errors.AutogradError, match="does not require grad"
        ):
            step(images(2, 4), labels(2, 3))


def test_a_wrong_label_is_refused_in_the_words_of_the_engine(table, images, labels):
    model = nn.Linear(4, 3)
    step = planned(model, F.cross_entropy)
    with pytest.raises(tinygrad_cnn.errors.LabelError) as expected:
        F.cross_entropy(model(images(2, 4)), tensor([0, 3]))
    wanted = str(expected.value).splitlines()[:2]
    for _ in range(2):
        with pytest.raises(tinygrad_cnn.errors.LabelError) as found:
            step(images(2, 4), tensor([0, 3]))
        assert str(found.value).splitlines()[:2] == wanted
        step(images(2, 4), labels(2, 3))
        assert step.why is None


def test_a_wrong_shape_is_refused_in_the_words_of_the_engine(images):
    step = planned(nn.Linear(4, 3))
    for _ in range(2):
        with pytest.raises(tinygrad_cnn.errors.ShapeError, match="in_features"):
            step(images(2, 5))


def test_several_outputs_are_given_as_they_are(images):
    class Two(nn.Module):
        def forward(self, x):
            return x * 2, x * 3

    step = planned(Two())
    for _ in range(2):
        a, b = step(tensor([1.0]))
        assert (a.item(), b.item()) == (2.0, 3.0)
    assert "not one Tensor" in step.why


def test_a_loss_may_take_several_outputs(images):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            y = self.layer(x)
            return y, y.sum()

    model = Two()
    step = planned(model, lambda output, labels: output[0].mean() + output[1])
    for _ in range(2):
        x = images(2, 4)
        loss, (y, total) = step(x, x)
        assert loss.item() == pytest.approx(y.mean().item() + total.item(), rel=1e-6)
        assert model.layer.weight.grad is not None
    assert "not one Tensor" in step.why


def test_parameters_of_a_loss_collect_gradients_as_usual(images):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(tensor([2.0]))

        def forward(self, output, labels):
            return (output * self.scale).sum()

    loss = Scaled()
    step, total = planned(nn.Linear(4, 3), loss), 0.0
    for _ in range(3):
        x = images(2, 4)
        _, output = step(x, x)
        total += output.sum().item()
        assert loss.scale.grad.item() == pytest.approx(total, rel=1e-4, abs=1e-5)
    assert step.why is not None


def test_gradients_of_labels_are_added_as_usual(pair, images):
    both = pair(nn.Linear(4, 3), F.mse_loss)
    both.agree(images(2, 4), images(2, 3))
    target = images(2, 3).requires_grad_()
    both.agree(images(2, 4), target, replayed=False)
    assert target.grad is not None


def test_the_number_of_arguments_and_the_kind_of_the_model_are_checked(images):
    with pytest.raises(tinygrad_cnn.errors.ArgumentError, match="takes the images"):
        planned(nn.ReLU())()
    with pytest.raises(tinygrad_cnn.errors.ArgumentError, match="images and the label"):
        planned(nn.ReLU(), F.mse_loss)(images(1))
    with pytest.raises(tinygrad_cnn.errors.ArgumentError, match="a Module is planned"):
        planned(F.relu)
