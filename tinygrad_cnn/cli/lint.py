"""Look for mistakes in a model's graph: run one batch of training images and say what is
wrong with what was recorded, why it matters, and what to do. Exit status 0 means that
nothing was found, 1 that something was."""

from __future__ import annotations

import argparse
import json

from ..verify import lint
from .models import opened
from .options import DATA, add_json, add_model, number_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lint`."""
    add_model(parser)
    add, count = parser.add_argument, number_from(int, 1)
    add("--data", choices=DATA, help="default: mnist, or digits where that is missing")
    add("--batch-size", type=count, default=64, metavar="N", help="images; default: 64")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings; the status is 1 if there are any."""
    of = opened(args, args.batch_size, train=True, mnist=True)
    findings = lint(of.model, of.images, of.labels)
    findings.looked_at += f", run on {len(of.images)} images of {of.data}"
    print(json.dumps(findings.to_dict()) if args.json else findings)
    return 1 if findings else 0
