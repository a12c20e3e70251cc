"""What a computation costs and holds: found by running it again, on request."""

from __future__ import annotations

import base64
import math
import statistics
import timeit
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..core.engine import Node as Recorded
from ..core.engine import Record, Tensor, run_backward
from ..core.replaying import require_unchanged
from ..core.user_function import FunctionCtx
from ..errors import ArgumentError
from ..ops.base import SHARES, Op, Value
from ..output.png import png
from .backward import cotangents_of
from .data import Branches, Graph, Node, Saved, Statistics
from .walker import Walk, memory_of

SMALL = 16
"""A tensor of so many numbers shows them."""
MAPS, SIDE = 64, 64
"""A thumbnail shows so many feature maps, each at most so high and wide."""

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


def measure(
    walk: Walk, what: Iterable[str], gradient: Any = None, repeats: int = 5
) -> Graph:
    """Fill in what is asked about the nodes of a walk; return its graph.

    what: any of
        time        seconds of each operation, and backward_seconds of all of its gradient
                    rules: the median of `repeats` runs
        values      statistics of the values of each node
        gradients   of ∂L/∂value of each forward node, and whether one was computed
        saved       what each forward operation keeps for the backward pass
        branches    alive values of ReLU and its kin, kept ones of Dropout, tied windows of
                    MaxPool2d
        macs        multiply-accumulates, see `macs`
        numbers     the values of tensors of at most 16
        images      the first image of (N, C, H, W) as a picture: its channels side by side
                    in grey, three channels in colour; the least value is black
    gradient: ∂L/∂output, as for `with_backward`.

    All but macs is found by running the computation again on the values that its leaves
    have now; the user's graph may be used up, and stays as it is, as does `.grad`.
    Raises ArgumentError for other requests, MutationError if values are asked for that are
    no longer those of the outputs, and AutogradError if there can be no gradients.
    """
    asked = [what] if isinstance(what, str) else list(what)
    unknown = [name for name in asked if name not in MEASURES]
    if unknown:
        raise ArgumentError(
            f"{', '.join(map(str, unknown))} cannot be measured; these can: "
            f"{', '.join(MEASURES)}"
        )
    run = _Run(walk, gradient, repeats, "gradients" in asked)
    if {"values", "gradients", "branches", "numbers", "images"} & set(asked):
        run.check_unchanged()
    for name in asked:
        with np.errstate(all="ignore"):
            MEASURES[name](run)
    return walk.graph


class _Run:
    """A computation, run again."""

    def __init__(self, walk: Walk, gradient: Any, repeats: int, strict: bool) -> None:
        self.walk, self.repeats = walk, repeats
        self.gradient, self.strict = gradient, strict
        ids = walk.ids.items()
        self.records = [(r, self.node(key)) for r, key in ids if isinstance(r, Record)]

    def node(self, key: str) -> Node:
        return self.walk.graph.nodes[key]

    @cached_property
    def tensors(self) -> dict[Recorded, Tensor]:
        """What each record and leaf gives now."""
        return self.walk.again()

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """The values of each node, inputs first."""
        found = {self.walk.ids[r]: t._array for r, t in self.tensors.items()}
        found |= self.walk.arrays
        for edge in self.walk.graph.edges:
            found.setdefault(edge.target, found[edge.source])  # ends of a backward pass
        return found

    def record(self, recorded: Record) -> Record:
        """The new record."""
        record = self.tensors[recorded]._record
        assert record is not None
        return record

    def inputs(self, record: Record) -> list[Value]:
        """The arrays, and numbers, that an operation is applied to."""
        pairs = zip(record.parents, record.constants, strict=True)
        return [c if p is None else self.tensors[p]._array for p, c in pairs]

    @cached_property
    def cotangents(self) -> dict[Recorded, Value]:
        """∂L/∂value of each new record and leaf of the forward pass that has one."""
        ends = [self.tensors[end] for end in self.walk.ends if end is not None]
        given: Sequence[Tensor] = [Tensor._wrap(np.ones_like(t._array)) for t in ends]
        if self.strict or self.gradient is not None:
            given = cotangents_of(self.walk, self.gradient)
        ids = self.walk.ids
        forward = [r for r in self.tensors if not self.node(ids[r]).is_backward]
        targets = [self.tensors[r] for r in forward]
        if not ends:
            return {}
        return run_backward(ends, given, True, False, targets, False)

    def check_unchanged(self) -> None:
        """Refuse to show values other than those of the outputs that the user has."""
        for output, end in zip(self.walk.outputs, self.walk.ends, strict=True):
            if end is not None:
                require_unchanged(output, self.tensors[end])

    # ------------------------------------------------------------ what can be asked

    def time(self) -> None:
        for record, node in self.records:
            inputs, new = self.inputs(record), self.record(record)
            node.seconds = seconds(lambda: record.op(*inputs), self.repeats)  # noqa: B023
            if new in self.cotangents:
                g = self.cotangents[new]
                node.backward_seconds = seconds(
                    lambda: list(new.gradients(new.asked, g, False)),  # noqa: B023
                    self.repeats,
                )

    def values(self) -> None:
        for key, array in self.arrays.items():
            self.node(key).values = statistics_of(array)

    def gradients(self) -> None:
        cotangents, found = self.cotangents, {}
        for recorded, tensor in self.tensors.items():
            new = tensor._record or tensor
            if new in cotangents:
                found[self.walk.ids[recorded]] = cotangents[new]
        for node in self.walk.graph:
            if not node.is_backward:
                node.gradient_computed = node.id in found
                node.gradient = statistics_of(found.get(node.id, np.empty(0)))

    def saved(self) -> None:
        owners: dict[int, str] = {}
        for key, array in self.arrays.items():
            owners.setdefault(id(memory_of(array)), key)
        for record, node in self.records:
            if node.backward_of is not None:
                continue  # nobody differentiates a backward pass, unless asked to
            node.view = record.op.view and np.may_share_memory(
                self.tensors[record]._array, self.inputs(record)[0]
            )
            node.saved = []
            for name, array in saved_arrays(self.record(record)):
                owner = owners.get(id(memory_of(array)), node.id)
                saved = Saved(name, array.shape, Memory().add(array), owner)
                node.saved.append(saved)

    def branches(self) -> None:
        for record, node in self.records:
            node.branches = branches(record.op, self.inputs(record))

    def macs(self) -> None:
        for record, node in self.records:
            node.macs = macs(record.op, record.input_shapes, record.shape)

    def numbers(self) -> None:
        for key, array in self.arrays.items():
            if array.size <= SMALL:
                self.node(key).numbers = np.atleast_1d(array).tolist()

    def images(self) -> None:
        kernels = {n.id for record, n in self.records if record.op.gives == "kernels"}
        for key, array in self.arrays.items():
            node = self.node(key)
            serves = node.kind == "gradient" and node.backward_of
            kind = self.node(serves).kind if serves else node.kind
            if kind != "parameter" and key not in kernels:
                node.image = thumbnail(array)


MEASURES: dict[str, Callable[[_Run], None]] = {
    measure.__name__: measure
    for measure in (
        *(_Run.time, _Run.values, _Run.gradients, _Run.saved),
        *(_Run.branches, _Run.macs, _Run.numbers, _Run.images),
    )
}


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The median time of so many runs."""
    return statistics.median(timeit.repeat(run, number=1, repeat=repeats))


def statistics_of(array: Any) -> Statistics | None:
    """Least, mean and greatest value, and √Σx², of the finite ones; None of no values."""
    x = np.asarray(array, np.float64)
    finite = x[np.isfinite(x)]
    if not x.size:
        return None
    if not finite.size:
        return Statistics(math.nan, math.nan, math.nan, math.nan, x.size)
    low, mean, high = float(finite.min()), float(finite.mean()), float(finite.max())
    norm = float(np.sqrt(np.sum(finite * finite)))
    return Statistics(low, mean, high, norm, x.size - finite.size)


# ------------------------------------------------------------- multiply-accumulates


def macs(op: Op, inputs: Sequence[Shape], result: Shape) -> int | None:
    """The multiply-accumulates of an operation on inputs of these shapes.

    Those of convolution and its adjoints, dense layers and matrix products, by their sums;
    products with the zeros of a padding count, the bias does not. All else (activations,
    pooling, normalisation, element-wise products) counts 0, by convention. None for
    operations of the user's, of which nothing is known.
    """
    return None if op.opaque else op.multiply_adds(inputs, result)


# ------------------------------------------------------------------------- branches


def branches(op: Op, inputs: Sequence[Value]) -> Branches | None:
    """What a switching operation takes, applied to these arrays."""
    what = next((name for name in SHARES if name in op.pieces), None)
    if what is None:
        return None
    result = op.forward(*inputs)
    y, *kept = result if op.keeps else (result,)
    found = np.asarray(op.piece(what, inputs, y, kept))
    return Branches(what, int(np.count_nonzero(found)), found.size)


# --------------------------------------------------------------------------- memory


def saved_arrays(record: Record) -> Iterator[tuple[str, Any]]:
    """The arrays that a record keeps for its backward pass, by name."""
    for name, (value, *_) in record.held().items():
        if isinstance(value, np.ndarray):
            yield name, value
        if isinstance(value, FunctionCtx):
            others = [s for s in value._saved if s and isinstance(s[0], Tensor)]
            yield from [(name, tensor._array) for tensor, _ in others]


class Memory:
    """Bytes that arrays occupy, each counted once, however many views show it."""

    def __init__(self, arrays: Iterable[Any] = ()) -> None:
        self.spans: dict[int, list[tuple[int, int]]] = {}
        self.arrays: list[Any] = []
        self.bytes = sum([self.add(array) for array in arrays])

    def add(self, array: Any) -> int:
        """Count an array; how many of its bytes are new."""
        if not array.size:
            return 0
        self.arrays.append(array)  # so that no other comes to lie where it was
        low, high = byte_bounds(array)
        spans = self.spans.setdefault(id(memory_of(array)), [])
        before = sum([b - a for a, b in spans])
        touching = [(a, b) for a, b in spans if a <= high and b >= low]
        apart = [span for span in spans if span not in touching]
        lows, highs = zip((low, high), *touching, strict=True)
        spans[:] = [*apart, (min(lows), max(highs))]
        return sum([b - a for a, b in spans]) - before


# --------------------------------------------------------------------------- images


def thumbnail(array: Array) -> str | None:
    """The first image of (N, C, H, W) as a data URI; None of anything else."""
    if array.ndim != 4 or not array.size or array[0, 0].size == 1:
        return None
    maps = np.nan_to_num(array[0, :MAPS].astype(np.float64))
    step = -(-max(maps.shape[1:]) // SIDE)
    maps = maps[:, ::step, ::step]
    maps = maps - maps.min()
    maps = np.round(maps * (255 / (maps.max() or 1))).astype(np.uint8)
    pixels = maps.transpose(1, 2, 0) if len(maps) == 3 else _tiled(maps)[:, :, None]
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def _tiled(maps: Array) -> Array:
    """Maps (C, H, W) side by side in about a square, white between them."""
    c, h, w = maps.shape
    columns = math.ceil(math.sqrt(c))
    rows = math.ceil(c / columns)
    tiles = np.full((rows * columns, h + 1, w + 1), 255, np.uint8)
    tiles[:c, :h, :w] = maps
    tiles = tiles.reshape(rows, columns, h + 1, w + 1).swapaxes(1, 2)
    return tiles.reshape(rows * (h + 1), columns * (w + 1))[:-1, :-1]
