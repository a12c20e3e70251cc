"""Transforms against PyTorch, closed forms and naive search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytorch import torch

import tinygrad_cnn
from tinygrad_cnn import Tensor
from tinygrad_cnn.data import transforms as T
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError

F = torch.nn.functional

sizes = st.integers(1, 9)


def image_batch(shape, dtype=np.float32):
    return np.random.default_rng(sum(shape)).uniform(0, 255, shape).astype(dtype)


def generator(*key):
    return T.drawing_from(tinygrad_cnn.random.stream(*key))


@given(n=sizes, c=st.integers(1, 3), h=sizes, w=sizes, new_h=sizes, new_w=sizes)
def test_resize_is_pytorchs_bilinear_interpolation(n, c, h, w, new_h, new_w):
    x = image_batch((n, c, h, w), np.float64)
    expected = F.interpolate(torch.tensor(x), (new_h, new_w), mode="bilinear")
    resized = T.Resize((new_h, new_w), antialias=False)(x)
    np.testing.assert_allclose(resized, expected, atol=1e-9)


def test_resize_of_uint8_rounds_and_stays_uint8():
    x = image_batch((2, 1, 28, 28), np.uint8)
    expected = F.interpolate(torch.tensor(x).float(), (32, 32), mode="bilinear")
    resized = T.Resize(32)(x)
    assert resized.dtype == np.uint8
    assert resized.shape == (2, 1, 32, 32)
    assert np.abs(resized - expected.numpy()).max() <= 0.5 + 1e-4


def test_resize_to_a_number_sets_the_shorter_side():
    assert T.Resize(6)(image_batch((3, 12, 25))).shape == (3, 6, 12)
    assert T.Resize(6)(image_batch((3, 25, 12))).shape == (3, 12, 6)


@given(padding=st.one_of(sizes, st.tuples(sizes, sizes), st.tuples(*[sizes] * 4)))
def test_pad_takes_one_two_or_four_numbers_in_torchvisions_order(padding):
    x = image_batch((2, 3, 4, 5))
    p = (padding,) if isinstance(padding, int) else padding
    left, top, right, bottom = (p * 4)[:4]
    expected = F.pad(torch.tensor(x), (left, right, top, bottom), value=7.0)
    np.testing.assert_array_equal(T.Pad(padding, fill=7)(x), expected)


def test_pad_refuses_to_cut_images_off():
    with pytest.raises(ArgumentError, match="cut off"):
        T.Pad((1, -1))(image_batch((1, 4, 5)))


def test_resize_to_the_same_size_changes_nothing_as_in_pytorch():
    x = image_batch((2, 1, 4, 5))
    x[0, 0, 1, 2] = np.nan
    expected = F.interpolate(torch.tensor(x), (4, 5), mode="bilinear")
    np.testing.assert_array_equal(T.Resize((4, 5))(x), expected)
    assert not np.shares_memory(T.Resize((4, 5))(x), x)


@given(count=st.integers(0, 70), size=st.tuples(sizes, sizes))
def test_resize_gives_an_image_the_same_bits_in_any_company(count, size):
    x = np.random.default_rng(count).integers(0, 256, (count, 1, 28, 28), np.uint8)
    size = size[0] * 8, size[1] * 8
    together = T.Resize(size)(x)
    assert together.shape == (count, 1, *size)
    for image, resized in zip(x, together, strict=True):
        np.testing.assert_array_equal(T.Resize(size)(image), resized)


def test_pad_by_two_makes_28_pixels_32():
    assert T.Pad(2)(image_batch((5, 1, 28, 28), np.uint8)).shape == (5, 1, 32, 32)


def test_to_tensor_gives_float32_in_0_to_1_and_leaves_other_dtypes():
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    expected = torch.tensor(x).float().div(255).numpy()
    result = T.ToTensor()(x)
    assert isinstance(result, Tensor)
    np.testing.assert_array_equal(result.numpy(), expected)
    assert T.ToTensor()(x.astype(np.float64)).dtype == np.float64


def test_to_tensor_refuses_channels_last_with_the_remedy():
    with pytest.raises(ShapeError, match=r"np.moveaxis"):
        T.ToTensor()(np.zeros((28, 28, 3), np.uint8))


def test_scale_gives_day3s_x_over_255_minus_a_half():
    x = np.array([[[0, 51, 255]]], np.uint8)
    scaled = T.Scale(1 / 255, -0.5)(x)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[[-0.5, -0.3, 0.5]]], atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5), (2, 2, 3, 4, 5)])
def test_normalize_subtracts_the_mean_and_divides_by_std_per_channel(shape):
    x = image_batch(shape)
    mean, std = (0.4, 100.0, 3.0), (0.2, 50.0, 7.0)
    column = [torch.tensor(v).view(3, 1, 1) for v in (mean, std)]
    expected = (torch.tensor(x) - column[0]) / column[1]
    result = T.Normalize(mean, std)(x)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_normalize_refuses_integers_wrong_channels_and_a_zero_std():
    with pytest.raises(DTypeError, match="ToTensor"):
        T.Normalize((0.5,), (0.5,))(image_batch((1, 2, 2), np.uint8))
    with pytest.raises(ShapeError, match="3 values for 1 channels"):
        T.Normalize((0.5,) * 3, (0.5,) * 3)(image_batch((1, 2, 2)))
    with pytest.raises(ArgumentError, match="zero"):
        T.Normalize((0.5,), (0.0,))


def test_grayscale_is_the_channel_mean_not_a_weighted_one():
    x = np.array([[[[255]], [[0]], [[3]]]], np.uint8)
    gray = T.MeanOfChannels()(x)
    assert gray.dtype == np.uint8
    assert gray.tolist() == [[[[86]]]]
    x = image_batch((2, 3, 4, 4))
    np.testing.assert_allclose(
        T.MeanOfChannels()(x), x.sum(1, keepdims=True) / 3, rtol=1e-6
    )


def windows_of(image, size):
    height, width = image.shape[-2:]
    return [
        image[..., i : i + size[0], j : j + size[1]]
        for i in range(height - size[0] + 1)
        for j in range(width - size[1] + 1)
    ]


def test_random_crop_takes_every_window_of_the_padded_image_and_no_other():
    x = np.random.default_rng(0).permutation(1 * 3 * 4).reshape(1, 1, 3, 4) + 1.0
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    allowed = {window.tobytes() for window in windows_of(padded, (3, 4))}
    with generator(5):
        crops = T.RandomCrop((3, 4), padding=1)(np.repeat(x, 500, axis=0))
    assert {crop[None].tobytes() for crop in crops} == allowed


def test_random_crop_refuses_a_window_larger_than_the_image():
    with pytest.raises(ArgumentError, match="larger than the 4 x 5 image"):
        T.RandomCrop(5)(image_batch((1, 4, 5)))


def test_random_flip_mirrors_about_a_fraction_p_of_the_images_each_on_its_own():
    x = image_batch((2000, 1, 2, 3))
    with generator(1):
        flipped = T.RandomHorizontalFlip(0.25)(x)
    mirrored = (flipped == x[..., ::-1]).all((1, 2, 3))
    kept = (flipped == x).all((1, 2, 3))
    assert (mirrored ^ kept).all()
    # Five standard deviations of the binomial distribution around its mean.
    assert abs(mirrored.sum() - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75)


def test_random_transforms_are_functions_of_the_generator_given():
    augment = T.Compose([T.RandomCrop(4, 2), T.RandomHorizontalFlip()])
    x = image_batch((16, 3, 4, 4))
    results = []
    for key in ((1, 2), (1, 2), (1, 3)):
        with generator(*key):
            results.append(augment(x))
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


def test_random_transforms_draw_from_the_process_generator_when_called_alone():
    x = image_batch((64, 1, 4, 4))
    tinygrad_cnn.manual_seed(3)
    first = T.RandomHorizontalFlip()(x)
    second = T.RandomHorizontalFlip()(x)
    tinygrad_cnn.manual_seed(3)
    np.testing.assert_array_equal(T.RandomHorizontalFlip()(x), first)
    assert (first != second).any()


ALL = [
    T.ToTensor(),
    T.Scale(2.0, 1.0),
    T.Normalize((0.5,), (2.0,)),
    T.Pad(1),
    T.Resize(7),
    T.MeanOfChannels(),
    T.RandomCrop(4),
    T.RandomHorizontalFlip(1.0),
]


@pytest.mark.parametrize("transform", ALL, ids=str)
def test_a_transform_takes_any_leading_axes_arrays_and_tensors(transform):
    x = image_batch((2, 5, 3, 4, 4))
    batched = transform(x)
    each = [[transform(x[i, j]) for j in range(5)] for i in range(2)]
    numbers = [
        [getattr(image, "numpy", lambda v=image: v)() for image in r] for r in each
    ]
    wrapped = transform(Tensor(x.copy()))
    assert isinstance(wrapped, Tensor)
    np.testing.assert_array_equal(wrapped.numpy(), numbers)
    if not isinstance(transform, T.ToTensor):
        assert isinstance(batched, np.ndarray)
        np.testing.assert_array_equal(batched, numbers)
    assert wrapped.dtype == np.float32


@pytest.mark.parametrize("transform", ALL, ids=str)
def test_a_transform_changes_nothing_in_place(transform):
    x = image_batch((2, 3, 4, 4))
    before = x.copy()
    transform(x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("transform", ALL, ids=str)
def test_a_transform_refuses_less_than_three_axes(transform):
    with pytest.raises(ShapeError, match="C, H, W"):
        transform(np.zeros((28, 28), np.float32))


def test_reprs_say_how_to_make_the_transform():
    steps = T.Compose([T.Resize(32), T.ToTensor(), T.Normalize((0.1,), (0.3,))])
    assert repr(steps) == (
        "Compose([Resize(size=32), ToTensor(), Normalize(mean=(0.1,), std=(0.3,))])"
    )


def test_a_users_own_function_gets_one_image_at_a_time_in_a_batch():
    seen = []

    def double(image):
        seen.append(image.shape)
        return image * 2

    x = image_batch((3, 1, 2, 2))
    steps = T.Compose([T.Scale(1.0), double, T.Lambda(lambda image: image + 1)])
    np.testing.assert_array_equal(T.transform_batch(steps, x).numpy(), x * 2 + 1)
    assert seen == [(1, 2, 2)] * 3


def test_a_generator_is_made_when_it_is_first_drawn_from_and_once():
    made = []

    def make():
        made.append(1)
        return tinygrad_cnn.random.stream(1, 2)

    x = np.random.default_rng(0).integers(0, 256, (9, 1, 8, 8), dtype=np.uint8)
    with T.drawing_from(tinygrad_cnn.random.stream(1, 2)):
        expected = [T.RandomCrop(5)(x), T.RandomCrop(5)(x)]
    with T.drawing_from(make):
        T.Scale()(x)
        assert made == []
        np.testing.assert_array_equal([T.RandomCrop(5)(x) for _ in "ab"], expected)
    assert made == [1]


@pytest.mark.parametrize("size", [(5, 7), (3, 20), (11, 4), 6])
def test_a_smaller_image_takes_all_pixels_around_as_in_pytorch(size):
    torch = pytest.importorskip("torch")
    x = image_batch((2, 3, 12, 13)).astype(np.float64)
    new = size if isinstance(size, tuple) else (6, 6 * 13 // 12)
    expected = torch.nn.functional.interpolate(
        torch.tensor(x), new, mode="bilinear", antialias=True
    ).numpy()
    np.testing.assert_allclose(T.Resize(size)(x), expected, rtol=1e-9)
    plain = torch.nn.functional.interpolate(
        torch.tensor(x), new, mode="bilinear"
    ).numpy()
    found = T.Resize(size, antialias=False)(x)
    np.testing.assert_allclose(found, plain, rtol=1e-9)


def test_grey_is_weighed_as_eyes_do():
    x = np.zeros((3, 1, 3), np.float32)
    x[[0, 1, 2], 0, [0, 1, 2]] = 1
    assert T.Grayscale()(x)[0, 0].tolist() == pytest.approx([0.2989, 0.587, 0.114])
    assert T.Grayscale(3)(x).shape == (3, 1, 3)
    np.testing.assert_array_equal(T.Grayscale(3)(x[:1]), np.repeat(x[:1], 3, 0))


@pytest.mark.parametrize("size", [4, (2, 7), (12, 3), (11, 12)])
def test_the_middle_is_cut_out_and_zeros_are_around_it(size):
    x = image_batch((3, 9, 8))
    h, w = (size, size) if isinstance(size, int) else size
    found = T.CenterCrop(size)(x)
    assert found.shape == (3, h, w)
    middle = np.zeros((3, 29, 28))
    middle[:, 10:19, 10:18] = x
    top, left = 10 + round((9 - h) / 2), 10 + round((8 - w) / 2)
    if h > 9 or w > 8:  # padding below and right is the larger half
        top = 10 - max(h - 9, 0) // 2 if h > 9 else top
        left = 10 - max(w - 8, 0) // 2 if w > 8 else left
    np.testing.assert_array_equal(found, middle[:, top : top + h, left : left + w])
