"""Medians, spreads and ratios of times."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Of several values: least, quartiles and greatest.

    Quartiles lie at (n − 1)/4, (n − 1)/2 and 3 (n − 1)/4 of the values in order, from 0,
    as NumPy's percentiles.
    """

    min: float
    lower: float
    median: float
    upper: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        if len(values) == 1:
            (one,) = values
            return cls(one, one, one, one, one)
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(min(values), lower, median, upper, max(values))


@dataclass(frozen=True)
class Ratio:
    """How many times as long as the other one takes.

    of_medians: the ratio of the medians. median: that of the ratios of each round, in
    which both met the same machine, with the quartiles of these.
    """

    of_medians: float
    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, seconds: Sequence[float], other: Sequence[float]) -> Ratio:
        """Of times in rounds, to those of another in the same rounds."""
        medians = statistics.median(seconds) / statistics.median(other)
        each = Spread.of([a / b for a, b in zip(seconds, other, strict=True)])
        return cls(medians, each.median, each.lower, each.upper)
