"""A graph as DOT, the language of Graphviz."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import graphviz
from graphviz.quoting import quote

from .data import Edge, Graph, Node
from .label import SMALL_SIZE, TEXT_SIZE, TITLE_SIZE, Label, shape_text
from .theme import Style

BESIDE = ("parameter", "constant")
"""Kinds of nodes that stand beside the operation that uses them."""


@dataclass
class Cluster:
    """A module: its own nodes, and the modules in it by name."""

    nodes: list[Node] = field(default_factory=list)
    parts: dict[str, Cluster] = field(default_factory=dict)


def dot_text(label: Label, mode: str, rankdir: str | None = None) -> str:
    """The graph of this label, with nodes that say what it says, as DOT text."""
    return "\n".join(Writer(label, mode, rankdir).lines()) + "\n"


class Writer:
    """Writes one graph, statement by statement."""

    def __init__(self, label: Label, mode: str, rankdir: str | None) -> None:
        self.label, self.graph, self.theme = label, label.graph, label.theme
        self.mode = mode
        self.rankdir = rankdir or "TB"
        self.beside = self._attached()
        self.place = {
            node.id: f"{literal(f'beside {id}')}:{literal(node.id)}"
            for id, nodes in self.beside.items()
            for node in nodes
        }
        self.input_names = "formula" in label.show
        self.fan_in: dict[str, int] = defaultdict(int)
        for edge in self.graph.edges:
            self.fan_in[edge.target] += 1

    def lines(self) -> Iterator[str]:
        """The lines of the text."""
        theme = self.theme
        yield "digraph {"
        yield statement(
            "graph",
            rankdir=self.rankdir,
            bgcolor=theme.background,
            fontname=theme.font,
            fontsize=TITLE_SIZE + 2,
            fontcolor=theme.text,
            label=self.graph.title,
            labelloc="t",
            nodesep=0.22,
            ranksep=0.3,
            pad=0.15,
            tooltip=self.graph.title or " ",
        )
        yield statement(
            "node",
            fontname=theme.font,
            fontsize=TITLE_SIZE,
            fontcolor=theme.text,
            margin="0.09,0.035",
            height=0.3,
            width=0.4,
        )
        yield statement(
            "edge",
            fontname=theme.font,
            fontsize=SMALL_SIZE,
            fontcolor=theme.muted,
            color=theme.edge,
            arrowsize=0.65,
        )
        yield from self._cluster("", self._modules(), 1)
        yield from map(self._edge, self.graph.edges)
        if self.mode == "both":
            yield from self._pairs()
        yield "}"

    # -------------------------------------------------------------------- nodes

    def _modules(self) -> Cluster:
        """The nodes by their modules; what stands beside another node is with that."""
        beside = {node.id for nodes in self.beside.values() for node in nodes}
        top = Cluster()
        for node in self.graph:
            if node.id in beside:
                continue
            cluster = top
            for name in node.module.split(".") if node.module else ():
                cluster = cluster.parts.setdefault(name, Cluster())
            cluster.nodes.append(node)
        return top

    def _attached(self) -> dict[str, list[Node]]:
        """The parameters and constants that one operation alone uses, by its id."""
        users: dict[str, set[str]] = defaultdict(set)
        for edge in self.graph.edges:
            users[edge.source].add(edge.target)
        found = defaultdict(list)
        for node in self.graph:
            if node.kind in BESIDE and len(users[node.id]) == 1:
                found[min(users[node.id])].append(node)
        return found

    def _cluster(self, path: str, cluster: Cluster, depth: int) -> Iterator[str]:
        indent = "  " * depth
        for node in cluster.nodes:
            yield indent + self._node(node)
            if node.id in self.beside:
                yield from (indent + line for line in self._side(node))
        for name, part in cluster.parts.items():
            inner, title = f"{path}.{name}".lstrip("."), name
            while len(part.parts) == 1 and not part.nodes:
                ((name, part),) = part.parts.items()
                inner, title = f"{inner}.{name}", f"{title}.{name}"
            yield f"{indent}subgraph {literal(f'cluster {inner}')} {{"
            yield indent + "  " + self._module_style(title, inner)
            yield from self._cluster(inner, part, depth + 1)
            yield indent + "}"

    def _side(self, node: Node) -> Iterator[str]:
        """What stands beside a node: its parameters, as one frame each."""
        nodes = self.beside[node.id]
        side = literal(f"beside {node.id}")
        yield statement(
            side,
            html=self.label.html_of_several(nodes),
            tooltip="\n\n".join(map(self.label.tooltip, nodes)),
            shape="plain",
        )
        yield f"{{rank=same; {side}; {literal(node.id)}}}"

    def _module_style(self, title: str, path: str) -> str:
        return statement(
            "graph",
            label=title,
            labeljust="l",
            labelloc="t",
            fontsize=TEXT_SIZE,
            fontcolor=self.theme.muted,
            style="filled,rounded",
            color=self.theme.cluster_border,
            fillcolor=self.theme.cluster,
            margin=7,
            tooltip=path,
        )

    def _node(self, node: Node) -> str:
        style = self._style(node)
        pointed = node.id in self.label.reasons
        return statement(
            literal(node.id),
            html=self.label.html(node),
            tooltip=self.label.tooltip(node),
            shape=style.shape,
            style=style.style,
            fillcolor=style.fill,
            color=self.theme.highlight if pointed else style.border,
            penwidth=3.5 if pointed else 0.8 if node.kind == "parameter" else 1.2,
            peripheries=2 if self._is_result(node) else None,
            margin="0.05,0.01" if node.kind == "parameter" else None,
        )

    def _style(self, node: Node) -> Style:
        backward = node.backward_of is not None and node.kind != "gradient"
        if backward and node.kind == "operation":
            return self.theme.styles["backward"]
        kind = "output" if self._is_result(node) else node.kind
        return self.theme.styles[kind]

    def _is_result(self, node: Node) -> bool:
        return node.id in self.graph.outputs and node.kind == "operation"

    # -------------------------------------------------------------------- edges

    def _edge(self, edge: Edge) -> str:
        source, target = (self.graph.nodes[i] for i in (edge.source, edge.target))
        start = self.place.get(edge.source, literal(edge.source))
        ends = f"{start} -> {literal(edge.target)}"
        named = self.input_names and self.fan_in[edge.target] > 1 and edge.input
        side = edge.source in self.place
        return statement(
            ends,
            label=f" {edge.input} " if named else None,
            tooltip=f"{self.label.title(source)} → {self.label.title(target)}"
            + f" ({edge.input}), {shape_text(source.shape)}" * bool(edge.input),
            weight=1 if side else 10,
            penwidth=0.7 if side else 1.2,
            arrowhead="none" if side else None,
        )

    def _pairs(self) -> Iterator[str]:
        return iter(())


def statement(head: str, html: str | None = None, **attributes: object) -> str:
    """A statement with these attributes, but for those that are None."""
    given = [f"label={html}"] * (html is not None)
    given += [f"{k}={literal(v)}" for k, v in attributes.items() if v is not None]
    return f"{head} [{' '.join(given)}]"


def literal(value: object) -> str:
    """A value in DOT, as it is: no escapes, no markup."""
    return quote(graphviz.escape(str(value)))
