"""PyTorch's own samples of its modules, run there and here: see `samples`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from pytorch import torch

from tinygrad_cnn import Tensor, nn

from .samples import (
    Found,
    NotHere,
    difference,
    judge_refusal,
    refused,
    run_quietly,
    tensors_in,
    translate,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal import common_modules

DTYPES = torch.float64, torch.float32


def modules() -> list[Any]:
    """The entries of PyTorch's list of modules that exist here.

    But for TransformerEncoder, whose samples are built of a layer of PyTorch's.
    """
    here = {*nn.__all__} - {"TransformerEncoder"}
    return [e for e in common_modules.module_db if name_of(e) in here]


def name_of(entry: Any) -> str:
    """The name of a module's class."""
    return entry.module_cls.__name__


def samples_of(entry: Any, dtype: Any, training: bool) -> Iterator[Any]:
    """What a module is built with, and called with."""
    if dtype not in entry.dtypes:
        return
    torch.manual_seed(0)
    yield from entry.module_inputs_func(
        entry, device="cpu", dtype=dtype, requires_grad=True, training=training
    )


def compare(entry: Any, dtype: Any, training: bool, sample: Any) -> Found:
    """Build a module in both, give both the same state, and call both."""
    built, called = sample.constructor_input, sample.forward_input
    if called is None:
        return Found("unknown", "no input")
    known: dict[int, Tensor] = {}
    try:
        given, call = [
            ([translate(a, known) for a in part.args], translate(part.kwargs, known))
            for part in (built, called)
        ]
    except NotHere as reason:
        return Found("unknown", str(reason))
    theirs, error = run_quietly(entry.module_cls, built.args, built.kwargs)
    if error is not None:
        return Found("unknown", f"PyTorch refuses to build it: {error}")
    theirs.to(dtype).train(training)
    kind = getattr(nn, name_of(entry))
    ours, refusal = run_quietly(kind, *given)
    if refusal is not None:
        return refused(refusal)
    ours.to(np.dtype(str(dtype).removeprefix("torch."))).train(training)
    if repr(ours) != repr(theirs):
        return Found("differs", f"repr {ours!r}, PyTorch {theirs!r}")
    lazy = name_of(entry).startswith("Lazy")
    why = "" if lazy else give_state(theirs, ours)
    if why:
        return Found("differs", why)
    if lazy:  # what they make of an input is compared, not what they draw
        with torch.no_grad():
            theirs(*called.args, **called.kwargs)
        run_quietly(ours, *call)
        if why := give_state(theirs, ours):
            return Found("differs", why)
    expected, error = run_quietly(theirs, called.args, called.kwargs)
    found, refusal = run_quietly(ours, *call)
    if refusal is not None:
        return Found("equal") if error else refused(refusal)
    if error is not None:
        return Found("differs", f"PyTorch refuses: {type(error).__name__}: {error}")
    inputs = tensors_in([called.args, called.kwargs], torch.Tensor)
    pairs = [(t, known[id(t)]) for t in inputs]
    pairs += zip(theirs.parameters(), ours.parameters(), strict=True)
    why = difference(expected, found, pairs)
    return Found("differs", why) if why else Found("equal")


def errors_of(entry: Any) -> Iterator[Any]:
    """What PyTorch says that the module refuses, when built or when called."""
    if entry.module_error_inputs_func is not None:
        yield from entry.module_error_inputs_func(
            entry, device="cpu", dtype=torch.float64, requires_grad=False, training=True
        )


def compare_error(entry: Any, sample: Any) -> Found:
    """Whether what PyTorch refuses is refused here, by an error of this package."""
    built = sample.module_error_input.constructor_input
    called = sample.module_error_input.forward_input

    def run(kind: Any, convert: Any) -> Any:
        module = kind(*convert(list(built.args)), **convert(built.kwargs))
        if called is None:  # building alone is what is refused
            return module
        return module(*convert(list(called.args)), **convert(called.kwargs))

    try:
        _, error = run_quietly(run, [entry.module_cls, lambda part: part], {})
        ours = [getattr(nn, name_of(entry)), lambda part: translate(part, {})]
        found, refusal = run_quietly(run, ours, {})
    except NotHere as reason:
        return Found("unknown", str(reason))
    return judge_refusal(error, found, refusal)


def give_state(theirs: Any, ours: Any) -> str:
    """Load the state of theirs into ours; in what their names or shapes differ."""
    state = theirs.state_dict()
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    own = {k: tuple(v.shape) for k, v in ours.state_dict().items()}
    if list(shapes.items()) != list(own.items()):
        return f"state {own}, PyTorch {shapes}"
    ours.load_state_dict({k: Tensor._wrap(v.numpy().copy()) for k, v in state.items()})
    return ""
