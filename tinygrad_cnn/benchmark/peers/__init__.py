"""The libraries that are compared; each computes in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ... import __version__
from ...errors import ArgumentError
from .base import version


@dataclass(frozen=True)
class Peer:
    """A library, or one way to use it.

    label: what readers call it. load: module:function; called in the process of the peer,
    the function imports the library, and returns what makes the `Program` of a case.
    distribution: what has to be installed; None: this package.
    """

    name: str
    label: str
    load: str
    distribution: str | None = None

    def available(self) -> str | None:
        """The version that is installed, or None."""
        return version(self.distribution) if self.distribution else __version__


_STYLE = f"{__name__}.torch_style"
PEERS = {
    peer.name: peer
    for peer in (
        Peer("tinygrad_cnn", "tinygrad_cnn", f"{_STYLE}:ours"),
        Peer("planned", "tinygrad_cnn planned", f"{_STYLE}:planned"),
        Peer("torch", "PyTorch", f"{_STYLE}:eager", "torch"),
        Peer("torch-compiled", "PyTorch compiled", f"{_STYLE}:compiled", "torch"),
        Peer("jax", "JAX jit", f"{__name__}.jax_jit:load", "jax"),
    )
}
"""By name; the first is what the others are compared with."""


def choose_peers(names: Sequence[str], peers: Mapping[str, Peer]) -> list[Peer]:
    """The peers of these names. Raises ArgumentError for a name that is none."""
    unknown = [name for name in names if name not in peers]
    if unknown:
        raise ArgumentError(
            f"there is no peer {', '.join(unknown)}; the peers are {', '.join(peers)}"
        )
    return [peers[name] for name in dict.fromkeys(names)]
