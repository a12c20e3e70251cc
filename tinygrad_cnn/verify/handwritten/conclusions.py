"""What follows from a reading: what is checked, what is not, and what is to be noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..check import cotangents_for
from ..report import TensorReport
from ..subject import Array
from . import conventions, gradients
from .callables import twin_of
from .conventions import are_labels, at, normal

if TYPE_CHECKING:
    from .reader import Reader


class Conclusions:
    """What is said of a subject that has been read."""

    def __init__(self, reader: Reader) -> None:
        self.reader, self.subject, self.tensors = reader, reader.subject, reader.tensors
        self.backward_name = reader.backward_name

    def conclude(self) -> None:
        """Say what is checked, what is not, and what the reader should know."""
        subject, tensors, found = self.subject, self.tensors, self.subject.origins
        before, twin = twin_of(subject.layer), twin_of(subject.layer)
        subject.forward(before)
        returned, _ = subject.backward(twin)
        lacking = [k for k in tensors.inputs if k not in found]
        labels = [k for k in lacking if are_labels(k, tensors.inputs[k])]
        lacking = [
            k
            for k in lacking
            if k not in labels and self.reader.matters(tensors.inputs[k])
        ]
        settings = [k for k in lacking if k not in tensors.order]
        lacking = [k for k in lacking if k in tensors.order]
        of_parameters = any(k in tensors.parameters for k in found)
        is_model = subject.code.role == "gradient" and of_parameters
        is_model = is_model or not subject.code.backward
        unnamed = [
            k for k in tensors.parameters if k not in found and self.reader.params
        ]
        fixed = [] if self.reader.params else self._find_constants()
        others = [k for k in tensors.parameters if k in found]
        lost, unread = [], []
        for name in [*([] if is_model else lacking), *tensors.parameters]:
            if name in {*found, *unnamed, *fixed}:
                continue
            left = gradients.describe_left(
                tensors.shapes[name], before, twin, returned, found.values()
            )
            last = normal(name.rpartition(".")[2]).rstrip("s")
            if left or name in lacking or not (others or last in conventions.WEIGHTS):
                text = self._looked_for(name, left)
                unread.append(TensorReport(name, tensors.shapes[name], unread=text))
            else:
                lost.append(name)
        chosen = {k: a for k, a in tensors.parameters.items() if k in {*found, *lost}}
        inputs = tensors.inputs.items()
        unread += self._tell_exchanged()
        dropped = {*labels, *lacking, *settings, *self.reader.exchanged}
        subject.unread = unread
        subject.arrays = {
            k: x for k, x in (*inputs, *chosen.items()) if k not in dropped
        }
        updated = [k for k, origin in found.items() if origin.root == "update"]
        self._note(
            {
                "not checked, since params does not name them:": unnamed,
                "labels, which need no gradient:": labels,
                "not checked, since no gradient of it is found:": settings,
                "the update at the learning rate 1 is taken for the gradient of": updated,
                "parameters are updated before what is computed with them, the gradient "
                "of": self._find_moving() if updated and subject.rates else [],
                "no gradient was found: no attribute of a usual name (dW, grad_W, W_grad, "
                'grads["W"]), nothing returned, no update; of': lost,
                "taken for constants, since there is no gradient of": [
                    k for k in fixed if not self._is_part(k)
                ],
                "not checked: a model gives the gradients of its parameters; those of": (
                    lacking if is_model else []
                ),
                f"{self.backward_name} returns nothing; if none is wanted, as in a first "
                "layer, check the others only; no gradient of": (
                    lacking if returned is None and not is_model else []
                ),
                "added to the gradient of the call before:": self._find_accumulated(
                    twin
                ),
                "all zeros or ones, where mistakes can hide, and so drawn anew:": [
                    name for name, array in chosen.items() if redraw_constant(array)
                ],
            }
        )
        if subject.arrays:
            outputs = subject.run().outputs
            subject.gradients(cotangents_for(outputs, np.random.default_rng(0)))

    def _note(self, noted: Mapping[str, Sequence[str]]) -> None:
        notes = [f"{text} {', '.join(names)}" for text, names in noted.items() if names]
        if self.subject.reading.note:
            notes.append(f"{self.backward_name}: {self.subject.reading.note}")
        self.subject.notes = notes

    def _find_constants(self) -> list[str]:
        """Parameters without a gradient that need none.

        Parts of others, statistics, and what a loss has, if none of it has a gradient.
        """
        of_parameters = self.tensors.parameters.keys() & self.subject.origins
        return [
            name
            for name in self.tensors.parameters
            if name not in self.subject.origins
            and (
                self._is_part(name)
                or not (
                    of_parameters or any(y.size > 1 for y in self.reader.first.outputs)
                )
                or any(word in normal(name) for word in conventions.STATISTICS)
            )
        ]

    def _is_part(self, name: str) -> bool:
        """Whether it is a view of a parameter that has a gradient."""
        parameters = self.tensors.parameters
        found = [parameters[k] for k in self.subject.origins if k in parameters]
        return any(np.shares_memory(parameters[name], other) for other in found)

    def _looked_for(self, name: str, left: Sequence[str]) -> str:
        """What was looked for, what was found, and the line to add."""
        last = name.rpartition(".")[2]
        found = f"{', '.join(left)} of" if left else "no array of"
        return (
            f"no gradient of {name} was found: looked for d{last}, grad_{last}, "
            f"{last}_grad, grads[{last!r}] and in what {self.backward_name} returns; "
            f"{self.backward_name} left {found} its shape "
            f"{list(self.tensors.shapes[name])}; say where it is: description = "
            f'{{"gradients": {{"{name}": "{left[0] if left else "…"}"}}}}, or that none '
            f'is wanted: description = {{"constant": ["{name}"]}}'
        )

    def _tell_exchanged(self) -> list[TensorReport]:
        """The reports on gradients that are returned in another order than the inputs."""
        if not self.reader.exchanged:
            return []
        order = ", ".join([k for k in self.tensors.shapes if k in self.subject.origins])
        where = {k: str(origin) for k, origin in self.reader.exchanged.items()}
        text = (
            f"{self.backward_name} returns gradients in another order than {order}: by the "
            "names in its return they are right, and for who takes them in that order they "
            f'are exchanged; if this is meant: description = {{"gradients": {where}}}'
        )
        shapes = self.tensors.shapes
        return [TensorReport(k, shapes[k], unread=text) for k in self.reader.exchanged]

    def _find_moving(self) -> list[str]:
        """The gradients returned that change with the learning rate."""
        subject = self.subject
        cotangents = cotangents_for(subject.run().outputs, np.random.default_rng(0))
        fast = subject.gradients(cotangents)
        rates, subject.rates = subject.rates, dict.fromkeys(subject.rates, 0.0)
        still = subject.gradients(cotangents)
        subject.rates = rates
        returned = [k for k, o in subject.origins.items() if o.root == "returned"]
        pairs = {k: (fast.get(k), still.get(k)) for k in returned}
        return [
            k
            for k, (a, b) in pairs.items()
            if a is not None and b is not None and not np.array_equal(a, b)
        ]

    def _find_accumulated(self, twin: Any) -> list[str]:
        """The gradients that a second backward adds to those of the first."""
        subject = self.subject
        if any("zero" in name or "reset" in name for name in dir(subject.layer)):
            return []  # it has a method to set them to zero
        kept = {
            k: origin.place
            for k, origin in subject.origins.items()
            if origin.root == "layer" and k not in subject.inputs
        }
        first = {k: np.array(at(twin, place)) for k, place in kept.items()}
        subject.backward(twin)
        return [
            name
            for name, place in kept.items()
            if first[name].any() and np.allclose(at(twin, place), 2 * first[name])
        ]


def redraw_constant(array: Array) -> bool:
    """Move an array of zeros or of ones to random values near by; whether it was one."""
    constant = bool(np.all(array == 0) or np.all(array == 1))
    if constant:
        array += np.random.default_rng(array.size).uniform(-0.5, 0.5, array.shape)
    return constant
