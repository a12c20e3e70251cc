"""Wrong gradients of the dense layer and of the matrix product."""

from functools import partial

from ...ops.linear import Linear, Matmul
from .mutant import Example, values, wrong

DENSE = Example(Linear(), (values(4, 3), values(5, 3), values(5)))
SQUARE = Example(Linear(), (values(4, 3), values(3, 3), values(3)))
SEQUENCE = Example(Linear(), (values(2, 4, 3), values(5, 3), values(5)))
BATCHED = Example(Matmul(), (values(2, 4, 3), values(3, 5)))

dense_w = partial(wrong, DENSE, "grad_w")
dense_w("only the last image", "last image")(lambda op, g, x: g[-1:].T @ x[-1:])
dense_w("the mean over the batch", "factor: 1 / 4 (the batch size")(
    lambda op, g, x: g.T @ x / len(x)
)
dense_w("xᵀ g read as if it were gᵀ x", "transposed")(
    lambda op, g, x, w_shape: (x.T @ g).reshape(w_shape)
)
dense_w("xᵀ g, in the wrong shape", "transposed")(lambda op, g, x: x.T @ g)

dense_b = partial(wrong, DENSE, "grad_b")
dense_b("not summed over the batch", "not summed")(lambda op, g: g)
dense_b("summed over the features as well", "summed too far")(lambda op, g: g.sum())
dense_b("wrong sign", "sign")(lambda op, g: -g.sum(axis=0))

dense_x = partial(wrong, DENSE, "grad_x")
dense_x("zero", "zero")(lambda op, g, w: 0 * (g @ w))

square_x = partial(wrong, SQUARE, "grad_x")
square_x("w not transposed", "transposed: w were transposed")(lambda op, g, w: g @ w.T)

sequence_w = partial(wrong, SEQUENCE, "grad_w")
sequence_w("only the last position of each sequence", "last slice")(
    lambda op, g, x: g[:, -1].T @ x[:, -1]
)

product_a = partial(wrong, Example(Matmul(), (values(4, 3), values(3, 5))), "grad_a")
product_a("rows of b in the wrong order", "flipped")(lambda op, g, b: g @ b[::-1].T)

batched_b = partial(wrong, BATCHED, "grad_b")
batched_b("the first of the broadcast products only", "first slice")(
    lambda op, g, a: a[0].T @ g[0]
)
batched = partial(wrong, BATCHED, "broadcasts", tensor="b")
batched("broadcast not summed", "not summed")(False)
