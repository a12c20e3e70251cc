"""`predict`: classes and probabilities of images."""

import numpy as np
import pytest

from tinygrad_cnn.data import load


@pytest.fixture(scope="module")
def digit():
    """The first test image of the digits, uint8 (28, 28)."""
    return load("digits", train=False).images[0, 0]


@pytest.fixture
def predict(run, train):
    """Trains, and predicts with the model."""
    train()

    def command(line):
        return run(f"predict net.py runs/net.ckpt {line}")

    return command


def assert_same(line, other):
    assert line["probabilities"] == pytest.approx(other["probabilities"], rel=1e-5)


def test_an_image_gets_the_most_probable_class(predict):
    (line,) = predict("--json 0").records
    probabilities = line["probabilities"]
    assert line["class"] == max(probabilities, key=probabilities.get)
    assert sum(probabilities.values()) == pytest.approx(1)
    assert line["label"] in probabilities
    assert len(probabilities) == 10


def test_the_table_has_a_line_for_each_class(predict):
    lines = predict("0 1").out.splitlines()
    assert len(lines) == 2 * 12
    assert lines[0].startswith("digits 0: ")
    assert "labelled" in lines[0]
    assert lines[2].startswith("0 - zero")
    assert lines[2].endswith("%")


def files(digit):
    yield "bytes.npy", digit
    yield "channel.npy", digit[None]
    yield "last.npy", digit[..., None]
    yield "floats.npy", digit / 255
    yield "single.npy", (digit / 255).astype(np.float32)


def test_an_array_is_the_image_in_any_usual_layout(predict, digit):
    names = []
    for name, array in files(digit):
        np.save(name, array)
        names.append(name)
    wanted, *found = predict(f"0 {' '.join(names)} --json").records
    assert len(found) == len(names)
    for line in found:
        assert_same(line, wanted)


def test_a_picture_is_read_resized_and_inverted(predict, digit):
    pillow = pytest.importorskip("PIL.Image")
    pillow.fromarray(digit).save("same.png")
    pillow.fromarray(255 - digit).convert("RGB").save("dark.png")
    pillow.fromarray(digit).resize((280, 280)).save("large.png")
    same, large, index = predict("same.png large.png 0 --json").records
    (dark,) = predict("dark.png --invert --json").records
    assert_same(same, index)
    assert_same(dark, index)
    assert large["class"] == index["class"]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((27, 28), np.uint8),
        np.full((28, 28), 7.0),
        np.zeros((28, 28), np.int64),
    ],
    ids=["size", "range", "dtype"],
)
def test_an_array_that_does_not_fit_is_refused(predict, array):
    np.save("wrong.npy", array)
    outcome = predict("wrong.npy")
    assert outcome.status == 1
    assert "the model's images are uint8 0..255, or floats 0..1" in outcome.err


def test_a_pickle_in_an_npy_file_is_refused(predict):
    np.save("object.npy", np.array([{}], object), allow_pickle=True)
    outcome = predict("object.npy")
    assert outcome.status == 1
    assert "is not a .npy file of numbers" in outcome.err


def test_an_index_outside_the_data_is_refused(predict):
    outcome = predict("1000")
    assert outcome.status == 1
    assert "test images 0 to 999" in outcome.err
