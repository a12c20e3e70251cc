"""The memory of a training step: what lives from when to when, and who held the peak."""

from __future__ import annotations

import json
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.engine import BackwardObserver, Node, Record, Tensor, run_backward
from ...core.recording import enable_grad, module_path, observer, setting
from ...core.replaying import tensors_in
from ...core.running import unchanged
from ...nn import Module
from ...nn.loss import loss_of
from ...ops.base import Op, Value
from ...output import plotting
from ...output.text import choose_byte_unit, format_bytes
from ..walker import memory_of
from .layer_table import LOSS, output_of

GRADIENTS, OTHERS = "gradients", "others"
GREYS = {OTHERS: "#999999", GRADIENTS: "#dddddd"}
COLOURS = plotting.COLOURS[1:]
"""Of the holders in the picture; black is for lines."""


def memory(
    model: Module,
    x: Any,
    labels: Any = None,
    loss: Callable[..., Tensor] | None = None,
) -> Memory:
    """How the memory of one training step grows and shrinks.

    Arguments as for `summary`; without a loss, ∂L/∂output is 1. The step is run. Each array
    that a forward operation makes or keeps, and each gradient, is watched from its making
    until nobody holds it. What was there before (parameters, buffers, x, labels) does not
    count, nor what a kernel needs while it runs.

    The model stays as it was, as for `summary`: `.grad` is made, as in a first step, but
    not given to it. Raises AutogradError if nothing requires a gradient.
    """
    watch = _Watch(model)
    watch.ignore([*model.parameters(), *model.buffers(), *tensors_in((x, labels))])
    with unchanged(model):
        with setting(observer, watch.applied), enable_grad():
            output = output_of(model, x)
            watch.in_loss = True
            result = loss_of(model, output, labels, loss)
            del output
        watch.moments.append(Moment("backward", "∂L/∂output", ""))
        found = list(tensors_in(result))
        ends = [t for t in found if t._node is not None] or found
        ones = (Tensor._wrap(np.ones_like(t._array)) for t in ends)  # held by nobody
        run_backward(ends, ones, False, False, None, False, watch=watch)
    return watch.seen()


@dataclass
class Moment:
    """One operation, or the gradient rules of one; bytes: what lives while it runs."""

    phase: str
    """forward or backward."""
    operation: str
    module: str
    bytes: int = 0


@dataclass
class Life:
    """A piece of memory. born, dropped: the first and the last moment that it was there,
    dropped is None for what outlives the step."""

    name: str
    """What it is: "∂L/∂conv1.weight", "y", "tap"."""
    holder: str
    """The module that made it; the operation in it, if it has modules inside; or
    GRADIENTS."""
    bytes: int
    born: int
    dropped: int | None = None


@dataclass
class Memory:
    """The moments of a step, and what lived in them."""

    moments: list[Moment]
    lives: list[Life]

    @property
    def peak(self) -> int:
        """The most bytes that lived at one time."""
        return max([moment.bytes for moment in self.moments], default=0)

    @property
    def peak_at(self) -> int:
        """The first moment of the peak."""
        return [moment.bytes for moment in self.moments].index(self.peak)

    def alive(self, at: int) -> list[Life]:
        """What lives at a moment, the largest first."""
        born = [life for life in self.lives if life.born <= at]
        found = [life for life in born if life.dropped is None or at <= life.dropped]
        return sorted(found, key=lambda life: -life.bytes)

    def held(self, at: int) -> Counter[str]:
        """Who holds how many bytes at a moment."""
        held: Counter[str] = Counter()
        for life in self.alive(at):
            held[life.holder] += life.bytes
        return held

    def holders(self) -> dict[str, int]:
        """Who held how many bytes of the peak, the largest first."""
        return dict(self.held(self.peak_at).most_common())

    def __str__(self) -> str:
        """The peak, and who held it."""
        lines = [
            f"peak {format_bytes(self.peak)} of {len(self.moments)} operations at "
            f"{self.peak_at + 1}: {self._peak_operation()}"
        ]
        for holder, count in self.holders().items():
            share = f"{count / self.peak:6.1%}"
            lines.append(f"  {format_bytes(count):>10}  {share}  {holder}")
        return "\n".join(lines)

    def _peak_operation(self) -> str:
        moment = self.moments[self.peak_at]
        return f"{moment.operation}, {moment.phase}" + (
            f" in {moment.module}" if moment.module else ""
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values: moments, lives, peak, peak_at and holders."""
        found = {"peak": self.peak, "peak_at": self.peak_at, "holders": self.holders()}
        return asdict(self) | found

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict())

    def save(self, path: str | Path) -> None:
        """Draw bytes over operations, stacked by holder, with the peak; by matplotlib.

        The format is that of the suffix: .svg, .png, .pdf. Raises ArgumentError if
        matplotlib is not installed.
        """
        plotting.save(self._draw, Path(path))

    def _draw(self, figure: Any) -> None:
        figure.set_size_inches(9, 4.5)
        axes = figure.add_subplot()
        scale, unit = choose_byte_unit(self.peak)
        stacks = self._stacks()
        edges = np.arange(len(self.moments) + 1) + 0.5
        heights = np.array([[*h, h[-1]] for h in stacks.values()]) / scale
        hues = iter(COLOURS)
        colours = [GREYS.get(name) or next(hues) for name in stacks]
        axes.stackplot(
            edges, heights, labels=list(stacks), colors=colours, step="post", lw=0
        )
        middle = [m.phase for m in self.moments].count("forward") + 0.5
        axes.axvline(middle, color="black", lw=0.8, ls=":")
        top = 1.22 * self.peak / scale
        axes.text(middle, 0.98 * top, "forward ", ha="right", va="top")
        axes.text(middle, 0.98 * top, " backward", va="top")
        axes.annotate(
            f"peak {format_bytes(self.peak)}\n{self._peak_operation()}",
            (self.peak_at + 1, self.peak / scale),
            (0, 16),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            arrowprops={"arrowstyle": "->"},
        )
        axes.set(xlim=(0.5, edges[-1]), ylim=(0, top))
        axes.set(xlabel="operation", ylabel=f"memory, {unit}")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), reverse=True)

    def _stacks(self) -> dict[str, Any]:
        """Bytes at each moment by holder, in order; the small as one, gradients on top."""
        held = [self.held(at) for at in range(len(self.moments))]
        holders = dict.fromkeys([life.holder for life in self.lives])
        found = {name: np.array([h[name] for h in held]) for name in holders}
        gradients = found.pop(GRADIENTS)
        largest = sorted(found, key=lambda holder: -found[holder].sum())
        small = [found.pop(holder) for holder in largest[len(COLOURS) :]]
        if small:
            found[OTHERS] = np.sum(small, 0)
        return found | {GRADIENTS: gradients}


# ---------------------------------------------------------------------- the step, watched


class _Watch(BackwardObserver):
    """Notes when memory comes and goes."""

    def __init__(self, model: Module) -> None:
        self.names = {id(p): name for name, p in model.named_parameters()}
        modules = dict(model.named_modules())
        self.leaves = {path for path, m in modules.items() if path and not m._modules}
        self.in_loss = False
        self.modules: dict[int, str] = {}
        """By the id of an operation that was recorded."""
        self.moments: list[Moment] = []
        self.lives: list[Life] = []
        self.known: dict[int, Any] = {}
        """Memory that lives, by the id of its array; what is ignored, as itself."""
        self.counts: Counter[str] = Counter()
        self.kept: list[Any] = []

    def ignore(self, tensors: list[Tensor]) -> None:
        """These were there before."""
        arrays = [memory_of(t._array) for t in tensors]
        self.known |= {id(array): array for array in arrays}

    def see(self, array: Any, name: str, holder: str) -> None:
        """An array is there; if its memory is new, its life begins."""
        owner = memory_of(array)
        if id(owner) in self.known:
            return
        life = Life(name, holder, owner.nbytes, len(self.moments) - 1)
        self.lives.append(life)

        def end(_: Any, key: int = id(owner)) -> None:
            life.dropped = len(self.moments) - 1
            del self.known[key]

        self.known[id(owner)] = weakref.ref(owner, end)

    def applied(self, op: Op, inputs: list[Value], y: Value, kept: list[Value]) -> None:
        """Observe a forward operation."""
        module = LOSS if self.in_loss else module_path.get()
        name = getattr(op, "name", type(op).__name__)
        self.moments.append(Moment("forward", name, module))
        self.modules[id(op)] = module
        holder = self._holder(name, module)
        found = [(op.input_name(i), x) for i, x in enumerate(inputs)]
        found += [("y", y), *zip(op.keeps, kept, strict=True)]
        for what, array in found:
            if isinstance(array, np.ndarray):
                self.see(array, what, holder)

    def _holder(self, name: str, module: str) -> str:
        if module in self.leaves:
            return module
        holder = f"{module}.{name}".removeprefix(".")
        self.counts[holder] += 1
        return f"{holder} {self.counts[holder]}"

    def see_start(self, node: Node, g: Value, total: Value) -> None:
        self._see_gradients("∂L/∂output", g, total)

    def see_gradient(self, record: Record, g: Value) -> None:
        module = self.modules[id(record.op)]
        self.moments.append(Moment("backward", record.name(), module))

    def see_contribution(
        self, record: Record, i: int, g: Value, d: Value, total: Value
    ) -> None:
        name = f"∂L/∂{record.op.input_name(i)} of {record.name()}"
        self._see_gradients(name, d, total)

    def see_leaf(self, leaf: Tensor, g: Value) -> None:
        path = self.names.get(id(leaf), "x")
        name, module = f"∂L/∂{path}", path.rpartition(".")[0]
        self.moments.append(Moment("backward", name, module))
        self.kept.append(np.array(g))  # as `.grad` would
        self._see_gradients(name, self.kept[-1])

    def _see_gradients(self, name: str, *gradients: Value) -> None:
        for g in gradients:
            self.see(g, name, GRADIENTS)

    def seen(self) -> Memory:
        """What was noted; the watch is over."""
        self.known.clear()
        memory = Memory(self.moments, self.lives)
        for at, moment in enumerate(self.moments):
            moment.bytes = memory.held(at).total()
        return memory
