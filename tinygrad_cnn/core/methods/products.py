"""Sums of products: matrices, vectors, Einstein's sums, and what lies on a diagonal."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DTypeError, ShapeError
from ...ops import shape as ops
from ...ops.base import Value
from ...ops.selection import Where
from .arithmetic import matmul
from .base import Base, axes_of, axis_of, promote
from .indexing import in_place

if TYPE_CHECKING:
    from ..engine import Tensor

Labels = list[Any]
"""The name of each axis of a factor."""


def plus(x: Any, product: Any, beta: float, alpha: float) -> Tensor:
    """beta · x + alpha · product; x broadcasts, and with beta 0 its NaN do not count."""
    beta, alpha = [x.dtype.type(factor).item() for factor in (beta, alpha)]
    scaled = product if alpha == 1 else product * alpha
    x = x.expand(product.shape)
    if beta == 0:
        return scaled + Where()(False, x, x.dtype.type(0))
    return (x if beta == 1 else x * beta) + scaled


def _of_axes(name: str, *factors: tuple[Value, int]) -> None:
    for x, ndim in factors:
        if not isinstance(x, Base) or x.ndim != ndim:
            raise ShapeError(
                f"{name}() expects a Tensor of {ndim} axes here, got {x!r}"
            )


class Products(Base):
    """Methods that multiply Tensors other than element by element."""

    __slots__ = ()

    def outer(self, vec2: Value) -> Tensor:
        """y[i,j] = x[i] · vec2[j], of two vectors."""
        _of_axes("outer", (self, 1), (vec2, 1))
        return self.unsqueeze(1) * vec2

    ger = outer

    def inner(self, other: Value) -> Tensor:
        """Σ_k x[…,k] · other[…,k], for each pair of what stands in front."""
        if not (self.ndim and other.ndim):
            return self * other
        return tensordot(self, other, ([-1], [-1]))

    def vdot(self, other: Value) -> Tensor:
        """The product of two vectors."""
        return self.dot(other)

    def mv(self, vec: Value) -> Tensor:
        """The product of a matrix and a vector."""
        _of_axes("mv", (self, 2), (vec, 1))
        return matmul(self, vec)

    def addmm(
        self, mat1: Value, mat2: Value, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        """beta · self + alpha · mat1 mat2."""
        return plus(self, mat1.mm(mat2), beta, alpha)

    def addmv(
        self, mat: Value, vec: Value, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        """beta · self + alpha · mat vec."""
        return plus(self, mat.mv(vec), beta, alpha)

    def addr(
        self, vec1: Value, vec2: Value, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        """beta · self + alpha · (the outer product of vec1 and vec2)."""
        return plus(self, vec1.outer(vec2), beta, alpha)

    def baddbmm(
        self, batch1: Value, batch2: Value, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        """beta · self + alpha · batch1 batch2, matrix by matrix."""
        return plus(self, batch1.bmm(batch2), beta, alpha)

    def addbmm(
        self, batch1: Value, batch2: Value, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        """beta · self + alpha · Σ of the products of the batches."""
        return plus(self, batch1.bmm(batch2).sum(0), beta, alpha)

    def kron(self, other: Any) -> Tensor:
        """Kronecker's product: `other`, scaled by each value of self, side by side."""
        ndim = max(self.ndim, other.ndim)
        a, b = [(1,) * (ndim - x.ndim) + x.shape for x in (self, other)]
        left = [n for s in a for n in (s, 1)]
        right = [n for s in b for n in (1, s)]
        product = self.reshape(left) * other.reshape(right)
        return product.reshape([s * t for s, t in zip(a, b, strict=True)])

    def matrix_power(self, n: int) -> Tensor:
        """The product of n copies of a square matrix, n ≥ 0; by squaring."""
        if self.ndim < 2 or self.shape[-1] != self.shape[-2]:
            raise ShapeError(
                f"matrix_power needs square matrices, got {list(self.shape)}"
            )
        n = operator.index(n)
        if n < 0:
            raise ArgumentError(f"matrix_power of {n}: there is no inverse here yet")
        if n == 0:
            unit: Any = self._wrap(np.eye(self.shape[-1], dtype=self.dtype))
            return unit.expand(self.shape).clone()
        if n == 1:
            return self.clone()
        half = self.matrix_power(n // 2)
        return half @ half @ self if n % 2 else half @ half

    # --------------------------------------------------------------- diagonals

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
        """x[…, i, i + offset, …] along a last axis: a view; `offset` < 0 is below."""
        a, b = axes_of((dim1, dim2), self.ndim) or (0, 0)
        if a == b:
            raise ShapeError(f"a diagonal needs two axes, got {list(self.shape)}")
        rest = [i for i in range(self.ndim) if i not in (a, b)]
        return ops.Diagonal(operator.index(offset))(self.permute(*rest, a, b))

    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
        """The last axis on a diagonal of two axes, of zeros otherwise."""
        if not self.ndim:
            raise ShapeError("diag_embed of a 0-d tensor")
        a, b = axes_of((dim1, dim2), self.ndim + 1) or (0, 0)
        length = self.shape[-1]
        key = ops.diagonal_key(offset, length)
        size = length + abs(offset)
        y = ops.IndexAdd(key, (*self.shape[:-1], size, size))(self)
        rest = iter(range(self.ndim - 1))
        last = {a: self.ndim - 1, b: self.ndim}
        places = [last[i] if i in last else next(rest) for i in range(self.ndim + 1)]
        return y.permute(places)

    def diag(self, diagonal: int = 0) -> Tensor:
        """The matrix with this vector on a diagonal; or that diagonal of a matrix."""
        if self.ndim not in (1, 2):
            raise ShapeError(
                f"diag takes a vector or a matrix, got {list(self.shape)}; see "
                "diagonal() and diag_embed()"
            )
        if self.ndim == 1:
            return self.diag_embed(diagonal)
        return self.diagonal(diagonal).clone()

    def diagflat(self, offset: int = 0) -> Tensor:
        """The matrix with all values, in row-major order, on a diagonal."""
        return self.reshape(-1).diag_embed(offset)

    def trace(self) -> Tensor:
        """The sum of the diagonal of a matrix."""
        _of_axes("trace", (self, 2))
        return self.diagonal().sum()

    def tril(self, diagonal: int = 0) -> Tensor:
        """What is not above the diagonal, 0 elsewhere; of the last two axes."""
        return self._where_in_rows("tril", diagonal, lower=True)

    def triu(self, diagonal: int = 0) -> Tensor:
        """What is not below the diagonal, 0 elsewhere; of the last two axes."""
        return self._where_in_rows("triu", diagonal - 1, lower=False)

    tril_, triu_ = in_place(tril), in_place(triu)

    def _where_in_rows(self, name: str, diagonal: int, lower: bool) -> Tensor:
        if self.ndim < 2:
            raise ShapeError(f"{name}() needs two axes or more, got {list(self.shape)}")
        rows, columns = self.shape[-2:]
        below = np.tri(rows, columns, operator.index(diagonal), np.bool_)
        return Where()(below if lower else ~below, self, self.dtype.type(0))


# ------------------------------------------------------------------ Einstein's sums


def einsum(*args: Any) -> Tensor:
    """Σ of products with named axes: einsum("bij,bjk->bik", a, b) is a batched product.

    args: the equation, then the Tensors, or a list of them.

    A letter in several factors runs through them together; one that is not in the result
    is summed over; twice in one factor, it takes the diagonal. "..." are further axes,
    which broadcast. Without "->", the result has the letters that occur once, in order.
    """
    if not args or not isinstance(args[0], str):
        raise DTypeError("einsum takes an equation first, such as 'ij,jk->ik'")
    equation, *operands = args
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = list(operands[0])
    if not operands or not all(isinstance(x, Base) for x in operands):
        raise DTypeError("einsum takes one Tensor or more after the equation")
    factors, result = _read(equation, operands)
    missing = set(result) - {n for labels in factors for n in labels}
    if missing or len(set(result)) < len(result):
        raise ArgumentError(
            f"einsum {equation!r}: each letter of the result stands in it once, and in a "
            "factor"
        )
    tensors = list(operands)
    for i, labels in enumerate(factors):
        tensors[i], factors[i] = _diagonals(tensors[i], labels)
    _same_lengths(equation, tensors, factors)
    x, labels = tensors[0], factors[0]
    for i in range(1, len(tensors)):
        later = {*result, *itertools.chain(*factors[i + 1 :])}
        x, labels = _contract(x, labels, tensors[i], factors[i], later)
    x, labels = _summed(x, labels, set(result))
    return x.permute([labels.index(n) for n in result]) if result else x


def _read(equation: str, operands: Sequence[Any]) -> tuple[list[Labels], Labels]:
    """The labels of each factor and of the result; those of "..." are …, −2, −1."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ArgumentError(
            f"einsum {equation!r} names {len(terms)} factors, got {len(operands)}"
        )
    more = [
        x.ndim - len(term.replace("...", ""))
        for term, x in zip(terms, operands, strict=True)
    ]
    for term, x, extra in zip(terms, operands, more, strict=True):
        if extra < 0 or (extra and "..." not in term):
            raise ShapeError(
                f"einsum {equation!r}: {term!r} does not name the {x.ndim} axes of "
                f"{list(x.shape)}"
            )
    widest = max(
        [n for n, term in zip(more, terms, strict=True) if "..." in term] or [0]
    )
    once = [c for c in sorted(set(left)) if c.isalpha() and left.count(c) == 1]
    result = right if arrow else "..." + "".join(once)

    def labels(term: str, extra: int) -> Labels:
        before, dots, after = term.partition("...")
        if not (before + after).isalpha() and before + after:
            raise ArgumentError(f"einsum {equation!r}: axes are letters, or '...'")
        return [*before, *(range(-extra, 0) if dots else ()), *after]

    return [labels(t, n) for t, n in zip(terms, more, strict=True)], labels(
        result, widest
    )


def _diagonals(x: Any, labels: Labels) -> tuple[Any, Labels]:
    """Where a letter names two axes, their diagonal instead."""
    for name in dict.fromkeys(labels):
        while labels.count(name) > 1:
            i = labels.index(name)
            j = labels.index(name, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ShapeError(
                    f"einsum: {name!r} names axes of lengths {x.shape[i]} and {x.shape[j]}"
                )
            x = x.diagonal(0, i, j)
            labels = [n for k, n in enumerate(labels) if k not in (i, j)] + [name]
    return x, labels


def _same_lengths(equation: str, tensors: list[Any], factors: list[Labels]) -> None:
    """Refuse lengths that do not fit; drop axes of length 1 that others have longer."""
    lengths: dict[Any, int] = {}
    for x, labels in zip(tensors, factors, strict=True):
        for name, s in zip(labels, x.shape, strict=True):
            if 1 != lengths.setdefault(name, s) != s != 1:
                raise ShapeError(
                    f"einsum {equation!r}: {name!r} has the lengths {lengths[name]} and {s}"
                )
            lengths[name] = s if lengths[name] == 1 else lengths[name]
    for i, (x, labels) in enumerate(zip(tensors, factors, strict=True)):
        short = [k for k, n in enumerate(labels) if x.shape[k] != lengths[n]]
        if short:
            tensors[i] = x.squeeze(tuple(short))
            factors[i] = [n for k, n in enumerate(labels) if k not in short]


def _summed(x: Any, labels: Labels, kept: set[Any]) -> tuple[Any, Labels]:
    """x summed over the axes that nobody keeps."""
    axes = tuple([i for i, n in enumerate(labels) if n not in kept])
    return (x.sum(axes) if axes else x), [n for n in labels if n in kept]


def _contract(
    a: Any, a_labels: Labels, b: Any, b_labels: Labels, kept: set[Any]
) -> tuple[Any, Labels]:
    """a · b, summed over the axes that both have and nobody keeps: a batched matmul."""
    a, a_labels = _summed(a, a_labels, kept | set(b_labels))
    b, b_labels = _summed(b, b_labels, kept | set(a_labels))
    batch = [n for n in a_labels if n in b_labels and n in kept]
    inner = [n for n in a_labels if n in b_labels and n not in kept]
    rows = [n for n in a_labels if n not in b_labels]
    columns = [n for n in b_labels if n not in a_labels]
    length = dict(zip(a_labels + b_labels, a.shape + b.shape, strict=True))

    def laid(x: Any, labels: Labels, *groups: Labels) -> Any:
        order = [labels.index(n) for group in groups for n in group]
        sizes = [math.prod(length[n] for n in group) for group in groups]
        return x.permute(order).reshape(sizes)

    a = laid(a, a_labels, batch, rows, inner)
    b = laid(b, b_labels, batch, inner, columns)
    y = matmul(a, b) if inner else a * b
    result = batch + rows + columns
    return y.reshape([length[n] for n in result]), result


def tensordot(a: Any, b: Any, dims: Any = 2) -> Tensor:
    """Σ over the last `dims` axes of a and the first of b; or over two lists of axes."""
    a, b = promote(a, b)
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ArgumentError(f"tensordot over {dims} of {a.ndim} and {b.ndim} axes")
        dims = range(a.ndim - dims, a.ndim), range(dims)
    if isinstance(dims, Base):
        dims = dims.tolist()
    of_a = [axis_of(d, a.ndim) for d in np.atleast_1d(dims[0]).tolist()]
    of_b = [axis_of(d, b.ndim) for d in np.atleast_1d(dims[1]).tolist()]
    a_labels: Labels = [("a", i) for i in range(a.ndim)]
    b_labels: Labels = [("b", i) for i in range(b.ndim)]
    if len(of_a) != len(of_b):
        raise ArgumentError(f"tensordot over {len(of_a)} axes and {len(of_b)}")
    for i, j in zip(of_a, of_b, strict=True):
        b_labels[j] = a_labels[i]
    factors, tensors = [a_labels, b_labels], [a, b]
    kept = set(a_labels) ^ set(b_labels)
    _same_lengths("of tensordot", tensors, factors)
    y, labels = _contract(tensors[0], factors[0], tensors[1], factors[1], kept)
    return y.permute([labels.index(n) for n in a_labels + b_labels if n in kept])
