"""PyTorch's modules, functions and autograd Functions, as the subjects of a check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ...errors import ArgumentError
from .base import arguments_of, mapped
from .torch_parts import parts_of
from .torch_runs import (
    Surroundings,
    copied,
    fresh,
    in_dtype,
    is_differentiable,
    is_function,
    signature_of,
)
from .torch_subject import TorchSubject

Module = torch.nn.Module


def builder(
    target: Any, inputs: Any, loss: Any, labels: Any
) -> Callable[[Any], TorchSubject]:
    """What makes the subject of `verify`'s arguments in a dtype of NumPy's."""

    def build(dtype: Any) -> TorchSubject:
        wanted = None if dtype is None else getattr(torch, np.dtype(dtype).name)
        return _subject(_uncompiled(target), inputs, loss, labels, wanted)

    return build


def _uncompiled(target: Any) -> Any:
    """What torch.compile was given."""
    target = getattr(target, "_orig_mod", target)
    return getattr(target, "_torchdynamo_orig_callable", target)


def _subject(
    target: Any, inputs: Any, loss: Any, labels: Any, dtype: Any
) -> TorchSubject:
    owner = getattr(target, "__self__", target)
    twin = copied(owner, dtype) if isinstance(owner, Module) else None
    name = getattr(target, "__name__", type(target).__name__)
    call = signed = target
    if is_function(target):
        call, signed = target.apply, signature_of(target)
    elif owner is target and twin is not None:
        call, signed = twin, target.forward
    elif twin is not None:
        call = getattr(twin, name)
    parameters = dict(twin.named_parameters()) if twin is not None else {}
    leaves: dict[str, Any] = {}
    given, by_name = arguments_of(signed, inputs)
    asked = _asked(given)

    def take(key: str, x: Any) -> Any:
        x = torch.from_numpy(x.copy()) if isinstance(x, np.ndarray) else x
        if not isinstance(x, torch.Tensor):
            return x
        _require_dense(key, x)
        wanted = is_differentiable(x) and (not asked or x.requires_grad)
        x = in_dtype(x, dtype).clone(memory_format=torch.contiguous_format)
        if wanted:
            leaves[f"input {key}" if key in parameters else key] = x.requires_grad_()
        return x

    taken = {key: mapped(take, x, key) for key, x in given.items()}
    if isinstance(loss, Module):
        loss = copied(loss, dtype)
    if labels is not None:
        labels = mapped(lambda _, x: _constant(x, dtype), labels)
        own = getattr(target if twin is None else twin, "loss", None)
        loss = loss or own or torch.nn.functional.cross_entropy

    def function() -> Any:
        arguments = mapped(fresh, taken)
        named = by_name and not is_function(target)
        y = call(**arguments) if named else call(*arguments.values())
        if loss is None:
            return y
        return loss(y) if labels is None else loss(y, mapped(fresh, labels))

    leaves |= {key: p for key, p in parameters.items() if p.requires_grad}
    modules = [m for m in (twin, loss) if isinstance(m, Module)]
    subject = TorchSubject(name, function, leaves, Surroundings(modules, dtype))
    subject.module, subject.divide = twin, None if is_function(target) else parts_of
    subject.hold_dtype()
    subject.choose_outputs()
    subject.choose_threads()
    return subject


def _asked(given: Any) -> bool:
    """Whether some of the inputs say that they require a gradient: then those count."""
    found: list[bool] = []

    def look(_: str, x: Any) -> None:
        if is_differentiable(x):
            found.append(x.requires_grad)

    mapped(look, given)
    return any(found)


def _require_dense(key: str, x: Any) -> None:
    if x.layout is not torch.strided or x.is_quantized or x.is_meta:
        raise ArgumentError(
            f"{key} is a tensor of layout {x.layout} on {x.device}: what is checked is "
            "moved entry by entry; pass a dense tensor with values (x.to_dense())"
        )


def _constant(x: Any, dtype: Any) -> Any:
    x = torch.from_numpy(x.copy()) if isinstance(x, np.ndarray) else x
    return in_dtype(x, dtype) if isinstance(x, torch.Tensor) else x
