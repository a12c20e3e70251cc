"""Somebody's own code: two NumPy functions, or a layer with `forward` and `backward`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .branches import Path
from .subject import Array, Run, Subject


class PairSubject(Subject):
    """`forward(*inputs)` and `backward(g, *inputs)`, called with copies.

    inputs: by name, or in order (then named as the parameters of forward). Floating arrays
    are checked; anything else is passed on as it is.
    """

    knows_branches = False

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        inputs: Mapping[str, Any],
    ) -> None:
        self.forward, self.backward, self.inputs = forward, backward, dict(inputs)
        super().__init__(name, {k: owned(x) for k, x in inputs.items() if is_float(x)})
        if not self.arrays:
            raise ArgumentError(f"{name}: none of the inputs is a floating array")

    def run(self, margins: bool = False) -> Run:
        with np.errstate(all="ignore"):
            return Run(outputs_of(self.forward(*self._values()), self.name), Path())

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        g = [c.copy() for c in cotangents]
        with np.errstate(all="ignore"):
            found = self.backward(g[0] if len(g) == 1 else tuple(g), *self._values())
        given = list(found) if isinstance(found, tuple | list) else [found]
        names = (
            list(self.inputs) if len(given) == len(self.inputs) else list(self.arrays)
        )
        if len(given) != len(names):
            raise ArgumentError(
                f"{self.name}: backward returned {len(given)} gradients for "
                f"{len(self.inputs)} inputs ({', '.join(self.inputs)}); one each is "
                "expected, in that order, None for an input that has none"
            )
        claims = dict(zip(names, given, strict=True))
        return {name: as_claim(claims[name]) for name in self.arrays}

    def _values(self) -> list[Any]:
        arrays = {name: array.copy() for name, array in self.arrays.items()}
        return [arrays.get(name, value) for name, value in self.inputs.items()]


class LayerSubject(Subject):
    """An object with `forward(x)` and `backward(dout)`, its parameters being attributes.

    params: which attribute holds the gradient of which, as {"W": "dW"}; by default those
    found by `gradient_attributes` after one backward. Without any gradient attribute, a
    backward that takes a learning rate is asked for its update at the rate 1.
    """

    knows_branches = False

    def __init__(
        self, name: str, layer: Any, x: Any, params: Mapping[str, str] | None = None
    ) -> None:
        self.layer = layer
        array = owned(np.asarray(x, float))
        takes = list(inspect.signature(layer.backward).parameters)
        self.takes_rate = len(takes) == 2
        self._forward(array)
        self.arrays = {"x": array}
        before = _parameters_of(layer)
        kept = {key: value.copy() for key, value in before.items()}
        outputs = self.run().outputs
        self._backward([np.ones_like(y) for y in outputs])
        self.params = (
            dict(params) if params is not None else gradient_attributes(layer, before)
        )
        for key, value in kept.items():
            _set(layer, key, value)
        updated = set(before) if self.takes_rate and not self.params else set()
        self.updated = {k for k in updated if k not in self.params}
        checked = [*self.params, *sorted(self.updated)]
        missing = [key for key in checked if key not in before]
        if missing:
            raise ArgumentError(
                f"{name} has no floating array {', '.join(missing)}; it has "
                f"{', '.join(before) or 'none'}"
            )
        self.unknown = [key for key in before if key not in checked]
        arrays = {"x": array}
        for key in checked:
            _set(layer, key, owned(kept[key]))
            arrays[key] = _get(layer, key)
        super().__init__(name, arrays)

    def run(self, margins: bool = False) -> Run:
        with np.errstate(all="ignore"):
            return Run(outputs_of(self._forward(self.arrays["x"]), "forward"), Path())

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        self.run()
        kept = {
            key: _get(self.layer, key).copy() for key in self.updated | set(self.params)
        }
        with np.errstate(all="ignore"):
            dx = self._backward([c.copy() for c in cotangents])
        dx = dx[0] if isinstance(dx, tuple | list) and dx else dx
        claims = {"x": as_claim(dx)}
        for key, attribute in self.params.items():
            claims[key] = as_claim(_get(self.layer, attribute))
        for key in self.updated:
            claims[key] = kept[key] - np.asarray(_get(self.layer, key))
        for key, value in kept.items():
            self.arrays[key][...] = value
            _set(self.layer, key, self.arrays[key])
        return claims

    def _forward(self, x: Array) -> Any:
        return self.layer.forward(x.copy())

    def _backward(self, g: Sequence[Array]) -> Any:
        more = (1.0,) if self.takes_rate else ()
        return self.layer.backward(g[0] if len(g) == 1 else tuple(g), *more)


def gradient_attributes(layer: Any, parameters: Mapping[str, Array]) -> dict[str, str]:
    """Which attribute holds the gradient of which parameter, by the usual names.

    dW, d_W, grad_W, W_grad, gW, dL_dW, or an entry of the same key (or place) of a dict (or
    list) `grads` beside `params`; the shapes need not agree, since that is checked.
    """
    found = {}
    for name in parameters:
        store, dot, key = name.partition(".")
        patterns = ("d{}", "d_{}", "grad_{}", "{}_grad", "g{}", "dL_d{}", "d_L_d_{}")
        names = [p.format(name) for p in patterns] if not dot else [f"grads.{key}"]
        present = [n for n in names if _get(layer, n) is not None]
        if present and store not in ("grads",):
            found[name] = present[0]
    taken = set(found.values())
    return {name: gradient for name, gradient in found.items() if name not in taken}


def _parameters_of(layer: Any) -> dict[str, Array]:
    """The floating arrays among its attributes, and in its dict or list `params`."""
    values = vars(layer)
    found = {name: v for name, v in values.items() if is_float(v)}
    store = values.get("params")
    items = (
        store.items()
        if isinstance(store, dict)
        else enumerate(store)
        if isinstance(store, list)
        else ()
    )
    return found | {f"params.{key}": v for key, v in items if is_float(v)}


def _get(layer: Any, name: str) -> Any:
    store, dot, key = name.partition(".")
    value = getattr(layer, store, None)
    if not dot or value is None:
        return value
    try:
        return value[int(key)] if isinstance(value, list) else value[key]
    except (KeyError, IndexError):
        return None


def _set(layer: Any, name: str, value: Array) -> None:
    store, dot, key = name.partition(".")
    if not dot:
        setattr(layer, store, value)
        return
    container = getattr(layer, store)
    container[int(key) if isinstance(container, list) else key] = value


def is_float(x: Any) -> bool:
    """Whether x is a floating array."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def owned(x: Array) -> Array:
    """A row-major float64 copy."""
    return np.array(x, np.float64, order="C")


def outputs_of(y: Any, name: str) -> list[Array]:
    """What a forward returned, as arrays of its own."""
    outputs = [np.array(v, float) for v in (y if isinstance(y, tuple | list) else [y])]
    if not outputs or not all(v.size for v in outputs):
        raise ArgumentError(f"{name} returned nothing to differentiate")
    return outputs


def as_claim(g: Any) -> Array | None:
    """A gradient as an array of its own; None stays None."""
    return None if g is None else np.array(g, float)
