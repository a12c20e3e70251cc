"""Batches of a data set, in an order that is a function of the seed and the epoch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ..core.generator import Generator, initial_seed, stream
from ..errors import ArgumentError
from .collate import default_collate, default_convert, gather, items
from .datasets import IterableDataset
from .samplers import BatchSampler, RandomSampler, SequentialSampler
from .transforms import drawing_from


class DataLoader:
    """Iterates over `dataset` in batches, as PyTorch's DataLoader.

    With `shuffle`, the order of epoch e is a function of (seed, e) alone, and what
    random transforms draw for its batch k one of (seed, e, k). `epoch` is the number of
    the epoch that the next `iter()` gives; each `iter()` adds one, `set_epoch` sets it.

    seed: None for the generator's or, without one, the process-wide seed
    (`manual_seed`) when an epoch begins. sampler: an iterable of indices, in place of
    shuffle. batch_sampler: an iterable of lists of indices, in place of batch_size,
    shuffle, sampler and drop_last. batch_size=None gives single items. drop_last leaves
    out a last batch that is not full. collate_fn: makes a list of items a batch.

    Accepted for PyTorch's sake and without effect: num_workers, timeout, worker_init_fn,
    multiprocessing_context, prefetch_factor, persistent_workers and in_order (batches
    are gathered in this process, vectorised), pin_memory and pin_memory_device.
    Raises ArgumentError for arguments that exclude each other or are out of range.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
    ) -> None:
        if num_workers < 0 or timeout < 0:
            raise ArgumentError("num_workers and timeout must not be negative")
        for_workers = {
            "multiprocessing_context": multiprocessing_context,
            "persistent_workers": persistent_workers or None,
            "prefetch_factor": prefetch_factor,
        }
        for name, value in for_workers.items():
            if value is not None and num_workers == 0:
                raise ArgumentError(f"{name} option needs num_workers > 0")
        if sampler is not None and shuffle:
            raise ArgumentError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        ):
            raise ArgumentError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, "
                "sampler, and drop_last"
            )
        if batch_size is None and drop_last:
            raise ArgumentError("batch_size=None gives single items: no drop_last")
        if batch_size is not None and batch_size < 1:
            raise ArgumentError(f"batch_size should be at least 1, not {batch_size}")
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable and (shuffle or sampler or batch_sampler):
            raise ArgumentError("an IterableDataset has its own order: no shuffle")
        self.dataset = dataset
        self.batch_size = None if batch_sampler is not None else batch_size
        self.shuffle = bool(shuffle)
        self._sampler, self._batch_sampler = sampler, batch_sampler
        self.num_workers, self.timeout = num_workers, timeout
        self.worker_init_fn, self.prefetch_factor = worker_init_fn, prefetch_factor
        self.persistent_workers, self.pin_memory = persistent_workers, pin_memory
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.generator = generator
        self.seed = seed
        self.epoch = 0

    @property
    def sampler(self) -> Any:
        """The sampler that was given, or one that stands for `shuffle`.

        The latter draws an order of its own: that of an epoch here is a function of the
        seed and the epoch.
        """
        if self._sampler is not None or self._iterable:
            return self._sampler
        if self.shuffle:
            return RandomSampler(self.dataset, generator=self.generator)
        return SequentialSampler(self.dataset)

    @property
    def batch_sampler(self) -> Any:
        """The batch sampler that was given, or one of `sampler`; None without batches."""
        if self._batch_sampler is not None or not self.batch_size or self._iterable:
            return self._batch_sampler
        return BatchSampler(self.sampler, self.batch_size, self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Make `epoch` the one that the next `iter()` gives."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        self.epoch += 1
        return self.batches(self.epoch - 1)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of an epoch from the one at position `start` on.

        Those before it are not built, and `self.epoch` stays as it is.
        """
        seed = self._choose_seed()
        chunks = itertools.islice(self._split(seed, epoch), start, None)
        for position, chunk in enumerate(chunks, start):
            # A generator of its own, made where a transform draws from it.
            with drawing_from(partial(stream, seed, epoch, position + 1)):
                batch = self._build(chunk)
            yield batch

    def __len__(self) -> int:
        """The number of batches; TypeError if the data set or sampler has no length."""
        if self._batch_sampler is not None:
            return len(self._batch_sampler)  # type: ignore[arg-type]
        items: Any = self.dataset if self._sampler is None else self._sampler
        full, rest = divmod(len(items), self.batch_size or 1)
        return full + (rest > 0 and not self.drop_last)

    def _choose_seed(self) -> int:
        if self.seed is not None:
            return self.seed
        return self.generator.initial_seed() if self.generator else initial_seed()

    def _split(self, seed: int, epoch: int) -> Iterator[Any]:
        """What each batch is built from: indices, or items of an IterableDataset."""
        if self._batch_sampler is not None:
            return iter(self._batch_sampler)
        rest, size = iter(self._order(seed, epoch)), self.batch_size
        if size is None:
            return rest
        chunks = iter(lambda: list(itertools.islice(rest, size)), [])
        return (c for c in chunks if len(c) == size) if self.drop_last else chunks

    def _order(self, seed: int, epoch: int) -> Iterable[Any]:
        if self._iterable:
            items: Iterable[Any] = self.dataset
            return items
        if self._sampler is not None:
            return self._sampler
        if not self.shuffle:
            return range(len(self.dataset))
        # The last number keeps this stream apart from those of the batches.
        order: list[int] = (
            stream(seed, epoch, 0).permutation(len(self.dataset)).tolist()
        )
        return order

    def _build(self, chunk: Any) -> Any:
        if self.batch_size is None and self._batch_sampler is None:
            item = chunk if self._iterable else self.dataset[chunk]
            return self.collate_fn(item) if self.collate_fn else default_convert(item)
        if self._iterable or self.collate_fn is not None:
            batch = chunk if self._iterable else items(self.dataset, chunk)
            return (self.collate_fn or default_collate)(batch)
        return gather(self.dataset, chunk)


def get_worker_info() -> None:
    """None, as in PyTorch's main process: there are no worker processes."""
