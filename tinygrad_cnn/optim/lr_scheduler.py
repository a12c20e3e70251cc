"""Learning rate schedules, step for step those of `torch.optim.lr_scheduler`.

η is the learning rate, η₀ the one that the group started with, t the number of steps. As
in PyTorch most schedules compute η from the η before, so that several can be combined;
their closed form stands in the docstring.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import InitVar, dataclass
from types import FunctionType
from typing import Any, SupportsFloat

from ..errors import ArgumentError
from ..missing import teach
from .combined import ChainedScheduler, SequentialLR
from .optimizer import Optimizer
from .schedule import (
    LRScheduler,
    check_momentum,
    check_optimizer,
    check_positive,
    check_strategy,
    refuse_epoch,
    set_momentum,
    spread_over_groups,
)

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class _OfFunctions(LRScheduler):
    """A schedule of a function of t, or one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = spread_over_groups("lr_lambda", optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """As any schedule's; of the functions only the attributes of callable objects."""
        attributes = [attributes_of(f) for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": attributes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As any schedule's; the functions stay."""
        rest = {k: v for k, v in state_dict.items() if k != "lr_lambdas"}
        super().load_state_dict(rest)
        pairs = zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True)
        for function, attributes in pairs:
            if attributes:
                function.__dict__.update(attributes)


def attributes_of(function: Any) -> dict[str, Any] | None:
    """What there is to save of a callable object; None of a plain function."""
    if isinstance(function, FunctionType):
        return None
    return dict(getattr(function, "__dict__", {}))


class LambdaLR(_OfFunctions):
    """η = η₀ f(t), for a function f, or one for each group."""

    def get_lr(self) -> list[float]:
        """η₀ f(t)."""
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * function(self.last_epoch) for base, function in pairs]


class MultiplicativeLR(_OfFunctions):
    """η = η₀ f(1) f(2) … f(t), for a function f, or one for each group."""

    def get_lr(self) -> list[float]:
        """η f(t)."""
        lrs = self._read_groups("lr")
        if self._is_initial:
            return lrs
        pairs = zip(lrs, self.lr_lambdas, strict=True)
        return [lr * function(self.last_epoch) for lr, function in pairs]

    def take_over(self) -> None:
        """Step 0, from the rates as they are: η f(0)."""
        self._go_to(0)


@dataclass(eq=False, repr=False)
class StepLR(LRScheduler):
    """η = η₀ γ^⌊t / step_size⌋."""

    optimizer: Optimizer
    step_size: int
    gamma: float = 0.1
    last_epoch: int = -1

    def __post_init__(self) -> None:
        check_positive("step_size", self.step_size)
        super().__post_init__()

    def get_lr(self) -> list[float]:
        """γ η at every step_size-th step."""
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self._read_groups("lr")]


class MultiStepLR(LRScheduler):
    """η = η₀ γⁿ, n the number of milestones up to t."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """γ η for each time that t is among the milestones."""
        times = self.milestones[self.last_epoch]
        return [lr * self.gamma**times for lr in self._read_groups("lr")]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As any schedule's; milestones that became strings in JSON are numbers again."""
        super().load_state_dict(state_dict)
        self.milestones = Counter({int(t): n for t, n in self.milestones.items()})


@dataclass(eq=False, repr=False)
class ExponentialLR(LRScheduler):
    """η = η₀ γᵗ."""

    optimizer: Optimizer
    gamma: float
    last_epoch: int = -1

    def get_lr(self) -> list[float]:
        """γ η."""
        factor = 1.0 if self._is_initial else self.gamma
        return [lr * factor for lr in self._read_groups("lr")]


@dataclass(eq=False, repr=False)
class LinearLR(LRScheduler):
    """η = η₀ f, f going from start_factor to end_factor in total_iters steps."""

    optimizer: Optimizer
    start_factor: float = 1.0 / 3
    end_factor: float = 1.0
    total_iters: int = 5
    last_epoch: int = -1

    def __post_init__(self) -> None:
        if not 0 < self.start_factor <= 1:
            raise ArgumentError(
                "Starting multiplicative factor expected to be greater than 0 and less "
                f"or equal to 1, got {self.start_factor}"
            )
        if not 0 <= self.end_factor <= 1:
            raise ArgumentError(
                "Ending multiplicative factor expected to be between 0 and 1, "
                f"got {self.end_factor}"
            )
        super().__post_init__()

    def get_lr(self) -> list[float]:
        """η times the ratio of this step's factor to the one before."""
        lrs, t = self._read_groups("lr"), self.last_epoch
        if t == 0:
            return [lr * self.start_factor for lr in lrs]
        if self._is_initial or t > self.total_iters:
            return lrs
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (t - 1) * rise
        return [lr * (1.0 + rise / before) for lr in lrs]


@dataclass(eq=False, repr=False)
class ConstantLR(LRScheduler):
    """η = η₀ factor for total_iters steps, then η₀."""

    optimizer: Optimizer
    factor: float = 1.0 / 3
    total_iters: int = 5
    last_epoch: int = -1

    def __post_init__(self) -> None:
        if not 0 <= self.factor <= 1:
            raise ArgumentError(
                "Constant multiplicative factor expected to be between 0 and 1, got "
                f"{self.factor}"
            )
        super().__post_init__()

    def get_lr(self) -> list[float]:
        """factor η at step 0, η / factor at step total_iters."""
        change = {0: self.factor}.get(self.last_epoch, 1.0)
        if self.last_epoch == self.total_iters != 0:
            change = 1.0 / self.factor
        return [lr * change for lr in self._read_groups("lr")]


@dataclass(eq=False, repr=False)
class PolynomialLR(LRScheduler):
    """η = η₀ (1 − t / total_iters)^power, and 0 from total_iters on."""

    optimizer: Optimizer
    total_iters: int = 5
    power: float = 1.0
    last_epoch: int = -1

    def get_lr(self) -> list[float]:
        """η times the ratio of this step's power to the one before."""
        lrs, t, total = self._read_groups("lr"), self.last_epoch, self.total_iters
        if self._is_initial or t > total:
            return lrs
        ratio = ((1.0 - t / total) / (1.0 - (t - 1) / total)) ** self.power
        return [lr * ratio for lr in lrs]


@dataclass(eq=False, repr=False)
class CosineAnnealingLR(LRScheduler):
    """η = η_min + (η₀ − η_min) (1 + cos(π t / T_max)) / 2, rising again after T_max."""

    optimizer: Optimizer
    T_max: int
    eta_min: float = 0.0
    last_epoch: int = -1

    def __post_init__(self) -> None:
        check_positive("T_max", self.T_max)
        super().__post_init__()

    def get_lr(self) -> list[float]:
        """η_min + (η − η_min) times the ratio of this step's cosine to the one before."""
        lrs, t, low = self._read_groups("lr"), self.last_epoch, self.eta_min
        if self._is_initial:
            return lrs
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The step before stood at the bottom, where the ratio is 0 / 0.
            rise = 1 - math.cos(math.pi / self.T_max)
            pairs = zip(lrs, self.base_lrs, strict=True)
            return [lr + (base - low) * rise / 2 for lr, base in pairs]
        now = 1 + math.cos(math.pi * t / self.T_max)
        before = 1 + math.cos(math.pi * (t - 1) / self.T_max)
        return [now / before * (lr - low) + low for lr in lrs]


@dataclass(eq=False, repr=False)
class CosineAnnealingWarmRestarts(LRScheduler):
    """The falling half of a cosine, again and again: first T_0 steps long, then each time
    T_mult times as long. η = η_min + (η₀ − η_min) (1 + cos(π T_cur / T_i)) / 2.

    `step(epoch)` goes to any place, which may be a fraction: epoch + batch / batches.
    """

    optimizer: Optimizer
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0
    last_epoch: int = -1

    def __post_init__(self) -> None:
        for name, value in (("T_0", self.T_0), ("T_mult", self.T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(
                    f"Expected positive integer {name}, but got {value}"
                )
        self.T_i: int = self.T_0
        self.T_cur: float = self.last_epoch
        super().__post_init__()

    def get_lr(self) -> list[float]:
        """η_min and the share of η₀ − η_min that is left at T_cur."""
        left, low = (1 + math.cos(math.pi * self.T_cur / self.T_i)), self.eta_min
        return [low + (base - low) * left / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on by one, or to this epoch; call it after the optimizer's steps."""
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = epoch or 0
            if epoch < 0:
                raise ArgumentError(f"Expected non-negative epoch, but got {epoch}")
            cycles, factor = epoch / self.T_0, self.T_mult
            n = int(
                math.log(cycles * (factor - 1) + 1, factor) if factor > 1 else cycles
            )
            before = (factor**n - 1) / (factor - 1) if factor > 1 else n
            self.T_i, self.T_cur = self.T_0 * factor**n, epoch - self.T_0 * before
        self._go_to(math.floor(epoch))


class CyclicLR(LRScheduler):
    """Up from base_lr to max_lr in step_size_up steps, down in step_size_down, repeatedly.

    mode: "triangular"; "triangular2", whose height halves each time; "exp_range", whose
    height is gamma^t; or scale_fn, a factor of the height, of the cycle's number (from 1)
    or of t (scale_mode "cycle" or "iterations"). With cycle_momentum the momentum (β₁ of
    Adam) goes the other way, between max_momentum and base_momentum. Rates and momenta may
    be lists, one for each group. Call `step()` once a batch.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        base_lrs = spread_over_groups("base_lr", optimizer, base_lr)
        self.max_lrs = spread_over_groups("max_lr", optimizer, max_lr)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        modes = ("triangular", "triangular2", "exp_range")
        if mode not in modes and scale_fn is None:
            raise ArgumentError(
                f"mode is invalid and scale_fn is None: {mode} of {modes}"
            )
        self.mode, self.gamma = mode, gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode, self.cycle_momentum = scale_mode, cycle_momentum
        if cycle_momentum:
            check_momentum(optimizer)
            self.use_beta1 = "betas" in optimizer.defaults
            given = {"base_momentum": base_momentum, "max_momentum": max_momentum}
            spread = {k: spread_over_groups(k, optimizer, v) for k, v in given.items()}
            self.base_momentums, self.max_momentums = spread.values()
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                group["lr"] = base_lrs[i]
                if cycle_momentum:
                    set_momentum(group, self.max_momentums[i])
                    group["max_momentum"] = self.max_momentums[i]
                    group["base_momentum"] = self.base_momentums[i]
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The factor of the height in the x-th cycle, or at the x-th step."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        by_mode = {"triangular": 1.0, "triangular2": 0.5 ** (x - 1)}
        return by_mode[self.mode] if self.mode in by_mode else self.gamma**x

    def get_lr(self) -> list[float]:
        """The learning rates of this step; sets the momenta as well."""
        t, top = self.last_epoch, self.step_ratio
        cycle = math.floor(1 + t / self.total_size)
        place = 1.0 + t / self.total_size - cycle
        height = place / top if place <= top else (place - 1) / (top - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else t)
        if self.cycle_momentum:
            groups = self.optimizer.param_groups
            momenta = self.base_momentums, self.max_momentums
            for group, low, high in zip(groups, *momenta, strict=True):
                set_momentum(group, high - (high - low) * height * scale)
        rates = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height * scale for low, high in rates]

    def state_dict(self) -> dict[str, Any]:
        """As any schedule's; of scale_fn only the attributes of a callable object."""
        state = super().state_dict()
        if self._scale_fn_custom is not None:
            state["_scale_fn_custom"] = attributes_of(self._scale_fn_custom)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As any schedule's; scale_fn stays."""
        name = "_scale_fn_custom"
        super().load_state_dict({k: v for k, v in state_dict.items() if k != name})
        if state_dict.get(name):
            self._scale_fn_custom.__dict__.update(state_dict[name])


_PHASE = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr, then down to initial / final_div_factor.

    total_steps, or epochs and steps_per_epoch, is the length; call `step()` once a batch.
    pct_start is the rising part; three_phase comes down to the initial rate in as many
    steps and only then to the final one; anneal_strategy is "cos" or "linear". With
    cycle_momentum the momentum (β₁ of Adam) goes the other way, between max_momentum and
    base_momentum. Rates and momenta may be lists, one for each group.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.total_steps = _count_steps(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ArgumentError(
                f"Expected float between 0 and 1 pct_start, but got {pct_start}"
            )
        check_strategy(anneal_strategy)
        self._schedule_phases = _list_phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            check_momentum(optimizer)
        if last_epoch == -1:
            given: dict[str, Any] = {"max_lr": max_lr}
            if cycle_momentum:
                given["max_momentum"] = max_momentum
                given["base_momentum"] = base_momentum
            for name, value in given.items():
                values = spread_over_groups(name, optimizer, value)
                for group, own in zip(optimizer.param_groups, values, strict=True):
                    group[name] = own
            for group in optimizer.param_groups:
                group["initial_lr"] = group["max_lr"] / div_factor
                group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates of this step; sets the momenta as well."""
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                f"Tried to step {self.last_epoch} times. The specified number of total "
                f"steps is {self.total_steps}"
            )
        phase, done = self._find_phase()
        lrs = []
        for group in self.optimizer.param_groups:
            start, end = group[phase["start_lr"]], group[phase["end_lr"]]
            lrs.append(self._anneal(start, end, done))
            if self.cycle_momentum:
                start, end = (
                    group[phase["start_momentum"]],
                    group[phase["end_momentum"]],
                )
                momentum = self._anneal(start, end, done)
                set_momentum(group, momentum)
        return lrs

    def _find_phase(self) -> tuple[dict[str, Any], float]:
        """The phase that this step is in, and how much of it is done, 0 to 1."""
        start, (*earlier, phase) = 0.0, self._schedule_phases
        for candidate in earlier:
            if self.last_epoch <= candidate["end_step"]:
                phase = candidate
                break
            start = candidate["end_step"]
        length = phase["end_step"] - start
        return phase, (self.last_epoch - start) / length if length else 1.0

    def _anneal(self, start: float, end: float, done: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * done + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)


def _count_steps(total: Any, epochs: Any, steps_per_epoch: Any) -> int:
    given = {"total_steps": total}
    if total is None:
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        if None in given.values():
            raise ArgumentError(
                "You must define either total_steps OR (epochs AND steps_per_epoch)"
            )
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ArgumentError(f"Expected positive integer {name}, but got {value}")
    return math.prod(given.values())


def _list_phases(total: int, rising: float, three: bool) -> list[dict[str, Any]]:
    high, low = "max_momentum", "base_momentum"
    ends = [(rising * total - 1, "max_lr", low), (total - 1, "min_lr", high)]
    if three:
        ends.insert(1, (2 * rising * total - 2, "initial_lr", high))
    phases, lr, momentum = [], "initial_lr", high
    for step, end_lr, end_momentum in ends:
        row = step, lr, end_lr, momentum, end_momentum
        phases.append(dict(zip(_PHASE, row, strict=True)))
        lr, momentum = end_lr, end_momentum
    return phases


@dataclass(eq=False, repr=False)
class ReduceLROnPlateau(LRScheduler):
    """η ← max(factor η, min_lr) when `step(metrics)` saw no progress for too long.

    Progress is a value below the best (mode "max": above it) by `threshold`, relative
    ("rel") or absolute ("abs"). After more than `patience` steps without, the rate falls,
    unless by less than eps, and `cooldown` steps pass before counting begins again.
    """

    optimizer: Optimizer
    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: InitVar[float | Sequence[float]] = 0
    eps: float = 1e-8

    def __post_init__(self, min_lr: float | Sequence[float]) -> None:
        if self.factor >= 1.0:
            raise ArgumentError(f"Factor should be < 1.0. Got {self.factor}")
        if self.mode not in ("min", "max"):
            raise ArgumentError(f"mode {self.mode} is unknown! Use 'min' or 'max'")
        if self.threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                f"threshold mode {self.threshold_mode} is unknown! Use 'rel' or 'abs'"
            )
        self.min_lrs = spread_over_groups("min_lr", self.optimizer, min_lr)
        self.last_epoch = 0
        self.best = math.inf if self.mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self._last_lr = self._read_groups("lr")

    @property
    def in_cooldown(self) -> bool:
        """Whether steps without progress do not count, yet."""
        return self.cooldown_counter > 0

    def step(self, metrics: SupportsFloat, epoch: None = None) -> None:  # type: ignore[override]
        """Go on by one, with the value to watch: a number or a Tensor with one element."""
        refuse_epoch(epoch)
        value = float(metrics)
        self.last_epoch += 1
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._read_groups("lr")

    def _is_better(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1.0 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold

    def _reduce(self) -> None:
        for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = max(group["lr"] * self.factor, low)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr


teach(__name__)
