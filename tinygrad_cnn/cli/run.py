"""Run a PyTorch script as it is, with this package in the place of torch and torchvision.

What follows the script are its own arguments. Data sets are looked for where the script
says, and then in TINYGRAD_CNN_DATA_DIR.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from ..errors import ModelFileError
from ..importing import in_place_of_torch
from .options import note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    parser.add_argument("script", type=Path, metavar="SCRIPT.py")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="the arguments of the script"
    )


def run(args: argparse.Namespace) -> int:
    """Run the script; its exit status, and 1 if it raises an error."""
    if not args.script.is_file():
        raise ModelFileError(f"there is no script {args.script}")
    script = str(args.script)
    words, path = sys.argv, sys.path[0]
    # argparse would take a first "--" for its own.
    sys.argv = [script, *args.words[args.words.index(script) + 1 :]]
    sys.path[0] = str(args.script.resolve().parent)
    try:
        with in_place_of_torch():
            runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            note(str(end.code))
            return 1
        return end.code or 0
    finally:
        sys.argv, sys.path[0] = words, path
    return 0
