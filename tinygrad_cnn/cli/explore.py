"""Write a page that steps through a model's forward and backward pass, number by number. In
training mode, untrained unless a checkpoint is given."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..core.engine import Tensor
from ..core.recording import no_grad
from ..core.running import unchanged
from ..errors import ArgumentError
from ..graph import explore
from ..nn import Module
from ..output.text import format_bytes
from ..training.model_file import split_spec
from .models import opened
from .options import DATA, add_model, number_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `explore`."""
    count, images = number_from(int, 0), number_from(int, 1)
    add_model(parser)
    add = parser.add_argument
    add("--checkpoint", type=Path, metavar="FILE", help="what `train` has written")
    add("--data", choices=DATA, help="default: as for `train`, or as trained")
    add("--image", type=count, default=0, metavar="N", help="test image N; default: 0")
    add("--batch", type=images, default=1, metavar="B", help="B images; default: 1")
    file = "a model's input as .npy, in the place of an image: (C, H, W), or a batch"
    add("--input", type=Path, metavar="FILE", help=file)
    label = "the class of --input; default: the class that the model finds"
    add("--label", type=count, metavar="K", help=label)
    add("--out", type=Path, metavar="FILE", help="default: MODEL.html")


def run(args: argparse.Namespace) -> int:
    """Write the page, and say where."""
    of = opened(args, args.batch, start=args.image, mnist=True)
    images, labels = of.images, of.labels
    shown = f"{of.data} {args.image}"
    if args.input:
        images, labels = _given(args, of.images, of.model)
        shown = args.input.name
    title = f"{of.name} on {shown}, labelled {', '.join(map(str, labels.tolist()))}"
    page = explore(of.model, images, labels, loss=of.loss, title=title)
    path, name = split_spec(args.model)
    out = page.save(args.out or f"{name or path.stem}.html")
    print(f"{out}: {title}, {format_bytes(out.stat().st_size)}")
    return 0


def _given(
    args: argparse.Namespace, like: Tensor, model: Module
) -> tuple[Tensor, Tensor]:
    """The input of a file, and its labels: those given, or those the model finds."""
    array = np.load(args.input, allow_pickle=False)
    if array.dtype.kind not in "fiub":
        raise ArgumentError(f"{args.input} holds {array.dtype}, no numbers")
    array = array.astype(like.dtype)
    x = Tensor(array[None] if array.ndim == like.ndim - 1 else array)
    if args.label is not None:
        return x, Tensor(np.full(x.shape[0], args.label))
    with unchanged(model), no_grad():
        return x, model(x).argmax(1)
