"""Runs of somebody's PyTorch code: in one dtype, with the same draws, nothing changed."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from operator import is_
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ...errors import ArgumentError
from .base import mapped


def is_function(target: Any) -> bool:
    """Whether it is a class derived from autograd.Function."""
    return isinstance(target, type) and issubclass(target, torch.autograd.Function)


def signature_of(function: Any) -> Callable[..., Any]:
    """Its forward as `apply` is called: without ctx."""
    has_context = function.setup_context is torch.autograd.Function.setup_context
    return partial(function.forward, None) if has_context else function.forward


def real(x: Any) -> Any:
    """A complex tensor as pairs of real numbers; one of gradients in PyTorch's sense."""
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x


def is_differentiable(x: Any) -> bool:
    """Whether it is a tensor of floating or complex numbers."""
    return isinstance(x, torch.Tensor) and (x.is_floating_point() or x.is_complex())


def in_dtype(x: Any, dtype: Any) -> Any:
    """The tensor on the CPU, in this dtype if it is floating, and row-major.

    None: as it is, or in float32 if NumPy has no such numbers or not enough of them.
    """
    x = x.detach().cpu()
    if is_differentiable(x):
        narrow = x.dtype in (torch.float16, torch.bfloat16)
        wanted = dtype or (torch.float32 if narrow else x.dtype)
        x = x.to(wanted.to_complex() if x.is_complex() else wanted)
    return x.contiguous()


def fresh(_: str, x: Any) -> Any:
    """A copy of a tensor that keeps its graph."""
    # the code may change what it is given in place
    return x.clone() if isinstance(x, torch.Tensor) else x


def copied(module: Any, dtype: Any) -> Any:
    """A copy of the module on the CPU, in this dtype; attributes with a graph lose it."""
    parameters = [*module.parameters(), *module.buffers()]
    if any(torch.nn.parameter.is_lazy(p) for p in parameters):
        raise ArgumentError(
            f"{type(module).__name__} has lazy layers whose shapes are not known yet: run "
            "it once on the inputs, then verify it"
        )
    if any(p.is_meta for p in parameters):
        raise ArgumentError(f"{type(module).__name__} has no values: it is on `meta`")
    held = [value for m in module.modules() for value in vars(m).values()]
    computed = [
        x for x in held if isinstance(x, torch.Tensor) and x.grad_fn is not None
    ]
    twin = copy.deepcopy(module, {id(x): x.detach().clone() for x in computed})
    return twin._apply(lambda x: in_dtype(x, dtype))


class Widened(TorchFunctionMode):  # type: ignore[misc]
    """Keeps numbers in a dtype where the code itself asks for a narrower one.

    So `x.float()`, and tensors that the function closes over, are no loss of precision.
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        every = (torch.float16, torch.bfloat16, torch.float32)
        narrower = [d for d in every if d.itemsize < dtype.itemsize]
        self.wider = dict.fromkeys(narrower, dtype)
        if dtype is torch.float64:
            self.wider[torch.complex64] = torch.complex128
        self.casts = {"half", "bfloat16", "float"} if narrower else set()
        self.dtype = dtype

    def _widen(self, name: str, x: Any) -> Any:
        if isinstance(x, torch.dtype):
            return self.wider.get(x, x)
        if isinstance(x, torch.Tensor) and x.dtype in self.wider:
            return x.to(self.wider[x.dtype])
        return x

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = func.__name__, kwargs or {}
        if name in ("__get__", "__set__"):
            return func(*args, **kwargs)
        if name in self.casts:
            return args[0].to(self.dtype)
        # what is written to must stay the tensor that it is
        written = name.startswith("__i") or name == "__setitem__"
        written = written or (name.endswith("_") and not name.endswith("__"))
        first = args[:1] if written else mapped(self._widen, args[:1])
        rest, named = mapped(self._widen, args[1:]), mapped(self._widen, kwargs)
        if "out" in kwargs:
            named["out"] = kwargs["out"]
        result = func(*first, *rest, **named)
        return result if written else mapped(self._widen, result)


class Surroundings:
    """What a run of some modules finds and may change, and what is put back after it.

    That is their attributes, parts and buffers, random numbers (PyTorch's, NumPy's and
    Python's, which begin alike in each run), the default dtype, and how many threads
    compute. torch.compile compiles nothing meanwhile.
    """

    def __init__(self, modules: Iterable[Any], dtype: Any) -> None:
        self.dtype = dtype
        self.mode: Any = nullcontext()
        self.threads = torch.get_num_threads()
        self.generators: tuple[Generator, ...] = GENERATORS
        self.known = False
        """Whether `generators` are only those that are drawn from, after a first run."""
        scripted = torch.jit.ScriptModule
        inner = [m for top in modules for m in top.modules()]
        kinds = ("_parameters", "_buffers", "_modules")
        stores = [
            store
            for m in dict.fromkeys(inner)
            if not isinstance(m, scripted)
            for store in (vars(m), *[getattr(m, kind) for kind in kinds])
        ]
        self.stores = [(store, dict(store)) for store in stores]
        held = [x for store in stores for x in store.values()]
        self.values = [
            (x, x.detach().clone())
            for x in dict.fromkeys([x for x in held if isinstance(x, torch.Tensor)])
            if not isinstance(x, torch.nn.Parameter)
        ]
        self.versions = [x._version for x, _ in self.values]

    def of(self, *modules: Any) -> Surroundings:
        """The same for these modules alone, which is faster."""
        found = Surroundings(modules, self.dtype)
        found.mode, found.threads = self.mode, self.threads
        return found

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """A block in which the modules run; afterwards all is as it was."""
        dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
        states = [(generator, generator.get()) for generator in self.generators]
        for generator in self.generators:
            generator.seed(0)
        torch.set_default_dtype(self.dtype or dtype)
        torch.set_num_threads(self.threads)
        try:
            with self.mode, _eager():
                yield
            if not self.known:
                self.generators, self.known = _drawn_from(), True
        finally:
            torch.set_num_threads(threads)
            torch.set_default_dtype(dtype)
            for generator, state in states:
                generator.set(state)
            self._put_back()

    def _put_back(self) -> None:
        for store, saved in self.stores:
            if len(store) != len(saved) or not all(
                map(is_, store.values(), saved.values())
            ):
                store.clear()
                store.update(saved)
        for i, (x, value) in enumerate(self.values):
            if x._version != self.versions[i]:
                with torch.no_grad():
                    x.detach().copy_(value)
                self.versions[i] = x._version


def _eager() -> AbstractContextManager[Any]:
    """A block in which torch.compile compiles nothing."""
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


class Generator(NamedTuple):
    """A global generator of random numbers."""

    get: Callable[[], Any]
    set: Callable[[Any], None]
    seed: Callable[[int], Any]


GENERATORS = (
    Generator(
        torch.get_rng_state, torch.set_rng_state, torch.default_generator.manual_seed
    ),
    Generator(np.random.get_state, np.random.set_state, np.random.seed),
    Generator(random.getstate, random.setstate, random.seed),
)


def _same(a: Any, b: Any) -> bool:
    """Whether two states of a generator are equal."""
    pairs = zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]
    return all(np.array_equal(x, y) for x, y in pairs)


def _drawn_from() -> tuple[Generator, ...]:
    """The generators that are no more as they were seeded with 0."""
    found = []
    for generator in GENERATORS:
        state = generator.get()
        generator.seed(0)
        if not _same(state, generator.get()):
            found.append(generator)
    return tuple(found)
