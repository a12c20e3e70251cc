"""L-BFGS makes PyTorch's steps, and finds what it should."""

import copy

import numpy as np
import pytest

import tinygrad_cnn as tg

torch = pytest.importorskip("torch")

START = np.array([-1.2, 1.0, 0.4])


def rosenbrock(x):
    """Of three variables, with its minimum 0 at (1, 1, 1)."""
    left, right = x[:-1], x[1:]
    return (100 * (right - left * left) ** 2 + (1 - left) ** 2).sum()


def quartic(x):
    return (x * x * x * x).sum() + (x * x).sum() * 3 + (x * 0.5).sum()


def made(library, options):
    x = library.tensor(START, requires_grad=True)
    y = library.tensor([[0.3]], dtype=library.float64, requires_grad=True)
    return (x, y), library.optim.LBFGS([x, y], **options)


def go(function, params, optimizer, steps):
    """The counts, losses and parameters after each step."""
    x, y = params
    seen = []

    def closure():
        optimizer.zero_grad()
        loss = function(x) + ((y - 2) * (y - 2)).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        loss = optimizer.step(closure)
        state = optimizer.state_dict()["state"][0]
        counts = state["func_evals"], state["n_iter"], loss.item()
        seen.append([*counts, *x.tolist(), *y.reshape(-1).tolist()])
    return np.array(seen)


@pytest.mark.parametrize("function", [rosenbrock, quartic])
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.01, "max_iter": 4},
        {"lr": 0.1, "history_size": 2},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "max_iter": 3, "max_eval": 7, "lr": 20.0},
        {"line_search_fn": "strong_wolfe", "history_size": 2, "lr": 0.001},
        {"tolerance_grad": 1e3},
    ],
    ids=str,
)
def test_steps_and_counts_are_pytorchs(function, options):
    with np.errstate(all="ignore"):
        found = go(function, *made(tg, options), 3)
    expected = go(function, *made(torch, options), 3)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_a_restored_run_goes_on_to_the_bit():
    options = {"max_iter": 3, "line_search_fn": "strong_wolfe"}
    params, optimizer = made(tg, options)
    go(rosenbrock, params, optimizer, 2)
    saved = copy.deepcopy(optimizer.state_dict())
    again, other = made(tg, {})
    for p, q in zip(again, params, strict=True):
        p.data = q.detach().clone()
    other.load_state_dict(saved)
    expected = go(rosenbrock, params, optimizer, 3)
    assert (go(rosenbrock, again, other, 3) == expected).all()


def test_it_finds_the_minimum_of_rosenbrocks_function():
    (x, y), optimizer = made(tg, {"line_search_fn": "strong_wolfe"})
    go(rosenbrock, (x, y), optimizer, 8)
    np.testing.assert_allclose(x.tolist(), 1, rtol=1e-4)


def test_what_it_cannot_do_is_refused():
    p, q = tg.ones(1), tg.ones(1)
    with pytest.raises(ValueError, match="per-parameter options"):
        tg.optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(RuntimeError, match="only 'strong_wolfe'"):
        tg.optim.LBFGS([p], line_search_fn="armijo")
