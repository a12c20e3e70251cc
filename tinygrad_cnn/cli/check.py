"""Check gradients against difference quotients: of a model, or of your own NumPy code.
The exit status is 0 only if every gradient checked is right.

check MODEL.py runs the model in training mode on a batch of training images; the loss is
the model's `loss`, or cross-entropy.

check --pair FILE.py[:NAME] runs FILE.py in a process of its own, which ends when its time
is over, and checks what it defines, or the one of a name:
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

check FILE.py[:NAME] --framework torch (or jax) checks what a file of that library defines:
a module, its class, an autograd.Function, a function; on the file's `inputs` (or those of
--inputs), in the loss given by its `labels` and `loss` if it has them.

NAME is that of the layer or class; of functions, what is left without "backward". With
--inputs TEACHER.py, the last three are those of TEACHER.py, the same for every FILE.py, and
each NAME there must be in FILE.py. What FILE.py prints goes to stderr.

check --pair FILES… or DIR, whose .py and .ipynb files are meant, prints a table with a line
for each file: right, wrong, unclear, could not read, crashed, timed out. --html, --csv and
--junit have the reports.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from ..training.model_file import split_spec
from ..verify import verify
from ..verify.frameworks.file import job_of
from ..verify.grading.grade import Graded, Grader
from ..verify.grading.page import csv_of, page_of, table_of, text_of
from ..verify.mutants import self_test
from ..verify.report import to_junit
from .display import Display
from .models import opened
from .options import DATA, UsageError, add_set, number_from

OF_MODELS = ("data", "batch_size", "order", "checkpoint", "set", "framework")
OURS = OF_MODELS[:4]
"""Those that do not go with another framework's file."""
OF_PAIRS = ("timeout", "jobs", "csv", "html")
ENDINGS = (".py", ".ipynb")

TIMEOUT, TIMEOUT_EACH = 120.0, 60.0
"""Seconds that a file has if it is alone, and if there are several."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `check`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_mutually_exclusive_group(required=True).add_argument
    add("model", nargs="?", metavar="MODEL.py[:Class]", help="a model file")
    files = "your NumPy code; several files, or a folder of them, as well"
    add("--pair", nargs="+", metavar="FILE.py[:NAME]", help=files)
    planted = "plant mistakes in this package, and see whether the check finds them"
    add("--self-test", action="store_true", help=planted)
    add, count = parser.add_argument, number_from(int, 1)
    theirs = "MODEL.py is a file of this library"
    add("--framework", choices=("torch", "jax"), help=theirs)
    add("--inputs", type=Path, metavar="TEACHER.py", help="the inputs for --pair")
    timeout = "what a file of --pair has in all; default: 120, or 60 each"
    add("--timeout", type=number_from(float, 0.1), metavar="S", help=timeout)
    jobs = "files that are run at a time; default: the number of processors"
    add("--jobs", type=count, metavar="N", help=jobs)
    add("--csv", type=Path, metavar="FILE", help="write the table of the files")
    add(
        "--html",
        type=Path,
        metavar="FILE",
        help="write a page with reports and pictures",
    )
    add("--data", choices=DATA, help="default: mnist, or digits where that is missing")
    add("--batch-size", type=count, metavar="N", help="images; default: 2")
    add_set(parser, "a keyword argument of the model; may be repeated")
    add("--checkpoint", type=Path, metavar="FILE", help="what `train` has written")
    add("--order", type=int, choices=(1, 2), help="2: the gradient's gradient as well")
    add("--param", nargs="+", metavar="NAME", help="check these only; the images are x")
    full = "check tensors up to this size entry by entry; default: 1024"
    add("--full", type=_count_or_all, default=1024, metavar="N|all", help=full)
    step = number_from(float, 1e-12)
    add("--step", type=step, metavar="H", help="first; default: 6e-6")
    add("--seed", type=int, default=0, metavar="N", help="default: 0")
    add = parser.add_mutually_exclusive_group().add_argument
    add("--json", action="store_true", help="print a JSON object")
    add("--junit", type=Path, metavar="FILE", help="write JUnit XML")


def run(args: argparse.Namespace) -> int:
    """Print the reports, or write them; the status is 0 only if all is right."""
    unfit = [] if args.model else [name for name in OF_MODELS if getattr(args, name)]
    unfit += [] if args.pair else [name for name in OF_PAIRS if getattr(args, name)]
    unfit += ["inputs"] if args.inputs and not (args.pair or args.framework) else []
    unfit += [name for name in OURS if args.framework and getattr(args, name)]
    alone = ("junit", "param", "step") if args.self_test else ()
    unfit += [name for name in alone if getattr(args, name)]
    if unfit:
        names = ", ".join([f"--{name.replace('_', '-')}" for name in unfit])
        raise UsageError(f"{names} does not go with what is checked here; see --help")
    if args.self_test:
        result = self_test()
        print(result.to_json() if args.json else result)
        return 0 if result else 1
    for path in filter(None, (args.junit, args.csv, args.html)):
        if not path.parent.is_dir():
            raise UsageError(
                f"there is no folder {path.parent} to write {path.name} in"
            )
    return _check_files(args) if args.pair else _check_model(args)


def _check_model(args: argparse.Namespace) -> int:
    with redirect_stdout(sys.stderr), Progress() as progress:
        options = _options(args) | {"progress": progress.show}
        if args.framework:
            given = args.model, args.framework, dict(args.set), args.inputs, args.seed
            report = verify(**job_of(*given)._asdict(), **options)
        else:
            of = opened(args, args.batch_size or 2, train=True, mnist=True)
            options |= of.step | {"order": args.order or 1}
            report = verify(of.model, of.images, **options)
    if args.junit:
        args.junit.write_text(report.to_junit(), encoding="utf-8")
    print(report.to_json() if args.json else report)
    return 0 if report else 1


def _options(args: argparse.Namespace) -> dict[str, Any]:
    options = {"only": args.param, "step": args.step, "full": args.full}
    return options | {"seed": args.seed}


def _check_files(args: argparse.Namespace) -> int:
    """One file is told in full, several in a table."""
    several = len(args.pair) > 1 or Path(args.pair[0]).is_dir()
    files = _files_of(args.pair, args.inputs) if several else {}
    timeout = args.timeout or (TIMEOUT_EACH if several else TIMEOUT)
    with Progress() as progress:
        options = _options(args) | ({} if several else {"progress": progress.show})
        grader = Grader(args.inputs, timeout, **options)
        if several:
            jobs = args.jobs or os.cpu_count() or 1
            graded = grader.grade_all(files, jobs, progress.counter(len(files)))
        else:
            graded = [_grade_alone(grader, args.pair[0], progress)]
    reports = [report for one in graded for report in one.reports]
    if args.json and several:
        every = [one.to_dict() for one in graded]
        print(json.dumps({"right": all(graded), "files": every}))
    elif args.json:
        found = graded[0].to_dict()["reports"]
        print(json.dumps({"right": all(graded), "reports": found}))
    else:
        print(table_of(graded) if several else "\n\n".join(map(text_of, reports)))
    if args.junit:
        args.junit.write_text(to_junit(reports), encoding="utf-8")
    if args.csv:
        args.csv.write_text(csv_of(graded), encoding="utf-8")
    if args.html:
        args.html.write_text(page_of(graded), encoding="utf-8")
    return 0 if all(graded) else 1


def _grade_alone(grader: Grader, spec: str, progress: Progress) -> Graded:
    path = split_spec(spec)[0]
    if not path.is_file():
        raise ModelFileError(f"there is no file {path}")
    start, printed = time.monotonic(), []

    def show(text: str) -> None:
        printed.append(text)
        print(text, end="", file=sys.stderr, flush=True)

    reports = list(grader.reports(spec, show))
    return Graded(path.name, reports, "".join(printed), time.monotonic() - start)


def _files_of(paths: list[str], inputs: Path | None) -> dict[str, Path]:
    """The files, by what each is called in the table; those of a folder in its place."""
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix in ENDINGS]
            found += [p for p in inside if p.is_file() and not p.name.startswith(".")]
        elif path.is_file():
            found.append(path)
        else:
            raise ModelFileError(f"there is no file {path}")
    teacher = inputs.resolve() if inputs else None
    found = [p for p in dict.fromkeys(found) if p.resolve() != teacher]
    if not found:
        raise ModelFileError(f"there is no .py or .ipynb file in {', '.join(paths)}")
    names = {p.name: p for p in found}
    return names if len(names) == len(found) else {str(p): p for p in found}


def _count_or_all(text: str) -> int:
    return sys.maxsize if text == "all" else int(number_from(int, 1)(text))


class Progress(Display):
    """Says which tensor is checked: in a bar, or else in a line now and then."""

    def show(self, name: str, done: int, count: int) -> None:
        """Before each tensor."""
        self.update(f"checking {name}, {done + 1} of {count}", done / count, every=5)

    def counter(self, count: int) -> Callable[[Graded], None]:
        """To be told of each of so many files when it is done."""
        numbers = itertools.count(1)

        def show(one: Graded) -> None:
            done = next(numbers)
            text = f"{done} of {count} files: {one.file} {one.outcome}"
            self.update(text, done / count)

        return show
