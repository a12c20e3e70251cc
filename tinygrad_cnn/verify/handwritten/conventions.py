"""What people call things in layers of their own: methods, gradients, learning rates.

Case and underscores do not count: dL_dW is dldw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

from ...errors import ArgumentError

WAYS = ("", "prop", "pass", "propagation")
FORWARD = tuple([f"forward{way}" for way in WAYS])
BACKWARD = (*[f"backward{way}" for way in WAYS], "backprop", "backpropagation")
RATES_KEPT = ("lr", "learningrate", "learnrate")
RATES = (*RATES_KEPT, "alpha", "eta")
BEFORE = ("d", "grad", "g", "dld", "ded", "djd", "gradient", "delta")
AFTER = ("grad", "gradient", "gradients")
PARAMS = ("params", "parameters")
GRADS = ("grads", "gradients", "dparams")

Place = tuple[Any, ...]
"""Attributes, keys and positions that lead from an object to something inside it."""


def normal(name: Any) -> str:
    """A name without case and underscores."""
    return str(name).replace("_", "").lower()


def dotted(place: Place) -> str:
    """A place as it is printed: layers.0.W."""
    return ".".join(map(str, place))


def methods_of(layer: Any) -> tuple[str, str]:
    """What a layer, or a class of layers, calls its forward and its backward.

    Raises ArgumentError if it lacks one of them.
    """
    names = {normal(name): name for name in dir(layer)}
    forward, backward = [
        [names[n] for n in usual if n in names and callable(getattr(layer, names[n]))]
        for usual in (FORWARD, BACKWARD)
    ]
    if not forward or not backward:
        raise ArgumentError(
            f"{type(layer).__name__} is no layer; expected an object with methods "
            "forward(x), which returns the output, and backward(g), which returns the "
            "gradient of x"
        )
    return forward[0], backward[0]


def is_layer(value: Any) -> bool:
    """Whether it has both methods."""
    try:
        methods_of(value)
    except ArgumentError:
        return False
    return True


def leaves_in(
    holder: Any, place: Place = (), seen: set[int] | None = None
) -> Iterator[tuple[Place, Any]]:
    """What an object holds, in its attributes, lists and dicts and the objects there."""
    seen = set() if seen is None else seen
    items = items_of(holder)
    if items is None:
        yield place, holder
    elif id(holder) not in seen:
        seen.add(id(holder))
        for key, value in items:
            yield from leaves_in(value, (*place, key), seen)


def items_of(holder: Any) -> list[tuple[Any, Any]] | None:
    """The parts of a container or an object by key; None for anything else."""
    if isinstance(holder, dict):
        return list(holder.items())
    if isinstance(holder, list | tuple):
        return list(enumerate(holder))
    opaque = type | ModuleType | FunctionType | MethodType
    if isinstance(holder, opaque) or not hasattr(holder, "__dict__"):
        return None
    return list(vars(holder).items())


def at(holder: Any, place: Place) -> Any:
    """What is at this place, or None."""
    for key in place:
        holder = dict(items_of(holder) or ()).get(key)
    return holder


def gradient_places(
    parameters: Mapping[str, list[Place]], after: Mapping[Place, Any]
) -> dict[str, Place]:
    """Where the gradient of each parameter is, going by the usual names.

    parameters: by name, all places of each. after: what there is after a backward.
    dW, d_W, grad_W, W_grad, dL_dW, … beside W; the same, or W, in a `grads` beside it; the
    same place of `grads` where W is in `params`; `grad` beside `data`. The singular or the
    first letter will do (dw for weights). The shapes are not looked at: they are checked.
    """
    there = {tuple(map(normal, place)): place for place in after}
    found: dict[str, Place] = {}
    stems: tuple[Callable[[str], str], ...]
    stems = (str, lambda word: word.rstrip("s"), lambda word: word[0])
    for stem in stems:
        for name in [name for name in parameters if name not in found]:
            for place in parameters[name]:
                for words in _candidates(place, stem):
                    if words in there and there[words] not in found.values():
                        found.setdefault(name, there[words])
    taken = {dotted(place) for place in found.values()}
    return {name: place for name, place in found.items() if name not in taken}


def _candidates(place: Place, stem: Callable[[str], str]) -> Iterator[tuple[str, ...]]:
    *outer, key = map(normal, place)
    named = not isinstance(place[-1], int)
    words = spellings(stem(key)) if named else []
    yield from [(*outer, word) for word in words]
    if key in ("data", "value"):
        yield from [(*outer, word) for word in AFTER]
    in_params = bool(outer) and outer[-1] in PARAMS
    if named or in_params:
        beside = outer[:-1] if in_params else outer
        yield from [(*beside, s, word) for s in GRADS for word in (key, *words)]


def spellings(name: str) -> list[str]:
    """What the gradient of this name may be called."""
    word = normal(name)
    return [f"{d}{word}" for d in BEFORE] + [f"{word}{d}" for d in AFTER]
