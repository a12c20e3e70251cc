"""Check gradients against difference quotients: of a model, or of your own NumPy code.
The exit status is 0 only if every gradient checked is right.

check MODEL.py runs the model in training mode on a batch of training images; the loss is
the model's `loss`, or cross-entropy.

check --pair FILE.py[:NAME] runs FILE.py and checks what it defines, or the one of a name:
  functions  forward(x, …) and backward(g, …), or several pairs as forward_conv (or conv)
             and backward_conv, conv_forward and conv_backward. backward takes g, the
             gradient of the output; or g and the inputs; or (g, cache) after return y,
             cache.
  layers     objects with methods forward(x) and backward(g), or (g, learning_rate), or
             classes of them. Parameters are the floating arrays that a layer has before
             forward; the gradient of W is dW, grad_W, W_grad or grads["W"], or returned
             after that of x, or the update at the learning rate 1.
  inputs     inputs_NAME, or `inputs` for all: an array; several in a tuple, or a dict by
             name; or a function that returns them. Or an attribute `inputs` of the class.
  arguments  arguments_NAME, or `arguments` for all: what the constructor is given, in a
             tuple or a dict.
  params     params_NAME, or `params` for all: which attribute is the gradient of which, as
             {"W": "my_dW"}. No other parameter is checked then.
NAME is that of the layer or class; of functions, what is left without "backward". With
--inputs TEACHER.py, the last three are those of TEACHER.py, the same for every FILE.py, and
each NAME there must be in FILE.py. What FILE.py prints goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from .options import DATA, UsageError, assignment, number_from

if TYPE_CHECKING:
    from ..engine import Tensor
    from ..nn import Module
    from ..verify import Report

OF_MODELS = ("data", "batch_size", "order", "set", "checkpoint")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `check`; those not given are None."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "model", nargs="?", metavar="MODEL.py[:Class]", help="a model file"
    )
    what.add_argument("--pair", metavar="FILE.py[:NAME]", help="your NumPy code")
    what.add_argument(
        "--self-test",
        action="store_true",
        help="plant mistakes in this package, and see whether the check finds them",
    )
    add, count = parser.add_argument, number_from(int, 1)
    add("--inputs", type=Path, metavar="TEACHER.py", help="the inputs for --pair")
    add("--data", choices=DATA, help="default: mnist, or digits where that is missing")
    add("--batch-size", type=count, metavar="N", help="images; default: 2")
    add("--set", metavar="NAME=VALUE", type=assignment, action="append",
        help="a keyword argument of the model; may be repeated")  # fmt: skip
    add("--checkpoint", type=Path, metavar="FILE", help="what `train` has written")
    add("--order", type=int, choices=(1, 2), help="2: the gradient's gradient as well")
    add("--param", nargs="+", metavar="NAME", help="check these only; the images are x")
    add("--full", type=_count_or_all, default=1024, metavar="N|all",
        help="check tensors up to this size entry by entry; default: 1024")  # fmt: skip
    add(
        "--step",
        type=number_from(float, 1e-12),
        metavar="H",
        help="first; default: 6e-6",
    )
    add("--seed", type=int, default=0, metavar="N", help="default: 0")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print a JSON object")
    output.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")


def run(args: argparse.Namespace) -> int:
    """Print the reports, or write them; the status is 0 only if all is right."""
    unfit = [] if args.model else [k for k in OF_MODELS if getattr(args, k) is not None]
    unfit += ["inputs"] if args.inputs and not args.pair else []
    alone = ("junit", "param", "step") if args.self_test else ()
    unfit += [name for name in alone if getattr(args, name) is not None]
    if unfit:
        names = ", ".join([f"--{name.replace('_', '-')}" for name in unfit])
        raise UsageError(f"{names} does not go with what is checked here; see --help")
    if args.self_test:
        from ..verify.mutants import self_test

        result = self_test()
        print(result.to_json() if args.json else result)
        return 0 if result else 1
    with redirect_stdout(sys.stderr), Progress() as progress:
        reports = _reports(args, progress)
    if args.junit:
        args.junit.write_text(_junit(reports), encoding="utf-8")
    if args.json:
        found = [json.loads(report.to_json()) for report in reports]
        every = {"right": all(reports), "reports": found}
        print(json.dumps(every if args.pair else found[0]))
    else:
        print("\n\n".join(map(_text, reports)))
    return 0 if all(reports) else 1


def _reports(args: argparse.Namespace, progress: Progress) -> list[Report]:
    """The report on the model, or that on each pair of the file."""
    options = {"only": args.param, "step": args.step, "full": args.full}
    options |= {"seed": args.seed, "progress": progress}
    if args.pair:
        from .pairfile import reports_of

        return list(reports_of(args.pair, args.inputs, **options))
    from ..verify import verify

    model, images, labels = _opened(args)
    order = args.order or 1
    return [verify(model, images, labels=labels, order=order, **options)]


def _opened(args: argparse.Namespace) -> tuple[Module, Tensor, Tensor]:
    """The model in training mode, and a batch of training images with their labels."""
    import numpy as np

    from ..modelfile import build, load_class
    from ..random import manual_seed
    from ..recipe import facts, open_data
    from .images import default_data
    from .saved import restore

    size, settings = args.batch_size or 2, dict(args.set or [])
    manual_seed(args.seed)
    if args.checkpoint:
        model, saved = restore(args.model, args.checkpoint, settings)
        name, dtype = args.data or saved.options["data"], saved.options["dtype"]
        data = open_data(name, True, type(model), dtype, size)
    else:
        model_class = load_class(args.model)
        dtype = getattr(model_class, "defaults", {}).get("dtype", "float32")
        data = open_data(args.data or default_data(), True, model_class, dtype, size)
        model, _ = build(model_class, settings, facts(data))
        model.to(np.dtype(dtype))
    images, labels = data.get_batch(range(len(data)))
    return model.train(), images, labels


def _text(report: Report) -> str:
    """The report, or one line if there was nothing to check."""
    first = report.tensors[0]
    alone = first.failure and len(report.tensors) == 1 and not first.shape
    return f"{report.title}: {first.failure}" if alone else str(report)


def _junit(reports: Sequence[Report]) -> str:
    from xml.etree import ElementTree

    from ..verify.report import junit_suite

    suites = ElementTree.Element("testsuites")
    suites.extend([junit_suite(report) for report in reports])
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _count_or_all(text: str) -> int:
    return sys.maxsize if text == "all" else int(number_from(int, 1)(text))


class Progress:
    """A line on stderr that says which tensor is checked; now and then, if it is a file."""

    def __enter__(self) -> Progress:
        self.live = sys.stderr.isatty()
        self.shown = time.perf_counter()
        return self

    def __call__(self, name: str, done: int, count: int) -> None:
        """Before each tensor."""
        line = f"checking {name}, {done + 1} of {count}"
        if self.live:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        elif time.perf_counter() - self.shown > 5:
            self.shown = time.perf_counter()
            print(line, file=sys.stderr, flush=True)

    def __exit__(self, *error: object) -> None:
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
