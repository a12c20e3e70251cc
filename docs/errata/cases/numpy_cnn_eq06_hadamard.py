"""numpy-cnn §2, eq. (6): the sum of products is called the Hadamard product."""

import numpy as np

WHERE = "`numpy-cnn` §2, eq. (6)"
STATES = r"the Hadamard product is $\sum_{i,j} a_{ij} b_{ij}$"
RIGHT = (
    "it is the matrix of the $a_{ij} b_{ij}$; their sum is the Frobenius inner product"
)


def stated(a, b):
    return np.sum(a * b)


def right(a, b):
    return a * b


def shows():
    a, b = np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]])
    matrix = right(a, b)
    return (
        f"of [[1, 2], [3, 4]] and [[5, 6], [7, 8]] the Hadamard product is "
        f"{matrix.tolist()}; eq. (6) gives its sum, {stated(a, b)}"
    )
