"""Somebody's own NumPy code as a subject: a layer with both methods, or functions.

Each run is made on a fresh copy of the layer, with NumPy's random numbers put back, so that
caches, running statistics, updates and dropout masks of one run never reach the next.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.running import DRAWN, unchanged
from ...errors import ArgumentError
from ..branches import Path
from ..check import cotangents_for
from ..report import TensorReport
from ..subject import Array, Run, Subject
from ..targets import named_inputs
from . import conventions, foreign, gradients
from .callables import Code, code_of, copy_layer, twin_of
from .conventions import at, dotted, leaves_in, normal
from .description import Description, PlainDescent, place_of
from .foreign import is_float
from .gradients import Origin
from .reader import read
from .reading import Reading
from .source import Source


def subject_of(
    title: str,
    forward: Any,
    backward: Any,
    inputs: Any,
    params: Mapping[str, str] | None = None,
    description: Any = None,
) -> CodeSubject:
    """A layer (and None), or two functions, with their inputs, ready to be checked.

    Raises ForeignError if the code raises, ArgumentError for what does not fit together.
    """
    if inputs is None:
        raise ArgumentError("verify_pair needs inputs: an array, or a tuple of them")
    said = Description.of(description)
    if isinstance(forward, Code):
        code = forward
    elif backward is None and said.forward:
        code = Code(forward, said.forward, said.backward or "")
    else:
        code = code_of(forward, backward)
    return CodeSubject(title, code, inputs, said, params)


class Forward(NamedTuple):
    """What a forward gave: its outputs, as it returned them, and what is not of them."""

    outputs: list[Array]
    raw: Any
    cache: Any = None
    returned: Any = None
    """The gradients, where forward itself returns them."""


class CodeSubject(Subject):
    """Somebody's code, its inputs, and the parameters that it has before its first forward.

    inputs: by name; floating arrays are checked, anything else is passed on. params: which
    attribute holds the gradient of which parameter, as {"W": "dW"}; no other parameter is
    checked then. notes: what the reader should know. unread: tensors whose gradient was not
    found, with what was looked for. Raises ForeignError if the code raises, and
    ArgumentError for what cannot be called or understood.

    A parameter is a floating array that forward leaves as it is and that the output depends
    on. How backward is called, and where each gradient is, is found once.
    """

    knows_branches = False

    def __init__(
        self,
        name: str,
        code: Code,
        inputs: Any,
        said: Description,
        params: Mapping[str, str] | None = None,
    ) -> None:
        self.code, self.said = code, said
        forward, backward = code.functions
        self.rates: dict[str, float] = {}
        """Learning rates that backward takes, and what it is given."""
        self.layer = self._set_up(copy_layer(code.holder))
        named = self._in_order(named_inputs(forward, inputs))
        self.inputs = {k: foreign.float64_copies(x) for k, x in named.items()}
        self.source = Source(backward)
        self.draws = True
        """Whether forward draws random numbers; known after the first run."""
        self.reading = Reading()
        self.origins: dict[str, Origin] = {}
        self.notes: Sequence[str] = []
        self.unread: Sequence[TensorReport] = []
        super().__init__(
            name,
            {
                dotted((k, *place)): x
                for k, whole in self.inputs.items()
                for place, x in foreign.arrays_in(whole)
                if is_float(x) and k not in said.constant
            },
        )
        with unchanged():
            read(self, params)
        if not self.arrays and not self.unread:
            raise ArgumentError(
                f"{name}: no input is a floating array, and there is no parameter"
            )

    def run(self, margins: bool = False) -> Run:
        with unchanged(draws=self.draws) as changes:
            outputs = self.forward(twin_of(self.layer)).outputs
        self.draws = DRAWN in changes
        return Run(outputs, Path())

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        twin = twin_of(self.layer)
        with unchanged():
            returned, factor = self.backward(twin, cotangents)
        return {
            name: self._claim(name, returned, twin, factor, cotangents)
            for name in self.arrays
        }

    def line_for(self, name: str) -> str | None:
        """The line of backward that makes this tensor's gradient, if it can be told."""
        origin = self.origins.get(name)
        place = origin.place if origin and origin.root == "returned" else None
        return self.source.line_of(name, place)

    # ------------------------------------------------------------------------- calls

    def _set_up(self, layer: Any) -> Any:
        """The layer after what a description says must be called first."""
        for method, given in self.said.setup.items():
            values = [PlainDescent() if v == "optimizer" else v for v in given]
            foreign.called(getattr(layer, method), foreign.by_position(values))
        return copy_layer(layer) if self.said.setup else layer

    def _in_order(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs as forward names them; where a mode is lacking, it is training."""
        forward, backward = self.code.functions
        order, names = map(foreign.parameter_names, (forward, backward))
        required = foreign.required_names(forward)
        known = dict(inputs)
        for name in order if known.keys() <= {*order, *names} else ():
            if name not in known and normal(name) in conventions.MODES:
                known[name] = True
        if known.keys() <= {*order, *names}:
            lacking = [k for k in required if k not in known and k != "*"]
            if lacking and len(known) < len(required):
                raise ArgumentError(
                    f"{self.code.names[0]}({', '.join(order)}) needs "
                    f"{', '.join(lacking)}; found inputs {', '.join(known)}: give a tuple "
                    "of all, or a dict by name"
                )
            ordered = [k for k in order if k in known]
            known = {k: known[k] for k in dict.fromkeys([*ordered, *known])}
        return known

    def forward(self, twin: Any, given: Mapping[str, Any] | None = None) -> Forward:
        """Run it, and tell the outputs from the cache and from gradients.

        given: the inputs, by default a copy of them.
        """
        order = foreign.parameter_names(self.code.functions[0])
        inputs = dict(given or copy.deepcopy(self.inputs))
        if any(k in order for k in inputs):
            inputs = {k: x for k, x in inputs.items() if k in order} or inputs
        raw = self.code.call(twin, self.code.forward, inputs)
        found = self._split(raw, twin)
        if self.reading.of_first and len(found.outputs) > 1:
            found = found._replace(outputs=found.outputs[:1])
        return self._reduced(found)

    def _split(self, raw: Any, twin: Any) -> Forward:
        name, said = self.code.names[0], self.said.output
        if not self.code.backward and isinstance(raw, tuple) and len(raw) > 1:
            returned = raw[1] if len(raw) == 2 else (..., *raw[1:])
            return Forward(foreign.outputs_of(raw[0], name), raw[0], None, returned)
        if isinstance(said, int) and isinstance(raw, tuple | list):
            return Forward(foreign.outputs_of(raw[said], name), raw[said], raw)
        if isinstance(said, str):
            raw = raw[said] if isinstance(raw, dict) else at(twin, place_of(said))
        elif raw is None:
            raw = self._output_left(twin)
        mixed = (
            [not _is_numeric(part) for part in raw] if isinstance(raw, tuple) else []
        )
        if any(mixed[1:]) or (self.reading.cached and len(mixed) > 1):
            # what comes after a cache is kept for other purposes
            i = mixed.index(True, 1) if any(mixed[1:]) else len(mixed) - 1
            output = raw[0] if i == 1 else raw[:i]
            return Forward(foreign.outputs_of(output, name), output, raw[i])
        return Forward(foreign.outputs_of(raw, name), raw, raw)

    def _output_left(self, twin: Any) -> Array:
        """The output that a forward without a return leaves in an attribute."""
        there = {normal(place[-1]): a for place, a in leaves_in(twin) if place}
        for word in conventions.OUTPUTS:
            if isinstance(there.get(word), np.ndarray):
                return np.asarray(there[word])
        raise ArgumentError(
            f"{self.code.names[0]} returns nothing, and no attribute is called output, "
            f"out or y; found {', '.join(map(str, there)) or 'none'}; say where it is: "
            'description = {"output": "…"}'
        )

    def _reduced(self, forward: Forward) -> Forward:
        """The sum, the mean or the loss of the outputs, where that is what is meant."""
        outputs, said = forward.outputs, self.said
        if said.loss is not None:
            inputs = copy.deepcopy(self.inputs)
            _, *names = foreign.parameter_names(said.loss) or [""]
            more = (
                [inputs[k] for k in names]
                if inputs.keys() >= {*names}
                else [*inputs.values()]
            )
            given = foreign.by_position([forward.raw, *more])
            of = foreign.called(said.loss, given)
            return forward._replace(outputs=foreign.outputs_of(of, "loss"))
        if isinstance(said.g, np.ndarray | list):
            total = sum(np.sum(np.asarray(said.g) * y) for y in outputs)
        elif self.reading.gives in ("sum", "mean") or said.g in ("ones", "none"):
            total = sum(y.sum() for y in outputs)
            if self.reading.gives == "mean":
                total = total / len(np.atleast_1d(outputs[0]))
        else:
            return forward
        return forward._replace(outputs=[np.array(total)])

    def backward(
        self, twin: Any, cotangents: Sequence[Array] | None = None
    ) -> tuple[Any, float]:
        """What backward returns after a forward, and what that is to be multiplied by.

        cotangents: by default some random ones.

        The derivative of a loss may ignore the cotangent, which it is multiplied by then.
        """
        forward = self.forward(twin)
        if cotangents is None:
            cotangents = cotangents_for(forward.outputs, np.random.default_rng(0))
        taken = [what for _, (what, _) in self.reading.takes]
        fixed = self.said.g is not None or self.said.loss is not None
        ignored = "g" not in taken or fixed
        scaled = ignored and self.reading.gives != "derivative"
        factor = float(cotangents[0].reshape(-1)[0]) if scaled else 1.0
        if not self.code.backward:
            return forward.returned, factor * self.said.scale
        copies = [c.copy() for c in cotangents]
        if fixed:
            given = self.said.g
            copies = [
                np.array(given)
                if isinstance(given, np.ndarray | list)
                else np.ones(y.shape)
                for y in foreign.outputs_of(forward.raw, "forward")
            ]
        values = [
            self._argument(what, which, forward, copies, twin)
            for _, (what, which) in self.reading.takes
        ]
        names = [name for name, _ in self.reading.takes]
        more = self.rates | ({self.code.flag: True} if self.code.flag else {})
        given = dict(zip(names, values, strict=True))
        returned = self.code.call(twin, self.code.backward, given, **more)
        return returned, factor * self.said.scale

    def _argument(
        self,
        what: str,
        which: Any,
        forward: Forward,
        cotangents: list[Array],
        twin: Any,
    ) -> Any:
        if what == "g" and which is None:
            return foreign.rebuilt(forward.raw, iter(cotangents))
        if what == "g":
            if which >= len(cotangents):
                raise ArgumentError("there are fewer outputs than that")
            return cotangents[which]
        if what == "input":
            return copy.deepcopy(self.inputs[which])
        if what == "output":
            return copy.deepcopy(forward.raw)
        if what == "left":
            return self._output_left(twin).copy()
        return forward.cache if what == "cache" else copy.deepcopy(which)

    def _claim(
        self,
        name: str,
        returned: Any,
        twin: Any,
        factor: float,
        cotangents: Sequence[Array] | None = None,
    ) -> Array | None:
        """The gradient of one tensor, as it is claimed."""
        origin = self.origins.get(name)
        if origin is None:
            return None
        value = gradients.value_at(origin, returned, twin, self.arrays, name)
        claim = foreign.as_claim(value, f"the gradient of {name}")
        if claim is None:
            return None
        shape = self.arrays[name].shape
        if self.reading.gives == "derivative" and cotangents is not None:
            claim = _times(claim, cotangents[0], shape)
        elif claim.shape != shape and claim.size == self.arrays[name].size:
            claim = _broadcast(claim, shape)
        return claim * factor


def _is_numeric(value: Any) -> bool:
    """Whether it is an array, a number, or lists of them: no cache of mixed things."""
    if isinstance(value, dict | tuple) or value is None or isinstance(value, str):
        return False
    return (
        bool(np.asarray(value, object).size) and np.asarray(value).dtype.kind in "fiub"
    )


def _broadcast(claim: Array, shape: tuple[int, ...]) -> Array:
    """In the shape of the tensor, if an update w − claim would have that shape."""
    try:
        fits = np.broadcast_shapes(claim.shape, shape) == shape
    except ValueError:
        return claim
    return claim.reshape(shape) if fits else claim


def _times(derivative: Array, g: Array, shape: tuple[int, ...]) -> Array:
    """The gradient from g and a derivative: element by element, or a Jacobian's rows."""
    if derivative.shape == g.shape:
        return derivative * g
    if derivative.shape == (g.size, math.prod(shape)):  # the whole Jacobian
        return (g.reshape(-1) @ derivative).reshape(shape)
    return np.einsum("...i,...ij->...j", g, derivative).reshape(shape)
