"""Results of transforms that depend on the image alone, kept from epoch to epoch."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine import Tensor
from .transforms import (
    Compose,
    Grayscale,
    Normalize,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
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
_RANDOM = (RandomCrop, RandomHorizontalFlip)


def split(transform: Step | None) -> tuple[list[Step], list[Step]]:
    """The steps worth keeping the results of, and those that follow.

    The first are the leading steps without chance, up to the last that costs more than
    reading its result again. So what is kept is uint8 where images are resized before
    they are scaled, a quarter of the memory. Subclasses may do anything: none is kept.
    """
    steps = _flat(transform)
    count = 0
    for i, step in enumerate(steps, 1):
        if type(step) in _COSTLY:
            count = i
        elif type(step) not in _CHEAP:
            break
    return steps[:count], steps[count:]


def _flat(transform: Step | None) -> list[Step]:
    if isinstance(transform, Compose):
        return [inner for step in transform.transforms for inner in _flat(step)]
    return [] if transform is None else [transform]


def pixel_by_pixel(steps: Sequence[Step]) -> bool:
    """Whether the steps treat each pixel alone, so that they keep the memory's layout."""
    return all(type(step) in (*_CHEAP, Normalize) for step in steps)


def ours(steps: Sequence[Step]) -> bool:
    """Whether all steps are known, so that none of the user's code runs."""
    known = (*_CHEAP, *_COSTLY, *_RANDOM, Normalize)
    return all(type(step) in known for step in steps)


def rows(array: Array, chosen: NDArray[np.intp]) -> Array:
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


def locked(array: Array) -> bool:
    """Whether nobody can change the array without unlocking it first."""
    part: Any = array
    while isinstance(part, np.ndarray):
        if part.flags.writeable:
            return False
        part = part.base
    return part is None or isinstance(part, bytes)


class _Store(NamedTuple):
    """What `steps` made of each of `images`, where it is `known`, as Tensors or arrays."""

    steps: list[Step]
    images: Array
    results: Array
    known: NDArray[np.bool_]
    tensors: bool

    def fits(self, steps: list[Step], images: Array) -> bool:
        """Whether these are the very steps and images that the results are of."""
        same = len(steps) == len(self.steps) and all(map(is_, steps, self.steps))
        return same and images is self.images

    def add(self, chosen: NDArray[np.intp]) -> None:
        """Find out the results at `chosen` that are not known."""
        new = chosen[~self.known[chosen]]
        made = transform_batch(Compose(self.steps), rows(self.images, new))
        self.results[new] = made.numpy() if self.tensors else made
        self.known[new] = True


class Kept:
    """What costly steps made of images (N, C, H, W), each when it is first asked for.

    Only of locked uint8 images, and of steps whose arguments cannot change either, so
    that no result is ever stale: other images, other steps, or unlocking the images
    make it begin again. (Who unlocks, changes and locks an array between two batches
    has to give the data set a new one.) Copies of a data set begin with nothing.
    """

    def __init__(self) -> None:
        self._store: _Store | None = None

    def __reduce__(self) -> tuple[type[Kept], tuple[()]]:
        return Kept, ()

    def all_known(self, steps: list[Step], images: Array) -> bool:
        """Whether all results are there."""
        store = self._store
        return (
            store is not None and store.fits(steps, images) and bool(store.known.all())
        )

    def results(
        self, steps: list[Step], images: Array, chosen: NDArray[np.intp]
    ) -> Any:
        """The steps' result on images[chosen], as `transform_batch` gives it."""
        store = self._store
        if not locked(images):
            store = None
        elif store is None or not store.fits(steps, images):
            store = _new_store(steps, images)
        self._store = store
        if store is None:
            return transform_batch(Compose(steps), rows(images, chosen))
        if not store.known.take(chosen).all():
            store.add(chosen)
        found = store.results.take(chosen, 0)
        return Tensor(found) if store.tensors else found


def _new_store(steps: list[Step], images: Array) -> _Store | None:
    """A store without results; None where nothing can be kept."""
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        return None
    try:
        hash(tuple(steps))
    except TypeError:
        return None  # a list among the arguments
    first = transform_batch(Compose(steps), images[:1])
    if len(images) * first.nbytes > LIMIT:
        return None
    # Memory that comes page by page as it is written to; NumPy's large arrays come in
    # pages so large that the first few images would bring in, and zero, all of it.
    memory = mmap.mmap(-1, len(images) * first.nbytes, access=mmap.ACCESS_COPY)
    results = np.ndarray((len(images), *first.shape[1:]), first.dtype, memory)
    known = np.zeros(len(images), np.bool_)
    return _Store(steps, images, results, known, isinstance(first, Tensor))
