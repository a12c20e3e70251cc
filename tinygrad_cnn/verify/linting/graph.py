"""What the checks look at: the records behind a loss, and a run that makes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...core.engine import Node, Record, Tensor
from ...core.recording import (
    Where,
    enable_grad,
    grad_enabled,
    module_path,
    observer,
    setting,
)
from ...core.replaying import nodes_of, replay
from ...core.running import unchanged
from ...errors import ArgumentError
from ...nn import Module
from ...nn.lazy import require_shapes
from ...nn.loss import loss_of
from ...nn.utils.stateless import functional_call
from ...ops.base import Op, Value


@dataclass(eq=False)
class Step:
    """One operation of the run, whether a gradient was recorded or not."""

    inputs: list[Value]
    result: Value
    module: str
    where: Where
    recorded: bool


def run(
    model: Module, inputs: Any, labels: Any, loss: Callable[..., Tensor] | None
) -> tuple[Tensor, list[Step]]:
    """The loss of one batch and all operations on the way; the model stays as it was."""
    if inputs is None or (labels is None and loss is None):
        raise ArgumentError(
            "to run a model, lint needs inputs, and labels or a loss of the output alone"
        )
    require_shapes(model)
    trace: list[Step] = []

    def note(op: Op, arrays: list[Value], y: Value, kept: Any) -> None:
        recorded = grad_enabled.get()
        trace.append(Step(arrays, y, module_path.get(), Where(), recorded))

    # The checks look at what this run did to its buffers, so these are copies.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with unchanged(model), setting(observer, note), enable_grad():
        model.train()
        output = functional_call(model, buffers, inputs)
        result = loss_of(model, output, labels, loss)
    return result, trace


class Graph:
    """The records behind a loss, as the checks want to see them."""

    def __init__(
        self, loss: Tensor, model: Module | None, trace: list[Step] | None
    ) -> None:
        self.loss, self.trace = loss, trace
        self.names = names_of(model)
        self.nodes = nodes_of([loss])
        self.records = [node for node in self.nodes if isinstance(node, Record)]
        self.leaves = {n: None for n in self.nodes if isinstance(n, Tensor)}
        self.uses: dict[Node, list[Record]] = defaultdict(list)
        for record in self.records:
            for parent in record.parents:
                if parent is not None:
                    self.uses[parent].append(record)
        self.notes: list[str] = []

    @cached_property
    def values(self) -> dict[Record, tuple[list[Value], Value]]:
        """The inputs and the result of each record."""
        leaves: dict[Node, Value] = {leaf: leaf._array for leaf in self.leaves}
        with np.errstate(all="ignore"):
            steps = replay(self.nodes, leaves)
            return {record: (inputs, y) for record, _, inputs, y in steps}

    @cached_property
    def flow(self) -> set[Step]:
        """The operations whose results went into the loss, with or without a gradient."""
        wanted, flow = {id(self.loss._array)}, set()
        for step in reversed(self.trace or []):
            if id(step.result) in wanted:
                wanted |= {id(x) for x in step.inputs}
                flow.add(step)
        return flow

    def name_of(self, leaf: Tensor) -> str:
        """The parameter's name, or else its shape."""
        return self.names.get(leaf, f"a parameter of shape {list(leaf.shape)}")

    def uses_of(self, node: Node) -> Iterator[Record]:
        """The operations that compute with a value, moved or not."""
        for use in self.uses[node]:
            if use.op.moves:
                yield from self.uses_of(use)
            else:
                yield use


def names_of(model: Module | None) -> dict[Tensor, str]:
    """What the model calls its parameters; without a model there are none."""
    named = model.named_parameters() if model is not None else ()
    return {p: name for name, p in named}


def origin(node: Node | None, adjusted: bool = False) -> Node | None:
    """Where a value came from before it was reshaped, moved or cast; with `adjusted`,
    also before a number was added to it, or it was clamped.
    """
    while isinstance(node, Record) and (
        (node.op.moves and len(node.parents) == 1)
        or (adjusted and node.op.adjusts and node.parents[1:] in ((), (None,)))
    ):
        node = node.parents[0]
    return node


def given(node: Node | None) -> str:
    """What the operation that gave a value says of it; "" for a leaf."""
    return node.op.gives if isinstance(node, Record) else ""
