"""Sequences of different lengths as one Tensor: padded, or packed step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ...core.creation import full, tensor
from ...core.engine import Tensor
from ...core.methods.shape import cat, stack
from ...errors import ArgumentError, DTypeError, ShapeError


class PackedSequence(NamedTuple):
    """Sequences without padding, the longest first: all first steps, all second ones, …

    data: (sum of lengths, …). batch_sizes: how many sequences have a step t, falling.
    sorted_indices: the order that put the longest first, None if they came so;
    unsorted_indices: the order back. Made by `pack_padded_sequence`.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """With `data.to(…)`."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def float(self) -> Self:
        """With data of float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """With data of float64."""
        return self.to(np.float64)

    def cpu(self) -> Self:
        """Itself."""
        return self

    @property
    def is_cuda(self) -> bool:
        """False."""
        return False


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The first lengths[n] steps of each sequence n of input (L, N, …), packed.

    batch_first: input is (N, L, …). enforce_sorted: the longest comes first already.
    """
    steps = input.transpose(0, 1) if batch_first else input
    sizes = np.array(lengths, np.int64)
    if sizes.shape != steps.shape[1:2]:
        raise ShapeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} "
            f"(batch_size={steps.shape[1]})"
        )
    if (sizes < 1).any() or (sizes > len(steps)).any():
        raise ArgumentError(
            "Length of all samples has to be greater than 0, and at most that of the "
            f"input, {len(steps)}; got {sizes.tolist()}"
        )
    order = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        steps, sizes = steps[:, order], sizes[order]
    elif (np.diff(sizes) > 0).any():
        raise ArgumentError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is "
            "True. You can pass `enforce_sorted=False` to pack_padded_sequence and/or "
            "pack_sequence to sidestep this requirement"
        )
    step, sequence = np.nonzero(np.arange(sizes.max())[:, None] < sizes)
    orders = (None, None) if order is None else (order, np.argsort(order))
    return PackedSequence(
        steps[step, sequence],
        tensor(np.bincount(step)),
        *[None if o is None else tensor(o) for o in orders],
    )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`: (padded, lengths).

    total_length: how many steps there are then, at least as many as the longest has.
    """
    data, sizes = sequence.data, sequence.batch_sizes.numpy()
    longest = len(sizes) if total_length is None else total_length
    if longest < len(sizes):
        raise ArgumentError(
            "Expected total_length to be at least the length of the longest sequence in "
            f"input, but got total_length={longest} and max sequence length being "
            f"{len(sizes)}"
        )
    present = np.arange(sizes[0]) < sizes[:, None]
    lengths = present.sum(0)
    place = np.full((longest, sizes[0]), len(data))
    place[: len(sizes)][present] = np.arange(len(data))
    # One more row, of padding, for the places that none is at.
    padding = full((1, *data.shape[1:]), padding_value, dtype=data.dtype)
    padded = cat([data, padding])[place]
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices.numpy()
        padded, lengths = padded[:, back], lengths[back]
    return padded.transpose(0, 1) if batch_first else padded, tensor(lengths)


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (L_n, …) as one Tensor (max L_n, N, …), or (N, max L_n, …)."""
    if padding_side not in ("left", "right"):
        raise ArgumentError(f"padding_side is 'left' or 'right', got {padding_side!r}")
    if not isinstance(sequences, Sequence | Tensor):
        raise DTypeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    longest, padded = max(map(len, sequences)), []
    for x in sequences:
        missing = (longest - len(x), *x.shape[1:])
        both = [x, full(missing, padding_value, dtype=x.dtype)]
        padded.append(cat(both if padding_side == "right" else both[::-1]))
    return stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Any, batch_first: bool = False
) -> list[Tensor]:
    """The inverse of `pad_sequence`: the first lengths[n] steps of each."""
    each = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[: int(n)] for x, n in zip(each, lengths, strict=True)]


def pack_sequence(
    sequences: Sequence[Tensor], enforce_sorted: bool = True
) -> PackedSequence:
    """Sequences (L_n, …), packed; see `pack_padded_sequence`."""
    lengths = [len(x) for x in sequences]
    padded = pad_sequence(sequences)
    return pack_padded_sequence(padded, lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of `pack_sequence`."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The order that undoes this one."""
    return None if permutation is None else tensor(np.argsort(permutation.numpy()))


def split_rows(x: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """x cut along its first axis into pieces of these sizes.

    It is halved again and again: the gradient of a piece is as large as what it was cut
    from, so n pieces cut from the whole would cost n times its memory.
    """
    if len(sizes) <= 8:
        return list(x.split(list(sizes)))
    half = len(sizes) // 2
    rows = sum(sizes[:half])
    pieces = split_rows(x[:rows], sizes[:half])
    return [*pieces, *split_rows(x[rows:], sizes[half:])]
