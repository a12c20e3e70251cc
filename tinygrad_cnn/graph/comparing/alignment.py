"""Which nodes of two graphs are the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import pairwise

from ..data import Graph, Node


class Alignment:
    """Pairs of nodes, one of a and one of b, each in one pair at most.

    b_of, a_of: the id of the other, by id. inputs_of_a, inputs_of_b: the sources of each
    node, by the names of its inputs. Operations keep their order. Parameters, inputs and
    constants are paired by name, or else by what uses them.
    """

    def __init__(self, a: Graph, b: Graph) -> None:
        self.inputs_of_a, self.inputs_of_b = _inputs(a), _inputs(b)
        self.names: dict[int, str] = {}
        made = [[node for node in graph if node.is_made] for graph in (a, b)]
        self.b_of = {p.id: q.id for p, q in _aligned(*made)}
        self._pair_leaves(a, b)
        self.a_of = {q: p for p, q in self.b_of.items()}

    def name(self, node: Node) -> str:
        """What to compare: of a leaf found by its use, the name in the module of that."""
        return self.names.get(id(node), node.label)

    def _pair_leaves(self, a: Graph, b: Graph) -> None:
        ids, others = [dict(_numbered(graph)) for graph in (a, b)]
        self.b_of |= {ids[key]: others[key] for key in ids.keys() & others.keys()}
        taken = set(self.b_of.values())
        pairs = [(a.nodes[p], b.nodes[q]) for p, q in self.b_of.items()]
        for user, other in pairs:
            into = self.inputs_of_b[other.id]
            for name, id in self.inputs_of_a[user.id].items():
                p, q = a.nodes[id], b.nodes.get(into.get(name, ""))
                if q is None or id in self.b_of or q.id in taken:
                    continue
                if not (p.is_made or q.is_made):
                    self.b_of[id] = q.id
                    taken.add(q.id)
                    self._name(p, user)
                    self._name(q, other)

    def _name(self, leaf: Node, user: Node) -> None:
        self.names[id(leaf)] = leaf.label.removeprefix(f"{user.module}.")


def _numbered(graph: Graph) -> Iterator[tuple[tuple[str, int], str]]:
    """Each leaf by its label, and how many before it have the same."""
    seen: Counter[str] = Counter()
    for node in graph:
        if not node.is_made:
            yield (node.label, seen[node.label]), node.id
            seen[node.label] += 1


def _inputs(graph: Graph) -> dict[str, dict[str, str]]:
    """What goes into each node, by the names of its inputs."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for edge in graph.edges:
        into = found[edge.target]
        into[edge.input or str(len(into))] = edge.source
    return found


def _aligned(a: list[Node], b: list[Node]) -> list[tuple[Node, Node]]:
    """Pairs of nodes in order: the same in all; in the gaps, in less and less."""
    pairs: list[tuple[int, int]] = []
    for key in KEYS:
        ends = [(-1, -1), *pairs, (len(a), len(b))]
        for (i, k), (j, m) in pairwise(ends):
            between = [list(map(key, part)) for part in (a[i + 1 : j], b[k + 1 : m])]
            found = longest_common_subsequence(*between)
            pairs += [(i + 1 + p, k + 1 + q) for p, q in found]
        pairs.sort()
    return [(a[p], b[q]) for p, q in pairs]


def _operation(node: Node) -> tuple[Hashable, ...]:
    label = node.label if node.kind == "operation" else node.kind
    return label, node.backward_input, node.backward_of is None


KEYS: tuple[Callable[[Node], Hashable], ...] = (
    lambda node: (node.module, node.label, *_operation(node), node.name),
    lambda node: (node.module, node.label, *_operation(node)),
    _operation,
)


def longest_common_subsequence(
    a: Sequence[Hashable], b: Sequence[Hashable]
) -> list[tuple[int, int]]:
    """The positions in a and b of a longest common subsequence.

    The rows of the usual table as bits of integers, which are 0 where the length grows
    (H. Hyyrö, "Bit-parallel LCS-length computation revisited", 2004): time and memory are
    len(a) · len(b) bits.
    """
    places: dict[Hashable, int] = defaultdict(int)
    for j, item in enumerate(b):
        places[item] |= 1 << j
    every = (1 << len(b)) - 1
    rows = [every]
    for item in a:
        row = rows[-1]
        here = row & places.get(item, 0)
        rows.append(((row + here) | (row - here)) & every)
    pairs = []
    i, j = len(a), len(b)
    while i and j:
        if rows[i] >> (j - 1) & 1:
            j -= 1
        elif rows[i - 1] >> (j - 1) & 1:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        else:
            i -= 1
    return pairs[::-1]
