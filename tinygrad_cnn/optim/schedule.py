"""What all learning rate schedules share: steps, and the rates of an optimizer's groups."""

from __future__ import annotations

import warnings
from typing import Any

from ..errors import ArgumentError, DTypeError
from .optimizer import Group, Optimizer


class LRScheduler:
    """Base of the schedules: sets each group's "lr" now, and again at every `step()`.

    last_epoch: the step to continue from; −1 starts, and stores the groups' "initial_lr".
    A new schedule defines `get_lr`.
    Raises DTypeError for what is no Optimizer, ArgumentError where last_epoch ≥ 0 and
    a group has no "initial_lr".
    """

    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when "
                    "resuming scheduler with last_epoch >= 0; load the optimizer's state "
                    "first, or start with last_epoch=-1"
                )
        self.base_lrs = self._read_groups("initial_lr")
        self.last_epoch = last_epoch
        self.start()

    def __post_init__(self) -> None:
        # Of the schedules below whose fields are the arguments of their constructor.
        LRScheduler.__init__(self, self.optimizer, self.last_epoch)

    def _read_groups(self, key: str) -> list[Any]:
        return [group[key] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as last set."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The learning rate of each group at step `last_epoch`, from the one before."""
        raise NotImplementedError

    def step(self, epoch: None = None) -> None:
        """Go on by one; call it after the optimizer's steps."""
        refuse_epoch(epoch)
        ours = type(self.optimizer).step is Optimizer.step
        if self._step_count == 1 and ours and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call "
                "`optimizer.step()` first, else the first learning rate of the schedule "
                "is skipped.",
                stacklevel=2,
            )
        self._step_count += 1
        self._go_to(self.last_epoch + 1)

    def _go_to(self, epoch: int) -> None:
        self.last_epoch = epoch
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr: list[float] = self._read_groups("lr")

    def start(self) -> None:
        """The first step, as the constructor has it; the counts begin anew."""
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def take_over(self) -> None:
        """Step 0, from the initial rates: when this schedule's turn comes in another."""
        for group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = lr
        self._is_initial = True
        self._go_to(0)
        self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer: numbers, strings, lists and dicts of them."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; the optimizer's own state has the learning rates."""
        state = {k: v for k, v in state_dict.items() if k != "optimizer"}
        self.__dict__.update(state)


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise DTypeError(f"{type(optimizer).__name__} is not an Optimizer")


def refuse_epoch(epoch: Any) -> None:
    if epoch is not None:
        raise ArgumentError(
            "scheduler.step() counts the epochs itself; leave the argument out"
        )


def check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ArgumentError(f"{name} must be positive, got {value}")


def spread_over_groups(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group: a list as it is, anything else repeated."""
    check_optimizer(optimizer)
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ArgumentError(
            f"{name} must have the same length as optimizer.param_groups. {name} has "
            f"{len(value)} values, param_groups has {groups}."
        )
    return list(value)


def check_momentum(optimizer: Optimizer) -> None:
    """Refuse an optimizer that has no momentum to cycle."""
    if not {"momentum", "betas"} & set(optimizer.defaults):
        raise ArgumentError(
            "optimizer must support momentum or beta1 with `cycle_momentum` option "
            "enabled"
        )


def set_momentum(group: Group, momentum: float) -> None:
    """Set the momentum of a group, or β₁ where it has betas."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def check_strategy(anneal_strategy: str) -> None:
    """Refuse what is neither "cos" nor "linear"."""
    if anneal_strategy not in ("cos", "linear"):
        raise ArgumentError(
            "anneal_strategy must be one of 'cos' or 'linear', instead got "
            f"{anneal_strategy}"
        )
