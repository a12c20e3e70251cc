"""What differs between two graphs, or between the parameters of two models."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import takewhile
from operator import is_not
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...checkpoint import load, weights_in
from ...errors import ArgumentError, CheckpointError
from ...nn import Module
from ...output.text import encode_json, format_shape
from ..data import Edge, Graph, Node
from ..drawing.drawing import Drawing, Look, draw
from ..drawing.theme import Theme, theme_of
from ..walker import walk
from .alignment import align, sources_by_input

LISTED = 40
"""How many operations, and how many parameters, the text names."""
LESSER = {f"{w} {f}" for w in ("values", "gradient") for f in ("min", "mean", "max")}
"""Changes that are not told where the norm changed as well."""


def diff(
    a: Any,
    b: Any,
    x: Any = None,
    *,
    labels: Any = None,
    loss: Callable[..., Any] | None = None,
    rtol: float = 0.0,
) -> Difference:
    """What differs between a and b, which are of one kind:

    Graphs              operations and values that were added, removed or changed:
                        attributes, shapes, dtypes, connections; and where both were
                        measured, statistics of values and of gradients
    Tensors             the graphs behind them
    Modules             their parameters and buffers; with an input `x`, also their graphs
                        on it, with values and gradients: of loss(model(x), labels), as in
                        `draw`
    dicts, paths        state dicts, or checkpoints with one as "model": the parameters

    Operations are aligned by the longest common subsequence of module path, operation and
    name; what is left between them without the name, then without the module as well.
    rtol: how far figures and parameters may be apart and still be equal, relative to the
    largest value of their tensor. NaN equals NaN.
    Raises ArgumentError if a and b are not of one kind, CheckpointError for a file that is
    no checkpoint.
    """
    (kind, graph_a, state_a), (other, graph_b, state_b) = (
        _given(side, x, labels, loss) for side in (a, b)
    )
    if kind != other:
        raise ArgumentError(
            f"a {kind} cannot be compared with a {other}: give two graphs, two "
            "results, two models, or two checkpoints or state dicts"
        )
    found = Difference(graph_a, graph_b, len(state_a))
    if graph_a is not None and graph_b is not None:
        found.b_of = align(graph_a, graph_b)
        found.nodes = list(_nodes(graph_a, graph_b, found.b_of, rtol))
    found.parameters = list(_parameters(state_a, state_b, rtol))
    return found


class Change(NamedTuple):
    """Something that is one thing in a and another in b, or None where it is missing."""

    what: str
    a: Any
    b: Any

    def __str__(self) -> str:
        return f"{self.what} {' → '.join(_texts(self.a, self.b))}"


SIGNS = {"added": "+", "removed": "−", "changed": "~"}


class _Sides:
    """What has a side a and a side b, either of which may be None."""

    a: object
    b: object

    @property
    def kind(self) -> str:
        """added, removed or changed."""
        if self.a is None:
            return "added"
        return "removed" if self.b is None else "changed"


@dataclass
class NodeDifference(_Sides):
    """A node of a, of b (the other is None), or of both, with what changed."""

    a: Node | None
    b: Node | None
    changes: list[Change] = field(default_factory=list)

    @property
    def told(self) -> list[str]:
        """The changes; of statistics the norms alone, if these changed."""
        telling = [c for c in self.changes if c.what not in LESSER]
        return [str(change) for change in telling or self.changes]

    def __str__(self) -> str:
        (node, *_) = [node for node in (self.a, self.b) if node is not None]
        title = f"{SIGNS[self.kind]} {_place(node)}"
        if not self.changes:
            return f"{title}, {format_shape(node.shape)} {node.dtype}"
        return f"{title}: {'; '.join(self.told)}"


@dataclass
class ParameterDifference(_Sides):
    """A parameter or buffer that is not in both, or not the same.

    max_abs: the largest difference, inf where only one is finite. max_rel: relative to the
    largest finite value of the two. count: how many of the entries differ. All None where
    the shapes do.
    """

    name: str
    a: str | None
    """dtype and shape, None where it is missing."""
    b: str | None
    max_abs: float | None = None
    max_rel: float | None = None
    count: int | None = None
    size: int = 0

    def __str__(self) -> str:
        title = f"{SIGNS[self.kind]} {self.name}"
        if self.kind != "changed":
            return f"{title}, {self.a or self.b}"
        parts = [f"{self.a} → {self.b}"] if self.a != self.b else []
        if self.count is not None:
            parts.append(
                f"{self.count:,} of {self.size:,} differ, by up to {self.max_abs:.3g}"
                f" ({self.max_rel:.2g} of the largest)"
            )
        return f"{title}: {'; '.join(parts)}"


@dataclass
class Difference:
    """What differs: true if anything does. Prints as a list.

    a, b: the graphs, None where parameters alone were compared. nodes, parameters: those
    that differ. compared: how many parameters a has, 0 where they were not compared. b_of:
    the ids of nodes of b by those of the same in a.
    """

    a: Graph | None
    b: Graph | None
    compared: int = 0
    nodes: list[NodeDifference] = field(default_factory=list)
    parameters: list[ParameterDifference] = field(default_factory=list)
    b_of: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.nodes or self.parameters)

    def __str__(self) -> str:
        lines = [f"{self._titles()}: {self.summary}"]
        for found in (self.nodes, self.parameters):
            lines += ["", *map(str, found[:LISTED])] if found else []
            if len(found) > LISTED:
                lines.append(f"and {len(found) - LISTED:,} more")
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        """How many differ, in a line."""
        parts = []
        if self.a is not None and self.b is not None:
            counts = _counts(self.nodes)
            parts.append(f"{counts} of {len(self.a)} and {len(self.b)} nodes")
        if self.compared or self.parameters:
            parts.append(f"{_counts(self.parameters)} of {self.compared} parameters")
        missing = [w for w in ("values", "gradients") if self.a and not self._has(w)]
        return "; ".join(parts + [f"no {w} to compare" for w in missing])

    def _has(self, what: str) -> bool:
        name = what.replace("gradients", "gradient")
        return all(any(getattr(n, name) for n in g or ()) for g in (self.a, self.b))

    def _titles(self) -> str:
        titles = [graph.title if graph else "" for graph in (self.a, self.b)]
        return " → ".join([t or name for t, name in zip(titles, "ab", strict=True)])

    def to_dict(self) -> dict[str, Any]:
        """As plain values: what differs, each with its kind; nodes by where they are."""
        nodes = [
            {
                "kind": d.kind,
                "a": d.a and _named(d.a),
                "b": d.b and _named(d.b),
                "changes": [change._asdict() for change in d.changes],
            }
            for d in self.nodes
        ]
        parameters = [{"kind": d.kind, **asdict(d)} for d in self.parameters]
        return {"differs": bool(self), "nodes": nodes, "parameters": parameters}

    def to_json(self) -> str:
        """`to_dict` as JSON; what is not finite becomes null."""
        return encode_json(self.to_dict())

    def draw(self, theme: str | Theme = "light") -> Drawing:
        """Both graphs side by side; what differs has a thick border, and says how.

        The same operations are on the same line.

        Raises ArgumentError if parameters alone were compared.
        """
        if self.a is None or self.b is None:
            raise ArgumentError(
                "parameters alone were compared; for a picture, give models and an input"
            )
        reasons: dict[str, list[str]] = defaultdict(list)
        for d in self.nodes:
            for side, node in (("a", d.a), ("b", d.b)):
                if node is not None:
                    reasons[side + node.id] += d.told or ["only here"]
        graph = Graph()
        same = self.a.title == self.b.title
        for side, part in (("a", self.a), ("b", self.b)):
            title = f"{part.title} ({side})" if same else part.title or side
            _put(part, graph, side, title.strip().replace(".", "·"))
        mode = "both" if any(node.backward_of for node in graph) else "forward"
        show = frozenset({"names", "shapes"})
        pairs = [(f"a{p}", f"b{q}") for p, q in self.b_of.items()]
        return Drawing(
            graph, Look(mode, None, None, show, theme_of(theme), pairs), reasons
        )

    def save(self, path: str | PathLike[str], theme: str | Theme = "light") -> Path:
        """Write the picture as a .svg, .png, .pdf or .dot file, as `Drawing.save`."""
        return self.draw(theme).save(path)


def _counts(found: Sequence[NodeDifference] | Sequence[ParameterDifference]) -> str:
    counts = Counter([d.kind for d in found])
    return ", ".join([f"{n} {kind}" for kind, n in counts.items()]) or "no difference"


def _named(node: Node) -> dict[str, str]:
    return {"id": node.id, "label": node.label, "module": node.module}


def _put(part: Graph, graph: Graph, side: str, title: str) -> None:
    """Add a graph to another, in a module of its own."""
    for n in part:
        module = f"{title}.{n.module}".rstrip(".")
        of = n.backward_of and side + n.backward_of
        graph.add(replace(n, id=side + n.id, module=module, backward_of=of, saved=[]))
    graph.edges += [Edge(side + e.source, side + e.target, e.input) for e in part.edges]
    graph.outputs += [side + id for id in part.outputs]


def _texts(a: Any, b: Any) -> tuple[str, str]:
    """Two values that differ, with as many digits as it takes to see it."""
    if not (isinstance(a, float) and isinstance(b, float)):
        return _text(a), _text(b)
    for digits in (3, 6, 9, 17):
        texts = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


def _text(x: Any) -> str:
    if isinstance(x, tuple):
        return format_shape(x)
    return "none" if x is None else str(x) or "none"


# ------------------------------------------------------------------- what was given


def _given(
    side: Any, x: Any, labels: Any, loss: Any
) -> tuple[str, Graph | None, Mapping[str, Any]]:
    """What a side is called, its graph and its parameters, as far as it has them."""
    if isinstance(side, Graph):
        return "graph", side, {}
    if isinstance(side, str | PathLike | Mapping):
        return "state dict", None, _state(side)
    if not isinstance(side, Module):
        return "result", walk(side), {}
    if x is None:
        return "model", None, side.state_dict()
    show, names = ("values", "gradients"), {"x": x, "labels": labels}
    drawing = draw(side, x, labels=labels, loss=loss, show=show, names=names)
    return "model", drawing.graph, side.state_dict()


def _state(given: Any) -> Mapping[str, Any]:
    tree = given if isinstance(given, Mapping) else load(given)
    try:
        return weights_in(tree) if tree != {} else {}
    except CheckpointError as error:
        raise ArgumentError(str(error)) from error


# ---------------------------------------------------------------------- parameters


def _parameters(
    a: Mapping[str, Any], b: Mapping[str, Any], rtol: float
) -> Iterator[ParameterDifference]:
    for name in dict.fromkeys([*a, *b]):
        values = [np.asarray(s[name]) if name in s else None for s in (a, b)]
        texts = [None if v is None else f"{v.dtype}{list(v.shape)}" for v in values]
        found = ParameterDifference(name, texts[0], texts[1])
        if values[0] is not None and values[1] is not None:
            _measure(found, values[0], values[1])
        if texts[0] != texts[1] or (found.max_rel or 0) > rtol:
            yield found


def _measure(found: ParameterDifference, a: Any, b: Any) -> None:
    """Fill in the largest differences, if the shapes are equal."""
    if a.shape != b.shape:
        return
    a, b = (v.astype(np.result_type(v, np.float64)) for v in (a, b))
    with np.errstate(all="ignore"):
        differs = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        largest = np.nan_to_num(np.abs(a - b)[differs], nan=np.inf, posinf=np.inf)
    both = np.abs(np.concatenate([a.ravel(), b.ravel()]))
    scale = float(both[np.isfinite(both)].max(initial=0.0))
    found.count, found.size = int(differs.sum()), a.size
    found.max_abs = float(largest.max(initial=0.0))
    found.max_rel = found.max_abs / (scale or 1.0)


# -------------------------------------------------------------------------- graphs


def _nodes(
    a: Graph, b: Graph, b_of: Mapping[str, str], rtol: float
) -> Iterator[NodeDifference]:
    """In the order of a; what only b has comes before the node that it leads to."""
    a_of = {q: p for p, q in b_of.items()}
    inputs = _changed_inputs(a, b, b_of, a_of)
    new = iter(b)
    for p in a:
        if p.id not in b_of:
            yield NodeDifference(p, None)
            continue
        q = b.nodes[b_of[p.id]]
        if p.is_made:
            before = takewhile(partial(is_not, q), new)
            yield from (NodeDifference(None, n) for n in before if n.id not in a_of)
        facts, others = _facts(p, a), _facts(q, b)
        changes = [
            Change(what, facts.get(what), others.get(what))
            for what in facts | others
            if facts.get(what) != others.get(what)
        ]
        changes += [*inputs[p.id], *_changed_figures(p, q, rtol)]
        if changes:
            yield NodeDifference(p, q, changes)
    yield from (NodeDifference(None, n) for n in new if n.id not in a_of)


def _facts(node: Node, graph: Graph) -> dict[str, Any]:
    """What is compared exactly; a shape that is given as an attribute, once."""
    facts: dict[str, Any] = {"kind": node.kind}
    if node.is_made:
        facts |= {"name": node.label, "module": node.module}
    else:  # its name in the module that it belongs to
        facts["name"] = node.label.removeprefix(f"{node.module}.")
    attributes = node.attributes.items()
    facts |= {f"attribute {k}": v for k, v in attributes if v != str(node.shape)}
    facts |= {"shape": node.shape, "dtype": node.dtype}
    return facts | {"result": "yes" if node.id in graph.outputs else "no"}


def _changed_inputs(
    a: Graph, b: Graph, b_of: Mapping[str, str], a_of: Mapping[str, str]
) -> dict[str, list[Change]]:
    """By the nodes of a. What was put between, or taken out, is said where that is."""
    found: dict[str, list[Change]] = defaultdict(list)
    sources_in_b = sources_by_input(b)
    for id, sources in sources_by_input(a).items():
        for name, s in sources.items():
            t = sources_in_b[b_of.get(id, "")].get(name, "")
            if s in b_of and t in a_of and b_of[s] != t:
                ends = _place(a.nodes[s]), _place(b.nodes[t])
                found[id].append(Change(f"input {name}", *ends))
    return found


def _changed_figures(p: Node, q: Node, rtol: float) -> Iterator[Change]:
    """Of what was measured of both."""
    others = dict(_figures(q))
    for what, (x, scale) in _figures(p):
        y, other = others.get(what, (x, scale))
        if x == y or (x != x and y != y):
            continue
        if isinstance(x, str) or not abs(x - y) <= rtol * max(scale, other):
            yield Change(what, x, y)


def _figures(node: Node) -> Iterator[tuple[str, tuple[Any, float]]]:
    """What was measured, and what differences are relative to."""
    if node.branches:
        yield node.branches.what, (node.branches.count, 0)
    if node.gradient_computed is not None:
        yield "gradient computed", (str(node.gradient_computed).lower(), 0)
    for what, statistics in (("values", node.values), ("gradient", node.gradient)):
        known = asdict(statistics) if statistics else {}
        for name, value in known.items():
            x = math.nan if value is None else float(value)
            largest = max(abs(known["min"] or 0), abs(known["max"] or 0), abs(x))
            scale = 0 if name == "not_finite" else largest
            yield f"{what} {name.replace('_', ' ')}", (x, scale)


def _place(node: Node) -> str:
    named = node.module and node.kind == "operation"
    return f"{node.module}.{node.label}" if named else node.label
