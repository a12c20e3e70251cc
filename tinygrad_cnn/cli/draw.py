"""Draw the graph of a model, in training mode: its forward pass; or, where gradients are
asked for, a training step, with the model's `loss` or cross-entropy. Untrained unless a
checkpoint is given."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..core.recording import no_grad
from ..core.running import unchanged
from ..errors import ShapeError
from ..graph import Graph, draw
from ..training.model_file import split_spec
from ..verify import Report, verify
from .models import Batch, opened
from .options import DATA, add_model, number_from

WRONG = "wrong"
OF_GRADIENTS = {"gradients", "saved", "nonfinite", "vanishing", "exploding", WRONG}
"""What is shown or highlighted of a training step."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `draw`."""
    count = number_from(int, 1)
    add_model(parser)
    add = parser.add_argument
    add("--mode", choices=("forward", "backward", "both"), default="forward")
    add("--depth", type=count, metavar="N", help="modules N deep as one node each")
    shown = (
        "of names, shapes, dtype, formula, values, gradients, parameters, saved, time, "
        "macs, branches, numbers, images; default: names,shapes"
    )
    add("--show", type=_words, default="names,shapes", metavar="WORDS", help=shown)
    highlighted = (
        "of nonfinite, vanishing, exploding, dead, path:NAME, and wrong for the operation "
        "that `check` blames"
    )
    add("--highlight", type=_words, default="", metavar="WORDS", help=highlighted)
    add("--theme", choices=("light", "dark"), default="light")
    add("--data", choices=DATA, help="default: as trained, or digits")
    images = "images; default: 1, or 2 where the model needs several"
    add("--batch-size", type=count, metavar="N", help=images)
    add("--checkpoint", type=Path, metavar="FILE", help="what `train` has written")
    file = ".svg, .png, .pdf, .dot or .json; default: MODEL.svg"
    add("--out", type=Path, metavar="FILE", help=file)


def run(args: argparse.Namespace) -> int:
    """Write the picture, and say where."""
    of = _opened(args)
    asked = OF_GRADIENTS.intersection(args.show + args.highlight)
    step = of.step if asked or args.mode != "forward" else {}
    pairs = [word.partition(":") for word in args.highlight]
    requests = [(kind, name) if colon else kind for kind, colon, name in pairs]
    measured = draw(
        of.model,
        of.images,
        mode=args.mode,
        show=args.show,
        highlight=[request for request in requests if request != WRONG],
        names={"labels": of.labels},
        **step,
    )
    shorten(measured.graph)
    drawing = draw(
        measured.graph,
        mode=args.mode,
        show=args.show,
        highlight=[_report(of) if r == WRONG else r for r in requests],
        depth=args.depth,
        theme=args.theme,
    )
    path, name = split_spec(args.model)
    out = drawing.save(args.out or f"{name or path.stem}.svg")
    print(f"{out}: {of.name} on {of.data}, {len(drawing.drawn)} nodes")
    return 0


def _opened(args: argparse.Namespace) -> Batch:
    """The model, and as many images as are asked for, or needed."""
    of = opened(args, args.batch_size or 2)
    if not args.batch_size and _runs_on_one(of):
        of = replace(of, images=of.images[:1], labels=of.labels[:1])
    if args.mode == "forward":
        of.images.requires_grad_()  # so that all that is done to them is in the graph
    return of


def _runs_on_one(of: Batch) -> bool:
    """Whether one image is enough: where a batch is normalised, it may not be."""
    with unchanged(of.model), no_grad():
        try:
            of.model(of.images[:1])
        except ShapeError:
            return False
    return True


def _report(of: Batch) -> Report:
    """What `verify` says of the model, with lines as the graph has them."""
    report = verify(of.model, of.images, **of.step)
    if report.culprit:
        report.culprit = replace(report.culprit, where=_short(report.culprit.where))
    return report


def shorten(graph: Graph) -> None:
    """Leave out of the lines of the user's code where on this machine the files are."""
    for node in graph:
        node.where = _short(node.where)


def _short(where: str) -> str:
    """Relative to the working directory, if the file is below; or else its name."""
    path = Path(where)
    below = path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd())) if below else path.name


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]
