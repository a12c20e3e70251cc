"""A user's model under PyTorch: the same file, run with PyTorch in this package's place."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...benchmark.cases import Case
from ...benchmark.peers.base import Program, Unsupported
from ...benchmark.peers.torch_eager import LIBRARY as LIBRARY
from ...benchmark.peers.torch_eager import available as available
from ...modelfile import build as build_model
from ...modelfile import run_file, split_spec
from ...recipe import facts, open_data
from .step import Training, batch_of, tuples

OWN = "tinygrad_cnn"


def build(case: Case) -> Program:
    """The program of the model, with the weights that it has under this package."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    of = batch_of(case)
    kind = type(of.model)
    known = facts(open_data(of.data, False, kind, "float32", 2))
    _, settings = build_model(kind, tuples(case.options["settings"]), known)
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
    images, labels = [torch.tensor(t.numpy()) for t in (of.images, of.labels)]
    return Training(torch, model.train(), images, labels)


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
