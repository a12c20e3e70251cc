"""`verify`: what it takes, what it leaves alone, and that its verdict can be trusted."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_cnn as torch
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, DTypeError
from tinygrad_cnn.ops.base import Op, registry
from tinygrad_cnn.verify import verify


class Scaled(Op, register=False):
    """y = 3 a, with a gradient that claims another factor."""

    def __init__(self, claimed):
        self.claimed = claimed

    def forward(self, a):
        return 3 * a

    def grad_a(self, g):
        return g * self.claimed


class Net(nn.Module):
    loss = staticmethod(F.nll_loss)

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2)
        self.dense = nn.Linear(8, 3)

    def forward(self, x):
        h = F.dropout(F.relu(self.norm(self.conv(x))), 0.25, self.training)
        return F.log_softmax(self.dense(h.flatten(1)), 1)


def images(dtype=np.float64):
    return np.random.default_rng(0).normal(size=(3, 1, 4, 4)).astype(dtype)


LABELS = np.array([0, 2, 1])

# ------------------------------------------------------------------ what it takes


def test_a_function_of_several_inputs_by_the_names_of_its_parameters():
    rng = np.random.default_rng(0)
    report = verify(
        lambda left, right: left @ right,
        (rng.normal(size=(2, 3)), rng.normal(size=(3, 4))),
    )
    assert report
    assert [(t.name, t.checked) for t in report.tensors] == [("left", 6), ("right", 12)]


def test_tensors_arrays_and_other_arguments():
    x, labels = torch.randn(3, 4), torch.tensor(LABELS)
    report = verify(F.cross_entropy, {"input": x, "target": labels})
    assert report
    assert [t.name for t in report.tensors] == ["input"]


def test_any_nesting_of_outputs():
    def function(x):
        return {"a": [x.exp(), (x * 2,)], "labels": x.argmax(), "b": x.sum()}

    assert verify(function, np.arange(3.0))


def test_a_module_with_its_loss_every_input_and_every_named_parameter():
    report = verify(Net(), images(), labels=LABELS)
    assert report, report
    names = [
        "x",
        "conv.weight",
        "norm.weight",
        "norm.bias",
        "dense.weight",
        "dense.bias",
    ]
    assert [t.name for t in report.tensors] == names


class Scores(nn.Module):
    """A model as PyTorch's tutorials write it: scores, and the loss stands elsewhere."""

    def __init__(self, last=lambda scores: scores):
        super().__init__()
        self.conv, self.dense, self.last = nn.Conv2d(1, 2, 3), nn.Linear(8, 3), last

    def forward(self, x):
        return self.last(self.dense(F.relu(self.conv(x)).flatten(1)))


@pytest.mark.parametrize("last", [None, F.log_softmax], ids=["scores", "log-softmax"])
def test_with_labels_alone_the_loss_is_cross_entropy(last):
    model = Scores() if last is None else Scores(lambda scores: last(scores, 1))
    report = verify(model, images(), labels=LABELS)
    expected = verify(model, images(), labels=LABELS, loss=F.cross_entropy)
    assert report, report
    found, right = (
        [(t.name, t.verdict) for t in r.tensors] for r in (report, expected)
    )
    assert found == right
    assert [name for name, _ in found] == ["x", *dict(model.named_parameters())]
    worst = [[t.worst.numerical for t in r.tensors] for r in (report, expected)]
    assert worst[0] == worst[1]


def test_a_function_with_labels_alone_is_given_cross_entropy_too():
    scores = np.random.default_rng(0).normal(size=(3, 4))
    report = verify(lambda x: 2 * x, scores, labels=LABELS)
    assert report, report
    p = np.exp(2 * scores) / np.exp(2 * scores).sum(axis=1, keepdims=True)
    gradient = 2 * (p - np.eye(4)[LABELS]) / 3  # of the mean over three images
    worst = report["x"].worst
    cotangent = worst.claimed / gradient[worst.index]
    assert 0.5 <= abs(cotangent) <= 1.5
    report = verify(lambda x: 2 * x, scores, labels=LABELS, loss=F.cross_entropy)
    assert report["x"].worst == worst


def test_labels_for_a_result_are_refused():
    x = torch.ones(3, 4, requires_grad=True)
    with pytest.raises(ArgumentError, match="labels are for a model or a function"):
        verify(x.sum(), labels=LABELS)


def test_frozen_parameters_are_left_out():
    model = Net()
    model.conv.requires_grad_(False)
    names = [t.name for t in verify(model, images(), labels=LABELS).tensors]
    assert "conv.weight" not in names and "dense.weight" in names


def test_a_loss_already_computed_even_after_its_backward():
    model, x, slope = Net().double(), torch.tensor(images()), torch.ones(3)
    slope = slope.double().requires_grad_()
    loss = F.nll_loss(model(x) * slope, torch.tensor(LABELS))
    loss.backward()
    report = verify(loss)
    assert report, report
    assert {t.name for t in report.tensors} == {
        "slope",
        *[f"model.{name}" for name, _ in model.named_parameters()],
    }


def test_leaves_can_be_named_and_chosen():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    report = verify((a * b).sum(), {"first": a})
    assert [t.name for t in report.tensors] == ["first"]


def test_only_some_of_the_tensors():
    report = verify(Net(), images(), labels=LABELS, only="dense.weight")
    assert [t.name for t in report.tensors] == ["dense.weight"]
    with pytest.raises(
        ArgumentError, match=r"no dens to check; there are x, conv\.weight"
    ):
        verify(Net(), images(), labels=LABELS, only="dens")


def test_what_cannot_be_verified_is_refused_in_a_sentence():
    with pytest.raises(
        DTypeError, match="takes a function, a Module or a Tensor, not int"
    ):
        verify(3)
    with pytest.raises(ArgumentError, match="nothing to check"):
        verify(lambda x: x * 1.0, torch.tensor([1, 2]))
    with pytest.raises(ArgumentError, match="must return a floating Tensor"):
        verify(lambda x: x.argmax(), np.ones(2))
    with pytest.raises(ArgumentError, match="requires no gradient"):
        verify(torch.ones(2))
    with pytest.raises(ArgumentError, match="order is 1 or 2"):
        verify(torch.exp, np.ones(2), order=3)


def test_a_captured_float32_tensor_is_explained():
    w = torch.ones(4, 3)
    with pytest.raises(ValueError) as caught:
        verify(lambda x: F.linear(x, w), np.ones((2, 3)))
    assert "pass it as an input" in caught.value.__notes__[0]


# ---------------------------------------------------------------- what it leaves alone


def test_the_model_the_inputs_and_the_random_numbers_stay_as_they_were():
    model, x = Net(), images(np.float32)
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    kept = x.copy()
    torch.manual_seed(5)
    expected = torch.rand(3).tolist()
    torch.manual_seed(5)
    verify(model, x, labels=LABELS)
    assert torch.rand(3).tolist() == expected
    np.testing.assert_array_equal(x, kept)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert all(p.grad is None for p in model.parameters())


def test_buffers_of_a_module_that_a_function_closes_over_stay_too():
    norm = nn.BatchNorm2d(1).double()
    assert verify(lambda x: norm(x) ** 2, images())
    assert norm.num_batches_tracked.item() == 0
    assert norm.running_mean.tolist() == [0.0]


# ------------------------------------------------------------- whether it can be trusted


@pytest.mark.parametrize("claimed", [0.0, -3.0, 2.9, 3.00001, 6.0, np.nan, np.inf])
def test_a_wrong_factor_is_wrong(claimed):
    report = verify(Scaled(claimed), np.array([0.5, -2.0]))
    assert not report
    nearly = claimed == 3.00001
    assert report["a"].verdict == ("nearly right" if nearly else "wrong")
    assert len(report["a"].wrong) == 2


class Raised(Op, register=False):
    """y = a + c: the larger c, the less the digits of y tell of a."""

    def __init__(self, c, claimed=1.0):
        self.c, self.claimed = c, claimed

    def forward(self, a):
        return a + self.c

    def grad_a(self, g):
        return g * self.claimed


def test_a_mistake_just_above_what_the_differences_can_tell_is_found():
    a = np.array([0.5, -2.0, 1.0])
    right = verify(Raised(1e5), a)
    assert right, right
    worst = right["a"].worst
    # the outputs are rounded to ε c / 2, and that is divided by a step of about ε^⅓
    estimated = (worst.truncation + worst.rounding) / abs(worst.claimed)
    eps = np.finfo(float).eps
    assert eps ** (2 / 3) * 1e5 / 10 < estimated < eps ** (2 / 3) * 1e5 * 10
    for error, is_right in ((0.1, True), (6, False), (-6, False)):
        report = verify(Raised(1e5, 1 + error * estimated), a)
        assert bool(report) == is_right, (error, report)


def test_where_the_outputs_have_too_few_digits_the_verdict_is_unclear():
    report = verify(Raised(1e10), np.array([0.5, -2.0, 1.0]))
    assert not report
    assert report["a"].verdict == "unclear"
    assert not report["a"].is_wrong
    assert report["a"].unclear == 3 and report["a"].wrong == ()
    assert "3 entries are unclear: the differences are too noisy" in str(report)
    assert report.culprit is None


def test_noise_that_comes_from_within_is_measured():
    """y = a, with an error of 1e8 ε from cancellation, which the size of y hides."""
    a = np.random.default_rng(0).uniform(1, 2, 20)
    report = verify(lambda a: a * 1e8 - a * (1e8 - 1), a)
    assert not report["a"].is_wrong, report
    assert report["a"].worst.rounding > 1e8 * np.finfo(float).eps


@pytest.mark.parametrize("function", [torch.tanh, torch.exp, lambda a: (a * a).sum()])
def test_an_entry_that_is_right_takes_two_runs(function):
    a = np.random.default_rng(0).normal(size=(4, 5))
    report = verify(function, a)
    assert report
    levels = 5  # of the worst entry: steps of 1, 1/8, … down to 1/4096
    assert 2 * a.size <= report.runs <= 2 * a.size + 2 * levels


class Noisy(Op, register=False):
    """y = a, and noise of a known size that is another for each value of a."""

    def __init__(self, noise, claimed=1.0):
        self.noise, self.claimed = noise, claimed

    def forward(self, a):
        return a + self.noise * np.sin(1e17 * a)

    def grad_a(self, g):
        return g * self.claimed


STEP = np.finfo(float).eps ** (1 / 3)
"""The first step of differences in float64, of values about 1."""


@pytest.mark.parametrize("size", [6, 2000])  # entry by entry, and in random sums
def test_the_noise_of_the_outputs_excuses_what_it_explains(size):
    a = np.random.default_rng(0).uniform(0.5, 1, size)
    report = verify(Noisy(1e-10), a)
    assert report, report
    # An entry moves one output, whose difference is off by up to twice the noise.
    assert 0.1 * 1e-10 / STEP < report["a"].max_abs_error < 1.5 * 1e-10 / STEP


def test_an_entry_off_by_more_than_twice_its_estimated_error_is_wrong():
    a = np.random.default_rng(0).uniform(0.5, 1, 6)
    excused = verify(Noisy(1e-10), a)["a"].worst.rounding
    report = verify(Noisy(1e-10, 1 + 5 * excused), a)
    assert report["a"].verdict == "nearly right", report
    # In the random sums of a large tensor as well, where it is the only mistake: there an
    # entry has a share of a seventh or so, the root of one of 47.
    a = np.random.default_rng(0).uniform(0.5, 1, 3000)
    excused = verify(Noisy(1e-11), a)["a"].worst.rounding
    claimed = np.ones(3000)
    claimed[1234] -= 60 * excused
    report = verify(Noisy(1e-11, claimed), a)
    assert report["a"].wrong == ((1234,),), report
    assert report["a"].checked > 256  # it was not in the sample, but a sum was off


def test_where_the_noise_is_too_large_to_decide_the_verdict_is_unclear():
    report = verify(Noisy(1e-7), np.array([0.5, -0.75]))
    assert report["a"].verdict == "unclear"
    assert report["a"].unclear == 2
    assert not report
    assert not report["a"].is_wrong
    assert "2 entries are unclear: the differences are too noisy" in str(report)
    # Within the noise nothing is shown to be wrong; far beyond it, it is.
    assert verify(Noisy(1e-7, 1.01), np.array([0.5]))["a"].verdict == "unclear"
    assert verify(Noisy(1e-7, 9.0), np.array([0.5]))["a"].verdict == "wrong"


def test_a_softmax_whose_backward_is_zero_does_not_pass():
    class Softmax(Op, register=False):
        def forward(self, x):
            return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

        def grad_x(self, g, y):
            return g * 0.0

    x = np.random.default_rng(0).normal(size=(2, 3))
    report = verify(Softmax(), x)
    assert not report
    assert report.diagnosis.kind == "zero"


def test_one_wrong_entry_among_many_is_found_by_the_screen():
    class OffAt(Op, register=False):
        """y = a², with one entry of the gradient off by a hundred-thousandth."""

        def forward(self, a):
            return a * a

        def grad_a(self, g, a):
            d = 2 * g * a
            d[123, 45] *= 1 + 1e-5
            return d

    a = np.random.default_rng(0).uniform(0.5, 1.5, (300, 200))
    report = verify(OffAt(), a)
    assert report["a"].wrong == ((123, 45),)
    assert report["a"].checked < a.size / 10
    assert "all in 64 sums" in report["a"].coverage


def test_the_largest_and_the_last_entries_are_among_the_sample():
    a = np.zeros((50, 40))
    a[7, 7] = 1000.0
    assert verify(lambda a: a * a, a, sample=8)["a"].worst.index == (7, 7)


def test_a_large_right_tensor_is_right_and_says_what_was_looked_at():
    a = np.random.default_rng(0).normal(size=(100, 30))
    report = verify(lambda a: torch.tanh(a).sum(0), a)
    assert report
    assert report["a"].coverage == "256 of 3,000, all in 64 sums"
    assert 0 < report["a"].sensitivity < 1e-4


def test_float32_models_are_checked_in_float64_and_their_rounding_is_told_apart():
    report = verify(Net(), images(np.float32), labels=LABELS)
    assert report
    assert "checked on a float64 copy of float32" in report.title
    assert 1e-9 < report["dense.weight"].low_precision < 1e-4
    assert report["dense.weight"].max_rel_error < 1e-8


def test_float32_can_be_checked_as_it_is():
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    assert verify(torch.tanh, x, dtype=np.float32)
    assert not verify(Scaled(3.1), x, dtype=np.float32)


@pytest.mark.parametrize("step", [1e-1, 1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("function", [torch.exp, torch.sigmoid, torch.log, torch.atan])
def test_no_step_makes_a_right_gradient_wrong(function, step):
    x = np.random.default_rng(0).uniform(0.2, 3, (4, 5))
    report = verify(function, x, step=step)
    assert report, report
    worst = report.tensors[0].worst
    assert abs(worst.claimed - worst.numerical) <= 4 * (
        worst.truncation + worst.rounding
    )


def test_a_gradient_that_is_zero_but_for_rounding_is_called_zero():
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2))
    report = verify(model, images())
    assert report, report
    assert report["0.bias"].verdict == "zero"


def test_an_input_that_is_not_used_is_unused_and_one_that_is_cut_off_is_wrong():
    report = verify(lambda a, b: a * 2, (np.ones(2), np.ones(3)))
    assert report
    assert report["b"].verdict == "unused"
    report = verify(lambda a, b: a * b.detach(), (np.ones(2), np.ones(2)))
    assert report["b"].verdict == "wrong"
    assert report["b"].never_computed


def test_the_second_order_is_checked_on_request():
    class OnceOnly(Op, register=False):
        """y = a³; the gradient is right, but its own gradient takes a² for a constant."""

        def forward(self, a):
            return a**3

        def grad_a(self, g, a):
            return g * (a if isinstance(a, np.ndarray) else a.detach()) ** 2 * 3

    a = np.array([0.5, -1.5])
    assert verify(OnceOnly(), a)
    report = verify(OnceOnly(), a, order=2)
    assert not report
    assert [t.name for t in report.tensors if not t] == ["a (second order)"]
    assert verify(lambda a: a**3, a, order=2)


def test_randomness_is_held_still_and_true_nondeterminism_is_said():
    torch.manual_seed(0)
    assert verify(lambda x: F.dropout(x, 0.5), np.ones(20))
    counter = iter(range(100))
    report = verify(lambda x: x * next(counter), np.ones(2))
    assert not report
    assert "not deterministic" in str(report)


def test_values_that_are_not_finite_are_said():
    report = verify(torch.log, np.array([-1.0, 1.0]))
    assert not report
    assert "not finite" in str(report)


def test_a_backward_that_raises_is_a_finding():
    class Raising(Op, register=False):
        def forward(self, a):
            return a * 2

        def grad_a(self, g):
            raise ZeroDivisionError("no idea")

    report = verify(Raising(), np.ones(2))
    assert report["a"].verdict == "failed"
    assert "ZeroDivisionError: no idea" in str(report)


def test_a_gradient_of_another_shape_is_wrong():
    class Unsummed(Op, register=False):
        def forward(self, x, b):
            return x + b

        def grad_x(self, g):
            return g

        def grad_b(self, g):
            return g

    report = verify(Unsummed(), (np.ones((4, 3)), np.ones(3)))
    assert report["b"].verdict == "wrong shape"
    assert report.diagnosis.kind == "not summed"


def test_a_custom_function_is_verified_like_a_built_in_one():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x)
            ctx.factor = factor
            return factor * x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * ctx.factor * 3 * x**2, None

    class Wrong(Cube):
        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x**2, None

    x = np.array([0.5, -1.0, 2.0])
    assert verify(lambda x: Cube.apply(x, 2.0), x, order=2)
    report = verify(lambda x: torch.relu(Wrong.apply(x.exp(), 2.0)).sum(), x)
    assert not report
    assert "Wrong" in report.culprit.operation
    assert report.diagnosis.kind == "factor"


# -------------------------------------------------------------------- what it returns


def test_the_report_as_a_dict_as_json_and_as_junit():
    report = verify(Scaled(2.0), np.array([0.5, -2.0]))
    values = json.loads(report.to_json())
    assert values["right"] is False
    (tensor,) = values["tensors"]
    assert tensor["verdict"] == "wrong"
    assert tensor["wrong"] == [[0], [1]]
    assert tensor["worst"]["claimed"] / tensor["worst"]["numerical"] == pytest.approx(
        2 / 3
    )
    assert values["culprit"]["where"].startswith(__file__)
    suite = ElementTree.fromstring(report.to_junit())[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert "2 of 2 entries are wrong" in suite[0][0].text


def test_the_report_prints_as_a_table_with_the_worst_entry_and_both_values():
    text = str(verify(Scaled(2.4), np.array([0.5, -2.0])))
    assert text.startswith("Scaled")
    assert "a (wrong)" in text
    assert "2 of 2 entries are wrong; the worst: [" in text
    assert "true gradient times" in text


def test_the_same_seed_gives_the_same_report():
    first, second = (
        verify(Net().double(), images(), seed=3, labels=LABELS) for _ in "ab"
    )
    torch.manual_seed(0)
    model = Net().double()
    first, second = (verify(model, images(), seed=3, labels=LABELS) for _ in "ab")
    first.seconds = second.seconds = 0.0
    assert first.to_json() == second.to_json()


def test_an_operation_of_the_users_own_may_be_any_class():
    class Twice(Op):
        def forward(self, a):
            return a * 2

        def grad_a(self, g):
            return g * 3

    try:
        report = verify(Twice(), np.array([0.5, -2.0]))
    finally:
        del registry["Twice"]
    assert not report
    assert report.diagnosis.kind == "factor"


def test_a_tensor_that_the_report_does_not_have_is_named():
    report = verify(lambda x: (x * x).sum(), np.array([1.0, 2.0]))
    with pytest.raises(ArgumentError, match="no tensor 'y'; it has x"):
        report["y"]
