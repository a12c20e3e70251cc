"""A graph made smaller: modules, and the backward pass of an operation, as one node each.

Whatever is folded, the sums stay: parameters, multiply-adds, bytes and times of a graph are
the same before and after.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import ArgumentError
from .data import Branches, Edge, Graph, Node, Statistics

Group = tuple[str, int]
"""A module's dotted path, and which of its calls."""


def fold(
    graph: Graph,
    depth: int | None = None,
    collapse: Callable[[str], bool] | None = None,
) -> Graph:
    """The graph with modules as one node for each call, with the sums of what is inside.

    depth: those that are this deep; 1 is directly in the model. collapse: those for whose
    dotted path this is true, the outermost first. With depth, modules that are less deep
    and have none inside are folded as well.
    Raises ArgumentError if depth is less than 1.
    """
    if depth is not None and depth < 1:
        raise ArgumentError(f"depth is {depth}; modules are 1 deep or more")
    modules = {node.module for node in graph}
    inside = {m[: m.rfind(".")] for m in _prefixes(modules) if "." in m}

    def is_folded(path: str) -> bool:
        if path.rpartition(".")[2].startswith("×"):
            return False
        known = _first_of_equals(path)
        level = known.count(".") + 1
        smallest = path not in inside and depth is not None and level < depth
        return level == depth or smallest or bool(collapse and collapse(known))

    paths = {m: next(filter(is_folded, _prefixes([m])), "") for m in modules}
    members = defaultdict(list)
    for id, group in _find_calls(graph, paths).items():
        members[group].append(graph.nodes[id])
    standing: dict[str, Node] = {}
    for (path, number), nodes in members.items():
        node = _fold_module(path, number, nodes)
        standing |= {n.id: node for n in nodes}
    backward = [n for n in graph if n.backward_of in standing]
    return contract(graph, standing | _fold_backward(graph, backward, standing))


def pair_passes(graph: Graph) -> Graph:
    """The graph with one node for all that the backward pass does for a forward node."""
    backward = [n for n in graph if n.backward_of is not None]
    return contract(graph, _fold_backward(graph, backward, {}))


def _is_pair(node: Node) -> bool:
    """Whether it stands for all that the backward pass does for a forward node."""
    return node.backward_of is not None and bool(node.folded)


def _first_of_equals(path: str) -> str:
    """A module's path, with the first of several equal blocks instead of all of them."""
    parts = [part.partition("…")[0] for part in path.split(".")]
    return ".".join([part for part in parts if not part.startswith("×")])


def split(module: str) -> list[str]:
    """The names in a dotted path."""
    return module.split(".") if module else []


def _prefixes(modules: Iterable[str]) -> Iterator[str]:
    """These modules, each after those that it is in."""
    for module in modules:
        parts = split(module)
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _find_calls(graph: Graph, paths: Mapping[str, str]) -> dict[str, Group]:
    """For each node inside a folded module, the module and which of its calls.

    A new call begins where the data left the module and came back, so that no node
    needs its own result. Parameters and buffers go to the only call that uses them.
    """
    order = list(graph.nodes)
    position = {id: i for i, id in enumerate(order)}
    into = graph.edges_into()
    inside = defaultdict(list)
    for node in graph.operations():
        if paths[node.module]:
            inside[paths[node.module]].append(node.id)
    found: dict[str, Group] = {}
    for path, ids in inside.items():
        members, number = set(ids), dict[str, int]()
        for id in order[position[ids[0]] : position[ids[-1]] + 1]:
            before = [e.source for e in into[id] if e.source in number]
            left = [number[s] + (s in members and id not in members) for s in before]
            number[id] = max(left, default=0)
        found |= {id: (path, number[id]) for id in ids}
    for id, edges in graph.edges_from().items():
        leaf = graph.nodes[id]
        if leaf.kind in ("parameter", "constant"):
            users = {found[e.target] for e in edges if e.target in found}
            own = [g for g in users if f"{leaf.module}.".startswith(f"{g[0]}.")]
            if len(own) == 1:
                found[id] = own[0]
    return found


def _fold_module(path: str, number: int, members: Sequence[Node]) -> Node:
    """The node of one call of a module."""
    last = [n for n in members if n.kind == "operation"][-1]
    module = Node(
        last.id,
        "module",
        f"{path} (call {number + 1})" if number else path,
        name=last.name,
        module=path.rpartition(".")[0],
        shape=last.shape,
        dtype=last.dtype,
        where=last.where,
        gradient_computed=last.gradient_computed,
    )
    module = merge(module, members)
    return replace(module, values=last.values, gradient=last.gradient)


def _fold_backward(
    graph: Graph, nodes: Iterable[Node], standing: Mapping[str, Node]
) -> dict[str, Node]:
    """For each of these nodes, one for all that serve the same forward node."""
    groups = defaultdict(list)
    for node in nodes:
        forward = graph.nodes[str(node.backward_of)]
        groups[standing.get(forward.id, forward).id].append(node)
    forwards = {n.id: n for n in [*graph, *standing.values()]}
    found: dict[str, Node] = {}
    for id, members in groups.items():
        if [n.kind for n in members] == ["gradient"]:
            continue  # of a parameter that is used once
        forward = forwards[id]
        label = forward.label
        node = Node(
            members[0].id,
            forward.kind if forward.is_made else "gradient",
            f"{label} backward" if forward.is_made else f"∂L/∂{label}",
            module=forward.module,
            shape=forward.shape,
            dtype=members[0].dtype,
            inputs=forward.inputs,
            input_shapes=forward.input_shapes,
            gradients=forward.gradients,
            where=members[0].where,
            backward_of=id,
        )
        found |= dict.fromkeys([n.id for n in members], merge(node, members))
    return found


# ----------------------------------------------------------------- contraction


def contract(
    graph: Graph,
    standing: Mapping[str, Node],
    between: Callable[[Edge], bool] = lambda edge: False,
) -> Graph:
    """The graph with each node replaced by the one that stands for it.

    Edges within what becomes one node, and those for which `between` is true, are left
    out; of equal ones, one is left.
    """

    def new(id: str) -> str:
        return standing[id].id if id in standing else id

    result = Graph(title=graph.title)
    for node in graph:
        node = standing.get(node.id, node)
        if node.id not in result.nodes:
            owners = [replace(s, owner=new(s.owner)) for s in node.saved]
            of = node.backward_of and new(node.backward_of)
            result.add(replace(node, saved=owners, backward_of=of))
    several = {n.id for n in result if n.kind == "module" or _is_pair(n)}
    ends = [
        (new(e.source), new(e.target), e.input) for e in graph.edges if not between(e)
    ]
    edges = [(s, t, "" if t in several else name) for s, t, name in ends if s != t]
    result.edges = [Edge(*edge) for edge in dict.fromkeys(edges)]
    result.outputs = list(dict.fromkeys(map(new, graph.outputs)))
    _sort(result)
    return result


def _sort(graph: Graph) -> None:
    """Put inputs before results, and leave the order where that allows it."""
    position = {id: i for i, id in enumerate(graph.nodes)}
    waiting = {id: len(edges) for id, edges in graph.edges_into().items()}
    uses = graph.edges_from()
    ready = [(position[id], id) for id, count in waiting.items() if not count]
    heapq.heapify(ready)
    order: dict[str, Node] = {}
    while ready:
        _, id = heapq.heappop(ready)
        order[id] = graph.nodes[id]
        for edge in uses[id]:
            waiting[edge.target] -= 1
            if not waiting[edge.target]:
                heapq.heappush(ready, (position[edge.target], edge.target))
    graph.nodes = order | graph.nodes  # the rest, if modules wait for each other


def merge(node: Node, members: Sequence[Node]) -> Node:
    """This node with the sums of all members, which it stands for."""
    sums: dict[str, Any] = {
        "folded": [id for n in members for id in n.folded or [n.id]],
        "parameters": sum([parameter_size(n)[0] for n in members]),
        "parameter_bytes": sum([parameter_size(n)[1] for n in members]),
        "bytes": sum([n.bytes for n in members]),
        "saved": [s for n in members for s in n.saved],
        "branches": _add_branches([n.branches for n in members if n.branches]),
        "values": _join_statistics([(n.values, n.shape) for n in members]),
        "gradient": _join_statistics([(n.gradient, n.shape) for n in members]),
        "numbers": None,
        "image": None,
    }
    for name in ("macs", "seconds", "backward_seconds"):
        known = [v for n in members if (v := getattr(n, name)) is not None]
        sums[name] = sum(known) if known else None
    return replace(node, **sums)


def parameter_size(node: Node) -> tuple[int, int]:
    """How many numbers and bytes a parameter has, or those folded into this node."""
    if node.folded:
        return node.parameters, node.parameter_bytes
    return (math.prod(node.shape), node.bytes) if node.kind == "parameter" else (0, 0)


def _add_branches(parts: Sequence[Branches]) -> Branches | None:
    """The sums, where all are of one sort."""
    if len({b.what for b in parts}) != 1:
        return None
    counts = sum([b.count for b in parts]), sum([b.total for b in parts])
    return Branches(parts[0].what, *counts)


def _join_statistics(
    parts: Sequence[tuple[Statistics | None, tuple[int, ...]]],
) -> Statistics | None:
    """The statistics of all the values together, where they are known of all."""
    if any(s is None for s, _ in parts):
        return None
    found = [(s, math.prod(shape) - s.not_finite) for s, shape in parts if s]
    size = sum([n for _, n in found])
    return Statistics(
        min=min([s.min for s, _ in found]),
        mean=sum([s.mean * n for s, n in found]) / max(size, 1),
        max=max([s.max for s, _ in found]),
        norm=math.hypot(*[s.norm for s, _ in found]),
        not_finite=sum([s.not_finite for s, _ in found]),
    )
