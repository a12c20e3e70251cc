"""A model on the command line: as it is built, or as `train` saved it; with images."""

from __future__ import annotations

import argparse
import inspect
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import load, weights_in
from ..core.engine import Tensor
from ..core.generator import manual_seed
from ..data import load as load_data
from ..errors import ArgumentError, CheckpointError, DatasetError, ModelFileError
from ..nn import Module
from ..nn.loss import default_loss
from ..training.model_file import Maker, build, load_class, split_spec
from ..training.recipe import DEFAULTS, facts, open_data, says
from .options import note

KEY = "tinygrad-cnn train"
"""Under which the metadata of a checkpoint have what `train` says of the model."""


@dataclass(frozen=True)
class Saved:
    """How a model was built and trained, as the checkpoint has it.

    settings: its keyword arguments. options: those of `train`. image_shape: (C, H, W) of
    its data before the transform. classes: their names. origin: as `origin_of`.
    """

    settings: dict[str, Any]
    options: dict[str, Any]
    image_shape: tuple[int, ...]
    classes: tuple[str, ...]
    origin: str = ""


def origin_of(spec: str, maker: Maker, checkpoint: Path) -> str:
    """The file, from the folder of the checkpoint (both may move), and ":name"."""
    file = split_spec(spec)[0].resolve()
    with suppress(ValueError):  # two drives of Windows
        file = Path(os.path.relpath(file, checkpoint.resolve().parent))
    return f"{file.as_posix()}:{maker.__name__}"


def read(path: Path) -> tuple[Saved | None, Mapping[str, Any]]:
    """What a checkpoint of `train` says (None: it is somebody else's), and its weights.

    Raises CheckpointError for a file without weights.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; `train` writes one")
    state = load(path)
    try:
        return Saved(**state["metadata"][KEY]), state["model"]
    except (KeyError, TypeError, IndexError):
        pass
    try:
        return None, weights_in(state)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} was not written by `tinygrad-cnn train`, and has no weights: {error}"
        ) from error


def read_saved(path: Path) -> Saved:
    """What a checkpoint of `train` says; CheckpointError if it is somebody else's."""
    saved, _ = read(path)
    if saved is None:
        raise CheckpointError(
            f"{path} was not written by `tinygrad-cnn train`: it does not say how its "
            "model was built"
        )
    return saved


def assumed(maker: Maker, changes: dict[str, Any]) -> Saved:
    """What is taken for granted of weights that came from elsewhere.

    That is, that the model was built with the defaults of its class and those `changes`,
    for the data that `train` would take.
    """
    options = DEFAULTS | dict(says(maker, "defaults", {}))
    options["data"] = options["data"] or default_data(maker, changes)
    data = load_data(options["data"], train=False)
    known = facts(open_data(options["data"], False, maker, options["dtype"], None))
    return Saved(
        build(maker, changes, known)[1],
        options,
        tuple(data.images.shape[1:]),
        tuple(data.classes),
    )


def restore(spec: str, path: Path, changes: dict[str, Any]) -> tuple[Module, Saved]:
    """The trained model, of the class in the model file, with what the checkpoint says.

    Weights that came from elsewhere (.pth, .safetensors, .npz) say nothing but themselves:
    see `assumed`. changes: keyword arguments of the model that take the place of those
    recorded.
    """
    found, weights = read(path)
    maker = load_class(spec)
    saved = found or assumed(maker, changes)
    try:
        model, _ = build(maker, saved.settings | changes, {})
        model.to(np.dtype(saved.options["dtype"]))
        model.load_state_dict(weights)
    except (CheckpointError, ModelFileError) as error:
        trained = saved.origin.rpartition(":")[2]
        if trained in ("", maker.__name__):
            raise
        text = f"{path} is a checkpoint of {trained}, not of {maker.__name__}"
        raise CheckpointError(f"{text}: {error}") from error
    return model.eval(), saved


@dataclass(frozen=True)
class Batch:
    """A model, as training would begin or as it was trained, and images for it.

    settings: the keyword arguments that the model was built with.
    """

    model: Module
    settings: dict[str, Any]
    data: str
    images: Tensor
    labels: Tensor

    @property
    def name(self) -> str:
        """The class of the model."""
        return type(self.model).__name__

    @property
    def loss(self) -> Callable[..., Tensor]:
        """The model's `loss`, or cross-entropy."""
        return default_loss(self.model)

    @property
    def step(self) -> dict[str, Any]:
        """What makes a training step of running the model: labels and loss, by name."""
        return {"labels": self.labels, "loss": self.loss}


def opened(
    args: argparse.Namespace,
    size: int | None = None,
    *,
    train: bool = False,
    start: int | None = None,
    mnist: bool = False,
) -> Batch:
    """The model that a command line names, in training mode, and images for it.

    args: `model`, `set` (its keyword arguments), `data` (by default what the checkpoint or
    the model's `defaults` say, else digits, or with mnist that, if it is there), and of the
    commands that have them `checkpoint` and `seed`. size: how many images, by default as
    many as in a batch of `train`. train: training images, not test images. start: the first
    of them; ArgumentError if there are not `size` from there on.
    """
    given = {"checkpoint": None, "seed": 0} | vars(args)
    if given["checkpoint"]:
        model, saved = restore(args.model, given["checkpoint"], dict(args.set))
        options, settings = saved.options, saved.settings
        kind: Maker = type(model)
    else:
        kind = load_class(args.model)
        options = DEFAULTS | dict(says(kind, "defaults", {}))
    chosen = args.data or options["data"]
    name = chosen or default_data(kind, dict(args.set), real=mnist)
    manual_seed(given["seed"])
    dtype = options["dtype"]
    images = open_data(name, train, kind, dtype, None)
    if not given["checkpoint"]:
        model, settings = build(kind, dict(args.set), facts(images))
        model.to(np.dtype(dtype))
    end = (start or 0) + (size or options["batch_size"])
    if start is not None and end > len(images):
        raise ArgumentError(f"{name} has test images 0 to {len(images) - 1}")
    indices = range(start or 0, min(end, len(images)))
    return Batch(model.train(), settings, name, *images.get_batch(indices))


def default_data(maker: Maker, settings: dict[str, Any], *, real: bool = True) -> str:
    """The data set for a model that does not say: mnist, or cifar10 for one in colour.

    Where that is not to be had, or not `real`, it is the digits that need no files.
    """
    colour = _takes_colour(maker, settings)
    drawn, name = ("colour-digits", "cifar10") if colour else ("digits", "mnist")
    if not real:
        return drawn
    try:
        load_data(name, train=False)
    except DatasetError as error:
        note(f"using the built-in {drawn}, since {error}")
        return drawn
    return name


def _takes_colour(maker: Maker, settings: dict[str, Any]) -> bool:
    """Whether the first convolution of such a model takes three channels."""
    if "in_channels" in inspect.signature(maker).parameters | settings.keys():
        return False
    model, _ = build(maker, settings, {"num_classes": 10, "image_size": 32})
    layers = [m for m in model.modules() if getattr(m, "in_channels", None)]
    return bool(layers) and layers[0].in_channels == 3
