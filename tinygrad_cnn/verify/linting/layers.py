"""Mistakes in parameters and layers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from ...core.engine import Record, Tensor
from ...ops.linear import Linear
from .finding import Finding, finding, listed
from .graph import Graph, Step, origin

MIN_IMAGES = 32
"""ReLUs are judged from so many images on: a unit active on one image in ten passes for
dead on 32 of them with probability 0.03, on 8 with 0.43."""
DEAD_SHARE = 0.5
"""A layer is reported when more of its units are dead; in fresh nets of the documents up to
45 % are, as PyTorch draws the weights."""


def no_gradient(graph: Graph) -> Iterator[Finding]:
    """Parameters that ask for a gradient and get none."""
    fates: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for p, name in graph.names.items():
        if p.requires_grad and p not in graph.leaves:
            fates[_fate(graph, p)].append(name)
    for (place, fate, remedy), names in fates.items():
        values = {"names": listed(names), "fate": fate, "remedy": remedy}
        yield finding("no-gradient", place, **values)


def _fate(graph: Graph, p: Tensor) -> tuple[Record | Step | None, str, str]:
    """Where a parameter was lost on the way to the loss, how, and what to do."""
    use = "Let forward use what is to be trained, and delete the rest."
    if graph.trace is None:
        return None, "not used in forward, or cut off by detach() or no_grad()", use
    marked, made = {id(p._array)}, []
    for step in graph.trace:
        if any(id(x) in marked for x in step.inputs):
            marked.add(id(step.result))
            made.append(step)
    path = [step for step in made if step in graph.flow]
    hidden = [step for step in path if not step.recorded]
    cut = [r for r in graph.records if any(id(c) in marked for c in r.constants)]
    if hidden:
        fate = "used within no_grad(), where nothing is recorded"
        return hidden[0], fate, "Take this line out of no_grad()."
    if path:
        fate = "the graph is cut before this line, as by detach()"
        place = cut[0] if cut else path[-1]
        return place, fate, "Look for detach() or .data before this line."
    if made:
        fate = "used here, but nothing made of that is seen to reach the loss"
        return made[0], fate, "Use the result of this line, and not through NumPy."
    return None, "not used in forward", use


def dead_relu(graph: Graph) -> Iterator[Finding]:
    """Units whose output is 0 for the whole batch: no gradient passes them."""
    rectified = [r for r in graph.records if r.op.gives == "rectified"]
    judged = [r for r in rectified if len(r.shape) in (2, 4)]
    few = [r.shape[0] for r in judged if r.shape[0] < MIN_IMAGES]
    if few:
        graph.notes.append(
            f"ReLUs were not judged: {few[0]} images are too few to call a unit dead; "
            f"take at least {MIN_IMAGES}."
        )
    for record in judged if not few else ():
        y = graph.values[record][1]
        dead = int((y <= 0).all(axis=(0, *range(2, y.ndim))).sum())
        units, what = y.shape[1], "units" if y.ndim == 2 else "channels"
        if dead > DEAD_SHARE * units:
            share = f"All {units}" if dead == units else f"{dead} of {units}"
            yield finding("dead-relu", record, dead=f"{share} {what}", images=len(y))


def bias_before_batch_norm(graph: Graph) -> Iterator[Finding]:
    """What is added to a whole channel is subtracted again with the channel's mean."""
    pointless: dict[Tensor, list[Record]] = defaultdict(list)
    for record in graph.records:
        bias = _bias_of(record)
        if bias is not None and _only_normalised(graph, record):
            pointless[bias].append(record)
    pointless = {p: r for p, r in pointless.items() if set(graph.uses_of(p)) <= set(r)}
    if pointless:
        biases = listed([graph.name_of(p) for p in pointless])
        place = next(iter(pointless.values()))[0]
        yield finding("bias-before-batch-norm", place, biases=biases)


def _bias_of(record: Record) -> Tensor | None:
    """The leaf that this operation adds, one value to each channel (axis 1)."""
    op = record.op
    for i, name in enumerate(op.inputs):
        if name != op.bias and name not in op.adds:
            continue
        ndim = 2 if name == op.bias else len(record.shape)
        leaf, shape = origin(record.parents[i]), record.input_shapes[i]
        lengths = (1,) * (ndim - len(shape)) + shape
        if isinstance(leaf, Tensor) and math.prod(lengths) == math.prod(lengths[1:2]):
            return leaf
    return None


def _only_normalised(graph: Graph, record: Record) -> bool:
    return bool(graph.uses[record]) and all(
        (use.op.normalises and use.parents[0] is record)
        or (use.op.keeps_channels and _only_normalised(graph, use))
        for use in graph.uses[record]
    )


def linear_after_linear(graph: Graph) -> Iterator[Finding]:
    """Two dense layers in a row are one, unless the middle is narrow on purpose."""
    for record in [r for r in graph.records if isinstance(r.op, Linear)]:
        first = origin(record.parents[0])
        if not (isinstance(first, Record) and isinstance(first.op, Linear)):
            continue
        weights: list[Any] = [first.input_shapes[1], record.input_shapes[1]]
        (hidden, n), (m, width) = weights
        if hidden == width and hidden >= min(n, m) and len(graph.uses[first]) == 1:
            yield finding("linear-after-linear", record, n=n, hidden=hidden, m=m)


def dtype_changed(graph: Graph) -> Iterator[Finding]:
    """float64 or float16 among parameters of another dtype: the first of each."""
    sizes = Counter[Any]()
    for leaf in graph.leaves:
        sizes[leaf.dtype] += leaf.numel()
    usual = sizes.most_common(1)[0][0] if sizes else None
    costs = {
        "float64": "All that follows, forward and back, is computed in float64 too: twice "
        "the memory, half the speed.",
        "float16": "float16 has 11 significant bits and ends at 65504: small gradients "
        "become 0, large ones inf.",
    }
    for dtype, cost in costs.items():
        record = next((r for r in graph.records if r.dtype == dtype), None)
        if record is not None and usual != dtype:
            values = {"usual": usual, "dtype": dtype, "cost": cost}
            values |= {"operation": record.name(), "bringer": _bringer(graph, record)}
            yield finding("dtype-changed", record, **values)


def _bringer(graph: Graph, record: Record) -> str:
    """Which input made this the first result of its dtype."""
    users = graph.uses[record] if record.op.moves else []
    for r in (record, *users):
        inputs = zip(r.parents, r.input_dtypes, r.input_shapes, strict=True)
        for parent, dtype, shape in inputs:
            leaf = origin(parent)
            if dtype == record.dtype and parent is not record:
                brought = f"a {dtype} tensor of shape {list(shape)}"
                return graph.name_of(leaf) if isinstance(leaf, Tensor) else brought
    return "a conversion in the code"
