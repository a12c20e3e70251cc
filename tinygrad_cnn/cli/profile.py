"""Show where the time of a training step goes: each operation forward and backward, the
longest first, with its calls, its share of the step, and how near it comes to what this
machine can do (multiply-adds against its rate of matrix products, bytes against its
memory). The update of the optimizer is not in it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from .options import DATA, add_json, add_model, number_from

if TYPE_CHECKING:
    from ..benchmark.profiling import Profile
    from ..core.engine import Tensor
    from .batch import Batch


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
    from .batch import opened

    of = opened(args.model, dict(args.set), args.batch_size, args.data)
    found = _profile(of, args.repeats)
    if args.json:
        for row in (*found.rows, found.between):
            print(json.dumps(row.to_dict()))
        print(json.dumps({"roofline": vars(found.roofline), "step": found.step}))
    else:
        about = f"{type(of.model).__name__}, a training step on {len(of.images)} images"
        _print_table(found, f"{about} of {of.data}")
    return 0


def _profile(of: Batch, repeats: int) -> Profile:
    """The machine is measured on as many threads as the kernels have."""
    from ..benchmark.profiling import profile
    from ..benchmark.roofline import measure as measure_machine
    from ..graph.measuring import measure, seconds
    from ..graph.walker import Walk
    from ..kernels.threads import blas_on, get_num_threads

    def forward() -> Tensor:
        of.model.zero_grad()
        return of.loss(of.model(of.images), of.labels)

    names = {"": of.model, "images": of.images, "labels": of.labels}
    walk = Walk(forward(), names)
    graph = measure(walk, ("time", "macs", "saved"), repeats=repeats)
    forward().backward()
    step = seconds(lambda: forward().backward(), repeats)
    threads = get_num_threads()
    with blas_on(threads):
        machine = measure_machine(threads)
    return profile(graph, step, machine)


def _print_table(found: Profile, about: str) -> None:
    from ..benchmark.profiling import HEADINGS, cells
    from .tables import show

    rates = found.roofline
    print(f"{about}: {1000 * found.step:.3f} ms forward and backward")
    print(
        f"at most {rates.multiply_adds:.3g} multiply-adds and {rates.bytes:.3g} bytes per "
        f"second; threads: {rates.threads}\n"
    )
    show(HEADINGS, list(cells(found)))
