"""Sum up a training step of a model: parameters, multiply-adds, memory and time of each
module and operation, at the batch size that `train` would take. --memory draws how the
memory of the step grows and shrinks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..graph import memory, summary
from .models import opened
from .options import DATA, UsageError, add_model, number_from

FORMATS = ("markdown", "latex", "csv", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `summary`."""
    add_model(parser)
    add, count = parser.add_argument, number_from(int, 1)
    add("--data", choices=DATA, help="default: digits")
    add("--batch-size", type=count, metavar="N", help="images; default: as for `train`")
    picture = "draw memory instead: .svg, .png, .pdf"
    add("--memory", type=Path, metavar="FILE", help=picture)
    add = parser.add_mutually_exclusive_group().add_argument
    for name in FORMATS:
        store: Any = {"action": "store_const", "const": name, "dest": "format"}
        add(f"--{name}", help="print so", **store)


def run(args: argparse.Namespace) -> int:
    """Print the table; or write the picture of memory, and print what it shows."""
    if args.memory and args.format not in (None, "json"):
        raise UsageError("--memory is a picture; of the formats, it has only --json")
    of = opened(args, args.batch_size)
    step = of.model, of.images, of.labels, of.loss
    about = f"{of.name}, a training step on {len(of.images)} images of {of.data}"
    if args.memory:
        found = memory(*step)
        found.save(args.memory)
        text = f"{args.memory}: {about}\n{found}"
        print(found.to_json() if args.format == "json" else text)
    elif args.format:
        print(getattr(summary(*step), f"to_{args.format}")().rstrip())
    else:
        print(f"{about}\n\n{summary(*step)}")
    return 0
