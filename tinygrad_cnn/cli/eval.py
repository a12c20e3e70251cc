"""Measure a trained model on the test images of a data set: loss, accuracy, macro
precision, recall and F1, and which classes it takes for which."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..data import DataLoader
from ..training.fitting import evaluate
from ..training.recipe import TEST_BATCH, open_data
from .display import figures, show
from .models import restore
from .options import DATA, add_json, add_model, number_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `eval`."""
    add_model(parser)
    add, count = parser.add_argument, number_from(int, 1)
    add("checkpoint", type=Path, help="what `train` has written")
    add("--data", choices=DATA, help="default: that of the training")
    add("--train", action="store_true", help="measure on the training images")
    add("--limit", type=count, metavar="N", help="only the first N images")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the scores and the confusion matrix."""
    model, saved = restore(args.model, args.checkpoint, dict(args.set))
    name, dtype = args.data or saved.options["data"], saved.options["dtype"]
    data = open_data(name, args.train, type(model), dtype, args.limit)
    scores = evaluate(model, DataLoader(data, TEST_BATCH))
    if args.json:
        print(json.dumps({"data": name, "images": len(data)} | scores.to_dict()))
        return 0
    title = f"{type(model).__name__} on {len(data):,} images of {name}"
    show((title, ""), list(figures(scores).items()))
    print("\nlabels (rows) and what they were taken for (columns)")
    counts = scores.confusion.tolist()
    show(
        ["", *map(str, range(len(counts)))],
        [[c, *map(str, row)] for c, row in zip(data.classes, counts, strict=True)],
    )
    return 0
