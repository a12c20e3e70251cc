"""`register_post_accumulate_grad_hook`: called with a leaf whose `.grad` was added to."""

import copy

import pytest
from agreement import alike, draw, refuses_as_torch

import tinygrad_cnn
from tinygrad_cnn import tensor

PROGRAMS = {
    "after each backward": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        (x * 2).sum().backward(),
        (x * x).sum().backward(),
    ],
    "once, however often it is used": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        (x * x + x * 3).sum().backward(),
    ],
    "not for grad()": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        lib.autograd.grad((x * 2).sum(), x),
    ],
    "for inputs": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        (x * 2).sum().backward(inputs=[x]),
    ],
    "not for other inputs": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        (x * (w := x.detach().requires_grad_())).sum().backward(inputs=[w]),
    ],
    "not where no gradient comes": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        (x.detach().requires_grad_() * 2).sum().backward(),
    ],
    "under create_graph": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        (x * 2).sum().backward(create_graph=True),
        setattr(x, "grad", x.grad.detach()),
    ],
    "after hooks on the gradient": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        x.register_hook(lambda g: g * 10),
        (x * 2).sum().backward(),
    ],
    "two in order": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(lambda p: p.mul_(0)),
        x.register_post_accumulate_grad_hook(note),
        (x * 2).sum().backward(),
    ],
    "removed": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note).remove(),
        (x * 2).sum().backward(),
    ],
    "removed twice": lambda lib, x, note: [
        (handle := x.register_post_accumulate_grad_hook(note)).remove(),
        handle.remove(),
        (x * 2).sum().backward(),
    ],
    "on a leaf that stops asking": lambda lib, x, note: [
        y := (x * 2).sum(),
        x.register_post_accumulate_grad_hook(lambda p: note(p, False)),
        x.requires_grad_(False),
        y.backward(),
    ],
    "on the result itself": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        x.backward(x.detach()),
    ],
    "not copied": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        (copy.deepcopy(x) * 2).sum().backward(),
    ],
    "a view is no leaf": lambda lib, x, note: [
        x.register_post_accumulate_grad_hook(note),
        x.T.sum().backward(),
    ],
}


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_called_as_by_pytorch(name):
    def program(lib, x):
        def note(leaf, graded=True):
            grad = leaf.grad.tolist() if graded else leaf.grad
            seen.append((leaf is x, grad, (leaf.detach() * x).requires_grad))

        seen = []
        PROGRAMS[name](lib, x, note)
        return str(seen), x.grad

    alike(program, (4 * draw(2, 3)).round())


def test_the_optimizer_may_step_in_it():
    """Each leaf takes its step and drops its gradient as soon as that is complete."""

    def program(lib, x, w):
        def step(p):
            p.add_(p.grad, alpha=-0.1)
            p.grad = None

        for p in (x, w):
            p.register_post_accumulate_grad_hook(step)
        for _ in range(3):
            ((x * w).tanh() + x * x).sum().backward()
            assert x.grad is w.grad is None
        return x.detach(), w.detach()

    alike(program, draw(2, 3), draw(2, 3, seed=1))


def test_only_leaves_that_ask_take_one():
    def hook(leaf):
        return None

    message = refuses_as_torch(
        lambda x: (x * 2).register_post_accumulate_grad_hook(hook),
        draw(2),
        requires_grad=True,
    )
    assert "only leaves" in message
    assert "register_hook" in message
    refuses_as_torch(lambda x: x.register_post_accumulate_grad_hook(hook), draw(2))


RESULTS = {
    "a number": lambda p: 5,
    "a Tensor": lambda p: p * 5,
    "a list": lambda p: [p],
}


@pytest.mark.parametrize("name", RESULTS)
def test_it_must_return_nothing_or_the_leaf(name):
    def program(x):
        x.register_post_accumulate_grad_hook(RESULTS[name])
        (x * 2).sum().backward()

    refuses_as_torch(program, draw(2), requires_grad=True)


def test_its_errors_come_out():
    x = tensor([1.0], requires_grad=True)
    x.register_post_accumulate_grad_hook(lambda p: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        x.backward()


def test_parameters_take_one():
    layer = tinygrad_cnn.nn.Linear(2, 1)
    seen = []
    for name, p in layer.named_parameters():
        p.register_post_accumulate_grad_hook(lambda p, name=name: seen.append(name))
    layer(tensor([[1.0, 2.0]])).sum().backward()
    assert sorted(seen) == ["bias", "weight"]
