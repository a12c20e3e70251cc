"""Cases and arrays as JSON values, for the pipes between the processes."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np

from . import layers
from .cases import Case
from .layers import Array


def pack(array: Any) -> dict[str, Any]:
    """An array as float32 in base64, with its shape; every bit of it arrives."""
    plain = np.array(array, np.float32, order="C")
    return {"shape": plain.shape, "data": base64.b64encode(plain.tobytes()).decode()}


def unpack(packed: dict[str, Any]) -> Array:
    """The array that `pack` made this of."""
    values = np.frombuffer(base64.b64decode(packed["data"]), np.float32)
    return values.reshape(packed["shape"])


def values_of(case: Case) -> dict[str, Any]:
    """A case as JSON values; a layer is its class and its fields."""
    values = {f.name: getattr(case, f.name) for f in dataclasses.fields(case)}
    found = [(type(layer).__name__, vars(layer)) for layer in case.layers]
    return values | {"layers": found}


def case_of(values: dict[str, Any]) -> Case:
    """The case that `values_of` made these of."""
    made = tuple([getattr(layers, name)(**kept) for name, kept in values["layers"]])
    return Case(**values | {"layers": made, "image": tuple(values["image"])})
