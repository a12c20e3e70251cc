"""Explain one number of the loss's gradient: the products that it is the sum of, and where
the largest of them came from. In training mode, untrained unless a checkpoint is given."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import ModuleError
from ..verify import explain
from .models import opened
from .options import DATA, add_json, add_model, number_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `explain`."""
    count, images = number_from(int, 0), number_from(int, 1)
    add_model(parser)
    add = parser.add_argument
    add("parameter", metavar="PARAM", help="as conv1.weight; `input` is the image")
    add("index", type=_index, metavar="INDEX", help="of one value, as 1,0,2,2")
    add("--checkpoint", type=Path, metavar="FILE", help="what `train` has written")
    add("--data", choices=DATA, help="default: as for `train`, or as trained")
    add("--image", type=count, default=0, metavar="N", help="test image N; default: 0")
    add("--batch", type=images, default=1, metavar="B", help="B images; default: 1")
    add("--terms", type=count, default=10, metavar="K", help="so many; default: 10")
    deeper = "explain the g of the largest term as well, and so on, D times; default: 0"
    add("--depth", type=count, default=0, metavar="D", help=deeper)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the explanation, and those of --depth."""
    of = opened(args, args.batch, start=args.image, mnist=True)
    tensors = {**dict(of.model.named_parameters()), "input": of.images.requires_grad_()}
    if args.parameter not in tensors:
        raise ModuleError(
            f"there is no parameter {args.parameter}; give one of {', '.join(tensors)}"
        )
    loss = of.loss(of.model(of.images), of.labels)
    explanation = explain(loss, tensors[args.parameter], args.index, model=of.model)
    about = {"data": of.data, "image": args.image, "batch": args.batch}
    if not args.json:
        last = f" to {args.image + args.batch - 1}" if args.batch > 1 else ""
        shown = f"{of.data} {args.image}{last}, labelled {of.labels.tolist()}"
        print(f"{of.name} on {shown}: the loss L is {loss.item():.6g}")
    for explained in explanation.chain(args.depth):
        if args.json:
            line = about | {"loss": loss.item()} | explained.to_dict(args.terms)
            print(json.dumps(line), flush=True)
        else:
            print(f"\n{explained.text(args.terms)}")
    return 0


def _index(text: str) -> tuple[int, ...]:
    """The integers of 1,0,2,2; of a tensor of a single value, ()."""
    parts = text.strip("()[] ")
    try:
        return tuple([int(part) for part in parts.split(",")]) if parts else ()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected one integer for each axis, as 1,0,2,2, not {text!r}"
        ) from None
