"""Where the nodes of a graph stand: in which module, beside which other node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data import Edge, Graph, Node

PAGE, GAP = (960, 540), 25
"""A slide, and the room between two nodes, in points."""
LONGEST_LINE = 1800
"""A longer chain of operations goes down the page, not across."""
LEAVES = ("parameter", "constant")


@dataclass
class Cluster:
    """One call of a module, or a backward pass: its nodes, and the clusters in it."""

    path: tuple[str, ...] = ()
    nodes: list[Node] = field(default_factory=list)
    parts: list[Cluster] = field(default_factory=list)

    def part(self, name: str) -> Cluster:
        """A new cluster in this one."""
        self.parts.append(Cluster((*self.path, name)))
        return self.parts[-1]


class Layout:
    """The places of the nodes of one graph.

    mode: "forward", "backward", or "both". with_saved: keep the edges from what was saved
    to the backward pass, in mode "both".

    before: by the id of an operation, what stands before it, as it alone uses it:
    parameters, constants, labels. after: the gradients of these, after what gives them, in
    mode "both". partner: by the id of a forward node, the node of its backward pass, on the
    same line.
    """

    def __init__(self, graph: Graph, mode: str, with_saved: bool = False) -> None:
        self.graph, self.mode, self.pairs = graph, mode, mode == "both"
        hidden = self.pairs and not with_saved
        self.edges = [e for e in graph.edges if not (hidden and self.is_use(e))]
        shown = Graph(graph.nodes, self.edges)
        self.into, self.out = shown.edges_into(), shown.edges_from()
        self.before: dict[str, list[Node]] = defaultdict(list)
        self.after: dict[str, list[Node]] = defaultdict(list)
        self.place: dict[str, str] = {}
        """The operation that a node stands before or after, by its id."""
        for node in graph:
            self._put_before(node)
        for node in graph:
            self._put_after(node)
        self.partner = {
            node.backward_of: node
            for node in graph
            if self.pairs and node.backward_of and node.id not in self.place
        }

    def is_use(self, edge: Edge) -> bool:
        """Whether it leads from the forward to the backward pass."""
        source, target = (self.graph.nodes[i] for i in (edge.source, edge.target))
        return target.is_backward and not source.is_backward

    def _put_before(self, node: Node) -> None:
        uses = [e for e in self.out[node.id] if not (self.pairs and self.is_use(e))]
        if len(uses) == 1 and self._is_aside(uses[0]):
            self.place[node.id] = uses[0].target
            self.before[uses[0].target].append(node)

    def _is_aside(self, edge: Edge) -> bool:
        source, target = (self.graph.nodes[i] for i in (edge.source, edge.target))
        flows = any(self.graph.nodes[e.source].is_made for e in self.into[target.id])
        labels = source.kind == "input" and edge.input not in target.gradients
        return source.kind in LEAVES or (flows and labels)

    def _put_after(self, node: Node) -> None:
        into = self.into[node.id]
        if node.kind != "gradient" or node.backward_of is None or not into:
            return
        maker = self.graph.nodes[into[0].source]
        if self.pairs and self.place.get(node.backward_of, "") == maker.backward_of:
            self.place[node.id] = maker.id
            self.after[maker.id].append(node)

    # ----------------------------------------------------------------- clusters

    def clusters(self) -> Cluster:
        """The nodes by module; a module that is called again gets another cluster.

        A forward operation decides where its partner is, any other node where it is used.
        """
        top = Cluster()
        opened = [top]
        home: dict[str, list[Cluster]] = {}
        nodes = [node for node in self.graph if node.id not in self.place]
        for node in filter(self.leads, nodes):
            path = self._path(node)
            while opened[-1].path != path[: len(opened) - 1]:
                opened.pop()
            for name in path[len(opened) - 1 :]:
                opened.append(opened[-1].part(name))
            home[node.id] = opened[:]
            opened[-1].nodes.append(node)
        for node in nodes:
            if node.id not in home:
                path = self._path(node)
                around = home.get(self._guide(node), [top])
                inner = [c for c in around if c.path == path[: len(c.path)]]
                inner[-1].nodes.append(node)
        return top

    def leads(self, node: Node) -> bool:
        """Whether it is an operation that decides where others stand."""
        follows = self.pairs and node.backward_of is not None
        return node.is_made and not follows

    def is_bare(self, cluster: Cluster) -> bool:
        """Whether there is one operation in it, and nothing else but its partner."""
        alone = len(list(filter(self.leads, cluster.nodes))) == 1 and not cluster.parts
        beside = any(self.before[n.id] or self.after[n.id] for n in cluster.nodes)
        return alone and not beside and self.mode != "backward"

    def _guide(self, node: Node) -> str:
        if self.pairs and node.backward_of is not None:
            return node.backward_of
        near = [e.target for e in self.out[node.id]]
        near += [e.source for e in self.into[node.id]]
        return near[0] if near else ""

    def _path(self, node: Node) -> tuple[str, ...]:
        path = tuple(node.module.split(".")) if node.module else ()
        if self.mode == "backward" and node.backward_of and node.kind == "operation":
            return (*path, node.backward_of)
        return path

    # --------------------------------------------------------------------- page

    def drops(self) -> dict[tuple[str, str], int]:
        """How many lines an edge goes down, where that is not one, by its ends.

        What serves another operation begins below all that serves this one.
        """
        level: dict[str, int] = {}
        deepest: dict[str, int] = defaultdict(int)
        serves: dict[str, str] = {}
        for node in self.graph if self.mode == "backward" else ():
            sources = [e.source for e in self.into[node.id] if e.source in serves]
            if node.kind == "gradient" and sources:
                serves[node.id] = serves[sources[0]]
            elif node.kind == "operation" and node.backward_of is not None:
                serves[node.id] = node.backward_of
            else:
                continue
            own = serves[node.id]
            inside = [level[s] for s in sources if serves[s] == own]
            level[node.id] = max(inside, default=-1) + 1
            deepest[own] = max(deepest[own], level[node.id])
        return {
            (e.source, e.target): 1 + deepest[serves[e.source]] - level[e.source]
            for e in self.edges
            if e.source in serves and serves[e.source] != serves.get(e.target)
        }

    def fits_across(self, size: Callable[[Node], tuple[float, float]]) -> bool:
        """Whether a slide holds it better from left to right than downwards.

        size: about how wide and high a node is.
        """
        ranks: dict[int, list[Any]] = defaultdict(list)
        level: dict[str, int] = {}
        for node in self.graph:
            if node.id not in self.place:
                found = [level.get(e.source, -1) for e in self.into[node.id]]
                level[node.id] = max(found, default=-1) + 1
                own, before = size(node), [size(n) for n in self.before[node.id]]
                beside = np.reshape(before, (-1, 2))
                along = np.maximum(own, beside.sum(0))
                athwart = own + beside.max(0, initial=0)
                ranks[level[node.id]].append((along, athwart))
        if not ranks:
            return False
        parts = [np.array(rank) + GAP for rank in ranks.values()]
        length, height = sum([part[:, 0].max(0) for part in parts])
        width, breadth = np.max([part[:, 1].sum(0) for part in parts], 0)
        across = min(PAGE[0] / length, PAGE[1] / breadth)
        down = min(PAGE[0] / width, PAGE[1] / height)
        return bool(across > down and length < LONGEST_LINE)
