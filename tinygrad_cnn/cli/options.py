"""Arguments that several commands share, and how their values are read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

Value = int | float | bool | str | None | tuple["Value", ...]

DATA = ("digits", "colour-digits", "mnist", "fashion-mnist", "cifar10")


def note(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


class UsageError(Exception):
    """Arguments that contradict each other: exit status 2, as for argparse's own errors."""


def parse_value(text: str) -> Value:
    """A value from the command line: 3, 1e-3, true, none, relu; 5,7 is a tuple."""
    if "," in text:
        return tuple([parse_value(part) for part in text.split(",") if part])
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def assignment(text: str) -> tuple[str, Value]:
    """The name and the value of name=value."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, not {text!r}")
    return name, parse_value(value)


def number_from(
    kind: type[int] | type[float], low: float, high: float = float("inf")
) -> Callable[[str], float]:
    """A parser of numbers from low to high."""
    limits = f"at least {low}" if high == float("inf") else f"{low} to {high}"

    def number(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected {limits}, not {text}")
        return value

    number.__name__ = kind.__name__  # argparse's word for it
    return number


def add_model(parser: argparse.ArgumentParser) -> None:
    """MODEL.py[:Class] and --set."""
    file = "the model file, which is run, and the class if it has several"
    parser.add_argument("model", metavar="MODEL.py[:Class]", help=file)
    keyword = "a keyword argument of the model, as hidden=128,64; may be repeated"
    add_set(parser, keyword)


def add_set(parser: argparse.ArgumentParser, help: str, option: str = "--set") -> None:
    """--set NAME=VALUE, or another option of this kind; its value is a list of pairs."""
    parser.add_argument(
        option,
        metavar="NAME=VALUE",
        type=assignment,
        action="append",
        default=[],
        help=help,
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    lines = "print JSON, an object on each line"
    parser.add_argument("--json", action="store_true", help=lines)
