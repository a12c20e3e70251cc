"""Show where the time of a training step goes: each operation forward and backward, the
longest first, with its calls, its share of the step, and how near it comes to what this
machine can do (multiply-adds against its rate of matrix products, bytes against its
memory). The update of the optimizer is not in it."""

from __future__ import annotations

import argparse
import json

from ..benchmark.profiling import HEADINGS, cells, profile
from ..benchmark.roofline import measure as measure_machine
from ..core.engine import Tensor
from ..graph.measuring import measure, seconds
from ..graph.walker import Walk
from ..kernels.threads import blas_on, get_num_threads
from .display import show
from .models import opened
from .options import DATA, add_json, add_model, number_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `profile`."""
    add_model(parser)
    add, count = parser.add_argument, number_from(int, 1)
    add("--data", choices=DATA, help="default: digits")
    add("--batch-size", type=count, metavar="N", help="images; default: as for `train`")
    medians = "medians are of so many runs; default: 11"
    add("--repeats", type=count, default=11, metavar="N", help=medians)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the table; with --json a line for each operation, and one for the step."""
    of = opened(args, args.batch_size)

    def forward() -> Tensor:
        of.model.zero_grad()
        return of.loss(of.model(of.images), of.labels)

    names = {"": of.model, "images": of.images, "labels": of.labels}
    walk = Walk(forward(), names)
    graph = measure(walk, ("time", "macs", "saved"), repeats=args.repeats)
    forward().backward()
    step = seconds(lambda: forward().backward(), args.repeats)
    threads = (
        get_num_threads()
    )  # the machine is measured on as many as the kernels have
    with blas_on(threads):
        rates = measure_machine(threads)
    found = profile(graph, step, rates)
    if args.json:
        for row in (*found.rows, found.between):
            print(json.dumps(row.to_dict()))
        print(json.dumps({"roofline": vars(rates), "step": step}))
        return 0
    print(
        f"{of.name}, a training step on {len(of.images)} images of {of.data}: "
        f"{1000 * step:.3f} ms forward and backward\n"
        f"at most {rates.multiply_adds:.3g} multiply-adds and {rates.bytes:.3g} bytes per "
        f"second; threads: {threads}\n"
    )
    show(HEADINGS, list(cells(found)))
    return 0
