"""Which nodes of two graphs are the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import pairwise

from ..data import Graph, Node


def align(a: Graph, b: Graph) -> dict[str, str]:
    """The ids of nodes of b by those of the same nodes in a.

    Operations keep their order. Parameters, inputs and constants are paired by name, or
    else by what uses them.
    """
    b_of = _pair_operations(*[[n for n in graph if n.is_made] for graph in (a, b)])
    ids, others = [dict(_number_leaves(graph)) for graph in (a, b)]
    b_of |= {ids[key]: others[key] for key in ids if key in others}
    taken = set(b_of.values())
    sources_in_a, sources_in_b = sources_by_input(a), sources_by_input(b)
    for user, other in list(b_of.items()):
        for name, p in sources_in_a[user].items():
            q = sources_in_b[other].get(name)
            if q is None or p in b_of or q in taken:
                continue
            if not (a.nodes[p].is_made or b.nodes[q].is_made):
                b_of[p] = q
                taken.add(q)
    return b_of


def sources_by_input(graph: Graph) -> dict[str, dict[str, str]]:
    """What goes into each node, by the names of its inputs."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for edge in graph.edges:
        into = found[edge.target]
        into[edge.input or str(len(into))] = edge.source
    return found


def _number_leaves(graph: Graph) -> Iterator[tuple[tuple[str, int], str]]:
    """Each leaf by its label, and how many before it have the same."""
    seen: Counter[str] = Counter()
    for node in graph:
        if not node.is_made:
            yield (node.label, seen[node.label]), node.id
            seen[node.label] += 1


def _pair_operations(a: list[Node], b: list[Node]) -> dict[str, str]:
    """The same in all; in the gaps between these, the same in less and less."""
    pairs: list[tuple[int, int]] = []
    for key in KEYS:
        ends = [(-1, -1), *pairs, (len(a), len(b))]
        for (i, k), (j, m) in pairwise(ends):
            between = [list(map(key, part)) for part in (a[i + 1 : j], b[k + 1 : m])]
            found = longest_common_subsequence(*between)
            pairs += [(i + 1 + p, k + 1 + q) for p, q in found]
        pairs.sort()
    return {a[p].id: b[q].id for p, q in pairs}


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
