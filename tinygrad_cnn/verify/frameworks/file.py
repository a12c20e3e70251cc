"""Somebody's file of PyTorch or JAX: what it defines, and what that is checked with."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import ArgumentError, ModelFileError, UnavailableError
from ...training.model_file import run_file, split_spec
from .base import mapped

EXAMPLES = {
    "torch": "inputs = torch.randn(2, 3, 32, 32)",
    "jax": "inputs = jax.random.normal(jax.random.key(0), (2, 32))",
}


class Job(NamedTuple):
    """The arguments of `verify`."""

    target: Any
    inputs: Any
    labels: Any
    loss: Callable[..., Any] | None


def job_of(
    spec: str,
    framework: str,
    settings: Mapping[str, Any],
    inputs_path: Path | None = None,
    seed: int = 0,
) -> Job:
    """What is to be checked of "FILE.py:NAME", a file written for this framework.

    NAME may be a module or its class, which is made with `settings`, an autograd.Function
    or a function; it can be left out if there is only one. `inputs`, `labels` and `loss`
    are those of the file, or of that at inputs_path.

    Raises ModelFileError if a file or a name is missing, ArgumentError without inputs.
    """
    path, name = split_spec(spec)
    try:
        library = importlib.import_module(framework)
    except ImportError as error:
        raise UnavailableError(f"{framework} is not installed here") from error
    own = _namespace(path, seed, library)
    given = _namespace(inputs_path, seed, library) if inputs_path else own
    target = _target(path, name, own)
    if isinstance(target, type) and _is_module(target):
        target = target(**settings)
    inputs = given.get("inputs")
    if inputs is None:
        raise ArgumentError(
            f"no inputs; expected `{EXAMPLES[framework]}`, say (several in a tuple, or in "
            f"a dict by name), in {(inputs_path or path).name}; and `labels` or `loss` if "
            "that is what the outputs go to"
        )
    convert = library.from_numpy if framework == "torch" else library.numpy.asarray

    def converted(_: str, x: Any) -> Any:
        return convert(x) if isinstance(x, np.ndarray) else x

    return Job(
        target, mapped(converted, inputs), given.get("labels"), given.get("loss")
    )


def _namespace(path: Path, seed: int, library: Any) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFileError(f"there is no file {path}")
    np.random.seed(seed)
    if hasattr(library, "manual_seed"):
        library.manual_seed(seed)
    sys.path.append(str(path.parent.resolve()))  # for the files that it imports
    return vars(run_file(path, "target"))


def _is_module(value: Any) -> bool:
    """Whether it is a module of PyTorch's, or a class of them."""
    kind = value if isinstance(value, type) else type(value)
    return any(
        c.__name__ == "Module" and c.__module__.startswith("torch.")
        for c in kind.__mro__
    )


def _target(path: Path, name: str | None, own: Mapping[str, Any]) -> Any:
    """What is called so; without a name the only module, or else the only function."""
    there = {
        key: value
        for key, value in own.items()
        if callable(value) and not key.startswith("_") and key not in ("loss", "inputs")
        if getattr(value, "__module__", None) == own["__name__"]
        or (_is_module(value) and not isinstance(value, type))
    }
    if name in there:
        return there[name]
    modules = {key: value for key, value in there.items() if _is_module(value)}
    if name is None and len(modules or there) == 1:
        return next(iter((modules or there).values()))
    problem = "more than one thing to check" if name is None else f"no {name}"
    problem = problem if there else "nothing to check"
    choices = (
        ", ".join([f"{path}:{key}" for key in there]) or "no class and no function"
    )
    raise ModelFileError(f"{path} defines {problem}; there are {choices}")
