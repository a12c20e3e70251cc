"""Distributions to draw from and to weigh draws with, under the names of PyTorch's.

Draws come from the process-wide generator (`manual_seed`). `sample` has no gradient;
`rsample`, where there is one, is a function of the parameters: the gradient passes through
the draw. Parameters broadcast together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..core import functions as f
from ..core.creation import as_tensor
from ..core.engine import Tensor
from ..core.generator import default_generator
from ..core.recording import no_grad
from ..errors import ArgumentError
from ..nn import functional as F

Shape = Sequence[int]


class Distribution:
    """Base of all: batch_shape is the shape of one draw."""

    has_rsample: ClassVar[bool] = False
    batch_shape: tuple[int, ...] = ()

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws of shape (*sample_shape, *batch_shape), without a gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws as a function of the parameters, so that these get gradients."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample")

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability, or density, of each value."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The mean of −log_prob."""
        raise NotImplementedError


class Normal(Distribution):
    """The normal distribution of mean loc and standard deviation scale."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = _together(loc, scale)
        _require(self.scale, self.scale._array > 0, "scale", "positive")
        self.batch_shape = self.loc.shape

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """scale."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """scale²."""
        return self.scale**2

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """loc + scale · ε with ε from N(0, 1)."""
        shape = (*sample_shape, *self.batch_shape)
        drawn = default_generator.numpy.standard_normal(shape)
        return self.loc + self.scale * Tensor._wrap(drawn.astype(self.loc.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """−(x − μ)² / 2σ² − ln σ − ln √2π."""
        z = (value - self.loc) / self.scale
        return -(z**2) / 2 - self.scale.log() - math.log(2 * math.pi) / 2

    def entropy(self) -> Tensor:
        """½ + ln √2π + ln σ."""
        return 0.5 + math.log(2 * math.pi) / 2 + self.scale.log()


class Uniform(Distribution):
    """The uniform distribution from low to high."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = _together(low, high)
        _require(self.high, self.low._array < self.high._array, "high", "above low")
        self.batch_shape = self.low.shape

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.low + self.high) / 2

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """low + (high − low) · u with u uniform in 0 … 1."""
        drawn = default_generator.numpy.random((*sample_shape, *self.batch_shape))
        share = Tensor._wrap(np.asarray(drawn, self.low.dtype))
        return self.low + (self.high - self.low) * share

    def log_prob(self, value: Tensor) -> Tensor:
        """−ln (high − low) inside, else −∞."""
        x = value._array
        inside = (self.low._array <= x) & (x < self.high._array)
        return (
            f.log(Tensor._wrap(inside.astype(x.dtype))) - (self.high - self.low).log()
        )

    def entropy(self) -> Tensor:
        """ln (high − low)."""
        return (self.high - self.low).log()


class _Discrete(Distribution):
    """Of probs or of logits; the other follows."""

    probs: Tensor
    logits: Tensor

    def _given(self, probs: Any, logits: Any) -> Tensor:
        if (probs is None) == (logits is None):
            raise ArgumentError("give either probs or logits, not both or none")
        given = _floats(logits if probs is None else probs)
        if probs is not None:
            values = given._array
            _require(given, (values >= 0) & (values < np.inf), "probs", "at least 0")
        return given


class Bernoulli(_Discrete):
    """1 with probability probs, else 0; logits = ln (p / (1 − p))."""

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._given(probs, logits)
        if probs is None:
            self.logits, self.probs = given, given.sigmoid()
        else:
            _require(given, given._array <= 1, "probs", "at most 1")
            tiny = float(np.finfo(given.dtype).eps)
            safe = given.clamp(tiny, 1 - tiny)
            self.probs, self.logits = given, (safe / (1 - safe)).log()
        self.batch_shape = given.shape

    @property
    def mean(self) -> Tensor:
        """probs."""
        return self.probs

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Zeros and ones."""
        drawn = default_generator.numpy.random((*sample_shape, *self.batch_shape))
        chosen = np.asarray(drawn < self.probs._array, self.probs.dtype)
        return Tensor._wrap(chosen)

    def log_prob(self, value: Tensor) -> Tensor:
        """x ln p + (1 − x) ln (1 − p)."""
        logits = self.logits
        target = value.expand(np.broadcast_shapes(value.shape, logits.shape))
        scores = logits.expand(target.shape)
        return -F.binary_cross_entropy_with_logits(scores, target, reduction="none")

    def entropy(self) -> Tensor:
        """−p ln p − (1 − p) ln (1 − p)."""
        p = self.probs
        return F.binary_cross_entropy_with_logits(self.logits, p, reduction="none")


class Categorical(_Discrete):
    """One of the places along the last axis, in proportion to probs or e^logits."""

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._given(probs, logits)
        if given.ndim < 1:
            raise ArgumentError(
                "Categorical needs probabilities along at least one axis"
            )
        if probs is None:
            self.logits = given - given.logsumexp(-1, keepdim=True)
            self.probs = self.logits.exp()
        else:
            self.probs = given / given.sum(-1, keepdim=True)
            tiny = float(np.finfo(given.dtype).eps)
            self.logits = self.probs.clamp(tiny, 1 - tiny).log()
        self.batch_shape = given.shape[:-1]

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """int64 places, by where a number of 0 … 1 falls in the cumulated probabilities."""
        steps = np.cumsum(self.probs._array, -1, dtype=np.float64)
        drawn = default_generator.numpy.random((*sample_shape, *self.batch_shape, 1))
        places = (steps[..., :-1] / steps[..., -1:] <= drawn).sum(-1)
        return Tensor._wrap(np.asarray(places, np.int64))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of each place."""
        shape = np.broadcast_shapes(value.shape, self.batch_shape)
        logits = self.logits.expand(*shape, self.logits.shape[-1])
        places = value.long().expand(shape).unsqueeze(-1)
        return logits.gather(-1, places).squeeze(-1)

    def entropy(self) -> Tensor:
        """−Σ p ln p."""
        return -(self.probs * self.logits).sum(-1)


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean over p of ln p − ln q, of two normal or two discrete distributions."""
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale) ** 2
        return (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log()) / 2
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return (p.probs * (p.logits - q.logits)).sum(-1)
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        mean = F.binary_cross_entropy_with_logits(q.logits, p.probs, reduction="none")
        return mean - p.entropy()
    kinds = f"{type(p).__name__} and {type(q).__name__}"
    raise NotImplementedError(f"there is no divergence of {kinds} here")


def _floats(x: Any) -> Tensor:
    x = as_tensor(x)
    return x if x.dtype.kind == "f" else x.float()


def _together(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a, b = _floats(a), _floats(b)
    shape = np.broadcast_shapes(a.shape, b.shape)
    return a.expand(shape), b.expand(shape)


def _require(given: Tensor, met: Any, name: str, what: str) -> None:
    if not np.all(met):
        raise ArgumentError(f"{name} must be {what} everywhere, got {given!r}")
