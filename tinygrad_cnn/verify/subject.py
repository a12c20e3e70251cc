"""What is verified: something that gives outputs and claims to know their gradients.

A subject owns copies of the tensors in question, in the dtype of the check, and computes on
these very arrays: the check perturbs an entry in place, asks for the outputs, and puts the
entry back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.engine import Tensor
from ..core.gradients import grad
from ..core.recording import observer, reader, set_grad_enabled, setting
from ..core.replaying import tensors_in
from ..core.running import DRAWN, unchanged
from ..errors import ArgumentError, AutogradError
from ..nn import Module
from ..ops.base import Op
from .branches import Path, watch_branches
from .report import TensorReport
from .tape import Tape

Array = np.ndarray[Any, Any]


class Run(NamedTuple):
    """The outputs of one evaluation, and the branches taken on the way."""

    outputs: list[Array]
    path: Path

    @property
    def row(self) -> Array:
        """All outputs in one row."""
        return np.concatenate([y.reshape(-1) for y in self.outputs])


class Subject:
    """The tensors checked, by name, and what can be asked of them."""

    knows_branches = True
    """Whether `path` of a run tells everything that switched."""
    notes: Sequence[str] = ()
    """What the reader of a report should know."""
    unread: Sequence[TensorReport] = ()
    """The tensors whose gradient was not found."""
    changed: Sequence[str] = ()
    """The inputs that somebody's forward changes in place."""

    def __init__(self, name: str, arrays: Mapping[str, Array]) -> None:
        self.name, self.arrays = name, dict(arrays)

    def run(self, margins: bool = False) -> Run:
        """The outputs for the arrays as they are now."""
        raise NotImplementedError

    def runner(self, name: str) -> Callable[[], Run]:
        """What does the same as `run` while no tensor but this one is changed."""
        return self.run

    def line_for(self, name: str) -> str | None:
        """The line of somebody's code that makes this tensor's gradient, if known."""
        return None

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        """What the code under test says ∂Σ⟨cotangent, output⟩/∂array is; None: nothing."""
        raise NotImplementedError


class TensorSubject(Subject):
    """A function of Tensors, whose gradients the engine computes.

    leaves: the Tensors that are checked; the function is called without arguments and uses
    them, being a closure. What it returns may be nested; its floating Tensors count.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[], Any],
        leaves: Mapping[str, Tensor],
        modules: Sequence[Module] = (),
    ) -> None:
        super().__init__(name, {key: leaf._array for key, leaf in leaves.items()})
        self.function, self.leaves = function, dict(leaves)
        self.modules = modules
        self.recorded = False
        """Whether the function itself asks for gradients, so that it must be recorded."""
        self.draws = True
        """Whether it draws random numbers; known after the first run."""
        self.tape: Tape | None = None

    def run(self, margins: bool = False) -> Run:
        try:
            with watch_branches(margins) as path:
                outputs = self.outputs(self.recorded)
        except AutogradError:
            if self.recorded:
                raise
            self.recorded = True
            return self.run(margins)
        # copies: a view of an input would change when the entry is put back
        return Run([np.array(t._array) for t in outputs], path)

    def runner(self, name: str) -> Callable[[], Run]:
        if self.tape is None:
            self.tape = self._record()
        array = self.arrays[name]
        replay = self.tape.replay_from(array)
        if replay is None:
            return self.run

        def run() -> Run:
            return Run(*replay())

        return run if self._is_same(array, run) else self.run

    def _record(self) -> Tape:
        """What is applied in a run; an empty tape, which gives no output, if unfit."""
        tape, read = Tape(), list[str]()
        with setting(observer, tape.observe), setting(reader, read.append):
            outputs = self.outputs(self.recorded)
        drawn = self.draws and any(step.op.opaque for step in tape.steps)
        if read or drawn:
            return Tape()
        tape.outputs = [t._array for t in outputs]
        return tape

    def _is_same(self, array: Array, replay: Callable[[], Run]) -> bool:
        """Whether both give the same bits, and take the same branches, on other values."""
        rng, start = np.random.default_rng(0), array.copy()
        try:
            for share in (0.0, 1e-3, 1.0):
                array[...] = start * (1 + share * rng.uniform(-0.5, 1, array.shape))
                array[...] += share * rng.uniform(-1, 1, array.shape)
                here, there = self.run(), replay()
                if len(here.outputs) != len(there.outputs):
                    return False
                pairs = zip(here.outputs, there.outputs, strict=True)
                if not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs):
                    return False
                if not here.path.same_as(there.path):
                    return False
        except Exception:  # the code may refuse such values
            return False
        finally:
            array[...] = start
        return True

    def outputs(self, recorded: bool = True) -> list[Tensor]:
        """The outputs as Tensors, with the graph behind them if `recorded`."""
        models = unchanged(*self.modules, draws=self.draws)
        with models as changes, set_grad_enabled(recorded):
            found = list(tensors_in(self.function()))
        self.draws = DRAWN in changes
        outputs = [t for t in found if t.dtype.kind == "f"]
        if not outputs:
            raise ArgumentError(
                f"{self.name} must return a floating Tensor, or several, nested as you "
                f"like; it returned {', '.join([str(t.dtype) for t in found]) or 'none'}"
            )
        return outputs

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        found = self.differentiate([Tensor(g.copy()) for g in cotangents])
        arrays = [None if d is None else d._array for d in found]
        return dict(zip(self.leaves, arrays, strict=True))

    def differentiate(
        self, cotangents: Iterable[Tensor], create_graph: bool = False
    ) -> Sequence[Tensor | None]:
        """The gradient for each leaf, as Tensors; None where no output comes from it."""
        pairs = zip(self.outputs(), cotangents, strict=True)
        behind = [(y, g) for y, g in pairs if y.requires_grad]
        if not behind:
            return [None] * len(self.leaves)
        outputs, weights = zip(*behind, strict=True)
        leaves = list(self.leaves.values())
        return grad(
            outputs, leaves, weights, create_graph=create_graph, allow_unused=True
        )


class OperationSubject(TensorSubject):
    """One operation on given inputs, of which some (by position) are checked."""

    def __init__(self, op: Op, inputs: Sequence[Any], checked: Sequence[int]) -> None:
        self.op, self.inputs = op, list(inputs)
        leaves = {}
        self.inputs_by_key: dict[str, str] = {}
        for i in checked:
            name = op.input_name(i)
            key = f"{name}[{i}]" if op.variadic else name
            self.inputs[i] = leaves[key] = leaf_of(inputs[i])
            self.inputs_by_key[key] = name
        super().__init__(str(op), lambda: op(*self.inputs), leaves)

    def input_arrays(self) -> list[Any]:
        """All inputs as arrays, where they are arrays."""
        return [x._array if isinstance(x, Tensor) else x for x in self.inputs]


def leaf_of(x: Any, dtype: Any = None) -> Tensor:
    """A leaf on a copy of x, in its own dtype or this one."""
    array = x._array if isinstance(x, Tensor) else x
    # row-major, so that an entry of a flat view is an entry of the tensor
    return Tensor._wrap(np.array(array, dtype, order="C")).requires_grad_()


def modules_behind(function: Any) -> list[Module]:
    """The modules that a function is, is bound to, or closes over."""
    bound = getattr(function, "__self__", function)
    if isinstance(bound, Module):
        return [bound]
    if not inspect.isfunction(function):
        return []
    captured = inspect.getclosurevars(function)
    values = [*captured.nonlocals.values(), *captured.globals.values()]
    return [value for value in values if isinstance(value, Module)]
