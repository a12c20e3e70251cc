"""Train a model file on images. Each epoch ends with a checkpoint, and so does Ctrl-C,
after which --resume goes on as if nothing had happened."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from contextlib import closing
from pathlib import Path

from ..training.fitting import EpochRecord
from .display import can_be_live, note
from .options import DATA, add_json, add_model, number_from
from .progress import Progress
from .session import Session, prepare
from .tables import figures, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `train`; those not given are None."""
    count, rate = number_from(int, 1), number_from(float, 0)
    optimizers = ("sgd", "adam", "adamw", "rmsprop", "adadelta", "adagrad")
    add_model(parser)
    add = parser.add_argument
    add("--data", choices=DATA, help="default: mnist, or digits where that is missing")
    add("--limit", type=count, metavar="N", help="only the first N training images")
    add("--epochs", type=count, metavar="N")
    add("--batch-size", type=count, metavar="N")
    add("--optimizer", choices=optimizers)
    add("--lr", type=rate, metavar="RATE", help="learning rate; the peak of onecycle")
    add("--momentum", type=rate, metavar="M")
    add("--weight-decay", type=rate, metavar="W")
    add("--scheduler", choices=("none", "cosine", "onecycle"))
    add("--stop-at", type=number_from(float, 0, 1), metavar="ACCURACY")
    patience = "stop after N epochs of no progress"
    add("--patience", type=count, metavar="N", help=patience)
    add("--seed", type=int, metavar="N")
    add("--dtype", choices=("float32", "float64"))
    planned = "record a step once and replay it: faster; the model's Python runs once"
    add("--planned", action="store_true", default=None, help=planned)
    add("--out", type=Path, metavar="FILE", help="checkpoint; default: runs/MODEL.ckpt")
    resume = "go on from the checkpoint, with the options in it; default: that of --out"
    add("--resume", nargs="?", const="", metavar="FILE", help=resume)
    add("--log", type=Path, metavar="FILE", help="append each record to FILE as JSON")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Train, report on stderr, and print the summary on stdout."""
    session = prepare(args)
    note(session.describe())
    start, written, last = time.perf_counter(), _modified(session.out), None
    records = session.records(args.log)
    try:
        with closing(records), Progress(session.epochs, can_be_live()) as display:
            for record in records:
                display.show(record)
                if args.json:
                    print(json.dumps(record.to_dict()), flush=True)
                if isinstance(record, EpochRecord):
                    last = record
    except KeyboardInterrupt:
        if session.resume or _modified(session.out) != written:
            raise KeyboardInterrupt(_how_to_go_on(args, session)) from None
        raise
    if last is None:
        note("nothing left to do; --epochs, --stop-at and --patience can be changed")
    else:
        _summarise(last, session, time.perf_counter() - start, args.json)
    return 0


def _modified(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


def _how_to_go_on(args: argparse.Namespace, session: Session) -> str:
    usual = args.out is None and not args.resume
    command = ["tinygrad-cnn", "train", args.model, "--resume"]
    command += [] if usual else [str(session.out)]
    return f"stopped; all is in {session.out}\nto go on: {shlex.join(command)}"


def _summarise(
    last: EpochRecord, session: Session, seconds: float, as_json: bool
) -> None:
    assert last.test is not None  # `session` always has test images
    if as_json:
        end = {"event": "summary", "seconds": seconds, "checkpoint": str(session.out)}
        print(json.dumps(last.to_dict() | end))
        return
    rows = {
        "epochs": str(last.epoch),
        "training loss": f"{last.loss:.4f}",
        "training accuracy": f"{last.accuracy:.2%}",
        **figures(last.test, "test "),
        "seconds": f"{seconds:.1f}",
        "checkpoint": str(session.out),
    }
    name = f"{type(session.model).__name__} on {session.options['data']}"
    show((name, ""), list(rows.items()))
