"""Which leaves get a gradient of a gradient, and which get None, is as in PyTorch."""

import numpy as np
import pytest
from pytorch import from_pytorch, torch

import tinygrad_cnn

LAYERS = {
    "LeakyReLU": ("LeakyReLU", 0.2),
    "ReLU6": ("ReLU6",),
    "Softplus": ("Softplus",),
    "Hardtanh": ("Hardtanh",),
    "PReLU": ("PReLU",),
    "MaxPool2d": ("MaxPool2d", 2, 1),
    "AvgPool2d": ("AvgPool2d", 2, 1),
    "BatchNorm2d": ("BatchNorm2d", 2),
    "nothing": ("Identity",),
}


def penalty(lib, layer, power, state=None):
    """The state of a critic, and the gradients of ‖∂ critic/∂x‖ to a power, or of ∂/∂x."""
    nn, (name, *args) = lib.nn, LAYERS[layer]
    critic = nn.Sequential(
        nn.Conv2d(1, 2, 2), getattr(nn, name)(*args), nn.Conv2d(2, 2, 2), nn.Flatten(1)
    ).double()
    if state is not None:
        critic.load_state_dict({k: np.asarray(v.array) for k, v in state.items()})
    state = {k: v.clone() for k, v in critic.state_dict().items()}
    values = np.random.default_rng(0).normal(size=(2, 1, 4, 4)).tolist()
    x = lib.tensor(values, dtype=lib.float64, requires_grad=True)
    (g,) = lib.autograd.grad(critic(x).sum(), x, create_graph=True)
    (g**power).sum().backward()
    return state, [p.grad for p in (*critic.parameters(), x)]


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("layer", LAYERS)
def test_the_gradients_of_a_gradient_penalty_are_pytorchs(layer, power):
    state, theirs = from_pytorch(lambda: penalty(torch, layer, power))
    _, ours = penalty(tinygrad_cnn, layer, power, state)
    assert [g is None for g in ours] == [g is None for g in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        if mine is not None:
            np.testing.assert_allclose(mine, other.array, 1e-7, 1e-9)
