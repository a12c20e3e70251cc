"""A user's model file as a case of `bench`: under this package, and under PyTorch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

import tinygrad_cnn.optim

from ..benchmark.cases import Case
from ..benchmark.layers import Array
from ..benchmark.peers import Peer
from ..benchmark.peers.base import Build, Unsupported
from ..benchmark.peers.torch_style import Style, Training, import_torch
from ..training.model_file import load_class, run_file, split_spec
from ..training.recipe import DEFAULTS, says
from .main import parse
from .models import Batch, opened

MODEL_PEERS = {
    "tinygrad_cnn": Peer("tinygrad_cnn", "tinygrad_cnn", f"{__name__}:ours"),
    "torch": Peer("torch", "PyTorch", f"{__name__}:in_torch", "torch"),
}
OWN = "tinygrad_cnn"


def case_of_file(args: argparse.Namespace) -> Case:
    """A training step of --model on images of the data.

    The process of a peer reads the same command line. Raises ModelFileError for a file
    that cannot be used here.
    """
    kind = load_class(args.model)
    usual = DEFAULTS | dict(says(kind, "defaults", {}))
    size = args.batch_size or usual["batch_size"]
    what = f"{kind.__name__} on {args.data or 'digits'}, batch {size}"
    path, _ = split_spec(args.model)
    return Case(path.stem, "model", what, size, options={"words": list(args.words)})


def ours() -> Build:
    """A user's model under this package."""
    return partial(ModelTraining, tinygrad_cnn)


def in_torch() -> Build:
    """A user's model under PyTorch, which stands in this package's place."""
    return partial(ModelTraining, import_torch())


def model_in(torch: Any, spec: str, of: Batch) -> Any:
    """The model of the same file in PyTorch, with the weights that it has here."""
    path, name = split_spec(spec)
    try:
        with standing_in(torch):
            module = run_file(path, "torch_model")
        model = getattr(module, name or of.name)(**of.settings)
        state = {k: torch.tensor(v.numpy()) for k, v in of.model.state_dict().items()}
        model.load_state_dict(state)
    except Exception as error:  # whatever the user's code does there
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise Unsupported(f"the file does not run under PyTorch: {text}") from error
    return model


@contextmanager
def standing_in(torch: Any) -> Iterator[None]:
    """In the block, importing this package or a part of it gives PyTorch's.

    Except for `data`, whose transforms have no like in PyTorch itself.
    """
    kept = {n: m for n, m in sys.modules.items() if n.split(".")[0] == OWN}
    ours = {n: m for n, m in kept.items() if n.split(".")[1:2] == ["data"]}
    theirs = {
        OWN + name.removeprefix("torch"): module
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "torch"
    }
    sys.modules.update(theirs | ours)
    try:
        yield
    finally:
        for name in theirs:
            sys.modules.pop(name, None)
        sys.modules.update(kept)


class ModelTraining(Training):
    """A model in training mode, with SGD and momentum; the same code under both packages.

    Layers with a probability p (dropout) are off until the numbers are checked, since each
    package draws random numbers of its own.
    """

    def __init__(self, torch: Any, case: Case) -> None:
        args = parse(case.options["words"])
        args.data = args.data or "digits"
        of = opened(args, case.batch)
        model: Any = of.model
        if torch is not tinygrad_cnn:
            model = model_in(torch, args.model, of)
        loss_of = getattr(model, "loss", torch.nn.functional.cross_entropy)
        data = torch.tensor(of.images.numpy()), torch.tensor(of.labels.numpy())
        super().__init__(Style(torch), case, model.train(), loss_of, data)
        self.starts = self._weights()
        found = [(layer, getattr(layer, "p", None)) for layer in model.modules()]
        self.random = [(m, p) for m, p in found if isinstance(p, float) and 0 < p < 1]
        for layer, _ in self.random:
            layer.p = 0.0

    def checked(self) -> None:
        """From now on only the time matters."""
        for layer, p in self.random:
            layer.p = p

    def arrays(self) -> list[Array]:
        """What the steps have added to the weights."""
        return [w - s for w, s in zip(self._weights(), self.starts, strict=True)]

    def _weights(self) -> list[Array]:
        return [np.array(weight) for weight in super().arrays()]
