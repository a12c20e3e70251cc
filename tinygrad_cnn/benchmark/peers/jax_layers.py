"""The layers in JAX, to be compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cases import NORM_EPSILON
from ..layers import BatchNorm, Conv, Flatten, Layer, Linear, Pool, Relu, with_weights


def forward(layers: Sequence[Layer], weights: Sequence[Any], x: Any) -> Any:
    """The result, and the mean and unbiased variance of each batch normalisation."""
    import jax

    batches = []
    for layer, own in with_weights(layers, weights):
        if isinstance(layer, Conv):
            sides = [(layer.padding, layer.padding)] * 2
            axes = ("NCHW", "OIHW", "NCHW")
            x = jax.lax.conv_general_dilated(
                x, own[0], (1, 1), sides, dimension_numbers=axes
            )
            x = x + own[1][:, None, None]
        elif isinstance(layer, Linear):
            x = x @ own[0].T + own[1]
        elif isinstance(layer, BatchNorm):
            x, batch = normalised(x, *own)
            batches.append(batch)
        elif isinstance(layer, Relu):
            x = jax.nn.relu(x)
        elif isinstance(layer, Pool):
            window = (1, 1, layer.size, layer.size)
            low, largest = -jax.numpy.inf, jax.lax.max
            x = jax.lax.reduce_window(x, low, largest, window, window, "VALID")
        elif isinstance(layer, Flatten):
            x = x.reshape(len(x), -1)
        else:
            x = jax.nn.log_softmax(x)
    return x, batches


def normalised(x: Any, scale: Any, shift: Any) -> Any:
    """Batch normalisation, and the mean and the unbiased variance of the batch."""
    axes = (0, *range(2, x.ndim))
    along = [1, -1, *[1] * (x.ndim - 2)]
    mean, variance = x.mean(axes), x.var(axes)
    count = x.size // x.shape[1]
    deviation = (variance + NORM_EPSILON) ** 0.5
    y = (x - mean.reshape(along)) / deviation.reshape(along)
    y = y * scale.reshape(along) + shift.reshape(along)
    return y, (mean, variance * count / (count - 1))


def nll_loss(y: Any, labels: Any) -> Any:
    """The mean of −y at the labels."""
    import jax

    return -jax.numpy.take_along_axis(y, labels[:, None], 1).mean()
