"""Random numbers: one seeded generator per process, and generators that are functions.

The streams are Philox (counter-based), so a generator is a small dictionary of integers:
it is saved in a checkpoint and restored to the bit.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError


class Generator:
    """A seeded source of random numbers, as `torch.Generator`; `numpy` draws from it.

    device: accepted for PyTorch's sake, must be "cpu".
    """

    def __init__(self, device: str = "cpu", *, seed: int = 0) -> None:
        if str(device) != "cpu":
            raise ArgumentError(f"numbers are drawn on the cpu, not on {device!r}")
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Restart the stream at `seed` (any int); return self."""
        try:
            self._seed = operator.index(seed)
        except TypeError:
            raise DTypeError(f"a seed is an integer, got {seed!r}") from None
        # Philox keys are unsigned; a negative seed is a seed like any other.
        self.numpy = np.random.Generator(np.random.Philox(key=self._seed % 2**128))
        return self

    def initial_seed(self) -> int:
        """The seed of the last `manual_seed`."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """The whole state as plain JSON values."""
        state = self.numpy.bit_generator.state
        inner = {k: words.tolist() for k, words in state["state"].items()}
        rest = {k: int(state[k]) for k in ("buffer_pos", "has_uint32", "uinteger")}
        buffer = state["buffer"].tolist()
        return {"seed": self._seed, "state": inner, "buffer": buffer, **rest}

    def set_state(self, state: dict[str, Any]) -> Generator:
        """Continue exactly where `get_state` was taken; return self."""
        self.manual_seed(state["seed"])
        self.numpy.bit_generator.state = state | {"bit_generator": "Philox"}
        return self


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the process-wide generator (weights, dropout, the loaders' order)."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed of the process-wide generator."""
    return default_generator.initial_seed()


def uniform(
    generator: Generator | None, size: tuple[int, ...], dtype: Any
) -> np.ndarray[Any, Any]:
    """Uniform on [0, 1) in this dtype; never 1, which rounding to float32 could give."""
    draw = (generator or default_generator).numpy.random(size).astype(dtype)
    below: np.ndarray[Any, Any] = np.nextafter(dtype.type(1), dtype.type(0))
    return np.minimum(draw, below)


def stream(*key: int) -> np.random.Generator:
    """A generator that is a pure function of its integers, such as (seed, epoch, batch)."""
    return np.random.Generator(
        # The length counts, since NumPy pads short keys with zeros.
        np.random.Philox(np.random.SeedSequence([len(key), *[k % 2**64 for k in key]]))
    )
