"""A model, and a batch of images to run it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import Tensor
from ..modelfile import build, load_class
from ..nn import Module
from ..nn.loss import default_loss
from ..random import manual_seed
from ..recipe import DEFAULTS, facts, open_data
from .saved import restore


@dataclass(frozen=True)
class Batch:
    """A model, as training would begin or as it was trained, and test images for it."""

    model: Module
    data: str
    images: Tensor
    labels: Tensor

    @property
    def loss(self) -> Any:
        """The model's `loss`, or cross-entropy."""
        return default_loss(self.model)


def opened(
    spec: str,
    settings: Mapping[str, Any],
    size: int | None = None,
    data: str | None = None,
    checkpoint: Path | None = None,
) -> Batch:
    """The model of a file, in training mode, and images for it.

    settings: keyword arguments of the model. size: how many images, by default as many as
    in a batch of `train`. data: by default what the checkpoint or the model's `defaults`
    say, else the digits, which need no file.
    """
    manual_seed(0)
    if checkpoint:
        model, saved = restore(spec, checkpoint, dict(settings))
        model_class, usual = type(model), saved.options
    else:
        model_class = load_class(spec)
        usual = DEFAULTS | dict(getattr(model_class, "defaults", {}))
    name, dtype = data or usual["data"] or "digits", usual["dtype"]
    images = open_data(name, False, model_class, dtype, size or usual["batch_size"])
    if not checkpoint:
        model, _ = build(model_class, dict(settings), facts(images))
        model.to(np.dtype(dtype))
    return Batch(model.train(), name, *images.get_batch(range(len(images))))
