"""Reading somebody's code: its parameters, how backward is called, where gradients are."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, TinygradError
from ..check import cotangents_for
from ..difference import with_values
from ..subject import Array
from . import conventions, foreign, gradients
from .callables import Functions, twin_of
from .conclusions import Conclusions
from .conventions import Place, at, dotted, leaves_in, normal
from .foreign import ForeignError, is_float
from .gradients import Origin, Tensors
from .reading import Asked, Reading, is_upstream, possible, said_by
from .source import Source

if TYPE_CHECKING:
    from .pair import CodeSubject


@dataclass
class Trial:
    """A way to call backward, and where the gradients are then.

    doubt: how far names speak against it. named: whether gradients were told by their names
    in the return statement, and not by their order. fits: whether all have the shapes of
    their tensors.
    """

    doubt: float
    reading: Reading
    origins: dict[str, Origin]
    named: bool = False
    fits: bool = True


CLOSE = 0.45
"""Readings whose doubts differ by no more are about as likely."""

DOUBTFUL = 0.8
"""A reading of more doubt must have a gradient that is right, or nothing is said of it."""


def read(subject: CodeSubject, params: Mapping[str, str] | None) -> None:
    """Find out how this code is to be called, and what of it is checked.

    Sets the subject's rates, reading, origins, arrays, notes and unread. Raises
    ForeignError if the code raises whatever it is given, and ArgumentError if it cannot be
    read at all.

    Some layers make their parameters in their first forward: then it is the layer after it
    that is checked, if what was made there has a gradient. What has none is a state.
    """
    cold = subject.layer
    subject.layer = twin_of(cold)
    subject.forward(subject.layer)
    known = {place for place, _ in leaves_in(cold)}
    try:
        warm = Reader(subject, params)
        made = [
            name
            for name in warm.tensors.parameters
            if not known & {*warm.tensors.places[name]}
        ]
        if made and warm.find_reading() and {*made} & subject.origins.keys():
            Conclusions(warm).conclude()
            return
    except TinygradError:  # it cannot run twice
        pass
    subject.layer, subject.reading, subject.draws = cold, Reading(), True
    reader = Reader(subject, params)
    reader.find_reading()
    Conclusions(reader).conclude()


class Reader:
    """What is known of a subject while it is read."""

    def __init__(self, subject: CodeSubject, params: Mapping[str, str] | None) -> None:
        self.subject, self.params = subject, params
        self.forward_name, self.backward_name = subject.code.names
        forward, backward = subject.code.functions
        order, self.names = map(foreign.parameter_names, (forward, backward))
        # LeakyReLU's slope is called alpha, too
        subject.rates = {
            k: 1.0
            for k in self.names
            if normal(k) in conventions.RATES and k not in order
        }
        given = copy.deepcopy(subject.inputs)
        self.first = subject.forward(twin_of(subject.layer), given)
        subject.changed = [
            name
            for name, x in subject.inputs.items()
            if is_float(x) and not np.array_equal(x, given[name], equal_nan=True)
        ]
        self.tensors = self._find_tensors()

    def find_reading(self) -> bool:
        """Take the likeliest reading; of several, the first whose gradients are right."""
        found = [trial for way in self._readings() for trial in self._try(*way)]
        fitting = [trial for trial in found if isinstance(trial, Trial)]
        failures = [trial for trial in found if isinstance(trial, TinygradError)]
        if not fitting:
            raise failures[0] if failures else self._no_way()
        in_order = [trial for trial in fitting if not trial.named] or fitting
        whole = [trial for trial in in_order if trial.fits] or in_order
        least = min(trial.doubt for trial in whole)
        if least > DOUBTFUL:
            best = max(whole, key=self._count_right)
            if self._count_right(best) <= 0:
                raise self._no_way()
        else:
            close = [trial for trial in whole if trial.doubt <= least + CLOSE]
            best = max(close, key=self._count_right) if close[1:] else close[0]
        self.exchanged = self._find_exchanged(best, fitting)
        self.subject.reading, self.subject.origins = best.reading, best.origins
        return True

    def _find_exchanged(
        self, best: Trial, fitting: Sequence[Trial]
    ) -> dict[str, Origin]:
        """Where the gradients are by their names, if so all are right, and in order not."""
        by_name = [t for t in fitting if t.named and t.reading == best.reading]
        if not by_name or by_name[0].origins == best.origins:
            return {}
        count = len(best.origins)
        if self._count_right(best) < count == self._count_right(by_name[0]):
            named = by_name[0].origins
            return {k: o for k, o in named.items() if best.origins.get(k) != o}
        return {}

    # -------------------------------------------------------------------- parameters

    def _find_tensors(self) -> Tensors:
        """The inputs, and the parameters that the outputs depend on."""
        subject = self.subject
        after = twin_of(subject.layer)
        subject.forward(after)
        places = _lasting(subject.layer, after)
        parameters = {
            name: array
            for name, found in places.items()
            if self.matters(array := at(subject.layer, found[0]))
        }
        clash = [k for k in parameters if k in subject.inputs]
        if clash:
            raise ArgumentError(
                f"{subject.name}: an input and a parameter are both called {clash[0]}; "
                "give the inputs in a dict, by other names"
            )
        inputs = dict(subject.arrays)
        order = [
            dotted((k, *place))
            for k, whole in subject.inputs.items()
            for place, x in foreign.arrays_in(whole)
            if not isinstance(whole, dict) and (is_float(x) or not place)
        ]
        return Tensors(inputs, order, parameters, places)

    def matters(self, array: Array) -> bool:
        """Whether the outputs depend on this array."""
        run = self.subject.run
        others = array + np.random.default_rng(0).uniform(0.1, 0.5, array.shape)
        try:
            after = with_values(array, slice(None), others.ravel(), run).outputs
        except ForeignError:
            return True
        return not all(map(np.array_equal, run().outputs, after))

    # ---------------------------------------------------------------------- readings

    def _readings(self) -> Iterator[tuple[float, Reading]]:
        """All ways to call backward that come into question, and the doubt of each."""
        subject, first = self.subject, self.first
        said, code = subject.said, subject.code
        is_number = sum(y.size for y in first.outputs) == 1
        if said.takes is not None:
            gives = "derivative" if said.derivative else "gradient"
            yield 0.0, said_by(said.takes, subject.inputs, gives)
        elif not code.backward:
            ways = ("gradient",) if is_number else ("derivative", "sum", "mean")
            yield from [(0.0, Reading((), gives)) for gives in ways]
        else:
            title = normal(
                subject.name + self.forward_name + type(subject.layer).__name__
            )
            yield from possible(
                Asked(
                    self._wanted(is_number),
                    list(subject.inputs),
                    code.role,
                    len(first.outputs),
                    is_number,
                    is_loss=any(word in title for word in conventions.LOSS_WORDS),
                    is_method=not isinstance(subject.layer, Functions),
                    has_cache=first.cache is not first.raw,
                    may_cache=first.cache is not first.raw
                    or isinstance(first.raw, tuple),
                )
            )

    def _wanted(self, is_number: bool) -> list[str]:
        """The arguments that backward is given: those it requires, and inputs, and g."""
        subject = self.subject
        required = foreign.required_names(subject.code.functions[1])
        if required == ["*"]:
            return required
        g_lacks = not is_number and set(required) <= set(subject.inputs)
        wanted = [
            k
            for k in self.names
            if k in required or k in subject.inputs or (g_lacks and is_upstream(k))
        ]
        unasked = (*subject.rates, subject.code.flag)
        return [k for k in wanted if k not in unasked]

    def _try(self, doubt: float, reading: Reading) -> Iterator[Trial | TinygradError]:
        """Where the gradients are, read so, or what went wrong; nothing if nothing fits.

        By the order in which they are returned, and if they have names by these.
        """
        subject, twin = self.subject, twin_of(self.subject.layer)
        subject.reading = reading
        try:
            returned, _ = subject.backward(twin)
        except ForeignError as error:
            yield error
            return
        except ArgumentError:  # forward leaves no output
            return
        if self.params:
            self._require_places(self.params, twin)
        said = dict(self.params or {}) | dict(subject.said.gradients)
        in_order = self._find(returned, twin, None, said)
        by_name = self._find(returned, twin, subject.source, said)
        if not in_order and not by_name:
            yield self._nothing_found(returned)
            return
        # where the order places fewer, names decide
        main = in_order if len(in_order) >= len(by_name) else by_name
        for origins in (main, by_name) if by_name != main else (main,):
            fits = [self._fits(k, o, returned, twin) for k, o in origins.items()]
            if any(fits) or reading.gives == "gradient":  # a wrong shape is a finding
                named = origins is not main
                yield Trial(doubt, reading, origins, named, all(fits))

    def _find(
        self, returned: Any, twin: Any, source: Source | None, said: Mapping[str, str]
    ) -> dict[str, Origin]:
        origins = gradients.find_origins(self.tensors, returned, twin, source, said)
        for name, array in self.tensors.parameters.items():
            place = self.tensors.places[name][0]
            changed = not np.array_equal(array, at(twin, place), equal_nan=True)
            if name not in origins and changed:
                origins[name] = Origin("update", place)
        return origins

    def _fits(self, name: str, origin: Origin, returned: Any, twin: Any) -> bool:
        """Whether what is found may be a gradient, or a derivative, of this tensor."""
        tensors, gives = self.tensors, self.subject.reading.gives
        arrays, shape = tensors.inputs | tensors.parameters, tensors.shapes[name]
        value = gradients.value_at(origin, returned, twin, arrays, name)
        if value is None:
            return False
        if gives == "derivative":
            output = self.first.outputs[0].shape
            size = math.prod(output), math.prod(shape)
            return np.shape(value) in (output, (*output, *shape[-1:]), size)
        return np.shape(value) == shape

    def _count_right(self, trial: Trial) -> int:
        """How many of the gradients are right along one random direction."""
        subject, rng, right = self.subject, np.random.default_rng(0), 0
        subject.reading, subject.origins = trial.reading, trial.origins
        before = subject.arrays
        subject.arrays = before | self.tensors.parameters
        try:
            weights = cotangents_for(subject.run().outputs, rng)
            for name, claim in subject.gradients(weights).items():
                x = subject.arrays[name]
                if claim is not None and claim.shape == x.shape:
                    d = np.asarray(rng.normal(size=x.shape))
                    slope = self._slope(x, d, weights)
                    claimed = float(np.sum(claim * d))
                    larger = max(abs(slope), abs(claimed))
                    right += abs(slope - claimed) <= 1e-2 * larger
        except (TinygradError, ValueError, TypeError, IndexError, KeyError):
            return right - 1
        finally:
            subject.arrays = before
        return right

    def _slope(self, x: Array, d: Array, weights: Sequence[Array]) -> float:
        """Of Σ ⟨weights, outputs⟩ along d, roughly: float32 will do."""
        h = 1e-4 * max(float(np.max(np.abs(x), initial=0)), 1.0)
        up, down = [
            with_values(
                x, slice(None), (x + step * d).ravel(), self.subject.run
            ).outputs
            for step in (h, -h)
        ]
        pairs = zip(weights, up, down, strict=True)
        return sum(float(np.sum(v * (a - b))) for v, a, b in pairs) / (2 * h)

    # ------------------------------------------------------------------------- refusals

    def _require_places(self, params: Mapping[str, str], twin: Any) -> None:
        there = {
            dotted(p): None
            for p, a in leaves_in(twin)
            if isinstance(a, np.ndarray | float)
        }
        missing = [k for k in params if k not in self.tensors.places]
        missing += [g for g in params.values() if g not in there]
        if missing:
            raise ArgumentError(
                f"{self.subject.name} has no {', '.join(missing)}, which params names; it "
                f"has {', '.join(there) or 'no arrays'}"
            )

    def _nothing_found(self, returned: Any) -> ArgumentError:
        if not self.tensors.shapes:
            return ArgumentError(
                f"{self.subject.name}: no input is a floating array, and there is no "
                "parameter"
            )
        parts = [] if returned is None else foreign.numbers_in(returned)
        shapes = ", ".join([str(list(np.shape(a))) for _, a in parts])
        return ArgumentError(
            f"{self.subject.name}: {self.backward_name} returned {len(parts)} gradients"
            f"{', of shapes ' * bool(parts)}{shapes}, where one each of "
            f"{', '.join(self.tensors.order)} is expected, in that order (labels may be "
            'left out); or say where they are: description = {"gradients": {"x": "…"}}'
        )

    def _no_way(self) -> ArgumentError:
        inputs = ", ".join(self.subject.inputs)
        return ArgumentError(
            f"{self.subject.name}: no telling how to call "
            f"{self.backward_name}({', '.join(self.names)}) after "
            f"{self.forward_name}({inputs}); expected (g), (g, learning_rate), (g, cache) "
            "if forward returns (y, cache), g and the inputs, or only the inputs, for a "
            'loss; or say it: description = {"takes": ("g", "x", …)}'
        )


def _lasting(before: Any, after: Any) -> dict[str, list[Place]]:
    """All places of each floating array that is the same in both, by the first of them."""
    places: dict[int, list[Place]] = {}
    for place, a in leaves_in(before):
        if is_float(a) and np.array_equal(a, at(after, place), equal_nan=True):
            places.setdefault(id(a), []).append(place)
    return {dotted(found[0]): found for found in places.values()}
