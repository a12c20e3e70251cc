"""NaN and inf, in images or weights, give what they give without a plan."""

import numpy as np
import pytest

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import no_grad

NETS = {
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(2, 20, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 18, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(18 * 9, 4),
    ),
    "convolution, ReLU": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten()
    ),
    "dense": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(72, 9), nn.ReLU(), nn.Linear(9, 4)
    ),
    "bounded": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(48, 4), nn.Tanh()
    ),
}
VALUES = [np.nan, np.inf, -np.inf]


@pytest.fixture(params=NETS.values(), ids=NETS)
def net(request):
    return request.param()


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("batch", [2, 17])
def test_in_one_pixel(net, value, batch, table, pair, images, labels):
    training, predicting = pair(net, F.cross_entropy), pair(net)
    for place in (None, (0, 0, 0, 0), (1, 1, 3, 2), None):
        x, classes = images(batch, 2, 6, 6), net(images(1, 2, 6, 6)).shape[1]
        if place is not None:
            x._array[place] = value
        training.agree(x, labels(batch, classes), replayed=None)
        predicting.agree(x, replayed=None)
    assert training.step.why is None and predicting.step.why is None


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("batch", [2, 17])
def test_in_each_parameter(net, value, batch, table, pair, images, labels):
    both, predicting = pair(net, F.cross_entropy), pair(net)
    x, classes = images(batch, 2, 6, 6), net(images(1, 2, 6, 6)).shape[1]
    y = labels(batch, classes)
    both.agree(x, y)
    models = both.model, both.usual, predicting.usual
    for at in range(len(list(net.parameters()))):
        with no_grad():
            before = [list(m.parameters())[at]._array.flat[0] for m in models]
            for m in models:
                list(m.parameters())[at]._array.flat[0] = value
        both.agree(x, y, replayed=None)
        predicting.agree(x, replayed=None)
        for m, old in zip(models, before, strict=True):
            list(m.parameters())[at]._array.flat[0] = old
    both.agree(x, y)


@pytest.mark.parametrize("batch", [2, 17])
def test_in_a_weight_that_a_relu_hides_from_the_loss(
    net, batch, table, pair, images, labels
):
    both = pair(net, F.cross_entropy)
    x, classes = images(batch, 2, 6, 6), net(images(1, 2, 6, 6)).shape[1]
    x._array[...] = np.abs(x._array)
    y = labels(batch, classes)
    both.agree(x, y)
    for model in (both.model, both.usual):
        first = next(iter(model.parameters()))
        first._array[0] = -np.inf
    for _ in range(2):
        both.agree(x, y, replayed=None)


def test_in_the_gradient_of_an_output_at_the_border(table, pair, images, labels):
    """The loss is finite; the zeros around the image make NaN of an infinite gradient."""
    model = nn.Conv2d(16, 16, 3, padding=1, bias=False)
    with no_grad():
        model.weight[:] = model.weight.abs()
    both = pair(model, lambda output, labels: output.sqrt().sum())
    for _ in range(2):
        x = images(17, 16, 4, 4)
        x._array[...] = np.abs(x._array) + 0.5
        x._array[0, :, :2, :2] = (
            0  # so that the output there is 0, and its slope infinite
        )
        value, _ = both.agree(x, labels(17), replayed=None)
        assert np.isfinite(value.item())
        assert np.isnan(both.usual.weight.grad.numpy()[:, :, 0, 0]).all()


def test_a_result_that_is_not_finite_says_so(pair, images, labels):
    both = pair(nn.Linear(4, 3), F.cross_entropy)
    both.agree(images(2, 4), labels(2, 3))
    x = images(2, 4)
    x._array[0, 0] = np.nan
    both.agree(x, labels(2, 3), replayed=False)
    assert "not finite" in both.step.why
