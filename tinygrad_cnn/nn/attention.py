"""Layers that multiply inputs with each other: attention of many heads, bilinear forms."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..core.creation import empty, zeros
from ..core.engine import Tensor
from ..core.methods.shape import cat
from ..errors import ArgumentError, DTypeError, ShapeError
from . import functional as F
from . import init
from .functional.attention import as_added, attention_scores
from .layer import Layer
from .linear import Linear
from .module import Module
from .parameter import Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear, under the name that PyTorch has for the last one of an attention."""


class MultiheadAttention(Module):
    """softmax(q kᵀ / √d) v in num_heads heads of d = embed_dim / num_heads features each.

    q, k and v are linear functions of query (L, N, embed_dim), key (S, N, kdim) and value
    (S, N, vdim), or (N, L, …) with batch_first, or without N; out_proj mixes the heads.
    in_proj_weight (3 embed_dim, embed_dim) holds the weights of all three; with another
    kdim or vdim there are q_proj_weight, k_proj_weight and v_proj_weight. Weights start as
    Xavier's uniform, that of out_proj as a Linear's, biases as 0.
    add_bias_kv: one more key and value, which are trained; add_zero_attn: one of 0.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ArgumentError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise ArgumentError(
                f"embed_dim must be divisible by num_heads: {embed_dim} by {num_heads}"
            )
        super().__init__()
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        self.dropout, self.batch_first = dropout, batch_first
        self.head_dim, self.add_zero_attn = embed_dim // num_heads, add_zero_attn
        together = self._qkv_same_embed_dim
        shapes: dict[str, tuple[int, ...] | None] = {
            "in_proj_weight": (3 * embed_dim, embed_dim) if together else None,
            "q_proj_weight": None if together else (embed_dim, embed_dim),
            "k_proj_weight": None if together else (embed_dim, self.kdim),
            "v_proj_weight": None if together else (embed_dim, self.vdim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            given = None if shape is None else empty(shape, dtype=dtype, device=device)
            parameter = None if given is None else Parameter(given)
            self.register_parameter(name, parameter)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias, device, dtype
        )
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name, p in self.named_parameters(recurse=False):
            if name.endswith("weight"):
                init.xavier_uniform_(p)
            elif name == "in_proj_bias":
                init.zeros_(p)
            else:
                init.xavier_normal_(p)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(output, weights): the output as query; the weights (N, L, S), or None.

        key_padding_mask (N, S) and attn_mask (L, S) or (N · num_heads, L, S): bools, where
        True is left out, or floats that are added. need_weights: give the weights, their
        mean over the heads, or with average_attn_weights False (N, num_heads, L, S).
        is_causal: a hint that attn_mask is causal; the mask itself is used.
        """
        self._check_inputs(query, key, value)
        if is_causal and attn_mask is None:
            raise ArgumentError("Need attn_mask if specifying the is_causal hint.")
        single = query.ndim == 2
        if single:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        mask = self._merge_masks(attn_mask, key_padding_mask, query, key)
        query, key, value = self._project(query, key, value)
        added = [(self.bias_k, self.bias_v)] if self.bias_k is not None else []
        if self.add_zero_attn:
            nothing = zeros(1, 1, self.embed_dim, dtype=key.dtype)
            added.append((nothing, nothing))
        for more_key, more_value in added:
            key, value = _append(key, more_key), _append(value, more_value)
            mask = None if mask is None else F.pad(mask, (0, 1))
        q, k, v = (self._split_heads(x) for x in (query, key, value))
        rate, weights = self.dropout if self.training else 0.0, None
        if need_weights:
            weights = F.dropout(attention_scores(q, k, mask).softmax(-1), rate)
            heads = weights @ v
        else:
            heads = F.scaled_dot_product_attention(q, k, v, mask, rate)
        output = self.out_proj(heads.transpose(1, 2).flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if single:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1), weights

    def _check_inputs(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = [list(x.shape) for x in (query, key, value)]
        if query.ndim not in (2, 3) or {key.ndim, value.ndim} != {query.ndim}:
            raise ShapeError(
                "query, key and value should be unbatched 2D or batched 3D, all three; got "
                f"{shapes}"
            )
        widths = [self.embed_dim, self.kdim, self.vdim]
        if [s[-1] for s in shapes] != widths or shapes[1][:-1] != shapes[2][:-1]:
            raise ShapeError(
                f"was expecting embedding dimension of {widths} for query, key and value, "
                f"and as many values as keys, but got shapes {shapes}"
            )

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        if self._qkv_same_embed_dim:
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        shared = self.in_proj_bias
        biases = (None,) * 3 if shared is None else shared.chunk(3)
        each = zip((query, key, value), weights, biases, strict=True)
        return [F.linear(x, w, b) for x, w, b in each]

    def _split_heads(self, x: Tensor) -> Tensor:
        """(N, L, embed_dim) to (N, num_heads, L, head_dim)."""
        heads = *x.shape[:2], self.num_heads, self.head_dim
        return x.reshape(heads).transpose(1, 2)

    def _merge_masks(
        self, mask: Tensor | None, padding: Tensor | None, query: Tensor, key: Tensor
    ) -> Tensor | None:
        """Both masks as one that is added to the scores (N, num_heads, L, S)."""
        for given in (mask, padding):
            if given is not None and given.dtype.kind not in "bf":
                raise DTypeError(
                    "only bool and floating types of attn_mask and key_padding_mask are "
                    f"supported, got {given.dtype}"
                )
        if mask is not None and padding is not None and mask.dtype != padding.dtype:
            warnings.warn(
                "Support for mismatched key_padding_mask and attn_mask is deprecated. Use "
                "same type for both instead.",
                stacklevel=4,
            )
        batch, places = len(query), (query.shape[1], key.shape[1])
        mask, padding = (as_added(m, query, keep=False) for m in (mask, padding))
        if mask is not None:
            batched = (batch * self.num_heads, *places)
            if mask.shape not in (places, batched):
                raise ShapeError(
                    f"The shape of the {mask.ndim}D attn_mask is {list(mask.shape)}, but "
                    f"should be {places if mask.ndim == 2 else batched}."
                )
            if mask.ndim == 3:
                mask = mask.reshape(batch, self.num_heads, *places)
        if padding is not None:
            padding = padding if padding.ndim == 2 else padding.unsqueeze(0)
            if padding.shape != (batch, places[1]):
                raise ShapeError(
                    f"Expected key_padding_mask of shape {[batch, places[1]]}, but got "
                    f"{list(padding.shape)}"
                )
            padding = padding.reshape(batch, 1, 1, places[1])
            mask = padding if mask is None else mask + padding
        return mask


def _append(x: Tensor, row: Tensor) -> Tensor:
    """x (N, S, E) with one more row (1, 1, E)."""
    return cat([x, row.expand(len(x), 1, x.shape[-1])], 1)


class Bilinear(Layer):
    """y_o = aᵀ W_o b + bias_o, of two inputs a (…, in1_features) and b (…, in2_features).

    weight (out_features, in1_features, in2_features) and bias (out_features) start uniform
    in ±1/√in1_features.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ArgumentError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        biases = Parameter(empty(out_features, dtype=dtype)) if bias else None
        self.register_parameter("bias", biases)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values, uniform in ±1/√in1_features."""
        bound = 1 / math.sqrt(self.in1_features)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
