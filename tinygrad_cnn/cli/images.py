"""The images that commands work on: data sets by name, and image files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data import load
from ..errors import ArgumentError, DatasetError

Image = NDArray[np.uint8]


def default_data() -> str:
    """mnist where it can be had; otherwise digits, and a line that says so."""
    try:
        load("mnist", train=False)
    except DatasetError as error:
        print(f"using the built-in digits, since {error}", file=sys.stderr)
        return "digits"
    return "mnist"


def read_image(path: Path, shape: Sequence[int], invert: bool) -> Image:
    """An image file as uint8 in the shape (C, H, W) that the model's data have.

    .npy: uint8 0..255 or floats 0..1, of shape (H, W), (H, W, C) or (C, H, W), and of
    exactly that size. Anything else is read with Pillow, made grey or coloured and
    resized. invert: exchange black and white. Raises ArgumentError for what does not fit.
    """
    image = _array(path, shape) if path.suffix == ".npy" else _picture(path, shape)
    return 255 - image if invert else image


def _array(path: Path, shape: Sequence[int]) -> Image:
    channels, height, width = shape
    try:
        array = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ArgumentError(f"{path} is not a .npy file of numbers: {error}") from error
    if array.dtype.kind == "f" and array.size and 0 <= array.min() <= array.max() <= 1:
        array = (array * 255).round().astype(np.uint8)
    if array.shape == (height, width, channels):
        array = np.moveaxis(array, -1, 0)
    if array.shape == (height, width) and channels == 1:
        array = array[None]
    if array.shape != tuple(shape) or array.dtype != np.uint8:
        raise ArgumentError(
            f"{path} is {array.dtype}{list(array.shape)}; the model's images are uint8 "
            f"0..255, or floats 0..1, of shape {list(shape)}"
        )
    return array


def _picture(path: Path, shape: Sequence[int]) -> Image:
    try:
        from PIL import Image as pillow
    except ImportError:
        raise ArgumentError(
            f"to read {path}, `pip install pillow`, or save the image as .npy"
        ) from None
    channels, height, width = shape
    with pillow.open(path) as file:
        image = file.convert("L" if channels == 1 else "RGB")
        pixels = np.asarray(image.resize((width, height), pillow.Resampling.BILINEAR))
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)
