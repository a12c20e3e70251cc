"""The experiments: what they compute by themselves is right, and each runs to its end."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn import creation, nn
from tinygrad_cnn.checkpoint import load
from tinygrad_cnn.data import load as load_data
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.reproduce import EXPERIMENTS, day2, day3, images, lenet, numpy_cnn
from tinygrad_cnn.reproduce.experiment import Setup
from tinygrad_cnn.reproduce.folder import Folder
from tinygrad_cnn.reproduce.run import experiments, reproduce
from tinygrad_cnn.reproduce.train import Training

MODELS = Path(__file__).parents[2] / "models"

needs_data = pytest.mark.skipif(
    "TINYGRAD_CNN_DATA_DIR" not in os.environ, reason="TINYGRAD_CNN_DATA_DIR is not set"
)


def finished(work):
    """What a generator returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


# --- day2 -----------------------------------------------------------------------------


def test_sobel_filters_as_loops_have_them():
    pixels = np.random.default_rng(0).random((6, 7))
    loops = np.zeros((2, 4, 5))
    for o, kernel in enumerate((day2.VERTICAL, day2.HORIZONTAL)):
        for i, j in np.ndindex(4, 5):
            for u, v in np.ndindex(3, 3):
                loops[o, i, j] += kernel[u][v] * pixels[i + u, j + v]
    np.testing.assert_allclose(day2.apply_sobel(pixels), loops, atol=1e-14)
    np.testing.assert_allclose(day2.sum_shifted(pixels), loops, atol=1e-14)


def test_each_window_of_the_pooled_image_has_its_own_maximum(tmp_path):
    found = finished(day2.pooling(Setup(MODELS, 0, False, tmp_path)))
    assert found["pooled"] == [[6, 5], [7, 9]]
    winners = np.isin(day2.POOLED, [5, 6, 7, 9])
    np.testing.assert_array_equal(found["gradient"], winners)


def test_the_documents_dense_layer(tmp_path):
    found = finished(day2.weights(Setup(MODELS, 0, False, tmp_path)))
    assert found["pixels"] == 150_528
    assert found["dense"] == 150_528 * 1_024
    assert found["convolution"] == 8 * 3 * 3 * 3 + 8


# --- day3 -----------------------------------------------------------------------------


def test_the_closed_form_of_the_softmax_derivatives():
    t = np.random.default_rng(1).normal(size=4)

    def softmax(t):
        return np.exp(t) / np.exp(t).sum()

    for c, k in np.ndindex(4, 4):
        step = 1e-6 * np.eye(4)[k]
        slope = (softmax(t + step) - softmax(t - step))[c] / 2e-6
        assert day3.closed_softmax(t)[c, k] == pytest.approx(slope, abs=1e-9)
    onehot = np.eye(4)
    np.testing.assert_allclose(day3.closed_entropy(t), softmax(t) - onehot)


# --- numpy-cnn ------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4))
def test_places_are_as_many_as_the_formula_says(side, kernel, stride):
    expected = (side - kernel) // stride + 1 if side >= kernel else 0
    assert len(numpy_cnn.places(side, kernel, stride)) == expected


def test_true_convolution_as_loops_have_it():
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(5, 6)), rng.normal(size=(3, 2))
    loops = np.zeros((3, 5))
    for i, j in np.ndindex(3, 5):
        for u, v in np.ndindex(3, 2):
            loops[i, j] += x[i + 2 - u, j + 1 - v] * w[u, v]
    np.testing.assert_allclose(numpy_cnn.true_convolution(x, w), loops, atol=1e-14)


# --- lenet ----------------------------------------------------------------------------


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 4),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_gradients_have_the_shapes_of_what_they_belong_to(
    h, w, ky, kx, stride, padding
):
    """Shape proofs 1 and 2, with the sizes that they derive on the way."""
    if ky > h + 2 * padding[0] or kx > w + 2 * padding[1]:
        return
    x = creation.ones(2, 3, h, w, requires_grad=True)
    f = creation.ones(4, 3, ky, kx, requires_grad=True)
    y = F.conv2d(x, f, stride=stride, padding=padding)
    assert y.shape[2:] == (
        (h + 2 * padding[0] - ky) // stride[0] + 1,
        (w + 2 * padding[1] - kx) // stride[1] + 1,
    )
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert f.grad.shape == f.shape


def test_clipping_is_by_the_kind_of_the_layer():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Linear(1, 1))
    for p in model.parameters():
        p.grad = creation.full(p.shape, -9.0)
    lenet.clip(model)
    clipped = [sorted({p.grad.item() for p in m.parameters()}) for m in model]
    assert clipped == [[-1.0], [-9.0], [-5.0]]


def test_there_are_six_runs_a_panel():
    names = [part.name for part in lenet.PARTS]
    assert len(lenet.PANELS) == 4
    assert len(names) == len(set(names)) == 1 + 4 * 6


# --- all ------------------------------------------------------------------------------


def test_an_unknown_experiment_is_refused():
    with pytest.raises(ArgumentError, match="no experiment day4; there are day2, day3"):
        experiments(["day2", "day4"])


def test_experiments_run_in_the_order_of_the_documents():
    assert list(experiments(["lenet", "day2"])) == ["day2", "lenet"]
    assert list(experiments([])) == list(EXPERIMENTS)


@needs_data
def test_the_held_out_images_are_never_trained_on():
    found = images.images_for("cifar10", nn.Module, quick=False)
    assert len(found.training) == 40_000
    assert len(found.held_out) == 10_000
    whole = load_data("cifar10", True)
    np.testing.assert_array_equal(found.held_out.images, whole.images[40_000:])
    np.testing.assert_array_equal(found.training.labels, whole.labels[:40_000])


@needs_data
def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch):
    """The same weights, and the epochs before the interruption are in the history."""
    monkeypatch.setattr(images, "FEW", 640)
    training = Training("mlp", "mnist", options={"epochs": 3, "batch_size": 16})
    few = images.images_for

    def small(name, kind, quick, augmentation):
        return few(name, kind, True, augmentation)

    monkeypatch.setattr("tinygrad_cnn.reproduce.train.images_for", small)
    results = []
    for name, stopped in (("whole", False), ("stopped", True)):
        state = tmp_path / name
        state.mkdir()
        setup = Setup(MODELS, 0, False, state)
        if stopped:
            work = training(setup)
            while next(work) < 0.5:
                pass
            work.close()
        result = finished(training(setup))
        results.append((result, load(state / "part.ckpt")["model"]))
    (whole, weights), (resumed, again) = results
    assert resumed["history"] == whole["history"]
    assert len(whole["history"]["accuracy"]) == whole["epochs"] == 3
    assert resumed["test"] == whole["test"]
    for name, weight in weights.items():
        np.testing.assert_array_equal(again[name], weight)


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_to_its_end(name, tmp_path):
    pytest.importorskip("matplotlib")
    folder, setup = Folder(tmp_path), Setup(MODELS, 0, True, tmp_path)
    chosen = experiments([name])
    for _ in reproduce(chosen, folder, setup):
        pass
    text = (tmp_path / name / "tables.md").read_text("utf-8")
    results = folder.results(name, chosen[name])
    for table in chosen[name].tables(results):
        assert f"### {table.title}" in text and table.rows
    for picture in chosen[name].pictures(results):
        assert (tmp_path / name / f"{picture.name}.svg").stat().st_size < 500_000
