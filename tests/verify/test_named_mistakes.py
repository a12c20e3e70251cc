"""Mistakes that people make in NumPy of any style, each with the name that it must get.

Forward and backward stand as they are written in courses: images in a matrix of columns,
loops over windows, layers in one function, recurrences over time.
"""

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.verify import verify_pair
from tinygrad_cnn.verify.branches import Path
from tinygrad_cnn.verify.check import Checker, Settings
from tinygrad_cnn.verify.diagnosis import diagnose
from tinygrad_cnn.verify.subject import Run, Subject

RNG = np.random.default_rng(1)


def normal(*shape):
    return RNG.normal(size=shape)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


# ----------------------------------------------------------------------------- the layers


def dense(x, w, b):
    return x @ w + b


def columns_of(x, k, s):
    """Windows of images as columns, (C k k, N H W), the image innermost but two."""
    n, c, h, w = x.shape
    rows, cols = (h - k) // s + 1, (w - k) // s + 1
    found = np.zeros((c, k, k, n, rows, cols))
    for u in range(k):
        for v in range(k):
            part = x[:, :, u : u + s * rows : s, v : v + s * cols : s]
            found[:, u, v] = part.transpose(1, 0, 2, 3)
    return found.reshape(c * k * k, -1)


def conv(x, w, b, s=1):
    n, _, h, width = x.shape
    f, _, k, _ = w.shape
    rows, cols = (h - k) // s + 1, (width - k) // s + 1
    y = w.reshape(f, -1) @ columns_of(x, k, s) + b[:, None]
    return y.reshape(f, n, rows, cols).transpose(1, 0, 2, 3)


def conv_loops(g, x, w, s, window):
    """dx and dw of the convolution, each window beginning where `window` says."""
    dx, dw, k = np.zeros_like(x), np.zeros_like(w), w.shape[2]
    for n, f, i, j in np.ndindex(g.shape):
        p, q = window(i, j, s)
        part = dx[n, :, p : p + k, q : q + k]
        part += g[n, f, i, j] * w[f][:, : part.shape[1], : part.shape[2]]
        seen = x[n, :, p : p + k, q : q + k]
        dw[f][:, : seen.shape[1], : seen.shape[2]] += g[n, f, i, j] * seen
    return dx, dw


def conv2(x, w):
    """A convolution with the stride 2."""
    return conv(x, w, np.zeros(len(w)), 2)


def convolve_plane(x, w):
    """One image and one kernel, with the stride 2."""
    k = len(w)
    rows, cols = (x.shape[0] - k) // 2 + 1, (x.shape[1] - k) // 2 + 1
    y = np.zeros((rows, cols))
    for i in range(rows):
        for j in range(cols):
            y[i, j] = np.sum(x[2 * i : 2 * i + k, 2 * j : 2 * j + k] * w)
    return y


def max_pool(x):
    """Windows of 2 × 2, side by side."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def average_pool(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))


def pool_loops(g, x, place):
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(g.shape):
        p, q = place(x, n, c, i, j)
        dx[n, c, p, q] += g[n, c, i, j]
    return dx


def winner(x, n, c, i, j):
    window = x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
    u, v = np.unravel_index(window.argmax(), window.shape)
    return 2 * i + u, 2 * j + v


def leaky(x):
    return np.where(x > 0, x, 0.1 * x)


KEPT = RNG.random((5, 4)) < 0.6


def dropout(x):
    return x * KEPT / 0.6


LABELS = np.array([2, 0, 3, 3, 1])


def cross_entropy(x):
    return -np.log(softmax(x)[np.arange(5), LABELS]).mean()


def cross_entropy_with_epsilon(x):
    return -np.log(softmax(x)[np.arange(5), LABELS] + 1e-6).mean()


def layer_norm(x, gamma):
    centred = x - x.mean(axis=1, keepdims=True)
    return gamma * centred / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


def dense_sigmoid(x, w, b):
    return sigmoid(x @ w + b)


def recurrent(x, h0, wx, wh, b):
    """x: (N, T, D); all hidden states, (N, T, H)."""
    h, states = h0, []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ wx + h @ wh + b)
        states.append(h)
    return np.stack(states, axis=1)


def recurrent_backward(g, x, h0, wx, wh, b, through=1.0):
    y = recurrent(x, h0, wx, wh, b)
    dx, dwx, dwh, db = (np.zeros_like(a) for a in (x, wx, wh, b))
    dh = np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        before = y[:, t - 1] if t else h0
        da = (g[:, t] + through * dh) * (1 - y[:, t] ** 2)
        dx[:, t], dh = da @ wx.T, da @ wh.T
        dwx += x[:, t].T @ da
        dwh += before.T @ da
        db += da.sum(axis=0)
    return dx, dh, dwx, dwh, db


def lstm_gates(x, h, wx, wh, b):
    parts = np.split(x @ wx + h @ wh + b, 4, axis=1)
    return *[sigmoid(a) for a in parts[:3]], np.tanh(parts[3])


def lstm(x, h, c, wx, wh, b):
    i, f, o, n = lstm_gates(x, h, wx, wh, b)
    new = f * c + i * n
    return o * np.tanh(new), new


def lstm_backward(g, x, h, c, wx, wh, b, slope=lambda i: i * (1 - i)):
    """slope: what the gradient of the input gate is multiplied by."""
    i, f, o, n = lstm_gates(x, h, wx, wh, b)
    new = f * c + i * n
    dnew = g[1] + g[0] * o * (1 - np.tanh(new) ** 2)
    do = g[0] * np.tanh(new) * o * (1 - o)
    df, di, dn = dnew * c * f * (1 - f), dnew * n * slope(i), dnew * i * (1 - n**2)
    da = np.hstack([di, df, do, dn])
    return da @ wx.T, da @ wh.T, dnew * f, x.T @ da, h.T @ da, da.sum(axis=0)


LAYERS = {
    "dense": (dense, (normal(5, 4), normal(4, 3), normal(3))),
    "square": (dense, (normal(5, 4), normal(4, 4), normal(4))),
    "conv": (conv, (normal(2, 3, 5, 6), normal(4, 3, 3, 3), normal(4))),
    "conv2": (conv2, (normal(2, 2, 7, 8), normal(3, 2, 3, 3))),
    "plane": (convolve_plane, (normal(7, 8), normal(3, 3))),
    "max-pool": (max_pool, (normal(2, 3, 6, 8),)),
    "average-pool": (average_pool, (normal(2, 3, 6, 8),)),
    "leaky": (leaky, (normal(5, 4),)),
    "dropout": (dropout, (normal(5, 4),)),
    "softmax": (softmax, (normal(5, 4),)),
    "cross-entropy": (cross_entropy, (normal(5, 4),)),
    "epsilon": (cross_entropy_with_epsilon, (normal(5, 4),)),
    "layer norm": (layer_norm, (normal(6, 7), normal(7))),
    "dense sigmoid": (dense_sigmoid, (normal(5, 4), normal(4, 3), normal(3))),
    "recurrent": (
        recurrent,
        (normal(3, 4, 2), normal(3, 5), normal(2, 5), normal(5, 5), normal(5)),
    ),
    "lstm": (
        lstm,
        (
            *(normal(3, 2), normal(3, 4), normal(3, 4)),
            *(normal(2, 16), normal(4, 16), normal(16)),
        ),
    ),
}

MISTAKES = []


def mistake(layer, tensor, kind, words=""):
    def add(gradient):
        name = gradient.__name__.replace("_", " ")
        case = pytest.param(layer, tensor, kind, words, gradient)
        MISTAKES.append(pytest.param(*case.values, id=f"{layer} {tensor}: {name}"))
        return gradient

    return add


# -------------------------------------------------------------------------- wrong places


@mistake("dense", "x", "transposed", "wrong shape")
def reshape_for_transpose(g, x, w, b):
    return g @ w.reshape(w.shape[::-1])


@mistake("dense", "w", "transposed", "if x were transposed")
def input_reshaped(g, x, w, b):
    return x.reshape(x.shape[::-1]) @ g


@mistake("conv", "w", "g transposed", "wrong shape")
def g_reshaped_before_the_columns(g, x, w, b):
    return (g.reshape(len(w), -1) @ columns_of(x, 3, 1).T).reshape(w.shape)


@mistake("conv", "w", "g transposed", "read under the wrong shape")
def rows_and_columns_of_g_exchanged(g, x, w, b):
    g = g.reshape(*g.shape[:2], g.shape[3], g.shape[2]).swapaxes(2, 3)
    return conv_loops(g, x, w, 1, lambda i, j, s: (i, j))[1]


@mistake("conv", "x", "window", "i stands where j belongs")
def window_of_the_row_twice(g, x, w, b):
    return conv_loops(g, x, w, 1, lambda i, j, s: (i, i))[0]


@mistake("conv", "w", "g moved", "one index stands where the other belongs")
def window_of_the_row_twice_in_the_kernel(g, x, w, b):
    return conv_loops(g, x, w, 1, lambda i, j, s: (i, i))[1]


@mistake("conv2", "x", "stride", "stride (1, 1)")
def stride_forgotten(g, x, w):
    return conv_loops(g, x, w, 2, lambda i, j, s: (i, j))[0]


@mistake("conv2", "x", "window", "stride is forgotten in the columns")
def stride_forgotten_in_the_columns(g, x, w):
    return conv_loops(g, x, w, 2, lambda i, j, s: (s * i, j))[0]


@mistake("plane", "x", "stride", "stride (1, 1)")
def stride_forgotten_on_a_plane(g, x, w):
    dx = np.zeros_like(x)
    for i, j in np.ndindex(g.shape):
        dx[i : i + 3, j : j + 3] += g[i, j] * w
    return dx


@mistake("plane", "w", "stride", "stride (1, 1)")
def stride_forgotten_on_a_plane_in_the_kernel(g, x, w):
    dw = np.zeros_like(w)
    for i, j in np.ndindex(g.shape):
        dw += g[i, j] * x[i : i + 3, j : j + 3]
    return dw


@mistake("max-pool", "x", "window", "within a window")
def unravel_index_exchanged(g, x):
    def place(x, n, c, i, j):
        p, q = winner(x, n, c, i, j)
        return 2 * i + (q - 2 * j), 2 * j + (p - 2 * i)

    return pool_loops(g, x, place)


@mistake("max-pool", "x", "window", "not added")
def place_in_the_window_for_that_in_the_image(g, x):
    def place(x, n, c, i, j):
        p, q = winner(x, n, c, i, j)
        return p - 2 * i, q - 2 * j

    return pool_loops(g, x, place)


@mistake("max-pool", "x", "one for all", "place of its maximum")
def argmax_of_one_channel(g, x):
    return pool_loops(g, x, lambda x, n, c, i, j: winner(x, n, 0, i, j))


@mistake("dense", "x", "one for all", "first index along axis 1")
def gradient_of_one_feature_for_all(g, x, w, b):
    return np.repeat((g @ w[0])[:, None], 4, axis=1)


# ---------------------------------------------------------------------- some of the terms


@mistake("max-pool", "x", "first output", "return")
def return_inside_of_the_loop(g, x):
    only = np.zeros_like(g)
    only[:, :, 0, 0] = g[:, :, 0, 0]
    return pool_loops(only, x, winner)


@mistake("conv", "w", "first output")
def return_inside_of_the_loop_of_the_kernel(g, x, w, b):
    only = np.zeros_like(g)
    only[:, :, 0, 0] = g[:, :, 0, 0]
    return conv_loops(only, x, w, 1, lambda i, j, s: (i, j))[1]


@mistake("softmax", "x", "one-hot")
def right_for_one_entry_of_g_only(g, x):
    p, dx = softmax(x), np.zeros_like(x)
    for row, rest in enumerate(g):
        k = np.argmax(np.abs(rest))
        dx[row] = rest[k] * p[row, k] * (np.eye(4)[k] - p[row])
    return dx


@mistake("recurrent", "x", "path through time")
def no_path_through_time(g, x, h0, wx, wh, b):
    return recurrent_backward(g, x, h0, wx, wh, b, 0.0)[0]


@mistake("recurrent", "wx", "path through time")
def no_path_through_time_to_the_weights(g, x, h0, wx, wh, b):
    return recurrent_backward(g, x, h0, wx, wh, b, 0.0)[2]


@mistake("recurrent", "wh", "path through time")
def no_path_through_time_to_the_recurrent_weights(g, x, h0, wx, wh, b):
    return recurrent_backward(g, x, h0, wx, wh, b, 0.0)[3]


@mistake("recurrent", "b", "path through time")
def no_path_through_time_to_the_bias(g, x, h0, wx, wh, b):
    return recurrent_backward(g, x, h0, wx, wh, b, 0.0)[4]


# -------------------------------------------------------------------------- other values


@mistake("dense", "w", "clipped", "±1")
def clipped(g, x, w, b):
    return np.clip(x.T @ g, -1, 1)


@mistake("dense", "w", "cut to integers", "integers")
def cut_to_integers(g, x, w, b):
    return (x.T @ (3 * g) / 3).astype(int)


@mistake("dense", "w", "added", "+ 0.01 · w")
def weight_decay(g, x, w, b):
    return x.T @ g + 0.01 * w


@mistake("leaky", "x", "branches exchanged", "0.1 where 1 belongs")
def branches_exchanged(g, x):
    return g * np.where(x > 0, 0.1, 1)


@mistake("dropout", "x", "other mask", "drawn anew")
def mask_drawn_anew(g, x):
    return g * (np.random.default_rng(7).random(x.shape) < 0.6) / 0.6


@mistake("cross-entropy", "x", "label term", "all columns")
def all_columns_of_the_labels(g, x):
    p = softmax(x)
    p[:, LABELS] -= 1
    return g * p / 5


@mistake("layer norm", "x", "wrong axis", "axis 0")
def normalised_over_the_batch(g, x, gamma):
    r = 1 / np.sqrt(x.var(axis=0) + 1e-5)
    normed, d = (x - x.mean(axis=0)) * r, g * gamma
    return r * (d - d.mean(axis=0) - normed * (d * normed).mean(axis=0))


@mistake("softmax", "x", "wrong axis", "axis 0")
def softmax_over_the_batch(g, x):
    p = softmax(x, 0)
    return p * (g - (g * p).sum(axis=0))


@mistake("softmax", "x", "wrong operand", "x stands where p belongs")
def jacobian_of_the_inputs(g, x):
    return x * (g - (g * x).sum(axis=1, keepdims=True))


@mistake("softmax", "x", "label term", "p − g")
def labels_for_g(g, x):
    return softmax(x) - g


@mistake("dense sigmoid", "w", "wrong point", "output")
def sigmoid_of_the_sigmoid(g, x, w, b):
    y = dense_sigmoid(x, w, b)
    return x.T @ (g * sigmoid(y) * (1 - sigmoid(y)))


@mistake("lstm", "wx", "missing factor", "σ")
def derivative_of_one_gate_forgotten(g, x, h, c, wx, wh, b):
    return lstm_backward(g, x, h, c, wx, wh, b, lambda i: 1)[3]


@mistake("lstm", "b", "missing factor", "0 to 3 of axis 0")
def derivative_of_one_gate_forgotten_in_the_bias(g, x, h, c, wx, wh, b):
    return lstm_backward(g, x, h, c, wx, wh, b, lambda i: 1)[5]


@mistake("average-pool", "x", "other operation", "MaxPool2d")
def maximum_for_average(g, x):
    return pool_loops(g, x, winner)


@mistake("epsilon", "x", "epsilon", "1e-06")
def forward_with_an_epsilon(g, x):
    return g * (softmax(x) - np.eye(4)[LABELS]) / 5


# ------------------------------------------------------------------------- two at once


@mistake("dense", "w", "factor", "−5")
def sign_flipped_and_not_a_mean(g, x, w, b):
    return -5 * (x.T @ g)


@mistake("square", "w", "transposed and factor", "1 / 5 (the batch size")
def transposed_and_a_mean(g, x, w, b):
    return (g.T @ x) / len(x)


@mistake("dense", "w", "last image and factor", "−1")
def last_image_and_sign(g, x, w, b):
    return -np.outer(x[-1], g[-1])


@mistake("conv", "w", "last image and rotated")
def last_image_rotated(g, x, w, b):
    dw = conv_loops(g[-1:], x[-1:], w, 1, lambda i, j, s: (i, j))[1]
    return dw[..., ::-1, ::-1]


@mistake("dense sigmoid", "w", "missing factor and factor", "(1 − y²)"[:0])
def derivative_missing_and_a_mean(g, x, w, b):
    return x.T @ g / len(x)


@mistake("dense", "w", "sign", "index 2 of axis 1 only")
def sign_of_one_column(g, x, w, b):
    return x.T @ g * [1, 1, -1]


@pytest.mark.parametrize("layer, tensor, kind, words, gradient", MISTAKES)
def test_a_mistake_has_its_name(layer, tensor, kind, words, gradient):
    forward, inputs = LAYERS[layer]
    names = forward.__code__.co_varnames[: len(inputs)]

    @functools.wraps(gradient)
    def backward(**given):
        return [gradient(**given) if name == tensor else np.zeros(1) for name in names]

    report = verify_pair(forward, backward, inputs, only=tensor)
    said = report[tensor].diagnosis
    assert report[tensor].is_wrong
    assert said is not None, report
    assert said.kind == kind, said
    assert words in said.sentence, said


# ------------------------------------------------------------------ no name without reason

FORWARDS = {
    "itself": lambda x: x * 1.0,
    "tanh": np.tanh,
    "sum": lambda x: np.sum(x**2),
    "sums": lambda x: np.sum(x**2, axis=-1) if x.ndim else x**2,
    "two outputs": lambda x: (x * 2.0, np.sum(np.sin(x))),
    "over all": lambda x: x / (1 + np.sum(x**2)),
    "over time": lambda x: np.cumsum(x, axis=0) if x.ndim else x,
    "turned": lambda x: np.exp(x).T.copy(),
}


@given(
    st.sampled_from(sorted(FORWARDS)),
    st.lists(st.integers(1, 4), max_size=5).filter(lambda s: math.prod(s) < 100),
    st.integers(0, 9),
)
def test_random_numbers_have_no_name(forward, shape, seed):
    def backward(g, x):
        return np.random.default_rng(seed).normal(size=x.shape)

    x = np.random.default_rng(seed + 10).normal(size=shape)
    report = verify_pair(FORWARDS[forward], backward, np.asarray(x))
    assert report["x"].verdict == "wrong"
    assert report["x"].size < 3 or report.diagnosis is None, report


# --------------------------------------------------------------------- what else is said


def test_gradients_in_another_order_are_told_though_their_shapes_differ():
    x, w, b = normal(5, 4), normal(4, 3), normal(3)
    report = verify_pair(
        dense, lambda g, x, w, b: (x.T @ g, g.sum(axis=0), g @ w.T), (x, w, b)
    )
    assert [t.verdict for t in report.tensors] == ["wrong shape"] * 3
    said = [t.diagnosis.sentence for t in report.tensors]
    for name, of, sentence in zip("xwb", "wbx", said, strict=True):
        start = (
            f"grad of {name} equals the true gradient of {of}: gradients are exchanged"
        )
        assert sentence.startswith(start)


def test_a_forward_that_adds_its_bias_in_the_sum_is_no_convolution():
    def forward(x, w, b):
        return conv(x, w, 27 * b)

    def backward(g, x, w, b):
        dx, dw = conv_loops(g, x, w, 1, lambda i, j, s: (i, j))
        return dx, dw, g.sum(axis=(0, 2, 3))

    report = verify_pair(forward, backward, LAYERS["conv"][1])
    assert [t.verdict for t in report.tensors] == ["right", "right", "wrong"]
    assert report.diagnosis.kind == "forward"
    assert "adds the bias 27 times, not once" in report.diagnosis.sentence


@pytest.mark.parametrize(
    ("layer", "tensor", "line"),
    [
        ("dense", "w", "dw = x.T @ g"),
        ("dense sigmoid", "b", "d = g * y * (1 - y); db = d.sum(axis=0)"),
        ("softmax", "x", "dx = y * (g - (g * y).sum(axis=1, keepdims=True))"),
        ("conv2", "w", "dw[o] += g[n, o, i, j] * x[n, :, 2 * i : 2 * i + k, 2 * j :"),
    ],
)
def test_a_right_line_is_shown_for_what_is_recognised(layer, tensor, line):
    forward, inputs = LAYERS[layer]

    def zeros(g, *given):
        return [np.zeros_like(a) for a in given]

    report = verify_pair(forward, zeros, inputs, only=tensor)
    assert f"Right would be: {line}" in report.diagnosis.sentence


def test_the_line_to_look_at_is_shown_where_the_subject_knows_it():
    class Placed(Subject):
        knows_branches = False
        changed = ("x",)

        def __init__(self):
            super().__init__("square", {"x": np.arange(1.0, 5.0)})

        def run(self, margins=False):
            return Run([self.arrays["x"] ** 2], Path())

        def gradients(self, cotangents):
            return {"x": cotangents[0] * self.arrays["x"]}

        def line_for(self, name):
            return f"square.py, line 7: d{name} = g * x"

    checker = Checker(Placed(), Settings(step=6e-6))
    said = diagnose(checker, checker.report("x")).sentence
    assert "forward changes x in place" in said
    assert (
        "Look at square.py, line 7: dx = g * x. Right would be: dx = 2 * g * x" in said
    )


@pytest.mark.parametrize("layer", ["conv2", "max-pool"])
def test_a_wrong_gradient_costs_a_few_times_what_a_right_one_does(layer):
    """A right one takes two runs of forward for each entry."""
    forward, inputs = LAYERS[layer]

    def backward(g, *given):
        return [np.random.default_rng(3).normal(size=a.shape) for a in given]

    report = verify_pair(forward, backward, inputs)
    assert report.runs < 9 * sum(t.size for t in report.tensors)
