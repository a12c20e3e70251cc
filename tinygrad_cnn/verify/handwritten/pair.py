"""Somebody's own NumPy code: a layer with `forward` and `backward`, or two functions.

Each run is made on a fresh copy of the layer, with NumPy's random numbers put back, so that
caches, running statistics, updates and dropout masks of one run never reach the next.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...core.running import DRAWN, unchanged
from ...errors import ArgumentError
from ..branches import Path
from ..check import cotangents_for
from ..difference import with_values
from ..subject import Array, Run, Subject
from ..targets import named_inputs
from . import conventions, foreign
from .conventions import Place, at, dotted, leaves_in, normal
from .foreign import ForeignError, float64_copy, is_float, parts_of


def subject_of(
    title: str, forward: Any, backward: Any, inputs: Any, params: Any
) -> CodeSubject:
    """A layer (and None), or two functions, with their inputs, ready to be checked.

    Raises ForeignError if the code raises, ArgumentError for what does not fit together.
    """
    if inputs is None:
        raise ArgumentError("verify_pair needs inputs: an array, or a tuple of them")
    if backward is None and isinstance(forward, type):
        raise ArgumentError(
            f"verify_pair needs a layer: {forward.__name__}(…), not its class"
        )
    layer = forward
    if backward is not None:
        layer = SimpleNamespace(forward=forward, backward=backward)
    function = getattr(layer, conventions.methods_of(layer)[0])
    return CodeSubject(title, layer, named_inputs(function, inputs), params)


class CodeSubject(Subject):
    """A layer, its inputs, and the parameters that it has before its first forward.

    inputs: by name; floating arrays are checked, anything else is passed on. params: which
    attribute holds the gradient of which parameter, as {"W": "dW"}; no other parameter is
    checked then. notes: what the reader should know. Raises ForeignError if the code
    raises, and ArgumentError for what cannot be called or understood.

    A parameter is a floating array that forward leaves as it is and that the output depends
    on. Its gradient is an attribute, or what backward returns beside those of the inputs,
    or the update at the learning rate 1; if it is none of these, it is zero.
    """

    knows_branches = False

    def __init__(
        self,
        name: str,
        layer: Any,
        inputs: Mapping[str, Any],
        params: Mapping[str, str] | None = None,
    ) -> None:
        self.methods = conventions.methods_of(layer)
        self.layer = copy_layer(layer)
        forward, backward = [getattr(layer, name) for name in self.methods]
        order, names = map(foreign.parameter_names, (forward, backward))
        # LeakyReLU's slope is called alpha, too
        rates = [k for k in names if normal(k) in conventions.RATES and k not in order]
        self.rates = dict.fromkeys(rates, 1.0)
        self.wanted = [k for k in foreign.required_names(backward) if k not in rates]
        if inputs.keys() <= set(order):
            inputs = {k: inputs[k] for k in order if k in inputs}
        self.inputs = {
            k: float64_copy(x) if is_float(x) else x for k, x in inputs.items()
        }
        self.draws = True
        """Whether forward draws random numbers; known after the first run."""
        self.attributes: dict[str, Place] = {}
        self.returned: list[str] = []
        self.updated: dict[str, Place] = {}
        super().__init__(name, {k: x for k, x in self.inputs.items() if is_float(x)})
        with unchanged():
            self._find_parameters(params)
        if not self.arrays:
            raise ArgumentError(
                f"{name}: no input is a floating array, and there is no parameter"
            )
        self.gradients(cotangents_for(self.run().outputs, np.random.default_rng(0)))

    def run(self, margins: bool = False) -> Run:
        with unchanged(draws=self.draws) as changes:
            outputs = self._forward(copy.deepcopy(self.layer))[0]
        self.draws = DRAWN in changes
        return Run(outputs, Path())

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        twin = copy.deepcopy(self.layer)
        with unchanged():
            returned, factor = self._backward(twin, cotangents)
        found = self._by_name(returned)
        found |= {name: at(twin, place) for name, place in self.attributes.items()}
        for name, place in self.updated.items():
            found[name] = self.arrays[name] - at(twin, place)
        claims = {
            name: foreign.as_claim(found.get(name), f"the gradient of {name}")
            for name in self.arrays
        }
        return {k: None if d is None else d * factor for k, d in claims.items()}

    def _forward(self, twin: Any) -> tuple[list[Array], Any]:
        """The outputs, and the cache if forward returns (output, cache)."""
        name = self.methods[0]
        y = foreign.called(getattr(twin, name), copy.deepcopy(self.inputs))
        cached = len(self.wanted) == 2 and self.wanted[1] not in self.inputs
        if cached and isinstance(y, tuple) and len(y) == 2:
            return foreign.outputs_of(y[0], name), y[1]
        return foreign.outputs_of(y, name), None

    def _backward(
        self, twin: Any, cotangents: Sequence[Array] | None = None
    ) -> tuple[Any, float]:
        """What backward returns after a forward, and what that is to be multiplied by.

        The derivative of a loss may ignore the cotangent, which it is multiplied by then.
        """
        outputs, cache = self._forward(twin)
        if cotangents is None:
            cotangents = cotangents_for(outputs, np.random.default_rng(0))
        several = tuple([c.copy() for c in cotangents])
        g = several[0] if len(several) == 1 else several
        is_number = sum(y.size for y in outputs) == 1
        given = self._arguments(g, cache, is_number)
        ignored = not any(value is g for value in given.values())
        factor = float(cotangents[0].reshape(-1)[0]) if ignored else 1.0
        return foreign.called(getattr(twin, self.methods[1]), given, self.rates), factor

    def _arguments(self, g: Any, cache: Any, is_number: bool) -> dict[str, Any]:
        """What backward is called with: g, and whatever else it needs."""
        wanted, values = self.wanted, copy.deepcopy(self.inputs)
        known = {name: values[name] for name in wanted if name in values}
        others = [name for name in wanted if name not in values]
        if wanted == ["*"]:
            return {"g": g} | values
        if cache is not None:
            return dict(zip(wanted, (g, cache), strict=True))
        if is_number and len(wanted) in {0, len(values)} - {1}:
            return dict(zip(wanted, values.values(), strict=False))
        if len(others) == 1:
            return known | {others[0]: g}
        if len(wanted) == 1:
            return known if is_number else {wanted[0]: g}
        if len(wanted) == 1 + len(values):
            return dict(zip(wanted, [g, *values.values()], strict=True))
        raise ArgumentError(
            f"{self.name}: no telling how to call {self.methods[1]}({', '.join(wanted)}) "
            f"after {self.methods[0]}({', '.join(values)}); expected (g), (g, "
            "learning_rate), (g, cache) if forward returns (y, cache), g and the inputs, "
            "or only the inputs, for a loss"
        )

    def _by_name(self, found: Any) -> dict[str, Any]:
        """Which gradient is which of those that backward returned."""
        inputs = list(self.inputs)
        checked = [name for name in inputs if name in self.arrays]
        if isinstance(found, Mapping):
            keys = {normal(key): value for key, value in found.items()}
            return {
                name: keys[word]
                for name in [*checked, *self.returned]
                for word in reversed([normal(name), *conventions.spellings(name)])
                if word in keys
            }
        parts = parts_of(found) if found is not None else [None] * len(checked)
        parameters = [k for k in self.arrays if k not in inputs]
        for more in ([], self.returned, parameters):
            for names in (inputs + more, checked + more):
                if len(names) == len(parts):
                    return dict(zip(names, parts, strict=True))
        expected = ", ".join(inputs)
        if self.returned:
            expected += f", or of {', '.join([*inputs, *self.returned])}"
        raise ArgumentError(
            f"{self.name}: {self.methods[1]} returned {len(parts)} gradients, where one "
            f"each of {expected} is expected, in that order (an input of integers may be "
            "left out)"
        )

    def _find_parameters(self, params: Mapping[str, str] | None) -> None:
        """Add the parameters to the arrays, knowing where each has its gradient."""
        places, twin = self._find_lasting(), copy.deepcopy(self.layer)
        returned, _ = self._backward(twin)
        after = {p: a for p, a in leaves_in(twin) if isinstance(a, np.ndarray | float)}
        if params is None:
            self.attributes = conventions.gradient_places(places, after)
        else:
            self.attributes = self._find_named(params, places, after)
        gradients = {dotted(place) for place in self.attributes.values()}
        arrays = {name: at(self.layer, of[0]) for name, of in places.items()}
        unknown = arrays.keys() - self.attributes.keys() - gradients
        others = [k for k, a in arrays.items() if k in unknown and self._matters(a)]
        unnamed, others = ([], others) if params is None else (others, [])
        chosen = {k: a for k, a in arrays.items() if k in [*self.attributes, *others]}
        clash = [k for k in chosen if k in self.inputs]
        if clash:
            raise ArgumentError(
                f"{self.name}: an input and a parameter are both called {clash[0]}; give "
                "the inputs in a dict, by other names"
            )
        self.arrays |= chosen
        if isinstance(returned, Mapping) or len(parts_of(returned)) > len(self.inputs):
            self.returned = others
        found = self._by_name(returned)
        others = [k for k in others if k not in found]
        for name in others:
            place = places[name][0]
            if not np.array_equal(arrays[name], at(twin, place)):
                self.updated[name] = place
        lost = [k for k in others if k not in self.updated]
        silent = [k for k in self.inputs if k in self.arrays and returned is None]
        unguessable = {
            "not checked, since params does not name them:": unnamed,
            "the update at the learning rate 1 is taken for the gradient of": self.updated,
            "parameters are updated before what is computed with them, the gradient "
            "of": self._find_moving(found) if self.updated and self.rates else [],
            "no gradient was found: no attribute of a usual name (dW, grad_W, W_grad, "
            'grads["W"]), nothing returned, no update; of': lost,
            f"{self.methods[1]} returns nothing; if none is wanted, as in a first layer, "
            "check the others only; no gradient of": silent,
            "added to the gradient of the call before:": self._find_accumulated(twin),
            "all zeros or ones, where mistakes can hide, and so drawn anew:": [
                name for name, array in chosen.items() if redraw_constant(array)
            ],
        }
        noted = [(text, names) for text, names in unguessable.items() if names]
        self.notes = [f"{text} {', '.join(names)}" for text, names in noted]

    def _find_lasting(self) -> dict[str, list[Place]]:
        """All places of each floating array that forward leaves alone, by the first."""
        twin = copy.deepcopy(self.layer)
        self._forward(twin)
        places: dict[int, list[Place]] = {}
        for place, a in leaves_in(self.layer):
            if is_float(a) and np.array_equal(a, at(twin, place), equal_nan=True):
                places.setdefault(id(a), []).append(place)
        return {dotted(found[0]): found for found in places.values()}

    def _find_named(
        self,
        params: Mapping[str, str],
        places: Mapping[str, Any],
        after: Mapping[Place, Any],
    ) -> dict[str, Place]:
        """Where the gradients are that the user names."""
        by_name = {dotted(place): place for place in after}
        missing = [k for k in params if k not in places]
        missing += [g for g in params.values() if g not in by_name]
        if missing:
            raise ArgumentError(
                f"{self.name} has no {', '.join(missing)}, which params names; it has "
                f"{', '.join(by_name) or 'no arrays'}"
            )
        return {name: by_name[gradient] for name, gradient in params.items()}

    def _matters(self, array: Array) -> bool:
        """Whether the outputs depend on this array of the layer's."""
        before = self.run().outputs
        others = array + np.random.default_rng(0).uniform(0.1, 0.5, array.shape)
        try:
            after = with_values(array, slice(None), others, self.run).outputs
        except ForeignError:
            return True
        return not all(map(np.array_equal, before, after))

    def _find_moving(self, found: Mapping[str, Any]) -> list[str]:
        """The gradients returned that change with the learning rate."""
        rates, self.rates = self.rates, dict.fromkeys(self.rates, 0.0)
        still = self._by_name(self._backward(copy.deepcopy(self.layer))[0])
        self.rates = rates
        return [k for k in found if not np.array_equal(found[k], still[k])]

    def _find_accumulated(self, twin: Any) -> list[str]:
        """The gradients that a second backward adds to those of the first."""
        if any("zero" in name or "reset" in name for name in dir(self.layer)):
            return []  # it has a method to set them to zero
        places = self.attributes
        first = {k: np.array(at(twin, place)) for k, place in places.items()}
        self._backward(twin)
        return [
            name
            for name, place in places.items()
            if first[name].any() and np.allclose(at(twin, place), 2 * first[name])
        ]


def copy_layer(layer: Any) -> Any:
    """A copy of the layer with every array in float64, and a learning rate of 1."""
    # the memo of deepcopy: each reference to an array becomes one to its new copy
    arrays = {id(a): float64_copy(a) for _, a in leaves_in(layer) if is_float(a)}
    try:
        twin = copy.deepcopy(layer, arrays)
    except TypeError as error:
        raise ArgumentError(f"the layer cannot be copied: {error}") from error
    for key, value in getattr(twin, "__dict__", {}).items():
        if normal(key) in conventions.RATES_KEPT and isinstance(value, float):
            setattr(twin, key, 1.0)
    return twin


def redraw_constant(array: Array) -> bool:
    """Move an array of zeros or of ones to random values near by; whether it was one."""
    constant = bool(np.all(array == 0) or np.all(array == 1))
    if constant:
        array += np.random.default_rng(array.size).uniform(-0.5, 0.5, array.shape)
    return constant
