"""New Tensors by the example of one, and values drawn anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import ArgumentError, DTypeError, ShapeError
from ...ops.selection import Where
from ..generator import Generator, default_generator
from .base import Array, Base, Size, int64, ints
from .memory import check_device, dtype_of, numbers

if TYPE_CHECKING:
    from ..engine import Tensor


class Making(Base):
    """Methods whose result has the dtype of self, or its shape, and other values."""

    __slots__ = ()

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        """A copy of `data`, in the dtype of self."""
        return self._made(lambda dtype: numbers(data, dtype), **options)

    def new_full(self, size: Any, fill_value: Any, **options: Any) -> Tensor:
        """`fill_value` in another shape, in the dtype of self."""
        return self._made(lambda d: np.full(ints((size,)), fill_value, d), **options)

    def new_zeros(self, *size: Any, **options: Any) -> Tensor:
        """Zeros of another shape, in the dtype of self."""
        return self.new_full(ints(size), 0, **options)

    def new_ones(self, *size: Any, **options: Any) -> Tensor:
        """Ones of another shape, in the dtype of self."""
        return self.new_full(ints(size), 1, **options)

    new_empty = new_zeros

    def new(self, *data: Any) -> Tensor:
        """As the type of self makes it: of these sizes, or of data."""
        return self._wrap(sized_or_given(data, self.dtype))

    def _made(
        self,
        make: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        check_device(device)
        array = make(self.dtype if dtype is None else dtype_of(dtype))
        return self._wrap(array).requires_grad_(requires_grad)

    # ------------------------------------------------------------------ drawing

    def bernoulli(
        self, p: float | None = None, *, generator: Generator | None = None
    ) -> Tensor:
        """1 with the probability that self says (or p), else 0; its gradient is 0."""
        odds = self._array if p is None else np.broadcast_to(p, self.shape)
        tossed = self._wrap(_tossed(odds, self.dtype, generator))
        return Where()(True, tossed, self)

    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> Self:
        """Make every value 1 with probability p (a number, or one for each), else 0."""
        odds = p._array if isinstance(p, Base) else p
        odds = np.broadcast_to(odds, self.shape)
        return self.copy_(self._wrap(_tossed(odds, self.dtype, generator)))

    def exponential_(
        self, lambd: float = 1, *, generator: Generator | None = None
    ) -> Self:
        """Draw every value from the density lambd · exp(−lambd · x), x > 0."""
        if not lambd > 0:
            raise ArgumentError(f"exponential_ expects lambd > 0, got {lambd}")
        draw = (generator or default_generator).numpy.standard_exponential
        return self.copy_(draw(self.shape) / lambd)

    def random_(
        self,
        from_: int = 0,
        to: int | None = None,
        *,
        generator: Generator | None = None,
    ) -> Self:
        """Draw integers: random_(to) from 0, random_(from, to), or any that fit."""
        low, high = (from_, to) if to is not None or not from_ else (0, from_)
        if high is None:
            kind = self.dtype.kind
            digits = np.finfo(self.dtype).nmant + 1 if kind == "f" else 0
            high = (
                2**digits if digits else 2 if kind == "b" else np.iinfo(self.dtype).max
            )
        if low >= high:
            raise ArgumentError(f"random_ expects from < to, got {low} and {high}")
        draw = (generator or default_generator).numpy.integers
        return self.copy_(draw(low, high, self.shape))

    def multinomial(
        self,
        num_samples: int,
        replacement: bool = False,
        *,
        generator: Generator | None = None,
    ) -> Tensor:
        """Places drawn with the weights that self (or each of its rows) has: int64.

        Without replacement, no place is drawn twice, and one of weight 0 is not drawn.
        """
        if self.ndim not in (1, 2) or self.dtype.kind != "f":
            raise ShapeError(
                f"multinomial takes one or two axes of floats, got {self!r}"
            )
        weights = np.atleast_2d(self._array).astype(np.float64)
        if not np.all(np.isfinite(weights) & (weights >= 0)):
            raise ArgumentError("multinomial: weights are finite and not negative")
        able = np.count_nonzero(weights, 1).min(initial=weights.shape[1])
        if num_samples < 1 or able < (1 if replacement else num_samples):
            raise ArgumentError(
                f"multinomial: {num_samples} places of {able} whose weight is not 0"
            )
        choice = (generator or default_generator).numpy.choice
        drawn = [choice(len(w), num_samples, replacement, w / w.sum()) for w in weights]
        shape = *self.shape[:-1], num_samples
        return self._wrap(np.array(drawn, int64).reshape(shape))


def _tossed(odds: Array, dtype: Any, generator: Generator | None) -> Array:
    if not np.all((odds >= 0) & (odds <= 1)):
        raise ArgumentError("bernoulli: probabilities are between 0 and 1")
    drawn = (generator or default_generator).numpy.random(odds.shape) < odds
    return drawn.astype(dtype)


def sized_or_given(data: tuple[Any, ...], dtype: Any) -> Array:
    """Zeros of these sizes, f(2, 3), or the values given, f([2.0, 3.0]), in a dtype."""
    if len(data) == 1 and not isinstance(data[0], int | Size):
        if np.isscalar(data[0]):
            raise DTypeError(f"a size is an int, got {data[0]!r}; see tensor()")
        return numbers(data[0], None).astype(dtype)
    try:
        return np.zeros(ints(data) if data else 0, dtype)
    except ValueError as error:
        raise ShapeError(f"no Tensor has the sizes {data}: {error}") from None
