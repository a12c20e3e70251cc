"""Explain one number of the loss's gradient: the products that it is the sum of, and where
the largest of them came from. In training mode, untrained unless a checkpoint is given."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .options import DATA, add_json, add_model, number_from

if TYPE_CHECKING:
    from ..data import ImageDataset
    from ..nn import Module


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `explain`."""
    count = number_from(int, 0)
    add_model(parser)
    add = parser.add_argument
    add("parameter", metavar="PARAM", help="as conv1.weight; `input` is the image")
    add("index", type=_index, metavar="INDEX", help="of one value, as 1,0,2,2")
    add("--checkpoint", type=Path, metavar="FILE", help="what `train` has written")
    add("--data", choices=DATA, help="default: as for `train`, or as trained")
    add("--image", type=count, default=0, metavar="N", help="test image N; default: 0")
    images = number_from(int, 1)
    add("--batch", type=images, default=1, metavar="B", help="B images; default: 1")
    add("--terms", type=count, default=10, metavar="K", help="so many; default: 10")
    add(
        "--depth",
        type=count,
        default=0,
        metavar="D",
        help="explain the g of the largest term as well, and so on, D times; default: 0",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the explanation, and those of --depth."""
    from ..errors import ArgumentError, ModuleError
    from ..nn.loss import loss_of
    from ..verify import explain

    model, name, data = _opened(args)
    if args.image + args.batch > len(data):
        raise ArgumentError(f"{name} has test images 0 to {len(data) - 1}")
    images, labels = data.get_batch(range(args.image, args.image + args.batch))
    tensors = {**dict(model.named_parameters()), "input": images.requires_grad_()}
    if args.parameter not in tensors:
        raise ModuleError(
            f"there is no parameter {args.parameter}; give one of {', '.join(tensors)}"
        )
    loss = loss_of(model, model(images), labels)
    tensor = tensors[args.parameter]
    explanation = explain(loss, tensor, args.index, model=model)
    about = {"data": name, "image": args.image, "batch": args.batch}
    if not args.json:
        last = f" to {args.image + args.batch - 1}" if args.batch > 1 else ""
        shown = f"{name} {args.image}{last}, labelled {labels.tolist()}"
        print(f"{type(model).__name__} on {shown}: the loss L is {loss.item():.6g}")
    for explained in explanation.chain(args.depth):
        if args.json:
            line = about | {"loss": loss.item()} | explained.to_dict(args.terms)
            print(json.dumps(line), flush=True)
        else:
            print(f"\n{explained.text(args.terms)}")
    return 0


def _opened(args: argparse.Namespace) -> tuple[Module, str, ImageDataset]:
    """The model, trained or as training would begin, with the test images for it."""
    import numpy as np

    from ..modelfile import build, load_class
    from ..random import manual_seed
    from ..recipe import facts, open_data
    from .images import default_data
    from .saved import restore

    manual_seed(0)
    if args.checkpoint:
        model, saved = restore(args.model, args.checkpoint, dict(args.set))
        name, dtype = args.data or saved.options["data"], saved.options["dtype"]
        return model.train(), name, open_data(name, False, type(model), dtype, None)
    model_class = load_class(args.model)
    dtype = getattr(model_class, "defaults", {}).get("dtype", "float32")
    name = args.data or default_data()
    data = open_data(name, False, model_class, dtype, None)
    model, _ = build(model_class, dict(args.set), facts(data))
    return model.to(np.dtype(dtype)), name, data


def _index(text: str) -> tuple[int, ...]:
    """The integers of 1,0,2,2; of a tensor of a single value, ()."""
    parts = text.strip("()[] ")
    try:
        return tuple([int(part) for part in parts.split(",")]) if parts else ()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected one integer for each axis, as 1,0,2,2, not {text!r}"
        ) from None
