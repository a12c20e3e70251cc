"""Matrix products: the dense layer and matmul (`numpy-cnn` eq. 1: W X + b)."""

from __future__ import annotations

import math

from ..errors import ShapeError
from ..kernels import active
from .base import Op, Position, Shapes, Value
from .reduction import Sum
from .shape import Reshape


def transposed(a: Value) -> Value:
    """The last two axes exchanged."""
    return a.swapaxes(-2, -1)


class Matmul(Op):
    """y[…,i,k] = Σ_j a[…,i,j] · b[…,j,k]; leading axes broadcast.

    a[i,j] meets b[j,k] in y[i,k] for every k, b[j,k] meets a[i,j] for every i:
    ∂L/∂a[…,i,j] = Σ_k g[…,i,k] · b[…,j,k]: g bᵀ;
    ∂L/∂b[…,j,k] = Σ_i a[…,i,j] · g[…,i,k]: aᵀ g
    (`numpy-cnn` §1.6; dense layer of `lenet`). Both inputs have at least two axes.
    """

    broadcasts = True
    bilinear = True
    compiled = "matmul"

    def forward(self, a: Value, b: Value) -> Value:
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                f"shapes cannot be multiplied ({a.shape[-2]}x{a.shape[-1]} and "
                f"{b.shape[-2]}x{b.shape[-1]}): {a.shape[-1]} columns meet "
                f"{b.shape[-2]} rows"
            )
        return active.matmul(a, b)

    def grad_a(self, g: Value, b: Value) -> Value:
        return Matmul()(g, transposed(b))

    def grad_b(self, g: Value, a: Value) -> Value:
        return Matmul()(transposed(a), g)

    def multiply_adds(self, shapes: Shapes, y_shape: Position) -> int:
        return math.prod(y_shape) * shapes[0][-1]


class Linear(Op):
    """y[n,o] = b[o] + Σ_i x[n,i] · w[o,i]: the dense layer, w stored (out, in).

    n runs over all leading axes together. The gradients are g w, gᵀ x and the sum of g:
    ∂L/∂x[n,i] = Σ_o g[n,o] · w[o,i];   ∂L/∂w[o,i] = Σ_n g[n,o] · x[n,i];
    ∂L/∂b[o] = Σ_n g[n,o].
    (`numpy-cnn` eq. 1; the documents' X^T g, g W^T, Σ_n g with w transposed.)
    """

    bilinear = True
    compiled = "linear"
    adds = ("b",)

    def forward(self, x: Value, w: Value, b: Value) -> Value:
        if x.ndim == 0 or w.ndim != 2:
            raise ShapeError("linear takes x (…, in) and weight (out, in)")
        if x.shape[-1] != w.shape[1]:
            raise ShapeError(
                f"the layer takes in_features={w.shape[1]}, the input has "
                f"{x.shape[-1]} in its last axis: use in_features={x.shape[-1]}, or "
                "flatten(x, 1) first if that is an image"
            )
        if x.dtype != w.dtype or (
            b is not None and (b.dtype, b.shape) != (w.dtype, w.shape[:1])
        ):
            raise ShapeError(
                f"input, weight and bias must have one dtype, and the bias {w.shape[0]} "
                "values, one for each output"
            )
        return active.linear(x, w, b)

    def grad_x(self, g: Value, w: Value) -> Value:
        return Linear()(g, transposed(w), None)

    def grad_w(self, g: Value, x: Value, w_shape: tuple[int, ...]) -> Value:
        if g.ndim != 2:
            g, x = Reshape((-1, w_shape[0]))(g), Reshape((-1, w_shape[1]))(x)
        return Matmul()(transposed(g), x)

    def grad_b(self, g: Value) -> Value:
        return Sum(tuple(range(g.ndim - 1)))(g)

    def multiply_adds(self, shapes: Shapes, y_shape: Position) -> int:
        return math.prod(y_shape) * shapes[0][-1]
