"""From a function, a Module or a computed Tensor to the subject of a check."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..core.replaying import as_dtype, leaves_of, nodes_of, replay
from ..errors import ArgumentError, DTypeError
from ..nn import Module
from ..nn.lazy import require_shapes
from ..nn.loss import loss_of
from ..ops.base import Op
from .handwritten.foreign import is_float, parameters_of
from .subject import Subject, TensorSubject, leaf_of, modules_behind

Build = Callable[[Any], Subject]
"""Makes the subject in a dtype; None: as the user has it."""


def build_subject(build: Build, dtype: Any) -> Subject:
    """The subject in this dtype, if it runs and has something to check."""
    try:
        subject = build(dtype)
        if isinstance(subject, TensorSubject):
            subject.outputs()
    except (ValueError, TypeError) as error:
        error.add_note(
            f"while computing on {dtype} copies: what is not among the inputs (a Tensor "
            "that the function closes over) keeps its dtype; pass it as an input"
        )
        raise
    if not subject.arrays:
        raise ArgumentError(
            f"{subject.name} has nothing to check: no floating input and no parameter"
        )
    return subject


def builder(target: Any, inputs: Any, loss: Any, labels: Any, scope: Any) -> Build:
    """What makes the subject for `verify`'s arguments; scope: the caller's variables."""
    if isinstance(target, Tensor):
        if labels is not None:
            raise ArgumentError(
                "labels are for a model or a function; this is a result already"
            )
        return lambda dtype: _of_result(target, inputs, scope, dtype)
    if callable(target):
        return lambda dtype: _of_call(target, inputs, loss, labels, dtype)
    raise DTypeError(
        f"verify takes a function, a Module or a Tensor, not {type(target).__name__}"
    )


def _of_call(
    target: Any, inputs: Any, loss: Any, labels: Any, dtype: Any
) -> TensorSubject:
    """A function, or a copy of a module with its parameters."""
    name = getattr(target, "__name__", None) or str(target)
    parameters: dict[str, Tensor] = {}
    if isinstance(target, Module):
        require_shapes(target)
        name, target = type(target).__name__, _copied(target, dtype)
        parameters = {k: p for k, p in target.named_parameters() if p.requires_grad}
        for p in parameters.values():
            p._array = np.array(p._array, order="C")
    if isinstance(loss, Module):
        loss = _copied(loss, dtype)
    if labels is not None:
        array = labels._array if isinstance(labels, Tensor) else np.asarray(labels)
        labels = Tensor._wrap(
            np.array(array, dtype if array.dtype.kind == "f" else None)
        )
    leaves: dict[str, Tensor] = {}
    arguments: list[Any] = []
    for key, x in named_inputs(target, inputs).items():
        if is_float(x) or (isinstance(x, Tensor) and x.dtype.kind == "f"):
            leaf = leaf_of(x, dtype)
            leaves[f"input {key}" if key in parameters else key] = leaf
            arguments.append(leaf)
        else:
            arguments.append(Tensor(x.copy()) if isinstance(x, np.ndarray) else x)
    return TensorSubject(
        name,
        lambda: loss_of(target, target(*arguments), labels, loss),
        leaves | parameters,
        modules_behind(target),
    )


def _copied(module: Module, dtype: Any) -> Module:
    twin = copy.deepcopy(module)
    return twin if dtype is None else twin.to(dtype)


def _of_result(result: Tensor, names: Any, scope: Any, dtype: Any) -> TensorSubject:
    if result._node is None:
        raise ArgumentError(
            "the Tensor requires no gradient: nothing that it was computed from does"
        )
    nodes, originals = nodes_of([result]), leaves_of([result])
    if names is not None and not isinstance(names, Mapping):
        raise ArgumentError(
            "for a computed Tensor, inputs is a dict of names to leaves"
        )
    known = {id(t): name for name, t in (names or _names_in(scope)).items()}
    leaves, standing = {}, {}
    for i, leaf in enumerate(originals):
        key = known.get(id(leaf), f"leaf {i}")
        standing[leaf] = leaves[key] = leaf_of(leaf, dtype)
    convert = as_dtype(dtype) if dtype is not None else (lambda x: x)

    def again() -> Any:
        *_, last = replay(nodes, standing, convert)
        return last[3]

    name = result._record.name() if result._record else "leaf"
    if names is not None:
        leaves = {key: leaf for key, leaf in leaves.items() if key in names}
    return TensorSubject(f"the result of {name}", again, leaves)


def _names_in(scope: Mapping[str, Any]) -> dict[str, Tensor]:
    """What the caller calls its Tensors, and the parameters of its modules."""
    found = {name: t for name, t in scope.items() if isinstance(t, Tensor)}
    for name, module in scope.items():
        if isinstance(module, Module):
            found |= {f"{name}.{key}": p for key, p in module.named_parameters()}
    return found


def named_inputs(function: Any, inputs: Any) -> dict[str, Any]:
    """The inputs by name: given so, or called as the function's parameters are."""
    if isinstance(inputs, Mapping):
        return dict(inputs)
    values = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
    values = [] if inputs is None else values
    call = function.forward if isinstance(function, Op | Module) else function
    parameters = parameters_of(call) or []
    names = [p.name for p in parameters if p.kind < p.VAR_POSITIONAL]
    if len(values) > len(names):
        if parameters and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
            name = getattr(function, "__name__", type(function).__name__)
            raise ArgumentError(
                f"{len(values)} inputs, but {name} takes {', '.join(names) or 'none'}"
            )
        names += [f"input {i}" for i in range(len(names), len(values))]
    return dict(zip(names, values, strict=False))
