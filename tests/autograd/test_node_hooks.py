"""Hooks of `grad_fn` see and change what PyTorch's do."""

import numpy as np
import pytest
from agreement import alike, draw, library, refuses_as_torch

import tinygrad_cnn
from tinygrad_cnn import autograd, nn
from tinygrad_cnn.core.engine import Record
from tinygrad_cnn.errors import UnavailableError


def doubled(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            return x * w.detach() * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2, None

    return Double.apply


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("made", ["product", "with a number", "with a constant", "own"])
def test_hooks_are_pytorchs(made, create_graph):
    def program(lib, x, w):
        makers = {
            "product": lambda: x * w,
            "with a number": lambda: x * 2.0,
            "with a constant": lambda: x * w.detach(),
            "own": lambda: doubled(lib)(x, w),
        }
        y, seen = makers[made](), []

        def see(name, *given):
            seen.extend([name, *[g for part in given for g in part]])

        def after(inputs, outputs):
            see("after", inputs, outputs)
            return tuple([g if g is None else g * 10 for g in inputs])

        y.register_hook(lambda g: see("tensor", [g]))
        handles = [
            y.grad_fn.register_hook(after),
            y.grad_fn.register_hook(lambda *given: see("again", *given)),
            y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 3,)),
            y.grad_fn.register_prehook(lambda outputs: see("before", outputs)),
        ]
        y.sum().backward(retain_graph=True, create_graph=create_graph)
        for handle in handles:
            handle.remove()
        y.sum().backward()
        seen += [x.grad, w.grad]
        return [t.detach() if hasattr(t, "detach") else t for t in seen]

    alike(program, draw(3), draw(3, seed=1))


def test_a_hook_may_stop_a_gradient_and_sees_which_are_asked_for():
    def program(lib, x, w):
        y, seen = x * w, []
        y.grad_fn.register_hook(lambda inputs, outputs: (None, inputs[1]))
        y.grad_fn.register_hook(lambda inputs, outputs: seen.extend(inputs))
        found = lib.autograd.grad(y.sum(), w, retain_graph=True)
        y.sum().backward()
        return [*found, *seen, x.grad, w.grad]

    alike(program, draw(3), draw(3, seed=1))


REFUSED = {
    "too few": lambda node: node.register_hook(lambda *given: given[0][:1]),
    "no tuple": lambda node: node.register_hook(lambda *given: 3),
    "no tuple before": lambda node: node.register_prehook(lambda given: given[0]),
    "another shape": lambda node: node.register_hook(
        lambda inputs, _: (inputs[0][:1], None)
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_hook_returns_is_checked(case):
    def program(x):
        y = x * library(x).ones(3, dtype=x.dtype)
        REFUSED[case](y.grad_fn)
        y.sum().backward()

    refuses_as_torch(program, draw(3), requires_grad=True)


def test_a_record_with_a_hook_is_an_ordinary_one():
    layer = nn.Linear(2, 1)
    y = layer(tinygrad_cnn.ones(3, 2))
    before = str(y.grad_fn), type(y.grad_fn).__name__
    seen = []
    y.grad_fn.register_hook(lambda inputs, _: seen.append([g is None for g in inputs]))
    assert (str(y.grad_fn), type(y.grad_fn).__name__) == before
    assert isinstance(y.grad_fn, Record) and isinstance(y.grad_fn, autograd.graph.Node)
    with autograd.graph.save_on_cpu(), autograd.graph.disable_saved_tensors_hooks("no"):
        y.sum().backward()
    assert len(seen) == 1 and np.all(layer.bias.grad.numpy() == 3)
    with pytest.raises(UnavailableError, match="records keep arrays"):
        autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x)
