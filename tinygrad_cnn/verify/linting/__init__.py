"""Lint: mistakes that show in the recorded graph of one batch, or in a training loop.

    lint(model, images, labels)     runs the model on a batch, as training would
    lint(loss)                      looks at what is recorded behind a loss
    watch(optimizer)                watches the steps of a training loop

Each check is a generator of findings, a function of the graph; `CHECKS` lists them. What
a finding says stands in `finding.TEXTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...core.engine import Tensor
from ...errors import AutogradError, DTypeError
from ...nn import Module
from . import layers, scores
from .finding import Finding as Finding
from .finding import Findings as Findings
from .graph import Graph, run
from .watching import watch as watch

__all__ = ["Finding", "Findings", "lint", "watch"]

CHECKS: tuple[Callable[[Graph], Iterator[Finding]], ...] = (
    scores.loss_not_finite,
    scores.values_of_another_kind,
    scores.log_of_softmax,
    scores.nll_without_log_softmax,
    layers.no_gradient,
    layers.dead_relu,
    layers.bias_before_batch_norm,
    layers.linear_after_linear,
    layers.dtype_changed,
)


def lint(
    target: Tensor | Module,
    inputs: Any = None,
    labels: Any = None,
    *,
    loss: Callable[..., Tensor] | None = None,
    model: Module | None = None,
) -> Findings:
    """Look for mistakes in the graph behind a loss.

    target: a loss that was computed, or a model, which is run on `inputs` (a Tensor, or a
    tuple of arguments) in training mode and stays as it was: its buffers and modes, and
    the state of the random generators.
    loss: of (output, labels), or of the output where labels is None; by default the
    model's attribute `loss`, else cross_entropy.
    model: names the parameters of a loss that was computed, and says which there are.

    Values that a check needs are computed again, from the parameters as they are now.
    Raises DTypeError for another target, ArgumentError for a model without inputs or
    labels, AutogradError for a loss that was not recorded.
    """
    trace = None
    if isinstance(target, Module):
        model = target
        result, trace = run(target, inputs, labels, loss)
    elif isinstance(target, Tensor):
        result = target
    else:
        got = type(target).__name__
        raise DTypeError(f"lint takes a loss (a Tensor) or a model, got {got}")
    if result._node is None and model is None:
        raise AutogradError(
            "there is no graph behind this loss: nothing that it was computed from "
            "requires a gradient, or it was computed within no_grad()"
        )
    graph = Graph(result, model, trace)
    found = Findings(dict.fromkeys(one for check in CHECKS for one in check(graph)))
    found.looked_at, found.notes = f"{len(graph.records)} operations", graph.notes
    if model is not None:
        name = type(model).__name__
        found.looked_at += f" and {len(graph.names)} parameters of {name}"
    return found
