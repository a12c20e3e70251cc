"""Turn a file of weights into one of another format, told by the ending of its name:
.pth or .pt (PyTorch), .safetensors, .npz (NumPy); any other is a checkpoint of ours."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..checkpoint import load, save, weights_in
from ..errors import CheckpointError
from .options import note

FLAT = (".safetensors", ".npz")
"""Formats that hold tensors by name, and nothing else."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `convert`."""
    add = parser.add_argument
    add("source", type=Path, metavar="FROM", help="what there is: told by its content")
    add("target", type=Path, metavar="TO", help="what is written")
    weights = (
        "leave out all but the weights (the optimizer, the position of a training)"
    )
    add("--weights", action="store_true", help=weights)


def run(args: argparse.Namespace) -> int:
    """Read the one, and write the other."""
    if not args.source.is_file():
        raise CheckpointError(f"there is no file {args.source}")
    tree = load(args.source)
    found = weights_in(tree)
    flat = args.target.suffix.lower() in FLAT
    if flat and found is not tree and not args.weights:
        others = ", ".join([key for key in tree if tree[key] is not found])
        note(f"left out, for {args.target.suffix} holds weights only: {others}")
    save(dict(found) if flat or args.weights else tree, args.target)
    numbers = sum(np.asarray(value).size for value in found.values())
    print(f"{args.target}: {len(found)} tensors, {numbers:,} numbers")
    return 0
