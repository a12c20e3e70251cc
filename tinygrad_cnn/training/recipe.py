"""What a training run is made of: data as the model wants it, optimizer and schedule.

A run is described by options, which are plain values (`DEFAULTS` lists them); a model
class may have others as its `defaults`, and further says what becomes of its images:
`transform`, always, and `augmentation` before it, in training only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .. import optim
from ..data import ImageDataset, load
from ..data.transforms import Compose, ToTensor, Transform
from ..errors import ArgumentError, ModelFileError
from ..nn import Module
from ..optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR
from .model_file import Maker

Function = Callable[[Any], Any]

DEFAULTS: dict[str, Any] = {
    "data": None,
    "limit": None,
    "epochs": 5,
    "batch_size": 64,
    "optimizer": "adam",
    "lr": None,
    "momentum": None,
    "weight_decay": None,
    "scheduler": "none",
    "stop_at": None,
    "patience": None,
    "seed": 0,
    "dtype": "float32",
    "planned": None,
}
"""The options, as they are unless the model's `defaults` or the user say otherwise."""

OF_OPTIMIZER = {"lr", "momentum", "weight_decay"}

TEST_BATCH = 250
"""How many images are evaluated at once."""


def says(maker: Maker, name: str, otherwise: Any) -> Any:
    """What a model class says of its training; a method of that name is another thing."""
    value = getattr(maker, name, otherwise)
    return otherwise if inspect.isroutine(value) else value


def options_for(maker: Maker, given: dict[str, Any]) -> dict[str, Any]:
    """Those given, then the `defaults` of the model class, then `DEFAULTS`.

    What the model says for its own optimizer is not taken for another. Raises
    ModelFileError if its `defaults` have what is no option.
    """
    usual = dict(says(maker, "defaults", {}))
    unknown = usual.keys() - DEFAULTS.keys()
    if unknown:
        raise ModelFileError(
            f"{maker.__name__}.defaults has {', '.join(sorted(unknown))}, which "
            f"`train` does not know; it knows {', '.join(DEFAULTS)}"
        )
    options = DEFAULTS | usual | given
    if options["optimizer"] != (DEFAULTS | usual)["optimizer"]:
        usual = {k: v for k, v in usual.items() if k not in OF_OPTIMIZER}
    return DEFAULTS | usual | given


def open_data(
    name: str, train: bool, maker: Maker, dtype: str, limit: int | None
) -> ImageDataset:
    """The data set, or its first `limit` images, as the model class wants to see it."""
    data = load(name, train)
    data.images, data.labels = data.images[:limit], data.labels[:limit]
    data.transform = transform_of(maker, dtype)
    return data


def transform_of(maker: Maker, dtype: str) -> Function:
    """From raw uint8 images to what the model takes: its `transform`, by default 0..1."""
    transform: Function = says(maker, "transform", ToTensor())
    return transform if dtype == "float32" else Compose([transform, _AsType(dtype)])


def augmented(maker: Maker, transform: Any) -> Function:
    """The transform of images to train on: the model's `augmentation` comes first."""
    first = says(maker, "augmentation", None)
    return transform if first is None else Compose([first, transform])


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


def make_optimizer(model: Module, options: dict[str, Any]) -> optim.Optimizer:
    """The optimizer of the options; ArgumentError for an option that it does not have."""
    kinds = {name.lower(): getattr(optim, name) for name in optim.__all__}
    kind = kinds[options["optimizer"]]
    given = {k: options[k] for k in sorted(OF_OPTIMIZER) if options[k] is not None}
    for name in given:
        if name not in inspect.signature(kind).parameters:
            raise ArgumentError(
                f"{options['optimizer']} has no {name.replace('_', ' ')}"
            )
    optimizer: optim.Optimizer = kind(model.parameters(), **given)
    return optimizer


def make_scheduler(
    optimizer: optim.Optimizer, options: dict[str, Any], batches: int
) -> LRScheduler | None:
    """The schedule of the options for epochs of so many batches; None: a constant rate."""
    epochs = options["epochs"]
    if options["scheduler"] == "cosine":
        return CosineAnnealingLR(optimizer, epochs)
    if options["scheduler"] == "onecycle":
        # The momentum stays as it was asked for; the rate rises in the first tenth, since
        # the epochs are few.
        rate, steps = optimizer.defaults["lr"], epochs * batches
        return OneCycleLR(optimizer, rate, steps, pct_start=0.1, cycle_momentum=False)
    return None
