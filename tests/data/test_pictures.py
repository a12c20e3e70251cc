"""Grids of images, and PNG files of them."""

import struct
import zlib

import numpy as np
import pytest

from tinygrad_cnn import tensor
from tinygrad_cnn.data.utils import make_grid, save_image
from tinygrad_cnn.errors import ArgumentError, ShapeError

IMAGES = np.random.default_rng(0).uniform(0, 1, (5, 3, 4, 6)).astype(np.float32)


def read_png(path):
    """The pixels of a PNG file without filters or interlacing, by RFC 2083."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, body, header = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        header = content if kind == b"IHDR" else header
        body += content if kind == b"IDAT" else b""
        at += 12 + length
    width, height = struct.unpack(">II", header[:8])
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, -1)


def test_images_stand_in_rows_with_padding_between():
    grid = make_grid(tensor(IMAGES), nrow=2, padding=1, pad_value=0.5).numpy().copy()
    assert grid.shape == (3, 3 * 5 + 1, 2 * 7 + 1)
    for k, image in enumerate(IMAGES):
        top, left = k // 2 * 5 + 1, k % 2 * 7 + 1
        np.testing.assert_array_equal(grid[:, top : top + 4, left : left + 6], image)
        grid[:, top : top + 4, left : left + 6] = 0.5
    assert (grid == 0.5).all()


def test_grey_images_get_three_channels_and_lists_are_stacked():
    grey = [tensor(image[:1]) for image in IMAGES]
    grid = make_grid(grey, padding=0).numpy()
    assert grid.shape == (3, 4, 30)
    np.testing.assert_array_equal(grid[2, :, 6:12], IMAGES[1, 0])


def test_values_are_brought_to_0_to_1_together_each_or_from_limits():
    x = np.stack([IMAGES[0] * 8 - 2, IMAGES[1]])
    together = make_grid(tensor(x), padding=0, normalize=True).numpy()
    low, high = x.min(), x.max()
    np.testing.assert_allclose(
        together[:, :, :6], (x[0] - low) / (high - low), rtol=1e-5
    )
    each = make_grid(tensor(x), padding=0, normalize=True, scale_each=True).numpy()
    assert (each[:, :, 6:].min(), each[:, :, 6:].max()) == (0, pytest.approx(1))
    given = make_grid(tensor(x), padding=0, normalize=True, value_range=(0, 2)).numpy()
    np.testing.assert_allclose(given[:, :, :6], np.clip(x[0], 0, 2) / 2, rtol=1e-6)


def test_a_picture_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "grid.png"
    save_image(tensor(IMAGES), path, nrow=5, padding=0)
    expected = np.concatenate(list(IMAGES), -1).transpose(1, 2, 0)
    np.testing.assert_array_equal(read_png(path), np.floor(expected * 255 + 0.5))
    with pytest.raises(ArgumentError, match="writes PNG files, not jpg"):
        save_image(tensor(IMAGES), tmp_path / "grid.jpg")
    with pytest.raises(ShapeError, match=r"images \(N, C, H, W\)"):
        make_grid(tensor(IMAGES[None]))
