"""`tinygrad-cnn COMMAND`: finds the command, runs it, and turns errors into one line.

Exit status: 0 done, 1 an error, 2 wrong usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from .. import __version__
from ..errors import TinygradError
from ..importing import is_users
from ..missing import suggest
from .options import UsageError, note

COMMANDS = {
    "train": "train a model file on images",
    "eval": "measure a trained model on a data set",
    "predict": "name the class of images",
    "check": "compare the gradients of a model, or of your code, with differences",
    "lint": "look for mistakes in the graph of a model",
    "draw": "draw the graph of a model, forward, backward or both",
    "summary": "sum up a model: parameters, multiply-adds, memory and time",
    "diff": "compare two models, or two checkpoints of one",
    "convert": "turn a file of weights into one of another format",
    "bench": "measure speed beside PyTorch and other libraries",
    "profile": "show where the time of a training step goes",
    "reproduce": "run the experiments of the documents on real data",
    "run": "run a PyTorch script as it is",
    "explore": "write a page that steps through a model's backpropagation",
    "explain": "show the products that one number of a gradient is the sum of",
}
"""Each command, which is the module of that name in this package, and its line of help.

Such a module has `add_arguments(parser)` and `run(args)`, which returns the exit status.
It is imported only if it is asked for.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: this process's) and return the exit status."""
    if "numpy" not in sys.modules:
        # The products of small nets gain nothing from a second thread, and where another
        # program is busy the threads wait for each other: hundreds of times slower.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    words = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")  # a pipe of Windows has no ∂, say
    try:
        args = parse(words)
    except SystemExit as stop:  # argparse has printed its help or its complaint
        return int(stop.code or 0)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest, **more: note(
            f"warning: {message}"
        )
        logging.getLogger("tinygrad_cnn.kernels").addHandler(_Compiling())
        logging.getLogger("tinygrad_cnn.kernels").setLevel(logging.INFO)
        try:
            status: int = args.run(args)
            sys.stdout.flush()
            return status
        except KeyboardInterrupt as stopped:
            note(str(stopped) or "stopped")
            return 130
        except BrokenPipeError:
            # The reader of our output has gone; Python must not flush into it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:
            if args.debug:
                traceback.print_exc()
            else:
                note(f"error: {_one_line(error)}")
            return 2 if isinstance(error, UsageError) else 1


class _Compiling(logging.Handler):
    """Says, once, what the first run on a machine is waiting for."""

    told = False

    def emit(self, record: logging.LogRecord) -> None:
        if not _Compiling.told:
            _Compiling.told = True
            note("compiling kernels: some seconds, once; they are kept for later runs")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line, which is itself among them as `words`."""
    parser = argparse.ArgumentParser(
        prog="tinygrad-cnn",
        description="Train convolutional networks and question their gradients.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    if words and words[0] not in COMMANDS and not words[0].startswith("-"):
        meant = suggest(words[0], COMMANDS) or f"; there are {', '.join(COMMANDS)}"
        parser.error(f"there is no command {words[0]!r}{meant}")
    for name, help_line in COMMANDS.items():
        command = commands.add_parser(name, help=help_line, allow_abbrev=False)
        if name in words:
            module = importlib.import_module(f".{name}", __package__)
            command.description = module.__doc__
            module.add_arguments(command)
            debug = "show the traceback of an error"
            command.add_argument("--debug", action="store_true", help=debug)
            command.set_defaults(run=module.run, words=words)
    return parser.parse_args(words)


def _one_line(error: Exception) -> str:
    """The message of an error, whatever its number of lines, in one readable line."""
    lines = [*str(error).splitlines(), *getattr(error, "__notes__", ())]
    text = "; ".join([line.strip(" ;") for line in lines if line.strip()])
    steps = traceback.extract_tb(error.__traceback__)
    own = [step for step in steps if is_users(step.filename)]
    last = (own or steps)[-1]
    where = f"{last.filename}:{last.lineno}"
    if not isinstance(error, TinygradError | OSError | UsageError) or not text:
        return f"{type(error).__name__}: {text} ({where}; --debug shows more)"
    told = not own or where in text
    return text if told else f"{text} ({where})"
