"""A model, and a batch of images to run it on."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..core.generator import manual_seed
from ..errors import ArgumentError
from ..nn import Module
from ..nn.loss import default_loss
from ..training.model_file import build, load_class
from ..training.recipe import DEFAULTS, facts, open_data
from .saved import restore


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
    choose_data: Callable[[], str] = lambda: "digits",
) -> Batch:
    """The model that a command line names, in training mode, and images for it.

    args: `model`, `set` (its keyword arguments), `data` (by default what the checkpoint or
    the model's `defaults` say, else what `choose_data` gives), and of those commands that
    have them `checkpoint` and `seed`. size: how many images, by default as many as in a
    batch of `train`. train: training images, not test images. start: the first of them;
    ArgumentError if there are not `size` from there on.
    """
    given = {"checkpoint": None, "seed": 0} | vars(args)
    manual_seed(given["seed"])
    if given["checkpoint"]:
        model, saved = restore(args.model, given["checkpoint"], dict(args.set))
        kind, options, settings = type(model), saved.options, saved.settings
    else:
        kind = load_class(args.model)
        options = DEFAULTS | dict(getattr(kind, "defaults", {}))
    name, dtype = args.data or options["data"] or choose_data(), options["dtype"]
    images = open_data(name, train, kind, dtype, None)
    if not given["checkpoint"]:
        model, settings = build(kind, dict(args.set), facts(images))
        model.to(np.dtype(dtype))
    end = (start or 0) + (size or options["batch_size"])
    if start is not None and end > len(images):
        raise ArgumentError(f"{name} has test images 0 to {len(images) - 1}")
    chosen = range(start or 0, min(end, len(images)))
    return Batch(model.train(), settings, name, *images.get_batch(chosen))
