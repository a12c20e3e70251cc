"""Arguments that several commands share, and the values of --set."""

from __future__ import annotations

import argparse

Value = int | float | bool | str | None | tuple["Value", ...]

DATA = ("digits", "mnist", "fashion-mnist", "cifar10")


def parse_value(text: str) -> Value:
    """A value from the command line: 3, 1e-3, true, none, relu; 5,7 is a tuple."""
    if "," in text:
        return tuple([parse_value(part) for part in text.split(",") if part])
    word = {"true": True, "false": False, "none": None}
    if text.lower() in word:
        return word[text.lower()]
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
        raise argparse.ArgumentTypeError(f"expected name=value, not {text!r}")
    return name, parse_value(value)


def positive(text: str) -> int:
    """An integer from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, not {number}")
    return number


def add_model(parser: argparse.ArgumentParser) -> None:
    """MODEL.py[:Class] and --set."""
    parser.add_argument("model", metavar="MODEL.py[:Class]", help="the model file")
    parser.add_argument(
        *("--set", "-s"),
        dest="set",
        metavar="NAME=VALUE",
        type=assignment,
        action="append",
        default=[],
        help="a keyword argument of the model, such as hidden=128,64; may be repeated",
    )


def add_data(parser: argparse.ArgumentParser, default: str) -> None:
    """--data and --limit."""
    parser.add_argument(
        "--data", choices=DATA, help=f"the data set (default: {default})"
    )
