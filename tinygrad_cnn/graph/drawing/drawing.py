"""Pictures of computations: forward, backward, or both face to face."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ...core.engine import Tensor
from ...core.running import unchanged
from ...errors import ArgumentError
from ...nn import Module
from ...nn.loss import loss_of
from ...output.files import replacing
from ..backward import with_backward
from ..data import Graph, Node
from ..fold import fold, pair_passes
from ..measuring import MEASURES, measure
from ..repeats import fold_repeats
from ..walker import Walk
from .dot import Writer
from .highlight import ON_PATH, measures, reasons
from .label import SHOWN, Label
from .render import FORMATS, RenderError, render_with_images
from .theme import Theme, theme_of

MODES = ("forward", "backward", "both")
LARGEST = 1500
"""A notebook shows a graph of more nodes as text: laying it out would take minutes."""
LISTED = 3
"""A folded node gives so many reasons for being pointed out."""

Collapse = Callable[[str], bool] | bool | None


def draw(
    target: Any,
    x: Any = None,
    *,
    mode: str = "forward",
    depth: int | None = None,
    collapse: Collapse = None,
    show: str | Collection[str] = ("names", "shapes"),
    highlight: Any = (),
    theme: str | Theme = "light",
    names: Mapping[str, Any] | None = None,
    labels: Any = None,
    loss: Callable[..., Any] | None = None,
    title: str | None = None,
) -> Drawing:
    """A picture of how Tensors were, or a model's result is, computed.

    target: a loss or any other Tensor, nested in lists, dicts and dataclasses as you like;
    or a Graph; or a model, which is then run on `x` (a Tensor, or a tuple of several
    arguments), in the mode that it is in and without a trace. With `labels`, the picture
    ends at loss(model(x), labels); loss: by default, the model's attribute `loss`, or
    cross entropy.

    mode: "forward"; "backward" for what computes the gradients, and what that uses; "both"
    for each operation face to face with its backward pass, where data flow one way and
    gradients the other. L is the result, or the sum of all results.

    depth, collapse: modules to show as one node each, with the sums of what is inside:
    those `depth` deep (1: directly in the model), and those for whose dotted path
    `collapse` is true. Three or more equal blocks in a row are drawn once, with "×3" on
    them, unless collapse is False.

    show: any of
        names       what your code calls results
        shapes      of results and parameters
        dtype       of the same
        formula     of results; of gradients, for the backward pass
        values      least, mean and greatest value, and norm
        gradients   the same of ∂L/∂value, or that it was not computed
        parameters  how many numbers they have, and bytes
        saved       what is kept for the backward pass, and whose value it is
        time        of the forward and the backward pass
        macs        multiply-accumulates
        branches    how much of a ReLU is alive, ties of a maximum
        numbers     the values of small tensors
        images      feature maps of the first image
    highlight: what to point out, and say why; see `highlight.reasons`: "nonfinite",
    "vanishing", "exploding", "dead", ("path", "conv1.weight"), a report of `verify`, or
    several in a list.

    names: Tensors, arrays and Modules by what to call them; by default, the variables where
    `draw` is called. theme: "light", "dark" or a Theme.
    Raises ArgumentError for an option that is not one of these.
    """
    asked = {show} if isinstance(show, str) else set(show)
    _check(mode, MODES, "mode")
    for name in asked:
        _check(name, SHOWN, "show")
    graph = target
    if not isinstance(target, Graph):
        variables = sys._getframe(1).f_locals if names is None else names
        if isinstance(target, Module):
            title = type(target).__name__ if title is None else title
            model, target = target, _run(target, x, labels, loss)
            variables = {"": model, **variables, "x": x}
            variables |= {"loss": target} if loss or labels is not None else {}
        elif x is not None or labels is not None:
            raise ArgumentError(
                "x and labels are for a model; this is a result already"
            )
        what = (asked | measures(highlight)) & MEASURES.keys()
        graph = _measured(Walk(target, known_names(variables), title or ""), mode, what)
    look = Look(mode, depth, collapse, frozenset(asked), theme_of(theme))
    return Drawing(graph, look, reasons(graph, highlight))


def known_names(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The Tensors, arrays and outermost Modules among variables."""
    modules = {n: v for n, v in variables.items() if isinstance(v, Module)}
    parts = {id(p) for m in modules.values() for p in m.modules() if p is not m}
    return {
        name: value
        for name, value in variables.items()
        if (isinstance(value, Module) and id(value) not in parts)
        or (isinstance(value, Tensor | np.ndarray) and not name.startswith("_"))
    }


def _check(given: str, known: Iterable[str], what: str) -> None:
    if given not in known:
        raise ArgumentError(f"{what}={given!r} is none of {', '.join(known)}")


def _run(model: Module, x: Any, labels: Any, loss: Any) -> Any:
    """The result of a model, or its loss; buffers and random generators stay."""
    if x is None:
        raise ArgumentError("a model is drawn with an input: draw(model, x)")
    with unchanged(model):
        if isinstance(x, list):
            raise ArgumentError(
                "several inputs are a tuple, draw(model, (a, b)); a list that is the one "
                "input is draw(model, ([a, b],))"
            )
        y = model(*x) if isinstance(x, tuple) else model(x)
        return loss_of(model, y, labels, loss)


def _measured(walk: Walk, mode: str, what: Collection[str]) -> Graph:
    ends = [t for t in walk.outputs if t._node is not None]
    gradient = [Tensor._wrap(np.ones_like(t._array)) for t in ends] or None
    if mode != "forward":
        with_backward(walk, gradient)
    return measure(walk, what, gradient)


@dataclass(frozen=True)
class Look:
    """How a graph is to be drawn."""

    mode: str
    depth: int | None
    collapse: Collapse
    show: frozenset[str]
    theme: Theme
    pairs: Sequence[tuple[str, str]] | None = None
    """Of two graphs side by side, the ids of nodes to be on the same line."""


class Drawing:
    """A graph, and how it is drawn: as DOT text, files and in notebooks.

    graph: all of it, unfolded. drawn: what is drawn of it. dot: the text, which `str`
    gives as well. reasons: why nodes of `drawn` are pointed out, by their ids.
    """

    def __init__(
        self, graph: Graph, look: Look, reasons: Mapping[str, Sequence[str]]
    ) -> None:
        self.graph, self.look = graph, look
        folded = _fold(graph, look, reasons)
        self.drawn = _backward_part(folded) if look.mode == "backward" else folded
        self._folded = folded
        found = {node.id: _reasons_of(node, graph, reasons) for node in self.drawn}
        self.reasons = {id: why for id, why in found.items() if why}
        self.dot = self._dot({})

    def __str__(self) -> str:
        return self.dot

    def __repr__(self) -> str:
        title = f" of {self.graph.title}" if self.graph.title else ""
        return f"<Drawing{title}: {len(self.drawn)} nodes, {self.look.mode}>"

    def svg(self) -> str:
        """The picture as an `svg` element. Raises RenderError if there is no Graphviz."""
        return self._picture("svg").decode()

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a .svg, .png, .pdf, .dot or .json file; return its path.

        JSON has the whole graph, which `Graph.from_json` reads and `draw` takes. If there
        is no Graphviz, the DOT text is written beside, as .dot, and a line says so.
        Raises ArgumentError for another ending, OSError where writing fails.
        """
        target = Path(path)
        format = target.suffix[1:].lower()
        _check(format, (*FORMATS, "dot", "json"), "the ending of the file")
        try:
            content = self._content(format)
        except RenderError as error:
            target, content = target.with_suffix(".dot"), self.dot.encode()
            print(f"{target} has the graph as text: {error}", file=sys.stderr)
        with replacing(target) as file:
            file.write(content)
        return target

    def _content(self, format: str) -> bytes:
        if format in FORMATS:
            return self._picture(format)
        return (self.dot if format == "dot" else self.graph.to_json()).encode()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, str]:
        """For notebooks: the picture, or the DOT text where there is none."""
        try:
            if len(self.drawn) <= LARGEST:
                return {"image/svg+xml": self._picture("svg", 30).decode()}
        except Exception:  # a notebook must not fail because a picture does
            pass
        return {"text/plain": self.dot}

    def _dot(self, images: Mapping[str, str]) -> str:
        look = self.look
        label = Label(self._folded, look.theme, look.show, self.reasons, images)
        lines = Writer(self.drawn, label, look.mode, look.pairs).lines()
        return "\n".join(lines) + "\n"

    def _picture(self, format: str, seconds: float = 600) -> bytes:
        shown = self.drawn if "images" in self.look.show else ()
        images = {node.id: node.image for node in shown if node.image}
        return render_with_images(self._dot, images, format, seconds)


def _fold(graph: Graph, look: Look, marked: Mapping[str, Sequence[str]]) -> Graph:
    """The nodes of both passes, if the mode asks for both, folded."""
    if look.mode == "forward":
        graph = _part(graph, [n.id for n in graph if not n.is_backward])
    elif not any(node.is_backward for node in graph):
        raise ArgumentError(
            f"the graph has no backward pass, which mode={look.mode!r} would show"
        )
    if look.mode == "both":
        graph = pair_passes(graph)
    if look.collapse is not False:
        graph = fold_repeats(graph, marked)
    return fold(graph, look.depth, look.collapse if callable(look.collapse) else None)


def _backward_part(graph: Graph) -> Graph:
    """The nodes of the backward pass, and what they use."""
    backward = {n.id for n in graph if n.is_backward}
    used = [e.source for e in graph.edges if e.target in backward]
    graph = _part(graph, backward.union(used))
    graph.edges = [e for e in graph.edges if e.target in backward]
    return graph


def _part(graph: Graph, ids: Collection[str]) -> Graph:
    """These nodes, and the edges between them."""
    kept = set(ids)
    return Graph(
        {n.id: n for n in graph if n.id in kept},
        [e for e in graph.edges if e.source in kept and e.target in kept],
        [id for id in graph.outputs if id in kept],
        graph.title,
    )


def _reasons_of(
    node: Node, graph: Graph, reasons: Mapping[str, Sequence[str]]
) -> list[str]:
    """Why a drawn node is pointed out: for any of those that it stands for."""
    found = []
    for id in node.folded or [node.id]:
        for reason in reasons.get(id, ()):
            named = node.kind == "module" and not reason.startswith(ON_PATH)
            found.append(f"{graph.nodes[id].label}: {reason}" if named else reason)
    found = list(dict.fromkeys(found))
    if len(found) > LISTED:
        found[LISTED:] = [f"and {len(found) - LISTED} more"]
    return found
