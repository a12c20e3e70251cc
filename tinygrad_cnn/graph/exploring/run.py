"""One run of a model as plain data: every value, every gradient, and how they came about."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.engine import BackwardObserver, Record, Tensor
from ...core.engine import Node as Recorded
from ...ops.base import Value
from ...ops.formulas import LETTERS
from ...ops.index_formulas import formula_for
from ...verify.explaining.computation import Graph
from ..data import Node
from ..walker import Walk

Array = np.ndarray[Any, Any]


class Run:
    """What a page shows of the computation of a loss.

    loss: a computed Tensor of one element. names: as for `walk`. nodes: plain data, in the
    order of computation; another node is named by its place in them, an array by its place
    in `arrays`.
    """

    def __init__(self, loss: Tensor, names: Mapping[str, Any]) -> None:
        self.arrays: list[Array] = []
        self._walk = Walk(loss, names)
        self._contributions = _Contributions()
        self._graph = Graph(loss, None, None, {}, self._contributions)
        self._place = {id: k for k, id in enumerate(self._walk.graph.nodes)}
        self._place_of_new = {
            self._graph.values[old]._node: self._place[id]
            for old, id in self._walk.ids.items()
        }
        recorded = {id: one for one, id in self._walk.ids.items()}
        titles = _titles(list(self._walk.graph))
        self.nodes = [
            {"name": title, **self._node(node, recorded.get(node.id))}
            for title, node in zip(titles, self._walk.graph, strict=True)
        ]

    def _node(self, node: Node, recorded: Recorded | None) -> dict[str, Any]:
        found: dict[str, Any] = {
            "kind": node.kind,
            "module": node.module,
            "shape": node.shape,
            "dtype": node.dtype,
        }
        if recorded is None:
            return found | {"value": self._keep(self._walk.arrays[node.id])}
        new = self._graph.values[recorded]
        found["value"] = self._keep(new._array)
        found["gradient"] = self._keep(self._graph.grads[recorded])
        parts = self._contributions.found.get(new._node, [])
        if len(parts) > 1:
            found["contributions"] = [
                {"by": self._place_of_new[by], "input": i, "value": self._keep(d)}
                for by, i, d in parts
            ]
        return found | self._operation(node, recorded)

    def _operation(self, node: Node, recorded: Recorded) -> dict[str, Any]:
        new = self._graph.values[recorded]._record
        if not isinstance(recorded, Record) or new is None:
            return {}
        op, pairs = new.op, zip(recorded.parents, new.constants, strict=True)
        inputs = [c if p is None else self._graph.values[p]._array for p, c in pairs]
        kept = dict(zip(op.keeps, op.forward(*inputs)[1:], strict=True)) if op.keeps else {}
        y = self._graph.values[recorded]._array
        asked = [n for n, p in zip(node.inputs, recorded.parents, strict=True) if p is not None]
        read = {name: formula_for(op, name, inputs, y, kept) for name in ("y", *asked)}
        read = {name: formula for name, formula in read.items() if formula}
        used = {name for formula in read.values() for name in formula["arrays"]}
        edges = self._walk.graph.edges
        sources = {e.input: self._place[e.source] for e in edges if e.target == node.id}
        return {
            "operation": node.label,
            "attributes": node.attributes,
            "inputs": [
                {"name": LETTERS.get(n, n), "node": sources.get(n), "asked": n in asked}
                for n in node.inputs
            ],
            "formulas": {LETTERS.get(n, n): formula for n, formula in read.items()},
            "said": {
                LETTERS.get(n, n): text
                for n, text in {"y": node.formula, **node.gradients}.items()
            },
            "kept": {n: self._keep(x) for n, x in kept.items() if n in used},
            "row_major": op.row_major,
            "where": os.path.basename(node.where),
        }

    def _keep(self, array: Value) -> int:
        self.arrays.append(np.asarray(array))
        return len(self.arrays) - 1


class _Contributions(BackwardObserver):
    """What each use of a value contributes to its gradient, in the order of arrival."""

    def __init__(self) -> None:
        self.found: defaultdict[Recorded, list[Any]] = defaultdict(list)

    def see_contribution(
        self, record: Record, i: int, g: Value, d: Value, total: Value
    ) -> None:
        parent = record.parents[i]
        self.found[parent].append((record, record.op.input_name(i), np.array(d)))


def _titles(nodes: list[Node]) -> list[str]:
    """A name for each node, as short as it can be, and no two alike; the last is L."""
    within = Counter(n.module for n in nodes if n.kind == "operation")
    names = []
    for node in nodes:
        parts = [node.module, node.label]
        if node.kind != "operation":
            names.append(node.label)
        elif within[node.module] == 1 and node.module:
            names.append(node.module)
        else:
            names.append(".".join(filter(None, parts)))
    names[-1] = "L"
    total, seen, titles = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        titles.append(f"{name}#{seen[name]}" if total[name] > 1 else name)
    return titles
