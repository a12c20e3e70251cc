"""What `train` writes into a checkpoint beside the state, and the model rebuilt from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import load
from ..errors import CheckpointError
from ..nn import Module
from ..training.model_file import build, load_class


@dataclass(frozen=True)
class Saved:
    """How a model was built and trained.

    settings: its keyword arguments. options: those of `train`. image_shape: (C, H, W) of
    its data before the transform. classes: their names.
    """

    settings: dict[str, Any]
    options: dict[str, Any]
    image_shape: tuple[int, ...]
    classes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As the checkpoint has it."""
        return {"tinygrad-cnn train": asdict(self)}


def read(path: Path) -> tuple[Saved, dict[str, Any]]:
    """What a checkpoint of `train` says, and all that is in it; else CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; `train` writes one")
    state = load(path)
    try:
        return Saved(**state["metadata"]["tinygrad-cnn train"]), state
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} was not written by `tinygrad-cnn train`: it does not say how its "
            "model was built"
        ) from error


def restore(spec: str, path: Path, changes: dict[str, Any]) -> tuple[Module, Saved]:
    """The trained model, of the class in the model file, with what the checkpoint says.

    changes: keyword arguments of the model that take the place of those recorded.
    """
    saved, state = read(path)
    model, _ = build(load_class(spec), saved.settings | changes, {})
    model.to(np.dtype(saved.options["dtype"]))
    model.load_state_dict(state["model"])
    return model.eval(), saved
