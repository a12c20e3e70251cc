"""Compare the graphs of two model files; or two checkpoints of one model: its parameters,
and the values and gradients of a training step on the same images; or, without a model
file, two checkpoints by their parameters alone. Exit status 0 means that nothing differs, 1
that something does."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..graph import Graph, diff, draw
from ..graph.comparing.difference import Difference
from ..training.model_file import split_spec
from .draw import shorten
from .models import opened
from .options import DATA, UsageError, add_set, number_from


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `diff`."""
    add, count = parser.add_argument, number_from(int, 1)
    files = "A.py B.py, or MODEL.py and two checkpoints, or two checkpoints"
    add("compared", nargs="+", metavar="FILE", help=files)
    add_set(parser, "a keyword argument of the model, or of both")
    add_set(parser, "one of the second model file alone", "--set-b")
    add("--data", choices=DATA, help="default: digits, or as trained")
    add("--batch-size", type=count, default=2, metavar="N", help="images; default: 2")
    closer = "closer than R of a tensor's largest value is equal; default: 0"
    add("--rtol", type=number_from(float, 0), default=0.0, metavar="R", help=closer)
    add("--theme", choices=("light", "dark"), default="light")
    picture = "draw both side by side: .svg and the like"
    add("--out", type=Path, metavar="FILE", help=picture)
    add("--json", action="store_true", help="print a JSON object")


def run(args: Namespace) -> int:
    """Print what differs; the status is 1 if anything does."""
    found = _difference(args)
    print(found.to_json() if args.json else found)
    if args.out:
        for graph in filter(None, (found.a, found.b)):
            shorten(graph)
        written = found.save(args.out, args.theme)
        print(f"{written} has both side by side", file=sys.stderr)
    return 1 if found else 0


def _difference(args: Namespace) -> Difference:
    given = args.compared
    files = [split_spec(spec)[0].suffix == ".py" for spec in given]
    unfit = args.set_b if files != [True, True] else None
    if unfit or (files == [False, False] and args.set):
        raise UsageError("--set is for model files, and --set-b for the second of two")
    if files == [True, True]:
        a, b = given
        return diff(_graph(args, a, args.set), _graph(args, b, args.set + args.set_b))
    if files == [False, False]:
        return diff(*given, rtol=args.rtol)
    if files != [True, False, False]:
        raise UsageError(
            "give A.py and B.py, or MODEL.py and two checkpoints, or these alone"
        )
    args.model, *paths = given
    of, other = [
        opened(Namespace(**vars(args), checkpoint=Path(path)), args.batch_size)
        for path in paths
    ]
    found = diff(of.model, other.model, of.images, rtol=args.rtol, **of.step)
    for graph, path in zip((found.a, found.b), paths, strict=True):
        if graph is not None:
            graph.title = Path(path).stem
    return found


def _graph(args: Namespace, spec: str, settings: list[tuple[str, object]]) -> Graph:
    named = Namespace(**vars(args) | {"model": spec, "set": settings})
    of = opened(named, args.batch_size)
    title = " ".join([of.name, *[f"{name}={value}" for name, value in settings]])
    names = {"labels": of.labels}
    return draw(of.model, of.images, show=(), names=names, title=title, **of.step).graph
