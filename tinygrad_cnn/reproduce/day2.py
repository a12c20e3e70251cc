"""`day2`: Sobel filters, pooling, and how many weights a convolution saves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import creation
from ..core.engine import Tensor
from ..data import load
from ..nn import Conv2d
from ..nn import functional as F
from . import figures
from .experiment import Part, Picture, Results, Setup, Table, Work, row_of_numbers

TITLE = "Sobel filters, pooling, the weights that a convolution saves"

VERTICAL = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
HORIZONTAL = ((1, 2, 1), (0, 0, 0), (-1, -2, -1))

POOLED = ((1, 3, 2, 1), (4, 6, 5, 0), (7, 2, 9, 8), (1, 0, 3, 4))
"""A 4 × 4 image whose four windows have four different largest values."""


def sobel(setup: Setup) -> Work:
    """Both filters over a photograph and a digit, with our convolution."""
    yield 0.0
    found = {}
    for name, pixels in (("photograph", photograph()), ("digit", digit())):
        edges = apply_sobel(pixels)
        found[name] = {
            "sizes": [list(pixels.shape), list(edges.shape)],
            "largest": [float(np.abs(e).max()) for e in edges],
            "difference": float(np.abs(edges - sum_shifted(pixels)).max()),
        }
    return found


def photograph() -> NDArray[np.float64]:
    """Grace Hopper's portrait, which comes with matplotlib: 256 × 256 grey values 0..1."""
    from matplotlib import cbook, image

    pixels = image.imread(
        str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    )
    grey = pixels[:512, :, :3].mean(axis=2) / 255
    return grey.reshape(256, 2, 256, 2).mean(axis=(1, 3))


def digit() -> NDArray[np.float64]:
    """The first training image of MNIST as values 0..1."""
    return load("mnist", True).images[0, 0] / 255


def apply_sobel(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both filters over an image (H, W), by our convolution: (2, H − 2, W − 2)."""
    filters = Tensor(np.array([[VERTICAL], [HORIZONTAL]], np.float64))
    return F.conv2d(Tensor(pixels[None, None]), filters).numpy()[0]


def sum_shifted(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both filters over an image as sums of shifted images, the weights in the code."""
    up, middle, down = x[:-2], x[1:-1], x[2:]
    columns = up + 2 * middle + down
    rows = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    return np.stack([columns[:, 2:] - columns[:, :-2], rows[:-2] - rows[2:]])


def pooling(setup: Setup) -> Work:
    """Max pooling of a 4 × 4 image, and where a gradient of ones goes."""
    yield 0.0
    x = creation.tensor([[POOLED]], dtype=np.float64, requires_grad=True)
    y = F.max_pool2d(x, 2)
    y.sum().backward()
    assert x.grad is not None
    return {"pooled": y.tolist()[0][0], "gradient": x.grad.tolist()[0][0]}


def weights(setup: Setup) -> Work:
    """The weights of a dense layer on an image of 224 × 224 × 3, and of a convolution."""
    yield 0.0
    pixels = 224 * 224 * 3
    count = sum(p.numel() for p in Conv2d(3, 8, kernel_size=3).parameters())
    return {"pixels": pixels, "dense": pixels * 1024, "convolution": count}


PARTS = (Part("sobel", sobel), Part("pooling", pooling), Part("weights", weights))


def tables(results: Results) -> list[Table]:
    """Sobel's responses; the pooled image; the numbers of weights."""
    pooling, count = results["pooling"], results["weights"]
    columns = {"image": "", "size": "", "filtered": "", "largest, vertical": ".3f"}
    columns |= {"largest, horizontal": ".3f"}
    columns |= {"difference to the sum written out": ".1e"}
    pooled = [*pooling["pooled"], (), ()]
    times = count["dense"] / count["convolution"]
    return [
        Table(
            "Sobel filters",
            columns,
            [
                [name, *map(_size, f["sizes"]), *f["largest"], f["difference"]]
                for name, f in results["sobel"].items()
            ],
            "Pixels from 0 to 1, so that no edge can give more than 4.",
        ),
        Table(
            "Max pooling, 4 × 4 to 2 × 2",
            {"image": "", "pooled": "", "gradient of the sum": ""},
            [
                list(map(row_of_numbers, rows))
                for rows in zip(POOLED, pooled, pooling["gradient"], strict=True)
            ],
            "One value in each window passes its gradient on: the largest.",
        ),
        Table(
            "Weights",
            {"layer on 224 × 224 × 3 values": "", "weights": ",d", "times": ",.0f"},
            [
                ["dense, to 1,024 values", count["dense"], times],
                ["convolution 8@3×3, with bias", count["convolution"], 1],
            ],
            f"The image has {count['pixels']:,} values. A filter is used at every place, "
            "so its weights do not grow with the image.",
        ),
    ]


def _size(shape: list[int]) -> str:
    return " × ".join(map(str, shape))


def pictures(results: Results) -> list[Picture]:
    """The photograph and the digit, filtered."""
    caption = (
        "A photograph and a digit of MNIST through both Sobel filters: grey is no edge, "
        "white and black are edges of opposite directions; right, how strong both are."
    )
    return [Picture("sobel", caption, _draw)]


def _draw(figure: Any) -> None:
    figure.set_size_inches(9, 5)
    places = figure.subplots(2, 4)
    for row, pixels in zip(places, (photograph(), digit()), strict=True):
        vertical, horizontal = apply_sobel(pixels)
        figures.image(row[0], pixels, "image")
        figures.image(row[1], vertical, "vertical edges", centred=True)
        figures.image(row[2], horizontal, "horizontal edges", centred=True)
        figures.image(row[3], np.hypot(vertical, horizontal), "both")
