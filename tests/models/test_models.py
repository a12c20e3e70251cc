"""The model files: shapes, parameters, initial values, and that everything is trained."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn.cli.main import main
from tinygrad_cnn.data import DataLoader
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.training import evaluate
from tinygrad_cnn.training.model_file import load_class
from tinygrad_cnn.training.recipe import augmented, open_data

MODELS = Path(__file__).parents[2] / "models"
GREY, COLOUR = (1, 28, 28), (3, 32, 32)


def model_class(name):
    return load_class(str(MODELS / f"{name}.py"))


def build(name, **settings):
    tinygrad_cnn.manual_seed(0)
    return model_class(name)(**settings)


def raw_images(count, shape):
    return np.random.default_rng(5).integers(0, 256, (count, *shape), dtype=np.uint8)


def prepared(name, shape, count=3):
    images = model_class(name).transform(raw_images(count, shape))
    return tinygrad_cnn.as_tensor(images)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())


# name, settings, shape of a raw image, number of parameters
CASES = [
    ("mnist_net", {}, GREY, 8 * 9 + 8 + 13 * 13 * 8 * 10 + 10),
    ("mnist_net", {"bias": False}, GREY, 8 * 9 + 13 * 13 * 8 * 10 + 10),
    (
        "mnist_net",
        {"in_channels": 3, "image_size": 32},
        COLOUR,
        8 * 27 + 8 + 15 * 15 * 8 * 10 + 10,
    ),
    ("numpy_cnn", {}, GREY, 8 * 25 + 8 + 8 * 200 + 8 + 800 * 128 + 128 + 1280 + 10),
    (
        "numpy_cnn",
        {"in_channels": 3, "image_size": 32},
        COLOUR,
        8 * 75 + 8 + 8 * 200 + 8 + 12 * 12 * 8 * 128 + 128 + 1280 + 10,
    ),
    ("patches_cnn", {}, GREY, 16 * 9 + 16 + 13 * 13 * 16 * 10 + 10),
    (
        "patches_cnn",
        {"kernels": 4, "kernel_size": 5, "pool_size": 3},
        GREY,
        4 * 25 + 4 + 8 * 8 * 4 * 10 + 10,
    ),
    (
        "patches_cnn",
        {"in_channels": 3, "image_size": 32},
        COLOUR,
        16 * 9 + 16 + 15 * 15 * 16 * 10 + 10,
    ),
    (
        "patches_cnn",
        {"in_channels": 3, "image_size": 32, "grey": False},
        COLOUR,
        16 * 27 + 16 + 15 * 15 * 16 * 10 + 10,
    ),
    (
        "patches_cnn",
        {"image_size": (20, 31)},
        (1, 20, 31),
        16 * 9 + 16 + 9 * 14 * 16 * 10 + 10,
    ),
    ("lenet5", {}, GREY, 61_706),
    ("lenet5", {"in_channels": 3}, COLOUR, 61_706 + 2 * 6 * 25),
    ("lenet5", {"batch_norm": True}, GREY, 61_706 + 2 * (6 + 16 + 120 + 84)),
    ("mlp", {}, GREY, 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10),
    ("mlp", {"hidden": 5}, GREY, 784 * 5 + 5 + 5 * 10 + 10),
    ("mlp", {"hidden": ()}, GREY, 784 * 10 + 10),
    (
        "mlp",
        {"in_channels": 3, "image_size": 32, "hidden": (40, 30, 20)},
        COLOUR,
        3072 * 40 + 40 + 40 * 30 + 30 + 30 * 20 + 20 + 20 * 10 + 10,
    ),
    (
        "cifar_resnet",
        {"width": 4},
        COLOUR,
        9 * (3 * 4 + 4 * 8 + 2 * 8 * 8 + 8 * 16 + 2 * 16 * 16 + 16 * 32)
        + 2 * (4 + 3 * 8 + 3 * 16 + 32)
        + 32 * 10
        + 10,
    ),
]


@pytest.mark.parametrize(("name", "settings", "shape", "parameters"), CASES)
def test_a_model_has_the_parameters_of_its_document_and_gives_ten_values(
    name, settings, shape, parameters
):
    model = build(name, **settings)
    assert count_parameters(model) == parameters
    assert model(prepared(name, shape)).shape == (3, 10)


@pytest.mark.parametrize(("name", "settings", "shape", "parameters"), CASES)
def test_the_gradient_reaches_every_parameter(name, settings, shape, parameters):
    model = build(name, **settings)
    loss = getattr(model, "loss", F.cross_entropy)
    labels = tinygrad_cnn.arange(10)
    loss(model(prepared(name, shape, 10)), labels).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert np.abs(parameter.grad.numpy()).max() > 0, key


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.py")), ids=lambda p: p.stem)
def test_a_model_file_is_short_and_names_its_document_and_its_deviations(path):
    text = path.read_text()
    header = text.split('"""')[1]
    if path.stem == "cifar_resnet":  # the one that goes beyond the documents
        assert "\nChoices\n" in header and len(text.splitlines()) <= 100
        return
    assert 30 <= len(text.splitlines()) <= 60
    documents = ("day2", "day3", "numpy-cnn", "patches", "lenet")
    assert any(f"`{d}`" in header for d in documents)
    assert "\nDeviations\n" in header


def test_lenet_gives_log_probabilities():
    output = build("lenet5")(prepared("lenet5", GREY))
    np.testing.assert_allclose(np.exp(output.detach().numpy()).sum(1), 1, rtol=1e-5)


def test_lenet_normalises_four_times_with_batch_norm_and_never_without():
    assert not list(build("lenet5").buffers())
    model = build("lenet5", batch_norm=True)
    means = [key for key, _ in model.named_buffers() if key.endswith("running_mean")]
    assert len(means) == 4


def test_patches_takes_the_mean_of_the_channels():
    grey = build("patches_cnn", in_channels=3, image_size=32)
    images = prepared("patches_cnn", COLOUR)
    same = np.broadcast_to(images.numpy().mean(1, keepdims=True), images.shape)
    np.testing.assert_allclose(
        grey(images).detach().numpy(),
        grey(tinygrad_cnn.tensor(same)).detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("atan", np.arctan),
        ("tanh", np.tanh),
    ],
)
def test_the_perceptron_is_phi_of_w_x_plus_b(activation, function):
    model = build("mlp", hidden=(6, 5), activation=activation)
    images = prepared("mlp", GREY)
    x = images.numpy().reshape(3, -1)
    parameters = [p.detach().numpy() for p in model.parameters()]
    for w, b in zip(parameters[0:4:2], parameters[1:4:2], strict=True):
        x = function(x @ w.T + b)
    x = x @ parameters[4].T + parameters[5]
    np.testing.assert_allclose(model(images).detach().numpy(), x, rtol=1e-4, atol=1e-5)


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="'rleu' is none of"):
        build("mlp", activation="rleu")


def assert_normal(tensor, std):
    """Mean and standard deviation within five standard errors, and tails as they are."""
    values, n = tensor.detach().numpy().ravel() / std, tensor.numel()
    assert abs(values.mean()) < 5 / n**0.5
    assert abs(values.std() - 1) < 5 / (2 * n) ** 0.5
    if n > 1000:
        assert abs((np.abs(values) > 1.96).mean() - 0.05) < 0.02


DOCUMENT_INIT = [
    ("mnist_net", {"conv": 1 / 9, "dense": 1 / 1352}),
    (
        "numpy_cnn",
        {"conv1": 1 / 5, "conv2": 200**-0.5, "dense1": 0.01, "dense2": 0.01},
    ),
    (
        "lenet5",
        dict.fromkeys(("conv1", "conv2", "dense1", "dense2", "dense3"), 0.01),
    ),
]


@pytest.mark.parametrize(("name", "deviations"), DOCUMENT_INIT)
def test_document_init_is_normal_with_zero_biases(name, deviations):
    model = build(name, document_init=True)
    for layer, std in deviations.items():
        assert_normal(getattr(model, layer).weight, std)
        assert not getattr(model, layer).bias.any()


def test_the_transforms_scale_pixels_as_the_documents_do():
    raw = np.zeros((1, 1, 32, 32), np.uint8)
    raw[..., 0] = 255
    for name, low, high in [
        ("mnist_net", -0.5, 0.5),
        ("patches_cnn", 0, 1),
        ("lenet5", -1, 1),
    ]:
        image = tinygrad_cnn.as_tensor(model_class(name).transform(raw)).numpy()
        assert image.dtype == np.float32
        np.testing.assert_allclose(image[..., 0], high, atol=1e-6)
        np.testing.assert_allclose(image[..., 5], low, atol=1e-6)


def table_of_the_untrained_net(data):
    """Loss and accuracy of each hundred of the first 1,000 images, as `day3` prints."""
    name = "mnist_net"
    model = build(name, document_init=True)
    images = open_data(data, True, model_class(name), "float32", 1000)
    hundreds = [images.get_batch(range(i, i + 100)) for i in range(0, 1000, 100)]
    return [evaluate(model, [batch]) for batch in hundreds]


DATA = ["digits", *(["mnist"] if os.environ.get("TINYGRAD_CNN_DATA_DIR") else [])]


@pytest.mark.parametrize("data", DATA)
def test_the_untrained_net_prints_the_table_of_day3(data):
    table = table_of_the_untrained_net(data)
    assert len(table) == 10
    for scores in table:
        assert 2.29 < scores.loss < 2.32
        assert scores.accuracy <= 0.25
    assert 0.05 <= np.mean([scores.accuracy for scores in table]) <= 0.17


def test_a_residual_block_adds_to_its_input():
    model = build("cifar_resnet", width=4).eval()
    block = model.features[3]
    x = tinygrad_cnn.rand(2, 8, 6, 6)
    added = block.conv2(block.conv1(x))
    np.testing.assert_array_equal((x + added).tolist(), block(x).tolist())


def test_training_images_are_augmented_and_test_images_are_not():
    kind = model_class("cifar_resnet")
    raw = raw_images(8, COLOUR)
    plain = kind.transform
    moved = np.asarray(augmented(kind, plain)(raw))
    np.testing.assert_array_equal(plain(raw), plain(raw))
    assert moved.shape == raw.shape
    assert (moved != np.asarray(plain(raw))).any()
    assert augmented(model_class("lenet5"), plain) is plain


GREY_OR_COLOUR = sorted(
    p.stem for p in MODELS.glob("*.py") if p.stem not in ("rnn", "cifar_resnet")
)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*GREY_OR_COLOUR, "cifar_resnet"])
def test_each_model_learns(name):
    if name == "cifar_resnet":
        model = build(name, width=8)
        images, labels = prepared(name, COLOUR, 10), tinygrad_cnn.arange(10)
    else:
        model = build(name)
        data = open_data("digits", True, model_class(name), "float32", 64)
        images, labels = next(iter(DataLoader(data, 64)))
    optimizer = tinygrad_cnn.optim.Adam(model.parameters(), lr=0.003)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = getattr(model, "loss", F.cross_entropy)(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # Smoothed labels leave a loss of 0.5: the entropy of 0.91 and nine times 0.01.
    least = 0.5 if name == "cifar_resnet" else 0
    assert losses[-1] - least < 0.3 * (losses[0] - least)


# name, accuracy on the test images of the digits and of MNIST
REACHED = [("mnist_net", 0.94, 0.975), ("lenet5", 0.97, 0.99)]


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("name", "digits", "mnist"), REACHED)
def test_a_model_reaches_its_accuracy_with_the_options_it_comes_with(
    name, digits, mnist, data, tmp_path, capsys
):
    line = ["train", str(MODELS / f"{name}.py"), "--data", data, "--json"]
    assert main([*line, "--out", str(tmp_path / "x.ckpt")]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["test"]["accuracy"] >= {"digits": digits, "mnist": mnist}[data]
