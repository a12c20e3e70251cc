"""PyTorch's modules, functions and autograd Functions, as the subjects of a check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from ...errors import ArgumentError
from ..branches import Path
from ..handwritten.foreign import ForeignError, described
from ..subject import Array, Run
from .base import FrameworkSubject, Part, arguments_of, mapped
from .torch_runs import Surroundings, Widened, copied, in_dtype, is_differentiable, real

LONG = 0.02
"""Seconds of a run that are worth a second thread."""

Module, Function = torch.nn.Module, torch.autograd.Function


def builder(
    target: Any, inputs: Any, loss: Any, labels: Any
) -> Callable[[Any], TorchSubject]:
    """What makes the subject of `verify`'s arguments in a dtype of NumPy's."""

    def build(dtype: Any) -> TorchSubject:
        wanted = None if dtype is None else getattr(torch, np.dtype(dtype).name)
        return _subject(_uncompiled(target), inputs, loss, labels, wanted)

    return build


def _uncompiled(target: Any) -> Any:
    """What torch.compile was given."""
    target = getattr(target, "_orig_mod", target)
    return getattr(target, "_torchdynamo_orig_callable", target)


def _subject(
    target: Any, inputs: Any, loss: Any, labels: Any, dtype: Any
) -> TorchSubject:
    owner = getattr(target, "__self__", target)
    twin = copied(owner, dtype) if isinstance(owner, Module) else None
    name = getattr(target, "__name__", type(target).__name__)
    call = signed = target
    if is_function(target):
        call, signed = target.apply, signature_of(target)
    elif owner is target and twin is not None:
        call, signed = twin, target.forward
    elif twin is not None:
        call = getattr(twin, name)
    parameters = dict(twin.named_parameters()) if twin is not None else {}
    leaves: dict[str, Any] = {}
    given, by_name = arguments_of(signed, inputs)
    asked = _asked(given)

    def take(key: str, x: Any) -> Any:
        x = torch.from_numpy(x.copy()) if isinstance(x, np.ndarray) else x
        if not isinstance(x, torch.Tensor):
            return x
        _require_dense(key, x)
        wanted = is_differentiable(x) and (not asked or x.requires_grad)
        x = in_dtype(x, dtype).clone(memory_format=torch.contiguous_format)
        if wanted:
            leaves[f"input {key}" if key in parameters else key] = x.requires_grad_()
        return x

    taken = {key: mapped(take, x, key) for key, x in given.items()}
    if isinstance(loss, Module):
        loss = copied(loss, dtype)
    if labels is not None:
        labels = mapped(lambda _, x: _constant(x, dtype), labels)
        own = getattr(target if twin is None else twin, "loss", None)
        loss = loss or own or torch.nn.functional.cross_entropy

    def function() -> Any:
        arguments = mapped(fresh, taken)
        named = by_name and not is_function(target)
        y = call(**arguments) if named else call(*arguments.values())
        if loss is None:
            return y
        return loss(y) if labels is None else loss(y, mapped(fresh, labels))

    leaves |= {key: p for key, p in parameters.items() if p.requires_grad}
    modules = [m for m in (twin, loss) if isinstance(m, Module)]
    subject = TorchSubject(name, function, leaves, Surroundings(modules, dtype))
    subject.module, subject.divisible = twin, not is_function(target)
    subject.hold_dtype()
    subject.choose_outputs()
    subject.choose_threads()
    return subject


def is_function(target: Any) -> bool:
    """Whether it is a class derived from autograd.Function."""
    return isinstance(target, type) and issubclass(target, Function)


def signature_of(function: Any) -> Callable[..., Any]:
    """Its forward as `apply` is called: without ctx."""
    has_context = function.setup_context is Function.setup_context
    return partial(function.forward, None) if has_context else function.forward


def _asked(given: Any) -> bool:
    """Whether some of the inputs say that they require a gradient: then those count."""
    found: list[bool] = []

    def look(_: str, x: Any) -> None:
        if is_differentiable(x):
            found.append(x.requires_grad)

    mapped(look, given)
    return any(found)


def _require_dense(key: str, x: Any) -> None:
    if x.layout is not torch.strided or x.is_quantized or x.is_meta:
        raise ArgumentError(
            f"{key} is a tensor of layout {x.layout} on {x.device}: what is checked is "
            "moved entry by entry; pass a dense tensor with values (x.to_dense())"
        )


def _constant(x: Any, dtype: Any) -> Any:
    x = torch.from_numpy(x.copy()) if isinstance(x, np.ndarray) else x
    return in_dtype(x, dtype) if isinstance(x, torch.Tensor) else x


def fresh(_: str, x: Any) -> Any:
    """A copy of a tensor that keeps its graph."""
    # the code may change what it is given in place
    return x.clone() if isinstance(x, torch.Tensor) else x


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
        self.divisible = True
        """Whether it may have parts."""

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
        start = time.perf_counter()
        self.run()
        if time.perf_counter() - start > LONG:
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
        from .torch_parts import parts_of

        return parts_of(self) if self.divisible else iter(())


def _for_numpy(y: Any) -> Any:
    return y.float() if y.dtype in (torch.float16, torch.bfloat16) else y


def _alike(a: list[Any] | None, b: list[Any]) -> bool:
    return a is not None and all(
        x.dtype == y.dtype and torch.equal(x.nan_to_num(), y.nan_to_num())
        for x, y in zip(a, b, strict=True)
    )
