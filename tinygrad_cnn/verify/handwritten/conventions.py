"""What people call things in code of their own: methods, functions, gradients, labels.

Case and underscores do not count: dL_dW is dldw.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ...errors import ArgumentError

WAYS = ("", "prop", "pass", "propagate", "propagation")
FORWARD = (*[f"forward{way}" for way in WAYS], "fprop", "feedforward", "call")
VALUES = ("activate", "activation", "function", "func", "evaluate", "compute", "apply")
LOSSES = ("loss", "cost", "calculate", "error", "lossfun")
LOSS_WORDS = ("loss", "cost", "entropy", "mse")
"""Of these one stands in the name of a loss."""
BACKWARD = (
    *[
        f"{back}{way}"
        for back in ("backward", "back")
        for way in WAYS
        if way or back[4:]
    ],
    "bprop",
)
GRADIENTS = ("gradient", "gradients", "grad")
"""Methods and functions that return a gradient, or a derivative to be multiplied by g."""
DERIVATIVES = ("derivative", "deriv", "derive", "derivate", "prime", "diff", "d", "de")

RATES_KEPT = ("lr", "learningrate", "learnrate")
RATES = (*RATES_KEPT, "alpha", "eta")
BEFORE = ("d", "grad", "g", "dld", "ded", "djd", "gradient", "delta", "nabla", "diff")
AFTER = ("grad", "gradient", "gradients", "diff", "delta")
PARAMS = ("params", "parameters")
GRADS = ("grads", "gradients", "dparams", "grad")

CACHES = (
    "cache",
    "caches",
    "memory",
    "ctx",
    "context",
    "tape",
    "stash",
    "store",
    "tmp",
)
OUTPUTS = ("output", "outputs", "out", "y", "a", "result", "z", "h")
INPUTS = ("x", "input", "inputs", "data", "images", "features")
INPUT_GRADIENTS = (
    "dinput",
    "dinputs",
    "gradinput",
    "inputgrad",
    "dx",
    "gradx",
    "delta",
)
LABELS = frozenset(("target", "label", "truth", "true", "actual", "expected", "gt"))
"""Words for labels, in the singular; t and y are so as whole names."""
MODES = frozenset(
    [
        "training",
        "train",
        "istraining",
        "trainflg",
        "trainflag",
        "trainmode",
        "savecache",
        "retainderived",
    ]
)
"""Arguments of forward that are true where a backward follows."""
STATISTICS = ("running", "moving")
"""Of layers that normalise: they have no gradient."""
WEIGHTS = ("w", "weight", "b", "bias", "biase", "gamma", "beta", "kernel", "filter")
"""In the singular. Without a gradient, a parameter of such a name is forgotten."""
UPSTREAM = re.compile(
    r"d[a-z]*|g|grad.*|.*grad|delta.*|upstream.*|.*error|accumgrad|err"
)

Place = tuple[Any, ...]
"""Attributes, keys and positions that lead from an object to something inside it."""


def normal(name: Any) -> str:
    """A name without case and underscores."""
    return str(name).replace("_", "").lower()


def dotted(place: Place) -> str:
    """A place as it is printed: layers.0.W."""
    return ".".join(map(str, place))


# ------------------------------------------------------------------ methods and functions


class Methods(NamedTuple):
    """What a layer calls its forward and its backward ("" if forward gives both)."""

    forward: str
    backward: str


def methods_of(layer: Any) -> Methods | None:
    """The two methods of a layer, or of a class of layers; None if it is none."""
    there = {normal(name): name for name in dir(layer) if not name.startswith("__")}
    kind = layer if isinstance(layer, type) else type(layer)
    if any("__call__" in vars(k) for k in kind.__mro__):
        there["call"] = "__call__"

    def first(*families: Sequence[str]) -> str:
        words = [n for family in families for n in family if n in there]
        found = (there[n] for n in words if callable(getattr(layer, there[n], None)))
        return next(found, "")

    backward = first(BACKWARD, GRADIENTS, [word for word in DERIVATIVES if word[2:]])
    forward = first(FORWARD, VALUES, LOSSES)
    if forward and backward:
        return Methods(forward, backward)
    both = first(LOSSES[:2])
    return Methods(both, "") if both else None


def words_of(name: str) -> list[str]:
    """The words of a name in either case: ["conv", "backward", "naive"]."""
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]


ROLES = {
    **dict.fromkeys(("forward", "fprop", "feedforward"), "forward"),
    **dict.fromkeys(BACKWARD, "backward"),
    **dict.fromkeys(GRADIENTS, "gradient"),
    **dict.fromkeys(DERIVATIVES, "derivative"),
}


class Named(NamedTuple):
    """What the name of a function says: what it is for, and of what."""

    role: str
    """forward, backward, gradient or derivative; "" where the name says only of what."""
    stem: tuple[str, ...]


def named(function: str) -> Named:
    """Read the name of a function: conv_backward is the backward of conv."""
    words = words_of(function)
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else ""
        for taken, whole in ((2, word + following), (1, word)):
            if whole in ROLES or (taken == 2 and whole in FORWARD):
                stem = (*words[:i], *words[i + taken :])
                return Named(ROLES.get(whole, "forward"), stem)
    return Named("", tuple(words))


# ----------------------------------------------------------------------- what is inside


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


# ---------------------------------------------------------------- gradients and labels


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
    for stem in STEMS:
        for name in [name for name in parameters if name not in found]:
            for place in parameters[name]:
                for words in _candidates(place, stem):
                    if words in there and there[words] not in found.values():
                        found.setdefault(name, there[words])
    taken = {dotted(place) for place in found.values()}
    return {name: place for name, place in found.items() if name not in taken}


STEMS: tuple[Callable[[str], str], ...]
STEMS = (str, lambda word: word.rstrip("s"), lambda word: word[0])
"""A name as it is, its singular, its first letter."""


def _candidates(place: Place, stem: Callable[[str], str]) -> Iterator[tuple[str, ...]]:
    *outer, key = map(normal, place)
    by_name = not isinstance(place[-1], int)
    words = spellings(stem(key)) if by_name else []
    yield from [(*outer, word) for word in words]
    if key in ("data", "value"):
        yield from [(*outer, word) for word in AFTER]
    in_params = bool(outer) and outer[-1] in PARAMS
    if by_name or in_params:
        beside = outer[:-1] if in_params else outer
        yield from [(*beside, s, word) for s in GRADS for word in (key, *words)]


def spellings(name: str) -> list[str]:
    """What the gradient of this name may be called."""
    word = normal(name)
    return [f"{d}{word}" for d in BEFORE] + [f"{word}{d}" for d in AFTER]


def match_names(tensors: list[str], found: list[str | None]) -> dict[str, int]:
    """Which of these names (None: none) is that of which tensor's gradient."""
    matches: dict[str, int] = {}
    words = [None if name is None else normal(name) for name in found]
    for stem in STEMS:
        for tensor in [t for t in tensors if t not in matches]:
            own = normal(tensor.rpartition(".")[2])
            for word in [*spellings(stem(own)), own]:
                if word in words and words.index(word) not in matches.values():
                    matches.setdefault(tensor, words.index(word))
    return matches


def are_labels(name: str, x: Any) -> bool:
    """Whether an input is labels, by its name or because it is one-hot."""
    words = {word.rstrip("s") for word in words_of(name)}
    if name.lower() in ("t", "y") or words & LABELS or words == {"y", "train"}:
        return True
    x = np.asarray(x)
    return x.ndim > 1 and bool(
        np.isin(x, (0, 1)).all() and (x.sum(axis=-1) == 1).all() and x.shape[-1] > 1
    )


def require_layer(layer: Any) -> Methods:
    """The methods of a layer; ArgumentError, with what is expected, if it is none."""
    methods = methods_of(layer)
    if methods is None:
        raise ArgumentError(
            f"{type(layer).__name__} is no layer; expected an object with methods "
            "forward(x), which returns the output, and backward(g), which returns the "
            "gradient of x"
        )
    return methods
