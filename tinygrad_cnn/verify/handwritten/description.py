"""What a teacher may say of code that cannot be read by its names.

description_Dense = {
    "setup": {"initialize": ("optimizer",)},
    "forward": "propagate", "backward": "learn",
    "takes": ("x", "g"),
    "output": "activations",
    "gradients": {"x": "returned", "W": "memory.dW"},
    "constant": ("labels",),
}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ...errors import ArgumentError
from .conventions import Place


@dataclass(frozen=True)
class Description:
    """How somebody's code is to be called, and where its outputs and gradients are.

    forward, backward: the names of the methods, or of functions of the file. An empty
    backward: forward returns (output, gradients).
    setup: methods to call once before, by name, each with a tuple of arguments;
    "optimizer" among them is a plain gradient descent with the learning rate 1.
    takes: what backward is called with, in order: "g", "cache", "output", the name of an
    input; anything else is passed as it is. output: the attribute that holds the output,
    or the position in what forward returns.
    gradients: where that of each tensor is: "returned", "returned.1", "returned.dW", or an
    attribute such as "grads.W". constant: inputs that need none.
    g: the gradient of the loss that backward is given: an array; "ones"; or "none" where
    it takes none. For both it is Σ output that is differentiated.
    loss: a function of (output, **inputs) that backward has in mind.
    derivative: whether backward returns f′, which is multiplied by g here.
    scale: what its gradients are to be multiplied by (the batch's N, where it means a sum
    and forward a mean).
    points: how many inputs are drawn, where `inputs` is a function. rtol, step: as
    `verify_pair`'s.
    """

    forward: str | None = None
    backward: str | None = None
    setup: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    takes: Sequence[Any] | None = None
    output: str | int | None = None
    gradients: Mapping[str, str] = field(default_factory=dict)
    constant: Sequence[str] = ()
    g: Any = None
    loss: Callable[..., Any] | None = None
    derivative: bool = False
    scale: float = 1.0
    points: int = 1
    rtol: float | None = None
    step: float | None = None

    @classmethod
    def of(cls, given: Any, name: str = "description") -> Description:
        """From a dict; ArgumentError names a key that there is not."""
        if isinstance(given, cls):
            return given
        known = {f.name for f in fields(cls)}
        unknown = [key for key in given or {} if key not in known]
        if unknown or not isinstance(given or {}, Mapping):
            raise ArgumentError(
                f"{name} is a dict of {', '.join(sorted(known))}; got "
                f"{', '.join(map(str, unknown)) or type(given).__name__}"
            )
        said = dict(given or {})
        if isinstance(said.get("constant"), str):
            said["constant"] = (said["constant"],)
        return cls(**said)


class PlainDescent:
    """An optimizer for layers that take one: update(w, g) = w − g."""

    lr = learning_rate = 1.0

    def update(self, w: Any, g: Any, *_: Any) -> Any:
        """One step of gradient descent at the learning rate 1."""
        return w - g


def place_of(text: str) -> Place:
    """A place as it is written: "grads.W", "returned.1"."""
    return tuple([int(key) if key.isdigit() else key for key in text.split(".")])
