"""Changes in place: PyTorch's values and gradients, or refused before anything changes."""

import numpy as np
import pytest
from agreement import agree, both, draw, library, refuses_as_torch, same, torch
from each import for_each

from tinygrad_cnn import Tensor, no_grad, tensor, zeros
from tinygrad_cnn.errors import AutogradError, MutationError, TinygradError


def fill_by_iteration(y):
    for row in y:
        row.fill_(2.0)
    return y


def augmented(operator):
    def apply(y, v):
        scope = {"y": y, "v": v}
        if operator == "+=":
            y += v
        elif operator == "-=":
            y -= v
        elif operator == "*=":
            y *= v
        elif operator == "/=":
            y /= v
        else:
            y **= v
        assert y is scope["y"]
        return y

    return apply


WITH_OPERAND = {
    "add_": lambda y, v: y.add_(v),
    "add_ alpha": lambda y, v: y.add_(v, alpha=3),
    "sub_": lambda y, v: y.sub_(v),
    "sub_ alpha": lambda y, v: y.sub_(v, alpha=0.5),
    "mul_": lambda y, v: y.mul_(v),
    "div_": lambda y, v: y.div_(v),
    "copy_": lambda y, v: y.copy_(v),
    "+=": augmented("+="),
    "-=": augmented("-="),
    "*=": augmented("*="),
    "/=": augmented("/="),
    "**=": augmented("**="),
    "atan2_": lambda y, v: y.atan2_(v),
    "lerp_": lambda y, v: y.lerp_(v, v * 2),
    "clamp_ tensor": lambda y, v: y.clamp_(v),
    "setitem": lambda y, v: y.__setitem__(slice(None), v),
}

ALONE = {
    "clamp_": lambda y: y.clamp_(-0.5, 0.5),
    "relu_": lambda y: y.relu_(),
    "sin_": lambda y: y.sin_(),
    "exp_": lambda y: y.exp_(),
    "round_": lambda y: y.round_(decimals=1),
    "masked_fill_": lambda y: y.masked_fill_(y > 0, 2),
    "cumsum_": lambda y: y.cumsum_(1),
    "zero_": lambda y: y.zero_(),
    "fill_": lambda y: y.fill_(3.0),
    "fill_ 0-d": lambda y: y.fill_(library(y).tensor(3.0)),
    "add_ number": lambda y: y.add_(2),
    "sub_ number": lambda y: y.sub_(2),
    "mul_ number": lambda y: y.mul_(2),
    "div_ number": lambda y: y.div_(2),
    "add_ itself": lambda y: y.add_(y),
    "copy_ itself": lambda y: y.copy_(y),
    "setitem number": lambda y: y.__setitem__(0, 1.0),
    "setitem all": lambda y: y.__setitem__(..., 1.0),
}


def refused_or_same(program, *arrays):
    """PyTorch's result and gradients, or one of our errors: never something else."""
    try:
        agree(program, *arrays)
    except (TinygradError, RuntimeError) as error:  # a RuntimeError is PyTorch's
        return error
    return None


@for_each("name", WITH_OPERAND)
@for_each("shape", [(2, 3), (3,), (1, 1), ()], ids=str)
def test_on_a_result_values_and_gradients_are_pytorchs(name, shape):
    def program(x, v):
        y = x * 2
        WITH_OPERAND[name](y, v)
        return y * x

    error = refused_or_same(program, draw(2, 3), draw(*shape, seed=1) ** 2 + 0.5)
    # What x += v needs is never overwritten by it.
    assert error is None or name in ("mul_", "div_", "*=", "/=", "**=")


@for_each("name", ALONE)
def test_without_operand_values_and_gradients_are_pytorchs(name):
    def program(x):
        y = x * 2
        ALONE[name](y)
        return y * x

    error = refused_or_same(program, draw(2, 3))
    assert error is None or name in ("clamp_", "copy_ itself")


@for_each("name", ["mul_", "div_", "*=", "/="])
def test_multiplying_a_result_in_place_trains_as_in_pytorch(name):
    def program(x, v):
        y = x * 2
        return WITH_OPERAND[name](y, v) * 3

    agree(program, draw(2, 3), draw(2, 3, seed=1) ** 2 + 0.5)


def test_clamping_a_result_in_place_trains_as_in_pytorch():
    agree(lambda x: (x * 2).clamp_(-0.5, 0.5) * 3, draw(2, 3))


@for_each("name", WITH_OPERAND)
def test_a_plain_tensor_that_takes_in_a_gradient_becomes_a_result(name):
    def program(v):
        y = library(v).ones(2, 3, dtype=v.dtype)
        WITH_OPERAND[name](y, v)
        return y * v

    refused_or_same(program, draw(2, 3) ** 2 + 0.5)


@for_each("name", [*WITH_OPERAND, *ALONE])
@for_each("dtype", [np.float32, np.float64, np.int64, np.int32, np.uint8])
def test_on_plain_tensors_values_and_dtypes_are_pytorchs(name, dtype):
    for other in (np.float32, np.float64, np.int64, np.uint8, np.bool_):
        x, z = both(np.array([[4, 6], [2, 8]], dtype))
        y, w = both(np.array([1, 2], other))
        for run in (WITH_OPERAND, ALONE):
            if name not in run:
                continue
            operands = ((x, y), (z, w)) if run is WITH_OPERAND else ((x,), (z,))
            try:
                run[name](*operands[1])
                run[name](*operands[0])
            except (TinygradError, RuntimeError):
                continue  # what either refuses
            same(x, z)


@for_each("name", [*WITH_OPERAND, *ALONE])
def test_a_leaf_refuses_before_anything_is_changed(name):
    x, z = both(draw(2, 3), requires_grad=True)
    run = WITH_OPERAND.get(name) or ALONE[name]
    for t, ones in ((z, torch.ones(2, 3)), (x, Tensor(np.ones((2, 3))))):
        operands = (t, ones) if name in WITH_OPERAND else (t,)
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            run(*operands)
    np.testing.assert_array_equal(x.detach().numpy(), draw(2, 3))
    assert x.is_leaf


@for_each("name", [*WITH_OPERAND, *ALONE])
def test_under_no_grad_a_leaf_changes_and_stays_a_leaf(name):
    x, z = both(draw(2, 3) ** 2, requires_grad=True)
    ones = both(np.full((2, 3), 1.5))
    run = WITH_OPERAND.get(name) or ALONE[name]
    with no_grad():
        run(x, ones[0]) if name in WITH_OPERAND else run(x)
    with torch.no_grad():
        run(z, ones[1]) if name in WITH_OPERAND else run(z)
    same(x, z)
    assert x.is_leaf


def test_a_comparison_in_place_leaves_a_constant_that_asks_for_a_gradient():
    x, z = both(draw(3), requires_grad=True)
    for t in (x, z):
        y = t * 2
        y.gt_(0)
        assert y.requires_grad
        y.sum().backward()
    same(x.grad, z.grad)


@for_each("name", ["normal_", "uniform_", "zero_", "fill_", "copy_"])
def test_overwriting_a_result_forgets_its_history(name):
    arguments = {"fill_": (2.0,), "copy_": (np.ones(3),)}.get(name, ())
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    getattr(y, name)(*arguments)
    (y.sum() + (x * x).sum()).backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_normal_and_uniform_have_their_moments():
    x = zeros(20_000).normal_(3.0, 0.5)
    assert abs(x.mean().item() - 3.0) < 0.02
    assert abs(x.std().item() - 0.5) < 0.02
    x.uniform_(-1.0, 3.0)
    assert -1.0 <= x.min().item() < -0.99
    assert 2.99 < x.max().item() < 3.0
    assert abs(x.mean().item() - 1.0) < 0.05


def test_the_method_returns_the_tensor_itself():
    x = zeros(3)
    calls = [x.add_(1), x.sub_(1), x.mul_(2), x.div_(2), x.zero_(), x.fill_(1)]
    calls += [x.copy_(x), x.clamp_(0, 1), x.relu_(), x.normal_(), x.uniform_()]
    assert all(result is x for result in calls)


# ---------------------------------------------------------------- views and overlaps

VIEWS = {
    "row": lambda t: t[0],
    "slice": lambda t: t[:, 1:],
    "reshape": lambda t: t.reshape(-1),
    "transpose": lambda t: t.T,
    "unsqueeze": lambda t: t.unsqueeze(0),
    "narrow": lambda t: t.narrow(0, 0, 1),
    "split": lambda t: t.split(1)[0],
    "unbind": lambda t: t.unbind()[1],
    "view of a view": lambda t: t.T[0][1:],
}


@for_each("name", VIEWS)
@for_each("changed", ["the view", "the base"])
@for_each("computed", [True, False])
def test_through_a_view_the_gradient_is_pytorchs_or_refused(name, changed, computed):
    def program(x):
        base = x * 2 if computed else library(x).ones(2, 3, dtype=x.dtype)
        view = VIEWS[name](base)
        if changed == "the view":
            view += x.sum()
        else:
            base += x
        return base * x + (view * view).sum()

    refused_or_same(program, draw(2, 3))


@for_each("name", VIEWS)
def test_a_view_of_a_leaf_is_not_changed_while_recording(name):
    leaf = tensor(draw(2, 3), requires_grad=True)
    before = leaf.detach().clone().numpy()
    view = VIEWS[name](leaf)
    with pytest.raises(AutogradError, match="a view of a leaf"):
        view += 1
    np.testing.assert_array_equal(leaf.detach().numpy(), before)


def test_what_a_view_taken_in_no_grad_changes_is_refused_where_the_graph_sees_it():
    base = tensor(draw(2, 3), requires_grad=True) * 2
    with no_grad():
        view = base.view(-1)
    with pytest.raises(AutogradError, match="without being recorded"):
        view += 1


@for_each("name", VIEWS)
def test_under_no_grad_a_view_of_a_leaf_changes_the_leaf(name):
    x, z = both(draw(2, 3), requires_grad=True)
    with no_grad():
        VIEWS[name](x).mul_(2).add_(1)
    with torch.no_grad():
        VIEWS[name](z).mul_(2).add_(1)
    same(x, z)


def test_expanded_memory_is_never_written_to():
    for expanded in (
        tensor([1.0]).expand(3),
        tensor([[1.0], [2.0]]).expand(2, 3),
        tensor([1.0, 2.0]).expand(3, 2)[1:],
    ):
        before = expanded.tolist()
        for change in (
            lambda t: t.add_(1),
            lambda t: t.zero_(),
            lambda t: t.__setitem__(0, 5.0),
            lambda t: t.copy_(t * 2),
            lambda t: t.data.mul_(2),
        ):
            with pytest.raises(AutogradError, match=r"expanded|read-only"):
                change(expanded)
        assert expanded.tolist() == before


def test_a_tensor_added_to_its_own_transpose_is_added_as_it_was():
    x = tensor(draw(3, 3))
    x.add_(x.T)  # PyTorch refuses: the memory overlaps
    np.testing.assert_array_equal(x.numpy(), draw(3, 3) + draw(3, 3).T)


REFUSED = {
    "int += float": (lambda x: x.long().add_(0.5)),
    "int += float tensor": (lambda x: x.long().add_(x)),
    "int /= int": (lambda x: x.long().div_(2)),
    "bool += int": (lambda x: x.bool().add_(2)),
    "does not broadcast": (lambda x: x.add_(library(x).ones(4))),
    "grows": (lambda x: x[0].add_(x)),
    "copy_ grows": (lambda x: x[0].copy_(x)),
    "clamp_ nothing": (lambda x: x.clamp_()),
}


@for_each("name", REFUSED)
def test_what_does_not_fit_in_place_is_refused_as_in_pytorch(name):
    refuses_as_torch(REFUSED[name], draw(2, 3))


def test_a_changed_operand_is_found_out_even_through_detach_and_data():
    for change in (
        lambda t: t.detach().add_(1),
        lambda t: t.data.add_(1),
        lambda t: t.detach()[:1].add_(1),
        lambda t: t.data.__setitem__(0, 5.0),
    ):
        x = tensor([1.0, 2.0], requires_grad=True)
        y = x * x
        change(x)
        with pytest.raises(MutationError, match=r"Mul\(\)"):
            y.sum().backward()


@for_each("changed", ["itself", "its view", "its base"])
def test_a_gradient_that_is_kept_is_that_of_what_it_became(changed):
    def program(x):
        base = x * 2
        y = base[:1] if changed == "its base" else base
        y.retain_grad()
        target = {"itself": y, "its view": y[0], "its base": base}[changed]
        target.mul_(3)
        (y * y).sum().backward()
        return y.grad

    x, z = both(draw(2, 3), requires_grad=True)
    same(program(x), program(z))
