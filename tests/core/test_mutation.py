"""A value that backward needs was changed meanwhile: an error, never a wrong gradient.

Every operation is applied to results; then each of its operands, its result and its
constants (labels, masks, indices, weights) is changed in place in every way there is. The
backward pass must raise MutationError, which names the operation and the changing line, or
give the gradient that PyTorch computes when nothing is changed.
"""

import contextlib
import inspect

import numpy as np
import pytest
from agreement import draw
from each import for_each
from pytorch import from_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn import Tensor, no_grad, tensor
from tinygrad_cnn.core.methods.in_place import METHODS
from tinygrad_cnn.core.methods.in_place import OPERATORS as IN_PLACE_OPERATORS
from tinygrad_cnn.errors import AutogradError, MutationError, TinygradError

from .operations import MASK, OPERATIONS, POSITIVE


def wiped(t):
    """Half of the values changed, with what each dtype has; the rest stays."""
    new = t.detach().clone()
    new.reshape(-1)[::2] = new.reshape(-1)[::2] == 0
    return new


CHANGES = {
    "add_": lambda t: t.add_(True),
    "sub_": lambda t: t.sub_(t * 2 if t.is_floating_point() else 0),
    "mul_": lambda t: t.mul_(0),
    "div_": lambda t: t.div_(-2),
    "clamp_": lambda t: (
        t.clamp_(-0.1, 0.1) if t.is_floating_point() else t.clamp_(1, 1)
    ),
    "relu_": lambda t: t.mul_(-1).relu_(),
    "sign_": lambda t: t.sign_(),
    "cos_": lambda t: t.cos_(),
    "logical_not_": lambda t: t.logical_not_(),
    "masked_fill_": lambda t: t.masked_fill_(t == t, 2),
    "copy_": lambda t: t.copy_(wiped(t)),
    "fill_": lambda t: t.fill_(1),
    "zero_": lambda t: t.zero_(),
    "normal_": lambda t: t.normal_(),
    "uniform_": lambda t: t.uniform_(),
    "__setitem__": lambda t: t.__setitem__(..., wiped(t)),
    "__setitem__ one": lambda t: t.__setitem__((0,) * t.ndim, t.sum() * 0 + 1),
    "__iadd__": lambda t: t.__iadd__(True),
    "__isub__": lambda t: t.__isub__(1),
    "__imul__": lambda t: t.__imul__(0),
    "__itruediv__": lambda t: t.__itruediv__(-2),
    "__ipow__": lambda t: t.__ipow__(0),
    "detach": lambda t: t.detach().zero_(),
    "data": lambda t: t.data.zero_(),
    "data augmented": lambda t: setattr(t, "data", t.data * 0),
    "data item": lambda t: t.data.__setitem__(..., 0),
    "view": lambda t: t.reshape(-1).zero_(),
    "flattened view": lambda t: t.flatten()[:1].fill_(0),
    "transposed view": lambda t: t.T.zero_() if t.ndim == 2 else t.zero_(),
    "view of detached": lambda t: t.detach().reshape(-1)[:1].fill_(0),
    "row": lambda t: t[0].zero_() if t.ndim else t.zero_(),
    "optimiser": lambda t: t.sub_(t, alpha=0.5),
    "scatter_": lambda t: t.scatter_(0, first(t), 1),
    "scatter_add_": lambda t: t.scatter_add_(0, first(t), wiped(t) + 1),
    "scatter_reduce_": lambda t: t.scatter_reduce_(0, first(t), wiped(t), "amin"),
    "index_add_": lambda t: t.index_add_(0, tensor([0]), t[:1] if t.ndim else t),
    "index_copy_": lambda t: t.index_copy_(0, tensor([0]), wiped(t)[:1]),
    "index_fill_": lambda t: t.index_fill_(0, tensor([0]), 1),
    "index_put_": lambda t: t.index_put_((t == t,), t.sum().to(t.dtype)),
    "masked_scatter_": lambda t: t.masked_scatter_(t == t, wiped(t)),
    "tril_": lambda t: t.tril_(-1),
    "triu_": lambda t: t.triu_(1),
    "bernoulli_": lambda t: t.bernoulli_(0.0),
    "exponential_": lambda t: t.exponential_(),
    "random_": lambda t: t.random_(1),
    "detach_": lambda t: t.detach_().zero_(),
    "squeeze_": lambda t: t.squeeze_().zero_(),
    "unsqueeze_": lambda t: t.unsqueeze_(0).zero_(),
    "transpose_": lambda t: t.transpose_(0, -1).zero_(),
    "swapaxes_": lambda t: t.swapaxes_(0, -1).zero_(),
    "swapdims_": lambda t: t.swapdims_(0, -1).zero_(),
    "t_": lambda t: t.t_().zero_(),
}


def first(t):
    """The index of the first value along axis 0."""
    return tensor(np.zeros((1,) * t.ndim, np.int64))


def in_place_methods():
    names = [n for n in dir(Tensor) if n.endswith("_") and not n.startswith("_")]
    operators = ["iadd", "isub", "imul", "itruediv", "ipow", "setitem"]
    operators += ["ifloordiv", "imod", "iand", "ior", "ixor", "ilshift", "imatmul"]
    names += [f"__{n}__" for n in operators if hasattr(Tensor, f"__{n}__")]
    return set(names) - {"requires_grad_"}


def test_every_in_place_method_is_among_the_changes():
    alike = {f"{name}_" for names in METHODS.values() for name in names.split()}
    alike |= {f"__i{name}__" for name in IN_PLACE_OPERATORS} | {"subtract_"}
    assert in_place_methods() - alike <= set(CHANGES)  # of those that are alike, a few


def unchanged_gradients(operation, arrays):
    """PyTorch's gradients of ⟨operation, c⟩ where nothing is changed."""

    def theirs():
        leaves = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        y = operation(*[t * 1 if t.requires_grad else t for t in leaves])
        y.backward(torch.tensor(draw(*y.shape, seed=9)).to(y.dtype))
        return [t.grad for t in leaves]

    return from_pytorch(theirs, *arrays)


@for_each("recorded", [False, True], ids=["no_grad", "recorded"])
@for_each("name", OPERATIONS)
def test_a_change_after_the_fact_is_noticed_or_harmless(name, recorded):
    operation, *arrays = OPERATIONS[name]
    expected = unchanged_gradients(operation, arrays)
    wrong = []
    for position in range(len(arrays) + 1):
        for change in CHANGES:
            outcome = changed(operation, arrays, position, CHANGES[change], recorded)
            if outcome is None:
                continue
            for g, e in zip(outcome, expected, strict=True):
                if (g is None) != (e is None):
                    wrong.append(f"{change} of {position}: {g} instead of {e}")
                elif e is not None and not np.allclose(
                    g.numpy(), e.numpy(), 1e-6, 1e-9
                ):
                    wrong.append(f"{change} of {position}: wrong gradient")
    assert wrong == []


def changed(operation, arrays, position, change, recorded):
    """Our gradients where operand number `position` (or the result) is changed.

    None if that is refused, or found out by the backward pass.
    """
    leaves = [tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    values = [t * 1 if t.requires_grad else t for t in leaves]
    y = operation(*values)
    loss = (y * tensor(draw(*y.shape, seed=9)).to(y.dtype)).sum()
    target = [*values, y][position]
    try:
        if recorded:
            change(target)
        else:
            with no_grad():
                change(target)
    except TinygradError:
        pass  # refused: then nothing may have changed, which the gradients show
    try:
        loss.backward()
    except MutationError as error:
        assert "changed in place at" in str(error)
        assert f"{__file__}:" in str(error)
        return None
    return [t.grad for t in leaves]


NEEDED = {
    "mul": (lambda a, b: a * b, 0, r"Mul\(\) .* needs a "),
    "div": (lambda a, b: a / b, 1, r"Div\(\) .* needs b "),
    "exp": (lambda a, b: a.exp(), 2, r"Exp\(\) .* needs its result "),
    "pow": (lambda a, b: a**3, 0, r"Pow\(\) .* needs a "),
    "matmul": (lambda a, b: a @ b.T, 0, r"Matmul\(\) .* needs a "),
    "log_softmax": (
        lambda a, b: a.log_softmax(1),
        2,
        r"LogSoftmax\(axis=1\) .* needs its result ",
    ),
}


@for_each("name", NEEDED)
def test_the_message_names_operation_value_both_lines_and_both_versions(name):
    operation, position, message = NEEDED[name]
    a, b = (tensor(POSITIVE, requires_grad=True) * 1 for _ in range(2))
    y = operation(a, b)
    applied = operation.__code__.co_firstlineno
    with no_grad():
        (a, b, y)[position].mul_(2)
        line = inspect.currentframe().f_lineno - 1
    with pytest.raises(MutationError, match=message) as refused:
        y.sum().backward()
    text = str(refused.value)
    assert "float64[2, 3]" in text
    assert f"{__file__}:{line}" in text
    assert any(f"{__file__}:{applied + d}" in text for d in (0, 1))
    assert "version 0 then, 1 now" in text
    assert "clone()" in text
    assert isinstance(refused.value, RuntimeError)


def test_an_optimiser_step_while_the_graph_lives_is_noticed():
    w = tensor(draw(3, 2), requires_grad=True)
    y = tensor(draw(4, 3), requires_grad=True) @ w
    y.sum().backward(retain_graph=True)
    with no_grad():
        w -= 0.1 * w.grad
    with pytest.raises(MutationError, match=r"Matmul\(\) .* needs b "):
        y.sum().backward()


def test_a_step_of_an_optimiser_class_is_noticed():
    w = tensor(draw(3, 2), requires_grad=True)
    y = tensor(draw(4, 3), requires_grad=True) @ w
    y.sum().backward(retain_graph=True)
    tinygrad_cnn.optim.SGD([w], lr=0.1).step()
    with pytest.raises(MutationError, match=r"Matmul\(\) .* needs b ") as refused:
        y.sum().backward()
    step = inspect.currentframe().f_lineno - 3
    assert f"{__file__}:{step}" in str(refused.value)


def test_a_change_and_its_undoing_is_still_a_change():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    with no_grad():
        x.add_(1).sub_(1)
    with pytest.raises(MutationError, match="version 0 then, 2 now"):
        y.sum().backward()


def test_a_change_before_the_operation_is_none():
    x = tensor([1.0, 2.0], requires_grad=True)
    with no_grad():
        x.add_(1)
    (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_a_change_is_noticed_in_higher_orders_too():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x * x * x).sum()
    (g,) = tinygrad_cnn.autograd.grad(y, x, create_graph=True)
    with no_grad():
        x.add_(1)
    with pytest.raises(MutationError):
        g.sum().backward()


def second_gradients(library, operation, power, leaves, change=None):
    """The gradients of the gradients of ⟨operationᵖ, c⟩, where `change` comes between."""
    make = tensor if library is tinygrad_cnn else torch.tensor
    asking = [t for t in leaves if t.requires_grad]
    values = [t * 1 if t.requires_grad else t for t in leaves]
    y = operation(*values)
    weights = make(draw(*y.shape, seed=9)).to(y.dtype)
    options = {"allow_unused": True, "materialize_grads": True}
    first = library.autograd.grad(
        (y**power * weights).sum(), asking, create_graph=True, **options
    )
    total = sum((g * make(draw(*g.shape, seed=5))).sum() for g in first)
    if change is not None:
        change([*values, y])
    if not total.requires_grad:
        return [t.detach() * 0 for t in asking]
    return library.autograd.grad(total, asking, **options)


@for_each("power", [1, 3])
@for_each("name", OPERATIONS)
def test_a_change_between_first_and_second_gradients_is_noticed_or_harmless(
    name, power
):
    operation, *arrays = OPERATIONS[name]

    def theirs():
        leaves = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        return second_gradients(torch, operation, power, leaves)

    expected = from_pytorch(theirs, *arrays)
    for position in range(len(arrays) + 1):

        def change(values, position=position):
            with no_grad():
                values[position].data.copy_(wiped(values[position]))

        leaves = [tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        with contextlib.suppress(AutogradError):  # refused, or found out
            found = second_gradients(tinygrad_cnn, operation, power, leaves, change)
            for g, e in zip(found, expected, strict=True):
                ours, theirs = g.detach().numpy(), e.detach().numpy()
                np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


def test_a_change_between_the_first_and_the_second_pass_is_noticed():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    with no_grad():
        x.add_(1)
    with pytest.raises(MutationError):
        y.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_views_share_the_version_of_their_base():
    for view in (
        lambda t: t[0],
        lambda t: t.T,
        lambda t: t.reshape(-1),
        lambda t: t.detach(),
        lambda t: t.unsqueeze(0),
        lambda t: t.expand(2, 2, 3),
        lambda t: t.split(1)[1],
        lambda t: t[:, 1:][0],
    ):
        base = tensor(POSITIVE)
        operand = view(base)
        w = tensor(2.0, requires_grad=True)
        y = (operand * w).sum()
        base.zero_()
        with pytest.raises(MutationError, match=r"Mul\(\)"):
            y.backward()


def test_an_array_operand_is_not_changed_behind_the_back():
    for operation in (
        lambda x, a: x * a,
        lambda x, a: a / x,
        lambda x, a: x @ a.T,
        lambda x, a: x.maximum(a),
        lambda x, a: x**a,
        lambda x, a: tinygrad_cnn.where(a > 0.9, x, a),
    ):
        array = POSITIVE.copy()
        x = tensor(draw(2, 3) ** 2 + 1, requires_grad=True)
        y = operation(x, array).sum()
        w = tensor(draw(2, 3) ** 2 + 1, requires_grad=True)
        operation(w, POSITIVE).sum().backward()
        array[...] = 1000
        y.backward()
        np.testing.assert_array_equal(x.grad.numpy(), w.grad.numpy())


def test_an_array_condition_or_mask_is_not_changed_behind_the_back():
    for operation in (
        lambda x, m: tinygrad_cnn.where(m, x, 0.0),
        lambda x, m: x.masked_fill(m, 0.0),
        lambda x, m: x[m],
    ):
        mask = MASK.copy()
        x = tensor(POSITIVE, requires_grad=True)
        y = operation(x, mask).sum()
        mask[...] = ~mask
        y.backward()
        w = tensor(POSITIVE, requires_grad=True)
        operation(w, MASK).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), w.grad.numpy())
