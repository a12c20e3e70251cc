"""Right gradients are never called wrong, whatever the size of the numbers.

The functions and their gradients are closed forms in NumPy; the values are drawn: tiny,
huge, both in one array, on and beside kinks, saturated, nearly singular, through float32.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.verify import verify_pair


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def softmax_backward(g, x):
    p = softmax(x)
    return p * (g - np.sum(g * p))


def normal(x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def normal_backward(g, x):
    y = normal(x)
    return (g - g.mean() - y * np.mean(g * y)) / np.sqrt(x.var() + 1e-5)


def logarithm(x):
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def largest_backward(g, x):
    return g * (np.arange(x.size) == x.argmax())


def solved(x):
    """The solution of [[1, 1], [1, 1 + d]] y = (x₀, x₁) for d = 1e-6."""
    return np.array([x[0] * (1 + 1e-6) - x[1], x[1] - x[0]]) / 1e-6


def solved_backward(g, x):
    d = np.zeros_like(x)
    d[:2] = np.array([g[0] * (1 + 1e-6) - g[1], g[1] - g[0]]) / 1e-6
    return d


FUNCTIONS = {
    "square": (lambda x: x**2, lambda g, x: 2 * g * x),
    "inverse": (lambda x: 1 / x, lambda g, x: -g / x**2),
    "tanh": (np.tanh, lambda g, x: g * (1 - np.tanh(x) ** 2)),
    "exponential": (
        lambda x: np.exp(np.clip(x, -300, 30)),
        lambda g, x: g * np.exp(np.clip(x, -300, 30)) * ((x > -300) & (x < 30)),
    ),
    "logarithm": (lambda x: np.log(np.abs(x)), lambda g, x: g / x),
    "softplus": (logarithm, lambda g, x: g / (1 + np.exp(-x))),
    "relu": (lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0)),
    "absolute": (np.abs, lambda g, x: g * np.sign(x)),
    "largest": (lambda x: x.max(keepdims=True), largest_backward),
    "softmax": (softmax, softmax_backward),
    "normal": (normal, normal_backward),
    "sum": (lambda x: np.array([x.sum()]), lambda g, x: np.full_like(x, g[0])),
    "cubes": (lambda x: np.array([np.sum(x**3)]), lambda g, x: 3 * g[0] * x**2),
    "root": (
        lambda x: np.sqrt(np.abs(x)),
        lambda g, x: g * np.sign(x) / (2 * np.sqrt(np.abs(x))),
    ),
    "solved": (solved, solved_backward),
    "float32": (lambda x: x.astype(np.float32) * 2.0, lambda g, x: 2 * g),
    "kept": (
        lambda x: np.tanh(x).astype(np.float32),
        lambda g, x: g * (1 - np.tanh(x) ** 2),
    ),
}

digits = st.floats(1, 9.99).map(lambda d: round(d, 3))
exponents = st.one_of(st.integers(-1, 1), st.integers(-8, 8))
numbers = st.builds(
    lambda d, e, s: s * d * 10.0**e, digits, exponents, st.sampled_from([-1, 1])
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(numbers, min_size=2, max_size=6))
def test_a_right_gradient_is_never_called_wrong(name, values):
    forward, backward = FUNCTIONS[name]
    x = np.array(values)
    report = verify_pair(lambda x: forward(x), lambda g, x: backward(g, x), {"x": x})
    assert not report["x"].is_wrong, (name, values, str(report))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["square", "tanh", "relu", "sum", "softplus", "float32"]),
    st.lists(st.floats(0.3, 2).map(lambda v: round(v, 3)), min_size=2, max_size=6),
    st.sampled_from([0.0, -1.0, 1.1, 2.0]),
)
def test_a_wrong_one_among_usual_numbers_is(name, values, factor):
    forward, backward = FUNCTIONS[name]
    report = verify_pair(
        lambda x: forward(x),
        lambda g, x: factor * backward(g, x),
        {"x": np.array(values)},
    )
    assert report["x"].verdict == "wrong", str(report)
