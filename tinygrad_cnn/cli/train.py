"""Train a model file on images. Each epoch ends with a checkpoint, and so does Ctrl-C,
after which --resume goes on as if nothing had happened."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import time
from collections.abc import Generator
from contextlib import (
    closing,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.generator import manual_seed
from ..data import DataLoader
from ..errors import ArgumentError, CheckpointError, UnavailableError
from ..importing import OWN
from ..nn import Module
from ..optim import Optimizer
from ..training import recipe
from ..training.fitting import Engine, fit
from ..training.model_file import Maker, build, load_class, split_spec
from ..training.records import BatchRecord, EndRecord, EpochRecord, Record
from ..training.signals import terminated_like_ctrl_c
from .display import Display, figures, show
from .models import KEY, Saved, default_data, origin_of, read_saved
from .options import DATA, UsageError, add_json, add_model, note, number_from

if TYPE_CHECKING:
    from ..training.torch_engine import Place

CHANGEABLE = {"epochs", "stop_at", "patience"}
"""What may be given again with --resume."""

HEADINGS = " epoch      loss  accuracy  test loss  test accuracy   seconds"
STOPPED = {
    "accuracy": "the training accuracy of --stop-at is reached",
    "patience": "the test accuracy has not improved for --patience epochs",
}


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
    planned = (
        "replay a step once recorded, whatever the model's Python does; by default this "
        "is done where the result is provably the same"
    )
    add("--planned", action="store_true", default=None, help=planned)
    usual = "record each step anew"
    add("--no-plan", dest="planned", action="store_false", default=None, help=usual)
    library = "what computes: this package, or PyTorch, from the same file and seed"
    add("--engine", choices=("tinygrad_cnn", "torch"), default=OWN, help=library)
    on = "where PyTorch computes; default: on a GPU of CUDA, if there is one"
    add("--device", choices=("cpu", "cuda", "mps"), help=on)
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="checkpoint; default: runs/MODEL[.Class].ckpt",
    )
    resume = "go on from the checkpoint, with the options in it; default: that of --out"
    add("--resume", nargs="?", const="", metavar="FILE", help=resume)
    add("--log", type=Path, metavar="FILE", help="append each record to FILE as JSON")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Train, report on stderr, and print the summary on stdout."""
    with terminated_like_ctrl_c():
        if args.engine == "torch":
            return _run_under_torch(args)
        if args.device:
            raise UsageError("--device is for --engine torch")
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise UsageError(
                "this package runs in one process; torchrun is for --engine torch"
            )
        return _train(args)


def _run_under_torch(args: argparse.Namespace) -> int:
    if args.planned:
        raise UsageError(
            "--planned replays steps of this package, not of --engine torch"
        )
    if importlib.util.find_spec("torch") is None:
        raise UnavailableError("--engine torch needs PyTorch: pip install torch")
    from ..training.torch_engine import placed

    with placed(args.device) as place:
        if place.rank == 0:
            return _train(args, place)
        # One process speaks for all.
        with (
            open(os.devnull, "w") as nowhere,
            redirect_stdout(nowhere),
            redirect_stderr(nowhere),
            suppress(KeyboardInterrupt),
        ):
            return _train(args, place)
        return 130


def _train(args: argparse.Namespace, place: Place | None = None) -> int:
    path, name = split_spec(args.model)
    usual = args.out or Path("runs", f"{path.stem}{f'.{name}' if name else ''}.ckpt")
    resume = None if args.resume is None else Path(args.resume or usual)
    out = args.out or resume or usual
    name, epochs, records = _begin(args, out, resume, place)
    start, written, last = time.perf_counter(), _modified(out), None
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(records), Progress(epochs) as display:
            for record in records:
                display.show(record)
                if args.json:
                    print(json.dumps(record.to_dict()), flush=True)
                if isinstance(record, EpochRecord):
                    last = record
    except KeyboardInterrupt:
        if resume or _modified(out) != written:
            raise KeyboardInterrupt(
                f"stopped; all is in {out}\nto go on: {_resuming(args, out, place)}"
            ) from None
        raise
    seconds = time.perf_counter() - start
    if last is None:
        note("nothing left to do; --epochs, --stop-at and --patience can be changed")
    elif args.json:
        end = {"event": "summary", "seconds": seconds, "checkpoint": str(out)}
        print(json.dumps(last.to_dict() | end))
    else:
        assert last.test is not None  # `_begin` gives test images
        rows = {
            "epochs": str(last.epoch),
            "training loss": f"{last.loss:.4f}",
            "training accuracy": f"{last.accuracy:.2%}",
            **figures(last.test, "test "),
            "seconds": f"{seconds:.1f}",
            "checkpoint": str(out),
        }
        show((name, ""), list(rows.items()))
    return 0


def _resuming(args: argparse.Namespace, out: Path, place: Place | None) -> str:
    """The command that goes on with what was stopped."""
    command = ["tinygrad-cnn"]
    if place and place.processes > 1:
        here = os.environ.get("LOCAL_WORLD_SIZE", str(place.processes))
        command = ["torchrun", "--nproc-per-node", here, "-m", "--", "tinygrad_cnn"]
    command += ["train", args.model, "--resume"]
    command += [str(out)] if args.out or args.resume else []
    command += ["--engine", "torch"] if place else []
    return shlex.join(command + (["--device", args.device] if args.device else []))


def _begin(
    args: argparse.Namespace, out: Path, resume: Path | None, place: Place | None
) -> tuple[str, int, Generator[Record, None, None]]:
    """What is trained on what, the number of epochs, and the records of `fit`."""
    kind = load_class(args.model)
    origin = origin_of(args.model, kind, out)
    old = read_saved(out).origin if out.exists() else ""
    if old and old != origin:
        raise CheckpointError(
            f"{out} is the checkpoint of another model, {old}: keep it, and give this one "
            "another place: --out OTHER.ckpt"
        )
    before = read_saved(resume) if resume else None
    given = {k: v for k in recipe.DEFAULTS if (v := getattr(args, k)) is not None}
    if before:
        options, wanted = _resumed(args, before, given), before.settings
    else:
        options, wanted = recipe.options_for(kind, given), dict(args.set)
    options["data"] = data = options["data"] or default_data(kind, wanted)
    dtype = options["dtype"]
    training = recipe.open_data(data, True, kind, dtype, options["limit"])
    testing = recipe.open_data(data, False, kind, dtype, None)
    manual_seed(options["seed"])
    model, settings = build(kind, wanted, {} if before else recipe.facts(training))
    model.to(np.dtype(dtype))
    training.transform = recipe.augmented(kind, training.transform)
    loader = DataLoader(training, options["batch_size"], shuffle=True)
    try:
        optimizer = recipe.make_optimizer(model, options)
    except ArgumentError as error:
        raise UsageError(str(error)) from error
    shape, classes = training.images.shape[1:], tuple(training.classes)
    rate = f"lr {optimizer.defaults['lr']:g} {options['scheduler']}"
    note(
        f"{kind.__name__} with {sum(p.numel() for p in model.parameters()):,} parameters "
        f"on {data}: {len(training):,} images to train, {len(testing):,} to "
        f"test\nepochs {options['epochs']}, batch size {options['batch_size']}, "
        f"{options['optimizer']}, {rate.removesuffix(' none')}, {dtype}, "
        f"seed {options['seed']}"
    )
    engine, writes = None, True
    if place is not None:
        engine = _make_engine(args.model, kind, settings, model, optimizer, place)
        writes = place.rank == 0
    records = fit(
        model,
        optimizer,
        loader,
        epochs=options["epochs"],
        scheduler=recipe.make_scheduler(optimizer, options, len(loader)),
        test_loader=DataLoader(testing, recipe.TEST_BATCH),
        stop_at_accuracy=options["stop_at"],
        patience=options["patience"],
        checkpoint=out if writes else None,
        log=args.log if writes else None,
        resume=resume,
        metadata={KEY: asdict(Saved(settings, options, shape, classes, origin))},
        planned=options["planned"] if engine is None else None,
        engine=engine,
    )
    return f"{kind.__name__} on {data}", options["epochs"], records


def _make_engine(
    spec: str,
    kind: Maker,
    settings: dict[str, Any],
    model: Module,
    optimizer: Optimizer,
    place: Place,
) -> Engine:
    """PyTorch with the same model, with what is to be said of it."""
    from ..training.torch_engine import TorchEngine
    from ..training.under_torch import build_under_torch

    twin = build_under_torch(split_spec(spec)[0], kind.__name__, settings)
    note(f"steps are made by {place}")
    names = {type(layer).__name__ for layer in model.modules()}
    if place.processes > 1 and any("BatchNorm" in name for name in names):
        note(
            "batch normalisation sees the share of each process: losses differ from those "
            "of one process"
        )
    if any("Drop" in name for name in names):
        note("dropout draws other numbers under PyTorch than here")
    return TorchEngine(model, optimizer, twin, place)


def _resumed(
    args: argparse.Namespace, before: Saved, given: dict[str, Any]
) -> dict[str, Any]:
    """The options of a run that goes on: the checkpoint's, but for a few."""
    fixed = [f"--{k.replace('_', '-')}" for k in given if k not in CHANGEABLE]
    fixed += ["--set"] if args.set else []
    if fixed:
        raise UsageError(
            f"--resume goes on with the options of the checkpoint: {', '.join(fixed)} "
            "cannot be given again"
        )
    options = recipe.DEFAULTS | before.options | given
    planned = before.options.get("epochs")
    if options["scheduler"] != "none" and options["epochs"] != planned:
        raise UsageError(
            f"the {options['scheduler']} learning rate was planned for {planned} epochs: "
            "--epochs cannot be changed with --resume"
        )
    return options


def _modified(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


class Progress(Display):
    """A row for each epoch, and a bar of the whole, or a line each half a minute."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs, self.headed = epochs, False

    def show(self, record: Record) -> None:
        """Report a record of `fit`."""
        if isinstance(record, EndRecord):
            if record.reason in STOPPED:
                self.line(f"stopped early: {STOPPED[record.reason]}")
        elif not self.headed:
            self.line(HEADINGS)
            self.headed = True
        if isinstance(record, BatchRecord):
            batches = record.batches or record.batch
            share = (record.epoch - 1 + record.batch / batches) / self.epochs
            self.first = self.first or share
            figures = (
                f"loss {record.mean_loss:.4f}, accuracy {record.accuracy:.2%}, "
                f"{record.images_per_second:,.0f} images/s"
            )
            text = f"epoch {record.epoch}/{self.epochs}, {record.batch / batches:.0%}"
            self.update(text, share, figures, every=30)
        if isinstance(record, EpochRecord):
            row = f"{record.epoch:6d}{record.loss:10.4f}{record.accuracy:10.2%}"
            if record.test is not None:
                row += f"{record.test.loss:11.4f}{record.test.accuracy:15.2%}"
            self.line(f"{row}{record.seconds:10.1f}")
