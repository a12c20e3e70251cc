"""Large scores stay finite, infinite ones are PyTorch's, small divisors lose nothing."""

import numpy as np
from agreement import agree, library
from each import for_each

LARGE = {"float32": 1e4, "float64": 1e300}


def functional(name, *args, **kwargs):
    def call(x, *tensors):
        return getattr(library(x).nn.functional, name)(x, *tensors, *args, **kwargs)

    return call


OF_SCORES = {
    "softmax": functional("softmax", 1),
    "log_softmax": functional("log_softmax", 1),
    "logsumexp": lambda x: x.logsumexp(1),
    "logsumexp of all": lambda x: x.logsumexp((0, 1)),
    "sigmoid": lambda x: x.sigmoid(),
    "tanh": lambda x: x.tanh(),
    "atan": lambda x: x.atan(),
}

OF_SCORES_AND_LABELS = {
    "cross_entropy": functional("cross_entropy"),
    "smoothed cross_entropy": functional("cross_entropy", label_smoothing=0.1),
    "summed cross_entropy": functional("cross_entropy", reduction="sum"),
}


def finite_and_as_in_pytorch(program, *arrays):
    def checked(*tensors):
        y = program(*tensors)
        assert np.isfinite(y.detach().numpy()).all()
        return y

    agree(checked, *arrays)


def large(dtype):
    """Scores of either sign and of very different size, in rows of 4."""
    size = LARGE[dtype]
    rows = [
        [size, -size, 0.0, 1.0],
        [-size, -size, -size, -size],
        [size, size, 0.5 * size, -size],
        [0.1, 0.2, -size, 0.3],
        [1.0, -2.0, 0.5, size],
    ]
    return np.array(rows, dtype)


@for_each("dtype", LARGE)
@for_each("name", OF_SCORES)
def test_large_scores_stay_finite(name, dtype):
    finite_and_as_in_pytorch(OF_SCORES[name], large(dtype))


@for_each("dtype", LARGE)
@for_each("name", OF_SCORES_AND_LABELS)
def test_losses_of_large_scores_stay_finite(name, dtype):
    labels = np.array([1, 3, 0, 2, 3])
    x = large(dtype) if dtype == "float32" else large(dtype) / 8
    finite_and_as_in_pytorch(OF_SCORES_AND_LABELS[name], x, labels)


@for_each("dtype", LARGE)
def test_the_logistic_loss_of_large_logits_stays_finite(dtype):
    targets = np.tile(np.array([0.0, 1.0, 0.25, 1.0], dtype), (5, 1))
    loss = functional("binary_cross_entropy_with_logits", reduction="none")
    finite_and_as_in_pytorch(loss, large(dtype), targets)


@for_each("name", OF_SCORES)
@for_each("value", [-np.inf, np.inf, np.nan])
def test_scores_that_are_not_finite(name, value):
    agree(OF_SCORES[name], np.array([[0.5, value, 1.0], [0.1, 0.2, 0.3]]))


@for_each("name", OF_SCORES_AND_LABELS)
def test_scores_of_minus_infinity_rule_out_a_class(name):
    x = np.array([[0.5, -np.inf, 1.0], [0.1, 0.2, 0.3]])
    agree(OF_SCORES_AND_LABELS[name], x, np.array([2, 0]))


@for_each("name", ["softmax", "log_softmax", "logsumexp"])
def test_rows_of_minus_infinity_alone(name):
    agree(OF_SCORES[name], np.full((2, 3), -np.inf))


@for_each("size", [1e-25, 1e-15, 1e15, 1e25])
def test_quotients_of_small_or_large_numbers_keep_their_gradients(size):
    a = np.array([1.0, -2.0, 3.0], np.float32) * np.float32(size)
    b = np.array([2.0, 3.0, -4.0], np.float32) * np.float32(size)
    finite_and_as_in_pytorch(lambda a, b: a / b * size, a, b)
