"""Samplers: the order in which a DataLoader takes the items of a data set."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ..core.creation import as_tensor
from ..core.generator import Generator, default_generator
from ..errors import ArgumentError, DTypeError

T = TypeVar("T", covariant=True)


class Sampler(Generic[T]):
    """Indices, or lists of them. Subclasses define `__iter__` and, usually, `__len__`."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, … as many as there are items."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """num_samples indices (as many as there are items, unless given) in a random order.

    replacement: each is drawn from all; else all of them come before one comes again.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source, self.replacement = data_source, replacement
        self._num_samples, self.generator = num_samples, generator
        if not isinstance(replacement, bool):
            raise DTypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        _check_positive("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices there are in one pass."""
        given = self._num_samples
        return len(self.data_source) if given is None else given

    def __iter__(self) -> Iterator[int]:
        total, wanted, draw = len(self.data_source), self.num_samples, _of(self)
        if self.replacement:
            yield from draw.integers(total, size=wanted).tolist()
        else:
            rounds = (draw.permutation(total).tolist() for _ in itertools.count())
            endless = itertools.chain.from_iterable(rounds)
            yield from itertools.islice(endless, wanted)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in a random order."""

    def __init__(
        self, indices: Sequence[int], generator: Generator | None = None
    ) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in _of(self).permutation(len(self.indices)).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """num_samples indices, each drawn with a probability in proportion to its weight.

    replacement: an index may come again; else at most once.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_positive("num_samples", num_samples)
        _check_bool("replacement", replacement)
        self.weights = as_tensor(weights, dtype=np.float64)
        if self.weights.ndim != 1:
            raise ArgumentError(
                "weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples, self.replacement = num_samples, replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        weights, wanted = self.weights.numpy(), self.num_samples
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ArgumentError(
                "probability tensor contains either `inf`, `nan` or element < 0"
            )
        possible = int((weights > 0).sum())
        if possible < (1 if self.replacement else wanted):
            raise ArgumentError(
                f"{wanted} indices cannot be drawn: only {possible} have a weight above 0"
            )
        shares = weights / weights.sum()
        chosen = _of(self).choice(len(shares), wanted, self.replacement, shares)
        yield from chosen.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of batch_size indices of another sampler; drop_last: no shorter last one."""

    def __init__(
        self, sampler: Iterable[int], batch_size: int, drop_last: bool
    ) -> None:
        _check_positive("batch_size", batch_size)
        _check_bool("drop_last", drop_last)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        rest = iter(self.sampler)
        for batch in iter(lambda: list(itertools.islice(rest, self.batch_size)), []):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (rest > 0 and not self.drop_last)


def _of(sampler: Any) -> np.random.Generator:
    return (sampler.generator or default_generator).numpy


def _check_positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ArgumentError(
            f"{name} should be a positive integer value, but got {name}={value}"
        )


def _check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ArgumentError(f"{name} should be a boolean value, but got {name}={value}")
