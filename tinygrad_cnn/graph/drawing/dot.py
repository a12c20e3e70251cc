"""A graph as DOT, the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import graphviz
from graphviz.quoting import quote

from ...output.text import format_shape
from ..data import Edge, Graph, Node
from .highlight import ON_PATH
from .label import FACTS, SMALL_SIZE, TITLE_SIZE, Label, shield
from .layout import Cluster, Layout
from .theme import Style, style_of

BOLD, USUAL, THIN = 3, 1.2, 0.7

Pairs = Sequence[tuple[str, str]] | None


class Writer:
    """Writes one graph, with nodes that say what the label says, statement by statement.

    mode: "forward", "backward" or "both", which puts each forward node and what serves its
    gradient side by side, and lets gradients go up where data go down. pairs: ids of nodes
    to be on the same line; the graph, which is two of them side by side, goes down then.
    """

    def __init__(self, graph: Graph, label: Label, mode: str, pairs: Pairs) -> None:
        self.graph, self.label, self.theme, self.mode = graph, label, label.theme, mode
        self.pairs = pairs
        self.layout = Layout(graph, mode, "saved" in label.show)
        goes_down = mode != "forward" or pairs is not None
        self.across = not goes_down and self.layout.fits_across(label.size)
        self.drops = self.layout.drops()
        self.clusters = count()

    def lines(self) -> Iterator[str]:
        """The lines of the text."""
        yield "digraph {"
        yield from self._defaults()
        yield from self._cluster(self.layout.clusters(), "  ")
        yield from map(self._edge, self.layout.edges)
        yield from map(self._pair, self.layout.partner.items())
        if self.pairs is not None:
            made = {node.id for node in self.graph if node.is_made}
            yield "graph [newrank=true]"  # lines across frames
            for ids in self.pairs:
                if made.issuperset(ids):
                    yield f"{{rank=same; {'; '.join(map(literal, ids))}}}"
        yield "}"

    def _defaults(self) -> Iterator[str]:
        theme = self.theme
        yield statement(
            "graph",
            rankdir="LR" if self.across else "TB",
            bgcolor=theme.background,
            fontname=theme.font,
            fontsize=TITLE_SIZE + 2,
            fontcolor=theme.text,
            label=self.graph.title,
            labelloc="t",
            nodesep=0.3 if self.layout.pairs else 0.2,
            ranksep=0.22 if self.across else 0.3,
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

    # -------------------------------------------------------------------- nodes

    def _cluster(self, cluster: Cluster, indent: str) -> Iterator[str]:
        for node in cluster.nodes:
            yield from (indent + line for line in self._node(node))
        for part in cluster.parts:
            while len(part.parts) == 1 and not part.nodes:
                part = part.parts[0]
            names = part.path[len(cluster.path) :]
            if self.layout.is_bare(part):
                for node in part.nodes:
                    yield from (indent + s for s in self._node(node, ".".join(names)))
                continue
            yield f"{indent}subgraph cluster{next(self.clusters)} {{"
            yield f"{indent}  {self._cluster_style(names)}"
            yield from self._cluster(part, indent + "  ")
            yield f"{indent}}}"

    def _cluster_style(self, names: Sequence[str]) -> str:
        served = self.label.graph.nodes.get(names[-1])
        title, lines = ".".join(names), [".".join(names)]
        if self.mode == "backward" and served is not None:
            lines = [*names[:-1], *self.label.backward_lines(served)]
        elif "×" in title and not set(FACTS).issuperset(self.label.show):
            lines = [f"{title}, all together"]
        return statement(
            "graph",
            html=self.label.html_of_lines(lines),
            labeljust="l",
            labelloc="t",
            style="filled,rounded",
            color=self.theme.cluster_border,
            fillcolor=self.theme.cluster,
            margin=7,
            tooltip="\n".join(lines),
        )

    def _node(self, node: Node, module: str = "") -> Iterator[str]:
        """A node, and on one line with it what stands beside it and its partner.

        module: what it is in, where that is not drawn around it.
        """
        style = self._style(node)
        pointed = node.id in self.label.reasons
        column = "backward" if node.is_backward else "forward"
        yield statement(
            literal(node.id),
            html=self.label.html(node, module),
            tooltip=self.label.tooltip(node),
            shape=style.shape,
            style=style.style,
            fillcolor=style.fill,
            color=self.theme.highlight if pointed else style.border,
            penwidth=BOLD if pointed else USUAL,
            peripheries=2 if self._is_result(node) else None,
            group=column if self.layout.pairs else None,
        )
        line = [node.id]
        for where in ("before", "after"):
            beside = getattr(self.layout, where)[node.id]
            if beside:
                line.append(f"{where} {node.id}")
                yield self._beside(line[-1], beside, node.module)
        if node.id in self.layout.partner:
            line.append(self.layout.partner[node.id].id)
        if len(line) > 1:
            yield f"{{rank=same; {'; '.join(map(literal, line))}}}"

    def _beside(self, name: str, nodes: Sequence[Node], module: str) -> str:
        return statement(
            literal(name),
            html=self.label.html_of_several(nodes, module, self.across),
            tooltip="\n\n".join(map(self.label.tooltip, nodes)),
            shape="plain",
        )

    def _style(self, node: Node) -> Style:
        return self.theme.styles["output" if self._is_result(node) else style_of(node)]

    def _is_result(self, node: Node) -> bool:
        return node.id in self.graph.outputs and node.kind == "operation"

    # -------------------------------------------------------------------- edges

    def _edge(self, edge: Edge) -> str:
        source, target = (self.graph.nodes[i] for i in (edge.source, edge.target))
        ends = [self._end(source.id, "before"), self._end(target.id, "after")]
        backward = source.is_backward and target.is_backward
        beside = [n.id in self.layout.place for n in (source, target)]
        # Gradients go up: for the layout they are edges down, drawn the other way round.
        up = self.layout.pairs and backward and not beside[1]
        several = len(self.layout.into[target.id]) > 1
        used = self.layout.pairs and self.layout.is_use(edge)
        explains = "formula" in self.label.show  # which speaks of inputs by their names
        pointed = self._is_on_path(edge)
        color = self.theme.backward_edge if backward else None
        named = f" ({edge.input})" if edge.input else ""
        titles = " → ".join([self.label.title(n) for n in (source, target)])
        return statement(
            " -> ".join(ends[::-1] if up else ends),
            dir="back" if up else None,
            label=f" {edge.input} " if named and several and explains else None,
            tooltip=f"{titles}{named}, {format_shape(source.shape)}",
            weight=1 if any(beside) else 10,
            minlen=self.drops.get((source.id, target.id)),
            penwidth=BOLD if pointed else THIN if beside[0] or used else USUAL,
            color=self.theme.highlight if pointed else color,
            arrowhead="none" if beside[0] else None,
            style="dotted" if used else None,
            constraint="false" if used else None,
        )

    def _end(self, id: str, where: str) -> str:
        place = self.layout.place.get(id)
        return f"{literal(f'{where} {place}')}:{literal(id)}" if place else literal(id)

    def _is_on_path(self, edge: Edge) -> bool:
        ends = [self.label.reasons.get(i, ()) for i in (edge.source, edge.target)]
        return all(any(r.startswith(ON_PATH) for r in found) for found in ends)

    def _pair(self, pair: tuple[str, Node]) -> str:
        forward, backward = pair
        return statement(
            f"{literal(forward)} -> {literal(backward.id)}",
            style="dashed",
            dir="none",
            color=self.theme.muted,
            penwidth=THIN,
            tooltip="the same operation, forward and backward",
        )


def statement(head: str, html: str | None = None, **attributes: object) -> str:
    """A statement with these attributes, but for those that are None."""
    given = [] if html is None else [f"label={html}"]
    filled = {key: str(v) for key, v in attributes.items() if v is not None}
    given += [f"{key}={literal(shield(text))}" for key, text in filled.items()]
    return f"{head} [{' '.join(given)}]"


def literal(value: object) -> str:
    """A value in DOT, as it is: no markup, no escapes but for the ends of lines."""
    text = str(graphviz.escape(str(value))).replace("\n", "\\n")
    return str(quote(graphviz.nohtml(text)))
