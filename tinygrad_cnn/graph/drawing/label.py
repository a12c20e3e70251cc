"""What a node says: on its face, as asked for by `show`, and in its tooltip, everything."""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import graphviz

from ...output.text import (
    format_bytes,
    format_count,
    format_number,
    format_seconds,
    format_shape,
)
from ..data import Graph, Node, Statistics
from ..fold import parameter_size
from .highlight import ON_PATH
from .theme import Theme, style_of

FACTS = ("names", "shapes", "dtype", "formula")
MEASURED = ("gradients", "values", "parameters", "saved", "time", "macs", "branches")
SHOWN = FACTS + MEASURED + ("numbers", "images")
FORMULA_WIDTH, REASON_WIDTH = 50, 34
NO_BREAK, WORD_JOINER = chr(160), chr(0x2060)
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 12, 10, 9


@dataclass(frozen=True)
class Label:
    """What is said of the nodes of one graph.

    graph: the nodes, drawn or not. show: some of SHOWN. reasons: why nodes are pointed out,
    by their ids. images: the files with the thumbnails of nodes, by their ids.
    """

    graph: Graph
    theme: Theme
    show: Collection[str]
    reasons: Mapping[str, Sequence[str]]
    images: Mapping[str, str]

    def html(self, node: Node, module: str = "") -> str:
        """The face of a node, as Graphviz's HTML-like label.

        module: to be named, because it is not drawn around the node.
        """
        return f"<{_table(self._rows(node, module))}>"

    def html_of_lines(self, lines: Iterable[str]) -> str:
        """Lines of small text, one below the other."""
        text = "".join([f'{escape(line)}<BR ALIGN="LEFT"/>' for line in lines])
        return f"<{_font(text, self.theme.muted, TEXT_SIZE)}>"

    def backward_lines(self, node: Node) -> list[str]:
        """What the backward pass of an operation is called, and its formulas if shown."""
        return [f"{node.label} backward", *self._wrapped(node.gradients.values())]

    def html_of_several(self, nodes: Sequence[Node], module: str, across: bool) -> str:
        """The faces of several nodes in one, each in a frame, with its id as the port.

        module: the one that is drawn around them.
        """
        cells = []
        for node in nodes:
            style = self.theme.styles[style_of(node)]
            rounded = "rounded" if style.shape != "box" else ""
            pointed = node.id in self.reasons
            frame = _attributes(
                PORT=graphviz.escape(node.id),
                BORDER=3 if pointed else 1,
                COLOR=self.theme.highlight if pointed else style.border,
                BGCOLOR=style.fill,
                STYLE="dashed" if "dashed" in style.style else rounded,
            )
            face = _table(self._rows(node, around=module))
            cells.append(f"<TD {frame}>{face}</TD>")
        rows = f"<TR>{('' if across else '</TR><TR>').join(cells)}</TR>"
        return f"<{_table(rows, CELLSPACING=2, CELLPADDING=3)}>"

    def size(self, node: Node) -> tuple[float, float]:
        """About how wide and high the face of a node is, in points."""
        lines = [self.title(node), *self._details(node), *self._formulas(node)]
        lines += self._reasons(node)
        lines = [part for line in lines for part in line.split("\n")]
        return 0.65 * TEXT_SIZE * max(map(len, lines)), 1.4 * TEXT_SIZE * len(lines)

    def _rows(self, node: Node, module: str = "", around: str | None = None) -> str:
        title = self._inside(node, module) + self.title(node, around)
        rows = [_row(self._title(node, title))]
        if node.id in self.images and "images" in self.show:
            source = html.escape(self.images[node.id])
            size = 'FIXEDSIZE="TRUE" WIDTH="64" HEIGHT="64"'
            rows.append(f'<TD {size}><IMG SRC="{source}" SCALE="TRUE"/></TD>')
        for line in self._details(node):
            rows.append(_row(_font(escape(line), self.theme.muted, TEXT_SIZE)))
        formulas = [self._formula(line) for line in self._formulas(node)]
        rows += [_row(f, "LEFT" if formulas[1:] else "CENTER") for f in formulas]
        if "numbers" in self.show and node.numbers is not None:
            rows.append(f"<TD>{self._numbers(node.numbers)}</TD>")
        for line in self._reasons(node):
            rows.append(_row(_font(f"<B>{escape(line)}</B>", self.theme.highlight)))
        return "".join([f"<TR>{row}</TR>" for row in rows])

    def tooltip(self, node: Node) -> str:
        """All that is known of a node, in lines."""
        lines = [self.title(node), node.module and f"in {node.module}"]
        lines += self.reasons.get(node.id, ())
        lines += [f"{name} = {value}" for name, value in node.attributes.items()]
        lines += [f"{format_shape(node.shape)} {node.dtype}".strip()]
        lines += [node.formula, *node.gradients.values(), node.documentation]
        lines += [*self._statistics(node, ("values", "gradients")), *self._counts(node)]
        if node.folded:
            lines.append(
                f"{len(node.folded):,} nodes folded into one; sums of them all"
            )
        lines.append(node.where)
        return "\n".join(filter(None, lines))

    def title(self, node: Node, around: str | None = None) -> str:
        """What a node is called.

        around: the module that is drawn around it; its own, unless given.
        """
        label = node.label
        if node.kind == "gradient" and node.backward_of is None:
            label = f"∂L/∂L = {label}" if label == "1" else label
        elif node.kind == "module":
            label = label.removeprefix(f"{node.module}.")
        elif node.kind != "operation" and node.module and around in (None, node.module):
            label = label.rpartition(".")[2]
            label = f"∂L/∂{label}" if node.kind == "gradient" else label
        named = node.name and "names" in self.show
        return f"{node.name} = {label}" if named else label

    def _title(self, node: Node, text: str) -> str:
        leaf = node.kind in ("parameter", "constant")
        end = node.kind == "gradient" and node.backward_of is not None
        if leaf or end:
            return _font(escape(text), self.theme.text, TEXT_SIZE)
        return f"<B>{escape(text)}</B>"

    def _inside(self, node: Node, module: str) -> str:
        """The module, before the title of what is in it; not of an operation's gradient."""
        if node.kind == "module":
            return module and f"{module}."
        leads = node.kind == "operation" and node.backward_of is None
        return f"{module}: " if module and leads else ""

    def _details(self, node: Node) -> Iterator[str]:
        """The lines below the title, but for formulas."""
        facts = [format_shape(node.shape)] if "shapes" in self.show else []
        facts += [node.dtype] if "dtype" in self.show else []
        if self._is_pair(node):
            yield from self._gradient_shapes(node)
        elif facts:
            yield " ".join(facts)
        yield from self._statistics(node, self.show)
        yield from self._counts(node, self.show)

    def _is_pair(self, node: Node) -> bool:
        """Whether it stands for the whole backward pass of a forward node."""
        return node.kind != "gradient" and bool(node.backward_of and node.folded)

    def _gradient_shapes(self, node: Node) -> Iterator[str]:
        if "shapes" in self.show:
            shapes = dict(zip(node.inputs, node.input_shapes, strict=True))
            for name in node.gradients:
                yield f"∂L/∂{name}: {format_shape(shapes.get(name, ()))}"

    def _formulas(self, node: Node) -> Iterator[str]:
        pair = self._is_pair(node)
        return self._wrapped(node.gradients.values() if pair else [node.formula])

    def _wrapped(self, formulas: Iterable[str]) -> Iterator[str]:
        """Formulas, if they are shown, in lines that do not break inside brackets."""
        for formula in formulas if "formula" in self.show else ():
            whole = re.sub(
                r"\[[^\]]*\]", lambda m: m[0].replace(" ", NO_BREAK), formula
            )
            yield from textwrap.wrap(
                whole, FORMULA_WIDTH, subsequent_indent="    ", break_long_words=False
            )

    def _reasons(self, node: Node) -> Iterator[str]:
        """Why it is pointed out; of a path, a thick border says so."""
        for reason in self.reasons.get(node.id, ()):
            if not reason.startswith(ON_PATH):
                yield from textwrap.wrap(f"▲ {reason}", REASON_WIDTH)

    def _statistics(self, node: Node, show: Collection[str]) -> Iterator[str]:
        if "values" in show and node.values:
            yield describe_statistics("values", node.values)
        if "gradients" in show:
            if node.gradient:
                yield describe_statistics("gradient", node.gradient)
            elif node.gradient_computed is False:
                yield "gradient: not computed"

    def _counts(self, node: Node, show: Collection[str] = SHOWN) -> Iterator[str]:
        count, size = parameter_size(node)
        if "parameters" in show and count:
            yield f"{count:,} parameters, {format_bytes(size)}"
        if "macs" in show and node.macs:
            yield f"{format_count(node.macs)} multiply-adds"
        if "branches" in show and node.branches:
            b = node.branches
            alive = f"{100 * b.count / b.total:.3g} %" if b.total else "none"
            yield f"{alive if b.what == 'alive' else f'{b.count:,}'} {b.what}"
        if "time" in show and node.seconds is not None:
            yield f"forward {format_seconds(node.seconds)}"
        if "time" in show and node.backward_seconds is not None:
            yield f"backward {format_seconds(node.backward_seconds)}"
        if "saved" in show and node.saved:
            yield f"keeps {format_bytes(sum([s.bytes for s in node.saved]))}:"
            for s in node.saved:
                owner = self.graph.nodes.get(s.owner)
                of = "its own" if owner in (None, node) else f"of {self.title(owner)}"
                yield f"{s.name} {format_shape(s.shape)}, {of}"

    def _formula(self, text: str) -> str:
        text = escape(text.replace(" ", NO_BREAK))
        return _font(text, self.theme.text, TEXT_SIZE + 1, self.theme.formula_font)

    def _numbers(self, numbers: Any) -> str:
        """The numbers of a small tensor: a table of its innermost two dimensions."""
        rows = []
        for row in split_rows(numbers):
            cells = [
                f"<TD>{_font(format_number(x), size=SMALL_SIZE)}</TD>" for x in row
            ]
            rows.append(f"<TR>{''.join(cells) or '<TD></TD>'}</TR>")
        color = self.theme.muted
        return _table("".join(rows), BORDER=1, CELLSPACING=1, COLOR=color)


def split_rows(numbers: Any) -> Iterator[list[Any]]:
    """The innermost lists, with an empty one between matrices."""
    if not isinstance(numbers, list):
        yield [numbers]
    elif not any(isinstance(x, list) for x in numbers):
        yield numbers
    else:
        for i, part in enumerate(numbers):
            rows = list(split_rows(part))
            if i and len(rows) > 1:
                yield []
            yield from rows


def shield(text: str) -> str:
    """Text in which Graphviz, which looks twice, finds no \\N or the like to replace.

    A word joiner, of no width, stands between the backslash and the letter.
    """
    return re.sub(r"\\(?=[NGETHL])", lambda m: m[0] + WORD_JOINER, text)


def escape(text: str) -> str:
    """Text inside an HTML-like label."""
    return shield(html.escape(text)).replace("\n", "<BR/>") or "&#160;"


def _table(rows: str, **given: object) -> str:
    """A table, without borders unless these are given."""
    form = {"BORDER": 0, "CELLBORDER": 0, "CELLSPACING": 0, "CELLPADDING": 1} | given
    return f"<TABLE {_attributes(**form)}>{rows}</TABLE>"


def _row(content: str, align: str = "CENTER") -> str:
    return f'<TD ALIGN="{align}">{content}</TD>'


def _font(
    content: str, color: str = "", size: float | None = None, face: str = ""
) -> str:
    form = _attributes(COLOR=color, POINT_SIZE=size, FACE=face)
    return f"<FONT {form}>{content}</FONT>"


def _attributes(**given: object) -> str:
    """Attributes of an element, but for empty ones; POINT_SIZE is POINT-SIZE."""
    filled = {key: value for key, value in given.items() if value not in ("", None)}
    pairs = [(key.replace("_", "-"), str(value)) for key, value in filled.items()]
    return " ".join([f'{key}="{html.escape(value)}"' for key, value in pairs])


def describe_statistics(what: str, s: Statistics) -> str:
    """Of values or a gradient, in two lines; in one if they are all the same."""
    low, mean, high, norm = map(format_number, (s.min, s.mean, s.max, s.norm))
    if s.mean is None or math.isnan(s.mean):
        return f"{what}: none finite, {s.not_finite:,} inf or NaN"
    if s.min == s.max and not s.not_finite:
        return f"{what}: {'' if abs(s.min) == s.norm else 'all '}{low}"
    text = f"{what}: {low} … {high}, mean {mean}\nnorm {norm}"
    return f"{text}, {s.not_finite:,} inf or NaN" if s.not_finite else text
