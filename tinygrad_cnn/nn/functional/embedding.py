"""Rows of a table, by their numbers: one each, or a bag of them together."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.creation import tensor
from ...core.engine import Tensor
from ...core.methods.arithmetic import where
from ...core.recording import no_grad, told_reader
from ...errors import ArgumentError, DTypeError, IndexingError, ShapeError


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """weight[input]: indices (…) and a table (num_embeddings, d) give (…, d).

    The gradient of a row is the sum over the places that read it; the row `padding_idx`
    gets none. max_norm: rows that are read and longer, in the norm `norm_type`, are first
    shortened to it, in place. Refuses scale_grad_by_freq and sparse gradients.
    """
    check_options(scale_grad_by_freq, sparse)
    if weight.ndim != 2:
        raise ShapeError(f"weight is (num_embeddings, d), got {list(weight.shape)}")
    padding = check_padding(padding_idx, weight.shape[0])
    _check_indices(input, weight)
    if max_norm is not None:
        _shorten(weight, np.unique(input._array), max_norm, norm_type)
    # One index alone would give a view.
    rows = weight[input] if input.ndim else weight[input.reshape(1)].squeeze(0)
    if padding is not None:
        rows = where((input == padding).unsqueeze(-1), rows.detach(), rows)
    return rows


def check_options(scale_grad_by_freq: bool, sparse: bool) -> None:
    """Refuse what is not available of an embedding's gradient."""
    for name, value in [("scale_grad_by_freq", scale_grad_by_freq), ("sparse", sparse)]:
        if value:
            raise ArgumentError(
                f"{name}=True is not available: the gradient of an embedding is dense, "
                f"the plain sum over all uses of a row; leave {name}=False"
            )


def check_padding(padding_idx: int | None, rows: int) -> int | None:
    """padding_idx counted from the start; ArgumentError outside the table."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise ArgumentError(
            f"padding_idx must be within num_embeddings: {padding_idx} of {rows}"
        )
    return padding_idx % rows


def _check_indices(input: Tensor, weight: Tensor) -> None:
    if weight.ndim != 2:
        raise ShapeError(f"'weight' must be 2-D, got {list(weight.shape)}")
    if input.dtype not in (np.int32, np.int64):
        raise DTypeError(f"indices are int64 or int32, got {input.dtype}; use .long()")
    indices, rows = input._array, weight.shape[0]
    if indices.size and not 0 <= indices.min() <= indices.max() < rows:
        raise IndexingError(
            f"index out of range in self: {indices.min()} … {indices.max()} in a table of "
            f"{rows} rows"
        )


@no_grad()
def _shorten(weight: Tensor, rows: Any, max_norm: float, norm_type: float) -> None:
    lengths = np.linalg.norm(weight._array[rows], norm_type, axis=1, keepdims=True)
    scale = np.where(lengths > max_norm, max_norm / (lengths + 1e-7), 1)
    weight[rows] = weight[rows] * tensor(scale.astype(weight.dtype))


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum (`mode`) of each bag of rows; of an empty bag 0.

    Indices (B, n) are B bags of n. Indices (N) are cut into bags that begin at `offsets`
    (B), or at all but the last of them, which is N, with include_last_offset.
    per_sample_weights: a factor for each index, with "sum". padding_idx does not count.
    """
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise ArgumentError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
            f"supported for mode='sum' (got mode='{mode}')"
        )
    key, present = _bags(input, offsets, include_last_offset)
    padding = check_padding(padding_idx, weight.shape[0])
    if padding is not None:
        present = present & (input._array.reshape(-1)[key] != padding)
    if not key.size:
        return weight[:0].sum(0).expand(len(key), weight.shape[1]).clone()
    indices, mask = input.reshape(-1)[key], tensor(present).unsqueeze(-1)
    options = max_norm, norm_type, scale_grad_by_freq, sparse
    rows = embedding(indices, weight, None, *options)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1)[key].unsqueeze(-1)
    if mode == "max":
        largest = rows.masked_fill(~mask, -np.inf).max(1).values
        return largest.masked_fill(~mask.any(1), 0)
    total = rows.masked_fill(~mask, 0).sum(1)
    if mode == "sum":
        return total
    return total / tensor(np.maximum(present.sum(1, keepdims=True), 1))


def _bags(input: Tensor, offsets: Tensor | None, last: bool) -> tuple[Any, Any]:
    """Which indices are in each bag: places (B, longest), and which of these count."""
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError(
                "if input is 2D, then offsets has to be None, as input is treated as a "
                "mini-batch of fixed length sequences"
            )
        places = np.arange(input.numel()).reshape(input.shape)
        return places, np.ones(input.shape, bool)
    if input.ndim != 1 or offsets is None or offsets.ndim != 1:
        raise ShapeError(
            "input has to be a 2D Tensor, or 1D with offsets of 1D; got "
            f"{list(input.shape)} and {offsets if offsets is None else offsets.shape}"
        )
    told_reader("the offsets of an embedding bag")
    ends = offsets._array if last else np.append(offsets._array, len(input))
    if (
        not len(ends)
        or ends[0] != 0
        or (np.diff(ends) < 0).any()
        or ends[-1] > len(input)
    ):
        raise ArgumentError(
            f"offsets rise from 0 to {len(input)} at most, got {offsets}"
        )
    lengths = np.diff(ends)
    steps = np.arange(lengths.max(initial=0))
    present = steps < lengths[:, None]
    return np.where(present, ends[:-1, None] + steps, 0), present
