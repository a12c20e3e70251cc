"""Every operation, with the derivation of its gradients; an import registers them all."""

from . import (
    activation,
    arithmetic,
    classification,
    convolution,
    cumulative,
    elementary,
    gelu,
    linear,
    normalization,
    pooling,
    reduction,
    resampling,
    selection,
    shape,
)
from .base import Op, Operand, registry

__all__ = [
    "Op",
    "Operand",
    "activation",
    "arithmetic",
    "classification",
    "convolution",
    "cumulative",
    "elementary",
    "gelu",
    "linear",
    "normalization",
    "pooling",
    "reduction",
    "registry",
    "resampling",
    "selection",
    "shape",
]
