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

check FILE.py[:NAME] --framework torch (or jax) checks what a file of that library defines:
a module, its class, an autograd.Function, a function; on the file's `inputs` (or those of
--inputs), in the loss given by its `labels` and `loss` if it has them.

NAME is that of the layer or class; of functions, what is left without "backward". With
--inputs TEACHER.py, the last three are those of TEACHER.py, the same for every FILE.py, and
each NAME there must be in FILE.py. What FILE.py prints goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

from ..verify import Report, verify
from ..verify.frameworks.file import job_of
from ..verify.handwritten.file import subjects_of
from ..verify.handwritten.foreign import failed
from ..verify.mutants import self_test
from ..verify.report import to_junit
from ..verify.verifier import verify_code
from .display import Display
from .models import opened
from .options import DATA, UsageError, add_set, number_from

OF_MODELS = ("data", "batch_size", "order", "checkpoint", "set", "framework")
OURS = OF_MODELS[:4]
"""Those that do not go with another framework's file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `check`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_mutually_exclusive_group(required=True).add_argument
    add("model", nargs="?", metavar="MODEL.py[:Class]", help="a model file")
    add("--pair", metavar="FILE.py[:NAME]", help="your NumPy code")
    planted = "plant mistakes in this package, and see whether the check finds them"
    add("--self-test", action="store_true", help=planted)
    add, count = parser.add_argument, number_from(int, 1)
    theirs = "MODEL.py is a file of this library"
    add("--framework", choices=("torch", "jax"), help=theirs)
    add("--inputs", type=Path, metavar="TEACHER.py", help="the inputs for --pair")
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
    with redirect_stdout(sys.stderr), Progress() as progress:
        reports = list(_reports(args, progress))
    if args.junit:
        args.junit.write_text(to_junit(reports), encoding="utf-8")
    if args.json:
        found = [json.loads(report.to_json()) for report in reports]
        every = {"right": all(reports), "reports": found}
        print(json.dumps(every if args.pair else found[0]))
    else:
        print("\n\n".join(map(_text, reports)))
    return 0 if all(reports) else 1


def _reports(args: argparse.Namespace, progress: Progress) -> Iterator[Report]:
    """The report on the model, or that on each pair of the file."""
    options = {"only": args.param, "step": args.step, "full": args.full}
    options |= {"seed": args.seed, "progress": progress.show}
    if args.pair:
        for found in subjects_of(args.pair, args.inputs, args.seed):
            if found.subject is None:
                yield failed(found.title, found.problem)
            else:
                yield verify_code(found.subject, **options)
        return
    if args.framework:
        job = job_of(args.model, args.framework, dict(args.set), args.inputs, args.seed)
        yield verify(**job._asdict(), **options)
        return
    of = opened(args, args.batch_size or 2, train=True, mnist=True)
    yield verify(of.model, of.images, order=args.order or 1, **of.step, **options)


def _text(report: Report) -> str:
    """The report, or one line if there was nothing to check."""
    first = report.tensors[0]
    alone = first.failure and len(report.tensors) == 1 and not first.shape
    return f"{report.title}: {first.failure}" if alone else str(report)


def _count_or_all(text: str) -> int:
    return sys.maxsize if text == "all" else int(number_from(int, 1)(text))


class Progress(Display):
    """Says which tensor is checked: in a bar, or else in a line now and then."""

    def show(self, name: str, done: int, count: int) -> None:
        """Before each tensor."""
        self.update(f"checking {name}, {done + 1} of {count}", done / count, every=5)
