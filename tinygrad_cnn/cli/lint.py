"""Look for mistakes in a model's graph: run one batch of training images and say what is
wrong with what was recorded, why it matters, and what to do. Exit status 0 means that
nothing was found, 1 that something was."""

from __future__ import annotations

import argparse
import json

from .options import DATA, add_json, add_model, number_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lint`."""
    add_model(parser)
    add = parser.add_argument
    add("--data", choices=DATA, help="default: mnist, or digits where that is missing")
    count = number_from(int, 1)
    add("--batch-size", type=count, default=64, metavar="N", help="images; default: 64")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings; the status is 1 if there are any."""
    from ..data import DataLoader
    from ..modelfile import build, load_class
    from ..random import manual_seed
    from ..recipe import facts, open_data
    from ..verify import lint
    from .images import default_data

    model_class = load_class(args.model)
    name = args.data or default_data()
    data = open_data(name, True, model_class, "float32", args.batch_size)
    manual_seed(0)
    model, _ = build(model_class, dict(args.set), facts(data))
    images, labels = next(iter(DataLoader(data, args.batch_size)))
    findings = lint(model, images, labels)
    findings.looked_at += f", run on {len(data)} images of {name}"
    print(json.dumps(findings.to_dict()) if args.json else findings)
    return 1 if findings else 0
