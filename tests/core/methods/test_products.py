"""Einstein's sums as PyTorch has them, and views that take part in changes."""

import numpy as np
import pytest
from agreement import agree, draw, library, refuses_as_torch
from each import for_each

from tinygrad_cnn import autograd, einsum, ones, tensor, zeros
from tinygrad_cnn.errors import AutogradError

EQUATIONS = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "bij, bjk -> bik": [(2, 3, 4), (2, 4, 5)],
    "bhqd,bhkd->bhqk": [(2, 2, 3, 4), (2, 2, 5, 4)],
    "i,j->ij": [(2,), (3,)],
    "i,i->": [(3,), (3,)],
    ",ij->ji": [(), (2, 3)],
    "ii": [(3, 3)],
    "ii->i": [(3, 3)],
    "iij,ij->i": [(2, 2, 3), (2, 3)],
    "ijij->ij": [(2, 3, 2, 3)],
    "ij->": [(2, 3)],
    "ba": [(2, 3)],
    "Ab,bC": [(2, 3), (3, 4)],
    "ij,j": [(2, 1), (3,)],
    "...": [(2, 3)],
    "...i,...i": [(2, 1, 3), (4, 3)],
    "...ij,...jk->...ik": [(2, 3, 4), (4, 5)],
    "a...b->b...a": [(2, 3, 4)],
    "b...,b...->...b": [(2, 3, 4), (2, 3, 4)],
    "bn,anm,bm->ba": [(2, 3), (5, 3, 4), (2, 4)],
    "ijk,ilm,njm,nlk,abc->": [(2, 3, 4), (2, 2, 2), (3, 3, 2), (3, 2, 4), (2, 2, 2)],
}


@for_each("equation", EQUATIONS)
def test_einsum_is_pytorchs(equation):
    arrays = [draw(*shape, seed=i) for i, shape in enumerate(EQUATIONS[equation])]
    agree(lambda *x: library(x[0]).einsum(equation, *x), *arrays)
    agree(lambda *x: library(x[0]).einsum(equation, list(x)), *arrays)


@for_each(
    "equation",
    ["ij->il", "ij->ii", "i", "ij,j", "ijk", "i1->i", "ii", "i..j", "ij->i->j"],
)
def test_einsum_refuses_what_pytorch_refuses(equation):
    refuses_as_torch(lambda x: library(x).einsum(equation, x), draw(2, 3))


def test_einsum_has_second_gradients():
    a, b = [tensor(draw(2, 3), requires_grad=True) for _ in range(2)]
    (g,) = autograd.grad(einsum("ij,ij,kj->", a, a, b), a, create_graph=True)
    (h,) = autograd.grad(g.sum(), b)
    np.testing.assert_allclose(
        h.numpy(), 2 * np.tile(a.detach().numpy().sum(0), (2, 1))
    )


def test_a_diagonal_and_windows_that_do_not_overlap_change_what_they_show():
    x = zeros(2, 4)
    x.diagonal(1).fill_(1.0)
    x.unfold(1, 2, 2)[:, 1, 1] += 2.0
    assert x.tolist() == [[0, 1, 0, 2], [0, 0, 1, 2]]
    with pytest.raises(AutogradError, match="expanded or read-only"):
        x.unfold(1, 2, 1).zero_()


def test_a_tensor_may_change_its_own_shape():
    agree(lambda x: (x * 2).unsqueeze_(1).transpose_(0, 2).squeeze_(1) ** 2, draw(2, 3))
    with pytest.raises(AutogradError):
        ones(2, requires_grad=True).unsqueeze_(0)
