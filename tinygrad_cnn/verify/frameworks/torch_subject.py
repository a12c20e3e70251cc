"""A function of PyTorch's tensors as the subject of a check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from ...errors import ArgumentError
from ..branches import Path
from ..handwritten.foreign import ForeignError, described
from ..subject import Array, Run
from .base import FrameworkSubject, Part
from .torch_runs import Surroundings, Widened, is_differentiable, real

LONG = 0.02
"""Seconds of a run that are worth a second thread."""


def tensors_in(value: Any) -> Iterator[Any]:
    """The tensors in nested tuples, lists, dicts and dataclasses."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from tensors_in([getattr(value, f.name) for f in fields(value)])


class TorchSubject(FrameworkSubject):
    """A function of PyTorch's tensors, whose gradients `torch.autograd` computes.

    leaves: the tensors that are checked; the function is called without arguments and uses
    them, being a closure. Complex ones are checked as pairs of real numbers.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[], Any],
        leaves: Mapping[str, Any],
        surroundings: Surroundings,
    ) -> None:
        arrays = {key: real(leaf.detach()).numpy() for key, leaf in leaves.items()}
        super().__init__(name, arrays)
        self.function, self.leaves = function, dict(leaves)
        self.surroundings = surroundings
        self.recorded = False
        """Whether the function itself asks for gradients, so that it must be recorded."""
        self.kept: list[int] | None = None
        """Which of the floating outputs count: those that require a gradient, if any do."""
        self.module: Any = None
        self.divide: Callable[[TorchSubject], Iterator[Part]] | None = None
        """What finds its parts, if it may have any."""

    def run(self, margins: bool = False) -> Run:
        try:
            found = self.outputs(self.recorded)
        except RuntimeError as error:
            if self.recorded:
                raise ForeignError(described(error)) from error
            self.recorded = True
            return self.run(margins)
        return Run([y.detach().numpy().copy() for y in found], Path())

    def outputs(self, recorded: bool = True) -> list[Any]:
        """The outputs that count, with the graph behind them if `recorded`."""
        with self.surroundings.put_back(), torch.set_grad_enabled(recorded):
            return self._outputs()

    def _outputs(self) -> list[Any]:
        found = list(tensors_in(self.function()))
        floating = [y for y in found if is_differentiable(y)]
        if not floating:
            raise ArgumentError(
                f"{self.name} must return a floating tensor, or several, nested as you "
                f"like; it returned {', '.join([str(y.dtype) for y in found]) or 'none'}"
            )
        if self.kept is not None:
            floating = [floating[i] for i in self.kept]
        return [_for_numpy(real(y)) for y in floating]

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        leaves = list(self.leaves.values())
        with self.surroundings.put_back(), torch.enable_grad():
            pairs = zip(self._outputs(), cotangents, strict=True)
            behind = [(y, torch.from_numpy(g)) for y, g in pairs if y.requires_grad]
            if not behind:
                return dict.fromkeys(self.leaves)
            outputs, weights = zip(*behind, strict=True)
            found = torch.autograd.grad(outputs, leaves, weights, allow_unused=True)
        arrays = [
            None if g is None else real(g.detach().to_dense()).numpy() for g in found
        ]
        return dict(zip(self.leaves, arrays, strict=True))

    def hold_dtype(self) -> None:
        """Find out whether the dtype must be held on to, for the code leaves it."""
        dtype = self.surroundings.dtype
        if dtype is not None:
            wide = Widened(dtype)
            plain, kept = self._tried(self.surroundings.mode), self._tried(wide)
            if kept is not None and not _alike(plain, kept):
                self.surroundings.mode = wide
                self.notes.append(
                    f"the code itself has numbers of a lower precision than {dtype}: "
                    f"they were kept in {dtype} for this check"
                )

    def choose_threads(self) -> None:
        """Let one thread compute where a run is short: others would only wait for it."""
        self.surroundings.threads, before = 1, self.surroundings.threads
        times = []
        for _ in range(3):
            start = time.perf_counter()
            self.run()
            times.append(time.perf_counter() - start)
        if min(times) > LONG:
            self.surroundings.threads = before

    def choose_outputs(self) -> None:
        """Leave out those that require no gradient, where others do."""
        found = self.outputs()
        asking = [i for i, y in enumerate(found) if y.requires_grad]
        if asking and len(asking) < len(found):
            self.kept = asking
            left_out = [str(i) for i in range(len(found)) if i not in asking]
            self.notes.append(
                f"output {', '.join(left_out)} requires no gradient and is left out"
            )

    def _tried(self, mode: Any) -> list[Any] | None:
        self.surroundings.mode, before = mode, self.surroundings.mode
        try:
            return self.outputs()
        except RuntimeError:
            return None
        finally:
            self.surroundings.mode = before

    def parts(self) -> Iterator[Part]:
        return self.divide(self) if self.divide else iter(())


def _for_numpy(y: Any) -> Any:
    return y.float() if y.dtype in (torch.float16, torch.bfloat16) else y


def _alike(a: list[Any] | None, b: list[Any]) -> bool:
    return a is not None and all(
        x.dtype == y.dtype and torch.equal(x.nan_to_num(), y.nan_to_num())
        for x, y in zip(a, b, strict=True)
    )
