"""The images that commands work on: data sets by name, and image files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import ImageDataset, load
from ..data.transforms import Compose, ToTensor, Transform
from ..errors import ArgumentError, DatasetError
from ..nn import Module

Image = NDArray[np.uint8]

TEST_BATCH = 250
"""How many images are evaluated at once."""


def default_data() -> str:
    """mnist where it can be had; otherwise digits, and a line that says so."""
    try:
        load("mnist", train=False)
    except DatasetError as error:
        print(f"using the built-in digits, since {error}", file=sys.stderr)
        return "digits"
    return "mnist"


def open_data(
    name: str, train: bool, model_class: type[Module], dtype: str, limit: int | None
) -> ImageDataset:
    """The data set, or its first `limit` images, as the model class wants to see it."""
    data = load(name, train)
    data.images, data.labels = data.images[:limit], data.labels[:limit]
    data.transform = transform_of(model_class, dtype)
    return data


def transform_of(model_class: type[Module], dtype: str) -> Any:
    """From raw uint8 images to what the model takes: its `transform`, by default 0..1."""
    transform = getattr(model_class, "transform", ToTensor())
    return transform if dtype == "float32" else Compose([transform, _AsType(dtype)])


@dataclass(frozen=True)
class _AsType(Transform):
    dtype: str

    def apply(self, images: NDArray[Any]) -> NDArray[Any]:
        return ToTensor().apply(images).astype(self.dtype)


def facts(data: ImageDataset) -> dict[str, Any]:
    """What a model may want to know of its data: in_channels, image_size, num_classes.

    image_size is a number for square images, or else (height, width), after the
    transform; neither it nor in_channels is known of images that are flattened.
    """
    known: dict[str, Any] = {"num_classes": len(data.classes)}
    shape = tuple(data[0][0].shape)
    if len(shape) == 3:
        channels, height, width = shape
        known["in_channels"] = channels
        known["image_size"] = height if height == width else (height, width)
    return known


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
