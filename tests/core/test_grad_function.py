"""`autograd.grad`: gradients handed over instead of left in `.grad`."""

import numpy as np
import pytest
from agreement import alike, draw
from cases import leaf
from each import for_each
from pytorch import refused_by_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn import autograd, tensor
from tinygrad_cnn.errors import AutogradError, GraphFreedError, TinygradError


def test_it_returns_a_tuple_and_leaves_every_grad_alone():
    x, w = leaf(1, 2), leaf(3, 4)
    result = autograd.grad((x * w).sum(), [x, w])
    assert isinstance(result, tuple)
    assert [g.tolist() for g in result] == [[3.0, 4.0], [1.0, 2.0]]
    assert x.grad is None
    assert w.grad is None


PROGRAMS = {
    "one input": lambda lib, x, w: lib.autograd.grad((x * w).sum(), x),
    "two inputs": lambda lib, x, w: lib.autograd.grad((x * w).sum(), [w, x]),
    "the same input twice": lambda lib, x, w: lib.autograd.grad((x * w).sum(), [x, x]),
    "grad_outputs": lambda lib, x, w: lib.autograd.grad(x * w, x, w.detach()),
    "grad_outputs listed": lambda lib, x, w: lib.autograd.grad(
        [x * w], [x], [w.detach()]
    ),
    "several outputs": lambda lib, x, w: lib.autograd.grad(
        [(x * w).sum(), (x * x).sum()], [x, w]
    ),
    "several weighted outputs": lambda lib, x, w: lib.autograd.grad(
        [x * w, x * x], [x, w], [w.detach(), x.detach()]
    ),
    "a None among grad_outputs": lambda lib, x, w: lib.autograd.grad(
        [x * w, x.sum()], [x, w], [w.detach(), None]
    ),
    "the same output twice": lambda lib, x, w: (
        lambda y: lib.autograd.grad([y, y], [x, w])
    )((x * w).sum()),
    "an output that is the input": lambda lib, x, w: lib.autograd.grad(
        x, x, w.detach()
    ),
    "a result as input": lambda lib, x, w: (
        lambda y: lib.autograd.grad((y * y).sum(), [y, x])
    )(x * w),
    "an output as input": lambda lib, x, w: (
        lambda y: lib.autograd.grad([y, (y * y).sum()], [y, x], [w.detach(), None])
    )(x * w),
    "a result after which nothing is asked": lambda lib, x, w: (
        lambda y: lib.autograd.grad((y * w).sum(), y)
    )(x * x),
    "unused allowed": lambda lib, x, w: lib.autograd.grad(
        x.sum(), [x, w], allow_unused=True
    ),
    "unused as zeros": lambda lib, x, w: lib.autograd.grad(
        x.sum(), [x, w], materialize_grads=True
    ),
    "unused as zeros, recorded": lambda lib, x, w: [
        g.detach()
        for g in lib.autograd.grad(
            (x * x).sum(), [x, w], create_graph=True, materialize_grads=True
        )
    ],
    "retained": lambda lib, x, w: (
        lambda y: [
            *lib.autograd.grad(y, x, retain_graph=True),
            *lib.autograd.grad(y, w),
        ]
    )((x * w).sum()),
    "of a view": lambda lib, x, w: lib.autograd.grad(x.T[0].sum(), x),
    "recorded gradients stay usable": lambda lib, x, w: lib.autograd.grad(
        lib.autograd.grad((x * x * w).sum(), x, create_graph=True)[0].sum(), [x, w]
    ),
}


@for_each("name", PROGRAMS)
def test_gradients_are_pytorchs(name):
    alike(PROGRAMS[name], draw(2, 3), draw(2, 3, seed=1))


def test_zeros_for_an_unused_input_are_zeros_even_if_it_is_infinite():
    x, w = leaf(1), leaf(np.inf, np.nan)
    _, zeros = autograd.grad(x.sum(), [x, w], materialize_grads=True)
    assert zeros.tolist() == [0.0, 0.0]


REFUSED = {
    "unused": lambda lib, x, w: lib.autograd.grad(x.sum(), [x, w]),
    "does not ask": lambda lib, x, w: lib.autograd.grad(x.sum(), w.detach()),
    "nothing asks": lambda lib, x, w: lib.autograd.grad(x.detach().sum(), x),
    "several elements": lambda lib, x, w: lib.autograd.grad(x * w, x),
    "shape": lambda lib, x, w: lib.autograd.grad(x * w, x, w[0].detach()),
    "number of grad_outputs": lambda lib, x, w: lib.autograd.grad(
        [x.sum(), w.sum()], x, [None]
    ),
    "allow_unused=False and zeros": lambda lib, x, w: lib.autograd.grad(
        x.sum(), x, allow_unused=False, materialize_grads=True
    ),
    "used up": lambda lib, x, w: (
        lambda y: [lib.autograd.grad(y, x), lib.autograd.grad(y, x)]
    )((x * w).sum()),
    "a number as output": lambda lib, x, w: lib.autograd.grad(2.0, x),
    "a number as input": lambda lib, x, w: lib.autograd.grad(x.sum(), 2.0),
    "a number as gradient": lambda lib, x, w: lib.autograd.grad(x.sum(), x, [2.0]),
}


@for_each("name", REFUSED)
def test_what_pytorch_refuses_is_refused_alike(name):
    arrays = draw(2, 3), draw(2, 3, seed=1)

    def run(library):
        REFUSED[name](library, *[library.tensor(a, requires_grad=True) for a in arrays])

    # An AttributeError is an accident of PyTorch's.
    caught = set(refused_by_pytorch(lambda: run(torch), *arrays)) - {AttributeError}
    with pytest.raises(TinygradError) as refused:
        run(tinygrad_cnn)
    assert isinstance(refused.value, tuple(caught) or Exception)


def test_the_message_for_an_unused_input_says_what_to_do():
    x, w = leaf(1), leaf(2)
    with pytest.raises(AutogradError, match="allow_unused=True"):
        autograd.grad(x.sum(), [x, w])


def test_a_graph_is_used_up_as_by_backward():
    x = leaf(1, 2)
    y = (x * x).sum()
    autograd.grad(y, x)
    with pytest.raises(GraphFreedError):
        y.backward()


def test_hooks_run_and_change_what_is_handed_over():
    for wanted in (0, 1):

        def program(lib, x, wanted=wanted):
            y = x * x
            y.register_hook(lambda g: g * 10)
            x.register_hook(lambda g: g + 1)
            return lib.autograd.grad(y.sum(), (x, y)[wanted])

        alike(program, draw(3))


BATCHED = {
    "alone": {},
    "recorded": {"create_graph": True},
    "kept": {"retain_graph": True},
    "with an unused input": {"allow_unused": True},
    "with zeros for an unused input": {"materialize_grads": True},
}


@pytest.mark.parametrize("case", BATCHED)
def test_batched_gradients_are_pytorchs(case):
    def program(library, x, unused, g, h):
        y, z = x**3, (x * x).sum()
        inputs = [x, unused] if "unused" in case else [x]
        given = g.detach(), h.detach()
        options = BATCHED[case] | {"is_grads_batched": True}
        found = library.autograd.grad([y, z], inputs, given, **options)
        return [d for d in found if d is not None] + [len(found)]

    alike(program, draw(3), draw(2), draw(4, 3), draw(4))


@pytest.mark.parametrize("shapes", [[()], [(2, 1), (3, 1)], [(2, 4)], [(0, 1)]])
def test_what_is_no_batch_of_gradients_is_refused(shapes):
    x = leaf(1)
    given = [tinygrad_cnn.ones(shape, dtype=x.dtype) for shape in shapes]
    with pytest.raises(TinygradError):
        autograd.grad([x * 2] * len(shapes), x, given, is_grads_batched=True)


def test_a_gradient_handed_over_has_memory_of_its_own():
    x, w = leaf(1, 2), leaf(3, 4)
    given = tensor([1.0, 1.0])
    for a, b in (
        autograd.grad(x + w, [x, w], given),
        autograd.grad(x + w, [x, x], given),
    ):
        assert not np.shares_memory(a.numpy(), b.numpy()) or a is b
        assert not np.shares_memory(a.numpy(), given.numpy())


def test_only_the_way_to_the_inputs_is_walked():
    x, w = leaf(1, 2), leaf(3, 4)
    called = []
    side = w * w
    side.register_hook(lambda g: called.append("side"))
    autograd.grad((x * x + side).sum(), x)
    assert called == []
