"""Equal blocks in a row, as one block with "×12" on it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from .data import Edge, Graph, Node
from .fold import contract, merge, split

FEWEST = 3
"""How many blocks in a row are folded at least."""
LONGEST = 2000
"""How many operations such a block has at most."""
TRIED = 32
"""How many lengths of a block are tried from each operation."""

Marks = Mapping[str, Sequence[str]]


def fold_repeats(graph: Graph, marked: Marks | None = None) -> Graph:
    """The graph with equal blocks in a row as the first of them, with the sums of all.

    Blocks are alike in operations and their settings, shapes, connections, modules (but
    for numbers in their paths) and what the backward pass does. Only the last may be used
    by anything but the next. marked: what is said of nodes, by their ids; where that
    differs, blocks do.
    """
    while True:
        before = len(graph)
        graph = Repeats(graph, marked or {}).folded()
        if len(graph) == before:
            return graph


class Run(NamedTuple):
    """`blocks` of `length` operations each, from the operation `start` on."""

    start: int
    length: int
    blocks: int

    @property
    def end(self) -> int:
        return self.start + self.length * self.blocks


class Repeats:
    """The operations of a graph as a sequence, and what makes two of them alike."""

    def __init__(self, graph: Graph, marked: Marks) -> None:
        self.graph = graph
        forward = [n for n in graph if n.backward_of is None]
        self.operations = [n for n in forward if n.is_made]
        self.index = {n.id: i for i, n in enumerate(self.operations)}
        self.sources: dict[str, list[str]] = defaultdict(list)
        self.users: dict[str, list[str]] = defaultdict(list)
        served = {n.id for n in forward}
        for edge in graph.edges:
            if edge.target in served:
                self.sources[edge.target].append(edge.source)
                self.users[edge.source].append(edge.target)
        self.backward: dict[str, list[Node]] = defaultdict(list)
        for node in graph:
            if node.backward_of is not None:
                self.backward[node.backward_of].append(node)
        numbers: dict[object, int] = {}
        self.looks = [
            numbers.setdefault(self._look(n, marked), len(numbers))
            for n in self.operations
        ]
        self.places: dict[int, list[int]] = defaultdict(list)
        for i, look in enumerate(self.looks):
            self.places[look].append(i)

    def folded(self) -> Graph:
        """The graph with one block for each run."""
        standing: dict[str, Node] = {}
        block: dict[str, tuple[int, int]] = {}
        for run in self.runs():
            standing |= self._standing(run)
            for i in range(run.start, run.end):
                part = run.start, (i - run.start) // run.length
                block |= dict.fromkeys([n.id for n in self._around(i)], part)

        def between(edge: Edge) -> bool:
            source, target = block.get(edge.source), block.get(edge.target)
            if source is None or target is None:
                return False
            return source[0] == target[0] and source != target

        return contract(self.graph, standing, between)

    # ------------------------------------------------------------------ finding

    def runs(self) -> Iterator[Run]:
        """Runs that do not overlap, from the first operation to the last."""
        i = 0
        while i < len(self.operations):
            best = Run(i, 0, 0)
            for length in self._lengths(i):
                if best.length and length % best.length == 0:
                    continue
                run = self._aligned(i, length)
                if run.blocks >= FEWEST and run.end > best.end:
                    best = run
            if best.length:
                yield best
            i = max(best.end, i + 1)

    def _lengths(self, i: int) -> Iterator[int]:
        """The distances to operations that look the same, if what lies between does."""
        places = self.places[self.looks[i]]
        after = bisect_right(places, i)
        for place in places[after : after + TRIED]:
            length = place - i
            block = self.looks[i:place]
            if length > LONGEST:
                return
            if block == self.looks[place : place + length]:
                yield length

    def _aligned(self, i: int, length: int) -> Run:
        """The run from i on; a little later, if blocks begin where modules do."""
        alike = self._alike(i, length)
        count = alike // length + 1
        shifts = range(i, i + alike % length + 1)
        start = min(shifts, key=lambda s: self._shared_modules(s + length))
        if start != i and self._alike(start, length) // length + 1 < count:
            start = i
        return Run(start, length, self._closed(start, length, count))

    def _shared_modules(self, i: int) -> int:
        """How deep the module is that holds both an operation and the one before it."""
        if i >= len(self.operations):
            return 0
        return len(self._modules_around(i - 1, i + 1))

    def _alike(self, start: int, length: int) -> int:
        """How many operations from here on have an equal, `length` later."""
        possible = range(start, len(self.operations) - length)
        alike = takewhile(lambda i: self._same(i, length, start), possible)
        return len(list(alike))

    def _same(self, i: int, length: int, start: int) -> bool:
        """Whether the inputs of operation i are those of the one `length` later.

        What comes into the first block from outside comes out of it for the second.
        """
        j = i + length
        if self.looks[i] != self.looks[j]:
            return False
        a, b = self.operations[i].id, self.operations[j].id
        for s, t in zip(self.sources[a], self.sources[b], strict=True):
            from_s, from_t = self.index.get(s), self.index.get(t)
            outside = from_s is None or from_s < start
            entering = outside and i < start + length
            inside = from_t is not None and start <= from_t < start + length
            moved = from_s is not None and from_t == from_s + length
            own = self._is_own(s) and self._is_own(t)
            if not (s == t or moved or own or (entering and inside)):
                return False
        return True

    def _closed(self, start: int, length: int, count: int) -> int:
        """How many blocks there are before one that more than the next one uses."""
        end = start + length * count
        for i in range(start, end - length):
            users = [self.index.get(u, end) for u in self.users[self.operations[i].id]]
            used = self.operations[i].id in self.graph.outputs
            if used or any(u >= end for u in users):
                return (i - start) // length + 1
        return count

    def _look(self, node: Node, marked: Marks) -> object:
        """What can be seen of an operation without following its inputs."""
        leaves = [self.graph.nodes[s] for s in self.sources[node.id] if self._is_own(s)]
        around = [node, *leaves]
        label = node.label if node.kind == "operation" else ""
        module = re.sub(r"\d+", "#", node.module)
        serving = [part for n in around for part in self.backward[n.id]]
        return (
            (node.kind, label, node.dtype, node.shape, module, len(node.folded)),
            tuple(node.attributes.items()),
            tuple([(n.kind, n.shape, n.dtype) for n in leaves]),
            tuple([tuple(marked.get(n.id, ())) for n in around]),
            tuple([n.gradient_computed for n in around]),
            len(self.sources[node.id]),
            tuple([(n.kind == "gradient" or n.label, n.shape) for n in serving]),
        )

    def _is_own(self, id: str) -> bool:
        """Whether it is a parameter or a constant that one operation alone uses."""
        kind = self.graph.nodes[id].kind
        return kind in ("parameter", "constant") and len(self.users[id]) == 1

    # ------------------------------------------------------------------ folding

    def _around(self, i: int) -> list[Node]:
        """An operation, what it alone uses, and what serves their gradients."""
        node = self.operations[i]
        own = [self.graph.nodes[s] for s in self.sources[node.id] if self._is_own(s)]
        forward = [node, *own]
        return [*forward, *[b for n in forward for b in self.backward[n.id]]]

    def _standing(self, run: Run) -> dict[str, Node]:
        """For each node of the run, the one in the first block that stands for it."""
        rename = self._rename(run)
        standing: dict[str, Node] = {}
        for i in range(run.start, run.start + run.length):
            copies = [self._around(j) for j in range(i, run.end, run.length)]
            for equal in zip(*copies, strict=True):
                first = replace(equal[0], name=equal[-1].name)
                node = rename(merge(first, equal))
                standing |= {n.id: node for n in equal}
        return standing

    def _modules_around(self, start: int, end: int) -> list[str]:
        """The modules that all of these operations are in, from the outermost."""
        return _common([split(n.module) for n in self.operations[start:end]])

    def _rename(self, run: Run) -> Callable[[Node], Node]:
        """Gives a node of the first block its module path, with all blocks in it."""
        first = self._modules_around(run.start, run.start + run.length)
        last = self._modules_around(run.end - run.length, run.end)
        at = len(_common([first, last]))
        differ = at < min(len(first), len(last))
        new = f"{first[at]}…{last[at]} ×{run.blocks}" if differ else f"×{run.blocks}"

        def rename(node: Node) -> Node:
            parts = split(node.module)
            if parts[:at] != first[:at]:
                return node
            parts[at : at + differ] = [new]
            module = ".".join(parts)
            name = node.label.rpartition(".")[2]
            label = f"{module}.{name}" if node.kind == "parameter" else node.label
            return replace(node, module=module, label=label)

        return rename


def _common(paths: Sequence[list[str]]) -> list[str]:
    """What all of these begin with."""
    same = takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    return [parts[0] for parts in same]
