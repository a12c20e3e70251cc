"""A part of an experiment that trains a network, and goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.generator import manual_seed
from ..data import DataLoader, ImageDataset
from ..nn import Module
from ..training import recipe
from ..training.fitting import evaluate, fit
from ..training.model_file import build, load_class
from ..training.records import BatchRecord
from .experiment import Setup, Work
from .images import images_for

SCORES = ("accuracy", "precision", "recall", "f1")
"""The figures of an evaluation, as tables have them."""


@dataclass(frozen=True)
class Training:
    """Train a model file; what it returns is described at `Training.__call__`.

    data: mnist or cifar10. settings: the model's keyword arguments. options: of `recipe`,
    where they are not the model's own. clip: see `fit`. run: added to the seed.
    augmentation: of the training images, instead of the model's own.
    watch: the scores after each epoch are those of the "test" or the "held_out" images.
    """

    model: str
    data: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    clip: Callable[[Module], Any] | None = None
    run: int = 0
    watch: str = "test"
    augmentation: Any = None

    def __call__(self, setup: Setup) -> Work:
        """A generator that trains; its result has

        parameters, images, epochs, seconds (of training), reason (see `EndRecord`),
        history: accuracy and loss of each epoch, and of the images that are watched,
        test, held_out: `Scores` as values (held_out: None where there are no such images)
        """
        manual_seed(setup.seed + self.run)
        kind = load_class(setup.model(self.model))
        images = images_for(self.data, kind, setup.quick, self.augmentation)
        model, _ = build(kind, dict(self.settings), recipe.facts(images.training))
        options = recipe.options_for(kind, dict(self.options))
        if setup.quick:
            options["epochs"] = 1
        loader = DataLoader(images.training, options["batch_size"], shuffle=True)
        optimizer = recipe.make_optimizer(model, options)
        log, checkpoint = setup.state / "part.log", setup.state / "part.ckpt"
        records = fit(
            model,
            optimizer,
            loader,
            epochs=options["epochs"],
            scheduler=recipe.make_scheduler(optimizer, options, len(loader)),
            test_loader=DataLoader(getattr(images, self.watch), recipe.TEST_BATCH),
            stop_at_accuracy=options["stop_at"],
            clip=self.clip,
            checkpoint=checkpoint,
            save_every=max(1, len(loader) // 4),
            log=log,
            resume=checkpoint if checkpoint.exists() else None,
            planned=options["planned"],
        )
        with closing(records):
            for record in records:
                if isinstance(record, BatchRecord) and record.batch % 10 == 0:
                    done = record.epoch - 1 + record.batch / len(loader)
                    yield done / options["epochs"]
        history = _history(log)
        return {
            "parameters": sum(p.numel() for p in model.parameters()),
            "images": len(images.training),
            "epochs": len(history["accuracy"]),
            "seconds": sum(history.pop("seconds")),
            "reason": history.pop("reason"),
            "history": history,
            "test": _scores(model, images.test),
            "held_out": _scores(model, images.held_out),
        }


def _history(log: Path) -> dict[str, Any]:
    """The epochs that a log tells of, those before an interruption too."""
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    epochs = [line for line in lines if line["event"] == "epoch"]
    found = {key: [e[key] for e in epochs] for key in ("accuracy", "loss", "seconds")}
    for key in ("accuracy", "loss"):
        found[f"test_{key}"] = [epoch["test"][key] for epoch in epochs]
    return found | {"reason": lines[-1]["reason"]}


def _scores(model: Module, images: ImageDataset | None) -> dict[str, Any] | None:
    if images is None:
        return None
    scores = evaluate(model, DataLoader(images, recipe.TEST_BATCH))
    return scores.to_dict() | {"images": len(images)}
