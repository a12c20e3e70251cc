"""Wrong gradients of the dense layer and of the matrix product."""

from typing import Any

from ...ops.linear import Linear, Matmul
from .mutant import Example, values, wrong

DENSE = Example(Linear(), (values(4, 3), values(5, 3), values(5)))
SQUARE = Example(Linear(), (values(4, 3), values(3, 3), values(3)))
SEQUENCE = Example(Linear(), (values(2, 4, 3), values(5, 3), values(5)))
PRODUCT = Example(Matmul(), (values(4, 3), values(3, 5)))
BATCHED = Example(Matmul(), (values(2, 4, 3), values(3, 5)))


@wrong(DENSE, "grad_w", "only the last image", "last image")
def _(op: Any, g: Any, x: Any) -> Any:
    return g[-1:].T @ x[-1:]


@wrong(
    DENSE, "grad_w", "the mean over the batch", "factor", says="1 / 4 (the batch size"
)
def _(op: Any, g: Any, x: Any) -> Any:
    return g.T @ x / len(x)


@wrong(DENSE, "grad_w", "xᵀ g read as if it were gᵀ x", "transposed")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return (x.T @ g).reshape(w_shape)


@wrong(DENSE, "grad_w", "xᵀ g, in the wrong shape", "transposed")
def _(op: Any, g: Any, x: Any) -> Any:
    return x.T @ g


@wrong(DENSE, "grad_b", "not summed over the batch", "not summed")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(DENSE, "grad_b", "summed over the features as well", "summed too far")
def _(op: Any, g: Any) -> Any:
    return g.sum()


@wrong(DENSE, "grad_b", "wrong sign", "sign")
def _(op: Any, g: Any) -> Any:
    return -g.sum(axis=0)


@wrong(DENSE, "grad_x", "zero", "zero")
def _(op: Any, g: Any, w: Any) -> Any:
    return 0 * (g @ w)


@wrong(SQUARE, "grad_x", "w not transposed", "transposed", says="w were transposed")
def _(op: Any, g: Any, w: Any) -> Any:
    return g @ w.T


@wrong(SEQUENCE, "grad_w", "only the last position of each sequence", "last slice")
def _(op: Any, g: Any, x: Any) -> Any:
    return g[:, -1].T @ x[:, -1]


@wrong(PRODUCT, "grad_a", "rows of b in the wrong order", "flipped")
def _(op: Any, g: Any, b: Any) -> Any:
    return g @ b[::-1].T


@wrong(BATCHED, "grad_b", "the first of the broadcast products only", "first slice")
def _(op: Any, g: Any, a: Any) -> Any:
    return a[0].T @ g[0]


wrong(BATCHED, "broadcasts", "broadcast not summed", "not summed", tensor="b")(False)
