"""PyTorch's module names for the modules of this package, and files written for PyTorch.

    with in_place_of_torch():
        from their_model import ResNet18

In the block `import torch`, `torch.nn.functional`, `torchvision.transforms`, … give this
package's parts, in that file and in all that it imports. After it nothing of this is left:
`import torch` is PyTorch itself again, or the error that there is none. What the file
imports later, when its functions run, it finds as in the block.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from .missing import explain

OWN = "tinygrad_cnn"
PACKAGE = Path(__file__).parent

STANDS_FOR = {"torch": OWN, "torchvision": f"{OWN}.data"}
"""What a name of PyTorch's begins with, and ours."""

TORCH_VERSION = "2.13.0"
"""The PyTorch that this package is held against; `torch.__version__` in the block."""

_PLACES = {
    "absent.accelerator": "accelerator mps xpu backends.mps",
    "absent.amp": "amp amp.autocast_mode amp.grad_scaler cuda.amp",
    "absent.backends": "backends",
    "absent.checkpointing": "utils.checkpoint",
    "absent.compiler": "compiler _dynamo",
    "absent.cuda": "cuda",
    "absent.cudnn": "backends.cudnn backends.cuda backends.mkldnn backends.openmp",
    "absent.distributed": "distributed utils.data.distributed",
    "absent.hub": "hub utils.model_zoo",
    "absent.jit": "jit",
    "absent.models": "data.models",
    "absent.monitoring": "utils.tensorboard profiler",
    "absent.processes": "multiprocessing",
    "absent.tracing": "fx",
    "absent.tuples": "nn.modules.utils",
    "absent.version": "version",
    "autograd.function": "autograd.function",
    "core.recording": "autograd.grad_mode",
    "autograd": "autograd.variable",
    "core.creation": "creation",
    "core.generator": "random",
    "nn.normalization": "nn.modules.batchnorm",
    "nn.utils": "nn.utils.clip_grad",
    "optim.optimizers": "optim.adam optim.adamw optim.sgd",
}
_LAYERS = (
    "activation container conv dropout flatten instancenorm linear loss module "
    "normalization padding pixelshuffle pooling rnn sparse transformer upsampling"
)
HOMES = {name: home for home, names in _PLACES.items() for name in names.split()}
_DISTRIBUTIONS = "bernoulli categorical distribution kl normal uniform"
HOMES |= {f"distributions.{n}": "distributions" for n in _DISTRIBUTIONS.split()}
HOMES |= {f"nn.modules.{name}": "nn" for name in _LAYERS.split()} | {"nn.modules": "nn"}
"""Where a module of PyTorch's stands here, if elsewhere than under the same name."""


def home_of(name: str) -> str:
    """The module of this package that `name`, which begins with it, stands for."""
    inner = name.removeprefix(OWN).removeprefix(".")
    return f"{OWN}.{HOMES[inner]}" if inner in HOMES else name


class _Alias:
    """Gives a module of this package under a name of PyTorch's.

    It is the module itself, but for `torch`, and what stands below another of these names:
    the import sets that as a part of the module above, and may not change one of ours.
    """

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        top, _, rest = spec.name.partition(".")
        name = f"{STANDS_FOR.get(top, top)}.{rest}".rstrip(".")
        home = home_of(name)
        try:
            module = importlib.import_module(home)
        except ModuleNotFoundError as error:
            if error.name is None or not home.startswith(error.name):
                raise
            raise ModuleNotFoundError(explain(spec.name), name=spec.name) from None
        if not rest or (home != name and "." in rest):
            return _forwarding(spec.name, module)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        if isinstance(own := module.__spec__, ModuleSpec) and own.loader_state:
            module.__spec__ = own.loader_state  # another was put in its place


def _forwarding(name: str, ours: ModuleType) -> ModuleType:
    """Another module with the names of ours."""
    module = ModuleType(name, ours.__doc__)
    parts = {
        "__getattr__": lambda name: getattr(ours, name),
        "__dir__": lambda: dir(ours),
        "__path__": [],
    }
    module.__dict__.update(parts)
    if name == "torch":
        module.__dict__["__version__"] = TORCH_VERSION
    return module


_ALIAS: Any = _Alias()


class _OwnNames:
    """`import tinygrad_cnn.cuda`, which stands in `tinygrad_cnn.absent.cuda`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] != OWN or home_of(name) == name:
            return None
        return ModuleSpec(name, _ALIAS, is_package=True)


class TheirCode(SourceFileLoader):
    """Loads a file of the user's so that its functions, too, import as in the block.

    block: has `prepare(module)`, called before the module is run.
    """

    block: Any

    def exec_module(self, module: ModuleType) -> None:
        self.block.prepare(module)
        super().exec_module(module)


def find_file(name: str, path: Sequence[str] | None, block: Any) -> ModuleSpec | None:
    """Where Python finds a module; the user's own code is loaded as in the block."""
    spec = PathFinder.find_spec(name, path)
    if spec and type(spec.loader) is SourceFileLoader and is_users(spec.origin):
        spec.loader = TheirCode(spec.loader.name, spec.loader.path)
        spec.loader.block = block
    return spec


class in_place_of_torch:  # a context manager is named like a function
    """In the block `import torch` and `import torchvision` give this package.

    beside: folders whose files can be imported in the block as well, last of all.
    What was imported as PyTorch's own before is left alone: it is there again afterwards.
    """

    def __init__(self, *beside: Path) -> None:
        self.beside = [str(folder) for folder in beside]
        self.theirs: dict[str, ModuleType] = {}
        """What was imported in the block: PyTorch's names, and the user's code."""
        self._outside: list[tuple[dict[str, ModuleType], set[str]]] = []
        self._builtins = vars(builtins) | {"__import__": self._import}

    def __enter__(self) -> in_place_of_torch:
        _lock.acquire()
        modules = dict(sys.modules)
        hidden = {n: m for n, m in modules.items() if _stands_for(n)}
        hidden |= _made_with(hidden, modules)
        for name in hidden:
            del sys.modules[name]
        self._outside.append((hidden, modules.keys() - hidden.keys()))
        sys.modules.update(self.theirs)
        sys.meta_path.insert(0, self)
        sys.path.extend(self.beside)
        return self

    def __exit__(self, *error: Any) -> None:
        hidden, known = self._outside.pop()
        sys.meta_path.remove(self)
        for folder in self.beside:
            sys.path.remove(folder)
        for name, module in dict(sys.modules).items():
            if _stands_for(name) or (name not in known and _has_ours(module)):
                self.theirs[name] = sys.modules.pop(name)
        sys.modules.update(hidden)
        _lock.release()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        """Where Python finds a module in the block: as ours, or as the user's code."""
        if _stands_for(name):
            return ModuleSpec(name, _ALIAS, is_package=True)
        if name.partition(".")[0] == OWN:
            return None
        return find_file(name, path, self)

    def prepare(self, module: ModuleType) -> None:
        """Let a module, before it is run, import as in the block at any later time."""
        module.__dict__["__builtins__"] = self._builtins

    def _import(
        self,
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        arguments = name, globals, locals, fromlist, level
        if self in sys.meta_path:
            return builtins.__import__(*arguments)
        if level == 0 and name in self.theirs and _stands_for(name):
            return self.theirs[name if fromlist else name.partition(".")[0]]
        if level == 0 and name in sys.modules and not _stands_for(name):
            return builtins.__import__(*arguments)
        with self:
            return builtins.__import__(*arguments)


_lock = threading.RLock()
"""One block at a time: what `import torch` finds is the same for all threads."""


def _stands_for(name: str) -> bool:
    return name.partition(".")[0] in STANDS_FOR


def _made_with(
    pytorch: dict[str, ModuleType], modules: dict[str, ModuleType]
) -> dict[str, ModuleType]:
    """The user's modules that were imported with PyTorch itself, and their packages."""
    known = {id(module) for module in pytorch.values()}
    tops = {
        name.partition(".")[0]
        for name, module in modules.items()
        if known
        and name != "__main__"
        and is_users(getattr(module, "__file__", None))
        and any(
            id(value) in known
            or str(getattr(value, "__module__", "")).partition(".")[0] == "torch"
            for value in list(vars(module).values())
        )
    }
    return {n: m for n, m in modules.items() if n.partition(".")[0] in tops}


@functools.cache
def is_users(origin: str | None) -> bool:
    """Whether a file is the user's own: not Python's, not installed, not this package's."""
    path = Path(origin or "<")
    if any(path.is_relative_to(of) for of in (PACKAGE, sysconfig.get_path("stdlib"))):
        return False
    installed = {"site-packages", "dist-packages"} & {*path.parts}
    return path.suffix == ".py" and not installed


def _has_ours(module: ModuleType) -> bool:
    """Whether a module was loaded as the user's code, or has a part of this package."""
    if module.__name__.partition(".")[0] == OWN:
        return False
    spec = getattr(module, "__spec__", None)
    if spec is not None and isinstance(spec.loader, TheirCode):
        return True
    for value in list(vars(module).values()):
        of = value.__name__ if isinstance(value, ModuleType) else ""
        of = of or getattr(value, "__module__", None) or ""
        if isinstance(of, str) and of.partition(".")[0] in (OWN, "torch"):
            return True
    return False


@contextmanager
def real_torch() -> Iterator[None]:
    """In this block, which may stand in the other one, `import torch` is PyTorch itself."""
    blocks = [f for f in sys.meta_path if isinstance(f, in_place_of_torch)]
    ours = {n: sys.modules.pop(n) for n in list(sys.modules) if _stands_for(n)}
    for block in blocks:
        sys.meta_path.remove(block)
        sys.modules.update(block._outside[-1][0])
    try:
        yield
    finally:
        theirs = {n: sys.modules.pop(n) for n in list(sys.modules) if _stands_for(n)}
        for block in blocks:
            block._outside[-1][0].update(theirs)
        sys.modules.update(ours)
        sys.meta_path[:0] = blocks


sys.meta_path.insert(0, _OwnNames())
