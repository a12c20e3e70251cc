"""Calling a module with other parameters and buffers than its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.engine import Tensor
from ...errors import ArgumentError, AutogradError
from ..module import Module

Named = Mapping[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Named | Sequence[Named],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """module(*args, **kwargs) with these Tensors in the place of those of their names.

    Names are dotted paths, as in `named_parameters`; gradients reach the given Tensors.
    args: a tuple, or the single argument. tie_weights: what stands in for one of several
    names of a shared parameter does so for all. strict: the names must be the module's,
    no fewer, no more. As `torch.func.functional_call`.
    """
    given = _merge(parameter_and_buffer_dicts)
    own: dict[str, Any] = dict(module.named_parameters(remove_duplicate=False))
    own |= dict(module.named_buffers(remove_duplicate=False))
    if tie_weights:
        given = _tie_names(given, own)
    if strict and given.keys() != own.keys():
        raise AutogradError(
            f"Error(s) in reparametrizing for {type(module).__name__}:\n\t"
            f"Unexpected key(s): {sorted(given.keys() - own.keys())}.\n\t"
            f"Missing key(s): {sorted(own.keys() - given.keys())}."
        )
    arguments = args if isinstance(args, tuple) else () if args is None else (args,)
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for path in own.keys() & given.keys():
            owner_path, _, name = path.rpartition(".")
            owner: Any = module.get_submodule(owner_path)
            store = owner._parameters if name in owner._parameters else owner._buffers
            before.append((store, name, store[name]))
            store[name] = given[path]
        return module(*arguments, **(kwargs or {}))
    finally:
        for store, name, value in reversed(before):
            store[name] = value


def _merge(dicts: Named | Sequence[Named]) -> dict[str, Tensor]:
    merged: dict[str, Tensor] = {}
    for given in [dicts] if isinstance(dicts, Mapping) else dicts:
        if repeated := sorted(merged.keys() & given.keys()):
            raise ArgumentError(
                f"{repeated} appeared in multiple dictionaries; behavior of functional "
                "call is ambiguous"
            )
        merged.update(given)
    return merged


def _tie_names(given: dict[str, Tensor], own: dict[str, Any]) -> dict[str, Tensor]:
    """What is given, under all the names that its owner has."""
    spread = dict(given)
    for name, value in own.items():
        names = sorted(other for other in given if own.get(other) is value)
        if len({given[other] for other in names}) > 1:
            raise ArgumentError(
                f"functional_call got multiple values for keys {names}, which are tied. "
                "Consider using tie_weights=False"
            )
        if names:
            spread[name] = given[names[0]]
    return spread
