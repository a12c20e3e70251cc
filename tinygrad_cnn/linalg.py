"""Norms of vectors and matrices, as torch.linalg has them."""

from __future__ import annotations

from typing import Any

from .core.engine import Tensor
from .core.methods.base import Dim, DType
from .errors import ArgumentError, DTypeError, ShapeError

__all__ = ["matrix_norm", "norm", "vector_norm"]


def vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """(Σ |x|^ord)^(1/ord) of all values or over `dim`; ±inf and 0 as in `Tensor.norm`."""
    if isinstance(ord, str):
        raise DTypeError(f"vector_norm() takes a number as ord, not {ord!r}")
    return x.norm(ord, dim, keepdim, dtype)


def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """√Σ a² over two axes ("fro"), or the extreme Σ |a| of rows (±inf) or columns (±1)."""
    if A.ndim < 2 or len(dim) != 2:
        raise ShapeError(f"matrix_norm() takes two axes of {list(A.shape)}, got {dim}")
    if ord == "fro":
        return A.norm(2, dim, keepdim, dtype)
    if isinstance(ord, str) or abs(ord) not in (1, float("inf")):
        raise ArgumentError(
            f"matrix_norm() with ord={ord!r} needs singular values, which are not here; "
            'use "fro", 1, -1, inf or -inf'
        )
    rows, columns = dim if abs(ord) == 1 else (dim[1], dim[0])
    sums = A.norm(1, rows, True, dtype)
    extreme = sums.amax if ord > 0 else sums.amin
    y = extreme(columns, True)
    return y if keepdim else y.squeeze(dim)


def norm(
    A: Tensor,
    ord: Any = None,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """The matrix norm of two axes, else the vector norm; of all values without `ord`."""
    if ord is None:
        return A.norm(2, dim, keepdim, dtype)
    axes = range(A.ndim) if dim is None else dim
    if isinstance(axes, int) or len(axes) == 1:
        return vector_norm(A, ord, dim, keepdim, dtype=dtype)
    if len(axes) != 2:
        raise ShapeError(f"norm() with ord={ord!r} takes one axis or two, got {dim}")
    return matrix_norm(A, ord, (axes[0], axes[1]), keepdim, dtype=dtype)
