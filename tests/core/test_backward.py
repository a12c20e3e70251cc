"""`backward`: where gradients arrive, how they add up, and when a graph is used up."""

import weakref
from dataclasses import dataclass

import numpy as np
import pytest
from agreement import alike, draw, refuses_as_torch
from cases import leaf
from each import for_each
from pytorch import refused_by_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn import autograd, no_grad, tensor
from tinygrad_cnn.errors import AutogradError, GraphFreedError, TinygradError
from tinygrad_cnn.ops.base import Op

# --------------------------------------------------------------------- accumulation


def test_a_gradient_is_none_until_it_is_computed():
    x = leaf(1, 2)
    y = (x * x).sum()
    assert x.grad is None
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert y.grad is None
    assert not x.grad.requires_grad


def test_gradients_of_several_passes_add_up_in_the_leaves():
    def program(library, x):
        for factor in (1, 2, 3):
            (x * x * factor).sum().backward()
        return x.grad

    alike(program, draw(3))


def test_accumulation_keeps_the_tensor_in_grad_the_same():
    x = leaf(1, 2)
    (x * 3).sum().backward()
    grad = x.grad
    (x * 4).sum().backward()
    assert x.grad is grad
    assert grad.tolist() == [7.0, 7.0]


def test_every_use_of_a_tensor_counts_once():
    def program(library, x):
        y = x * x
        z = y + y * y + y
        (z * y + x).sum().backward()
        return x.grad

    alike(program, draw(4))


def test_both_operands_being_the_same_tensor_counts_twice():
    def gradient(use):
        def program(library, x):
            use(library, x).sum().backward()
            return x.grad

        return program

    for use in (
        lambda library, x: x + x,
        lambda library, x: x - x,
        lambda library, x: x * x,
        lambda library, x: x / x,
        lambda library, x: x.maximum(x),
        lambda library, x: x @ x,
        lambda library, x: library.cat([x, x, x]),
    ):
        alike(gradient(use), draw(2))


def test_unused_leaves_and_constants_get_no_gradient():
    x, unused, constant = leaf(1, 2), leaf(3, 4), tensor([5.0, 6.0])
    (x * constant).sum().backward()
    assert unused.grad is None
    assert constant.grad is None
    assert x.grad.tolist() == [5.0, 6.0]


def test_a_gradient_of_zero_is_zero_and_not_none():
    x = leaf(1, 2)
    (x * 0).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_setting_grad_to_none_or_zero_starts_again():
    x = leaf(1, 2)
    (x * 3).sum().backward()
    x.grad = None
    (x * 4).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]
    x.grad.zero_()
    (x * 5).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_a_gradient_of_ones_own_is_added_to():
    x = leaf(1, 2)
    x.grad = tensor([10.0, 20.0])
    (x * 3).sum().backward()
    assert x.grad.tolist() == [13.0, 23.0]


def test_a_gradient_of_ones_own_on_memory_that_cannot_be_written_is_added_to_or_refused():
    for given in (
        tensor([10.0]).expand(2),
        tinygrad_cnn.from_numpy(np.broadcast_to(np.float32(10), (2,))),
        tinygrad_cnn.from_numpy(np.full(2, 10, np.float32)),
    ):
        x = leaf(1, 2)
        x.grad = given
        try:
            (x * 3).sum().backward()
        except TinygradError:
            continue
        assert x.grad.tolist() == [13.0, 13.0]


WRONG_GRADS = {
    "another shape": lambda x: np.ones(3, np.float32),
    "broadcastable": lambda x: np.ones((1, 2), np.float32),
    "another dtype": lambda x: np.ones(2, np.float64),
    "integers": lambda x: np.ones(2, np.int64),
}


@for_each("name", WRONG_GRADS)
def test_a_gradient_of_ones_own_must_fit(name):
    x = tensor(np.ones(2, np.float32), requires_grad=True)
    wrong = WRONG_GRADS[name](x)

    def assigned():
        z = torch.ones(2, requires_grad=True)
        z.grad = torch.tensor(wrong)

    assert RuntimeError in refused_by_pytorch(assigned)
    with pytest.raises(TinygradError) as refused:
        x.grad = tensor(wrong)
    assert isinstance(refused.value, RuntimeError)
    assert x.grad is None


def test_a_gradient_of_ones_own_must_be_a_tensor():
    x = leaf(1, 2)
    for wrong in (np.ones(2, np.float32), [1.0, 2.0], 1.0):
        with pytest.raises(TypeError):
            x.grad = wrong
    assert x.grad is None


def test_no_gradient_shares_memory_with_another_or_with_what_was_given():
    x, y = leaf(1, 2), leaf(3, 4)
    given = tensor([1.0, 1.0])
    z = x + y
    z.retain_grad()
    z.backward(given)
    arrays = [t.numpy() for t in (x.grad, y.grad, z.grad, given)]
    for i, a in enumerate(arrays):
        for b in arrays[i + 1 :]:
            assert not np.shares_memory(a, b)
    x.grad.zero_()
    assert y.grad.tolist() == given.tolist() == z.grad.tolist() == [1.0, 1.0]


def test_no_gradients_recorded_for_higher_orders_share_memory():
    x, y = leaf(1, 2), leaf(3, 4)
    (x + y).sum().backward(create_graph=True)
    a, b = autograd.grad((x + y).sum(), [x, y])
    arrays = [t.detach().numpy() for t in (x.grad, y.grad, a, b)]
    for i, first in enumerate(arrays):
        for second in arrays[i + 1 :]:
            assert not np.shares_memory(first, second)


def test_a_gradient_that_nobody_else_holds_is_not_copied():
    made = []

    @dataclass(frozen=True)
    class Scale(Op, register=False):
        def forward(self, x):
            return x * 3

        def grad_x(self, g):
            made.append(weakref.ref(d := g * 3))
            return d

    x = leaf(1, 2)
    Scale()(x).sum().backward()
    assert made[0]() is x.grad._array
    Scale()(x).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    assert made[1]() is None


@for_each("sees", ["itself", "a view", "a hook", "another leaf"])
def test_a_gradient_that_somebody_else_holds_is_copied(sees):
    held = []

    @dataclass(frozen=True)
    class Sum(Op, register=False):
        def forward(self, x, y):
            return x + y

        def grad_x(self, g):
            d = g * 3
            held.extend({"itself": [d], "a view": [d[1:]]}.get(sees, []))
            return d

        def grad_y(self, g):
            return g

    x, y = leaf(1, 2), leaf(3, 4)
    if sees == "a hook":
        x.register_hook(lambda g: held.append(g.numpy()))
    if sees == "another leaf":
        (x + y).backward(tensor([3.0, 3.0]))
        held.append(y.grad.numpy())
    else:
        Sum()(x, y).sum().backward()
    assert not np.shares_memory(held[0], x.grad.numpy())
    x.grad.zero_()
    assert (held[0] == 3).all()


# ---------------------------------------------------------------- the given gradient


def test_a_gradient_weighs_the_elements_of_the_result():
    def program(library, x, g):
        (x * x).backward(g.detach())
        return x.grad

    alike(program, draw(2, 3), draw(2, 3, seed=1))


def test_one_element_of_any_shape_needs_no_gradient():
    for shape in ((), (1,), (1, 1, 1)):
        x = tensor(np.full(shape, 3.0), requires_grad=True)
        (x * x).backward()
        assert x.grad.shape == shape
        assert x.grad.item() == 6.0


def test_the_gradient_is_taken_in_the_dtype_of_the_result():
    for dtype in (np.float32, np.float64):
        for given in (np.float32, np.float64, np.int64):
            gradient = np.array([3, 4], given)

            def program(library, x, gradient=gradient):
                (x * 2).backward(library.tensor(gradient))
                return x.grad

            alike(program, np.array([1, 2], dtype))


def test_a_leaf_can_be_the_result():
    def program(library, x):
        x.backward(library.ones(3, dtype=x.dtype) * 2)
        x.sum().backward()
        return x.grad

    alike(program, draw(3))


REFUSED = {
    "several elements": lambda x: (x * 2).backward(),
    "no elements": lambda x: (x[:0] * 2).backward(),
    "nothing asks": lambda x: (x.detach() * 2).sum().backward(),
    "a leaf that does not ask": lambda x: x.detach().sum().backward(),
    "gradient of another shape": lambda x: (x * 2).backward(x[0].detach()),
    "gradient that broadcasts": lambda x: (x * 2).backward(x[:1].detach()),
    "no inputs": lambda x: (x * 2).sum().backward(inputs=[]),
    "inputs that do not ask": lambda x: (x * 2).sum().backward(inputs=[x.detach()]),
}


@for_each("name", REFUSED)
def test_what_has_no_gradient_is_refused_as_in_pytorch(name):
    message = refuses_as_torch(REFUSED[name], draw(2, 3), requires_grad=True)
    if name == "several elements":
        assert "grad can be implicitly created only for scalar outputs" in message


@for_each("given", [2.0, 1, [1.0, 1.0], np.ones(2, np.float32), "a"])
def test_a_gradient_that_is_no_tensor_is_refused(given):
    x = leaf(1, 2)
    for y in (x * 2, (x * 2).sum()):
        with pytest.raises(TypeError) as refused:
            y.backward(given)
        assert isinstance(refused.value, TinygradError)


def test_a_refused_backward_leaves_graph_and_gradients_alone():
    x = leaf(1, 2)
    y = x * x
    with pytest.raises(AutogradError):
        y.backward()
    assert x.grad is None
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


# ------------------------------------------------------------------- a graph used up


def test_a_second_backward_says_that_the_graph_is_used_up_and_what_to_do():
    x = leaf(1, 2)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphFreedError, match="retain_graph=True") as refused:
        y.backward()
    assert isinstance(refused.value, RuntimeError)
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_refused_second_backward_has_not_added_anything():
    x, w = leaf(1, 2), leaf(3, 4)
    y = x * w
    y.sum().backward()
    before = x.grad.tolist(), w.grad.tolist()
    for again in (y.sum(), (y * y + x).sum(), (x + y).sum()):
        with pytest.raises(GraphFreedError):
            again.backward()
    assert (x.grad.tolist(), w.grad.tolist()) == before


def test_retaining_the_graph_gives_exactly_double():
    values = draw(5)
    x = tensor(values, requires_grad=True)
    y = (x.exp() * x.sigmoid()).sum()
    y.backward(retain_graph=True)
    once = x.grad.clone()
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once.numpy())
    y.backward()
    with pytest.raises(GraphFreedError):
        y.backward()


def test_two_losses_over_one_trunk_need_the_trunk_retained():
    x = leaf(1, 2)
    trunk = x * x
    first, second = trunk.sum(), (trunk * 3).sum()
    first.backward()
    with pytest.raises(GraphFreedError, match=r"Mul\(\)"):
        second.backward()

    def program(library, x):
        trunk = x * x
        first, second = trunk.sum(), (trunk * 3).sum()
        first.backward(retain_graph=True)
        second.backward()
        return x.grad

    alike(program, draw(3))


def test_two_losses_that_share_only_leaves_are_independent():
    x = leaf(1, 2)
    first, second = (x * x).sum(), (x * 3).sum()
    first.backward()
    second.backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_a_used_up_graph_still_gives_values():
    x = leaf(1, 2)
    y = x * x
    y.sum().backward()
    assert y.tolist() == [1.0, 4.0]
    assert not y.is_leaf


def test_create_graph_retains_unless_told_otherwise():
    x = leaf(2)
    y = (x * x * x).sum()
    y.backward(create_graph=True)
    y.backward()
    with pytest.raises(GraphFreedError):
        y.backward()
    z = (x * x * x).sum()
    z.backward(create_graph=True, retain_graph=False)
    with pytest.raises(GraphFreedError):
        z.backward()


# --------------------------------------------------------------------- higher orders

FUNCTIONS = {
    "cube": lambda x: x * x * x,
    "power": lambda x: x.abs() ** 3.5,
    "exp": lambda x: (x * 0.5).exp() * x,
    "log": lambda x: (x * x + 1).log(),
    "sqrt": lambda x: (x * x + 1).sqrt(),
    "div": lambda x: x / (x * x + 2),
    "rdiv": lambda x: 1 / (x * x + 2),
    "sigmoid": lambda x: x.sigmoid() * x,
    "tanh": lambda x: x.tanh() * x,
    "atan": lambda x: x.atan() * x,
    "rpow": lambda x: 2**x * x,
    "tensor power": lambda x: (x * x + 1) ** (x * 0.3),
    "matmul": lambda x: (x @ x.T) @ x * x,
    "sum mean": lambda x: x.sum(0) * x.mean(1, keepdim=True) * x,
    "var": lambda x: x.var(0) * x * x,
    "softmax": lambda x: x.softmax(1) * x * x,
    "log_softmax": lambda x: x.log_softmax(0) * x,
    "logsumexp": lambda x: x.logsumexp(1, keepdim=True) * x * x,
    "index": lambda x: x[[0, 0, 1]] * x[[1, 0, 1]] * x[0],
    "max": lambda x: x.max(1).values ** 3,
    "amax": lambda x: x.amax(0) ** 3,
    "relu": lambda x: x.relu() ** 3,
    "clamp": lambda x: x.clamp(-0.5, 0.5) ** 3 * x,
    "maximum": lambda x: x.maximum(x * x) ** 2 * x,
    "reshape": lambda x: x.reshape(1, -1).T.flatten() ** 3,
    "expand": lambda x: (x[:1].expand(3, 3) * x) ** 2,
    "norm": lambda x: x.norm() * x,
}


@for_each("name", FUNCTIONS)
def test_gradients_of_gradients_to_the_third_order(name):
    def program(library, x, v):
        y, found = FUNCTIONS[name](x).sum(), []
        for order in range(3):
            (g,) = library.autograd.grad(
                y, x, create_graph=True, allow_unused=True, materialize_grads=True
            )
            found.append(g.detach())
            y = (g * (v.detach() + order)).sum()
            if not y.requires_grad:
                break
        return found

    alike(program, draw(3, 3) + 0.05, draw(3, 3, seed=5))


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
def test_the_gradient_of_create_graph_is_a_graph():
    def program(library, x):
        (x * x * x).sum().backward(create_graph=True)
        penalty = (x.grad * x.grad).sum()
        gradient = x.grad.detach().clone()
        x.grad = None
        penalty.backward()
        return gradient, x.grad

    alike(program, draw(3))


def test_a_gradient_that_depends_on_nothing_is_a_constant():
    x = leaf(1, 2)
    (g,) = autograd.grad((x * 3).sum(), x, create_graph=True)
    assert g.tolist() == [3.0, 3.0]
    (x * x).sum().backward()
    x.grad = None
    assert not (x.detach() * 3).requires_grad


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
def test_accumulating_a_recorded_gradient_keeps_its_history():
    def program(library, x):
        (x * x * x).sum().backward(create_graph=True)
        (x * x).sum().backward(create_graph=True)
        total = x.grad
        x.grad = None
        (total * total).sum().backward()
        return x.grad

    alike(program, draw(3))


def test_an_expression_of_a_gradient_notices_that_it_was_accumulated_into():
    x = leaf(1, 2)
    (x * x).sum().backward()
    w = leaf(3, 4)
    y = (x.grad * w).sum()
    (x * x).sum().backward()  # adds to x.grad in place
    with pytest.raises(tinygrad_cnn.errors.MutationError):
        y.backward()


# ---------------------------------------------------------------- only some inputs


def test_inputs_restricts_where_gradients_arrive():
    def program(library, x, w):
        (x * w * w).sum().backward(inputs=[w])
        first = w.grad.clone()
        (x * w * w).sum().backward(inputs=x)
        return x.grad, w.grad, first

    alike(program, draw(3), draw(3, seed=1))

    x, w = leaf(1, 2), leaf(3, 4)
    (x * w).sum().backward(inputs=[w])
    assert x.grad is None


def test_inputs_may_be_results_which_then_keep_their_gradient():
    def program(library, x):
        y = x * x
        (y * y).sum().backward(inputs=[y])
        assert x.grad is None
        return y.grad, y.retains_grad

    alike(program, draw(3))


def test_inputs_may_hold_a_result_and_a_leaf_behind_it():
    def program(library, x):
        y = x * x
        (y * y + x).sum().backward(inputs=[x, y])
        return x.grad, y.grad

    alike(program, draw(3))


def test_inputs_that_are_not_used_stay_without_gradient():
    x, unused = leaf(1, 2), leaf(3, 4)
    (x * x).sum().backward(inputs=[x, unused])
    assert unused.grad is None
    assert x.grad.tolist() == [2.0, 4.0]


def test_what_only_other_inputs_need_may_have_changed():
    x, w = leaf(1, 2), leaf(3, 4)
    y = (x * w).sum()
    with no_grad():
        x.add_(1)  # which the gradient of w needs, and that of x does not
    y.backward(inputs=[x])
    assert x.grad.tolist() == [3.0, 4.0]


def test_several_results_at_once():
    def program(library, x, w):
        y, z = x * w, (x * x).sum()
        library.autograd.backward([y, z], [w.detach(), None])
        library.autograd.backward((x * 2, x * 3), (w.detach(), w.detach()), inputs=[x])
        return x.grad, w.grad

    alike(program, draw(3), draw(3, seed=1))


def test_a_result_that_another_result_was_computed_from():
    def program(library, x):
        y = x * x
        z = y * x
        library.autograd.backward([z.sum(), y.sum(), z.sum()])
        return x.grad

    alike(program, draw(3))


def test_as_many_gradients_as_results():
    x = leaf(1, 2)

    def one_too_few():
        y = torch.ones(2, requires_grad=True) * 1
        torch.autograd.backward([y, y], [torch.ones(2)])

    assert RuntimeError in refused_by_pytorch(one_too_few)
    with pytest.raises(TinygradError) as refused:
        autograd.backward([x * 1, x * 2], [tensor([1.0, 1.0])])
    assert isinstance(refused.value, RuntimeError)


# -------------------------------------------------------------------- retained grads


def test_retain_grad_keeps_the_gradient_of_a_result():
    def program(library, x):
        y = x * x
        y.retain_grad()
        y.retain_grad()
        z = y * y
        z.sum().backward()
        return x.grad, y.grad, z.retains_grad, y.retains_grad, x.retains_grad

    alike(program, draw(3))


def test_a_retained_gradient_of_two_passes_is_pytorchs():
    def program(library, x):
        y = x * x
        y.retain_grad()
        z = (y * y).sum()
        z.backward(retain_graph=True)
        z.backward()
        return x.grad, y.grad

    alike(program, draw(3))


def test_a_retained_gradient_may_be_reset():
    def program(library, x):
        y = x * x
        y.retain_grad()
        z = (y * y).sum()
        z.backward(retain_graph=True)
        y.grad = None
        z.backward()
        return y.grad

    alike(program, draw(3))


def test_retain_grad_does_nothing_on_a_leaf_and_refuses_where_nothing_is_asked():
    x = leaf(1)
    x.retain_grad()
    assert not x.retains_grad
    refuses_as_torch(lambda x: x.retain_grad(), draw(3))
    refuses_as_torch(lambda x: (x * 2).retain_grad(), draw(3))


def test_the_gradient_belongs_to_the_value_before_a_change_in_place():
    def program(library, x):
        y = x * 2
        y.retain_grad()
        y.add_(1)
        (y * 3).sum().backward()
        return x.grad

    alike(program, draw(3))


# --------------------------------------------------------------- names in the graph


def test_the_graph_can_be_walked_as_pytorchs():
    x, w = leaf(1, 2), leaf(3, 4)
    y = (x * w).exp().sum()
    summed = y.grad_fn
    ((exp, _),) = summed.next_functions
    ((product, _),) = exp.next_functions
    assert [node.name() for node in (summed, exp, product)] == ["Sum", "Exp", "Mul"]
    assert all(
        node is t for (node, _), t in zip(product.next_functions, (x, w), strict=True)
    )
    assert x.grad_fn is None
    assert (x * tensor([1.0, 1.0])).grad_fn.next_functions[1][0] is None
