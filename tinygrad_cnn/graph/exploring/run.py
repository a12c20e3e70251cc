"""One run of a model as plain data: each value, each gradient, and what made them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.engine import BackwardObserver, Record, Tensor, run_backward
from ...core.engine import Node as Recorded
from ...core.methods.gradient import cotangent_of
from ...core.replaying import nodes_of, record_again
from ...ops.base import Value
from ...ops.formulas import LETTERS
from ...ops.index_formulas import formula_for, source_of
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
        nodes = nodes_of([loss])
        with np.errstate(all="ignore"):
            self._values = record_again(nodes)
        again = [self._values[node] for node in nodes]
        start, watch = [cotangent_of(loss, None)], self._contributions
        self._gradients = run_backward(
            again[-1:], start, None, False, again, False, watch=watch
        )
        graph = self._walk.graph
        self._place = {id: k for k, id in enumerate(graph.nodes)}
        self._sources = {
            id: {edge.input: self._place[edge.source] for edge in edges}
            for id, edges in graph.edges_into().items()
        }
        recorded = {id: one for one, id in self._walk.ids.items()}
        titles = zip(_titles(list(graph)), graph, strict=True)
        self.nodes = [
            {"name": title, **self._node(node, recorded.get(node.id))}
            for title, node in titles
        ]

    def _node(self, node: Node, recorded: Recorded | None) -> dict[str, Any]:
        names = ("kind", "module", "shape", "dtype")
        found: dict[str, Any] = {name: getattr(node, name) for name in names}
        if recorded is None:
            return found | {"value": self._keep(self._walk.arrays[node.id])}
        again = self._values[recorded]
        found["value"] = self._keep(again._array)
        gradient = self._gradients.get(again._record or again)
        found["gradient"] = None if gradient is None else self._keep(gradient)
        if isinstance(recorded, Record):
            found |= self._operation(node, recorded)
        return found | self._parts(recorded)

    def _parts(self, recorded: Recorded) -> dict[str, Any]:
        """The contributions to the gradient of what was used more than once."""
        parts = self._contributions.found[self._values[recorded]._node]
        if len(parts) < 2:
            return {}
        places = {
            self._values[old]._node: self._place[id]
            for old, id in self._walk.ids.items()
        }
        found = [{"by": places[by], "value": self._keep(d)} for by, d in parts]
        return {"contributions": found}

    def _operation(self, node: Node, record: Record) -> dict[str, Any]:
        read, kept = self._formulas(node, record)
        used = {name for formula in read.values() for name in formula["arrays"]}
        said = {"y": node.formula, **node.gradients}
        sources = self._sources[node.id]
        return {
            "operation": node.label,
            "attributes": node.attributes,
            "inputs": [
                {"name": _letter(n), "node": sources.get(n), "asked": n in said}
                for n in node.inputs
            ],
            "formulas": {_letter(n): formula for n, formula in read.items()},
            "said": {_letter(n): text for n, text in said.items()},
            "kept": {n: self._keep(x) for n, x in kept.items() if n in used},
            "row_major": record.op.row_major or "source" in kept,
            "where": _shorten(node.where),
        }

    def _formulas(self, node: Node, record: Record) -> tuple[dict[str, Any], Any]:
        """Those that are executed, and what the forward pass kept."""
        values = self._values
        new = values[record]._record
        assert new is not None
        op, pairs = new.op, zip(record.parents, new.constants, strict=True)
        inputs = [c if p is None else values[p]._array for p, c in pairs]
        rest = op.forward(*inputs)[1:] if op.keeps else ()
        kept = dict(zip(op.keeps, rest, strict=True))
        if (source := source_of(op, inputs)) is not None:
            kept["source"] = source
        y = values[record]._array
        names = ("y", *node.gradients)
        read = {name: formula_for(op, name, inputs, y, kept) for name in names}
        return {name: formula for name, formula in read.items() if formula}, kept

    def _keep(self, array: Value) -> int:
        self.arrays.append(np.asarray(array))
        return len(self.arrays) - 1


class _Contributions(BackwardObserver):
    """What each use of a value contributes to its gradient, in the order of arrival."""

    def __init__(self) -> None:
        self.found: defaultdict[Recorded | None, list[Any]] = defaultdict(list)

    def see_contribution(
        self, record: Record, i: int, g: Value, d: Value, total: Value
    ) -> None:
        self.found[record.parents[i]].append((record, np.array(d)))


def _shorten(where: str) -> str:
    """The file and the line of a user's code; no folder, for a page is passed on."""
    name = os.path.basename(where)
    return "" if name.startswith("<frozen ") else name


def _letter(name: str) -> str:
    """What formulas call an input."""
    return LETTERS.get(name, name)


def _titles(nodes: list[Node]) -> list[str]:
    """A name for each node, as short as it can be, and no two alike; the last is L."""
    within = Counter([n.module for n in nodes if n.kind == "operation"])
    names = []
    for node in nodes:
        if node.kind != "operation":
            names.append(node.label)
        elif node.module and within[node.module] == 1:
            names.append(node.module)
        else:
            names.append(".".join(filter(None, [node.module, node.label])))
    names[-1] = "L"
    total, seen, titles = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        titles.append(f"{name}#{seen[name]}" if total[name] > 1 else name)
    return titles
