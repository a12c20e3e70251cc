"""The libraries that are compared: one module each, which a process of its own runs.

Such a module has `available()`, the library's version or None where it is not installed,
and `build(case)`, a Program; LIBRARY is what to import before memory is measured. It
imports the library inside `build` only.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import ArgumentError


@dataclass(frozen=True)
class Peer:
    """A library, or one way to use it. module: dotted. label: what readers call it."""

    name: str
    module: str
    label: str

    def available(self) -> str | None:
        """The version that is installed, or None."""
        version: str | None = importlib.import_module(self.module).available()
        return version


PEERS = {
    name: Peer(name, f"{__name__}.{module}", label)
    for name, module, label in (
        ("tinygrad_cnn", "ours", "tinygrad_cnn"),
        ("planned", "planned", "tinygrad_cnn planned"),
        ("torch", "torch_eager", "PyTorch"),
        ("torch-compiled", "torch_compiled", "PyTorch compiled"),
        ("jax", "jax_jit", "JAX jit"),
        ("autograd", "autograd_hips", "autograd"),
        ("mygrad", "mygrad_peer", "MyGrad"),
        ("dezero", "dezero_peer", "DeZero"),
    )
}
"""By name; the first is what the others are compared with."""


def named(names: Sequence[str], peers: Mapping[str, Peer]) -> list[Peer]:
    """The peers of these names. Raises ArgumentError for a name that is none."""
    unknown = [name for name in names if name not in peers]
    if unknown:
        raise ArgumentError(
            f"there is no peer {', '.join(unknown)}; the peers are {', '.join(peers)}"
        )
    return [peers[name] for name in dict.fromkeys(names)]
