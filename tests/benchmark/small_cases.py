"""Small cases of every kind, and a plan that takes no time."""

from tinygrad_cnn.benchmark.cases import Case
from tinygrad_cnn.benchmark.layers import (
    Average,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    LogSoftmax,
    Pool,
    Relu,
    Residual,
)
from tinygrad_cnn.benchmark.rounds import Plan

LAYERS = [Conv(3, 3, 1), Relu(), Conv(2, 3), Pool()]
LAYERS += [Flatten(), Linear(5), Relu(), Linear(4)]
NORMED = [Conv(3, 3), Relu(), BatchNorm(), Flatten()]
NORMED += [Linear(5), Relu(), BatchNorm(), Linear(4)]
"""Without a ReLU between them the second norm would undo the shift of the first."""

INNER = (Conv(4, 3, 1, stride=2, groups=2, bias=False), BatchNorm())
RESIDUAL = [Residual(INNER, (Conv(4, 1, stride=2),)), Relu()]
RESIDUAL += [Residual((Conv(4, 3, 1),)), Average(), Flatten(), Linear(4)]


def small(kind, layers=LAYERS, **more):
    return Case("small", kind, "a small net", 6, (2, 8, 8), tuple(layers), **more)


SMALL = {
    "training": small("training"),
    "from-log-probabilities": small("training", (*LAYERS, LogSoftmax())),
    "adam-and-norm": small("training", NORMED, optimizer="adam"),
    "epoch": small("training", (*LAYERS, LogSoftmax()), epoch=2),
    "residual": small("training", RESIDUAL),
    "inference": small("inference", (*LAYERS, LogSoftmax())),
    "operation": small("operation", [Conv(3, 3)]),
    "pool": small("operation", [Pool()]),
    "norm": small("operation", [BatchNorm()]),
    "loss": Case("loss", "operation", "a loss", 6, (4,), (LogSoftmax(),)),
    "chain": Case("chain", "chain", "a chain", 1, (10,), length=20),
}

QUICK = Plan(rounds=3, round_seconds=0.001, pause=0.0)
