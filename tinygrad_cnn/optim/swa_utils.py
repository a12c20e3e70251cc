"""Averages of the weights that training passes through (Izmailov et al., 2018)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from ..core.creation import tensor
from ..core.engine import Tensor
from ..core.recording import no_grad
from ..errors import ArgumentError
from ..nn import BatchNorm1d, BatchNorm2d, Module
from .optimizer import Optimizer
from .schedule import LRScheduler, check_strategy, spread_over_groups

Average = Callable[[Tensor, Tensor, Any], Any]


def get_swa_avg_fn() -> Average:
    """A function of (average, current, n): the mean of n + 1 values from that of n."""

    @no_grad()
    def swa_update(
        averaged_param: Tensor, current_param: Tensor, num_averaged: Any
    ) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """A function of (average, current, n): decay · average + (1 − decay) · current."""
    if not 0 <= decay <= 1:
        raise ArgumentError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def _for_lists(average: Average) -> Callable[[Any, Any, Any], None]:
    @no_grad()
    def update(averaged: Any, current: Any, num_averaged: Any) -> None:
        for mean, value in zip(averaged, current, strict=True):
            mean.copy_(average(mean, value, num_averaged))

    return update


def get_swa_multi_avg_fn() -> Callable[[Any, Any, Any], None]:
    """`get_swa_avg_fn` for lists of Tensors, in place."""
    return _for_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    """`get_ema_avg_fn` for lists of Tensors, in place."""
    return _for_lists(get_ema_avg_fn(decay))


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of those that it was shown.

    avg_fn(average, current, n): the next average, by default the mean of all; or
    multi_avg_fn, which changes lists of Tensors in place. use_buffers: average the buffers
    too; else they are copied from the model.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError(
                "Only one of avg_fn and multi_avg_fn should be provided"
            )
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.avg_fn, self.multi_avg_fn = avg_fn, multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the parameters of `model` into the average."""
        own, others = self._averaged(self.module), self._averaged(model)
        if self.n_averaged == 0:
            _copy(own, others)
        else:
            average = self.multi_avg_fn or _for_lists(self.avg_fn or get_swa_avg_fn())
            average(list(own), list(others), self.n_averaged)
        if not self.use_buffers:
            _copy(self.module.buffers(), model.buffers())
        self.n_averaged += 1

    def _averaged(self, model: Module) -> Iterator[Tensor]:
        buffers = model.buffers() if self.use_buffers else ()
        return (t.detach() for t in chain(model.parameters(), buffers))


def _copy(own: Iterable[Tensor], others: Iterable[Tensor]) -> None:
    for mine, other in zip(own, others, strict=True):
        mine.copy_(other)


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Set the running figures of batch normalisations to those of the loader's batches.

    A batch is the model's input, or a tuple or list that begins with it.
    """
    kinds = BatchNorm1d, BatchNorm2d
    norms = [module for module in model.modules() if isinstance(module, kinds)]
    if not norms:
        return
    momenta, was_training = [norm.momentum for norm in norms], model.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    for batch in loader:
        model(batch[0] if isinstance(batch, list | tuple) else batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """From each group's rate to swa_lr in anneal_epochs steps, and constant from there.

    swa_lr: a number, or one for each group. anneal_strategy: "cos" or "linear".
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = spread_over_groups("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        check_strategy(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ArgumentError(
                f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}"
            )
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates of this step, from what those of the one before began with."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        lrs = []
        for group in self.optimizer.param_groups:
            lr, end = group["lr"], group["swa_lr"]
            start = end if before == 1 else (lr - before * end) / (1 - before)
            lrs.append(end * now + start * (1 - now))
        return lrs

    def _share(self, step: int) -> float:
        """How much of the way to swa_lr is done."""
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        if self._anneal_strategy == "linear":
            return t
        return (1 - math.cos(math.pi * t)) / 2
