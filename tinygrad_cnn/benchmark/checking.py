"""Whether a peer computes the same: only then is its time worth anything."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from .cases import Case
from .layers import Array

STEPS = 3
"""Steps whose losses and effects are compared."""

LOSS = 1e-5
"""The losses may differ by so much, relative to 1 plus the loss."""
TOLERANCES = {"training": 5e-3, "model": 5e-3}
"""How far arrays may be apart, ‖a − b‖ / ‖b‖, each array by itself.

Of training, a and b are not the weights but what the steps added to them; what rounding the
sums explains does not count. A value on a kink may fall on either side of it by a rounding,
which changes a gradient for good.
"""
TOLERANCE = 1e-4
"""Of the other kinds, which have no kinks, or pass them once."""


def pack(array: Any) -> dict[str, Any]:
    """An array as JSON values, float32 in base64; every bit of it arrives."""
    plain = np.array(array, np.float32, order="C")
    return {"shape": plain.shape, "data": base64.b64encode(plain.tobytes()).decode()}


def unpack(packed: dict[str, Any]) -> Array:
    """The array that `pack` made this of."""
    values = np.frombuffer(base64.b64decode(packed["data"]), np.float32)
    return values.reshape(packed["shape"])


class Numbers:
    """What a peer has computed: a loss per step, and arrays."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.losses: list[float | None] = answer["losses"]
        self.arrays = [unpack(packed) for packed in answer["arrays"]]


def disagreement(case: Case, found: Numbers, expected: Numbers) -> str | None:
    """What differs by more than rounding, in words; None if nothing does."""
    for step, (a, b) in enumerate(zip(found.losses, expected.losses, strict=True), 1):
        if a is None or b is None:
            continue
        if not abs(a - b) / (1 + abs(b)) <= LOSS:
            return f"the loss of step {step} is {a:.6g}, not {b:.6g}"
    shapes = [[a.shape for a in of.arrays] for of in (found, expected)]
    if shapes[0] != shapes[1]:
        return f"its arrays have the shapes {shapes[0]}, not {shapes[1]}"
    starts: Sequence[Any] = [0] * len(expected.arrays)
    if case.kind == "training":
        starts = case.weights()
    limit = case.tolerance or TOLERANCES.get(case.kind, TOLERANCE)
    triples = zip(found.arrays, expected.arrays, starts, strict=True)
    for place, (x, y, start) in enumerate(triples, 1):
        apart = distance(x, y, start)
        if not apart <= limit:
            name = f"array {place} of {len(starts)}, {list(y.shape)},"
            return f"{name} differs by {apart:.2g} of its norm; {limit:g} is allowed"
    return None


def distance(a: Array, b: Array, start: Any = 0) -> float:
    """‖a − b‖ / ‖b − start‖ in double precision; 0 where both are the same.

    They are the same where rounding explains what is between them: each step has added to
    `start` in float32, and both may have rounded by half a place each time.
    """
    double = np.float64
    rounding = STEPS * float(np.finfo(np.float32).eps * np.linalg.norm(start))
    apart = float(np.linalg.norm(a.astype(double) - b))
    if apart <= rounding:
        return 0.0
    size = float(np.linalg.norm(b.astype(double) - start))
    return apart / size if size else apart
