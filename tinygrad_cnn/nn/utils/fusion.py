"""A batch normalisation in evaluation is linear: the layer before it can do its work."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from ...core.creation import ones_like, zeros_like
from ...core.engine import Tensor
from ...errors import ArgumentError, AutogradError
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)


def fuse_conv_bn_eval(conv: M, bn: Any, transpose: bool = False) -> M:
    """A copy of `conv` that gives bn(conv(x)); both are in evaluation.

    transpose: conv is the adjoint of a convolution.
    """
    return _fuse(conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: M, bn: Any) -> M:
    """A copy of `linear` that gives bn(linear(x)); both are in evaluation."""
    if bn.num_features not in (1, linear.out_features):
        raise ArgumentError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"{linear.out_features} and {bn.num_features}"
        )
    return _fuse(linear, bn, 0)


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of convolution and batch normalisation together."""
    figures = bn_rm, bn_rv, bn_eps, bn_w, bn_b
    return _fuse_weights(conv_w, conv_b, *figures, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of dense layer and batch normalisation together."""
    return _fuse_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fuse(layer: M, bn: Any, axis: int) -> M:
    if layer.training or bn.training:
        raise AutogradError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise ArgumentError("bn.running_mean and bn.running_var must not be None")
    fused = copy.deepcopy(layer)
    figures = bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    weight, bias = _fuse_weights(fused.weight, fused.bias, *figures, axis)
    fused.weight, fused.bias = weight, bias
    return fused


def _fuse_weights(
    w: Tensor,
    b: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    axis: int,
) -> tuple[Parameter, Parameter]:
    """γ (w x + b − mean) / √(var + ε) + β as w' x + b'; `axis` of w is the channels'."""
    asks = w.requires_grad, b is not None and b.requires_grad
    b = zeros_like(mean) if b is None else b
    factor = (ones_like(mean) if scale is None else scale) / (var + eps).sqrt()
    bias = (b - mean) * factor + (zeros_like(mean) if shift is None else shift)
    across = [-1 if i == axis else 1 for i in range(w.ndim)]
    weight = w * factor.reshape(across)
    return Parameter(weight.to(w.dtype), asks[0]), Parameter(bias.to(b.dtype), asks[1])
