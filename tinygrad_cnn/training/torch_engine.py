"""PyTorch as the engine of a run: `fit(…, engine=TorchEngine(…))`. Needs PyTorch.

The model, optimizer and schedule of this package remain what is seeded, saved and read.
Steps are made by their twins under PyTorch: the model that the same file makes there, and
the optimizer of the same name, which begin with the same values. Batches come from the
loader of this package, and the rates of each step from its schedule. So a checkpoint is one
of this package, and either engine goes on from it.

In several processes, as torchrun starts them, each takes its share of every batch, and
PyTorch's DistributedDataParallel brings their gradients together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import distributed

from ..core.engine import Tensor
from ..core.generator import initial_seed, stream
from ..errors import (
    ArgumentError,
    ModelFileError,
    TinygradError,
    UnavailableError,
)
from ..metrics import Scores, confusion_matrix
from ..nn import Module
from ..optim import Optimizer
from .fitting import check_classes


@dataclass(frozen=True)
class Place:
    """Where PyTorch computes: on which device, in which of how many processes."""

    device: Any
    rank: int = 0
    processes: int = 1

    def __str__(self) -> str:
        many = f", {self.processes} processes" if self.processes > 1 else ""
        return f"PyTorch {torch.__version__} on {self.device.type}{many}"

    def sum(self, *values: float) -> list[float]:
        """Each of these numbers, summed over all processes."""
        if self.processes == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.tolist()


@contextmanager
def placed(device: str | None) -> Iterator[Place]:
    """A block on this device (None: a GPU of CUDA if there is one, else the processor).

    In a process that torchrun has started, the block has the others as well, by NCCL
    between GPUs and by gloo between processors.
    Raises UnavailableError where there is no such device, and, in the block, when another
    process has ended.
    """
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    module = getattr(torch, name, None) if name != "cpu" else torch.cpu
    if module is None or not module.is_available():
        raise UnavailableError(
            f"PyTorch {torch.__version__} finds no {name} on this computer; "
            "--device cpu needs none"
        )
    rank, count, local = [
        int(os.environ.get(key, otherwise))
        for key, otherwise in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    ]
    if count == 1:
        yield Place(torch.device(name))
        return
    if name == "mps":
        raise UnavailableError(
            "mps is one device of one process: start without torchrun"
        )
    if name == "cuda" and local >= torch.cuda.device_count():
        raise UnavailableError(
            f"process {local} of this computer has no GPU of its own: there are "
            f"{torch.cuda.device_count()}; start as many with --nproc-per-node"
        )
    place = Place(torch.device(name, local if name == "cuda" else None), rank, count)
    if name == "cuda":
        torch.cuda.set_device(place.device)
    distributed.init_process_group("nccl" if name == "cuda" else "gloo")
    try:
        yield place
    except RuntimeError as error:
        if isinstance(error, TinygradError) or not _is_of_connection(error):
            raise
        raise UnavailableError(
            "another process of this run has ended, and so does this one; --resume goes "
            "on from the last checkpoint, which is whole"
        ) from error
    finally:
        distributed.destroy_process_group()


def _is_of_connection(error: RuntimeError) -> bool:
    return isinstance(error, distributed.DistError) or any(
        word in str(error) for word in ("gloo", "NCCL", "Connection")
    )


class TorchEngine:
    """Makes the steps of `fit` with PyTorch.

    model, optimizer: of this package. twin: the torch.nn.Module whose parameters and
    buffers have the same names; it is moved to the place and the dtype. Its loss is its
    attribute `loss`, else cross_entropy, and must be a mean over the batch.

    Dropout in the twin draws from PyTorch's generator, seeded for each batch anew with the
    seed, epoch, batch and process. Batch normalisation in several processes takes the
    statistics of each process's share.
    Raises ModelFileError if the parameters of the two have other names or shapes.
    """

    def __init__(
        self, model: Module, optimizer: Optimizer, twin: Any, place: Place | None = None
    ) -> None:
        self.model, self.optimizer, self.twin = model, optimizer, twin
        self.place = place = place or Place(torch.device("cpu"))
        _check_alike(model, twin)
        names = {id(p): name for name, p in model.named_parameters()}
        dtypes = [str(p.dtype) for p in model.parameters()]
        self.twin.to(place.device, getattr(torch, dtypes[0]))
        own = dict(twin.named_parameters())
        groups = [
            {**group, "params": [own[names[id(p)]] for p in group["params"]]}
            for group in optimizer.param_groups
        ]
        self.stepper = getattr(torch.optim, type(optimizer).__name__)(groups)
        optimizer._opt_called = True  # its twin is, or a schedule would complain
        self.loss = getattr(twin, "loss", None) or torch.nn.functional.cross_entropy
        self.push()
        self.run = twin.train()
        if place.processes > 1:
            ids = None if place.device.index is None else [place.device.index]
            self.run = torch.nn.parallel.DistributedDataParallel(twin, device_ids=ids)

    def __str__(self) -> str:
        return str(self.place)

    def push(self) -> None:
        """Give the twins what the model and the optimizer have now."""
        state = self.model.state_dict()
        self.twin.load_state_dict({k: _to_torch(t._array) for k, t in state.items()})
        given = self.optimizer.state_dict()["state"]
        if given:
            groups = self.stepper.state_dict()["param_groups"]
            values = {
                i: {name: _to_torch(v) for name, v in state.items()}
                for i, state in given.items()
            }
            self.stepper.load_state_dict({"state": values, "param_groups": groups})

    def pull(self) -> None:
        """Give the model and the optimizer what their twins have now."""
        state = self.twin.state_dict()
        self.model.load_state_dict({k: _to_array(t) for k, t in state.items()})
        values = {
            i: {name: _to_array(v) for name, v in state.items()}
            for i, state in self.stepper.state_dict()["state"].items()
        }
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": values, "param_groups": groups})

    def step(
        self, images: Tensor, labels: Tensor, at: tuple[int, int]
    ) -> tuple[float, int]:
        """One update by batch `at` (epoch, position); the loss before it, and how many
        of the outputs were right.
        """
        seed = stream(initial_seed(), *at, self.place.rank).integers(2**63)
        torch.manual_seed(int(seed))
        for group, given in zip(
            self.stepper.param_groups, self.optimizer.param_groups, strict=True
        ):
            group.update({k: v for k, v in given.items() if k != "params"})
        x, y, count = self._share(images, labels)
        self.stepper.zero_grad()
        output = self.run(x)
        loss = self.loss(output, y)
        # The gradients of all processes are averaged, whatever their shares.
        (loss * (count * self.place.processes / len(labels))).backward()
        self.stepper.step()
        check_classes(output, y)
        right = (output.argmax(1) == y).sum().item() if count else 0
        if self.place.processes == 1:
            return loss.item(), right
        total, right = self.place.sum(loss.item() * count, right)
        return total / len(labels), int(right)

    def evaluate(self, batches: Iterable[Any]) -> Scores:
        """The scores of the twin in eval mode, with the mean loss.

        Raises ArgumentError where there are no images.
        """
        confusion, total = np.zeros((), np.int64), 0.0
        self.run.eval()
        try:
            with torch.no_grad():
                for images, labels in batches:
                    x, y, count = self._share(images, labels)
                    output = self.run(x)
                    check_classes(output, y)
                    total += self.loss(output, y).item() * count
                    found, classes = output.argmax(1).cpu().numpy(), output.shape[1]
                    counts = confusion_matrix(y.cpu().numpy(), found, classes)
                    confusion = confusion + counts * (count > 0)
        finally:
            self.run.train()
        total, *rest = self.place.sum(total, *confusion.ravel().tolist())
        confusion = np.array(rest, np.int64).reshape(confusion.shape)
        if not confusion.any():
            raise ArgumentError(
                "there is nothing to evaluate: the loader gave no images"
            )
        return Scores(confusion, total / int(confusion.sum()))

    def _share(self, images: Tensor, labels: Tensor) -> tuple[Any, Any, int]:
        """What this process takes of a batch, and how many images that is.

        Where there are fewer images than processes some have none; they run one, since
        all must take part, and count it as none.
        """
        size, count = len(labels), self.place.processes
        start, stop = [
            -(-size * r // count) for r in (self.place.rank, self.place.rank + 1)
        ]
        part = slice(start, stop) if stop > start else slice(0, 1)
        x, y = [
            _to_torch(t._array[part]).to(self.place.device) for t in (images, labels)
        ]
        return x, y, stop - start


def _to_torch(value: Any) -> Any:
    """A torch.Tensor in memory of its own of a Tensor, an array or a number."""
    if value is None:
        return None
    array = value._array if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray):
        return torch.tensor(float(array))  # a count of steps, a float32 in PyTorch
    return torch.from_numpy(np.array(array, order="C"))


def _to_array(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def _check_alike(model: Module, twin: Any) -> None:
    ours, theirs = [
        {name: tuple(value.shape) for name, value in m.state_dict().items()}
        for m in (model, twin)
    ]
    for name in ours | theirs:
        if ours.get(name) != theirs.get(name):
            raise ModelFileError(
                f"the model is another under PyTorch: {name} has shape "
                f"{theirs.get(name, 'none')} there, and {ours.get(name, 'none')} here"
            )
