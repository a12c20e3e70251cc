"""What a wrong gradient looks like: layers as students write them, with their mistakes.

Every layer stands here in plain NumPy, forward and backward: nothing of it is known to the
package but its numbers. A right backward must have no diagnosis; of each mistake the kind
is stated, and a word of the sentence where the kind alone says little.
"""

import functools

import numpy as np
import pytest

from tinygrad_cnn.verify import verify_pair

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


# ------------------------------------------------------------------------- the layers


def dense(x, w, b):
    return x @ w + b


def dense_backward(g, x, w, b):
    return g @ w.T, x.T @ g, g.sum(axis=0)


def relu(x):
    return np.maximum(x, 0)


def relu_backward(g, x):
    return g * (x > 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_backward(g, x):
    return g * sigmoid(x) * (1 - sigmoid(x))


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(g, x):
    p = softmax(x)
    return p * (g - (g * p).sum(axis=1, keepdims=True))


LABELS = np.array([2, 0, 3, 3, 1])
ONEHOT = np.eye(4)[LABELS]


def cross_entropy(x):
    return -np.log(softmax(x)[np.arange(5), LABELS]).mean()


def cross_entropy_backward(g, x):
    return g * (softmax(x) - ONEHOT) / 5


def mse(x, t):
    return ((x - t) ** 2).mean()


def mse_backward(g, x, t):
    return 2 * g * (x - t) / x.size, -2 * g * (x - t) / x.size


STRIDE, PADDING = 2, 1


def padded(x):
    return np.pad(x, [(0, 0), (0, 0), (PADDING, PADDING), (PADDING, PADDING)])


def conv(x, w, b):
    x, (filters, _, k, _) = padded(x), w.shape
    rows, columns = ((size - k) // STRIDE + 1 for size in x.shape[2:])
    y = np.zeros((len(x), filters, rows, columns))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = b[o] + np.sum(x[(n, *at(i, j, k))] * w[o])
    return y


def at(i, j, k, stride=STRIDE):
    """The window of the output position (i, j), in every channel."""
    return np.s_[:, i * stride : i * stride + k, j * stride : j * stride + k]


def conv_backward(g, x, w, b):
    x, k = padded(x), w.shape[2]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n, o, i, j in np.ndindex(g.shape):
        dx[(n, *at(i, j, k))] += g[n, o, i, j] * w[o]
        dw[o] += g[n, o, i, j] * x[(n, *at(i, j, k))]
        db[o] += g[n, o, i, j]
    return dx[:, :, 1:-1, 1:-1], dw, db


POOL, POOL_STRIDE = 3, 2


def pool_windows(shape):
    rows, columns = ((size - POOL) // POOL_STRIDE + 1 for size in shape[2:])
    for i, j in np.ndindex(rows, columns):
        yield i, j, (slice(None), *at(i, j, POOL, POOL_STRIDE))


def max_pool(x):
    y = np.zeros((*x.shape[:2], 3, 2))
    for i, j, window in pool_windows(x.shape):
        y[:, :, i, j] = x[window].max(axis=(2, 3))
    return y


def max_pool_backward(g, x):
    dx = np.zeros_like(x)
    for i, j, window in pool_windows(x.shape):
        part = x[window]
        mask = part == part.max(axis=(2, 3), keepdims=True)
        dx[window] += mask * g[:, :, i : i + 1, j : j + 1]
    return dx


def average_pool(x):
    y = np.zeros((*x.shape[:2], 3, 2))
    for i, j, window in pool_windows(x.shape):
        y[:, :, i, j] = x[window].mean(axis=(2, 3))
    return y


def average_pool_backward(g, x):
    dx = np.zeros_like(x)
    for i, j, window in pool_windows(x.shape):
        dx[window] += g[:, :, i : i + 1, j : j + 1] / POOL**2
    return dx


def batch_norm(x, gamma, beta):
    return gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5) + beta


def batch_norm_backward(g, x, gamma, beta):
    r = 1 / np.sqrt(x.var(axis=0) + 1e-5)
    normed = (x - x.mean(axis=0)) * r
    d = gamma * g
    dx = r * (d - d.mean(axis=0) - normed * (d * normed).mean(axis=0))
    return dx, (g * normed).sum(axis=0), g.sum(axis=0)


def layer_norm(x, gamma, beta):
    return batch_norm(x.T, gamma[:, None], beta[:, None]).T


def layer_norm_backward(g, x, gamma, beta):
    normed = layer_norm(x, np.ones_like(gamma), np.zeros_like(beta))
    r = 1 / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    d = gamma * g
    means = d.mean(axis=1, keepdims=True), (d * normed).mean(axis=1, keepdims=True)
    dx = r * (d - means[0] - normed * means[1])
    return dx, (g * normed).sum(axis=0), g.sum(axis=0)


def unit(x):
    return x / np.sqrt((x**2).sum(axis=1, keepdims=True))


def unit_backward(g, x):
    y = unit(x)
    length = np.sqrt((x**2).sum(axis=1, keepdims=True))
    return (g - y * (g * y).sum(axis=1, keepdims=True)) / length


def leaky_relu(x):
    return np.where(x > 0, x, 0.1 * x)


def leaky_relu_backward(g, x):
    return g * np.where(x > 0, 1, 0.1)


def residual(x, w):
    return x + x @ w


def residual_backward(g, x, w):
    return g + g @ w.T, x.T @ g


def recurrent(x, h, w, u):
    return np.tanh(x @ w + h @ u)


def recurrent_backward(g, x, h, w, u):
    d = g * (1 - recurrent(x, h, w, u) ** 2)
    return d @ w.T, d @ u.T, x.T @ d, h.T @ d


ROWS = np.array([0, 2, 2, 1, 0])


def embedding(w):
    return w[ROWS]


def embedding_backward(g, w):
    dw = np.zeros_like(w)
    np.add.at(dw, ROWS, g)
    return dw


def attention(q, k):
    return q @ k.T / np.sqrt(q.shape[1])


def attention_backward(g, q, k):
    g = g / np.sqrt(q.shape[1])
    return g @ k, g.T @ q


X, W, B = normal(5, 4), normal(4, 3), normal(3)
IMAGES, KERNELS, BIAS = normal(2, 3, 5, 6), normal(4, 3, 3, 3), normal(4)
MAPS = normal(2, 3, 7, 6)
GAMMA, BETA = normal(4), normal(4)

RIGHT = {
    "dense": (dense, dense_backward, (X, W, B)),
    "relu": (relu, relu_backward, X),
    "sigmoid": (sigmoid, sigmoid_backward, X),
    "softmax": (softmax, softmax_backward, X),
    "cross-entropy": (cross_entropy, cross_entropy_backward, X),
    "mse": (mse, mse_backward, (X, normal(5, 4))),
    "conv": (conv, conv_backward, (IMAGES, KERNELS, BIAS)),
    "max-pool": (max_pool, max_pool_backward, MAPS),
    "average-pool": (average_pool, average_pool_backward, MAPS),
    "batch norm": (batch_norm, batch_norm_backward, (X, GAMMA, BETA)),
    "layer norm": (
        layer_norm,
        layer_norm_backward,
        (normal(3, 7), normal(7), normal(7)),
    ),
    "unit": (unit, unit_backward, X),
    "leaky relu": (leaky_relu, leaky_relu_backward, X),
    "residual": (residual, residual_backward, (X, normal(4, 4))),
    "recurrent": (
        recurrent,
        recurrent_backward,
        (normal(3, 4), normal(3, 2), normal(4, 2), normal(2, 2)),
    ),
    "embedding": (embedding, embedding_backward, normal(4, 3)),
    "attention": (attention, attention_backward, (normal(4, 3), normal(5, 3))),
}


@pytest.mark.parametrize("layer", RIGHT)
def test_a_right_layer_has_no_diagnosis(layer):
    forward, backward, inputs = RIGHT[layer]
    report = verify_pair(forward, backward, inputs)
    assert report, report
    assert report.diagnosis is None


# ----------------------------------------------------------------------- the mistakes

MISTAKES = []


def mistake(layer, tensor, kind, words=""):
    def add(gradient):
        name = gradient.__name__.replace("_", " ")
        MISTAKES.append(
            pytest.param(
                layer, tensor, kind, words, gradient, id=f"{layer} {tensor}: {name}"
            )
        )
        return gradient

    return add


@mistake("dense", "w", "factor", "batch size")
def mean_over_the_batch(g, x, w, b):
    return x.T @ g / len(x)


@mistake("dense", "w", "transposed")
def g_first(g, x, w, b):
    return g.T @ x


@mistake("dense", "w", "last image")
def overwritten_in_the_loop_over_images(g, x, w, b):
    for image, row in zip(x, g, strict=True):
        dw = np.outer(image, row)
    return dw


@mistake("dense", "b", "not summed", "axis 0")
def g_as_it_is(g, x, w, b):
    return g


@mistake("dense", "b", "summed too far")
def sum_of_all(g, x, w, b):
    return g.sum()


@mistake("dense", "b", "factor", "1 / 5 (the batch size")
def mean_of_g(g, x, w, b):
    return g.mean(axis=0)


@mistake("dense", "x", "sign")
def wrong_sign(g, x, w, b):
    return -g @ w.T


@mistake("dense", "x", "zero")
def forgotten(g, x, w, b):
    return np.zeros_like(x)


@mistake("dense", "w", "not finite", "12 of its 12")
def divided_by_zero(g, x, w, b):
    return x.T @ g / np.zeros(3)


@mistake("relu", "x", "mask missing")
def no_mask(g, x):
    return g


@mistake("relu", "x", "mask inverted")
def mask_turned_round(g, x):
    return g * (x < 0)


@mistake("relu", "x", "mask of g")
def mask_from_the_gradient(g, x):
    return np.maximum(g, 0)


@mistake("sigmoid", "x", "wrong operand", "x stands where y belongs")
def given_the_input(g, x):
    return g * x * (1 - x)


@mistake("sigmoid", "x", "wrong point", "output")
def sigmoid_taken_twice(g, x):
    return sigmoid_backward(g, sigmoid(x))


@mistake("sigmoid", "x", "derivative missing")
def no_derivative(g, x):
    return g


@mistake("softmax", "x", "diagonal")
def derivative_of_a_sigmoid(g, x):
    return g * softmax(x) * (1 - softmax(x))


@mistake("softmax", "x", "softmax mean", "without the mean")
def no_mean(g, x):
    return g * softmax(x)


@mistake("softmax", "x", "derivative missing")
def gradient_passed_on(g, x):
    return g


@mistake("softmax", "x", "sign of a term", "p Σ g p")
def mean_added(g, x):
    p = softmax(x)
    return p * (g + (g * p).sum(axis=1, keepdims=True))


@mistake("cross-entropy", "x", "factor", "5 (the batch size")
def not_a_mean(g, x):
    return g * (softmax(x) - ONEHOT)


@mistake("cross-entropy", "x", "label term", "correct class")
def one_not_subtracted(g, x):
    return g * softmax(x) / 5


@mistake("cross-entropy", "x", "sign")
def labels_minus_p(g, x):
    return g * (ONEHOT - softmax(x)) / 5


@mistake("mse", "x", "factor", "1 / 2")
def two_forgotten(g, x, t):
    return g * (x - t) / x.size


@mistake("mse", "x", "factor", "20 (the number of entries")
def not_divided(g, x, t):
    return 2 * g * (x - t)


@mistake("mse", "t", "sign")
def same_for_both(g, x, t):
    return 2 * g * (x - t) / x.size


def conv_with(g, x, w, b, change):
    """The right loops of the convolution, with one line changed."""
    x, k = padded(x), w.shape[2]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n, o, i, j in np.ndindex(g.shape):
        change(g[n, o, i, j], x, w, dx, dw, db, n, o, i, j, k)
    return dx[:, :, 1:-1, 1:-1], dw, db


@mistake("conv", "x", "assigned", "added")
def assigned_to_the_window(g, x, w, b):
    def change(g, x, w, dx, dw, db, n, o, i, j, k):
        dx[(n, *at(i, j, k))] = g * w[o]

    return conv_with(g, x, w, b, change)[0]


@mistake("conv", "x", "not rotated", "180°")
def kernel_rotated(g, x, w, b):
    def change(g, x, w, dx, dw, db, n, o, i, j, k):
        dx[(n, *at(i, j, k))] += g * w[o, :, ::-1, ::-1]

    return conv_with(g, x, w, b, change)[0]


@mistake("conv", "x", "stride", "stride (1, 1)")
def stride_forgotten(g, x, w, b):
    def change(g, x, w, dx, dw, db, n, o, i, j, k):
        dx[(n, *at(i, j, k, stride=1))] += g * w[o]

    return conv_with(g, x, w, b, change)[0]


@mistake("conv", "x", "padding", "padding (0, 0)")
def padding_cut_off_behind(g, x, w, b):
    def change(g, x, w, dx, dw, db, n, o, i, j, k):
        dx[(n, *at(i, j, k))] += g * w[o]

    full = np.pad(conv_with(g, x, w, b, change)[0], [(0, 0), (0, 0), (1, 1), (1, 1)])
    x, k, full = padded(x), w.shape[2], np.zeros_like(padded(x))
    for n, o, i, j in np.ndindex(g.shape):
        full[(n, *at(i, j, k))] += g[n, o, i, j] * w[o]
    return full[:, :, :-2, :-2]


@mistake("conv", "w", "last image")
def kernel_of_the_last_image(g, x, w, b):
    def change(g, x, w, dx, dw, db, n, o, i, j, k):
        if n == len(x) - 1:
            dw[o] += g * x[(n, *at(i, j, k))]

    return conv_with(g, x, w, b, change)[1]


@mistake("conv", "w", "assigned")
def kernel_assigned(g, x, w, b):
    def change(g, x, w, dx, dw, db, n, o, i, j, k):
        dw[o] = g * x[(n, *at(i, j, k))]

    return conv_with(g, x, w, b, change)[1]


@mistake("conv", "w", "rotated")
def kernel_gradient_rotated(g, x, w, b):
    return conv_backward(g, x, w, b)[1][..., ::-1, ::-1]


@mistake("conv", "w", "off by one", "last column")
def last_column_left_out(g, x, w, b):
    return conv_backward(g[..., :-1], x, w, b)[1]


@mistake("conv", "w", "stride")
def stride_forgotten_in_the_kernel(g, x, w, b):
    def change(g, x, w, dx, dw, db, n, o, i, j, k):
        dw[o] += g * x[(n, *at(i, j, k, stride=1))]

    return conv_with(g, x, w, b, change)[1]


@mistake("conv", "b", "factor", "3 (the number of input channels")
def bias_once_for_each_channel(g, x, w, b):
    return 3 * g.sum(axis=(0, 2, 3))


@mistake("conv", "b", "not summed", "axis 0")
def bias_of_each_image(g, x, w, b):
    return g.sum(axis=(2, 3))


@mistake("max-pool", "x", "assigned")
def winners_assigned(g, x):
    dx = np.zeros_like(x)
    for i, j, window in pool_windows(x.shape):
        part = x[window]
        mask = part == part.max(axis=(2, 3), keepdims=True)
        dx[window] = mask * g[:, :, i : i + 1, j : j + 1]
    return dx


@mistake("max-pool", "x", "assigned")
def only_the_winner_assigned(g, x):
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(g.shape):
        window = x[(n, *at(i, j, POOL, POOL_STRIDE))][c]
        u, v = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, i * POOL_STRIDE + u, j * POOL_STRIDE + v] = g[n, c, i, j]
    return dx


@mistake("max-pool", "x", "mask missing")
def to_the_whole_window(g, x):
    dx = np.zeros_like(x)
    for i, j, window in pool_windows(x.shape):
        dx[window] += g[:, :, i : i + 1, j : j + 1]
    return dx


@mistake("max-pool", "x", "last image")
def last_image_only(g, x):
    dx = max_pool_backward(g, x)
    dx[:-1] = 0
    return dx


@mistake("average-pool", "x", "factor", "9 (the values that one output is made of")
def average_not_divided(g, x):
    return 9 * average_pool_backward(g, x)


@mistake("average-pool", "x", "assigned")
def average_assigned(g, x):
    dx = np.zeros_like(x)
    for i, j, window in pool_windows(x.shape):
        dx[window] = g[:, :, i : i + 1, j : j + 1] / POOL**2
    return dx


@mistake("batch norm", "x", "batch statistics", "constants")
def statistics_as_constants(g, x, gamma, beta):
    return g * gamma / np.sqrt(x.var(axis=0) + 1e-5)


@mistake("batch norm", "x", "batch variance")
def variance_as_a_constant(g, x, gamma, beta):
    return (g - g.mean(axis=0)) * gamma / np.sqrt(x.var(axis=0) + 1e-5)


@mistake("batch norm", "x", "batch mean")
def mean_as_a_constant(g, x, gamma, beta):
    r = 1 / np.sqrt(x.var(axis=0) + 1e-5)
    normed = (x - x.mean(axis=0)) * r
    return gamma * r * (g - normed * (g * normed).mean(axis=0))


@mistake("batch norm", "x", "missing factor", "gamma")
def gamma_forgotten(g, x, gamma, beta):
    return batch_norm_backward(g, x, np.ones_like(gamma), beta)[0]


@mistake("batch norm", "x", "factor of a term", "mean of g multiplied by 5")
def sum_in_the_place_of_the_mean(g, x, gamma, beta):
    r = 1 / np.sqrt(x.var(axis=0) + 1e-5)
    normed = (x - x.mean(axis=0)) * r
    return gamma * r * (g - g.sum(axis=0) - normed * (g * normed).mean(axis=0))


@mistake("batch norm", "beta", "factor", "1 / 5 (the batch size")
def beta_as_a_mean(g, x, gamma, beta):
    return g.mean(axis=0)


@mistake("batch norm", "gamma", "wrong operand", "g · x")
def x_not_normalised(g, x, gamma, beta):
    return (g * x).sum(axis=0)


@mistake("layer norm", "x", "batch mean")
def mean_of_the_features_as_a_constant(g, x, gamma, beta):
    normed = layer_norm(x, np.ones_like(gamma), np.zeros_like(beta))
    d = gamma * g
    dx = d - normed * (d * normed).mean(axis=1, keepdims=True)
    return dx / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


@mistake("unit", "x", "norm term", "length")
def length_as_a_constant(g, x):
    return g / np.sqrt((x**2).sum(axis=1, keepdims=True))


@mistake("leaky relu", "x", "branch missing", "positive")
def negative_side_forgotten(g, x):
    return g * (x > 0)


@mistake("residual", "x", "part missing", "skip")
def way_past_forgotten(g, x, w):
    return g @ w.T


@mistake("recurrent", "u", "missing factor", "(1 − y²)")
def derivative_of_tanh_forgotten(g, x, h, w, u):
    return h.T @ g


@mistake("recurrent", "x", "missing factor", "(1 − y²)")
def derivative_of_tanh_forgotten_in_x(g, x, h, w, u):
    return g @ w.T


@mistake("embedding", "w", "assigned")
def added_once_for_each_row(g, w):
    dw = np.zeros_like(w)
    dw[ROWS] += g
    return dw


@mistake("attention", "q", "factor", "√3")
def not_scaled(g, q, k):
    return g @ k


@pytest.mark.parametrize("layer, tensor, kind, words, gradient", MISTAKES)
def test_a_students_mistake_is_named(layer, tensor, kind, words, gradient):
    forward, backward, inputs = RIGHT[layer]
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    names = forward.__code__.co_varnames[: len(inputs)]

    @functools.wraps(backward)
    def with_the_mistake(**given):
        found = backward(**given)
        found = list(found) if isinstance(found, tuple) else [found]
        found[names.index(tensor)] = gradient(**given)
        return tuple(found)

    report = verify_pair(forward, with_the_mistake, inputs, only=tensor)
    assert not report
    said = report[tensor].diagnosis
    assert said is not None, report
    assert said.kind == kind, said
    assert words in said.sentence, said
    assert said.sentence.startswith(f"grad of {tensor} ")
    assert said.sentence in str(report)


# ------------------------------------------------------- what cannot be known, or is hidden


def garbage(change):
    """A gradient changed in a way that no hypothesis knows, the same at every call."""

    def changed(d):
        rng = np.random.default_rng(1)
        return change(d, rng.normal(size=d.shape), rng.random(d.shape) < 0.3)

    return changed


GARBAGE = {
    "random numbers": lambda d, noise, some: noise,
    "one entry off": lambda d, noise, some: d + 1.0 * (noise == noise.max()),
    "some entries off": lambda d, noise, some: d + some * noise,
    "some dropped": lambda d, noise, some: d * some,
    "its square added": lambda d, noise, some: d + d * d,
    "shuffled": lambda d, noise, some: d.ravel()[noise.ravel().argsort()].reshape(
        d.shape
    ),
    "another shape": lambda d, noise, some: noise[:3, :2],
}


@pytest.mark.parametrize(
    "layer", ["relu", "softmax", "dense", "max-pool", "layer norm"]
)
@pytest.mark.parametrize("change", GARBAGE)
def test_what_no_hypothesis_explains_has_no_diagnosis(layer, change):
    forward, backward, inputs = RIGHT[layer]
    changed = garbage(GARBAGE[change])

    @functools.wraps(backward)
    def wrong(**given):
        found = backward(**given)
        return (changed(found[0]), *found[1:]) if len(given) > 2 else changed(found)

    report = verify_pair(forward, wrong, inputs, only="x")
    assert not report
    assert report.diagnosis is None, report


@pytest.mark.parametrize(("size", "named"), [(4, False), (5, True)])
def test_two_entries_that_fit_may_be_chance_and_three_are_a_diagnosis(size, named):
    """Shifted by two places, what stands at the edge left is free: it says nothing."""

    def backward(g, x):
        true = g * 2 * x
        return np.concatenate([[7.0, -5.0], true[:-2]])

    report = verify_pair(lambda x: x**2, backward, normal(size) + 3)
    assert report["x"].verdict == "wrong"
    assert len(report["x"].wrong) == size
    assert (report.diagnosis is not None) == named
    if named:
        assert "shifted by +2" in report.diagnosis.sentence


def test_two_mistakes_that_the_inputs_do_not_tell_apart_are_both_told():
    def backward(g, x, w):
        return g @ w.T, (x.T @ g)[::-1]

    report = verify_pair(lambda x, w: x @ w, backward, (X, normal(4, 1)))
    assert "rotated by 180°" in report.diagnosis.sentence
    assert "It also equals the true gradient with axis 0 reversed" in str(report)


def test_entries_on_a_kink_do_not_hide_the_mistake():
    x = normal(5, 4)
    x[0, :2] = 0.0
    report = verify_pair(relu, lambda g, x: g, x)
    assert len(report["x"].kinks) == 2
    assert report.diagnosis.kind == "mask missing"


def test_of_a_large_tensor_a_sample_is_enough():
    x, w = normal(20, 30), normal(30, 40)
    report = verify_pair(
        lambda x, w: x @ w,
        lambda g, x, w: (g @ w.T, x[-1:].T @ g[-1:]),
        (x, w),
        only="w",
    )
    assert report["w"].size == 1200
    assert report.diagnosis.kind == "last image"


def test_trying_other_inputs_leaves_everything_as_it_was():
    def backward(g, x, w, b):
        return g @ w, x[-1:].T @ g[-1:], g.mean(axis=0)

    report = verify_pair(dense, backward, (X, normal(4, 4), normal(4)))
    kinds = [tensor.diagnosis.kind for tensor in report.tensors]
    assert kinds == ["transposed", "last image", "factor"]


def test_code_that_refuses_other_values_is_diagnosed_all_the_same():
    def forward(x):
        if np.abs(x).max() > 4:
            raise ValueError("too large")
        return np.maximum(x, 0)

    report = verify_pair(forward, lambda g, x: g, X)
    assert report.diagnosis.kind == "mask missing"


def test_of_several_outputs_the_one_without_a_way_back_is_told():
    report = verify_pair(
        lambda x, w: (x @ w, x**2),
        lambda g, x, w: (g[0] @ w.T, x.T @ g[0]),
        (X, W),
        only="x",
    )
    assert report.diagnosis.kind == "part missing"
    assert "from output 1 (of 2)" in report.diagnosis.sentence


def test_a_gradient_that_is_never_returned_is_told():
    report = verify_pair(lambda x, w: x * w, lambda g, x, w: (g * w, None), (X, X + 1))
    assert report.diagnosis.kind == "never computed"
