"""What a check found, for people (a table), programs (dict, JSON) and CI (JUnit)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from ..output.text import (
    encode_json,
    format_columns,
    format_plural,
    format_shape,
    printable,
)
from .branches import Corner

LISTED = 5
"""How many kinks or wrong entries of a tensor the text names; the dict has all."""

OUTCOMES = (
    "wrong",
    "timed out",
    "crashed",
    "could not read",
    "unclear",
    "nearly right",
    "right",
)
"""What a report can come to, from the worst to the best."""


@dataclass(frozen=True)
class Worst:
    """The entry that is off most, and what the difference quotient there is worth."""

    index: tuple[int, ...]
    claimed: float
    numerical: float
    step: float
    truncation: float
    rounding: float


@dataclass(frozen=True)
class Kink:
    """An entry where no step keeps to one piece of the function: it proves nothing."""

    index: tuple[int, ...]
    corners: tuple[Corner, ...]

    def __str__(self) -> str:
        more = f" and {len(self.corners) - 1} more" if len(self.corners) > 1 else ""
        return f"{list(self.index)}: {self.corners[0]}{more}"


@dataclass(frozen=True)
class Diagnosis:
    """What a mistake looks like: a keyword, and a sentence."""

    kind: str
    sentence: str


@dataclass(frozen=True, eq=False)
class Values:
    """A gradient as it is claimed, and by differences; NaN where that was not measured."""

    claimed: NDArray[np.floating[Any]]
    measured: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TensorReport:
    """The gradient with respect to one tensor.

    checked: entries looked at one by one (kinks included); blocks: random projections that
    together cover every entry, in which an error above `sensitivity` in one entry shows.
    max_rel_error is relative to the tensor's largest gradient. low_precision: how far the
    float32 gradient is from the float64 one, relative to the same.
    """

    name: str
    shape: tuple[int, ...]
    checked: int = 0
    blocks: int = 0
    sensitivity: float = 0.0
    max_abs_error: float = 0.0
    max_rel_error: float = 0.0
    worst: Worst | None = None
    wrong: tuple[tuple[int, ...], ...] = ()
    tiny: bool = False
    """Whether all that is wrong is off by next to nothing, as by an ε."""
    unclear: int = 0
    vanishing: bool = False
    """Whether all of it is zero up to the rounding of the outputs."""
    kinks: tuple[Kink, ...] = ()
    never_computed: bool = False
    claimed_shape: tuple[int, ...] | None = None
    low_precision: float | None = None
    diagnosis: Diagnosis | None = None
    together: tuple[float, float] | None = None
    """Claimed and true slope along all entries at once, where that shows kinks wrong."""
    failure: str | None = None
    """Why there was no gradient to check: the backward pass raised, say."""
    unread: str | None = None
    """What of the code could not be read: what was found and looked for, what to add."""
    values: Values | None = field(default=None, repr=False, compare=False)
    """Of a wrong gradient, for pictures; in no dict."""

    @property
    def size(self) -> int:
        """How many entries the tensor has."""
        return math.prod(self.shape)

    @property
    def verdict(self) -> str:
        """right, zero, unused; or wrong, wrong shape, failed, unclear, all kinks.

        Or nearly right: wrong, but by next to nothing. Or could not read: then nothing is
        said of the gradient.
        """
        if self.failure is not None:
            return "failed"
        if self.unread is not None:
            return "could not read"
        if self.claimed_shape is not None:
            return "wrong shape"
        if self.wrong or self.together:
            return "nearly right" if self.tiny and not self.together else "wrong"
        if self.unclear:
            return "unclear"
        if self.checked and len(self.kinks) == self.checked:
            return "all kinks"
        if self.never_computed:
            return "unused"
        return "zero" if self.vanishing else "right"

    def __bool__(self) -> bool:
        return self.verdict in ("right", "zero", "unused")

    @property
    def is_wrong(self) -> bool:
        """Whether it was shown to be wrong, not only left open."""
        return self.verdict in ("wrong", "nearly right", "wrong shape", "failed")

    @property
    def coverage(self) -> str:
        """How many of the entries were checked, and how."""
        if any(v is not None for v in (self.claimed_shape, self.failure, self.unread)):
            return "none"
        if self.checked == self.size:
            return f"all {self.size:,}"
        sums = f", all in {self.blocks} sums" if self.blocks else ""
        return f"{self.checked:,} of {self.size:,}{sums}"

    def details(self) -> list[str]:
        """Lines on what is not plainly right."""
        lines = [text for text in (self.failure, self.unread) if text is not None]
        if self.claimed_shape is not None:
            lines.append(
                f"the gradient has shape {list(self.claimed_shape)}, the tensor "
                f"{list(self.shape)}"
            )
        if self.wrong:
            lines.append(
                f"{len(self.wrong):,} of {self.checked:,} entries"
                f"{' looked at' * (self.checked < self.size)} are wrong; the worst: "
                f"{self._worst()}"
            )
        if self.together:
            lines.append(
                "the kinks are wrong: with all entries moved alike, which keeps ties, the "
                "slope is claimed to be {:.9g}, and is {:.9g}".format(*self.together)
            )
        if self.never_computed and self.wrong:
            lines.append("no gradient arrived here at all, and it should")
        if self.unclear:
            lines.append(
                f"{self.unclear:,} entries are unclear: the differences are too noisy; "
                f"the worst: {self._worst()}"
            )
        if self.diagnosis:
            lines.append(self.diagnosis.sentence)
        if self.kinks:
            lines.append(f"{format_plural(len(self.kinks), 'kink')}, not counted:")
            lines += [f"    {kink}" for kink in self.kinks[:LISTED]]
            if len(self.kinks) > LISTED:
                lines.append(f"    and {len(self.kinks) - LISTED:,} more")
        return lines

    def _worst(self) -> str:
        w = self.worst
        if w is None:
            return "none"
        return (
            f"{list(w.index)}: claimed {w.claimed:.9g}, by differences {w.numerical:.9g} "
            f"± {w.truncation + w.rounding:.1e} (truncation {w.truncation:.0e}, rounding "
            f"{w.rounding:.0e}, step {w.step:.0e})"
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        values = asdict(replace(self, values=None))
        del values["values"]
        values["corners"] = [str(kink) for kink in self.kinks]
        values["kinks"] = [list(kink.index) for kink in self.kinks]
        return values | {"verdict": self.verdict, "size": self.size}


@dataclass(frozen=True)
class Culprit:
    """The first wrong operation of a network, checked alone with its real inputs."""

    operation: str
    module: str
    where: str
    reports: tuple[TensorReport, ...]

    def __str__(self) -> str:
        inside = f" in {self.module}" if self.module else ""
        return f"{self.operation}{inside} at {self.where}"


@dataclass
class Report:
    """The verdict on everything that was checked: true if all of it is right.

    Prints as a table; `to_dict`, `to_json` and `to_junit` convert it.
    """

    title: str
    tensors: list[TensorReport]
    culprit: Culprit | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    runs: int = 0
    seed: int = 0
    stopped: str | None = None
    """crashed or timed out, if the code ended before anything could be said."""

    def __bool__(self) -> bool:
        return bool(self.tensors) and all(self.tensors) and self.culprit is None

    def __getitem__(self, name: str) -> TensorReport:
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        known = ", ".join([tensor.name for tensor in self.tensors])
        raise ArgumentError(f"the report has no tensor {name!r}; it has {known}")

    @property
    def outcome(self) -> str:
        """right, nearly right, wrong, unclear, could not read, … (`OUTCOMES`).

        A gradient of which nothing but kinks was seen is unclear.
        """
        if self.stopped:
            return self.stopped
        if self:
            return "right"
        bad = [t for t in self.tensors if t.is_wrong]
        if bad or self.culprit:
            nearly = all(t.verdict == "nearly right" for t in bad) and not self.culprit
            return "nearly right" if nearly else "wrong"
        unread = [t for t in self.tensors if t.verdict == "could not read"]
        return "could not read" if unread or not self.tensors else "unclear"

    @property
    def diagnosis(self) -> Diagnosis | None:
        """What the first mistake looks like, where one was recognised."""
        tensors = [*self.tensors, *(self.culprit.reports if self.culprit else ())]
        return next((t.diagnosis for t in tensors if t.diagnosis), None)

    @property
    def summary(self) -> str:
        """The verdict in a line."""
        if self:
            kinks = sum(len(t.kinks) for t in self.tensors)
            but = f", {format_plural(kinks, 'kink')} not counted" if kinks else ""
            return f"{self.title}: every gradient checked is right{but}"
        bad = [f"{t.name} ({t.verdict})" for t in self.tensors if not t]
        return f"{self.title}: {', '.join(bad) or 'nothing was checked'}"

    def __str__(self) -> str:
        lines = [self.summary, *[f"note: {note}" for note in self.notes], ""]
        lines += table(self.tensors)
        for tensor in self.tensors:
            details = tensor.details()
            if details:
                lines += ["", f"{tensor.name}:", *[f"  {line}" for line in details]]
        if self.culprit:
            lines += ["", f"The first wrong operation is {self.culprit}"]
            for tensor in self.culprit.reports:
                if not tensor:
                    lines += [f"  gradient of its input {tensor.name}:"]
                    lines += [f"    {line}" for line in tensor.details()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        del values["stopped"]
        values["tensors"] = [t.to_dict() for t in self.tensors]
        if self.culprit:
            values["culprit"] = asdict(self.culprit) | {
                "reports": [t.to_dict() for t in self.culprit.reports]
            }
        verdict = {"right": bool(self), "outcome": self.outcome}
        return verdict | {"summary": self.summary, **values}

    def to_json(self) -> str:
        """The same as a JSON text; what is not finite becomes null."""
        return encode_json(self.to_dict())

    def to_junit(self) -> str:
        """A JUnit test suite with one case for each tensor."""
        return to_junit([self])


def to_junit(reports: Iterable[Report]) -> str:
    """JUnit XML with a test suite for each report."""
    suites = ElementTree.Element("testsuites")
    suites.extend([junit_suite(report) for report in reports])
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def junit_suite(report: Report) -> ElementTree.Element:
    """The `testsuite` element of one report, without characters that XML cannot hold."""
    title = printable(report.title)
    failures = sum(not t for t in report.tensors)
    suite = ElementTree.Element(
        "testsuite",
        name=title,
        tests=str(len(report.tensors)),
        failures=str(failures),
        time=f"{report.seconds:.3f}",
    )
    for tensor in report.tensors:
        name = printable(f"gradient of {tensor.name}")
        case = ElementTree.SubElement(suite, "testcase", classname=title, name=name)
        if not tensor:
            lines = [*tensor.details(), *[str(report.culprit)] * bool(report.culprit)]
            verdict = report.stopped or tensor.verdict
            failure = ElementTree.SubElement(case, "failure", message=verdict)
            failure.text = printable("\n".join(lines))
    return suite


def table(tensors: list[TensorReport]) -> list[str]:
    """One line for each tensor, in columns."""
    with_float32 = any(t.low_precision is not None for t in tensors)
    low = ["float32"] if with_float32 else []
    rows = [["tensor", "shape", "checked", "max error", "relative"]]
    rows[0] += ["truncation", "rounding", *low, "verdict"]
    for t in tensors:
        row = [t.name, format_shape(t.shape, "()"), t.coverage]
        row.append(f"{t.max_abs_error:.1e}")
        row.append("" if t.vanishing else f"{t.max_rel_error:.1e}")
        w = t.worst
        row += [f"{w.truncation:.0e}", f"{w.rounding:.0e}"] if w else ["", ""]
        if with_float32:
            known = t.low_precision is not None and not t.vanishing
            row.append(f"{t.low_precision:.1e}" if known else "")
        rows.append([*row, t.verdict])
    return format_columns(rows)
