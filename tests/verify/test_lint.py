"""Each mistake is found in a small net that has it, and in no near twin that has not."""

import inspect
import json
import math
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as torch
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import optim
from tinygrad_cnn.cli.modelfile import load_class
from tinygrad_cnn.errors import ArgumentError, AutogradError, DTypeError
from tinygrad_cnn.verify.lint import Findings, lint, watch

MODELS = Path(__file__).parents[2] / "models"
LABELS = torch.arange(40) % 3


class Net(nn.Module):
    """The layers under their names, and a forward that is given."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(1)
    np.random.seed(1)


def vectors(n=40, width=6):
    return torch.randn(n, width)


def images(n=40, channels=1):
    return torch.randn(n, channels, 8, 8)


def codes(findings):
    return [finding.code for finding in findings]


def scores():
    return nn.Linear(6, 3)


def linted(model, loss=F.cross_entropy, inputs=None):
    return lint(model, vectors() if inputs is None else inputs, LABELS, loss=loss)


def the_line(marker):
    """Where in this file a comment stands."""
    lines = Path(__file__).read_text().splitlines()
    return f"{__file__}:{next(i for i, s in enumerate(lines, 1) if f'# {marker}' in s)}"


# ------------------------------------------------------------------- scores and losses


@pytest.mark.parametrize("layer", [nn.Softmax(dim=1), nn.Sigmoid()])
def test_softmax_or_sigmoid_before_cross_entropy(layer):
    found = linted(nn.Sequential(scores(), layer))
    assert codes(found) == ["softmax-before-cross-entropy"]
    assert found[0].module == "1"
    name = type(layer).__name__.lower()
    assert f"the result of a {name}" in found[0].found


def test_the_least_loss_that_is_named_is_the_loss_of_a_sure_net():
    (found,) = linted(nn.Sequential(scores(), nn.Softmax(dim=1)))
    sure = np.exp([1.0, 0, 0])
    assert f"= {-np.log(sure[0] / sure.sum()):.3f}," in found.why


def test_a_softmax_is_seen_through_a_reshape():
    def forward(net, x):
        y = F.softmax(net.layer(x), dim=1)
        return y.reshape(3, 40).reshape(40, 3)

    found = linted(Net(forward, layer=scores()))
    assert codes(found) == ["softmax-before-cross-entropy"]


def test_log_softmax_before_cross_entropy_is_twice_but_right():
    found = linted(nn.Sequential(scores(), nn.LogSoftmax(dim=1)))
    assert codes(found) == ["log-softmax-twice"]


@pytest.mark.parametrize("layer", [nn.Softmax(dim=1), nn.Sigmoid()])
def test_sigmoid_before_a_loss_that_takes_logits(layer):
    def loss(y, labels):
        return F.binary_cross_entropy_with_logits(y, F.one_hot(labels, 3).float())

    assert codes(linted(nn.Sequential(scores(), layer), loss)) == [
        "sigmoid-before-logits-loss"
    ]
    assert not linted(scores(), loss)


def test_relu_before_cross_entropy():
    found = linted(nn.Sequential(scores(), nn.ReLU()))
    assert codes(found) == ["relu-before-cross-entropy"]
    assert not linted(nn.Sequential(scores(), nn.ReLU(), scores_of(3)))


def scores_of(width):
    return nn.Linear(width, 3)


@pytest.mark.parametrize(
    "guard", [lambda p: p, lambda p: p + 1e-9, lambda p: p.clamp(1e-9, 1)]
)
def test_log_of_softmax_is_right_for_nll_but_worse(guard):
    model = Net(lambda net, x: guard(net.layer(x).softmax(1)).log(), layer=scores())
    assert codes(linted(model, F.nll_loss)) == ["log-of-softmax"]


def test_nll_of_probabilities():
    model = nn.Sequential(scores(), nn.Softmax(dim=1))
    assert codes(linted(model, F.nll_loss)) == ["softmax-before-nll"]


def test_nll_of_scores():
    assert codes(linted(scores(), F.nll_loss)) == ["nll-of-scores"]


def test_nll_of_a_log_softmax_over_the_wrong_axis():
    model = nn.Sequential(scores(), nn.LogSoftmax(dim=0))
    assert codes(linted(model, F.nll_loss)) == ["nll-of-scores"]


RIGHT_FOR_NLL = {
    "log_softmax": lambda y: F.log_softmax(y, dim=1),
    "logsumexp": lambda y: y - y.logsumexp(1, keepdim=True),
    "reshaped": lambda y: F.log_softmax(y.reshape(8, 5, 3), dim=2).reshape(40, 3),
    "focal": lambda y: (1 - y.softmax(1)) ** 2 * F.log_softmax(y, dim=1),
}


@pytest.mark.parametrize("name", RIGHT_FOR_NLL)
def test_nll_of_what_is_made_of_log_probabilities(name):
    last = RIGHT_FOR_NLL[name]
    assert not linted(Net(lambda net, x: last(net.layer(x)), layer=scores()), F.nll_loss)


@pytest.mark.parametrize(
    "loss",
    [
        F.cross_entropy,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda y, labels: F.cross_entropy(y, F.softmax(torch.randn(40, 3), dim=1)),
        lambda y, labels: F.mse_loss(y.softmax(1), F.one_hot(labels, 3).float()),
    ],
    ids=["labels", "smoothed", "soft", "squares of probabilities"],
)
def test_scores_and_their_losses_are_clean(loss):
    assert not linted(scores(), loss)


def test_attention_inside_a_net_is_no_softmax_before_the_loss():
    def forward(net, x):
        weights = F.softmax(net.query(x), dim=1)
        return net.out(weights * x)

    assert not linted(Net(forward, query=nn.Linear(6, 6), out=scores()))


def test_a_loss_that_is_not_finite_and_where_it_comes_from():
    def forward(net, x):
        y = net.layer(x)
        return (y - y).log()  # not finite

    (found,) = linted(Net(forward, layer=scores()))
    assert found.code == "loss-not-finite"
    assert found.where == the_line("not finite")
    assert "that of Log, from finite values" in found.found


def test_a_loss_that_is_not_finite_because_of_the_images():
    x = vectors()
    x[3, 2] = math.nan
    (found,) = linted(scores(), inputs=x)
    assert "that of Linear, from values that are not finite either" in found.found


# ------------------------------------------------------------------------------- layers


def normalised(layer, between=None, norm=None):
    return nn.Sequential(
        layer,
        between or nn.Identity(),
        norm or nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.LazyLinear(3) if False else nn.Linear(4 * 6 * 6, 3),
    )


def convolution(**options):
    return nn.Conv2d(1, 4, 3, **options)


class Plus(nn.Module):
    """Adds (or subtracts) a parameter of this shape, reshaped if wanted."""

    def __init__(self, *shape, as_shape=None, sign=1):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(*shape))
        self.as_shape, self.sign = as_shape or shape, sign

    def forward(self, x):
        b = self.bias.reshape(self.as_shape)
        return x + b if self.sign > 0 else x - b


def dense(bias=True):
    return nn.Sequential(nn.Linear(6, 5, bias=bias), nn.BatchNorm1d(5), nn.Linear(5, 3))


def transposed(bias):
    upward = nn.ConvTranspose2d(1, 4, 3, bias=bias)
    last = nn.Linear(4 * 10 * 10, 3)
    return nn.Sequential(upward, nn.BatchNorm2d(4), nn.Flatten(), last)


POINTLESS = {
    "convolution": ("0.bias", lambda: normalised(convolution())),
    "transposed": ("0.bias", lambda: transposed(True)),
    "dense": ("0.bias", dense),
    "pooled": ("0.bias", lambda: normalised_small(nn.MaxPool2d(2))),
    "added": (
        "1.bias",
        lambda: normalised(convolution(bias=False), Plus(1, 4, 1, 1)),
    ),
    "reshaped": (
        "1.bias",
        lambda: normalised(convolution(bias=False), Plus(4, as_shape=(4, 1, 1))),
    ),
    "subtracted": (
        "1.bias",
        lambda: normalised(convolution(bias=False), Plus(1, sign=-1)),
    ),
}
USEFUL = {
    "no bias": lambda: normalised(convolution(bias=False)),
    "transposed without": lambda: transposed(False),
    "dense without": lambda: dense(bias=False),
    "activation between": lambda: normalised(convolution(), nn.ReLU()),
    "fixed figures": lambda: normalised(
        convolution(), norm=nn.BatchNorm2d(4).requires_grad_(False)
    ).eval(),
    "of each position": lambda: normalised(
        convolution(bias=False), Plus(1, 4, 6, 6)
    ),
    "of each image": lambda: normalised(convolution(bias=False), Plus(40, 1, 1, 1)),
}


def normalised_small(between):
    norm, last = nn.BatchNorm2d(4), nn.Linear(4 * 3 * 3, 3)
    return nn.Sequential(convolution(), between, norm, nn.Flatten(), last)


def batch_for(model):
    first = next(iter(model.parameters()))
    return images() if first.ndim == 4 else vectors()


def gradients(model, x):
    F.cross_entropy(model(x), LABELS).backward()
    return {name: np.abs(p.grad.numpy()).max() for name, p in model.named_parameters()}


@pytest.mark.parametrize("case", POINTLESS)
def test_a_bias_before_batch_normalisation_has_no_gradient_to_speak_of(case):
    name, build = POINTLESS[case]
    model = build().double()
    x = batch_for(model).double()
    (found,) = linted(model, inputs=x)
    assert found.code == "bias-before-batch-norm"
    assert name in found.found
    size = gradients(model, x)
    assert size.pop(name) < 1e-12 < 1e-4 < min(size.values())
