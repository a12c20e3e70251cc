"""Somebody's own NumPy code: a layer with `forward` and `backward`, or two functions.

Nothing is asked of it but those two. Each run is made on a fresh copy of the layer, with
NumPy's random numbers put back, so that caches, running statistics, updates and dropout
masks of one run never reach the next.
"""

from __future__ import annotations

import copy
import inspect
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..errors import ArgumentError, TinygradError
from .branches import Path
from .check import cotangents_for
from .subject import Array, Run, Subject, unchanged

FORWARD = ("forward", "forwardprop", "forwardpass", "fprop")
BACKWARD = ("backward", "backprop", "backwardprop", "backwardpass", "bprop")
RATES = ("lr", "learningrate", "learnrate", "alpha", "eta")
BEFORE = ("d", "grad", "g", "dld", "ded", "djd", "gradient", "delta")
AFTER = ("grad", "gradient", "gradients")
STORES = ("grads", "gradients", "dparams", "grad")
"""The usual names, in lower case and without underscores: dL_dW is dldw."""

Place = tuple[Any, ...]
"""Attributes, keys and list positions that lead from an object to something inside it."""


class ForeignError(TinygradError):
    """The code under test raised: what, and on which of its lines."""


class CodeSubject(Subject):
    """A layer, its inputs, and the parameters that it has before its first forward.

    inputs: by name; floating arrays are checked, anything else is passed on. params: which
    attribute holds the gradient of which parameter, as {"W": "dW"}; the others are then
    not checked. notes: what the reader should know. Raises ForeignError if the code raises
    and ArgumentError for a backward that cannot be called or understood.
    """

    knows_branches = False

    def __init__(
        self,
        name: str,
        layer: Any,
        inputs: Mapping[str, Any],
        params: Mapping[str, str] | None = None,
    ) -> None:
        self.methods = methods_of(layer)
        found = [a for _, a in leaves_in(layer) if is_float(a)]
        # every reference to an array, wherever it is, becomes one to its float64 copy
        self.layer = copy.deepcopy(layer, {id(a): owned(a) for a in found})
        for key, value in getattr(self.layer, "__dict__", {}).items():
            if normal(key) in RATES[:3] and isinstance(value, float):
                setattr(self.layer, key, 1.0)
        self.inputs = {k: owned(x) if is_float(x) else x for k, x in inputs.items()}
        self.notes: list[str] = []
        self.attributes: dict[str, Place] = {}
        self.returned: list[str] = []
        self.updated: dict[str, Place] = {}
        arrays = {k: x for k, x in self.inputs.items() if is_float(x)}
        super().__init__(name, arrays)
        with unchanged(()):
            self.arrays |= self._parameters(params)
        if not self.arrays:
            raise ArgumentError(
                f"{name}: no input is a floating array, and no parameter was found"
            )

    def run(self, margins: bool = False) -> Run:
        with unchanged(()):
            outputs, *_ = self._forward(copy.deepcopy(self.layer))
        return Run(outputs, Path())

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        twin = copy.deepcopy(self.layer)
        with unchanged(()):
            returned, factor = self._backward(twin, cotangents)
        found = self._by_name(returned, self.returned)
        found |= {name: at(twin, place) for name, place in self.attributes.items()}
        for name, place in self.updated.items():
            found[name] = self.arrays[name] - at(twin, place)
        claims = {name: as_claim(found.get(name), name) for name in self.arrays}
        return {k: None if d is None else d * factor for k, d in claims.items()}

    def _forward(self, twin: Any) -> tuple[list[Array], Any, list[str]]:
        """The outputs, the cache returned beside them, and what backward has to be given.

        The latter are the names of its parameters that need a value, but for the rates.
        """
        forward, backward = [getattr(twin, name) for name in self.methods]
        wanted = required(backward)
        y = called(forward, copy.deepcopy(self.inputs))
        cached = len(wanted) == 2 and wanted[1] not in self.inputs
        if cached and isinstance(y, tuple) and len(y) == 2:
            return outputs_of(y[0], self.methods[0]), y[1], wanted
        return outputs_of(y, self.methods[0]), None, wanted

    def _backward(
        self, twin: Any, cotangents: Sequence[Array] | None = None
    ) -> tuple[Any, float]:
        """What backward returns after a forward, and what it is to be multiplied by."""
        outputs, cache, wanted = self._forward(twin)
        if cotangents is None:
            cotangents = cotangents_for(outputs, np.random.default_rng(0))
        copies = [c.copy() for c in cotangents]
        g = copies[0] if len(copies) == 1 else tuple(copies)
        values, inputs = copy.deepcopy(self.inputs), list(self.inputs)
        known = [name for name in wanted if name in values]
        left = [name for name in wanted if name not in values]
        is_number = sum(y.size for y in outputs) == 1
        backward = getattr(twin, self.methods[1])
        if wanted == ["*"]:
            given = {"g": g} | values
        elif cache is not None:
            given = dict(zip(wanted, (g, cache), strict=True))
        elif len(left) == 1:
            given = {k: values[k] for k in known} | {left[0]: g}
        elif len(wanted) == 1 and not is_number:
            given = {wanted[0]: g}
        elif len(wanted) == 1 + len(inputs):
            given = dict(zip(wanted, [g, *values.values()], strict=True))
        elif is_number and len(wanted) in (0, len(inputs)):
            # the derivative of a loss, which is not asked to be multiplied by anything
            given = dict(zip(wanted, values.values(), strict=False))
            return called(backward, given), float(copies[0].reshape(-1)[0])
        else:
            raise ArgumentError(
                f"{self.name}: no telling how to call {self.methods[1]}"
                f"({', '.join(wanted)}) after {self.methods[0]}({', '.join(inputs)}); "
                "expected (g), (g, learning_rate), (g, cache) where forward returns (y, "
                "cache), (g, and the inputs), or for a loss only the inputs"
            )
        return called(backward, given), 1.0

    def _by_name(self, found: Any, parameters: list[str]) -> dict[str, Any]:
        """Which gradient is which of those that backward returned."""
        inputs, checked = list(self.inputs), [k for k in self.inputs if k in self.arrays]
        if isinstance(found, Mapping):
            keys = {normal(str(key)): value for key, value in found.items()}
            names = [*checked, *parameters]
            pairs = {n: [k for k in (normal(n), *spellings(n)) if k in keys] for n in names}
            return {name: keys[k[0]] for name, k in pairs.items() if k}
        given = list(found) if is_several(found) else [found]
        if found is None:
            given = [None] * len(checked)
        for names in (inputs, checked, inputs + parameters, checked + parameters):
            if len(names) == len(given):
                return dict(zip(names, given, strict=True))
        expected = f"one for each of {', '.join(inputs)} is expected"
        if parameters:
            expected += f", or one for each of {', '.join([*inputs, *parameters])}"
        raise ArgumentError(
            f"{self.name}: {self.methods[1]} returned {len(given)} gradients; {expected}, "
            "in that order (an input that needs none must be no floating array)"
        )

    def _parameters(self, params: Mapping[str, str] | None) -> dict[str, Array]:
        """The parameters to check, once it is found how backward hands out gradients."""
        twin = copy.deepcopy(self.layer)
        self._forward(twin)
        places: dict[int, list[Place]] = {}
        for place, a in leaves_in(self.layer):
            if is_float(a) and np.array_equal(a, at(twin, place), equal_nan=True):
                places.setdefault(id(a), []).append(place)
        known = {dotted(p[0]): p for p in places.values()}
        found = {name: at(self.layer, p[0]) for name, p in known.items()}
        twin = copy.deepcopy(self.layer)
        returned, _ = self._backward(twin)
        if returned is None and len(self.arrays):
            self.notes.append(
                f"{self.methods[1]} returns nothing, so no gradient of "
                f"{', '.join(self.arrays)}; where none is wanted, as of a first layer, "
                "name the others as those to check"
            )
        after = {place: a for place, a in leaves_in(twin) if is_gradient(a)}
        if params is None:
            self.attributes = gradient_places(known, after)
        else:
            self.attributes = self._said(params, known, after)
        gradients = {dotted(place) for place in self.attributes.values()}
        rest = [k for k in known if k not in self.attributes and k not in gradients]
        rest = [k for k in rest if self._matters(found[k])]
        if params is not None:
            self._note("not checked, not being among params: {}", rest)
            rest = []
        elif isinstance(returned, Mapping) or len(self.inputs) + len(rest) == (
            len(returned) if is_several(returned) else 0
        ):
            self.returned = rest
        else:
            places_left = {k: known[k][0] for k in rest}
            self.updated = {
                k: place
                for k, place in places_left.items()
                if not np.array_equal(found[k], at(twin, place))
            }
            self._note(
                f"{self.methods[1]} updates {{}}: its update at the learning rate 1 is "
                "taken for the gradient",
                list(self.updated),
            )
            self._note(
                "no gradient was found of {}: no attribute of a usual name (dW, grad_W, "
                'grads["W"], …), nor returned, nor an update; if there is one, say '
                'params = {{"W": "name of its gradient"}}',
                [k for k in rest if k not in self.updated],
            )
        self._note_sums(twin)
        chosen = {k: found[k] for k in [*known] if k in self.attributes or k in rest}
        self._note(
            "all zeros or all ones, where mistakes hide, and drawn anew: {}",
            [k for k, a in chosen.items() if redrawn(a)],
        )
        clash = [k for k in chosen if k in self.inputs]
        if clash:
            raise ArgumentError(
                f"{self.name}: {', '.join(clash)} is the name of an input and of a "
                "parameter; give the inputs in a dict with other names"
            )
        return chosen

    def _note(self, text: str, names: Sequence[str]) -> None:
        if names:
            self.notes.append(text.format(", ".join(names)))

    def _said(
        self,
        params: Mapping[str, str],
        known: Mapping[str, list[Place]],
        after: Mapping[Place, Any],
    ) -> dict[str, Place]:
        """The places of the gradients that the user names."""
        by_name = {dotted(place): place for place in after}
        missing = [k for k in params if k not in known]
        missing += [f"{d} after {self.methods[1]}" for d in params.values()
                    if d not in by_name]  # fmt: skip
        if missing:
            raise ArgumentError(
                f"{self.name} has no {', '.join(missing)}, which params names; its "
                f"floating arrays are {', '.join(known) or 'none'}"
            )
        return {name: by_name[gradient] for name, gradient in params.items()}

    def _matters(self, array: Array) -> bool:
        """Whether the outputs depend on this array; if not, it is no parameter."""
        start, before = array.copy(), self.run().outputs
        array += np.random.default_rng(0).uniform(0.1, 0.5, array.shape)
        try:
            after = self.run().outputs
            return any(
                a.shape != b.shape or not np.array_equal(a, b, equal_nan=True)
                for a, b in zip(before, after, strict=True)
            )
        except TinygradError:
            return True
        finally:
            array[...] = start

    def _note_sums(self, twin: Any) -> None:
        """Say which gradients a second backward adds to those of the first."""
        if any("zero" in name for name in dir(self.layer)):
            return
        first = {k: np.array(at(twin, p), float) for k, p in self.attributes.items()}
        self._backward(twin)
        added = [
            name
            for name, place in self.attributes.items()
            if first[name].any() and np.allclose(at(twin, place), 2 * first[name])
        ]
        self._note("the gradient is added to that of the call before: {}", added)


def methods_of(layer: Any) -> tuple[str, str]:
    """What the layer calls its forward and its backward, or ArgumentError."""
    names = {normal(n): n for n in dir(layer) if callable(getattr(layer, n, None))}
    found = [[names[n] for n in usual if n in names] for usual in (FORWARD, BACKWARD)]
    for usual, there in zip(("forward", "backward"), found, strict=True):
        if not there:
            raise ArgumentError(
                f"{type(layer).__name__} has no method {usual}; a layer has forward(x), "
                "which returns the output, and backward(g), which returns the gradient of x"
            )
    return found[0][0], found[1][0]


def gradient_places(
    known: Mapping[str, list[Place]], after: Mapping[Place, Any]
) -> dict[str, Place]:
    """Where the gradient of each parameter is, going by the usual names.

    dW, d_W, grad_W, W_grad, dL_dW, … beside W; the same in a `grads` beside it; the same
    place of `grads` where W is in `params`; `grad` beside `data`. Case and underscores do
    not count; the singular or the first letter will do (dw, db for weights, biases). The
    shapes need not agree, since that is checked.
    """
    there = {tuple([normal(str(key)) for key in place]): place for place in after}
    found: dict[str, Place] = {}
    for of in (normal, lambda key: normal(key).rstrip("s"), lambda key: normal(key)[:1]):
        for name, places in known.items():
            free = [c for p in places for c in _candidates(p, of)
                    if c in there and there[c] not in found.values()]  # fmt: skip
            if free and name not in found:
                found[name] = there[free[0]]
    taken = {dotted(place) for place in found.values()}
    return {name: place for name, place in found.items() if name not in taken}


def _candidates(place: Place, of: Any) -> Iterator[tuple[str, ...]]:
    *outer, key = [normal(str(k)) for k in place]
    stem = of(str(place[-1]))
    words = [*[f"{d}{stem}" for d in BEFORE], *[f"{stem}{d}" for d in AFTER]]
    words = [key] if isinstance(place[-1], int) else words
    inside_params = bool(outer) and outer[-1] in ("params", "parameters", "weights")
    beside = outer[:-1] if inside_params else outer
    if not isinstance(place[-1], int):
        yield from [(*outer, word) for word in words]
    if isinstance(place[-1], str) or inside_params:
        yield from [(*beside, s, word) for s in STORES for word in (key, *words)]
    if key in ("data", "value"):
        yield from [(*outer, word) for word in ("grad", "gradient")]


def spellings(name: str) -> list[str]:
    """What the gradient of this name may be called."""
    stem = normal(name.rpartition(".")[2])
    return [*[f"{d}{stem}" for d in BEFORE], *[f"{stem}{d}" for d in AFTER]]


def leaves_in(
    holder: Any, place: Place = (), seen: set[int] | None = None
) -> Iterator[tuple[Place, Any]]:
    """What an object holds, in its attributes, lists and dicts and the objects there."""
    seen = set() if seen is None else seen
    if id(holder) in seen:
        return
    items = items_of(holder)
    if items is None:
        yield place, holder
        return
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
        try:
            holder = dict(items_of(holder) or ())[key]
        except KeyError:
            return None
    return holder


def redrawn(array: Array) -> bool:
    """Move an array of zeros or of ones to random values near by; whether it was one."""
    constant = bool(array.size) and (not array.any() or bool(np.all(array == 1)))
    if constant:
        array += np.random.default_rng(array.size).uniform(-0.5, 0.5, array.shape)
    return constant


def required(backward: Any) -> list[str]:
    """The parameters that need a value, without the learning rate; ["*"] if any will do."""
    try:
        parameters = inspect.signature(backward).parameters.values()
    except (TypeError, ValueError):
        return ["*"]
    names = [p.name for p in parameters if p.default is p.empty and p.kind < 2]
    names = [name for name in names if normal(name) not in RATES]
    return names or ["*"] * any(p.kind is p.VAR_POSITIONAL for p in parameters)


def called(function: Any, given: Mapping[str, Any]) -> Any:
    """Call it with these arguments, by position if it has other names for them.

    A learning rate is 1. Whatever it raises becomes a ForeignError.
    """
    try:
        parameters = inspect.signature(function).parameters
        rates = {name: 1.0 for name in parameters if normal(name) in RATES}
    except (TypeError, ValueError):
        parameters, rates = {}, {}
    try:
        with np.errstate(all="ignore"):
            if all(name in parameters for name in given):
                return function(**{**rates, **given})
            return function(*given.values(), **rates)
    except (Exception, SystemExit) as error:
        name = getattr(function, "__name__", "it")
        raise ForeignError(f"{name} raised {said(error)}") from error


def said(error: BaseException) -> str:
    """An error as one line: type, message, and the last line of foreign code it passed."""
    own = os.path.dirname(__file__), os.path.dirname(np.__file__)
    frames = traceback.extract_tb(error.__traceback__)
    foreign = [f for f in frames if not f.filename.startswith((*own, "<frozen"))]
    text = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} (line {error.lineno})"
    if not foreign:
        return text
    last = foreign[-1]
    return f"{text} ({os.path.basename(last.filename)}, line {last.lineno}: {last.line})"


def normal(name: str) -> str:
    """A name without case and underscores."""
    return name.replace("_", "").lower()


def dotted(place: Place) -> str:
    """The name of a place: layers.0.W."""
    return ".".join(map(str, place))


def is_float(x: Any) -> bool:
    """Whether x is a floating array."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def is_gradient(x: Any) -> bool:
    """Whether x may be a gradient: an array, or a number that ought to be one."""
    return isinstance(x, np.ndarray | np.number | float)


def is_several(found: Any) -> bool:
    """Whether a result is several arrays, not one that is given as a list of numbers."""
    if isinstance(found, list):
        return any(isinstance(g, np.ndarray) for g in found)
    return isinstance(found, tuple)


def owned(x: Array) -> Array:
    """A row-major float64 copy."""
    return np.array(x, np.float64, order="C")


def outputs_of(y: Any, name: str) -> list[Array]:
    """What a forward returned, as arrays of its own."""
    several = list(y) if is_several(y) else [y]
    try:
        outputs = [np.array(v, float) for v in several if v is not None]
    except (TypeError, ValueError):
        outputs = []
    if len(outputs) < len(several) or not outputs or not all(v.size for v in outputs):
        kinds = ", ".join([type(v).__name__ for v in several])
        raise ForeignError(f"{name} returned {kinds}, where an array is expected")
    return outputs


def as_claim(g: Any, name: str) -> Array | None:
    """A gradient as an array of its own; None stays None."""
    try:
        return None if g is None else np.array(g, float)
    except (TypeError, ValueError):
        raise ForeignError(
            f"the gradient of {name} is {type(g).__name__}, which is no array of numbers"
        ) from None
