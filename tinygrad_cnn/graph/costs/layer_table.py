"""A model in figures, module by module: parameters, arithmetic, memory and time."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ...core.engine import Record, Tensor
from ...core.recording import enable_grad, module_path, observer, setting
from ...core.replaying import tensors_in
from ...core.running import unchanged
from ...nn import Module
from ...nn.loss import loss_of
from ...ops.base import Op, Value, shape_of
from ...output.text import format_columns, format_markdown
from ..data import Node
from ..measuring import Memory, macs, measure, saved_arrays, seconds
from ..walker import Walk

UNNAMED = ("operation", "loss", "total")
"""Kinds of rows that are no class of module."""
LOSS = "(loss)"
"""The path of the operations after the model."""


def summary(
    model: Module,
    x: Any,
    labels: Any = None,
    loss: Callable[..., Tensor] | None = None,
    repeats: int = 5,
) -> Summary:
    """What each module and each operation of a model costs on a batch.

    x: a Tensor, or a tuple of arguments. labels, loss: of a training step, whose loss is
    loss(output, labels), or loss(output) without labels; by default the model's attribute
    `loss`, else cross_entropy. With neither, the backward pass begins at the outputs.

    Times are the medians of `repeats` runs of each operation alone, on the arrays of this
    batch. The model stays as it was: buffers, `.grad`, and the random generators.
    """
    trace = _Trace(model)
    with unchanged(model):
        with trace.watching():
            result = loss_of(model, output_of(model, x), labels, loss)
        existing = [*model.parameters(), *model.buffers(), *tensors_in((x, labels))]
        trace.outputs[LOSS] = [t.shape for t in tensors_in(result)]
        with np.errstate(all="ignore"):
            fresh = trace.measure(result, [t._array for t in existing], repeats)
        total = Row("", "total", "total", parameters=_parameters(model, ""))
        _add_up(total, trace.steps)
        rows = _rows(trace)
    for row in rows:
        time = total.seconds + total.backward_seconds
        row.share = (row.seconds + row.backward_seconds) / time if time else 0.0
    return Summary(rows, total, total.saved - fresh)


@dataclass
class Row:
    """The figures of a module with all that is inside it, or of one operation.

    path: dotted, of the module; LOSS for what comes after the model. depth: below how
    many rows it stands. output: the shapes of the result (of the last call). activations:
    bytes of results, saved: bytes that are kept for the backward pass (by the first to
    keep them), each piece of memory counted once. share: of the time of all.
    """

    path: str
    name: str
    """The module's own name, or the operation's."""
    kind: str
    """The class of a module; else one of UNNAMED."""
    depth: int = 0
    output: list[tuple[int, ...]] = field(default_factory=list)
    parameters: int = 0
    macs: int = 0
    activations: int = 0
    saved: int = 0
    seconds: float = 0.0
    backward_seconds: float = 0.0
    share: float = 1.0


COLUMNS: dict[str, Callable[[Row], str]] = {
    "": lambda row: "  " * row.depth + row.name,
    "kind": lambda row: "" if row.kind in UNNAMED else row.kind,
    "output": lambda row: ", ".join([str(list(shape)) for shape in row.output]),
    "parameters": lambda row: "" if row.kind == "operation" else f"{row.parameters:,}",
    "MACs": lambda row: f"{row.macs:,}",
    "activations, KiB": lambda row: _kib(row.activations),
    "saved, KiB": lambda row: _kib(row.saved),
    "forward, ms": lambda row: f"{row.seconds * 1000:.3f}",
    "backward, ms": lambda row: f"{row.backward_seconds * 1000:.3f}",
    "share": lambda row: f"{row.share:.1%}",
}
TEXTS = 3
"""How many columns, the first ones, are no numbers."""


@dataclass
class Summary:
    """Rows in the order of execution, each below the module that it is in, and totals.

    A module's row includes those below it.
    """

    rows: list[Row]
    total: Row
    existing: int
    """How many of the bytes saved are parameters and inputs, which are there anyway."""

    def __str__(self) -> str:
        """Aligned columns."""
        lines = format_columns(self._cells(), TEXTS)
        rule = "-" * max(map(len, lines))
        note = f"saved: {_kib(self.existing)} KiB of it are parameters and inputs"
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], note])

    def _cells(self) -> list[list[str]]:
        """The headings, and the texts of each row."""
        rows = [*self.rows, self.total]
        return [[*COLUMNS], *[[text(row) for text in COLUMNS.values()] for row in rows]]

    def to_markdown(self) -> str:
        """A table in Markdown."""
        headings, *rows = self._cells()
        for cells in rows:
            name = cells[0].lstrip()
            cells[0] = "&nbsp;" * (len(cells[0]) - len(name)) + name
        align = [":--"] * TEXTS + ["--:"] * (len(COLUMNS) - TEXTS)
        return "\n".join([*format_markdown(headings, rows, align), ""])

    def to_latex(self) -> str:
        """A tabular environment in LaTeX; needs no package."""
        lines = [" & ".join(map(_latex, row)) + r" \\" for row in self._cells()]
        body = "\n".join([lines[0], r"\hline", *lines[1:-1], r"\hline", lines[-1]])
        columns = "l" * TEXTS + "r" * (len(COLUMNS) - TEXTS)
        return f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n"

    def to_csv(self) -> str:
        """Exact figures: bytes and seconds; the last line is the total."""
        out = io.StringIO()
        rows = [asdict(row) for row in [*self.rows, self.total]]
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            shapes = ["x".join(map(str, shape)) for shape in row["output"]]
            writer.writerow(row | {"output": " ".join(shapes)})
        return out.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """As plain values, in bytes and seconds: rows, total, existing."""
        return asdict(self)

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict())


def _kib(count: int) -> str:
    return f"{count / 1024:,.1f}"


def _latex(text: str) -> str:
    indent = len(text) - len(text.lstrip())
    text = "".join([f"\\{c}" if c in "&%$#_{}" else c for c in text.lstrip()])
    return r"\quad " * (indent // 2) + text


# ------------------------------------------------------------------- running a model


def output_of(model: Module, x: Any) -> Any:
    """What a model returns for x, which may be a tuple of arguments."""
    return model(*(x if isinstance(x, tuple) else () if x is None else (x,)))


@dataclass(eq=False)
class _Step:
    """One operation of the run, and what it costs."""

    op: Op
    inputs: list[Value]
    result: Any
    order: int
    row: Row


class _Trace:
    """The operations of a run, in order, and the modules around them."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self.paths = dict(model.named_modules())
        self.steps: list[_Step] = []
        self.ended: dict[str, int] = {}
        """When the first call of each module ended, counted in calls and operations."""
        self.outputs: dict[str, list[tuple[int, ...]]] = {}

    def note(self, op: Op, inputs: list[Value], y: Value, kept: list[Value]) -> None:
        """Observe an operation. Only floats count: the rest is bookkeeping."""
        if y.dtype.kind == "f":
            path = module_path.get() if module_path.get() in self.paths else ""
            module = LOSS if "" in self.ended else path
            name = getattr(op, "name", type(op).__name__)
            row = Row(module, name, "operation", 0, [y.shape])
            self.steps.append(_Step(op, inputs, y, self._now(), row))

    def _now(self) -> int:
        return len(self.steps) + len(self.ended)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note operations, and what modules return, and when."""
        with setting(observer, self.note), enable_grad(), ExitStack() as stack:
            for path, module in self.paths.items():
                hook = module.register_forward_hook(partial(self._end, path))
                stack.callback(hook.remove)
            yield

    def _end(self, path: str, module: Module, args: Any, output: Any) -> None:
        self.outputs[path] = [t.shape for t in tensors_in(output)]
        self.ended.setdefault(path, self._now())

    def begin(self, path: str) -> float:
        """When a module, or one inside it, did something first; the loss is last."""
        if path == LOSS:
            return math.inf
        calls = [order for p, order in self.ended.items() if _is_in(p, path)]
        steps = [s.order for s in self.steps if _is_in(s.row.path, path)]
        return min([*calls, *steps], default=math.inf)

    def measure(self, result: Any, existing: list[Any], repeats: int) -> int:
        """Find out what each step costs; the bytes saved that did not exist before."""
        walk = Walk(result)
        measure(walk, {"time"}, repeats=repeats)
        of_op: dict[int, list[tuple[Record, Node]]] = defaultdict(list)
        for record, key in walk.ids.items():
            if isinstance(record, Record):
                of_op[id(record.op)].append((record, walk.graph.nodes[key]))
        results, kept, fresh = Memory(existing), Memory(), Memory(existing)
        added = 0
        for step in self.steps:
            row = step.row
            row.activations = results.add(step.result)
            shapes = [shape_of(x) for x in step.inputs]
            row.macs = macs(step.op, shapes, step.result.shape) or 0
            if not of_op[id(step.op)]:
                row.seconds = seconds(lambda: step.op(*step.inputs), repeats)  # noqa: B023
                continue
            record, node = of_op[id(step.op)].pop(0)
            row.seconds = node.seconds or 0.0
            row.backward_seconds = node.backward_seconds or 0.0
            for _, array in saved_arrays(record):
                row.saved += kept.add(array)
                added += fresh.add(array)
        return added


# -------------------------------------------------------------------------- the rows


def _rows(trace: _Trace) -> list[Row]:
    """A row for each module, and for its operations where they are several."""
    kinds = {path: type(m).__name__ for path, m in trace.paths.items()}
    kinds[LOSS] = "loss"
    begins = {path: (trace.begin(path), at) for at, path in enumerate(kinds)}
    keyed: list[tuple[Any, Row]] = []
    for path, kind in kinds.items():
        around = [p for p in kinds if p and _is_in(path, p)]
        key, depth = tuple([begins[p] for p in around]), len(around) - (path == LOSS)
        inside = [s for s in trace.steps if _is_in(s.row.path, path)]
        own = [s for s in inside if s.row.path == path]
        name = path.rpartition(".")[2] or kind
        row = Row(path, name, kind, depth, trace.outputs.get(path, []))
        row.parameters = _parameters(trace.model, path)
        _add_up(row, inside)
        if own or path != LOSS:
            keyed.append((key, row))
        if len(own) > 1 or len(inside) > len(own) or path == LOSS:
            for step in own:
                step.row.depth = depth + 1
                keyed.append(((*key, (step.order, 0)), step.row))
    return [row for _, row in sorted(keyed, key=lambda pair: pair[0])]


def _add_up(row: Row, steps: Sequence[_Step]) -> None:
    for name in ("macs", "activations", "saved", "seconds", "backward_seconds"):
        setattr(row, name, sum([getattr(step.row, name) for step in steps]))


def _is_in(inner: str, outer: str) -> bool:
    """Whether the module of one path is that of the other, or inside it."""
    return inner != LOSS if not outer else f"{inner}.".startswith(f"{outer}.")


def _parameters(model: Module, path: str) -> int:
    """The numbers in parameters of a module; shared ones belong to the first."""
    named = model.named_parameters()
    return sum(
        [p.numel() for name, p in named if _is_in(name.rpartition(".")[0], path)]
    )
