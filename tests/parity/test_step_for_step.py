"""Every model of models/ trains step for step as its twin written in PyTorch.

Both start from the same weights and see the same batches, for 50 steps. Each loss agrees
relatively, each parameter and buffer relatively to its norm (Euclidean): to 1e-10 in
float64, to 1e-4 in float32.

In float32 rounding decides now and then which side of a kink a value is on; then a whole
sample's share of a gradient comes or goes, and the paths part for good, as PyTorch's own
do when started one rounding apart. So the steps are smaller there. LeNet-5 with batch
normalisation, whose gradients grow by 1/√(variance + ε) in four layers, is compared in
float64 only, with small steps and biases that start at one (`lenet` §2.2.1), so that no
ReLU is nearly dead.
"""

import functools
import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn import kernels

from . import torch_models as twins

torch = pytest.importorskip("torch")

STEPS, BATCH = 50, 16
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
FOLDER = Path(__file__).parents[2] / "models"


def from_file(name, class_name, **arguments):
    """A model of models/, which is no package: loaded from its path."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, class_name)(**arguments)


MODELS = {
    "mnist_net": (
        (1, 28, 28),
        lambda: from_file("mnist_net", "MNISTNet"),
        lambda: twins.MNISTNet(),
    ),
    "numpy_cnn": (
        (1, 28, 28),
        lambda: from_file("numpy_cnn", "NumpyCNN"),
        lambda: twins.NumpyCNN(),
    ),
    "patches_cnn": (
        (3, 32, 32),
        lambda: from_file(
            *("patches_cnn", "PatchesCNN"),
            **{"in_channels": 3, "image_size": 32, "kernels": 5, "kernel_size": 4},
            pool_size=3,
        ),
        lambda: twins.PatchesCNN(kernels=5, kernel_size=4, pool_size=3),
    ),
    "lenet5": (
        (1, 32, 32),
        lambda: from_file("lenet5", "LeNet5"),
        lambda: twins.LeNet5(in_channels=1, batch_norm=False),
    ),
    "lenet5 normalised": (
        (3, 32, 32),
        lambda: from_file("lenet5", "LeNet5", in_channels=3, batch_norm=True),
        lambda: twins.LeNet5(in_channels=3, batch_norm=True),
    ),
    "mlp": (
        (1, 28, 28),
        lambda: from_file("mlp", "MLP"),
        lambda: twins.MLP(hidden=[128, 64], activation=torch.relu),
    ),
    "mlp of atan": (
        (1, 28, 28),
        lambda: from_file("mlp", "MLP", hidden=40, activation="atan"),
        lambda: twins.MLP(hidden=[40], activation=torch.atan),
    ),
}
"""The size of the images, the model, and its twin."""

SGD = {"lr": 0.05}
MOMENTUM = {"lr": 0.02, "momentum": 0.9}
NESTEROV = {**MOMENTUM, "nesterov": True}
ADAM = {"lr": 1e-3}
ADADELTA = {"lr": 0.5}

OPTIMIZERS = {
    "SGD": ("SGD", SGD),
    "SGD decay": ("SGD", {**SGD, "weight_decay": 0.01}),
    "momentum": ("SGD", MOMENTUM),
    "momentum decay": ("SGD", {**MOMENTUM, "weight_decay": 0.01}),
    "nesterov": ("SGD", NESTEROV),
    "nesterov decay": ("SGD", {**NESTEROV, "weight_decay": 0.01}),
    "Adam": ("Adam", ADAM),
    "Adam decay": ("Adam", {**ADAM, "weight_decay": 0.01}),
    "Adam amsgrad": ("Adam", {**ADAM, "amsgrad": True}),
    "AdamW": ("AdamW", {**ADAM, "weight_decay": 0}),
    "AdamW decay": ("AdamW", {**ADAM, "weight_decay": 0.1}),
    "Adadelta": ("Adadelta", ADADELTA),
    "Adadelta decay": ("Adadelta", {**ADADELTA, "weight_decay": 0.01}),
}

QUICK = {
    ("mnist_net", "momentum decay"),
    ("numpy_cnn", "AdamW decay"),
    ("patches_cnn", "nesterov decay"),
    ("lenet5", "Adadelta decay"),
    ("lenet5 normalised", "momentum"),
    ("mlp", "Adam decay"),
}
"""The combinations of every run; the others are slow."""


def combinations():
    for name, optimizer, dtype in itertools.product(MODELS, OPTIMIZERS, TOLERANCE):
        if "normalised" not in name or dtype == "float64":
            marks = [] if (name, optimizer) in QUICK else pytest.mark.slow
            yield pytest.param(name, optimizer, dtype, marks=marks)


def draw_batches(seed, shape, dtype):
    """Ten patterns in noise, and which of them each image shows; one batch a step."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(10, *shape))
    for _ in range(STEPS):
        labels = rng.integers(0, 10, BATCH)
        images = patterns[labels] + 0.5 * rng.normal(size=(BATCH, *shape))
        yield images.astype(dtype), labels


def train(model, loss_of, optimizer, pairs):
    losses = []
    for images, labels in pairs:
        optimizer.zero_grad()
        loss = loss_of(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def built(name, dtype):
    """The model and its twin, with the same weights."""
    tinygrad_cnn.manual_seed(3)
    _, build, build_twin = MODELS[name]
    model, twin = build(), build_twin()
    if "normalised" in name:
        for key, parameter in model.named_parameters():
            if key.endswith("bias") and not key.startswith("norm"):
                tinygrad_cnn.nn.init.ones_(parameter)
    twin.load_state_dict(copied(model))
    return (model.double(), twin.double()) if dtype == "float64" else (model, twin)


def copied(model):
    """Our state_dict as PyTorch's."""
    return {k: torch.tensor(v.numpy()) for k, v in model.state_dict().items()}


def trained(library, name, optimizer, dtype):
    """The losses of a model of this library, and its parameters and buffers after all."""
    shape, *_ = MODELS[name]
    kind, options = OPTIMIZERS[optimizer]
    small = "normalised" in name or dtype == "float32"
    options = {**options, "lr": options["lr"] * (0.1 if small else 1)}
    loss = "nll_loss" if name.startswith("lenet5") else "cross_entropy"
    model, twin = built(name, dtype)
    model = model if library is tinygrad_cnn else twin
    losses = train(
        model,
        getattr(library.nn.functional, loss),
        getattr(library.optim, kind)(model.parameters(), **options),
        (
            (library.tensor(x), library.tensor(y))
            for x, y in draw_batches(0, shape, dtype)
        ),
    )
    return np.array(losses), copied(model) if model is not twin else twin.state_dict()


@functools.cache
def trained_by_pytorch(name, optimizer, dtype):
    """Once for both tables of kernels."""
    return trained(torch, name, optimizer, dtype)


def differences(name, optimizer, dtype):
    """The largest relative difference of a loss, and of a parameter or buffer after all."""
    theirs, expected = trained_by_pytorch(name, optimizer, dtype)
    assert theirs[-5:].mean() < theirs[:5].mean()
    ours, state = trained(tinygrad_cnn, name, optimizer, dtype)
    assert {k: v.dtype for k, v in state.items()} == {
        k: v.dtype for k, v in expected.items()
    }
    apart = [
        ((state[key] - value).double().norm() / value.double().norm()).item()
        for key, value in expected.items()
    ]
    return (np.abs(ours - theirs) / theirs).max(), max(apart)


@pytest.fixture(params=[pytest.param("reference", marks=pytest.mark.slow), "fast"])
def table(request):
    if request.param == "fast":
        pytest.importorskip("numba")
    before = kernels.serving()
    kernels.use(request.param)
    yield request.param
    kernels.use(before)


@pytest.mark.parametrize(("name", "optimizer", "dtype"), [*combinations()])
def test_fifty_steps_are_those_of_pytorch(name, optimizer, dtype, table):
    loss, state = differences(name, optimizer, dtype)
    assert loss <= TOLERANCE[dtype]
    if (table, dtype) != ("fast", "float32"):
        assert state <= TOLERANCE[dtype]


@pytest.mark.parametrize("name", MODELS)
def test_weights_load_from_pytorch_and_into_it(name):
    shape, build, build_twin = MODELS[name]
    images, _ = next(draw_batches(0, shape, "float32"))
    twin, model = build_twin().eval(), build().eval()
    assert [*model.state_dict()] == [*twin.state_dict()]
    arrays = {key: value.numpy() for key, value in twin.state_dict().items()}
    model.load_state_dict(arrays)
    ours = model(tinygrad_cnn.tensor(images))
    theirs = twin(torch.tensor(images)).detach().numpy()
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-5, atol=1e-5)
    twin_of_ours = build_twin().eval()
    twin_of_ours.load_state_dict(copied(model))
    again = twin_of_ours(torch.tensor(images)).detach().numpy()
    np.testing.assert_array_equal(again, theirs)
