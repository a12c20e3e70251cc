"""Distributions: densities as PyTorch's, and draws with the moments that they claim."""

import numpy as np
import pytest
from pytorch import torch

import tinygrad_cnn as ours
from tinygrad_cnn import distributions
from tinygrad_cnn.errors import ArgumentError

P = [[0.2, 0.5, 0.3], [0.1, 0.0, 0.9]]
CASES = {
    "Normal": ({"loc": [0.0, 1.5], "scale": [1.0, 0.3]}, [[0.2, 1.0], [-1.0, 2.0]]),
    "Uniform": ({"low": [0.0, -1.0], "high": [1.0, 3.0]}, [[0.2, 2.0], [0.9, -1.0]]),
    "Bernoulli": ({"probs": [0.3, 0.9]}, [[0.0, 1.0], [1.0, 0.0]]),
    "Bernoulli of logits": ({"logits": [0.3, -2.0]}, [[0.0, 1.0], [1.0, 0.0]]),
    "Categorical": ({"probs": P}, [[2, 0], [1, 2]]),
    "Categorical of logits": ({"logits": P}, [[2, 0], [1, 2]]),
}


def made(library, name, asks=False):
    arguments, values = CASES[name]
    kind = getattr(library.distributions, name.partition(" ")[0])
    leaves = {
        k: library.tensor(v, dtype=library.float64, requires_grad=asks)
        for k, v in arguments.items()
    }
    given = library.tensor(values)
    given = given.double() if isinstance(values[0][0], float) else given
    return kind(**leaves), given, list(leaves.values())


@pytest.mark.parametrize("name", CASES)
def test_probabilities_and_their_gradients_are_those_of_pytorch(name):
    pytest.importorskip("torch")
    found = []
    for library in (ours, torch):
        distribution, values, leaves = made(library, name, asks=True)
        results = distribution.log_prob(values), distribution.entropy()
        sum(r.sum() for r in results).backward()
        found.append([*results, *[leaf.grad for leaf in leaves]])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_what_is_drawn_is_as_often_as_it_should_be(name):
    ours.manual_seed(0)
    distribution, _, _ = made(ours, name)
    drawn = distribution.sample((20_000,)).numpy()
    assert drawn.shape == (20_000, *distribution.batch_shape)
    if name.startswith("Categorical"):
        shares = [(drawn == k).mean(0) for k in range(3)]
        expected = np.moveaxis(distribution.probs.numpy(), -1, 0)
    else:
        shares, expected = drawn.mean(0), distribution.mean.numpy()
    np.testing.assert_allclose(shares, expected, atol=0.03)
    assert not distribution.sample().requires_grad


def test_a_reparameterised_draw_has_a_gradient_by_its_parameters():
    normal, _, (loc, scale) = made(ours, "Normal", asks=True)
    drawn = normal.rsample((4,))
    drawn.sum().backward()
    assert loc.grad.tolist() == [4.0, 4.0]
    noise = (drawn - loc).detach().numpy() / scale.detach().numpy()
    np.testing.assert_allclose(scale.grad.numpy(), noise.sum(0))


@pytest.mark.parametrize("name", ["Normal", "Bernoulli", "Categorical"])
def test_the_divergence_of_two_is_that_of_pytorch(name):
    pytest.importorskip("torch")
    found = []
    for library in (ours, torch):
        p, _, leaves = made(library, name)
        half = [library.tensor(0.5 * leaf.numpy() + 0.2) for leaf in leaves]
        q = type(p)(*half)
        found.append(library.distributions.kl_divergence(p, q).numpy())
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_parameters_that_make_no_distribution_are_named():
    with pytest.raises(ArgumentError, match="scale must be positive everywhere"):
        distributions.Normal(0.0, -1.0)
    with pytest.raises(ArgumentError, match="either probs or logits"):
        distributions.Categorical()
    with pytest.raises(ArgumentError, match="probs must be at most 1"):
        distributions.Bernoulli(1.5)
