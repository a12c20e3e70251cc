"""A network with one broken operation among ten: the operation is named, wherever it is."""

import dataclasses

import numpy as np
import pytest

import tinygrad_cnn as torch
import tinygrad_cnn.nn as nn
from tinygrad_cnn.kernels import Window
from tinygrad_cnn.ops.activation import ReLU, Tanh
from tinygrad_cnn.ops.classification import LogSoftmax, NLLLoss
from tinygrad_cnn.ops.convolution import Conv2d
from tinygrad_cnn.ops.linear import Linear
from tinygrad_cnn.ops.normalization import BatchNorm
from tinygrad_cnn.ops.pooling import MaxPool2d, SumPool2d
from tinygrad_cnn.ops.shape import Reshape
from tinygrad_cnn.verify import verify


class Step(nn.Module):
    """One operation, with the module's parameters after its input."""

    def __init__(self, op, *shapes, constants=()):
        super().__init__()
        self.op, self.constants = op, constants
        for i, shape in enumerate(shapes):
            self.register_parameter(f"p{i}", nn.Parameter(torch.randn(*shape) * 0.5))

    def forward(self, x):
        return self.op(x, *self._parameters.values(), *self.constants)


def steps():
    """Ten operations that follow each other, from images to a loss."""
    labels = np.array([1, 0, 3])
    return [
        Step(Conv2d(padding=(1, 1)), (4, 2, 3, 3), (4,)),
        Step(BatchNorm(1e-5), (4,), (4,)),
        Step(ReLU()),
        Step(MaxPool2d(Window((2, 2), (2, 2)))),
        Step(Conv2d(), (3, 4, 2, 2), (3,)),
        Step(Tanh()),
        Step(SumPool2d(Window((2, 2), (1, 1)))),
        Step(Reshape((3, -1))),
        Step(Linear(), (5, 3), (5,)),
        nn.Sequential(Step(LogSoftmax(1)), Step(NLLLoss(), constants=(labels, None))),
    ]


def broken(op, rule):
    """The operation with a gradient rule that is off by a tenth of a percent."""
    kind = type(op)
    right = kind.rules[rule].function
    names = ["self", "g", *[need.name for need in kind.rules[rule].needs]]
    scope = {"right": right}
    exec(
        f"def wrong({', '.join(names)}): return right({', '.join(names)}) * 1.001",
        scope,
    )
    wrong = type(f"Broken{kind.__name__}", (kind,), {f"grad_{rule}": scope["wrong"]},
                 register=False)  # fmt: skip
    return dataclasses.dataclass(frozen=True)(wrong)(
        **{f.name: getattr(op, f.name) for f in dataclasses.fields(op)}
    )


def net_with(place, rule=None):
    torch.manual_seed(0)
    model = nn.Sequential(*steps())
    if place is not None:
        step = model[place][0] if place == 9 else model[place]
        step.op = broken(step.op, rule)
    return model


def images():
    return np.random.default_rng(0).normal(size=(3, 2, 6, 6))


def test_the_network_is_right_as_it_is():
    report = verify(net_with(None), images())
    assert report, report
    assert report.culprit is None


@pytest.mark.parametrize(
    ("place", "rule"),
    [
        *[(place, "x") for place in (0, 3, 5, 9)],
        (0, "w"),
        (4, "b"),
        (1, "gamma"),
        *[pytest.param(k, "x", marks=pytest.mark.slow) for k in (1, 2, 4, 6, 7, 8)],
        pytest.param(8, "w", marks=pytest.mark.slow),
    ],
)
def test_the_broken_operation_is_named_with_its_module_and_line(place, rule):
    only = "input" if rule == "x" else f"{place}.p{int(rule == 'b')}"
    report = verify(net_with(place, rule), images(), only=only)
    assert not report
    culprit = report.culprit
    assert culprit.operation.startswith("Broken")
    assert culprit.module == ("9.0" if place == 9 else str(place))
    assert culprit.where.startswith(__file__)
    assert [t.name for t in culprit.reports if not t] == [rule]
    wrong = next(t for t in culprit.reports if not t)
    assert wrong.diagnosis.kind == "factor"
    assert f"is Broken{culprit.operation[6:]} in {culprit.module}" in str(report)


def test_of_two_broken_operations_the_first_is_named():
    model = net_with(3, "x")
    model[5].op = broken(model[5].op, "x")
    assert verify(model, images(), only="input").culprit.module == "3"


def test_a_value_that_is_cut_out_of_the_graph_is_named():
    report = verify(lambda x: x * x.detach().exp(), np.array([0.3, -0.7, 1.1]))
    assert not report
    assert report.culprit is None
    assert "takes as a constant what depends on x" in report.notes[0]
    assert "Mul" in report.notes[0]


def test_a_gradient_changed_by_a_hook_is_no_operations_fault():
    def function(x):
        y = x * 2
        y.register_hook(lambda g: g * 3)
        return y.sum()

    report = verify(function, np.ones(3))
    assert not report
    assert report.culprit is None
    assert "each operation alone is right" in report.notes[0]
    assert report["x"].diagnosis.kind == "factor"
