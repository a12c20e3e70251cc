"""A model, and a batch of images to run it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
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
    """A model, as training would begin or as it was trained, and images for it."""

    model: Module
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
    spec: str,
    settings: Mapping[str, Any],
    size: int | None = None,
    data: str | None = None,
    checkpoint: Path | None = None,
    *,
    train: bool = False,
    start: int | None = None,
    seed: int = 0,
    choose_data: Callable[[], str] = lambda: "digits",
) -> Batch:
    """The model of a file, in training mode, and images for it.

    settings: keyword arguments of the model. size: how many images, by default as many as
    in a batch of `train`. data: by default what the checkpoint or the model's `defaults`
    say, else what `choose_data` gives. train: training images, not test images. start: the
    first of them; ArgumentError if there are not `size` from there on.
    """
    manual_seed(seed)
    if checkpoint:
        model, saved = restore(spec, checkpoint, dict(settings))
        model_class, options = type(model), saved.options
    else:
        model_class = load_class(spec)
        options = DEFAULTS | dict(getattr(model_class, "defaults", {}))
    name, dtype = data or options["data"] or choose_data(), options["dtype"]
    images = open_data(name, train, model_class, dtype, None)
    if not checkpoint:
        model, _ = build(model_class, dict(settings), facts(images))
        model.to(np.dtype(dtype))
    end = (start or 0) + (size or options["batch_size"])
    if start is not None and end > len(images):
        raise ArgumentError(f"{name} has test images 0 to {len(images) - 1}")
    chosen = range(start or 0, min(end, len(images)))
    return Batch(model.train(), name, *images.get_batch(chosen))
