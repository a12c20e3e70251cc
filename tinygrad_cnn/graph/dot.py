"""A graph as DOT, the language of Graphviz."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import graphviz
from graphviz.quoting import quote

from .data import Edge, Graph, Node
from .highlight import ON_PATH
from .label import SMALL_SIZE, TEXT_SIZE, TITLE_SIZE, Label, shape_text
from .theme import Style

PAGE, GAP = (960, 540), 25
"""A slide, and the room between two nodes, in points."""
LONGEST_LINE = 1800
"""A longer chain of operations goes down the page, not across."""


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


def dot_text(graph: Graph, label: Label, mode: str) -> str:
    """A graph, with nodes that say what the label says, as DOT text.

    mode: "forward", "backward" or "both", which puts each forward node and what serves its
    gradient side by side, and lets gradients go up where data go down.
    """
    return "\n".join(Writer(graph, label, mode).lines()) + "\n"


class Writer:
    """Writes one graph, statement by statement."""

    def __init__(self, graph: Graph, label: Label, mode: str) -> None:
        self.graph, self.label, self.theme, self.mode = graph, label, label.theme, mode
        self.pairs = mode == "both"
        self.edges = [e for e in self.graph.edges if self._is_drawn(e)]
        self.beside = self._attached()
        self.place = {
            node.id: f"{literal(f'beside {id}')}:{literal(node.id)}"
            for id, nodes in self.beside.items()
            for node in nodes
        }
        self.partner = {
            node.backward_of: node
            for node in self.graph
            if self.pairs and node.backward_of and node.id not in self.place
        }
        self.across = mode == "forward" and self._fits_across()
        self.fan_in: dict[str, int] = defaultdict(int)
        for edge in self.edges:
            self.fan_in[edge.target] += 1
        self.clusters = 0

    def lines(self) -> Iterator[str]:
        """The lines of the text."""
        theme = self.theme
        yield "digraph {"
        yield statement(
            "graph",
            rankdir="LR" if self.across else "TB",
            bgcolor=theme.background,
            fontname=theme.font,
            fontsize=TITLE_SIZE + 2,
            fontcolor=theme.text,
            label=self.graph.title,
            labelloc="t",
            nodesep=0.3 if self.pairs else 0.2,
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
        yield from self._cluster(self._modules(), 1)
        yield from map(self._edge, self.edges)
        for id, partner in self.partner.items():
            yield statement(
                f"{literal(id)} -> {literal(partner.id)}",
                style="dashed",
                dir="none",
                color=theme.muted,
                penwidth=0.7,
                tooltip="the same operation, forward and backward",
            )
        yield "}"

    # -------------------------------------------------------------------- nodes

    def _modules(self) -> Cluster:
        """The nodes in clusters; a module that is called again gets another one."""
        top = Cluster()
        opened, home = [top], {}
        nodes = [node for node in self.graph if node.id not in self.place]
        for node in filter(self._leads, nodes):
            path = self._path(node)
            while opened[-1].path != path[: len(opened) - 1]:
                opened.pop()
            for name in path[len(opened) - 1 :]:
                opened.append(opened[-1].part(name))
            home[node.id] = opened[:]
            opened[-1].nodes.append(node)
        users: dict[str, str] = {}
        for edge in self.edges:
            users.setdefault(edge.source, edge.target)
            users.setdefault(edge.target, edge.source)
        for node in nodes:
            if node.id not in home:
                forward = node.backward_of if self.pairs else None
                around = home.get(forward or users.get(node.id, ""), [top])
                path = self._path(node)
                inner = [c for c in around if c.path == path[: len(c.path)]]
                inner[-1].nodes.append(node)
        return top

    def _leads(self, node: Node) -> bool:
        """Whether it is an operation, which decides where others stand."""
        follows = self.pairs and node.backward_of is not None
        return node.kind in ("operation", "module") and not follows

    def _path(self, node: Node) -> tuple[str, ...]:
        """The clusters around a node, from the outermost."""
        path = tuple(node.module.split(".")) if node.module else ()
        if self.mode == "backward" and node.backward_of and node.kind == "operation":
            return (*path, node.backward_of)
        return path

    def _cluster(self, cluster: Cluster, depth: int) -> Iterator[str]:
        indent = "  " * depth
        for node in cluster.nodes:
            yield from (indent + line for line in self._node(node))
        for part in cluster.parts:
            skip = len(cluster.path)
            while len(part.parts) == 1 and not part.nodes:
                part = part.parts[0]
            if self._is_bare(part):
                name = ".".join(part.path[skip:])
                for node in part.nodes:
                    yield from (indent + line for line in self._node(node, name))
                continue
            self.clusters += 1
            yield f"{indent}subgraph {literal(f'cluster {self.clusters}')} {{"
            yield indent + "  " + self._cluster_style(part.path[skip:], part.path)
            yield from self._cluster(part, depth + 1)
            yield indent + "}"

    def _is_bare(self, cluster: Cluster) -> bool:
        """Whether a frame would hold nothing but one operation, and its gradient."""
        first = cluster.nodes[0] if cluster.nodes else None
        return (
            first is not None
            and not cluster.parts
            and len([n for n in cluster.nodes if self._leads(n)]) == 1
            and not any(n.id in self.beside for n in cluster.nodes)
            and self.mode != "backward"
        )

    def _cluster_style(self, names: Sequence[str], path: Sequence[str]) -> str:
        served = self.label.graph.nodes.get(names[-1])
        title = ".".join(names)
        if self.mode == "backward" and served is not None:
            title = "\n".join([*names[:-1], *self.label.backward_lines(served)])
        elif "×" in title and not self.label.show <= {
            "names",
            "shapes",
            "dtype",
            "formula",
        }:
            title += ", all together"
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
            tooltip=".".join(path),
        )

    def _node(self, node: Node, module: str = "") -> Iterator[str]:
        """A node, what stands beside it, and that these share a line with its partner.

        module: what it is in, where that is not drawn around it.
        """
        style = self._style(node)
        pointed = node.id in self.label.reasons
        group = None
        if self.pairs:
            group = "forward" if node.backward_of is None else "backward"
        yield statement(
            literal(node.id),
            html=self.label.html(node, module),
            tooltip=self.label.tooltip(node),
            shape=style.shape,
            style=style.style,
            fillcolor=style.fill,
            color=self.theme.highlight if pointed else style.border,
            penwidth=3.5 if pointed else 1.2,
            peripheries=2 if self._is_result(node) else None,
            group=group,
        )
        line = [node.id]
        if node.id in self.beside:
            yield self._side(self.beside[node.id], f"beside {node.id}")
            line.append(f"beside {node.id}")
        if node.id in self.partner:
            line.append(self.partner[node.id].id)
        if len(line) > 1:
            yield f"{{rank=same; {'; '.join(map(literal, line))}}}"

    def _side(self, nodes: Sequence[Node], name: str) -> str:
        return statement(
            literal(name),
            html=self.label.html_of_several(nodes, self.across),
            tooltip="\n\n".join(map(self.label.tooltip, nodes)),
            shape="plain",
        )

    def _attached(self) -> dict[str, list[Node]]:
        """What stands beside a node, by its id: what it alone uses, and their gradients."""
        into: dict[str, list[Edge]] = defaultdict(list)
        out: dict[str, list[Edge]] = defaultdict(list)
        for edge in self.edges:
            into[edge.target].append(edge)
            out[edge.source].append(edge)
        found, at = defaultdict(list), {}
        for node in self.graph:
            if len(out[node.id]) == 1 and self._is_aside(out[node.id][0], into):
                at[node.id] = out[node.id][0].target
                found[at[node.id]].append(node)
        for node in self.graph if self.pairs else ():
            maker = self.graph.nodes[into[node.id][0].source] if into[node.id] else node
            leaf = at.get(node.backward_of or "")
            if node.kind == "gradient" and leaf and leaf == maker.backward_of:
                found[maker.id].append(node)
        return found

    def _is_aside(self, edge: Edge, into: dict[str, list[Edge]]) -> bool:
        """Whether it is a parameter, a constant, or data like labels, beside the flow."""
        source, target = (self.graph.nodes[i] for i in (edge.source, edge.target))
        others = [self.graph.nodes[e.source].kind for e in into[edge.target]]
        flows = not {"operation", "module"}.isdisjoint(others)
        labels = source.kind == "input" and flows and edge.input not in target.gradients
        return source.kind in ("parameter", "constant") or labels

    def _style(self, node: Node) -> Style:
        if node.backward_of is not None and node.kind in ("operation", "module"):
            return self.theme.styles["backward"]
        kind = "output" if self._is_result(node) else node.kind
        return self.theme.styles[kind]

    def _is_result(self, node: Node) -> bool:
        return node.id in self.graph.outputs and node.kind == "operation"

    # -------------------------------------------------------------------- edges

    def _is_drawn(self, edge: Edge) -> bool:
        """Between columns, only pairs are joined, unless what is saved is to be shown."""
        into = self.graph.nodes[edge.target].backward_of is not None
        back = into and not self._is_backward(edge.source)
        return not (self.pairs and back) or "saved" in self.label.show

    def _is_backward(self, id: str) -> bool:
        node = self.graph.nodes[id]
        return node.backward_of is not None or node.kind == "gradient"

    def _edge(self, edge: Edge) -> str:
        source, target = (self.graph.nodes[i] for i in (edge.source, edge.target))
        ends = [self.place.get(i, literal(i)) for i in (edge.source, edge.target)]
        backward = [self._is_backward(i) for i in (edge.source, edge.target)]
        # Gradients go up: for the layout they are edges down, drawn the other way round.
        up = self.pairs and all(backward) and edge.target not in self.place
        saved = self.pairs and backward == [False, True]
        named = "formula" in self.label.show and self.fan_in[edge.target] > 1
        side = edge.source in self.place
        pointed = self._is_on_path(edge)
        color = self.theme.backward_edge if all(backward) else None
        return statement(
            " -> ".join(ends[::-1] if up else ends),
            dir="back" if up else None,
            label=f" {edge.input} " if named and edge.input else None,
            tooltip=f"{self.label.title(source)} → {self.label.title(target)}"
            + f" ({edge.input}), {shape_text(source.shape)}" * bool(edge.input),
            weight=1 if side else 10,
            penwidth=3 if pointed else 0.7 if side or saved else 1.2,
            color=self.theme.highlight if pointed else color,
            arrowhead="none" if side else None,
            style="dotted" if saved else None,
            constraint="false" if saved else None,
        )

    def _is_on_path(self, edge: Edge) -> bool:
        ends = [self.label.reasons.get(i, ()) for i in (edge.source, edge.target)]
        return all(any(r.startswith(ON_PATH) for r in found) for found in ends)

    # --------------------------------------------------------------------- page

    def _fits_across(self) -> bool:
        """Whether the picture fills a page better from left to right than downwards."""
        level: dict[str, int] = defaultdict(int)
        for edge in self.edges:  # in the order of their targets
            beyond = level[edge.source] + (edge.source not in self.place)
            level[edge.target] = max(level[edge.target], beyond)
        ranks: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for node in self.graph:
            ranks[level[node.id]].append(self.label.size(node))
        widths, heights = (
            [[size[i] + GAP for size in rank] for rank in ranks.values()]
            for i in (0, 1)
        )
        across = sum(map(max, widths)), max(map(sum, heights))
        down = max(map(sum, widths)), sum(map(max, heights))
        scale = [min(PAGE[0] / w, PAGE[1] / h) for w, h in (across, down)]
        return scale[0] > scale[1] and across[0] < LONGEST_LINE


def statement(head: str, html: str | None = None, **attributes: object) -> str:
    """A statement with these attributes, but for those that are None."""
    given = [f"label={html}"] * (html is not None)
    given += [f"{k}={literal(v)}" for k, v in attributes.items() if v is not None]
    return f"{head} [{' '.join(given)}]"


def literal(value: object) -> str:
    """A value in DOT, as it is: no escapes, no markup."""
    return quote(graphviz.escape(str(value)))
