"""Products of inputs with each other: attention, and the bilinear form."""

from __future__ import annotations

import math

import numpy as np

from ...core.creation import zeros
from ...core.engine import Tensor
from ...errors import ArgumentError, ShapeError
from .normalization import dropout


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(q kᵀ · scale + mask) v: q (…, L, E), k (…, S, E), v (…, S, V) to (…, L, V).

    attn_mask, broadcast to (…, L, S): bools, where only True takes part, or floats that are
    added. A query of which nothing takes part gives 0. is_causal: only keys up to the
    query's own place. dropout_p: of the softmax, always. scale: 1/√E unless given.
    enable_gqa: each head (axis −3) of k and v serves several of q.
    """
    if is_causal and attn_mask is not None:
        raise ArgumentError(
            "Explicit attn_mask should not be set when is_causal=True; leave one out"
        )
    if enable_gqa:
        key, value = (_repeat_heads(x, query.shape[-3]) for x in (key, value))
    if is_causal:
        places = query.shape[-2], key.shape[-2]
        attn_mask = Tensor._wrap(np.tri(*places, dtype=np.bool_))
    scores = attention_scores(query, key, as_added(attn_mask, query, keep=True), scale)
    if attn_mask is None:
        weights = scores.softmax(-1)
    else:
        empty = (scores == -math.inf).all(-1, keepdim=True)
        weights = scores.masked_fill(empty, 0).softmax(-1).masked_fill(empty, 0)
    return dropout(weights, dropout_p) @ value


def attention_scores(
    query: Tensor, key: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """q kᵀ · scale + mask, with scale 1/√E unless given."""
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else math.inf
    scores = (query * scale) @ key.transpose(-2, -1)
    return scores if mask is None else scores + mask


def as_added(mask: Tensor | None, like: Tensor, keep: bool) -> Tensor | None:
    """A mask of bools as numbers to add: 0 where it is `keep`, −∞ elsewhere."""
    if mask is None or mask.dtype != np.bool_:
        return mask
    blank = zeros(mask.shape, dtype=like.dtype)
    return blank.masked_fill(~mask if keep else mask, -math.inf)


def _repeat_heads(x: Tensor, heads: int) -> Tensor:
    *batch, own, length, size = x.shape
    if heads % own:
        raise ShapeError(f"{heads} heads of queries for {own} of keys and values")
    each = x.unsqueeze(-3).expand(*batch, own, heads // own, length, size)
    return each.reshape(*batch, heads, length, size)


def bilinear(
    input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """y_o = Σ_i Σ_j a_i w_oij b_j + bias_o, for a (…, I), b (…, J) and w (O, I, J)."""
    outputs, first, second = weight.shape
    if input1.shape[:-1] != input2.shape[:-1]:
        raise ShapeError(
            "bilinear(): input batch dimensions do not match: got "
            f"{list(input1.shape)} and {list(input2.shape)}"
        )
    if (input1.shape[-1], input2.shape[-1]) != (first, second):
        raise ShapeError(
            f"bilinear(): inputs of {input1.shape[-1]} and {input2.shape[-1]} features "
            f"for a weight {list(weight.shape)}"
        )
    a, b = input1.reshape(-1, first), input2.reshape(-1, second)
    rows = a @ weight.transpose(0, 1).reshape(first, outputs * second)
    y = (rows.reshape(-1, outputs, second) @ b.unsqueeze(-1)).squeeze(-1)
    y = y if bias is None else y + bias
    return y.reshape(*input1.shape[:-1], outputs)
