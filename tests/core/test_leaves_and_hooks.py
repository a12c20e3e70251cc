"""Leaves, detaching, `.data`, and hooks on gradients."""

import numpy as np
import pytest
from agreement import alike, draw, refuses_as_torch
from cases import leaf
from each import for_each

import tinygrad_cnn
from tinygrad_cnn import Tensor, tensor
from tinygrad_cnn.errors import DTypeError, MutationError, TinygradError

# --------------------------------------------------------------------------- leaves

STATES = {
    "plain": lambda lib, x: x.detach(),
    "leaf": lambda lib, x: x,
    "result": lambda lib, x: x * 2,
    "result of plain": lambda lib, x: x.detach() * 2,
    "detached result": lambda lib, x: (x * 2).detach(),
    "clone": lambda lib, x: x.clone(),
    "view": lambda lib, x: x[0],
    "data": lambda lib, x: x.data,
    "asked later": lambda lib, x: x.detach().requires_grad_(),
    "no longer asked": lambda lib, x: x.detach().requires_grad_().requires_grad_(False),
    "asked of a result": lambda lib, x: (x * 2).requires_grad_(),
    "comparison": lambda lib, x: x > 0,
    "copied into": lambda lib, x: lib.zeros(2, 3, dtype=x.dtype).copy_(x),
}


@for_each("name", STATES)
def test_what_is_a_leaf_and_what_asks_is_pytorchs(name):
    def program(lib, x):
        y = STATES[name](lib, x)
        return y.detach(), y.is_leaf, y.requires_grad, y.retains_grad, y.grad_fn is None

    alike(program, draw(2, 3))


@for_each("dtype", [np.int64, np.int32, np.uint8, np.int8, np.bool_])
def test_integers_and_bools_cannot_ask_for_a_gradient(dtype):
    values = np.ones(2, dtype)
    for ask in (
        lambda: tensor(values).requires_grad_(),
        lambda: tensor(values, requires_grad=True),
        lambda: Tensor(values, requires_grad=True),
        lambda: setattr(tensor(values), "requires_grad", True),
        lambda: tinygrad_cnn.ones(2, dtype=dtype, requires_grad=True),
        lambda: tinygrad_cnn.zeros_like(tensor(values), requires_grad=True),
    ):
        with pytest.raises(DTypeError, match="floating point") as refused:
            ask()
        assert isinstance(refused.value, TypeError)
        assert isinstance(refused.value, RuntimeError)
    assert not tensor(values).requires_grad_(False).requires_grad


def test_only_leaves_can_stop_asking():
    refuses_as_torch(
        lambda x: (x * 2).requires_grad_(False), draw(2), requires_grad=True
    )

    def assigned(x):
        y = x * 2
        y.requires_grad = False

    refuses_as_torch(assigned, draw(2), requires_grad=True)


def test_a_leaf_that_stops_asking_after_the_fact_gets_no_gradient():
    def program(lib, x, w):
        y = (x * w).sum()
        x.requires_grad_(False)
        y.backward()
        return x.grad, w.grad

    alike(program, draw(3), draw(3, seed=1))


def test_asking_twice_is_asking_once():
    x = leaf(1)
    assert x.requires_grad_() is x
    (x * x).backward()
    assert x.grad.tolist() == [2.0]


# ------------------------------------------------------------- detaching and `.data`


def test_detach_shares_the_memory_and_cuts_the_graph():
    x = leaf(1, 2)
    y = (x * 2).detach()
    assert not y.requires_grad
    (x * y).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    d = x.detach()
    d[0] = 10.0
    assert x.tolist() == [10.0, 2.0]


def test_a_detached_tensor_may_ask_for_a_gradient_of_its_own():
    def program(lib, x):
        y = (x * x).detach().requires_grad_()
        (y * y * x).sum().backward()
        return x.grad, y.grad

    alike(program, draw(3))


def test_data_is_written_to_without_being_recorded():
    def program(lib, x):
        x.data.mul_(2)
        x.data[0] = 7.0
        x.data -= 1
        y = (x * x).sum()
        y.backward()
        return x.detach(), x.grad, x.is_leaf, x.requires_grad

    alike(program, draw(3))


def test_data_can_be_replaced():
    def program(lib, x):
        x.data = x.data * 2 + 1
        (x * x).sum().backward()
        return x.detach(), x.grad, x.is_leaf, x.requires_grad

    alike(program, draw(3))


def test_replacing_data_in_mid_graph_is_noticed_or_harmless():
    x, w = leaf(1, 2), leaf(3, 4)
    y = (x * w).sum()
    x.data = tensor([50.0, 60.0])
    try:
        y.backward()
    except MutationError as error:
        assert "Mul()" in str(error)
    else:
        assert w.grad.tolist() == [1.0, 2.0]


def test_data_that_was_replaced_is_not_changed_behind_the_back():
    x, new = leaf(1, 2), tensor([3.0, 4.0])
    x.data = new
    y = (x * x).sum()
    new.add_(100)
    try:
        y.backward()
    except MutationError:
        return
    assert x.grad.tolist() == [6.0, 8.0]


def test_a_tensor_made_of_a_tensor_is_not_changed_behind_the_back():
    source = tensor([1.0, 2.0])
    x = Tensor(source, requires_grad=True)
    y = (x * x).sum()
    source.add_(100)
    try:
        y.backward()
    except MutationError:
        return
    assert x.grad.tolist() == [2.0, 4.0]


WRONG_DATA = {
    "an array": lambda: np.ones(2, np.float32),
    "a list": lambda: [1.0, 2.0],
    "a number": lambda: 1.0,
    "integers": lambda: tensor([1, 2]),
}


@for_each("name", WRONG_DATA)
def test_data_of_another_kind_is_refused(name):
    x = leaf(1, 2)
    with pytest.raises((TinygradError, TypeError)) as refused:
        x.data = WRONG_DATA[name]()
    assert isinstance(refused.value, TinygradError)
    assert x.tolist() == [1.0, 2.0]


# ---------------------------------------------------------------------------- hooks


def test_a_hook_sees_the_whole_gradient_once():
    x = leaf(1, 2)
    y = x * x
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * 3 + y * 4).sum().backward()
    assert seen == [[7.0, 7.0]]
    assert x.grad.tolist() == [14.0, 28.0]


HOOKED = {
    "replaces": lambda x, y: y.register_hook(lambda g: g * 10),
    "returns None": lambda x, y: y.register_hook(lambda g: None),
    "on the leaf": lambda x, y: x.register_hook(lambda g: g + 1),
    "two in order": lambda x, y: (
        y.register_hook(lambda g: g * 10),
        y.register_hook(lambda g: g + 1),
    ),
    "two on the leaf": lambda x, y: (
        x.register_hook(lambda g: g * 10),
        x.register_hook(lambda g: g + 1),
    ),
    "removed": lambda x, y: y.register_hook(lambda g: g * 10).remove(),
    "removed twice": lambda x, y: [
        handle.remove() for handle in [y.register_hook(lambda g: g * 10)] * 2
    ],
    "the middle one removed": lambda x, y: [
        y.register_hook(lambda g, k=k: g * k + k) for k in (2, 3, 5)
    ][1].remove(),
    "removed and added again": lambda x, y: (
        y.register_hook(lambda g: g * 7).remove(),
        y.register_hook(lambda g: g * 10),
        y.register_hook(lambda g: g + 1),
    ),
    "the same function twice": lambda x, y: [
        t.register_hook(h) for h in [lambda g: g * 3] for t in (y, y)
    ],
}


@for_each("name", HOOKED)
def test_hooks_are_pytorchs(name):
    def program(lib, x):
        y = x * x
        HOOKED[name](x, y)
        y.retain_grad()
        (y * x).sum().backward(retain_graph=True)
        (y * 2).sum().backward()
        return x.grad

    alike(program, draw(3))


def test_a_retained_gradient_is_what_the_hooks_made_of_it():
    for before in (True, False):

        def program(lib, x, before=before):
            y = x * x
            if before:
                y.retain_grad()
            y.register_hook(lambda g: g * 10)
            if not before:
                y.retain_grad()
            (y * 2).sum().backward()
            return y.grad, x.grad

        alike(program, draw(3))


def test_a_hook_on_the_result_of_backward_runs_too():
    def program(lib, x):
        y = (x * x).sum()
        y.register_hook(lambda g: g * 10)
        y.backward()
        return x.grad

    alike(program, draw(3))


def test_a_hook_may_remove_itself():
    def program(lib, x):
        handles = []
        y = x * x

        def first(g):
            handles[0].remove()
            return g * 2

        handles.append(y.register_hook(first))
        (y * 3).sum().backward(retain_graph=True)
        (y * 3).sum().backward()
        return x.grad

    alike(program, draw(3))


def test_a_hook_may_compute_and_record():
    def program(lib, x):
        y = x * x
        y.register_hook(lambda g: g * x)
        (gradient,) = lib.autograd.grad(y.sum(), x, create_graph=True)
        return lib.autograd.grad(gradient.sum(), x)

    alike(program, draw(3))


def test_without_create_graph_a_hook_records_nothing():
    x = leaf(1, 2)
    asked = []
    x.register_hook(lambda g: asked.append((g * x).requires_grad))
    (x * x).sum().backward()
    assert asked == [False]


def test_a_hook_needs_a_gradient():
    refuses_as_torch(lambda x: x.register_hook(print), draw(2))
    message = refuses_as_torch(lambda x: (x * 2).register_hook(print), draw(2))
    assert "cannot register a hook on a tensor that doesn't require gradient" in message


BAD_HOOKS = {
    "another shape": lambda g: g.sum(),
    "a broadcastable shape": lambda g: g[:1],
    "another dtype": lambda g: g.float(),
    "integers": lambda g: g.long(),
    "a number": lambda g: 2.0,
    "a list": lambda g: [1.0, 1.0, 1.0],
    "an array": lambda g: np.ones(3),
}


@for_each("where", ["leaf", "result"])
@for_each("name", BAD_HOOKS)
def test_a_hook_that_returns_something_unfit_is_refused(name, where):
    def program(x):
        y = x * x
        (x if where == "leaf" else y).register_hook(BAD_HOOKS[name])
        y.sum().backward()

    refuses_as_torch(program, draw(3), requires_grad=True)


def test_a_hook_that_works_in_place_is_refused_or_changes_its_own_gradient_only():
    x, w = leaf(1, 2), leaf(3, 4)
    given = tensor([1.0, 1.0])
    x.register_hook(lambda g: g.mul_(100))
    try:
        (x + w).backward(given)
    except TinygradError:
        return
    assert w.grad.tolist() == [1.0, 1.0]
    assert given.tolist() == [1.0, 1.0]


def test_a_gradient_kept_by_a_hook_stays_as_it_was():
    x = leaf(1, 2)
    kept = []
    x.register_hook(kept.append)
    for _ in range(3):
        (x * x).sum().backward()
    assert [g.tolist() for g in kept] == [[2.0, 4.0]] * 3


def test_hooks_stay_with_the_value_they_were_put_on():
    def program(lib, x):
        y = x * 2
        y.register_hook(lambda g: g * 10)
        y.add_(1)
        y.register_hook(lambda g: g + 1)
        (y * 3).sum().backward()
        return x.grad

    alike(program, draw(3))


def test_gradients_of_unused_hooked_tensors_do_not_run_the_hook():
    x = leaf(1, 2)
    unused = x * 5
    unused.register_hook(lambda g: pytest.fail("no gradient comes here"))
    (x * x).sum().backward()
