"""Where a gradient is wrong, as pictures: what is claimed, what is measured, the error."""

from __future__ import annotations

import base64
import math
from html import escape

import numpy as np

from ...output.png import png
from ...output.text import format_number, format_shape
from ..report import TensorReport
from ..subject import Array

TILES = 64
"""Images that are shown of a tensor with more than two axes."""

LONGEST = 256
"""Entries along an axis that are shown."""

WIDE = 288
"""Pixels across a picture, about."""

NEGATIVE, ZERO, POSITIVE = (33, 102, 172), (247, 247, 247), (178, 24, 43)
"""Blue, white, red: of ColorBrewer's "RdBu", told apart with any colour blindness."""


def pictures_of(name: str, tensor: TensorReport) -> str:
    """Three heat maps of a wrong gradient, as HTML; "" if its values are not known."""
    values = tensor.values
    if values is None or not values.claimed.size:
        return ""
    claimed, measured = values.claimed, values.measured
    with np.errstate(invalid="ignore", over="ignore"):
        error = claimed - measured
    both = max(_largest(claimed), _largest(measured))
    maps = [
        _figure("claimed", claimed, both),
        _figure("by differences", measured, both),
        _figure("error", error, _largest(error)),
    ]
    shape = format_shape(tensor.shape, "a number")
    head = f"<h3>{escape(name)}, {shape}{_left_out(tensor.shape)}</h3>"
    return f'{head}\n<div class="maps">\n{"".join(maps)}</div>\n'


def tile(array: Array) -> Array:
    """The last two axes as images, side by side, NaN between them; one axis is a row.

    The first images in the order of memory, in as many columns as the axis before has
    entries, or about as many as rows.
    """
    images = np.atleast_2d(array)[..., :LONGEST, :LONGEST]
    columns = images.shape[-3] if images.ndim > 3 else 0
    images = images.reshape(-1, *images.shape[-2:])[:TILES]
    if not 0 < columns <= 16:
        columns = math.ceil(math.sqrt(len(images)))
    rows = -(-len(images) // columns)
    images = np.pad(
        images,
        ((0, rows * columns - len(images)), (0, 1), (0, 1)),
        constant_values=np.nan,
    )
    height, width = images.shape[1:]
    grid = images.reshape(rows, columns, height, width).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width)[:-1, :-1]


def colours(values: Array, largest: float) -> Array:
    """Red, green, blue and opacity (0 to 255) of values between −largest and largest.

    What is NaN cannot be seen; an infinite value is as the largest.
    """
    shares = np.clip(values / (largest or 1.0), -1, 1)[..., None]
    ends = np.where(shares < 0, NEGATIVE, POSITIVE)
    mixed = ZERO + np.abs(shares) * (ends - ZERO)
    seen = np.isfinite(shares)
    return np.concatenate([np.where(seen, mixed, 0), 255 * seen], -1).astype(np.uint8)


def _figure(name: str, array: Array, largest: float) -> str:
    with np.errstate(invalid="ignore"):
        pixels = colours(tile(array), largest)
    height, width = pixels.shape[:2]
    scale = max(1, min(24, WIDE // max(width, height)))
    data = base64.b64encode(png(pixels)).decode()
    text = f"{name}: ±{format_number(largest)}"
    odd = int(np.isinf(array).sum())
    if odd:
        text += f", {odd:,} infinite"
    return (
        f'<figure><img width="{scale * width}" height="{scale * height}" '
        f'alt="{escape(name)}" src="data:image/png;base64,{data}"/>'
        f"<figcaption>{escape(text)}</figcaption></figure>\n"
    )


def _largest(values: Array) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0))


def _left_out(shape: tuple[int, ...]) -> str:
    """What is left out of a picture."""
    images = math.prod(shape[:-2])
    parts = []
    if len(shape) > 2 and images > TILES:
        parts.append(f"the first {TILES} of {images:,} images")
    if any(n > LONGEST for n in shape[-2:]):
        parts.append(f"the first {LONGEST} entries along an axis")
    return f" ({', '.join(parts)})" if parts else ""
