"""A planned model gives what the model gives, and sets the gradients that it sets."""

import copy
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor, no_grad, planned, tanh, tensor
from tinygrad_cnn.training.model_file import load_class

MODELS = Path(__file__).parents[2] / "models"
# file, settings, shape of an image
NETWORKS = {
    "LeNet-5": ("lenet5", {}, (1, 32, 32)),
    "LeNet-5, colour": ("lenet5", {"in_channels": 3}, (3, 32, 32)),
    "MLP": ("mlp", {}, (1, 28, 28)),
    "MLP, sigmoid": ("mlp", {"activation": "sigmoid"}, (1, 28, 28)),
    "MLP, atan": ("mlp", {"activation": "atan"}, (1, 28, 28)),
    "MLP, tanh": ("mlp", {"activation": "tanh", "hidden": 7}, (1, 28, 28)),
    "MNIST net": ("mnist_net", {}, (1, 28, 28)),
    "MNIST net, no bias": ("mnist_net", {"bias": False}, (1, 28, 28)),
    "numpy-cnn": ("numpy_cnn", {}, (1, 28, 28)),
    "patches": ("patches_cnn", {}, (1, 28, 28)),
    "patches, colour": ("patches_cnn", {"in_channels": 3}, (3, 28, 28)),
}
LOSSES = {"lenet5": F.nll_loss}


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def network(request):
    """(the model, its loss, the shape of an image)"""
    name, settings, shape = request.param
    model = load_class(str(MODELS / f"{name}.py"))(**settings)
    return model, LOSSES.get(name, F.cross_entropy), shape


def in_double(model):
    for p in (*model.parameters(), *model.buffers()):
        p.data = p.detach().double()
    return model


BATCHES = [*(1, 17, 64), *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 16))]
"""One, a whole number of registers and one more, and the first that is sliced; more."""


@pytest.mark.parametrize("batch", BATCHES)
def test_every_model_file_is_replayed_and_agrees(
    network, batch, table, pair, images, labels
):
    model, loss, shape = network
    training, predicting = pair(model, loss), pair(model)
    for _ in range(3):
        training.agree(images(batch, *shape), labels(batch))
    model.eval()
    predicting.agree(images(batch, *shape))


def test_in_float64_they_agree_to_the_last_digits(network, table, pair, images, labels):
    model, loss, shape = network
    both = pair(in_double(model), loss)
    for batch in (1, 17, 17):
        both.agree(images(batch, *shape, dtype=np.float64), labels(batch))


def test_lenet_with_batch_norm_is_replayed_in_evaluation(table, pair, images):
    model = load_class(str(MODELS / "lenet5.py"))(batch_norm=True).eval()
    with no_grad():
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
    both = pair(model)
    for _ in range(2):
        both.agree(images(16, 1, 32, 32))


def test_batch_norm_in_evaluation_is_trained_by_a_plan(table, pair, images, labels):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten())
    both = pair(model.eval(), F.cross_entropy)
    for _ in range(2):
        both.agree(images(4, 1, 5, 5), labels(4, 27))


# --------------------------------------------------------------------------- layers


def body(*layers):
    return nn.Sequential(*layers, nn.Flatten())


class Adjoint(nn.Module):
    """A transposed convolution."""

    def __init__(self, before, after, bias):
        super().__init__()
        self.weight = nn.Conv2d(after, before, 3).weight
        self.bias = nn.Parameter(tensor([0.5] * after)) if bias else None

    def forward(self, x):
        return F.conv_transpose2d(x, self.weight, self.bias, padding=1)


class Rotated(nn.Conv2d):
    """A convolution proper, of a kernel that is made anew in each call."""

    def forward(self, x):
        return F.true_conv2d(x, self.weight * 2, self.bias)


LAYERS = {
    "stride": lambda: body(nn.Conv2d(4, 6, 3, stride=2)),
    "stride with a remainder": lambda: body(
        nn.Conv2d(4, 6, 4, stride=2), nn.ReLU(), nn.Conv2d(6, 5, 2, stride=2, padding=1)
    ),
    "transposed": lambda: body(Adjoint(4, 6, bias=False), Adjoint(6, 3, bias=True)),
    "rotated": lambda: body(Rotated(4, 3, 3)),
    "padding": lambda: body(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU()),
    "uneven padding": lambda: body(nn.Conv2d(4, 6, (2, 3), padding=(1, 2))),
    "same padding": lambda: body(nn.Conv2d(4, 6, 4, padding="same")),
    "dilation": lambda: body(nn.Conv2d(4, 6, 3, dilation=2, padding=2), nn.ReLU()),
    "groups": lambda: body(nn.Conv2d(4, 6, 3, groups=2), nn.ReLU()),
    "depthwise": lambda: body(nn.Conv2d(4, 4, 3, groups=4, padding=1)),
    "one tap": lambda: body(nn.Conv2d(4, 5, 1, bias=False), nn.ReLU()),
    "many channels": lambda: body(
        nn.Conv2d(4, 18, 3, padding=1), nn.ReLU(), nn.Conv2d(18, 17, 3, padding=1)
    ),
    "overlapping pools": lambda: body(nn.Conv2d(4, 3, 1), nn.MaxPool2d(3, 2, 1)),
    "average pool": lambda: body(nn.Conv2d(4, 3, 1), nn.AvgPool2d(2)),
    "adaptive pool": lambda: body(nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(2)),
    "tanh": lambda: body(nn.Conv2d(4, 3, 3), nn.Tanh()),
    "sigmoid": lambda: body(nn.Conv2d(4, 3, 3), nn.Sigmoid()),
    "softmax": lambda: body(nn.Conv2d(4, 3, 3), nn.Softmax(1)),
    "pool before ReLU": lambda: body(nn.Conv2d(4, 3, 3), nn.MaxPool2d(2), nn.ReLU()),
    "two ReLUs": lambda: body(nn.Conv2d(4, 3, 3), nn.ReLU(), nn.ReLU()),
    "dense": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(324, 40), nn.ReLU(), nn.Linear(40, 5, bias=False)
    ),
    "one feature": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(324, 1), nn.Linear(1, 4)
    ),
}


@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("batch", [1, 17])
def test_layers_are_replayed_and_agree(build, batch, table, pair, images, labels):
    model = build()
    both = pair(model, F.cross_entropy)
    classes = model(images(1, 4, 9, 9)).shape[1]
    for _ in range(3):
        both.agree(images(batch, 4, 9, 9), labels(batch, classes))


NOT_PLANNED = {
    "padded average pool": lambda: body(nn.Conv2d(4, 3, 3), nn.AvgPool2d(2, 2, 1)),
}


@pytest.mark.parametrize("build", NOT_PLANNED.values(), ids=NOT_PLANNED)
def test_layers_whose_masks_are_no_operations_are_called_as_usual(
    build, table, pair, images, labels
):
    both = pair(build(), F.cross_entropy)
    for _ in range(2):
        both.agree(images(2, 4, 9, 9), labels(2, 27), replayed=False)
    assert "no operation made" in both.step.why


@pytest.mark.parametrize(
    "layer",
    [
        *(nn.LeakyReLU(0.2), nn.ELU(), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.PReLU()),
        *(nn.ReLU6(), nn.Hardswish(), nn.GroupNorm(3, 3), nn.InstanceNorm2d(3)),
    ],
    ids=str,
)
def test_layers_with_masks_or_runs_of_their_own_are_replayed(
    layer, table, pair, images, labels
):
    both = pair(body(nn.Conv2d(4, 3, 3), layer), F.cross_entropy)
    for _ in range(2):
        both.agree(images(2, 4, 9, 9), labels(2, 27))


class Residual(nn.Module):
    """x + f(x) with one convolution used twice, and a parameter that nothing uses."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 1)
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Linear(2, 2)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        x = self.first(x).relu()
        h = self.shared(self.shared(x).relu())
        return self.last((x + h).relu().mean((2, 3)))


def test_residual_additions_shared_modules_and_unused_parameters(
    table, pair, images, labels
):
    both = pair(Residual(), F.cross_entropy)
    for p in (*both.model.parameters(), *both.usual.parameters()):
        p.grad = p.detach().clone()
    for _ in range(3):
        both.agree(images(17, 2, 6, 6), labels(17, 3))
    assert both.model.unused.weight.grad is None


class Branching(nn.Module):
    """What comes before a ReLU is used beside it, earlier or later."""

    def __init__(self, layer, later):
        super().__init__()
        self.layer, self.later = layer, later

    def forward(self, x):
        h = self.layer(x)
        beside = None if self.later else h * 2
        y = h.relu()
        return (y * (h * 2 if beside is None else beside)).flatten(1)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_a_relu_is_not_joined_to_a_layer_whose_result_is_used_beside_it(
    dense, later, table, pair, images, labels
):
    layer = nn.Linear(6, 5) if dense else nn.Conv2d(2, 3, 3)
    shape = (6,) if dense else (2, 5, 5)
    training, predicting = (
        pair(Branching(copy.deepcopy(layer), later), loss)
        for loss in (F.cross_entropy, None)
    )
    for _ in range(2):
        training.agree(images(4, *shape), labels(4, 5))
        predicting.agree(images(4, *shape))


def test_a_weight_that_two_layers_share(table, pair, images, labels):
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
    model[2].weight = model[0].weight
    model[2].bias.data = model[0].bias.data  # two parameters on one memory
    both = pair(model, F.cross_entropy)
    both.usual[2].bias.data = both.usual[0].bias.data
    for _ in range(3):
        both.agree(images(4, 5), labels(4, 5))
        with no_grad():
            for p in (*both.model.parameters(), *both.usual.parameters()):
                p -= 0.1 * p.grad


def test_frozen_parameters_have_no_gradient_after_a_step(table, pair, images, labels):
    both = pair(Residual(), F.cross_entropy)
    for model in (both.model, both.usual):
        model.first.weight.grad = model.first.weight.detach().clone()
        model.first.requires_grad_(False)
    for _ in range(2):
        both.agree(images(2, 2, 6, 6), labels(2, 3))
    assert both.model.first.weight.grad is None


@pytest.mark.parametrize("loss", [F.mse_loss, nn.MSELoss(), nn.L1Loss()])
def test_losses_of_numbers(loss, table, pair, images):
    both = pair(nn.Sequential(nn.Linear(6, 4), nn.Tanh()), loss)
    replayed = not isinstance(loss, nn.L1Loss)  # whose gradient takes signs
    for _ in range(3):
        both.agree(images(5, 6), images(5, 4), replayed=None)
        assert not replayed or both.step.why is None


def test_a_loss_with_class_weights_is_replayed(table, pair, images, labels):
    weights = tensor([0.5, 2.0, 1.0])
    both = pair(nn.Linear(6, 3), nn.CrossEntropyLoss(weight=weights))
    for _ in range(2):
        both.agree(images(5, 6), labels(5, 3))


def test_labels_that_do_not_count_may_come_after_the_plan(table, pair, images):
    both = pair(nn.Linear(6, 3), F.cross_entropy)
    for ignored in (0, 1, 4):
        chosen = np.array([0, 1, 2, 1, 0])
        chosen[:ignored] = -100
        both.agree(images(5, 6), tensor(chosen))


def test_bytes_become_floats_within_the_plan(table, pair, rng, labels):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return self.conv(x.float() / 255 - 0.5).relu().flatten(1)

    both = pair(Scaled(), F.cross_entropy)
    for _ in range(3):
        pixels = rng.integers(0, 256, (3, 1, 6, 6), dtype=np.uint8)
        both.agree(tensor(pixels), labels(3, 32))


def test_half_precision_agrees_with_itself(table, rng):
    model = nn.Linear(6, 3)
    for p in model.parameters():
        p.data = p.detach().half()
    step = planned(model)
    for _ in range(2):
        x = tensor(rng.normal(size=(4, 6)).astype(np.float16))
        np.testing.assert_allclose(
            step(x)._array, model(x).detach()._array, rtol=0, atol=4e-3
        )
        assert step.why is None


@pytest.mark.parametrize("dtype", [np.int64, np.float16])
def test_large_products_of_other_dtypes_are_those_of_the_engine(dtype, table, rng):
    class Square(nn.Module):
        def forward(self, x):
            return x @ x.t()

    step = planned(Square())
    for _ in range(2):
        x = tensor(rng.integers(-3, 4, (128, 80)).astype(dtype))
        np.testing.assert_array_equal(step(x)._array, (x @ x.t())._array)
        assert step.why is None


# --------------------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    "layout",
    ["column-major", "negative strides", "every second value", "batch innermost"],
)
@pytest.mark.parametrize("first", ["row-major", "batch innermost"])
def test_images_may_lie_in_any_order(layout, first, table, pair, images, labels):
    both = pair(load_class(str(MODELS / "lenet5.py"))(), F.nll_loss)
    for order in (first, layout, "row-major"):
        both.agree(images(17, 1, 32, 32, layout=order), labels(17))


def test_images_may_be_read_only_or_one_image_repeated(table, pair, rng, labels):
    both = pair(load_class(str(MODELS / "lenet5.py"))(), F.nll_loss)
    for _ in range(2):
        one = rng.normal(size=(1, 1, 32, 32)).astype(np.float32)
        repeated = np.broadcast_to(one, (17, 1, 32, 32))
        fixed = np.array(repeated)
        fixed.flags.writeable = False
        for array in (repeated, fixed):
            both.agree(Tensor._wrap(array), labels(17))


def test_one_tensor_as_image_and_label_at_first_may_be_two_later(pair, images):
    both = pair(nn.Linear(4, 4), F.mse_loss)
    x = images(3, 4)
    both.agree(x, x)
    both.agree(images(3, 4), images(3, 4))


def test_the_images_are_never_written_to(table, pair, images, labels):
    both = pair(body(nn.ReLU(), nn.Conv2d(1, 2, 3)), F.cross_entropy)
    x = images(2, 1, 4, 4)
    before = np.array(x._array)
    for _ in range(2):
        both.agree(x, labels(2, 8))
    np.testing.assert_array_equal(x._array, before)


def test_no_images_give_no_output(table, pair, images):
    both = pair(body(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)))
    for batch in (0, 2, 0):
        both.agree(images(batch, 1, 6, 6))


def test_a_model_that_returns_its_input_or_its_parameter(table, pair, images):
    class Bias(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(tensor([1.0, 2.0]))

        def forward(self, x):
            return self.bias

    for model in (nn.Identity(), Bias()):
        both = pair(model)
        for _ in range(2):
            both.agree(images(3, 2))


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [(0, 2, 3), (2, 3), (0,), (1, 2, 3)])
def test_sums_over_some_axes(dim, keepdim, table, pair, images, labels):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 3)

        def forward(self, x):
            total = self.conv(x).sum(dim, keepdim=keepdim)
            return (total * total).sum().reshape(1, 1) * tensor([[1.0, 0.5]])

    both = pair(Net(), F.cross_entropy)
    for _ in range(2):
        both.agree(images(4, 1, 5, 5), labels(1, 2), replayed=None)
    predicting = pair(nn.Sequential(nn.Conv2d(3, 4, 2), Summed(dim, keepdim)))
    for _ in range(2):
        predicting.agree(images(4, 3, 5, 5))


class Summed(nn.Module):
    def __init__(self, dim, keepdim):
        super().__init__()
        self.dim, self.keepdim = dim, keepdim

    def forward(self, x):
        return (x * 2).sum(self.dim, keepdim=self.keepdim)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_log_softmax_along_either_axis(dim, table, pair, images):
    both = pair(nn.LogSoftmax(dim))
    for _ in range(2):
        both.agree(images(5, 3))


# ------------------------------------------------------------------- drawn networks


def drawn_network(d):
    """Layers one after the other, and the shape of their image."""
    channels, side = d.int(1, 3), d.int(7, 10)
    shape, layers = (channels, side, side), []
    for _ in range(d.int(1, 3)):
        groups = d.of([g for g in (1, 2, 3) if channels % g == 0])
        wider = groups * d.int(1, 4)
        settings = {"padding": d.int(0, 1), "groups": groups, "bias": d.bool()}
        layers.append(nn.Conv2d(channels, wider, d.int(1, 3), **settings))
        layers.append(d.of((nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity))())
        channels = wider
    layers.append(d.of((nn.MaxPool2d, nn.AvgPool2d))(d.int(1, 2)))
    return nn.Sequential(*layers, nn.Flatten()), shape


def test_drawn_networks_agree(for_drawn, table, pair):
    @for_drawn(12)
    def _(d):
        model, shape = drawn_network(d)
        both = pair(in_double(model), F.cross_entropy)
        for batch in (d.of((1, 2, 17)), d.of((1, 16, 17)), 2):
            x = Tensor._wrap(d.laid(d.rng.normal(size=(batch, *shape))))
            classes = both.usual(x).shape[1]
            both.agree(x, tensor(d.rng.integers(0, classes, batch)))


def test_functions_of_the_package_serve_as_layers(table, pair, images):
    class Net(nn.Module):
        def forward(self, x):
            return tanh(x).exp() - x * 2 / 3

    both = pair(Net())
    for _ in range(2):
        both.agree(images(3, 2))
