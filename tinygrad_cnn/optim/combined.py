"""Learning rate schedules made of others: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, DTypeError
from .optimizer import Optimizer
from .schedule import LRScheduler


class _Combined(LRScheduler):
    _schedulers: Sequence[LRScheduler]

    def _check(self, schedulers: Sequence[Any], optimizer: Optimizer | None) -> Any:
        """The optimizer that all of them have."""
        name = type(self).__name__
        if len(schedulers) < 1:
            raise ArgumentError(
                f"{name} expects at least one scheduler, but got no scheduler."
            )
        optimizer = optimizer or schedulers[0].optimizer
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise DTypeError(
                    f"{name} at index {i} should have `optimizer` as its attribute."
                )
            if type(scheduler).__name__ == "ReduceLROnPlateau":
                raise ArgumentError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler, whose step() "
                    f"takes the value to watch; got one at index {i}"
                )
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(
                    f"{name} expects all schedulers to belong to the same optimizer; the "
                    f"one at index {i} has another"
                )
        return optimizer

    def state_dict(self) -> dict[str, Any]:
        """As any schedule's, with the states of the schedules."""
        states = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there, each of the schedules as well."""
        rest = {k: v for k, v in state_dict.items() if k != "_schedulers"}
        super().load_state_dict(rest)
        pairs = zip(self._schedulers, state_dict["_schedulers"], strict=True)
        for scheduler, state in pairs:
            scheduler.load_state_dict(state)


class SequentialLR(_Combined):
    """schedulers[0] up to milestones[0], then schedulers[1] up to milestones[1], and so on.

    Each begins at its own step 0 when its turn comes.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                "Sequential Schedulers expects number of schedulers provided to be one "
                "more than the number of milestone points, but got number of schedulers "
                f"{len(schedulers)} and the number of milestones to be equal to "
                f"{len(milestones)}"
            )
        self._schedulers, self._milestones = schedulers, milestones
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self)  # of the steps that the schedules made when they were made
        first = schedulers[bisect_right(milestones, 0)]
        first.start()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Go on by one; call it after the optimizer's steps."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            scheduler.take_over()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo(scheduler: LRScheduler) -> None:
    if isinstance(scheduler, _Combined):
        for inner in scheduler._schedulers:
            _undo(inner)
    else:
        scheduler.last_epoch -= 1


class ChainedScheduler(_Combined):
    """All schedules at each step, each from the rates that the one before it made."""

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self.optimizer = self._check(schedulers, optimizer)
        self._schedulers = schedulers
        self._last_lr = self._read_groups("lr")

    def step(self) -> None:  # type: ignore[override]
        """Go on by one; call it after the optimizer's steps."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._read_groups("lr")
