"""What to point out in a graph, and why: for each node, reasons in words."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...errors import ArgumentError
from ..data import Graph, Node

STEP, WHOLE = 1e3, 1e4
"""How many times smaller or larger a gradient's norm must be to be called vanishing or
exploding: than those of the nodes that use the value, or than any on the way to the result.
"""
ON_PATH = "on the path from "

Reason = tuple[str, str]
"""A node's id, and why it is pointed out."""


def reasons(graph: Graph, highlight: Any) -> dict[str, list[str]]:
    """Why nodes are pointed out, by their ids. Raises ArgumentError for unknown requests.

    highlight: one of these, or several in a list.
        "nonfinite"           values or gradients with inf or NaN
        "vanishing"           gradients whose norm is less than 1/STEP of the largest among
                              the nodes that use the value, or 1/WHOLE of the largest on
                              the way to the result
        "exploding"           more than STEP or WHOLE times the smallest
        "dead"                ReLUs that let nothing pass
        ("path", name)        the way from a parameter or another value to the result
        a report of `verify`  the first wrong operation, and wrong gradients
    """
    found: dict[str, list[str]] = defaultdict(list)
    for request in requests(highlight):
        for id, reason in _reasons(graph, request):
            found[id].append(reason)
    return dict(found)


def requests(highlight: Any) -> list[Any]:
    """The single requests in `highlight`."""
    several = isinstance(highlight, list | tuple) and highlight[:1] != ("path",)
    return list(highlight) if several else [highlight]


def measures(highlight: Any) -> set[str]:
    """What must be measured for these requests."""
    return {
        what
        for request in requests(highlight)
        if isinstance(request, str)
        for what in NEEDS.get(request, ())
    }


def _reasons(graph: Graph, request: Any) -> Iterator[Reason]:
    if isinstance(request, str) and request in KINDS:
        return KINDS[request](graph)
    if isinstance(request, tuple | list) and len(request) == 2 and request[0] == "path":
        return path(graph, request[1])
    if hasattr(request, "culprit"):
        return wrong(graph, request)
    raise ArgumentError(
        f"highlight={request!r} is none of {', '.join(map(repr, KINDS))}, "
        "('path', name) or a report of verify"
    )


def nonfinite(graph: Graph) -> Iterator[Reason]:
    """Values and gradients with inf or NaN, and where they begin."""
    before, after = _neighbours(graph)
    for what, of, nearby in (
        ("values", "", before),
        ("gradient", " of its gradient", after),
    ):
        found = {node.id: getattr(node, what) for node in graph}
        bad = {id: s.not_finite for id, s in found.items() if s and s.not_finite}
        for id, count in bad.items():
            first = not any(n.id in bad for n in nearby[id])
            total = math.prod(graph.nodes[id].shape)
            text = f"inf or NaN in {count:,} of {total:,} values{of}"
            yield id, f"{text}, first here" if first else text


def vanishing(graph: Graph) -> Iterator[Reason]:
    """Gradients that are very much smaller than those that they were computed from."""
    for id, to_next, to_all in _ratios(graph, max):
        if to_next < 1 / STEP:
            yield id, f"vanishing: gradient norm {to_next:.1e} × the next node's"
        elif to_all < 1 / WHOLE:
            yield id, f"vanishing: gradient norm {to_all:.1e} × the largest later"


def exploding(graph: Graph) -> Iterator[Reason]:
    """Gradients that are very much larger than those that they were computed from."""
    for id, to_next, to_all in _ratios(graph, min):
        if to_next > STEP:
            yield id, f"exploding: gradient norm {to_next:.1e} × the next node's"
        elif to_all > WHOLE:
            yield id, f"exploding: gradient norm {to_all:.1e} × the smallest later"


def _ratios(
    graph: Graph, extreme: Callable[[Sequence[float]], float]
) -> Iterator[tuple[str, float, float]]:
    """For each node, its gradient's norm in units of that of the nodes that use it.

    And of the extreme one of all nodes from there on, where these are known.
    """
    _, after = _neighbours(graph)
    furthest: dict[str, float] = {}
    for node in reversed(list(graph)):
        norm = node.gradient.norm if node.gradient else math.nan
        next_ones = [n.gradient.norm for n in after[node.id] if n.gradient]
        known = [x for x in next_ones if x > 0 and math.isfinite(x)]
        beyond = [furthest[n.id] for n in after[node.id] if n.id in furthest]
        if known and math.isfinite(norm):
            yield node.id, norm / extreme(known), norm / extreme([*known, *beyond])
        own = [norm] if norm > 0 and math.isfinite(norm) else []
        if own or beyond:
            furthest[node.id] = extreme([*own, *beyond])


def dead(graph: Graph) -> Iterator[Reason]:
    """Operations that let nothing pass."""
    for node in graph:
        b = node.branches
        if b and b.what == "alive" and b.total and not b.count:
            yield node.id, f"dead: 0 of {b.total:,} are alive, so no gradient passes"


def path(graph: Graph, name: str) -> Iterator[Reason]:
    """The nodes between a value and the results."""
    named = [
        node
        for node in graph
        if name in (node.label, node.name) or node.label.endswith(f".{name}")
    ]
    if not named:
        values = [n.label for n in graph if n.kind in ("parameter", "input")]
        raise ArgumentError(
            f"there is no {name!r} in the graph; it has {', '.join(values) or 'no names'}"
        )
    _, after = _neighbours(graph)
    found = dict.fromkeys([node.id for node in named])
    stack = list(found)
    while stack:
        new = [n.id for n in after[stack.pop()] if n.id not in found]
        found |= dict.fromkeys(new)
        stack += new
    for id in found:
        yield id, ON_PATH + name
    for node in named:
        yield node.id, "the path begins here"


def wrong(graph: Graph, report: Any) -> Iterator[Reason]:
    """The operation that a report of `verify` blames, and gradients that it calls wrong."""
    culprit = report.culprit
    for node in graph if culprit else ():
        kind = culprit.operation.partition("(")[0]
        place = node.label, node.module, node.where
        if place == (kind, culprit.module, culprit.where):
            names = [t.name for t in culprit.reports if not t]
            wrong_ones = ", ".join([f"∂L/∂{name}" for name in names])
            yield node.id, f"the first wrong gradient is here: {wrong_ones}"
    for tensor in report.tensors:
        for node in graph if not tensor else ():
            is_leaf = node.kind in ("parameter", "input")
            if is_leaf and f".{node.label}".endswith(f".{tensor.name}"):
                yield node.id, f"the gradient that arrives here is {tensor.verdict}"


def _neighbours(graph: Graph) -> tuple[dict[str, list[Node]], dict[str, list[Node]]]:
    """The forward nodes before and after each forward node."""
    before: dict[str, list[Node]] = defaultdict(list)
    after: dict[str, list[Node]] = defaultdict(list)
    for edge in graph.edges:
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        if not target.is_backward:
            before[target.id].append(source)
            after[source.id].append(target)
    return before, after


KINDS = {f.__name__: f for f in (nonfinite, vanishing, exploding, dead)}
NEEDS = {
    "nonfinite": ("values", "gradients"),
    "vanishing": ("gradients",),
    "exploding": ("gradients",),
    "dead": ("branches",),
}
