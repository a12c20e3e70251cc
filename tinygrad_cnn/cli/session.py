"""Everything that a training run needs, put together from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import optim
from ..core.generator import manual_seed
from ..data import DataLoader
from ..errors import ArgumentError
from ..nn import Module
from ..optim.lr_scheduler import LRScheduler
from ..training.fitting import Record, fit
from ..training.model_file import build, load_class, split_spec
from ..training.recipe import (
    DEFAULTS,
    TEST_BATCH,
    augmented,
    facts,
    make_optimizer,
    make_scheduler,
    open_data,
    options_for,
)
from .images import default_data
from .options import UsageError
from .saved import Saved, read

CHANGEABLE = {"epochs", "stop_at", "patience"}


@dataclass
class Session:
    """A model and what it is trained with, which is how the checkpoint describes it."""

    model: Module
    saved: Saved
    optimizer: optim.Optimizer
    scheduler: LRScheduler | None
    loader: DataLoader
    test_loader: DataLoader
    out: Path
    resume: Path | None

    @property
    def options(self) -> dict[str, Any]:
        """The options of the run."""
        return self.saved.options

    @property
    def epochs(self) -> int:
        """How many there are in all."""
        return int(self.options["epochs"])

    def records(self, log: Path | None) -> Generator[Record, None, None]:
        """Train; see `fit`."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        return fit(
            self.model,
            self.optimizer,
            self.loader,
            epochs=self.epochs,
            scheduler=self.scheduler,
            test_loader=self.test_loader,
            stop_at_accuracy=self.options["stop_at"],
            patience=self.options["patience"],
            checkpoint=self.out,
            log=log,
            resume=self.resume,
            metadata=self.saved.to_dict(),
            planned=self.options["planned"],
        )

    def describe(self) -> str:
        """The model, the data and the options, in two lines."""
        options, model = self.options, type(self.model).__name__
        parameters = sum(p.numel() for p in self.model.parameters())
        counts = len(self.loader.dataset), len(self.test_loader.dataset)
        rate = f"lr {self.optimizer.defaults['lr']:g}"
        plan = rate if self.scheduler is None else f"{rate} {options['scheduler']}"
        return (
            f"{model} with {parameters:,} parameters on {options['data']}: "
            f"{counts[0]:,} images to train, {counts[1]:,} to test\n"
            f"epochs {options['epochs']}, batch size {options['batch_size']}, "
            f"{options['optimizer']}, {plan}, {options['dtype']}, seed {options['seed']}"
        )


def prepare(args: argparse.Namespace) -> Session:
    """The session that the arguments of `train` describe."""
    path, name = split_spec(args.model)
    out = args.out or Path("runs", f"{name or path.stem}.ckpt")
    resume = None if args.resume is None else Path(args.resume or out)
    model_class = load_class(args.model)
    before = read(resume)[0] if resume else None
    options = (
        _resumed(args, before) if before else options_for(model_class, _given(args))
    )
    options["data"] = options["data"] or default_data()
    seen = model_class, options["dtype"]
    training = open_data(options["data"], True, *seen, options["limit"])
    testing = open_data(options["data"], False, *seen, None)
    manual_seed(options["seed"])
    wanted = before.settings if before else dict(args.set)
    model, settings = build(model_class, wanted, {} if before else facts(training))
    model.to(np.dtype(options["dtype"]))
    loader = DataLoader(training, options["batch_size"], shuffle=True)
    training.transform = augmented(model_class, training.transform)
    try:
        optimizer = make_optimizer(model, options)
    except ArgumentError as error:
        raise UsageError(str(error)) from error
    shape, classes = training.images.shape[1:], tuple(training.classes)
    return Session(
        model,
        Saved(settings, options, shape, classes),
        optimizer,
        make_scheduler(optimizer, options, len(loader)),
        loader,
        DataLoader(testing, TEST_BATCH),
        Path(args.out or resume or out),
        resume,
    )


def _given(args: argparse.Namespace) -> dict[str, Any]:
    values = {name: getattr(args, name) for name in DEFAULTS}
    return {name: value for name, value in values.items() if value is not None}


def _resumed(args: argparse.Namespace, before: Saved) -> dict[str, Any]:
    """The options of a run that goes on: the checkpoint's, but for a few."""
    given = _given(args)
    fixed = [f"--{k.replace('_', '-')}" for k in given if k not in CHANGEABLE]
    fixed += ["--set"] if args.set else []
    if fixed:
        raise UsageError(
            f"--resume goes on with the options of the checkpoint: {', '.join(fixed)} "
            "cannot be given again"
        )
    options = DEFAULTS | before.options | given
    planned = before.options.get("epochs")
    if options["scheduler"] != "none" and options["epochs"] != planned:
        raise UsageError(
            f"the {options['scheduler']} learning rate was planned for {planned} epochs: "
            "--epochs cannot be changed with --resume"
        )
    return options
