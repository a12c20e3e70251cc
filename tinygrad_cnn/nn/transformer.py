"""Transformers: attention and two dense layers, each added to what it was given.

After "Attention Is All You Need" (Vaswani et al., 2017). Shapes and masks are those of
`MultiheadAttention`; norm_first normalises before each part instead of after it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.creation import zeros
from ..core.engine import Tensor
from ..errors import ArgumentError, ShapeError
from . import functional as F
from . import init, normalization
from .attention import MultiheadAttention
from .containers import ModuleList
from .layer import Dropout, Layer
from .linear import Linear
from .module import Module

Activation = str | Callable[[Tensor], Tensor]


class _TransformerLayer(Layer):
    """What the layers of encoder and decoder share: their parts, in order."""

    _attentions: tuple[str, ...]
    """Names of the attentions; after each, and after the dense layers, a norm."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made = {"device": device, "dtype": dtype}
        for name in self._attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, **made
            )
            self.add_module(name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **made)
        self.norm_first = norm_first
        parts = range(1, len(self._attentions) + 2)
        for i in parts:
            norm = normalization.LayerNorm(d_model, layer_norm_eps, bias=bias, **made)
            self.add_module(f"norm{i}", norm)
        for i in parts:
            self.add_module(f"dropout{i}", Dropout(dropout))
        named: dict[str, Callable[[Tensor], Tensor]]
        named = {"relu": F.relu, "gelu": F.gelu}
        if isinstance(activation, str) and activation not in named:
            raise ArgumentError(f"activation should be relu/gelu, not {activation}")
        function = named[activation] if isinstance(activation, str) else activation
        self.activation: Callable[[Tensor], Tensor] = function

    def _add(self, i: int, x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """x plus what the i-th part makes of it, normalised before or after."""
        norm, drop = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + drop(part(norm(x)))
        return norm(x + drop(part(x)))

    def _attend(
        self, name: str, x: Tensor, memory: Tensor, mask: Any, padding: Any
    ) -> Tensor:
        attention = getattr(self, name)
        return attention(
            x, memory, memory, padding, need_weights=False, attn_mask=mask
        )[0]

    def _dense(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_TransformerLayer):
    """Attention of src to itself, then linear2(activation(linear1(x)))."""

    _attentions = ("self_attn",)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        masks = src_mask, src_key_padding_mask
        x = self._add(1, src, lambda x: self._attend("self_attn", x, x, *masks))
        return self._add(2, x, self._dense)


class TransformerDecoderLayer(_TransformerLayer):
    """Attention of tgt to itself, then to memory, then linear2(activation(linear1(x)))."""

    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        own, other = (
            (tgt_mask, tgt_key_padding_mask),
            (memory_mask, memory_key_padding_mask),
        )
        x = self._add(1, tgt, lambda x: self._attend("self_attn", x, x, *own))
        x = self._add(2, x, lambda x: self._attend("multihead_attn", x, memory, *other))
        return self._add(3, x, self._dense)


class _Stack(Layer):
    """num_layers copies of a layer, and a norm after the last of them."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def _finish(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """num_layers copies of encoder_layer, and norm after them.

    enable_nested_tensor and mask_check say how PyTorch should save time; no matter here.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask)
        return self._finish(src)


class TransformerDecoder(_Stack):
    """num_layers copies of decoder_layer, and norm after them."""

    def __init__(
        self, decoder_layer: Module, num_layers: int, norm: Module | None = None
    ) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks)
        return self._finish(tgt)


class Transformer(Layer):
    """An encoder of src, and a decoder of tgt that looks at what it made.

    Weights start as Xavier's uniform. custom_encoder, custom_decoder: to be used instead.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        more = batch_first, norm_first, bias, device, dtype

        def make_norm() -> Module:
            made = {"device": device, "dtype": dtype}
            return normalization.LayerNorm(d_model, layer_norm_eps, bias=bias, **made)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*options, *more), num_encoder_layers, make_norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*options, *more), num_decoder_layers, make_norm()
        )
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def _reset_parameters(self) -> None:
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: Any = None, dtype: Any = None
    ) -> Tensor:
        """A mask (sz, sz) by which each place sees those up to itself: 0, else −∞."""
        above = Tensor._wrap(~np.tri(sz, dtype=np.bool_))
        blank = zeros(sz, sz, dtype=dtype, device=device)
        return blank.masked_fill(above, -math.inf)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        axis = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[axis] != tgt.shape[axis]:
            raise ShapeError(
                "the batch number of src and tgt must be equal: "
                f"{list(src.shape)} and {list(tgt.shape)}"
            )
        if {src.shape[-1], tgt.shape[-1]} != {self.d_model}:
            raise ShapeError(
                "the feature number of src and tgt must be equal to d_model, "
                f"{self.d_model}: {list(src.shape)} and {list(tgt.shape)}"
            )
        memory = self.encoder(src, src_mask, src_key_padding_mask)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        return self.decoder(tgt, memory, *masks)
