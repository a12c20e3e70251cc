"""Operations as users call them, with operands, for tests that go through all of them."""

import numpy as np
from agreement import draw, library
from pytorch import torch

import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor

POSITIVE = draw(2, 3) ** 2 + 0.5
LABELS = np.array([0, 2])
MASK = np.array([[True, False, True], [False, True, True]])
IMAGES, KERNELS = draw(2, 2, 5, 5), draw(3, 2, 3, 3)


def functional(x):
    return F if isinstance(x, Tensor) else torch.nn.functional


def written(x, v):
    y = x * 1
    y[0] = v[0]
    return y * x


OPERATIONS = {
    "add": (lambda a, b: a + b, POSITIVE, draw(2, 3)),
    "sub": (lambda a, b: a - b, POSITIVE, draw(3)),
    "mul": (lambda a, b: a * b, POSITIVE, draw(2, 3)),
    "mul broadcast": (lambda a, b: a * b, POSITIVE, draw(3)),
    "mul number": (lambda a: a * 3, POSITIVE),
    "div": (lambda a, b: a / b, draw(2, 3), POSITIVE),
    "pow": (lambda a, b: a**b, POSITIVE, draw(2, 3)),
    "pow number": (lambda a: a**3, draw(2, 3)),
    "rpow": (lambda a: 2**a, draw(2, 3)),
    "neg": (lambda a: -a, draw(2, 3)),
    "exp": (lambda a: a.exp(), draw(2, 3)),
    "log": (lambda a: a.log(), POSITIVE),
    "sqrt": (lambda a: a.sqrt(), POSITIVE),
    "square": (lambda a: a.square(), draw(2, 3)),
    "abs": (lambda a: a.abs(), draw(2, 3)),
    "sigmoid": (lambda a: a.sigmoid(), draw(2, 3)),
    "tanh": (lambda a: a.tanh(), draw(2, 3)),
    "atan": (lambda a: a.atan(), draw(2, 3)),
    "relu": (lambda a: a.relu(), draw(2, 3)),
    "leaky_relu": (lambda a: functional(a).leaky_relu(a), draw(2, 3)),
    "hardtanh": (lambda a: functional(a).hardtanh(a), draw(2, 3)),
    "clamp": (lambda a: a.clamp(-0.5, 0.5), draw(2, 3)),
    "maximum": (lambda a, b: a.maximum(b), draw(2, 3), draw(2, 3, seed=1)),
    "minimum": (lambda a, b: a.minimum(b), draw(2, 3), draw(2, 3, seed=1)),
    "where": (lambda a, b, c: library(a).where(c, a, b), POSITIVE, draw(2, 3), MASK),
    "masked_fill": (lambda a, m: a.masked_fill(m, 2.0) * a, draw(2, 3), MASK),
    "softmax": (lambda a: a.softmax(1), draw(2, 3)),
    "log_softmax": (lambda a: a.log_softmax(1), draw(2, 3)),
    "logsumexp": (lambda a: a.logsumexp(1), draw(2, 3)),
    "sum": (lambda a: a.sum(0), draw(2, 3)),
    "mean": (lambda a: a.mean(1), draw(2, 3)),
    "var": (lambda a: a.var(0), draw(2, 3)),
    "std": (lambda a: a.std(1), draw(2, 3)),
    "norm": (lambda a: a.norm(), draw(2, 3)),
    "amax": (lambda a: a.amax(1), draw(2, 3)),
    "amin": (lambda a: a.amin(0), draw(2, 3)),
    "max": (lambda a: a.max(1).values, draw(2, 3)),
    "matmul": (lambda a, b: a @ b, draw(2, 3), draw(3, 4)),
    "matmul vector": (lambda a, b: a @ b, draw(2, 3), draw(3)),
    "linear": (
        lambda x, w, b: functional(x).linear(x, w, b),
        draw(2, 3),
        draw(4, 3),
        draw(4),
    ),
    "reshape": (lambda a: a.reshape(3, 2), draw(2, 3)),
    "expand": (lambda a: a[:1].expand(4, 3), draw(2, 3)),
    "repeat": (lambda a: a.repeat(2, 1), draw(2, 3)),
    "cat": (lambda a, b: library(a).cat([a, b, a]), draw(2, 3), draw(1, 3)),
    "stack": (lambda a, b: library(a).stack([a, b]), draw(2, 3), draw(2, 3, seed=1)),
    "index": (lambda a, i: a[i], draw(3, 2), np.array([0, 0, 2])),
    "index mask": (lambda a, m: a[m], draw(2, 3), MASK),
    "gather": (lambda a, i: a.gather(1, i), draw(2, 3), np.array([[0, 1], [2, 2]])),
    "setitem": (written, draw(2, 3), draw(2, 3, seed=1)),
    "double": (lambda a: a.float() * 2, draw(2, 3)),
    "pad": (lambda a: functional(a).pad(a, (1, 1)), draw(2, 3)),
    "conv2d": (
        lambda x, w, b: functional(x).conv2d(x, w, b),
        IMAGES,
        KERNELS,
        draw(3),
    ),
    "conv_transpose2d": (
        lambda x, w, b: functional(x).conv_transpose2d(x, w, b),
        IMAGES,
        draw(2, 3, 3, 3),
        draw(3),
    ),
    "max_pool2d": (lambda x: functional(x).max_pool2d(x, 2), IMAGES),
    "avg_pool2d": (lambda x: functional(x).avg_pool2d(x, 2), IMAGES),
    "adaptive_avg_pool2d": (
        lambda x: functional(x).adaptive_avg_pool2d(x, 2),
        IMAGES,
    ),
    "batch_norm": (
        lambda x, w, b: functional(x).batch_norm(x, None, None, w, b, training=True),
        IMAGES,
        POSITIVE[0, :2],
        draw(2),
    ),
    "nll_loss": (
        lambda x, t, w: functional(x).nll_loss(x, t, w.detach()),
        draw(2, 3),
        LABELS,
        POSITIVE[0],
    ),
    "cross_entropy": (
        lambda x, t: functional(x).cross_entropy(x, t, label_smoothing=0.1),
        draw(2, 3),
        LABELS,
    ),
    "mse_loss": (lambda x, t: functional(x).mse_loss(x, t), draw(2, 3), POSITIVE),
    "l1_loss": (lambda x, t: functional(x).l1_loss(x, t), draw(2, 3), POSITIVE),
    "logistic loss": (
        lambda x, t, q: functional(x).binary_cross_entropy_with_logits(
            x, t, pos_weight=q.detach()
        ),
        draw(2, 3),
        1 / POSITIVE,
        POSITIVE[1],
    ),
}
