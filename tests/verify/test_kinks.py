"""Kinks are told from mistakes exactly: by the branches taken, whatever the step.

The net is conv, ReLU, max pooling, dense, NLL, in float64. Its pre-activations are computed
here by loops, so that the test knows by itself which entries cross a corner at which step.
"""

import itertools
import warnings

import numpy as np
import pytest

import tinygrad_cnn as torch
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.kernels import Window
from tinygrad_cnn.ops.activation import Keep, ReLU
from tinygrad_cnn.ops.pooling import MaxPool2d
from tinygrad_cnn.verify import verify

STEPS = 1e-2, 1e-3, 1e-5
LABELS = np.array([2, 0])


def net(x, w, b, v, c):
    h = F.max_pool2d(F.relu(F.conv2d(x, w, b)), 2)
    return F.nll_loss(
        F.log_softmax(F.linear(h.flatten(1), v, c), 1), torch.tensor(LABELS)
    )


def point(corner):
    """Inputs of which one pre-activation is `corner` away from the corner of the ReLU.

    It is the largest of its pooling window, so that its gradient counts.
    """
    rng = np.random.default_rng(0)
    b, v, c = rng.normal(size=2), rng.normal(size=(3, 8)), rng.normal(size=3)
    b[0], largest = 0.0, 0
    while largest != 3:
        x, w = rng.normal(size=(2, 1, 6, 6)), rng.normal(size=(2, 1, 3, 3))
        largest = convolved(x, w, b)[0, 0, :2, :2].argmax()
    b[0] = corner - convolved(x, w, b)[0, 0, 1, 1]
    return {"x": x, "w": w, "b": b, "v": v, "c": c}


def convolved(x, w, b):
    n, _, height, width = x.shape
    y = np.zeros((n, w.shape[0], height - 2, width - 2))
    for i, o, row, column in np.ndindex(y.shape):
        y[i, o, row, column] = b[o] + np.sum(
            x[i, :, row : row + 3, column : column + 3] * w[o]
        )
    return y


def branches(p):
    """Which pre-activations are positive, and which of each window is the largest."""
    y = convolved(p["x"], p["w"], p["b"])
    windows = np.maximum(y, 0).reshape(2, 2, 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5)
    return y > 0, windows.reshape(2, 2, 2, 2, 4).argmax(-1)


def crosses(p, name, k, h):
    """Whether the step of ±h in this entry changes a branch."""
    here = branches(p)
    for sign in (1, -1):
        moved = {key: value.copy() for key, value in p.items()}
        moved[name].flat[k] += sign * h * max(abs(p[name].flat[k]), 1)
        if any(
            not np.array_equal(a, b) for a, b in zip(here, branches(moved), strict=True)
        ):
            return True
    return False


def last_step(step):
    """The smallest that is tried: eighths of the first, down to 1/4096 of the usual one."""
    smallest = min(step, np.finfo(float).eps ** (1 / 3)) / 4096
    while step / 8 >= smallest:
        step /= 8
    return step


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("corner", [0.0, 1e-12, -1e-10, 1e-6, 3e-4, 5e-3])
def test_no_false_alarm_and_no_missed_kink(step, corner):
    p = point(corner)
    report = verify(net, p, step=step)
    assert report, report
    for name in ("x", "w", "b"):
        tried = last_step(step)
        expected = {k for k in range(p[name].size) if crosses(p, name, k, tried)}
        found = {
            int(np.ravel_multi_index(kink.index, p[name].shape))
            for kink in report[name].kinks
        }
        assert found == expected, name
        assert report[name].checked == p[name].size
    if corner == 0:
        assert len(report["w"].kinks) == 9  # every weight moves the value on the corner
    if abs(corner) > 1e-7:
        assert not any(tensor.kinks for tensor in report.tensors)


def test_a_kink_is_named_with_its_operation_element_and_distance():
    report = verify(net, point(2e-10))
    corner = report["b"].kinks[0].corners[0]
    assert (corner.operation, corner.element) == ("relu", (0, 0, 1, 1))
    assert corner.distance == pytest.approx(2e-10, rel=1e-3)
    assert "relu, element (0, 0, 1, 1): 2.0e-10 from it" in str(report)


@pytest.mark.parametrize("step", STEPS)
def test_a_mistake_is_found_at_every_step_and_point(step):
    class Leaking(ReLU, register=False):
        """Lets a hundredth of the gradient through where it should let none."""

        def grad_x(self, g, y):
            return Keep()(g, y > 0) + Keep()(g * 0.01, y <= 0)

    def wrong(x, w, b, v, c):
        h = F.max_pool2d(Leaking()(F.conv2d(x, w, b)), 2)
        return F.nll_loss(
            F.log_softmax(F.linear(h.flatten(1), v, c), 1), torch.tensor(LABELS)
        )

    p = point(1e-10)
    p["b"] -= 2.0  # so that many windows are negative as a whole
    report = verify(wrong, p, step=step)
    assert not report
    assert report.culprit.operation.startswith("Leaking")


@pytest.mark.parametrize("step", STEPS)
def test_pytorchs_gradcheck_fails_at_points_that_are_verified_here(step):
    pytorch = pytest.importorskip("torch")
    functional = pytorch.nn.functional

    def theirs(x, w, b, v, c):
        h = functional.max_pool2d(functional.relu(functional.conv2d(x, w, b)), 2)
        y = functional.log_softmax(functional.linear(h.flatten(1), v, c), 1)
        return functional.nll_loss(y, pytorch.tensor(LABELS))

    p = point(step / 10)
    assert verify(net, p, step=step)
    inputs = [pytorch.tensor(a, requires_grad=True) for a in p.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not pytorch.autograd.gradcheck(
            theirs, inputs, eps=step, raise_exception=False
        )


def test_ties_of_max_pooling_are_kinks():
    x = np.zeros((1, 1, 2, 4))
    x[..., 2:] = [[1, 4], [2, 3]]
    report = verify(lambda x: F.max_pool2d(x, 2), x)
    assert report
    assert {kink.index for kink in report["x"].kinks} == set(
        itertools.product([0], [0], [0, 1], [0, 1])
    )
    assert report["x"].kinks[0].corners[0].distance == 0


@pytest.mark.parametrize(
    ("function", "corner"),
    [
        (torch.relu, 0.0),
        (torch.abs, 0.0),
        (torch.sign, 0.0),
        (lambda x: F.leaky_relu(x, 0.2), 0.0),
        (F.hardtanh, 1.0),
        (F.hardtanh, -1.0),
        (lambda x: x.clamp(min=0.25), 0.25),
        (lambda x: torch.maximum(x, torch.full_like(x, 0.5)), 0.5),
        (lambda x: torch.minimum(x, torch.full_like(x, 0.5)), 0.5),
        (lambda x: torch.where(x > 0.5, x * 2, x), 0.5),
        (lambda x: x * (x > 0.5), 0.5),
        (lambda x: F.l1_loss(x, torch.full_like(x, 0.3), reduction="none"), 0.3),
        (lambda x: x.max() * torch.ones(4, dtype=torch.float64), 1.5),
        (lambda x: x.amin(0) * torch.ones(4, dtype=torch.float64), -1.6),
    ],
)
def test_every_operation_that_switches_tells_its_corner(function, corner):
    x = np.array([-1.6, corner, 1.5, 0.7])
    report = verify(function, {"x": x})
    assert report, report
    kinks = [kink.index for kink in report["x"].kinks]
    assert kinks == (
        [(1,), (2,)] if corner == 1.5 else [(0,), (1,)] if corner == -1.6 else [(1,)]
    )


def test_a_program_that_takes_another_way_is_a_kink():
    report = verify(lambda x: x * 2 if x[0].item() > 0 else x.exp(), np.zeros(2))
    assert report
    assert "the program itself takes another way" in str(report)


def test_a_corner_crossed_by_the_first_step_only_is_no_kink():
    report = verify(torch.relu, {"x": np.array([1e-3, -1e-6, 1.0])}, step=1e-2)
    assert report
    assert report["x"].kinks == ()


def test_a_rule_that_is_wrong_only_at_ties_is_found_by_moving_all_values_alike():
    class Generous(MaxPool2d, register=False):
        """Every value that ties gets the whole of g."""

        def grad_x(self, g, x, y):
            d = np.zeros_like(x)
            for i, j, row, column in np.ndindex(2, 2, 2, 2):
                at = np.s_[:, :, 2 * i + row, 2 * j + column]
                d[at] += g[:, :, i, j] * (x[at] == y[:, :, i, j])
            return d

    flat, window = np.zeros((1, 1, 4, 4)), Window((2, 2), (2, 2))
    flat[..., 2:] = np.arange(8.0).reshape(4, 2)
    report = verify(Generous(window), flat)
    assert report["x"].verdict == "wrong"
    assert report["x"].wrong == ()
    assert "the kinks are wrong" in str(report)
    assert verify(MaxPool2d(window), flat)
