"""Planned and called as usual, side by side: the engine is the oracle of the plans."""

import copy

import numpy as np

from tinygrad_cnn import Tensor, planned

ROUNDING = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


def as_usual(model, loss, images, labels):
    """What a plan stands for: zero_grad, forward, loss, backward."""
    model.zero_grad()
    output = model(images)
    value = loss(output, labels)
    value.backward()
    return value.detach(), output.detach()


def gradients(model):
    """Copies by name; None where there is no gradient."""
    grads = {name: p.grad for name, p in model.named_parameters()}
    return {k: g if g is None else np.array(g._array) for k, g in grads.items()}


def assert_close(found, expected):
    """Equal up to a few roundings of the largest value; NaN and inf in the same places."""
    found, expected = (
        x._array if isinstance(x, Tensor) else x for x in (found, expected)
    )
    assert found.dtype == expected.dtype and found.shape == expected.shape
    finite = np.abs(expected[np.isfinite(expected)])
    atol = ROUNDING[expected.dtype] * max(1.0, finite.max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def assert_same_gradients(found, expected):
    assert found.keys() == expected.keys()
    for name, g in expected.items():
        assert (found[name] is None) == (g is None), name
        if g is not None:
            assert_close(found[name], g)


class Pair:
    """A model that is planned, and a copy of it that is called as usual."""

    def __init__(self, model, loss=None):
        self.model, self.loss = model, loss
        self.usual = copy.deepcopy(model)
        self.step = planned(model, loss)

    def agree(self, *inputs, replayed=True):
        """Call both with these inputs, and compare what they give and what they set."""
        found = self.step(*inputs)
        if replayed is not None:
            assert (self.step.why is None) == replayed, self.step.why
        if self.loss is None:
            assert_close(found, self.usual(*inputs).detach())
            return found
        expected = as_usual(self.usual, self.loss, *inputs)
        for ours, theirs in zip(found, expected, strict=True):
            assert_close(ours, theirs)
        assert_same_gradients(gradients(self.model), gradients(self.usual))
        for ours, theirs in zip(
            self.model.buffers(), self.usual.buffers(), strict=True
        ):
            np.testing.assert_array_equal(ours._array, theirs._array)
        return found
