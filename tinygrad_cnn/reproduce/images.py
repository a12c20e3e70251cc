"""The images that networks are trained and measured on."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import Any

from ..data import ImageDataset, load
from ..data.transforms import Compose
from ..training.model_file import Maker
from ..training.recipe import augmented, transform_of

HELD_OUT = 10_000
"""The last training images of CIFAR-10, data_batch_5: a second test set."""

FEW = 512
"""So many images of each kind are in a quick run."""


@dataclass(frozen=True)
class Images:
    """training, test: as the documents have them. held_out: a second test set, or None."""

    training: ImageDataset
    test: ImageDataset
    held_out: ImageDataset | None


def images_for(
    name: str, maker: Maker, quick: bool, augmentation: Any = None
) -> Images:
    """mnist or cifar10 as the model class wants to see it; DatasetError if it is not there.

    augmentation: of the training images, instead of the model's own.

    Of CIFAR-10, where the official test images may be few, the last 10,000 training images
    are held out.
    """
    transform = transform_of(maker, "float32")
    in_training = augmented(maker, transform)
    if augmentation is not None:
        in_training = Compose([augmentation, transform])
    whole, test = load(name, True), load(name, False)
    count, held_out = len(whole), None
    if name == "cifar10":
        count -= HELD_OUT
        held_out = _part(whole, slice(count, None), transform, quick)
    training = _part(whole, slice(count), in_training, quick)
    return Images(training, _part(test, slice(None), transform, quick), held_out)


def _part(
    data: ImageDataset, which: slice, transform: Any, quick: bool
) -> ImageDataset:
    part = copy.copy(data)
    few = slice(FEW if quick else None)
    part.images, part.labels = data.images[which][few], data.labels[which][few]
    part.transform = transform
    return part


def checksums() -> dict[str, str]:
    """SHA-256 of the pixels and labels of each data set, first training, then test images.

    Raises DatasetError if one is not there.
    """
    found = {}
    for name in ("mnist", "cifar10"):
        digest = hashlib.sha256()
        for train in (True, False):
            data = load(name, train)
            digest.update(data.images.tobytes())
            digest.update(data.labels.tobytes())
        found[name] = digest.hexdigest()
    return found
