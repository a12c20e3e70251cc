"""Name the class of images, with the probability of each class."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.recording import no_grad
from ..data import ImageDataset, load
from ..errors import ArgumentError
from ..training.recipe import transform_of
from .display import show
from .models import Saved, restore
from .options import DATA, add_json, add_model

Image = NDArray[np.uint8]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `predict`."""
    add_model(parser)
    add = parser.add_argument
    add("checkpoint", type=Path, help="what `train` has written")
    file = ".npy, or .png and the like with Pillow; a number N is test image N, from 0"
    add("images", nargs="+", metavar="IMAGE", help=file)
    add("--data", choices=DATA, help="the data of test image N; default: as trained")
    add("--invert", action="store_true", help="dark on light: exchange black and white")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the class and the probabilities of each image."""
    model, saved = restore(args.model, args.checkpoint, dict(args.set))
    names, images, labels = zip(*_images(args, saved), strict=True)
    transform = transform_of(type(model), saved.options["dtype"])
    data = ImageDataset(np.stack(images), np.zeros(len(images), np.int64), transform)
    with no_grad():
        output = model(data.get_batch(range(len(data)))[0])
    # Of log-probabilities, as of values that have none yet, the softmax is the same.
    for name, label, row in zip(names, labels, output.softmax(1).tolist(), strict=True):
        probabilities = dict(zip(saved.classes, row, strict=True))
        best = max(probabilities, key=lambda key: probabilities[key])
        if args.json:
            line = {"image": name, "class": best, "label": label}
            print(json.dumps(line | {"probabilities": probabilities}), flush=True)
            continue
        print(
            f"{name}: {best}" if label is None else f"{name}: {best}, labelled {label}"
        )
        rows = [[key, f"{p:.2%}"] for key, p in probabilities.items()]
        show(["class", "probability"], rows)
    return 0


def _images(
    args: argparse.Namespace, saved: Saved
) -> Iterator[tuple[str, Image, str | None]]:
    """Name, image (C, H, W) in uint8 and label, if that is known, of each."""
    name = args.data or saved.options["data"]
    data = load(name, False) if any(t.isdecimal() for t in args.images) else None
    for text in args.images:
        if data is None or not text.isdecimal():
            yield text, _read_image(Path(text), saved.image_shape, args.invert), None
        elif int(text) < len(data):
            i = int(text)
            yield f"{name} {i}", data.images[i], data.classes[data.labels[i]]
        else:
            raise ArgumentError(f"{name} has test images 0 to {len(data) - 1}")


def _read_image(path: Path, shape: Sequence[int], invert: bool) -> Image:
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
