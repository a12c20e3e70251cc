"""A user's model file as a case of `bench`: under this package, and under PyTorch."""

from __future__ import annotations

from typing import Any

from ...benchmark.cases import Case
from ...benchmark.peers import Peer
from ...modelfile import load_class, split_spec
from ...recipe import DEFAULTS

MODEL_PEERS = {
    name: Peer(name, f"{__name__}.{module}", label)
    for name, module, label in (
        ("tinygrad_cnn", "ours", "tinygrad_cnn"),
        ("torch", "in_torch", "PyTorch"),
    )
}


def case_of_file(
    spec: str, settings: dict[str, Any], data: str | None, batch: int | None
) -> Case:
    """A training step of the model on images of the data.

    Raises ModelFileError for a file that cannot be used here.
    """
    model_class = load_class(spec)
    usual = DEFAULTS | dict(getattr(model_class, "defaults", {}))
    size, name = batch or usual["batch_size"], data or "digits"
    path, _ = split_spec(spec)
    what = f"{model_class.__name__} on {name}, batch {size}"
    options = {"spec": spec, "settings": settings, "data": name}
    return Case(path.stem, "model", what, size, options=options)
