"""Results of transforms that depend on the image alone, kept from epoch to epoch."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.engine import Tensor
from .transforms import (
    Compose,
    Grayscale,
    Normalize,
    Pad,
    Resize,
    Scale,
    ToTensor,
    transform_batch,
)

Array = NDArray[Any]
Step = Callable[[Any], Any]

LIMIT = 2**30
"""How many bytes one data set may keep; a larger one is transformed batch by batch."""

_CHEAP = (ToTensor, Scale)
_COSTLY = (Pad, Resize, Grayscale)


def split_steps(transform: Step | None) -> tuple[list[Step], list[Step]]:
    """The steps worth keeping the results of, and those that follow.

    The first are the leading steps without chance, up to the last that costs more than
    reading its result again. So what is kept is uint8 where images are resized before
    they are scaled, a quarter of the memory. Subclasses may do anything: none is kept.
    """
    steps = _flatten(transform)
    count = 0
    for i, step in enumerate(steps, 1):
        if type(step) in _COSTLY:
            count = i
        elif type(step) not in _CHEAP:
            break
    return steps[:count], steps[count:]


def _flatten(transform: Step | None) -> list[Step]:
    if isinstance(transform, Compose):
        return [inner for step in transform.transforms for inner in _flatten(step)]
    return [] if transform is None else [transform]


def is_pixelwise(steps: Sequence[Step]) -> bool:
    """Whether the steps treat each pixel alone, so that they keep the memory's layout."""
    return all(type(step) in (*_CHEAP, Normalize) for step in steps)


def take_rows(array: Array, chosen: NDArray[np.intp]) -> Array:
    """array[chosen], in memory of its own."""
    # `take` is the faster, but would first copy the whole of a strided array.
    plain = type(array) is np.ndarray and array.flags.c_contiguous
    return array.take(chosen, 0) if plain else array[chosen]


def lock(array: Array) -> Array:
    """The array, after it and those that it is a view of were made read-only."""
    part: Any = array
    while isinstance(part, np.ndarray):
        part.flags.writeable = False
        part = part.base
    return array


def is_locked(array: Array) -> bool:
    """Whether nobody can change the array without unlocking it first."""
    part: Any = array
    while isinstance(part, np.ndarray):
        if part.flags.writeable:
            return False
        part = part.base
    return part is None or isinstance(part, bytes)


class Kept:
    """What `steps` made of each of `images` (N, C, H, W) that was asked for before.

    Only of locked uint8 images, and of steps whose arguments cannot change either, so
    that no result is ever stale: for other images or other steps a new one is made, and
    so after images were unlocked. (Who unlocks, changes and locks an array between two
    batches has to give the data set a new one.)
    """

    def __init__(self, steps: list[Step], images: Array, first: Any) -> None:
        """first: the steps' result on images[:1]."""
        self.steps, self.images = steps, images
        self.as_tensors = isinstance(first, Tensor)
        # Memory that comes page by page as it is written to; NumPy's large arrays come in
        # pages so large that the first few images would bring in, and zero, all of it.
        memory = mmap.mmap(-1, len(images) * first.nbytes, access=mmap.ACCESS_COPY)
        shape = (len(images), *first.shape[1:])
        self.results: Array = np.ndarray(shape, first.dtype, memory)
        self.known = np.zeros(len(images), np.bool_)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # a copy of a data set begins with nothing

    def fits(self, steps: list[Step], images: Array) -> bool:
        """Whether these are the very steps and images that the results are of."""
        same = len(steps) == len(self.steps) and all(map(is_, steps, self.steps))
        return same and images is self.images

    def take(self, chosen: NDArray[np.intp]) -> Array | Tensor:
        """The steps' result on images[chosen], as `transform_batch` gives it."""
        if not self.known.take(chosen).all():
            new = chosen[~self.known[chosen]]
            made = transform_batch(Compose(self.steps), take_rows(self.images, new))
            self.results[new] = made.numpy() if self.as_tensors else made
            self.known[new] = True
        found = self.results.take(chosen, 0)
        return Tensor(found) if self.as_tensors else found


def keep_results(steps: list[Step], images: Array, kept: Kept | None) -> Kept | None:
    """`kept` if it is for these steps and images, else a new one; None: keep nothing."""
    if not steps or not is_locked(images):
        return None
    if kept is not None and kept.fits(steps, images):
        return kept
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        return None
    try:
        hash(tuple(steps))
    except TypeError:
        return None  # a list among the arguments
    first = transform_batch(Compose(steps), images[:1])
    small = len(images) * first.nbytes <= LIMIT
    return Kept(steps, images, first) if small else None
