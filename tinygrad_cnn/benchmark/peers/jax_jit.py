"""JAX, each step compiled as a whole by `jax.jit`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import BETAS, EPSILON, MOMENTUM, Case
from ..layers import (
    Array,
    Average,
    BatchNorm,
    Conv,
    Flatten,
    Layer,
    Linear,
    Pool,
    Relu,
    Residual,
    with_shapes,
)
from .base import Build, Program, Unsupported


def load() -> Build:
    """JAX on the processor.

    XLA has as many threads as it sees cores: it sees as many as the process is given.
    """
    if hasattr(os, "sched_setaffinity"):
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    jax.config.update("jax_platforms", "cpu")
    return build


def build(case: Case) -> Program:
    """The program of a case."""
    if case.epoch:
        raise Unsupported("it has no loader")
    if case.kind == "training":
        return Training(case)
    return inference(case) if case.kind == "inference" else gradients(case)


class Training(Program):
    """A training step: weights and the optimizer's state to new ones, and the loss."""

    def __init__(self, case: Case) -> None:
        self.data = jnp.asarray(case.images()), jnp.asarray(case.labels())
        weights = [jnp.asarray(w) for w in case.weights()]
        first, second = ([jnp.zeros_like(w) for w in weights] for _ in range(2))
        norms = [
            (jnp.zeros(before[0]), jnp.ones(before[0]))
            for layer, before, _ in with_shapes(case.layers, case.image)
            if isinstance(layer, BatchNorm)
        ]
        self.state = weights, first, second, jnp.zeros(()), norms
        self.compiled = jax.jit(partial(training_step, case), donate_argnums=0)

    def step(self) -> None:
        """Forward, loss, backward, update."""
        found = self.compiled(self.state, *self.data)
        self.state, self.last = jax.block_until_ready(found)

    def loss(self) -> float:
        """Of the last step."""
        return float(self.last)

    def arrays(self) -> list[Array]:
        """The weights."""
        return [np.asarray(w) for w in self.state[0]]


def training_step(case: Case, state: Any, images: Any, labels: Any) -> tuple[Any, Any]:
    """The new state, and the loss."""

    def loss_of(weights: Any) -> tuple[Any, Any]:
        y, batches = forward(case, weights, images)
        y = y if case.from_log_probabilities else jax.nn.log_softmax(y)
        return nll_loss(y, labels), batches

    weights, first, second, count, norms = state
    (loss, batches), g = jax.value_and_grad(loss_of, has_aux=True)(weights)
    moved = lambda old, new: old + BatchNorm.momentum * (new - old)
    norms = jax.tree.map(moved, norms, batches)
    new = update(case, weights, g, first, second, count + 1)
    return (*new, count + 1, norms), loss


def update(
    case: Case, weights: Any, g: Any, first: Any, second: Any, count: Any
) -> tuple[Any, Any, Any]:
    """New weights, and the new first and second state of the optimizer."""
    rate, (beta1, beta2), each = case.learning_rate, BETAS, jax.tree.map
    if case.optimizer != "adam":
        first = each(lambda m, g: MOMENTUM * m + g, first, g)
        return each(lambda w, m: w - rate * m, weights, first), first, second
    first = each(lambda m, g: beta1 * m + (1 - beta1) * g, first, g)
    second = each(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, g)

    def moved(w: Any, m: Any, v: Any) -> jax.Array:
        scale = jnp.sqrt(v / (1 - beta2**count)) + EPSILON
        return w - rate * m / (1 - beta1**count) / scale

    return each(moved, weights, first, second), first, second


class Compiled(Program):
    """A function that returns the loss, if there is one, and the arrays, compiled."""

    def __init__(self, function: Callable[..., Any], *inputs: Any) -> None:
        self.compiled = jax.jit(function)
        self.inputs = jax.tree.map(jnp.asarray, inputs)

    def step(self) -> None:
        """Call it."""
        self.found = jax.block_until_ready(self.compiled(*self.inputs))

    def loss(self) -> float | None:
        """Of the last step."""
        loss, _ = self.found
        return None if loss is None else float(loss)

    def arrays(self) -> list[Array]:
        """The output, unless it is the loss, and the gradients."""
        return [np.asarray(array) for array in self.found[1]]


def inference(case: Case) -> Program:
    """The output."""
    output = lambda x, weights: (None, [forward(case, weights, x)[0]])
    return Compiled(output, case.images(), case.weights())


def gradients(case: Case) -> Program:
    """An operation or a chain, forward and back to all its inputs."""
    is_loss = case.from_log_probabilities

    def value(x: Any, weights: Any) -> jax.Array:
        if case.kind == "chain":
            # A thousand operations in a row would take a minute to compile.
            times = lambda x, _: (x * weights[0], None)
            return jax.lax.scan(times, x, None, case.length)[0]
        y, _ = forward(case, weights, x)
        return nll_loss(y, case.labels()) if is_loss else y

    def forward_and_back(x: Any, weights: Any, g: Any) -> tuple[Any, list[Any]]:
        y, back = jax.vjp(value, x, weights)
        of_x, of_weights = back(g)
        found = [of_x, *of_weights]
        return (y, found) if is_loss else (None, [y, *found])

    given = np.ones((), np.float32) if is_loss else case.gradient()
    return Compiled(forward_and_back, case.images(), case.weights(), given)


def forward(case: Case, weights: Sequence[Any], x: Any) -> tuple[Any, list[Any]]:
    """The result, and the mean and unbiased variance of each batch normalisation."""
    batches: list[Any] = []
    return apply(case.layers, iter(weights), x, batches), batches


def apply(
    layers: Sequence[Layer], weights: Iterator[Any], x: Any, batches: list[Any]
) -> Any:
    """The result; weights are taken, and what batches were like is appended."""
    for layer in layers:
        own = [next(weights) for _ in layer.weights(x.shape[1:])]
        if isinstance(layer, Residual):
            y = apply(layer.layers, weights, x, batches)
            x = y + apply(layer.shortcut, weights, x, batches)
        elif isinstance(layer, Conv):
            x = convolve(layer, x, *own)
        elif isinstance(layer, Linear):
            x = x @ own[0].T + own[1]
        elif isinstance(layer, BatchNorm):
            x, batch = normalise(x, *own)
            batches.append(batch)
        elif isinstance(layer, Relu):
            x = jax.nn.relu(x)
        elif isinstance(layer, Pool):
            window = (1, 1, layer.size, layer.size)
            largest = jax.lax.max
            x = jax.lax.reduce_window(x, -jnp.inf, largest, window, window, "VALID")
        elif isinstance(layer, Average):
            x = x.mean((2, 3), keepdims=True)
        elif isinstance(layer, Flatten):
            x = x.reshape(len(x), -1)
        else:
            x = jax.nn.log_softmax(x)
    return x


def convolve(layer: Conv, x: Any, filters: Any, bias: Any = 0.0) -> Any:
    """The convolution, with its bias if it has one."""
    sides, steps = [(layer.padding, layer.padding)] * 2, (layer.stride, layer.stride)
    groups = layer.groups
    y = jax.lax.conv_general_dilated(
        x, filters, steps, sides, feature_group_count=groups
    )
    return y + bias[:, None, None] if layer.bias else y


def normalise(x: Any, scale: Any, shift: Any) -> tuple[Any, tuple[Any, Any]]:
    """Batch normalisation, and the mean and the unbiased variance of the batch."""
    axes = (0, *range(2, x.ndim))
    along = [1, -1, *[1] * (x.ndim - 2)]
    mean, variance = x.mean(axes), x.var(axes)
    count = x.size // x.shape[1]
    deviation = (variance + BatchNorm.epsilon) ** 0.5
    y = (x - mean.reshape(along)) / deviation.reshape(along)
    y = y * scale.reshape(along) + shift.reshape(along)
    return y, (mean, variance * count / (count - 1))


def nll_loss(y: Any, labels: Any) -> jax.Array:
    """The mean of −y at the labels."""
    return -jnp.take_along_axis(y, labels[:, None], 1).mean()
