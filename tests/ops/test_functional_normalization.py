"""`nn.functional` of batch normalisation, dropout and one-hot vectors."""

import numpy as np
import pytest
from agreement import agree, functional, library, refuses_as_torch
from cases import leaf_on

import tinygrad_cnn
from tinygrad_cnn import tensor
from tinygrad_cnn.core.recording import observer
from tinygrad_cnn.errors import ShapeError, TinygradError
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.nn.functional import dropout, dropout2d
from tinygrad_cnn.ops.normalization import BatchNormEval


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_and_its_running_statistics(training, for_drawn):
    @for_drawn(30)
    def _(d):
        c = d.int(1, 3)
        x = d.distinct((d.int(2, 3), c, *d.shape(0, 2)))
        options = d.some(momentum=d.of((0.1, 0.5, 1.0)), eps=d.of((1e-5, 0.01)))
        scale = d.int(0, 2)  # none, the weight, the weight and the bias
        weights = [d.values(c, 0.5, 2), d.values(c)][:scale]
        mean, variance = d.values(c), d.values(c, 0.5, 2)
        tracked = not training or d.bool()

        def program(x, *weights):
            lib = library(x)
            running = [lib.tensor(np.array(v)) for v in (mean, variance)]
            given = dict(zip(("weight", "bias"), weights, strict=False))
            y = lib.nn.functional.batch_norm(
                *(x, *(running if tracked else (None, None))),
                **(given | {"training": training} | options),
            )
            return y, *running

        agree(program, x, *weights)


def test_batch_norm_of_no_images_changes_no_statistics():
    def program(x):
        lib = library(x)
        running = [lib.zeros(2, dtype=lib.float64), lib.ones(2, dtype=lib.float64)]
        return lib.nn.functional.batch_norm(x, *running, training=False), *running

    agree(program, np.zeros((0, 2, 3, 3)))


def test_batch_norm_of_no_images_in_training_is_empty():
    x = tensor(np.zeros((0, 2, 3, 3)), requires_grad=True)
    y = tinygrad_cnn.nn.functional.batch_norm(x, None, None, training=True)
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 2, 3, 3)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_refuses_what_pytorch_refuses(training):
    """One value per channel in training; no running statistics in evaluation."""
    options = {"running_mean": None, "running_var": None, "training": training}
    refuses_as_torch(functional("batch_norm", **options), np.ones((1, 3)))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_refuses_statistics_of_another_size(training):
    def program(x):
        wrong = [library(x).ones(4, dtype=library(x).float64) for _ in range(2)]
        return library(x).nn.functional.batch_norm(x, *wrong, training=training)

    refuses_as_torch(program, np.ones((2, 3)))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_expectation(p):
    tinygrad_cnn.manual_seed(3)
    n = 100_000
    y = dropout(tensor(np.ones(n)), p).numpy()
    assert set(np.unique(y)) == {0.0, 1 / (1 - p)}
    dropped = np.mean(y == 0)
    assert abs(dropped - p) < 4 * np.sqrt(p * (1 - p) / n)
    pairs = np.mean((y[1:] == 0) & (y[:-1] == 0))
    assert abs(pairs - p * p) < 8 * p / np.sqrt(n)


@pytest.mark.parametrize("function", [dropout, dropout2d])
def test_the_gradient_of_dropout_passes_where_the_value_did(function, rng):
    x, g = rng.uniform(1, 2, (2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 5))
    given = leaf_on(x)
    y = function(given, 0.4)
    y.backward(tensor(g))
    np.testing.assert_allclose(given.grad.numpy(), g * (y.detach().numpy() / x))


def test_dropout2d_drops_whole_channels():
    tinygrad_cnn.manual_seed(3)
    y = dropout2d(tensor(np.ones((200, 50, 2, 3))), 0.3).numpy()
    assert (y == y[:, :, :1, :1]).all()
    assert abs(np.mean(y[:, :, 0, 0] == 0) - 0.3) < 4 * np.sqrt(0.21 / 10_000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_keeps_the_dtype(dtype):
    x = leaf_on(np.ones((3, 4), dtype))
    y = dropout(x, 0.5)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype


def test_dropout_follows_the_seed():
    draws = []
    for seed in (1, 1, 2):
        tinygrad_cnn.manual_seed(seed)
        draws.append(dropout(tensor(np.ones(100))).numpy())
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


@pytest.mark.parametrize("name", ["dropout", "dropout2d"])
@pytest.mark.parametrize("options", [{"p": 0.0}, {"p": 1.0}, {"training": False}])
def test_dropout_that_leaves_nothing_to_chance(name, options, rng):
    agree(functional(name, **options), rng.standard_normal((2, 3, 4, 4)))


@pytest.mark.parametrize("p", [-0.1, 1.1])
@pytest.mark.parametrize("name", ["dropout", "dropout2d"])
def test_dropout_takes_a_probability(name, p):
    refuses_as_torch(functional(name, p=p), np.ones((2, 3, 4, 4)))


def test_evaluation_is_one_operation_of_batch_norm_and_none_of_dropout():
    x = tensor(np.ones((2, 3, 4)), requires_grad=True)
    figures = [tensor(np.ones(3)) for _ in range(4)]
    seen = []
    token = observer.set(lambda op, *_: seen.append(op))
    try:
        F.batch_norm(x, *figures)
        for function in (F.dropout, F.dropout1d, F.alpha_dropout):
            assert function(x, 0.5, training=False, inplace=True) is x
    finally:
        observer.reset(token)
    assert seen == [BatchNormEval()]


def test_batch_norm_in_evaluation_has_gradients_by_its_figures(rng):
    def program(x, *figures):
        lib = library(x)
        if lib is tinygrad_cnn:
            return F.batch_norm(x, *figures)
        mean, var, weight, bias = (v[:, None] for v in figures)
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    figures = [rng.uniform(0.5, 2, 3) for _ in range(4)]
    agree(program, rng.normal(size=(2, 3, 4)), *figures)


REFUSED = {
    "normalized_shape": lambda x: F.layer_norm(x, (5,)),
    "same shape": lambda x: F.layer_norm(x, (4,), tinygrad_cnn.ones(3)),
    "divisible by num_groups": lambda x: F.group_norm(x, 2),
    "more than 1 value": lambda x: F.group_norm(x[:1, :, :1], 3),
    "more than 1 spatial": lambda x: F.instance_norm(x[..., :1]),
    "weight should contain 3": lambda x: F.group_norm(x, 3, tinygrad_cnn.ones(2)),
    "3D or higher": lambda x: F.local_response_norm(x[0], 2),
    "5D or 4D|4D or 5D": lambda x: F.dropout3d(x),
    "takes": lambda x: F.feature_alpha_dropout(x[0, 0], training=True),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_normalisation_is_refused(words):
    with pytest.raises(ShapeError, match=words):
        REFUSED[words](tinygrad_cnn.zeros(2, 3, 4))


@pytest.mark.parametrize("function", [F.alpha_dropout, F.feature_alpha_dropout])
def test_alpha_dropout_keeps_mean_and_variance(function):
    x = tinygrad_cnn.randn(400, 500)
    y = function(x, 0.3, training=True)
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02
    assert not function(x, 1.0, training=True).any()
    with pytest.raises(TinygradError, match="between 0 and 1"):
        function(x, 1.5, training=True)


def test_one_hot(for_drawn):
    @for_drawn(10)
    def _(d):
        labels = d.integers(4, d.shape())
        agree(functional("one_hot", **d.some(num_classes=d.int(4, 6))), labels)


@pytest.mark.parametrize("labels", [[0, -1], [0.0, 1.0], np.array([], int)], ids=str)
def test_one_hot_refuses_what_pytorch_refuses(labels):
    refuses_as_torch(functional("one_hot"), np.array(labels))


def test_one_hot_refuses_labels_out_of_range():
    refuses_as_torch(functional("one_hot", num_classes=2), np.array([0, 2]))
