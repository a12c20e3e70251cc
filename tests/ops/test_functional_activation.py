"""Activations: what PyTorch's samples do not see."""

import numpy as np
import pytest
from pytorch import torch

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, AutogradError, DTypeError, ShapeError

IN_PLACE = {
    "celu_": (2.0,),
    "elu_": (0.5,),
    "hardtanh_": (-0.5, 0.5),
    "leaky_relu_": (0.1,),
    "relu_": (),
    "rrelu_": (0.1, 0.1, True),
    "selu_": (),
    "threshold_": (0.2, 3.0),
}
X = np.array([-1.5, -0.25, 0.0, 0.25, 2.0])


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_function_in_place_changes_its_input_and_keeps_the_graph(name):
    found = []
    for library, f in ((tg, F), (torch, torch.nn.functional)):
        leaf = library.tensor(X, requires_grad=True)
        x = leaf * 1
        y = getattr(f, name)(x, *IN_PLACE[name])
        assert y is x
        y.sum().backward()
        found += [np.asarray(y.detach()), np.asarray(leaf.grad)]
    np.testing.assert_allclose(found[:2], found[2:], rtol=1e-12)
    with pytest.raises(AutogradError, match="leaf"):
        getattr(F, name)(tg.tensor(X, requires_grad=True), *IN_PLACE[name])


REFUSED = [
    (ArgumentError, "tanh", lambda x: F.gelu(x, approximate="erf")),
    (ArgumentError, "alpha", lambda x: F.celu(x, 0.0)),
    (ArgumentError, "greater or equal to 0", lambda x: F.softshrink(x, -1.0)),
    (ShapeError, "even", lambda x: F.glu(x)),
    (ShapeError, "each of 3 channels", lambda x: F.prelu(x, tg.ones(2))),
    (DTypeError, "needs floats", lambda x: F.elu(x.long())),
    (ShapeError, "Softmax2d", lambda x: tg.nn.Softmax2d()(x)),
]


@pytest.mark.parametrize(("error", "words", "call"), REFUSED)
def test_an_activation_is_refused(error, words, call):
    with pytest.raises(error, match=words):
        call(tg.zeros(2, 3))


@pytest.mark.parametrize("f", [F.elu, F.selu, F.softplus, F.gelu, F.mish, F.logsigmoid])
def test_large_values_overflow_in_no_gradient(f):
    x = tg.tensor([-800.0, 800.0], dtype=tg.float64, requires_grad=True)
    (first,) = tg.autograd.grad(f(x).sum(), x, create_graph=True)
    (second,) = tg.autograd.grad(first.sum(), x)
    assert tg.isfinite(first).all() and tg.isfinite(second).all()


def test_slopes_of_rrelu_are_drawn_in_training_alone():
    x = tg.full((1000,), -1.0)
    slopes = -F.rrelu(x, 0.1, 0.3, training=True)
    assert slopes.min() >= 0.1 and slopes.max() < 0.3 and slopes.std() > 0.03
    assert tg.equal(-F.rrelu(x, 0.1, 0.3), tg.full((1000,), 0.2))
