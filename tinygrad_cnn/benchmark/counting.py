"""How many multiply-adds a case asks for, counted from its layers."""

from __future__ import annotations

import math

from .cases import Case
from .layers import Conv, Layer, Linear, Shape, with_shapes


def of_layer(layer: Layer, before: Shape, after: Shape) -> int:
    """The multiply-adds of one image going forward through a layer.

    Those of convolutions and dense layers: each result meets the inputs of its cell.
    Products with the zeros of a padding count; biases, pooling, activations and
    normalisation, which no matrix product computes, do not.
    """
    if isinstance(layer, Conv):
        return math.prod(after) * before[0] * layer.kernel**2
    if isinstance(layer, Linear):
        return after[0] * before[0]
    return 0


def multiply_adds(case: Case) -> int:
    """The multiply-adds of one step on the whole batch.

    Going back, each layer needs as many again for the gradient of its weight, and as
    many for that of its input. Images need no gradient, so the first layer of a network
    has only the former; an operation alone is asked for all its gradients. A chain
    multiplies once per number forward and twice back, and adds one of its gradients up.
    """
    if case.kind == "chain":
        return 3 * case.length * case.batch * math.prod(case.image)
    each = [of_layer(*shapes) for shapes in with_shapes(case.layers, case.image)]
    counts = [count for count in each if count]
    total = sum(counts)
    if case.kind != "inference":
        total *= 3
    if case.kind == "training":
        total -= counts[0]
    return total * case.batch
