"""The built-in digits: reproducible, varied, and what their labels say."""

import numpy as np
import pytest
from work import calls_in

from tinygrad_cnn.data import Digits
from tinygrad_cnn.data.digits import draw_digits
from tinygrad_cnn.data.strokes import STYLES, ink, trace
from tinygrad_cnn.errors import ArgumentError


@pytest.fixture(scope="module")
def digits():
    return Digits(), Digits(train=False)


def test_the_default_sizes_are_6000_and_1000(digits):
    train, test = digits
    assert train.images.shape == (6000, 1, 28, 28)
    assert test.images.shape == (1000, 1, 28, 28)
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int64


def test_images_are_drawn_together_not_one_by_one():
    few = calls_in(lambda: Digits(size=500))
    assert calls_in(lambda: Digits(size=2000)) < 5 * few
    assert few < 1000  # of Python and NumPy together, for 500 images


def test_an_image_is_a_function_of_seed_split_and_index_alone(digits):
    for start, stop in ((0, 1), (3, 700), (499, 501), (1000, 1500), (250, 250)):
        images, labels = draw_digits(0, True, start, stop)
        np.testing.assert_array_equal(images, digits[0].images[start:stop])
        np.testing.assert_array_equal(labels, digits[0].labels[start:stop])
    np.testing.assert_array_equal(Digits(size=7).images, digits[0].images[:7])


def test_seeds_and_splits_differ_and_no_test_image_is_a_training_image(digits):
    train, test = digits
    assert (Digits(seed=1, size=500).images != train.images[:500]).any((1, 2, 3)).all()
    seen = {image.tobytes() for image in train.images}
    assert len(seen) == len(train)
    assert not any(image.tobytes() in seen for image in test.images)


def test_every_digit_is_equally_frequent(digits):
    assert np.bincount(digits[0].labels).tolist() == [600] * 10
    assert np.bincount(digits[1].labels).tolist() == [100] * 10


def test_digits_are_white_on_black_centred_and_as_inky_as_mnist(digits):
    images = digits[0].images[:, 0].astype(float)
    assert np.median(images) == 0
    assert (images.max((1, 2)) > 150).all()
    assert 0.05 < images.mean() / 255 < 0.25  # MNIST: 0.13
    assert max(images[:, [0, -1]].max(), images[:, :, [0, -1]].max()) < 100
    mass = images.sum((1, 2))
    for axis in (1, 2):
        centre = (images.sum(axis) * np.arange(28)).sum(1) / mass
        assert np.abs(centre - 13.5).max() < 3.5


def test_the_nearest_training_image_mostly_has_the_same_label(digits):
    train, test = (d.images.reshape(len(d), -1).astype(np.float32) for d in digits)
    distance = (train**2).sum(1) - 2 * test @ train.T
    nearest = digits[0].labels[distance.argmin(1)]
    assert (nearest == digits[1].labels).mean() > 0.85


def test_a_size_below_zero_is_refused():
    with pytest.raises(ArgumentError, match="start <= stop"):
        Digits(size=-1)
    assert len(Digits(size=0)) == 0


@pytest.mark.parametrize("radius", [1.0, 1.5, 2.0])
def test_a_straight_stroke_has_the_width_that_was_asked_for(radius):
    path = np.stack([np.linspace(2, 25, 64), np.full(64, 13.0)], 1)[None]
    image = ink(path, np.ones((1, 63)), np.full((1, 63), radius), 28)[0]
    across = image[:, 13]
    assert across[13] == 1
    assert across.sum() == pytest.approx(2 * radius, abs=0.35)
    # The stroke ends where the pen is lifted, and ink fades over about a pixel.
    assert image[13].sum() == pytest.approx(23, abs=0.5)


def test_the_gap_between_two_strokes_is_not_inked():
    strokes = [[(0.0, 0.0), (1.0, 0.0)], [(0.0, 1.0), (1.0, 1.0)]]
    path, down = trace(strokes)
    assert (down == 0).sum() == 1
    image = ink(path[None] * 20 + 4, down[None], np.full((1, 63), 1.2), 28)[0]
    assert image[4, 5:23].min() > 0.9
    assert image[24, 5:23].min() > 0.9
    assert image[10:18].max() == 0


@pytest.mark.parametrize("digit", range(10))
def test_the_pen_passes_through_the_points_of_each_stroke(digit):
    for strokes in STYLES[digit]:
        path, _ = trace(strokes)
        for x, y in (point for stroke in strokes for point in stroke):
            assert np.hypot(*(path - (x, y)).T).min() < 0.06
