"""JAX, each step compiled as a whole by `jax.jit`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from ..cases import BETAS, EPSILON, LEARNING_RATES, MOMENTUM, NORM_MOMENTUM, Case
from ..layers import Array, BatchNorm, with_weights
from .base import Program, version
from .jax_layers import forward, nll_loss

LIBRARY = "jax"


def available() -> str | None:
    """The version, or None."""
    return version("jax") and version("jaxlib")


def build(case: Case) -> Program:
    """The program of a case."""
    _confine(int(os.environ.get("OMP_NUM_THREADS", "1")))
    import jax

    jax.config.update("jax_platforms", "cpu")
    kinds: dict[str, Callable[[Case], Program]] = {
        "training": Training,
        "inference": Inference,
    }
    return kinds.get(case.kind, Gradients)(case)


def _confine(threads: int) -> None:
    """XLA has as many threads as it sees cores: let it see no more than `threads`."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])


class Training:
    """A training step: weights and the optimizer's state to new ones, and the loss."""

    def __init__(self, case: Case) -> None:
        import jax

        self.data = jax.numpy.asarray(case.images()), jax.numpy.asarray(case.labels())
        weights = [jax.numpy.asarray(w) for w in case.weights()]
        zeros = [jax.numpy.zeros_like(w) for w in weights]
        copies = [jax.numpy.zeros_like(w) for w in weights]
        norms = [
            (jax.numpy.zeros_like(w[0]), jax.numpy.ones_like(w[0]))
            for layer, w in with_weights(case.layers, weights)
            if isinstance(layer, BatchNorm)
        ]
        self.state = weights, zeros, copies, jax.numpy.zeros(()), norms
        self.compiled = jax.jit(_training_step(case), donate_argnums=0)

    def step(self) -> None:
        """Forward, loss, backward, update."""
        import jax

        found = self.compiled(self.state, *self.data)
        self.state, self.last = jax.block_until_ready(found)

    def loss(self) -> float:
        """Of the last step."""
        return float(self.last)

    def arrays(self) -> list[Array]:
        """The weights."""
        return _arrays(self.state[0])


def _training_step(case: Case) -> Callable[..., Any]:
    """(state, images, labels) -> (state, loss)."""
    import jax

    def loss_of(weights: Any, images: Any, labels: Any) -> Any:
        y, batches = forward(case.layers, weights, images)
        y = y if case.from_log_probabilities else jax.nn.log_softmax(y)
        return nll_loss(y, labels), batches

    def step(state: Any, images: Any, labels: Any) -> Any:
        weights, first, second, count, norms = state
        (loss, batches), g = jax.value_and_grad(loss_of, has_aux=True)(
            weights, images, labels
        )
        norms = [
            tuple(r + NORM_MOMENTUM * (b - r) for r, b in zip(old, new, strict=True))
            for old, new in zip(norms, batches, strict=True)
        ]
        new = update(case, weights, g, first, second, count + 1)
        return (*new, count + 1, norms), loss

    return step


def update(
    case: Case, weights: Any, g: Any, first: Any, second: Any, count: Any
) -> tuple[Any, Any, Any]:
    """New weights, and the new first and second state of the optimizer."""
    import jax

    rate, (beta1, beta2), each = LEARNING_RATES[case.optimizer], BETAS, jax.tree.map
    if case.optimizer != "adam":
        first = each(lambda m, g: MOMENTUM * m + g, first, g)
        return each(lambda w, m: w - rate * m, weights, first), first, second
    first = each(lambda m, g: beta1 * m + (1 - beta1) * g, first, g)
    second = each(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, g)

    def moved(w: Any, m: Any, v: Any) -> Any:
        scale = jax.numpy.sqrt(v / (1 - beta2**count)) + EPSILON
        return w - rate * m / (1 - beta1**count) / scale

    return each(moved, weights, first, second), first, second


class Inference:
    """The output."""

    def __init__(self, case: Case) -> None:
        import jax

        self.images = jax.numpy.asarray(case.images())
        self.weights = [jax.numpy.asarray(w) for w in case.weights()]
        self.compiled = jax.jit(lambda w, x: forward(case.layers, w, x)[0])

    def step(self) -> None:
        """Forward."""
        self.output = self.compiled(self.weights, self.images).block_until_ready()

    def loss(self) -> None:
        """None."""

    def arrays(self) -> list[Array]:
        """The output."""
        return _arrays([self.output])


class Gradients:
    """An operation or a chain, forward and back to all its inputs."""

    def __init__(self, case: Case) -> None:
        import jax

        self.is_loss = case.from_log_probabilities
        x, weights = case.images(), case.weights()
        self.inputs = jax.tree.map(jax.numpy.asarray, (x, weights))

        def value(x: Any, weights: Any) -> Any:
            if case.kind == "chain":
                # A thousand operations in a row would take a minute to compile.
                times = jax.lax.scan(
                    lambda x, _: (x * weights[0], None), x, None, case.length
                )
                return times[0]
            y, _ = forward(case.layers, weights, x)
            return nll_loss(y, case.labels()) if self.is_loss else y

        ones = jax.numpy.ones
        chain = ones(x.shape) if case.kind == "chain" else case.gradient
        given = ones(()) if self.is_loss else chain
        self.given = jax.numpy.asarray(given() if callable(given) else given)

        def both(x: Any, weights: Any, g: Any) -> Any:
            y, back = jax.vjp(value, x, weights)
            return y, back(g)

        self.compiled = jax.jit(both)

    def step(self) -> None:
        """Forward, backward."""
        import jax

        found = self.compiled(*self.inputs, self.given)
        self.y, self.gradients = jax.block_until_ready(found)

    def loss(self) -> float | None:
        """Of the last step."""
        return float(self.y) if self.is_loss else None

    def arrays(self) -> list[Array]:
        """The output, unless it is the loss, and the gradients."""
        x, weights = self.gradients
        return _arrays([*([] if self.is_loss else [self.y]), x, *weights])


def _arrays(values: Sequence[Any]) -> list[Array]:
    import numpy as np

    return [np.asarray(value) for value in values]
