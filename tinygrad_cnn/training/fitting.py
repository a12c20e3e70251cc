"""Training as a generator of records, which prints nothing and can go on where it stopped.

A checkpoint of training is a tree (see `checkpoint`) with the keys

    model, optimizer, scheduler    their state_dicts (no scheduler: None)
    random      the state of the process-wide generator
    progress    the fields of `Progress`: the position, and what is summed and remembered
    manifest    the seed, and what the last bits of a result depend on: package, NumPy,
                BLAS with its threads, platform, dtype, batches per epoch
    metadata    what the caller of `fit` wants to find again

What it does not hold, the data and the options of `fit`, is given again to go on.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import IO, Any, Protocol

import numpy as np

from .. import __version__
from ..checkpoint import load, save
from ..core import generator as random
from ..core.engine import Tensor
from ..core.recording import no_grad
from ..errors import (
    ArgumentError,
    CheckpointError,
    DivergenceError,
    ShapeError,
    TinygradError,
)
from ..metrics import Scores, confusion_matrix
from ..nn import Module
from ..nn.loss import default_loss
from ..optim import Optimizer
from ..optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau
from ..planning import Guarded, Planned
from .records import BatchRecord, EndRecord, EpochRecord, Progress, Record
from .signals import ctrl_c_waits

Loss = Callable[[Tensor, Tensor], Tensor]
FilePath = str | os.PathLike[str]


class Engine(Protocol):
    """What makes the steps of a run in the place of this package: see `torch_engine`.

    It says what it is as a string. push, pull: between it and the model and optimizer of
    `fit`. step: an update by the batch `at` (epoch, position), its loss, and how many
    outputs were right.
    """

    def push(self) -> None: ...

    def pull(self) -> None: ...

    def step(
        self, images: Tensor, labels: Tensor, at: tuple[int, int]
    ) -> tuple[float, int]: ...

    def evaluate(self, batches: Iterable[Any]) -> Scores: ...


def fit(
    model: Module,
    optimizer: Optimizer,
    loader: Any,
    *,
    epochs: int,
    loss: Loss | None = None,
    scheduler: LRScheduler | None = None,
    test_loader: Any = None,
    stop_at_accuracy: float | None = None,
    patience: int | None = None,
    clip: Callable[[Module], Any] | None = None,
    checkpoint: FilePath | None = None,
    save_every: int | None = None,
    log: FilePath | None = None,
    resume: FilePath | None = None,
    metadata: Any = None,
    planned: bool | None = None,
    engine: Engine | None = None,
) -> Generator[Record, None, None]:
    """Train a classifier; yields a BatchRecord per batch, an EpochRecord per epoch, and
    an EndRecord.

    loader, test_loader: DataLoaders, or lists of batches (images, labels).
    loss: of (output, labels), the mean over the batch; by default the model's attribute
    `loss`, else cross_entropy.
    scheduler: OneCycleLR steps after each batch, any other after each epoch,
    ReduceLROnPlateau with the test loss (without test_loader: the training loss).
    stop_at_accuracy: end after an epoch with at least this training accuracy.
    patience: end after so many epochs without a better test accuracy (or the same with a
    lower loss). clip: called with the model between backward and update.
    checkpoint: a path, written after each epoch, after every `save_every` batches, and
    when the generator is closed or interrupted by Ctrl-C, which takes effect between two
    batches. log: a path to which each record is appended as a line of JSON.
    resume: a checkpoint to go on from, to the bit as if there had been no interruption,
    given the same data and options; a warning tells where that cannot be. The log loses
    the lines written after the checkpoint. metadata: plain values for the checkpoint.
    planned: None replays the steps on fixed memory, which is faster, where the code of the
    model shows that the result is the same to the bit. True replays in any case; see
    `planning.planned` for what the model must not do then. False records each step.
    engine: makes the steps and evaluates, with its own loss, in place of this package;
    loss, clip and planned are not for it.

    Raises ArgumentError for options that do not fit, DivergenceError where the loss or a
    parameter is not finite (nothing is saved then), CheckpointError as `load`.
    """
    if patience is not None and test_loader is None:
        raise ArgumentError("patience watches the test accuracy; give a test_loader")
    if save_every is not None and (checkpoint is None or save_every < 1):
        raise ArgumentError(
            f"save_every={save_every} needs a checkpoint path, and at least 1"
        )
    if engine is not None and (loss or clip or planned):
        raise ArgumentError("loss, clip and planned are not for another engine")
    loss = default_loss(model) if loss is None else loss
    length = len(loader) if hasattr(loader, "__len__") else None
    plan = None
    if planned is not False and engine is None:
        plan = Planned(model, loss) if planned else Guarded(model, loss)
    given = model, optimizer, scheduler, loss, clip, plan, length, checkpoint, metadata
    run = _Run(*given, engine)
    if resume is not None:
        run.restore(resume)
    with _open_log(log, run.progress.logged) as run.log:
        try:
            while (reason := run.why_stop(epochs, stop_at_accuracy, patience)) is None:
                model.train()
                batches = _batches(loader, run.progress.epoch, run.progress.batch)
                while (record := run.next_batch(batches)) is not None:
                    if save_every is not None and run.progress.batch % save_every == 0:
                        run.save()
                    yield record
                yield run.end_epoch(test_loader)
            yield run.write(EndRecord(run.progress.epoch, reason))
        except (GeneratorExit, KeyboardInterrupt):
            if run.whole:
                run.save()
            raise


def evaluate(model: Module, loader: Any, loss: Loss | None = None) -> Scores:
    """The scores of the model in eval mode, with the mean loss; each module's mode stays.

    loss: as for `fit`.

    Raises ArgumentError where the loader has no images.
    """
    loss = default_loss(model) if loss is None else loss
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    confusion, total = None, 0.0
    try:
        with no_grad():
            for images, labels in _batches(loader, 0):
                output = model(images)
                total += loss(output, labels).item() * len(labels)
                check_classes(output, labels)
                counts = confusion_matrix(labels, output.argmax(1), output.shape[1])
                confusion = counts if confusion is None else confusion + counts
    finally:
        for module, mode in modes:
            module.training = mode
    if confusion is None or not confusion.any():
        raise ArgumentError("there is nothing to evaluate: the loader gave no images")
    return Scores(confusion, total / int(confusion.sum()))


def _count_right(output: Tensor, labels: Tensor) -> int:
    """How often output (N, classes, …) is largest at the label (N, …)."""
    check_classes(output, labels)
    # On arrays, since operations on Tensors cost ten times as much at this size.
    return int(np.count_nonzero(output._array.argmax(1) == labels._array))


def check_classes(output: Any, labels: Any) -> None:
    """ShapeError for outputs and labels of either library that cannot be compared."""
    if output.ndim < 2 or output.shape[:1] + output.shape[2:] != labels.shape:
        raise ShapeError(
            f"accuracy is counted over outputs (N, classes, …) and labels (N, …), not "
            f"{list(output.shape)} and {list(labels.shape)}: bring the classes to axis 1"
        )


def _batches(loader: Any, epoch: int, start: int = 0) -> Iterator[Any]:
    """The batches of an epoch from `start` on; a DataLoader gives the same each time."""
    if hasattr(loader, "batches"):
        return iter(loader.batches(epoch, start))
    return islice(iter(loader), start, None)


@dataclass
class _Run:
    """What changes while training, and how it is saved and restored."""

    model: Module
    optimizer: Optimizer
    scheduler: LRScheduler | None
    loss: Loss
    clip: Callable[[Module], Any] | None
    planned: Planned | None
    batches: int | None
    path: FilePath | None
    metadata: Any
    engine: Engine | None
    log: IO[bytes] | None = None
    told: bool = False
    whole: bool = True
    saved: tuple[int, int] = (0, 0)
    progress: Progress = field(default_factory=Progress)

    def why_stop(
        self, epochs: int, accuracy: float | None, patience: int | None
    ) -> str | None:
        """The reason of an `EndRecord`; None: training goes on."""
        p = self.progress
        if p.batch == 0 and p.epoch > 0:
            if accuracy is not None and p.accuracy >= accuracy:
                return "accuracy"
            if patience is not None and p.stale >= patience:
                return "patience"
        return "epochs" if p.epoch >= epochs else None

    def next_batch(self, batches: Iterator[Any]) -> Record | None:
        """Train on the next batch; None if there is none."""
        p = self.progress
        with self._at_once():
            start = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return None
            images, labels = batch
            lr = self.lr
            loss, right = self._update(images, labels)
            p.batch += 1
            p.images += len(labels)
            p.correct += right
            p.loss += loss * len(labels)
            p.seconds += time.perf_counter() - start
            means = p.loss / p.images, p.correct / p.images, p.images / p.seconds
            return self.write(
                BatchRecord(p.epoch + 1, p.batch, self.batches, loss, *means, lr)
            )

    def _update(self, images: Tensor, labels: Tensor) -> tuple[float, int]:
        """One step of the optimizer; the loss before it, and how many were right."""
        if self.engine is None:
            value, right = self._step(images, labels)
        else:
            at = self.progress.epoch, self.progress.batch
            value, right = self.engine.step(images, labels, at)
            self._check_loss(value)
        if isinstance(self.scheduler, OneCycleLR):
            self.scheduler.step()
        return value, right

    def _check_loss(self, value: float) -> None:
        if not math.isfinite(value):
            raise self._divergence_error(f"loss is {value}", self.progress.batch + 1)

    def _step(self, images: Tensor, labels: Tensor) -> tuple[float, int]:
        """The same by this package."""
        self.optimizer.zero_grad()
        if self.planned is not None:
            loss, output = self.planned(images, labels)
            told = self.told or isinstance(self.planned, Guarded)
            if self.planned.why and not told:
                warnings.warn(f"steps are not replayed: {self.planned.why}")
                self.told = True
        else:
            output = self.model(images)
            loss = self.loss(output, labels)
        value = loss.item()
        self._check_loss(value)
        if self.planned is None:
            loss.backward()
        if self.clip is not None:
            self.clip(self.model)
        self.optimizer.step()
        return value, _count_right(output, labels)

    def end_epoch(self, test_loader: Any) -> EpochRecord:
        """Evaluate, decide on the learning rate, save, and begin the next epoch."""
        p = self.progress
        if p.images == 0:
            raise ArgumentError(
                "there is nothing to train on: the loader gave no batches"
            )
        self._check_finite()
        test = None
        if test_loader is not None and self.engine is not None:
            test = self.engine.evaluate(_batches(test_loader, 0))
        elif test_loader is not None:
            test = evaluate(self.model, test_loader, self.loss)
        loss, accuracy = p.loss / p.images, p.correct / p.images
        with self._at_once():
            epoch = p.epoch + 1
            record = EpochRecord(epoch, loss, accuracy, test, p.seconds, self.lr)
            watched = loss if test is None or test.loss is None else test.loss
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(watched)
            elif self.scheduler and not isinstance(self.scheduler, OneCycleLR):
                self.scheduler.step()
            now = () if test is None else (test.accuracy, -watched)
            best, stale = (now, 0) if now > p.best else (p.best, p.stale + 1)
            self.progress = Progress(epoch, accuracy=accuracy, best=best, stale=stale)
            self.write(record)
        self.save()
        return record

    @property
    def lr(self) -> float:
        """The learning rate of the first group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def write(self, record: Record) -> Record:
        """Append the record to the log."""
        if self.log is not None:
            self.progress.logged = json.dumps(record.to_dict()) + "\n"
            self.log.write(self.progress.logged.encode())
            self.log.flush()
        return record

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Whole or not at all: Ctrl-C waits for the end of the block; a second does not."""
        self.whole = False
        with ctrl_c_waits():
            yield
            self.whole = True

    def _divergence_error(self, what: str, batch: int) -> DivergenceError:
        return DivergenceError(
            f"the {what} in epoch {self.progress.epoch + 1}, batch {batch}; try a lower "
            "learning rate or clip=, and look for non-finite values in the data"
        )

    def _check_finite(self) -> None:
        """Have the parameters here as they are now, and refuse any that is not finite."""
        if self.engine is not None:
            self.engine.pull()
        for name, parameter in self.model.named_parameters():
            if not np.isfinite(parameter._array).all():
                raise self._divergence_error(
                    f"parameter {name} is not finite", self.progress.batch
                )

    def environment(self) -> dict[str, Any]:
        """What the last bits of a result depend on."""
        return {
            "engine": "tinygrad_cnn" if self.engine is None else str(self.engine),
            "tinygrad_cnn": __version__,
            "numpy": np.__version__,
            "blas": _blas(),
            "platform": f"{platform.system()} {platform.machine()}",
            "dtype": " ".join(sorted({str(p.dtype) for p in self.model.parameters()})),
            "batches": self.batches,
        }

    def save(self) -> None:
        """Write the checkpoint, unless nothing has happened since the last."""
        position = self.progress.epoch, self.progress.batch
        if self.path is None or position == self.saved:
            return
        self._check_finite()
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "random": random.default_generator.get_state(),
            "progress": asdict(self.progress),
            "manifest": {"seed": random.initial_seed(), **self.environment()},
            "metadata": self.metadata,
        }
        save(state, self.path)
        self.saved = position

    def restore(self, path: FilePath) -> None:
        """Go on from a checkpoint; warns where this cannot be exact."""
        state = load(path)
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            # It has made steps, which the schedule would otherwise miss with a warning.
            self.optimizer._opt_called = True
            if self.scheduler is not None:
                self.scheduler.load_state_dict(state["scheduler"])
            random.default_generator.set_state(state["random"])
            if self.engine is not None:
                self.engine.push()
            self.progress = Progress(**state["progress"])
            changed = [
                f"{key} was {then}, is {now}"
                for key, now in self.environment().items()
                if (then := state["manifest"].get(key)) != now
                and None not in (then, now)
            ]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, TinygradError):
                raise
            raise CheckpointError(
                f"{path} is no checkpoint of training this model: "
                f"{type(error).__name__}: {error}"
            ) from error
        if changed:
            warnings.warn(
                f"the run of {path} does not go on to the bit: {'; '.join(changed)}",
                stacklevel=3,
            )
        self.saved = self.progress.epoch, self.progress.batch


@contextmanager
def _open_log(path: FilePath | None, last: str) -> Iterator[IO[bytes] | None]:
    """The log, open for appending behind the line `last`."""
    if path is None:
        yield None
        return
    with open(path, "a+b") as file:
        file.seek(0)
        content, line = file.read(), last.encode()
        if line and line in content:
            file.truncate(content.rindex(line) + len(line))
        elif content and not content.endswith(b"\n"):
            file.write(b"\n")
        yield file


def _blas() -> str | None:
    """NumPy's library of matrix products, and its threads; None: cannot be told."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    keys = ("internal_api", "version", "architecture", "num_threads")
    found = [info for info in threadpool_info() if info["user_api"] == "blas"]
    # Other packages bring libraries of their own, which NumPy does not use.
    own = [info for info in found if "numpy" in info["filepath"]] or found
    rows = [[str(info.get(k)) for k in keys] for info in own]
    return ", ".join(sorted({" ".join(row) for row in rows}))
