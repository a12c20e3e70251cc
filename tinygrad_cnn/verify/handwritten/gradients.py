"""Which of what a backward left behind is the gradient of which tensor.

A gradient has a place: in what backward returned, in an attribute, or as the update of a
parameter. Places are found once, by names first, then by order and shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..subject import Array
from .conventions import (
    INPUT_GRADIENTS,
    Place,
    are_labels,
    at,
    gradient_places,
    leaves_in,
    match_names,
    normal,
)
from .description import place_of
from .foreign import numbers_in
from .source import Source


class Origin(NamedTuple):
    """Where a gradient is: root is returned, layer, or update (of a parameter there)."""

    root: str
    place: Place

    def __str__(self) -> str:
        return ".".join(map(str, (self.root, *self.place)))


@dataclass
class Tensors:
    """What asks for a gradient: inputs and parameters, each by name.

    order: all inputs, those that are not checked as well, but not what is in dicts, which
    may be settings. places: where in the layer each
    parameter is; a parameter may be in several.
    """

    inputs: dict[str, Array]
    order: Sequence[str]
    parameters: dict[str, Array] = field(default_factory=dict)
    places: Mapping[str, list[Place]] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Those of all of them."""
        return {k: a.shape for k, a in (self.inputs | self.parameters).items()}


def find_origins(
    tensors: Tensors,
    returned: Any,
    after: Any,
    source: Source | None,
    said: Mapping[str, str],
) -> dict[str, Origin]:
    """The origin of each gradient that is found.

    returned: what backward returned. after: the layer then. source: of backward; the names
    in its return then come before the order. said: what a teacher says.
    """
    found = {name: _said(text) for name, text in said.items()}
    there = {
        place: a
        for place, a in leaves_in(after)
        if isinstance(a, np.ndarray | float) and not _is_a_tensor(place, tensors)
    }
    by_name = gradient_places(
        {k: tensors.places[k] for k in tensors.parameters if k in tensors.places}, there
    )
    found = {k: Origin("layer", place) for k, place in by_name.items()} | found
    found = _in_returned(tensors, returned, source, found) | found
    return found | _of_inputs(tensors, there, found)


def _said(text: str) -> Origin:
    place = place_of(text)
    if place[0] == "returned":
        return Origin("returned", place[1:])
    return Origin("layer", place)


def _is_a_tensor(place: Place, tensors: Tensors) -> bool:
    """Whether a parameter is here, so that no gradient is."""
    return any(place in tensors.places.get(name, ()) for name in tensors.parameters)


def _in_returned(
    tensors: Tensors,
    returned: Any,
    source: Source | None,
    found: Mapping[str, Origin],
) -> dict[str, Origin]:
    """Those in what was returned: by keys, by the names in the return, by order."""
    found_there = [] if returned is None else numbers_in(returned)
    parts = [part for part in found_there if part[1] is not ...]
    written: Mapping[Place, str] = source.names_returned() if source else {}
    names = [
        next((k for k in reversed(place) if isinstance(k, str)), None)
        or written.get(place)
        for place, _ in parts
    ]
    asked = [k for k in tensors.shapes if k not in found or k in tensors.inputs]
    # a name alone says little: all of a batch may go by the name of grad
    by_name = match_names(asked, names) if len(parts) > 1 or _has_key(parts) else {}
    matched = {k: Origin("returned", parts[i][0]) for k, i in by_name.items()}
    rest = [part for i, part in enumerate(parts) if i not in by_name.values()]
    if matched and (isinstance(returned, Mapping) or len(parts) < len(found_there)):
        rest = []  # of a dict, or beside a loss, what has another name is something else
    others = [k for k in tensors.order if k not in matched]
    ordered = _by_order(tensors, rest, others, [*found, *matched])
    return matched | {k: Origin("returned", place) for k, place in ordered.items()}


def _has_key(parts: Sequence[tuple[Place, Any]]) -> bool:
    return any(isinstance(key, str) for place, _ in parts for key in place)


def _by_order(
    tensors: Tensors,
    parts: Sequence[tuple[Place, Any]],
    inputs: Sequence[str],
    found: Iterable[str],
) -> dict[str, Place]:
    """Those that are told by their position: of the inputs, then of the parameters."""
    checked = [k for k in inputs if k in tensors.inputs]
    if len(parts) < len(checked):
        checked.sort(key=lambda name: are_labels(name, 0))
    parameters = [k for k in tensors.parameters if k not in found]
    every = [k for k in tensors.parameters if k not in inputs]
    for more in ([], parameters, every):
        for names in ([*inputs, *more], [*checked, *more]):
            if len(names) == len(parts) and parts:
                pairs = zip(names, parts, strict=True)
                return {k: place for k, (place, _) in pairs if k in tensors.shapes}
    # fewer, or more: each goes to the next tensor of its shape
    given = [(place, np.shape(a)) for place, a in parts if a is not None]
    matched: dict[str, Place] = {}
    rest = iter([*checked, *parameters])
    for place, shape in given:
        for name in rest:
            if tensors.shapes[name] == shape:
                matched[name] = place
                break
    all_placed = len(matched) == min(len(given), len(checked) + len(parameters))
    return matched if all_placed else {}


def _of_inputs(
    tensors: Tensors, there: Mapping[Place, Any], found: Mapping[str, Origin]
) -> dict[str, Origin]:
    """Gradients of inputs that are left in attributes: self.dinputs."""
    lacking = [k for k in tensors.inputs if k not in found]
    flat = [place for place in there if len(place) <= 2]
    names = [str(place[-1]) for place in flat]
    by_name = match_names(lacking, [*names])
    matched = {k: flat[i] for k, i in by_name.items() if normal(names[i]) != normal(k)}
    for name in [k for k in lacking if k == tensors.order[0]]:
        for place in flat:
            usual = normal(place[-1]) in INPUT_GRADIENTS
            if usual and np.shape(there[place]) == tensors.shapes[name]:
                matched.setdefault(name, place)
    taken = {origin.place for origin in found.values() if origin.root == "layer"}
    return {k: Origin("layer", at) for k, at in matched.items() if at not in taken}


def value_at(
    origin: Origin, returned: Any, after: Any, before: Mapping[str, Array], name: str
) -> Any:
    """The gradient that is there."""
    if origin.root == "returned":
        for key in origin.place:
            returned = returned[key]
        return returned
    value = at(after, origin.place)
    return before[name] - value if origin.root == "update" else value


def describe_left(
    shape: tuple[int, ...],
    before: Any,
    after: Any,
    returned: Any,
    taken: Iterable[Origin],
) -> list[str]:
    """The arrays of a shape that backward changed or returned and that nobody has taken."""
    places = set(taken)
    old = {place: np.array(a) for place, a in leaves_in(before) if np.shape(a) == shape}
    left = [
        ".".join(map(str, place))
        for place, a in leaves_in(after)
        if np.shape(a) == shape
        and isinstance(a, np.ndarray)
        and Origin("layer", place) not in places
        and not (place in old and np.array_equal(old[place], a, equal_nan=True))
    ]
    parts = [] if returned is None else numbers_in(returned)
    return left + [
        str(Origin("returned", place))
        for place, a in parts
        if np.shape(a) == shape and Origin("returned", place) not in places
    ]
