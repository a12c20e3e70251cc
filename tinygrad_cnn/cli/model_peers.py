"""A user's model file as a case of `bench`: under this package, and under PyTorch."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..benchmark.cases import Case
from ..benchmark.layers import Array
from ..benchmark.peers import Peer
from ..benchmark.peers.base import Build, Program, Unsupported
from ..benchmark.peers.torch_style import Style, Training, import_torch
from ..training.model_file import build, load_class, run_file, split_spec
from ..training.recipe import DEFAULTS, facts, open_data
from .batch import Batch, opened

MODEL_PEERS = {
    "tinygrad_cnn": Peer("tinygrad_cnn", "tinygrad_cnn", f"{__name__}:ours"),
    "torch": Peer("torch", "PyTorch", f"{__name__}:in_torch", "torch"),
}
OWN = "tinygrad_cnn"


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


def ours() -> Build:
    """A user's model under this package."""
    import tinygrad_cnn.optim

    def program(case: Case) -> Program:
        of = batch_of(case)
        return ModelTraining(tinygrad_cnn, case, of.model, of)

    return program


def in_torch() -> Build:
    """A user's model under PyTorch, which stands in this package's place."""
    torch = import_torch()

    def program(case: Case) -> Program:
        of = batch_of(case)
        return ModelTraining(torch, case, model_in(torch, case, of), of)

    return program


def batch_of(case: Case) -> Batch:
    """The model with its initial weights, and its images; each time the same."""
    options = case.options
    settings = with_tuples(options["settings"])
    return opened(options["spec"], settings, case.batch, options["data"])


def with_tuples(value: Any) -> Any:
    """JSON values with tuples where they have lists."""
    if isinstance(value, dict):
        return {key: with_tuples(each) for key, each in value.items()}
    return tuple(map(with_tuples, value)) if isinstance(value, list) else value


def model_in(torch: Any, case: Case, of: Batch) -> Any:
    """The model of the same file in PyTorch, with the weights that it has here."""
    kind = type(of.model)
    known = facts(open_data(of.data, False, kind, "float32", 2))
    _, settings = build(kind, with_tuples(case.options["settings"]), known)
    path, _ = split_spec(case.options["spec"])
    try:
        with standing_in(torch):
            module = run_file(path, "torch_model")
        model = getattr(module, kind.__name__)(**settings)
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
    importlib.import_module(f"{OWN}.data.transforms")
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

    def __init__(self, torch: Any, case: Case, model: Any, of: Batch) -> None:
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
