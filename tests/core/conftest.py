"""What holds in every test of the engine."""

import itertools

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn import Tensor


@pytest.fixture(autouse=True)
def recording_is_left_as_it_was():
    yield
    was = tinygrad_cnn.is_grad_enabled()
    tinygrad_cnn.set_grad_enabled(True)
    assert was


@pytest.fixture(autouse=True)
def no_two_gradients_share_memory(monkeypatch):
    """After each `backward` of a test, the `.grad` behind it have memory of their own."""

    def checked(self, gradient=None, *args, **kwargs):
        backward(self, gradient, *args, **kwargs)
        grads = [leaf.grad for leaf in leaves_behind(self)] + [gradient]
        arrays = [g.detach().numpy() for g in grads if isinstance(g, Tensor)]
        for a, b in itertools.combinations(arrays, 2):
            assert not np.shares_memory(a, b)

    backward = Tensor.backward
    monkeypatch.setattr(Tensor, "backward", checked)


def leaves_behind(tensor):
    """The leaves that a gradient of this Tensor goes to."""
    stack, seen, leaves = [tensor.grad_fn or tensor], set(), []
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Tensor):
            leaves.append(node)
        else:
            stack += [parent for parent, _ in node.next_functions if parent is not None]
    return leaves
