"""What is done to images before the network sees them.

A transform works on the last three axes (C, H, W) of an array or Tensor with any number
of axes before them, so it takes one image or a whole batch. An array gives an array, a
Tensor a Tensor. uint8 images stay uint8 (rounded) until `ToTensor`, `Scale` or the data
set makes them float32.

The random ones decide for each image on its own. Inside a DataLoader they draw from the
generator of the batch, which is a function of (seed, epoch, batch); elsewhere from the
process-wide generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.engine import Tensor
from ..core.generator import default_generator
from ..errors import ArgumentError, DTypeError, ShapeError
from ..missing import teach
from .collate import default_collate

Array = NDArray[Any]

Source = np.random.Generator | Callable[[], np.random.Generator]

_generator: ContextVar[Source | None] = ContextVar("generator", default=None)


@contextmanager
def drawing_from(generator: Source) -> Iterator[None]:
    """Inside the block, random transforms of this thread draw from `generator`.

    A function that makes it is called once, when the first number is drawn.
    """
    token = _generator.set(generator)
    try:
        yield
    finally:
        _generator.reset(token)


def _choose_generator() -> np.random.Generator:
    """The generator to draw from here."""
    source = _generator.get() or default_generator.numpy
    if not isinstance(source, np.random.Generator):
        source = source()
        _generator.set(source)
    return source


class Transform:
    """Base of the transforms here: `apply` maps an array (..., C, H, W) to another."""

    def __call__(self, images: Any) -> Any:
        """Transform an array or Tensor (..., C, H, W); ShapeError for fewer axes."""
        array = images.numpy() if isinstance(images, Tensor) else np.asarray(images)
        if array.ndim < 3:
            raise ShapeError(
                f"{self} needs images (..., C, H, W), not shape {array.shape}"
            )
        result = self.apply(array)
        return Tensor(result) if isinstance(images, Tensor) else result

    def apply(self, images: Array) -> Array:
        raise NotImplementedError


class Compose:
    """One transform after the other, as torchvision's; any callable will do."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(str, self.transforms))}])"


@dataclass(frozen=True)
class Lambda:
    """A function of one image as a transform, as torchvision's."""

    lambd: Callable[[Any], Any]

    def __call__(self, image: Any) -> Any:
        return self.lambd(image)


def transform_batch(transform: Callable[[Any], Any], images: Any) -> Any:
    """`transform` on images (N, C, H, W): one by one only if it is a user's own."""
    if isinstance(transform, Compose):
        for step in transform.transforms:
            images = transform_batch(step, images)
        return images
    if isinstance(transform, Transform):
        return transform(images)
    if isinstance(images, Tensor):
        return default_collate([transform(Tensor(image)) for image in images.numpy()])
    return default_collate([transform(image) for image in images])


@dataclass(frozen=True)
class ToTensor(Transform):
    """A Tensor of the images; uint8 0..255 becomes float32 0..1, other dtypes stay.

    Unlike torchvision's, it expects the channels first already: (..., C, H, W).
    """

    def __call__(self, images: Any) -> Tensor:
        return Tensor(super().__call__(images))

    def apply(self, images: Array) -> Array:
        if images.dtype != np.uint8:
            return images
        if images.shape[-3] > 4 >= images.shape[-1]:
            raise ShapeError(
                f"ToTensor needs images (..., C, H, W), not {images.shape}; bring the "
                "channels to the front: np.moveaxis(image, -1, -3)"
            )
        return to_unit_interval(images)


def to_unit_interval(images: Array) -> Array:
    """uint8 0..255 as float32 0..1."""
    return np.divide(images, np.float32(255), dtype=np.float32)


@dataclass(frozen=True)
class Scale(Transform):
    """x · factor + shift in floating point: Scale(1 / 255, -0.5) is x / 255 − 0.5."""

    factor: float = 1 / 255
    shift: float = 0.0

    def apply(self, images: Array) -> Array:
        dtype = images.dtype if images.dtype.kind == "f" else np.dtype(np.float32)
        result = images * dtype.type(self.factor)
        result += dtype.type(self.shift)
        return result


@dataclass(frozen=True)
class Normalize(Transform):
    """(x − mean) / std for each channel of floating-point images, as torchvision's."""

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        if not np.all(self.std):
            raise ArgumentError(f"Normalize needs std without zeros, not {self.std}")

    def apply(self, images: Array) -> Array:
        if images.dtype.kind != "f":
            raise DTypeError(
                f"Normalize needs floating-point images, not {images.dtype}; put "
                "ToTensor() before it"
            )
        result = images - self._make_column(self.mean, images)
        result /= self._make_column(self.std, images)
        return result

    def _make_column(self, values: float | Sequence[float], images: Array) -> Array:
        column = np.array(values, images.dtype).reshape(-1, 1, 1)
        if len(column) not in (1, images.shape[-3]):
            raise ShapeError(
                f"{self} has {len(column)} values for {images.shape[-3]} channels"
            )
        return column


@dataclass(frozen=True)
class Pad(Transform):
    """Pad with `fill`: by one number all around, by (left/right, top/bottom), or by
    (left, top, right, bottom), as torchvision's. Pad(2) makes 28 × 28 into 32 × 32.
    """

    padding: int | tuple[int, ...]
    fill: float = 0

    def apply(self, images: Array) -> Array:
        p = (self.padding,) if isinstance(self.padding, int) else tuple(self.padding)
        if len(p) not in (1, 2, 4):
            raise ArgumentError(f"Pad needs 1, 2 or 4 numbers, not {len(p)}: {p}")
        if min(p) < 0:
            raise ArgumentError(f"{self} would cut off a part of the image")
        left, top, right, bottom = (p * 4)[:4]
        *lead, height, width = images.shape
        size = height + top + bottom, width + left + right
        result = np.full((*lead, *size), np.asarray(self.fill), images.dtype)
        result[..., top : top + height, left : left + width] = images
        return result


@dataclass(frozen=True)
class Resize(Transform):
    """Bilinear interpolation to (height, width), or of the shorter side to a number.

    The output pixel i lies at (i + ½) · n_in / n_out − ½ among the input pixels. Where the
    image gets smaller, all pixels around count, within n_in / n_out to both sides, unless
    antialias is False.
    """

    size: int | tuple[int, int]
    interpolation: str = field(default="bilinear", repr=False)
    max_size: int | None = field(default=None, repr=False)
    antialias: bool | None = field(default=True, repr=False)

    def apply(self, images: Array) -> Array:
        height, width = images.shape[-2:]
        if isinstance(self.size, int):
            short = min(height, width)
            new = (self.size * height // short, self.size * width // short)
        else:
            new = self.size
        if min(*new, height, width) < 1:
            raise ArgumentError(f"cannot resize {height} x {width} pixels to {new}")
        if self.interpolation != "bilinear" or self.max_size is not None:
            raise ArgumentError("Resize is bilinear here, and knows no max_size")
        if tuple(new) == (height, width):
            return images.copy()
        floating = images.dtype if images.dtype.kind == "f" else np.dtype(np.float32)
        if self.antialias and (new[0] < height or new[1] < width):
            down, across = _weigh(height, new[0]), _weigh(width, new[1])
            x = down @ images.astype(np.float64) @ across.T
            return _round_to(x, images.dtype).astype(images.dtype)
        rows = _find_neighbours(height, new[0], floating)
        columns = _find_neighbours(width, new[1], floating)
        # Weights as large as an image make a product one long loop.
        down = np.repeat(rows[2][:, None], width, axis=1)
        across = np.repeat(columns[2][None], new[0], axis=0)
        each = images.reshape(-1, height, width)
        result = np.empty((len(each), *new), images.dtype)
        few = max(1, _AT_ONCE // max(height * width, new[0] * new[1]))
        for i in range(0, len(each), few):
            x = each[i : i + few].astype(floating, copy=False)
            x = _interpolate(x.take(rows[0], 1), x.take(rows[1], 1), down)
            x = _interpolate(x.take(columns[0], 2), x.take(columns[1], 2), across)
            result[i : i + few] = _round_to(x, images.dtype)
        return result.reshape(*images.shape[:-2], *new)


_AT_ONCE = 2**14
"""How many pixels are resized at once: few enough that they stay in a core's cache."""


def _find_neighbours(size: int, new: int, dtype: Any) -> tuple[Array, Array, Array]:
    """Of each new pixel: the old ones before and after it, and the weight of the latter."""
    position = np.maximum((np.arange(new) + 0.5) * (size / new) - 0.5, 0)
    low = np.minimum(position.astype(np.intp), size - 1)
    return low, np.minimum(low + 1, size - 1), (position - low).astype(dtype)


def _weigh(size: int, new: int) -> Array:
    """(new, size): the share of each old pixel in each new one, falling off linearly."""
    scale = max(size / new, 1.0)
    centers = (np.arange(new) + 0.5) * (size / new)
    away = np.abs(np.arange(size) + 0.5 - centers[:, None]) / scale
    weights = np.maximum(1 - away, 0)
    return weights / weights.sum(1, keepdims=True)


def _interpolate(low: Array, high: Array, weight: Array) -> Array:
    """low · (1 − weight) + high · weight, in their memory."""
    low *= 1 - weight
    high *= weight
    low += high
    return low


def _round_to(x: Array, dtype: np.dtype[Any]) -> Array:
    return x if dtype.kind == "f" else np.rint(x).astype(dtype)


@dataclass(frozen=True)
class Grayscale(Transform):
    """0.2989 red + 0.587 green + 0.114 blue, in one channel or in three equal ones."""

    num_output_channels: int = 1

    def apply(self, images: Array) -> Array:
        if self.num_output_channels not in (1, 3):
            raise ArgumentError("num_output_channels should be either 1 or 3")
        grey = images
        if images.shape[-3] != 1:
            dtype = images.dtype if images.dtype.kind == "f" else np.dtype(np.float32)
            weights = np.array([0.2989, 0.587, 0.114], dtype)
            grey = np.einsum("...chw,c->...hw", images, weights)[..., None, :, :]
            grey = _round_to(grey, images.dtype)
        return np.repeat(grey, self.num_output_channels, -3)


@dataclass(frozen=True)
class MeanOfChannels(Transform):
    """The mean over the channels: (..., C, H, W) to (..., 1, H, W), as in `patches`."""

    def apply(self, images: Array) -> Array:
        dtype = images.dtype if images.dtype.kind == "f" else np.float32
        return _round_to(images.mean(-3, dtype=dtype, keepdims=True), images.dtype)


@dataclass(frozen=True)
class CenterCrop(Transform):
    """The middle of the image: (height, width), or a square; zeros where it is smaller."""

    size: int | tuple[int, int]

    def apply(self, images: Array) -> Array:
        window = (self.size, self.size) if isinstance(self.size, int) else self.size
        height, width = images.shape[-2:]
        missing = max(window[0] - height, 0), max(window[1] - width, 0)
        if any(missing):
            (up, left), (down, right) = zip(
                *[(n // 2, (n + 1) // 2) for n in missing], strict=True
            )
            images = Pad((left, up, right, down)).apply(images)
            height, width = images.shape[-2:]
        top, start = (
            round((n - w) / 2) for n, w in zip((height, width), window, strict=True)
        )
        return images[..., top : top + window[0], start : start + window[1]].copy()


class _Random(Transform):
    """A transform that decides anew for each image."""

    def apply(self, images: Array) -> Array:
        each = images.reshape(-1, *images.shape[-3:])
        changed = self.draw(each, _choose_generator())
        return changed.reshape(*images.shape[:-3], *changed.shape[1:])

    def draw(self, images: Array, generator: np.random.Generator) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class RandomCrop(_Random):
    """A window of `size` at a random place, after zero padding, as torchvision's."""

    size: int | tuple[int, int]
    padding: int | tuple[int, ...] | None = None

    def draw(self, images: Array, generator: np.random.Generator) -> Array:
        if self.padding is not None:
            images = Pad(self.padding).apply(images)
        window = (self.size, self.size) if isinstance(self.size, int) else self.size
        count, channels, height, width = images.shape
        if window[0] > height or window[1] > width:
            raise ArgumentError(f"{self} is larger than the {height} x {width} image")
        top = generator.integers(height - window[0] + 1, size=count)
        left = generator.integers(width - window[1] + 1, size=count)
        result = np.empty((count, channels, *window), images.dtype)
        for i, (y, x) in enumerate(zip(top.tolist(), left.tolist(), strict=True)):
            result[i] = images[i, :, y : y + window[0], x : x + window[1]]
        return result


@dataclass(frozen=True)
class RandomHorizontalFlip(_Random):
    """Left and right exchanged with probability p."""

    p: float = 0.5

    def draw(self, images: Array, generator: np.random.Generator) -> Array:
        flip = generator.random(len(images)) < self.p
        result = images.copy()
        result[flip] = images[flip, ..., ::-1]
        return result


teach(__name__)
