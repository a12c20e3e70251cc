"""`nn.functional` of softmax and losses: reductions, weights, ignored labels, smoothing."""

import warnings

import numpy as np
import pytest
from agreement import agree, functional, library, refuses_as_torch
from each import for_each

from tinygrad_cnn import tensor
from tinygrad_cnn.errors import ArgumentError, LabelError
from tinygrad_cnn.nn.functional import cross_entropy, nll_loss

REDUCTIONS = "none", "mean", "sum"


def scores_and_labels(d):
    """(N, C, …) or (C), with labels, some of which are `ignored`."""
    classes, rest = d.int(2, 4), [d.int(1, 3) for _ in range(d.int(0, 2))]
    lead = [d.int(2, 4)] if rest or d.int(0, 3) else []
    labels = d.rng.integers(0, classes, (*lead, *rest))
    ignored = d.of((-100, -1, 0, classes))
    if lead:
        labels = np.where(d.mask(labels.shape), labels, ignored)
        labels[:1] = classes - 1
    options = {"ignore_index": ignored} if ignored != -100 or d.bool() else {}
    return d.values((*lead, classes, *rest), -3, 3), labels, options


def with_weight(program, weight):
    """The class weights as an argument that asks for no gradient."""
    if weight is None:
        return program
    return lambda x, t: program(x, t, weight=library(x).tensor(weight))


def loss(name, **options):
    def program(x, t, **more):
        return getattr(library(x).nn.functional, name)(x, t, **options, **more)

    return program


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
def test_losses_of_class_labels(name, for_drawn):
    @for_drawn(60)
    def _(d):
        x, labels, options = scores_and_labels(d)
        options |= d.some(reduction=d.of(REDUCTIONS))
        if name == "cross_entropy":
            options |= d.some(label_smoothing=d.of((0.0, 0.1, 1.0)))
        classes = x.shape[0 if x.ndim == 1 else 1]
        weight = d.maybe(d.rng.uniform(0.5, 2, classes))
        agree(with_weight(loss(name, **options), weight), x, labels)


def test_cross_entropy_of_class_probabilities(for_drawn):
    @for_drawn(40)
    def _(d):
        classes, rest = d.int(2, 4), [d.int(1, 3) for _ in range(d.int(0, 2))]
        s = (*([d.int(1, 3)] if rest or d.bool() else []), classes, *rest)
        options = d.some(reduction=d.of(REDUCTIONS), label_smoothing=d.of((0.0, 0.2)))
        weight = d.maybe(d.rng.uniform(0.5, 2, classes))
        program = with_weight(loss("cross_entropy", **options), weight)
        agree(program, d.values(s, -3, 3), d.values(s, 0, 1))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_where_every_label_is_ignored_the_mean_is_nan_but_no_gradient(reduction, rng):
    x, labels = rng.standard_normal((3, 4)), np.full(3, -100)
    for scores, ignored in ((x, labels), (x[0], labels[0])):
        agree(loss("nll_loss", reduction=reduction), scores, ignored)
        agree(loss("cross_entropy", reduction=reduction), scores, ignored)
        smoothed = loss("cross_entropy", reduction=reduction, label_smoothing=0.1)
        agree(smoothed, scores, ignored)


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_of_no_images(name, reduction):
    agree(loss(name, reduction=reduction), np.zeros((0, 4)), np.zeros(0, int))


SCORES, LABELS = np.ones((3, 4)), np.array([0, 1, 3])


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
def test_class_losses_refuse_what_pytorch_refuses(name):
    refuses_as_torch(loss(name, reduction="average"), SCORES, LABELS)
    refuses_as_torch(loss(name), SCORES, LABELS[:2])
    refuses_as_torch(loss(name), SCORES, LABELS[:, None])


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
@pytest.mark.parametrize("size", [3, 5])
def test_class_weights_are_one_for_each_class(name, size):
    refuses_as_torch(with_weight(loss(name), np.ones(size)), SCORES, LABELS)


@pytest.mark.parametrize("eps", [-0.1, 1.1])
def test_smoothing_lies_between_0_and_1(eps):
    with pytest.raises(ArgumentError, match=f"between 0.0 and 1.0, got {eps}"):
        cross_entropy(tensor(SCORES), tensor(LABELS), label_smoothing=eps)


def test_class_probabilities_have_the_shape_of_the_scores():
    refuses_as_torch(loss("cross_entropy"), SCORES, np.ones((3, 5)))


@pytest.mark.parametrize("function", [nll_loss, cross_entropy])
def test_labels_out_of_range_are_refused_and_named(function, for_drawn):
    @for_drawn(30)
    def _(d):
        classes = d.int(1, 5)
        label = d.int(-2 * classes, 2 * classes)
        x, t = tensor(d.values((2, classes))), tensor(np.array([0, label]))
        if 0 <= label < classes:
            function(x, t)
        else:
            with pytest.raises(LabelError, match=f"Target {label} is out of bounds"):
                function(x, t)


def test_labels_that_are_no_integers_are_refused(rng):
    x = tensor(rng.standard_normal((2, 3)))
    with pytest.raises(LabelError, match="must be integers"):
        nll_loss(x, tensor([0.0, 1.0]))
    with pytest.raises(LabelError, match="must be integers"):
        nll_loss(x, tensor([True, False]))


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_losses_of_values(name, for_drawn):
    @for_drawn(20)
    def _(d):
        s = d.shape()
        program = functional(name, **d.some(reduction=d.of(REDUCTIONS)))
        agree(program, *d.distinct(s, s))


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_targets_of_another_size_broadcast_with_a_warning(name, rng):
    x, t = rng.standard_normal((3, 2)), rng.standard_normal((3, 1))

    def program(*tensors):
        with pytest.warns(UserWarning, match="different to the input size"):
            return functional(name)(*tensors)

    agree(program, x, t)


def test_binary_cross_entropy_with_logits(for_drawn):
    @for_drawn(40)
    def _(d):
        s = d.shape(1)
        given = d.some(weight=d.values(s, 0.5, 2), pos_weight=d.values(s[-1], 0.5, 3))
        options = d.some(reduction=d.of(REDUCTIONS))

        def program(x, t):
            weights = {k: library(x).tensor(np.array(v)) for k, v in given.items()}
            f = library(x).nn.functional.binary_cross_entropy_with_logits
            return f(x, t, **weights, **options)

        agree(program, d.values(s, -3, 3), d.values(s, 0, 1))


def test_binary_cross_entropy_refuses_targets_of_another_size(rng):
    program = functional("binary_cross_entropy_with_logits")
    refuses_as_torch(program, rng.random((3, 2)), rng.random((3, 1)))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, for_drawn):
    @for_drawn(20)
    def _(d):
        s = d.shape(1)
        dim = d.int(-len(s), len(s) - 1)
        agree(functional(name, dim=dim), d.values(s, -4, 4))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 2), (2, 3, 2, 2)])
def test_softmax_without_dim_chooses_with_a_warning(name, shape, rng):
    def program(x):
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            return functional(name)(x)

    agree(program, rng.standard_normal(shape))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_in_another_dtype(name, rng):
    def program(x):
        return getattr(library(x).nn.functional, name)(x, 1, dtype=library(x).float64)

    agree(program, rng.standard_normal((2, 3)).astype(np.float32))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "hardtanh", "sigmoid", "tanh"])
def test_activations(name, for_drawn):
    more = {
        "leaky_relu": {"negative_slope": 0.2},
        "hardtanh": {"min_val": -0.5, "max_val": 0.75},
    }

    @for_drawn(8)
    def _(d):
        agree(functional(name, **d.some(**more.get(name, {}))), d.values(d.shape()))


@for_each("name", ["mse_loss", "l1_loss"])
def test_a_target_without_axes_widens_the_dtype_as_in_pytorch(name):
    with pytest.warns(UserWarning, match="different to the input size"):
        agree(functional(name), np.array(1.0), np.ones(3, np.float32))


def test_losses_warn_of_nothing_else(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agree(
            loss("cross_entropy"), rng.standard_normal((4, 3)), np.array([0, 2, 1, 1])
        )
