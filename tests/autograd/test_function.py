"""`autograd.Function`: the same source, run with tinygrad_cnn and with PyTorch."""

import gc
import re
import weakref

import numpy as np
import pytest
from agreement import alike, both, draw, refuses_as_torch, torch
from each import for_each

import tinygrad_cnn
from tinygrad_cnn import Tensor, autograd, tensor
from tinygrad_cnn.autograd.function import FunctionCtx
from tinygrad_cnn.core.engine import Record
from tinygrad_cnn.errors import GraphFreedError, NotDifferentiableError, TinygradError
from tinygrad_cnn.ops.base import registry

# ------------------------------------------------- Functions, written for any library


def product(lib):
    """Saves its inputs."""

    class Product(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            return g * b, g * a

    return Product.apply


def exponential(lib):
    """Saves its result."""

    class Exponential(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            y = a.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    return Exponential.apply


def squash(lib):
    """Saves an intermediate value and None, and sets attributes."""

    class Squash(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, slope, *, extra=0):
            e = (a * -slope).exp()
            ctx.save_for_backward(None, e)
            ctx.slope, ctx.note = slope, {"shape": a.shape}
            return 1 / (1 + e)

        @staticmethod
        def backward(ctx, g):
            nothing, e = ctx.saved_tensors
            assert nothing is None
            assert ctx.note["shape"] == g.shape
            return g * ctx.slope * e / (1 + e) ** 2, None

    return Squash.apply


def scaled(lib):
    """Sets up its context apart from forward."""

    class Scaled(lib.autograd.Function):
        @staticmethod
        def forward(a, factor=3.0):
            return a * a * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            a, ctx.factor = inputs
            ctx.save_for_backward(a)
            assert output.shape == a.shape

        @staticmethod
        def backward(ctx, g):
            (a,) = ctx.saved_tensors
            return g * 2 * ctx.factor * a, None

    return Scaled.apply


def parts(lib):
    """Several results, all differentiable, of several shapes."""

    class Parts(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b, (a * a).sum(), b[:, :1] * 1

        @staticmethod
        def backward(ctx, g, h, k):
            a, b = ctx.saved_tensors
            first = lib.cat([k, lib.zeros_like(b[:, 1:])], 1)
            return g * b + 2 * a * h, g * a + first

    return Parts.apply


def root_and_square(lib):
    """Two results, of which it saves one."""

    class RootAndSquare(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            root = (a * a + 1).sqrt()
            ctx.save_for_backward(a, root)
            return a * a, root

        @staticmethod
        def backward(ctx, g, h):
            a, root = ctx.saved_tensors
            return 2 * a * g + h * a / root

    return RootAndSquare.apply


def sorting(lib):
    """A result of integers beside the differentiable one."""

    class Top(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            value, index = a.max(1)
            ctx.mark_non_differentiable(index)
            ctx.save_for_backward(index)
            ctx.shape = a.shape
            return value, index

        @staticmethod
        def backward(ctx, g, gi):
            (index,) = ctx.saved_tensors
            assert gi.shape == index.shape
            assert not gi.any()
            columns = lib.arange(ctx.shape[1])
            return g.unsqueeze(1) * (columns == index.unsqueeze(1)).to(g.dtype)

    return Top.apply


def marked(lib):
    """A float result that is marked as not differentiable."""

    class Marked(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            y, z = a * 2, a * 3
            ctx.mark_non_differentiable(z)
            return y, z

        @staticmethod
        def backward(ctx, g, h):
            assert h.tolist() == [[0.0] * 3] * 2
            return g * 2

    return Marked.apply


def unmaterialized(lib):
    """Is told None where no gradient comes."""

    class Unmaterialized(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.set_materialize_grads(False)
            return a * 2, a.sum(), a > 0

        @staticmethod
        def backward(ctx, g, h, k):
            assert k is None
            assert (g is None) != (h is None)
            return g * 2 if h is None else h.expand(2, 3)

    return Unmaterialized.apply


def materialized(lib):
    class Materialized(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return a * 2, a.sum().float(), a > 0

        @staticmethod
        def backward(ctx, g, h, k):
            assert (h.tolist(), k.tolist()) == (0.0, [[False] * 3] * 2)
            assert str(h.dtype)[-7:] == "float32"
            return g * 2

    return Materialized.apply


def broadcasting(lib):
    """Leaves summing to the shape and the dtype of its inputs to the engine."""

    class Broadcasting(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b.double()

        @staticmethod
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            return g * b.double(), g * a

    return Broadcasting.apply


def mixed(lib):
    """Results of two dtypes."""

    class Mixed(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return a * 2, a.half(), a.float() * 3

        @staticmethod
        def backward(ctx, g, h, k):
            assert [str(t.dtype)[-2:] for t in (g, h, k)] == ["64", "16", "32"]
            return g * 2 + h.double() + 3 * k.double()

    return Mixed.apply


def returning(lib, forward, backward=lambda ctx, g: g * 3):
    """A Function of one line each."""
    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    base = lib.autograd.Function
    return type(base)("Returning", (base,), methods).apply


# -------------------------------------------------------------------- agreement

SMOOTH = {
    "inputs saved": lambda lib, x, w: product(lib)(x, w),
    "an input that does not ask": lambda lib, x, w: product(lib)(x, w.detach()),
    "one input twice": lambda lib, x, w: product(lib)(x, x) * w,
    "on a result": lambda lib, x, w: product(lib)(x * w, w + 1),
    "on a view": lambda lib, x, w: product(lib)(x.T, w.T),
    "one on another": lambda lib, x, w: product(lib)(exponential(lib)(x), w),
    "result saved": lambda lib, x, w: exponential(lib)(x) * w,
    "context set up apart": lambda lib, x, w: scaled(lib)(x) * w,
    "a default": lambda lib, x, w: scaled(lib)(x, 2.0) * w,
    "by keyword": lambda lib, x, w: scaled(lib)(a=x, factor=2.0) * w,
    "several results": lambda lib, x, w: (lambda y: y[0] * y[1] * y[2])(
        parts(lib)(x, w)
    ),
    "one of several": lambda lib, x, w: parts(lib)(x, w)[1] * w,
    "several, one saved": lambda lib, x, w: (lambda y: y[0] * w + y[1] * x)(
        root_and_square(lib)(x)
    ),
    "broadcast": lambda lib, x, w: broadcasting(lib)(x[:1], w) * x,
    "cast": lambda lib, x, w: broadcasting(lib)(x, w.float()),
    "vjp": lambda lib, x, w: (
        type(lib.autograd.Function)(
            "Vjp",
            (lib.autograd.Function,),
            {
                "forward": staticmethod(lambda ctx, a: a * 5),
                "vjp": staticmethod(lambda ctx, g: g * 5),
            },
        ).apply(x)
        * x
        * w
    ),
}


@for_each("name", SMOOTH)
def test_results_and_gradients_are_pytorchs(name):
    def program(lib, x, w):
        y = SMOOTH[name](lib, x, w)
        (y * y).sum().backward()
        return y.detach(), y.requires_grad, x.grad, w.grad

    alike(program, draw(2, 3), draw(2, 3, seed=1))


@for_each("name", SMOOTH)
def test_gradients_of_gradients_are_pytorchs(name):
    def program(lib, x, w):
        options = {"materialize_grads": True}
        y = SMOOTH[name](lib, x, w)
        first = lib.autograd.grad((y * y).sum(), [x, w], create_graph=True, **options)
        penalty = sum((g * g * g).sum() for g in first)
        second = lib.autograd.grad(penalty, [x, w], create_graph=True, **options)
        third = lib.autograd.grad(sum(g.sum() for g in second), [x, w], **options)
        return *[g.detach() for g in (*first, *second)], *third

    alike(program, 0.5 * draw(2, 3), 0.5 * draw(2, 3, seed=1))


PROGRAMS = {
    "an intermediate saved": lambda lib, x: squash(lib)(x, 1.5),
    "integers beside": lambda lib, x: sorting(lib)(x),
    "marked": lambda lib, x: marked(lib)(x),
    "no zeros, first": lambda lib, x: unmaterialized(lib)(x)[0],
    "no zeros, second": lambda lib, x: unmaterialized(lib)(x)[1],
    "zeros": lambda lib, x: materialized(lib)(x)[0],
    "mixed dtypes": lambda lib, x: mixed(lib)(x),
    "the input itself": lambda lib, x: returning(lib, lambda ctx, a: a)(x),
    "a view": lambda lib, x: returning(
        lib, lambda ctx, a: a[0], lambda ctx, g: g.expand(2, 3)
    )(x),
    "a tuple of one": lambda lib, x: returning(lib, lambda ctx, a: (a * 2,))(x),
    "a number": lambda lib, x: returning(lib, lambda ctx, a: a.shape[0])(x),
    "nothing": lambda lib, x: returning(lib, lambda ctx, a: None)(x),
    "values beside": lambda lib, x: returning(
        lib, lambda ctx, a: (a * 2, 5, None, "text"), lambda ctx, g, *others: g * 7
    )(x),
    "integers only": lambda lib, x: returning(lib, lambda ctx, a: a.long())(x),
    "all marked": lambda lib, x: returning(
        lib, lambda ctx, a: [y := a * 2, ctx.mark_non_differentiable(y)][0]
    )(x),
    "an input that is marked": lambda lib, x: returning(
        lib, lambda ctx, a: [ctx.mark_non_differentiable(a), a * 2][1]
    )(x),
    "an input, marked and returned": lambda lib, x: returning(
        lib, lambda ctx, a: [ctx.mark_non_differentiable(a), a][1]
    )(x),
    "a scalar": lambda lib, x: returning(
        lib, lambda ctx, a: a.sum(), lambda ctx, g: (g * 2).expand(2, 3)
    )(x),
    "nothing in it": lambda lib, x: product(lib)(x[:0], x[:0]),
    "more arguments than forward names": lambda lib, x: returning(
        lib, lambda ctx, *a: a[0] * a[2], lambda ctx, g: (g, None, g * 2)
    )(x, 4, x * 2),
    "arguments in a list": lambda lib, x: returning(
        lib, lambda ctx, a, b: a * b[0], lambda ctx, g: (g, None)
    )(x, [x]),
    "more gradients, None": lambda lib, x: returning(
        lib, lambda ctx, a: a * 2, lambda ctx, g: (g, None, None)
    )(x),
    "integers as gradient": lambda lib, x: returning(
        lib, lambda ctx, a: a * 2, lambda ctx, g: (g * 10).long()
    )(x),
    "a number instead of a Tensor": lambda lib, x: product(lib)(x, x.detach()) * 2,
}


@for_each("name", PROGRAMS)
def test_what_a_function_may_do_gives_what_pytorch_gives(name):
    def program(lib, x):
        result = PROGRAMS[name](lib, x)
        listed = result if isinstance(result, tuple) else [result]
        asking = [t for t in listed if getattr(t, "requires_grad", False)]
        if asking:
            sum((t.double() ** 2).sum() for t in asking).backward()
        values = [t.detach() if hasattr(t, "detach") else t for t in listed]
        return isinstance(result, tuple), len(asking), *values, x.grad

    alike(program, draw(2, 3))


def test_backward_tells_what_it_was_asked():
    """needs_input_grad: one entry per argument, fixed when the Function was applied."""
    for lib in (tinygrad_cnn, torch):
        seen = []

        def forward(ctx, a, number, b, seen=seen):
            seen.append(ctx.needs_input_grad)
            return a * number * b

        def backward(ctx, g, seen=seen):
            seen.append(ctx.needs_input_grad)
            return g, None, g

        apply = returning(lib, forward, backward)
        x, w = lib.ones(3, requires_grad=True), lib.ones(3, requires_grad=True)
        apply(x.detach(), 2.0, w).sum().backward()
        lib.autograd.grad(apply(x, 2.0, w).sum(), x)
        with lib.no_grad():
            apply(x, 2.0, w)
        one, both_asked = (False, False, True), (True, False, True)
        assert seen == [one, one, both_asked, both_asked, both_asked]


def test_backward_runs_once_for_all_inputs_and_only_where_it_is_needed():
    for lib in (tinygrad_cnn, torch):
        calls = []

        def backward(ctx, g, calls=calls):
            calls.append(g.tolist())
            return g, g * 2, g * 3

        apply = returning(lib, lambda ctx, a, b, c: a * b * c, backward)
        x, w, v = (lib.ones(2, requires_grad=True) for _ in range(3))
        y = apply(x, w, v)
        (y * 2 + y).sum().backward(retain_graph=True)
        assert calls == [[3.0, 3.0]]
        lib.autograd.grad(y.sum(), w, retain_graph=True)
        lib.autograd.grad((y * x).sum(), x, create_graph=True)
        assert len(calls) == 3
        apply(x, w, v)
        (x * w).sum().backward()
        y = apply(x, w, v)
        lib.autograd.grad(y.sum(), y)
        lib.autograd.grad(y.sum(), y)
        assert len(calls) == 3


def test_forward_records_nothing_and_sees_who_asks():
    for lib in (tinygrad_cnn, torch):
        seen = []

        def forward(ctx, a, b, seen=seen):
            y = (a * b).exp()
            seen.append((a.requires_grad, b.requires_grad, y.requires_grad))
            seen.append((y.grad_fn is None, ctx.saved_tensors))
            return y

        x = lib.ones(2, requires_grad=True)
        returning(lib, forward)(x, x.detach())
        assert seen == [(True, False, False), (True, ())]


@for_each("create_graph", [False, True])
def test_backward_records_only_if_the_gradients_are_recorded(create_graph):
    for lib in (tinygrad_cnn, torch):
        seen = []

        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a * a

        def backward(ctx, g, seen=seen):
            (a,) = ctx.saved_tensors
            d = 2 * a * g
            seen.append((a.requires_grad, d.requires_grad))
            return d

        x = lib.ones(2, requires_grad=True)
        y = returning(lib, forward, backward)(x).sum()
        lib.autograd.grad(y, x, create_graph=create_graph)
        assert seen == [(True, create_graph)]


def test_a_context_lives_through_several_backward_passes():
    def program(lib, x):
        def forward(ctx, a):
            ctx.count = 0
            return a * 1

        def backward(ctx, g):
            ctx.count += 1
            return g * ctx.count

        y = returning(lib, forward, backward)(x).sum()
        found = [lib.autograd.grad(y, x, retain_graph=True)[0] for _ in range(3)]
        return found

    alike(program, draw(3))


def test_saving_again_replaces_what_was_saved():
    def program(lib, x):
        def forward(ctx, a):
            ctx.save_for_backward(a)
            ctx.save_for_backward(a * 2, a)
            return a * 1

        def backward(ctx, g):
            first, second = ctx.saved_tensors
            return g * first * second

        returning(lib, forward, backward)(x).sum().backward()
        return x.grad

    alike(program, draw(3))


def test_a_function_may_differentiate_in_its_backward():
    """As checkpointing does: recompute under enable_grad, and go backward inside."""

    def program(lib, x):
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return (a * a).tanh()

        def backward(ctx, g):
            (a,) = ctx.saved_tensors
            with lib.enable_grad():
                b = a.detach().requires_grad_()
                y = (b * b).tanh()
            return lib.autograd.grad(y, b, g)[0]

        (returning(lib, forward, backward)(x) * x).sum().backward()
        return x.grad

    alike(program, draw(3))


def test_a_function_may_use_functions():
    def program(lib, x, w):
        def backward(ctx, g):
            return product(lib)(g, exponential(lib)(ctx.saved_tensors[0]))

        def forward(ctx, a):
            ctx.save_for_backward(a)
            return exponential(lib)(a)

        y = product(lib)(returning(lib, forward, backward)(x), w)
        (first,) = lib.autograd.grad(y.sum(), x, create_graph=True)
        return first.detach(), *lib.autograd.grad((first * first).sum(), [x, w])

    alike(program, draw(3), draw(3, seed=1))


def test_a_functions_result_can_be_changed_in_place_where_it_was_not_saved():
    def program(lib, x, w):
        y = product(lib)(x, w)
        y += 1
        first, *_ = several = parts(lib)(x, w)
        first.mul_(y.detach())
        (y * y).sum().backward()
        sum((t * t).sum() for t in several).backward()
        return x.grad, w.grad

    alike(program, draw(2, 3), draw(2, 3, seed=1))


@for_each("saved", [False, True])
@for_each("number", [0, 1, 2])
def test_a_result_has_memory_of_its_own(number, saved):
    """Even where it is an input, or where a view of it was saved."""
    a, b = tensor([1.0, 2.0, 3.0]), tensor([4.0, 5.0, 6.0])

    def forward(ctx, a, b):
        y = (a, b, a * 1)[number]
        ctx.save_for_backward(y[:2] if saved else None)
        return y

    def backward(ctx, g):
        (part,) = ctx.saved_tensors
        return g if part is None else g * part.sum(), None

    y = returning(tinygrad_cnn, forward, backward)(a.requires_grad_(), b)
    y.mul_(100)
    assert a.tolist() == [1.0, 2.0, 3.0]
    assert b.tolist() == [4.0, 5.0, 6.0]
    y.sum().backward()
    slope = [3.0, 9.0, 3.0][number] if saved else 1.0
    assert a.grad.tolist() == [100 * slope] * 3


def test_leaves_that_were_not_saved_can_be_changed():
    def program(lib, x):
        y = returning(lib, lambda ctx, a: a * 3)(x)
        with lib.no_grad():
            x.mul_(100)
        y.sum().backward()
        return x.grad

    alike(program, draw(3))


# ------------------------------------------------------------ differentiable once


def square(lib):
    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a * a

        @staticmethod
        @lib.autograd.function.once_differentiable
        def backward(ctx, g):
            (a,) = ctx.saved_tensors
            assert not (a * g).requires_grad
            return 2 * a * g

    return Square.apply


def test_once_differentiable_gives_first_gradients_alone():
    def program(lib, x):
        (g,) = lib.autograd.grad(square(lib)(x).sum(), x, create_graph=True)
        return g, g.requires_grad

    alike(program, draw(3))


def test_the_gradient_of_a_once_differentiable_gradient_is_refused():
    for lib, kind in ((tinygrad_cnn, NotDifferentiableError), (torch, RuntimeError)):
        x = lib.ones(3, requires_grad=True)
        (g,) = lib.autograd.grad(
            square(lib)(x) * x, x, lib.ones(3, requires_grad=True), create_graph=True
        )
        with pytest.raises(kind, match="once_differentiable"):
            g.sum().backward()


# ----------------------------------------------------------------------- refusals


REFUSED = {
    "too few gradients": lambda lib, x: returning(lib, lambda ctx, a, b: a * b)(x, x),
    "too many gradients": lambda lib, x: returning(
        lib, lambda ctx, a: a * 2, lambda ctx, g: (g, g)
    )(x),
    "a gradient for a number": lambda lib, x: returning(
        lib, lambda ctx, a, b: a * b, lambda ctx, g: (g, g)
    )(x, 2.0),
    "a smaller gradient": lambda lib, x: returning(
        lib, lambda ctx, a: a * 2, lambda ctx, g: g[:, :1]
    )(x),
    "a scalar gradient": lambda lib, x: returning(
        lib, lambda ctx, a: a * 2, lambda ctx, g: g.sum()
    )(x),
    "a number as gradient": lambda lib, x: returning(
        lib, lambda ctx, a: a * 2, lambda ctx, g: 2.0
    )(x),
    "a list as gradient": lambda lib, x: returning(
        lib, lambda ctx, a: a * 2, lambda ctx, g: [g]
    )(x),
    "saving a number": lambda lib, x: returning(
        lib, lambda ctx, a: [ctx.save_for_backward(2.0), a * 2][1]
    )(x),
    "marking a number": lambda lib, x: returning(
        lib, lambda ctx, a: [ctx.mark_non_differentiable(2.0), a * 2][1]
    )(x),
    "a keyword": lambda lib, x: returning(lib, lambda ctx, a, k=2: a * k)(x, k=3),
    "None on the only path": lambda lib, x: lib.autograd.grad(
        returning(lib, lambda ctx, a: a * 2, lambda ctx, g: None)(x).sum(), x
    )[0],
    "calling an instance": lambda lib, x: type(lib.autograd.Function)(
        "Returning", (lib.autograd.Function,), {}
    )()(x),
    "an input changed in place": lambda lib, x: (
        lambda a: [product(lib)(a, x), a.add_(1)][0]
    )(x * 1),
    "a result changed in place": lambda lib, x: exponential(lib)(x).mul_(2),
    "another saved Tensor changed in place": lambda lib, x: (
        lambda m: [
            returning(
                lib,
                lambda ctx, a: [ctx.save_for_backward(m), a * m][1],
                lambda ctx, g: g * ctx.saved_tensors[0],
            )(x),
            m.add_(1),
        ][0]
    )(lib.ones(2, 3, dtype=x.dtype)),
}


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")
@for_each("name", REFUSED)
def test_what_pytorch_refuses_is_refused_alike(name):
    def program(x):
        REFUSED[name](
            tinygrad_cnn if isinstance(x, Tensor) else torch, x
        ).sum().backward()

    refuses_as_torch(program, draw(2, 3), requires_grad=True)


SENTENCES = {
    "too few gradients": r"Returning.backward .* 1, for 2 arguments of forward",
    "a gradient for a number": "argument 1 of forward, which was no Tensor",
    "a smaller gradient": r"argument 0 .* shape \[2, 1\], the argument \[2, 3\]",
    "a number as gradient": "Returning.backward returned a float for argument 0",
    "saving a number": "save_for_backward takes Tensors, but argument 0 is of type float",
    "calling an instance": r"call Returning.apply\(...\)",
    "an input changed in place": r"Product\(\) of .* needs a as it was",
    "a result changed in place": r"Exponential\(\) of .* needs its result as it was",
    "another saved Tensor changed in place": r"Returning\(\) saved a Tensor that was",
}


@for_each("name", SENTENCES)
def test_a_refusal_names_the_function_and_what_is_wrong(name):
    x = tensor(draw(2, 3), requires_grad=True)
    with pytest.raises(TinygradError, match=SENTENCES[name]):
        REFUSED[name](tinygrad_cnn, x).sum().backward()


HERE_ONLY = {
    "mark_dirty": (
        lambda ctx, a: [ctx.mark_dirty(a), a][1],
        "let its forward return a new Tensor",
    ),
    "an input changed in place": (lambda ctx, a: a.add_(1), "use a clone"),
    "Tensors in a list": (lambda ctx, a: [a * 2, a * 3], "return a tuple"),
}


@for_each("name", HERE_ONLY)
def test_what_is_not_offered_is_refused(name):
    forward, sentence = HERE_ONLY[name]
    with pytest.raises(TinygradError, match=sentence):
        returning(tinygrad_cnn, forward)(tensor([1.0], requires_grad=True))


@for_each("method", ["forward", "backward"])
def test_a_missing_method_is_named(method):
    for lib in (tinygrad_cnn, torch):
        apply = {
            "forward": returning(lib, lib.autograd.Function.forward),
            "backward": returning(
                lib, lambda ctx, a: a * 2, lib.autograd.Function.backward
            ),
        }[method]
        with pytest.raises(NotImplementedError, match=method):
            apply(lib.ones(3, requires_grad=True)).sum().backward()


class Mine(Exception):
    pass


@for_each("kind", [Mine, ValueError, RuntimeError, KeyError])
@for_each("method", ["forward", "backward"])
def test_a_users_exception_comes_out_as_it_is(method, kind):
    raised = kind("of my own")

    def failing(ctx, a):
        raise raised

    methods = {"forward": lambda ctx, a: a * 2, "backward": lambda ctx, g: g}
    methods[method] = failing
    x = tensor([1.0], requires_grad=True)
    with pytest.raises(kind) as caught:
        returning(tinygrad_cnn, methods["forward"], methods["backward"])(x).backward()
    assert caught.value is raised
    assert caught.value.args == ("of my own",)
    if method == "backward":
        assert "in the backward of Returning() of (float32[1])" in raised.__notes__[0]


# ---------------------------------------------------------------------- the graph


def test_a_function_stands_in_the_graph_under_its_name_with_module_and_line():
    from tinygrad_cnn import nn

    class Block(nn.Module):
        def forward(self, x):
            return product(tinygrad_cnn)(x, x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block()

        def forward(self, x):
            return self.block(x)

    x = tensor([1.0, 2.0], requires_grad=True)
    record = Net()(x).grad_fn
    assert record.name() == "Product"
    assert record.next_functions == ((x, 0), (x, 0))
    assert re.fullmatch(
        r"Product\(\) of \(float32\[2\], float32\[2\]\) in block at .*"
        rf"test_function\.py:{Block.forward.__code__.co_firstlineno + 1}",
        str(record),
    )


def test_functions_are_not_among_the_registered_operations():
    before = dict(registry)
    product(tinygrad_cnn)(*[tensor([1.0])] * 2)
    parts(tinygrad_cnn)(*[tensor(draw(2, 3))] * 2)
    assert registry == before


def test_only_what_was_saved_is_kept():
    big = tensor(np.zeros(1000), requires_grad=True)
    kept, dropped = tensor(np.ones(1000)), tensor(np.ones(1000))

    def forward(ctx, a, b, c):
        ctx.save_for_backward(b)
        return a * b * c

    y = returning(tinygrad_cnn, forward, lambda ctx, g: (g, None, None))(
        big, kept + 0, dropped + 0
    )
    saved = [v for v, *_ in y.grad_fn.saved.values() if isinstance(v, np.ndarray)]
    assert [v.tolist() for v in saved] == [[1.0] * 1000]


@for_each("create_graph", [False, True])
@for_each("make", [product, parts, root_and_square], ids=lambda f: f.__name__)
def test_a_graph_with_functions_goes_without_the_collector(make, create_graph):
    def living():
        kinds = Record, FunctionCtx
        return {id(o) for o in gc.get_objects() if issubclass(type(o), kinds)}

    apply = make(tinygrad_cnn)
    gc.collect()
    gc.disable()
    before = living()
    try:
        leaves = [tensor(draw(2, 3, seed=i), requires_grad=True) for i in range(2)]
        if make is root_and_square:
            leaves.pop()
        y = apply(*leaves)
        total = sum(t.sum() for t in y) if isinstance(y, tuple) else y.sum()
        options = {"create_graph": create_graph, "retain_graph": True}
        found = autograd.grad(total, leaves[:1], **options)
        total.backward(**options)
        assert living() > before
        del y, total, found
        for leaf in leaves:
            leaf.grad = None
        assert living() <= before
    finally:
        gc.enable()


def test_a_used_up_function_frees_what_it_kept():
    class Big:
        pass

    def forward(ctx, a):
        ctx.big = Big()
        seen.append(weakref.ref(ctx.big))
        return a * 2

    seen = []
    y = returning(tinygrad_cnn, forward)(tensor([1.0], requires_grad=True))
    y.backward()
    assert seen[0]() is None
    with pytest.raises(GraphFreedError, match="Returning"):
        y.backward()


# ----------------------------------------------------------------------- replaying

REPLAYED = {
    "product": (product, 2, lambda a, b, g: (a * b, (g * b, g * a))),
    "exponential": (exponential, 1, lambda a, g: (np.exp(a), (g * np.exp(a),))),
    "scaled": (scaled, 1, lambda a, g: (3 * a * a, (6 * g * a,))),
}


@for_each("name", REPLAYED)
def test_the_operation_of_a_record_runs_again_on_other_inputs(name):
    """On arrays, and on Tensors whoever of them asks for a gradient, in any order."""
    make, count, formula = REPLAYED[name]
    first = [tensor(draw(2, 3, seed=i), requires_grad=i == 0) for i in range(count)]
    y = make(tinygrad_cnn)(*first)
    op = y.grad_fn.op
    for shape in ((2, 3), (4,), ()):
        arrays = [draw(*shape, seed=i + 10) for i in range(count)]
        g = draw(*shape, seed=99)
        value, gradients = formula(*arrays, g)
        np.testing.assert_allclose(op(*arrays), value, rtol=1e-12)
        np.testing.assert_allclose(op.forward(*arrays)[0], value, rtol=1e-12)
        leaves = [tensor(a, requires_grad=True) for a in arrays]
        z = op(*leaves)
        assert z.grad_fn.name() == y.grad_fn.name()
        found = autograd.grad(z, leaves, tensor(g))
        for d, expected in zip(found, gradients, strict=True):
            np.testing.assert_allclose(d.numpy(), expected, rtol=1e-12)
        z = op(leaves[0], *arrays[1:])
        (d,) = autograd.grad(z, leaves[0], tensor(g))
        np.testing.assert_allclose(d.numpy(), gradients[0], rtol=1e-12)
        value, kept = op.forward(*arrays)
        for i, expected in enumerate(gradients):
            rule = op.rules[op.input_name(i)]
            needs = {"y": [value], "input": arrays, "kept": [kept]}
            given = [needs[n.kind][n.position] for n in rule.needs]
            np.testing.assert_allclose(
                rule.function(op, g, *given), expected, rtol=1e-12
            )
    assert autograd.grad(y.sum(), first[0])[0].shape == (2, 3)


def test_the_operation_of_several_results_runs_again():
    """Its result is one vector, with a 0 for each result at the end."""
    leaves = [tensor(draw(2, 3, seed=i), requires_grad=True) for i in range(2)]
    results = parts(tinygrad_cnn)(*leaves)
    ((record, _),) = results[0].grad_fn.next_functions
    assert record.name() == "Parts"
    arrays = [draw(2, 3, seed=i) for i in (7, 8)]
    pairs = [both(a, True) for a in arrays]
    y = record.op(*[ours for ours, _ in pairs])
    theirs = parts(torch)(*[t for _, t in pairs])
    flat = torch.cat([t.flatten() for t in theirs])
    n = flat.numel()
    np.testing.assert_allclose(y.tolist()[:n], flat.tolist(), rtol=1e-12)
    assert y[n:].tolist() == [0.0] * 3
    g = draw(*y.shape, seed=5)
    found = autograd.grad(y, [ours for ours, _ in pairs], tensor(g))
    expected = torch.autograd.grad(flat, [t for _, t in pairs], torch.tensor(g[:n]))
    for d, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(d.numpy(), e.numpy(), rtol=1e-12)


def test_inputs_are_named_as_in_the_users_forward():
    def forward(ctx, x, scale, y, *rest):
        return x * y * rest[1]

    x = tensor([1.0], requires_grad=True)
    op = returning(tinygrad_cnn, forward)(x, 2, x, 3, x).grad_fn.op
    assert op.inputs == ("x", "y_", "argument4")


# ------------------------------------------------------------------- random graphs


def table(lib):
    """Functions that do what operations do, with what PyTorch's own operations are."""

    def function(forward, backward):
        def saving(ctx, *args):
            y = forward(*args)
            ctx.save_for_backward(*args, y)
            return y

        return returning(lib, saving, lambda ctx, g: backward(g, *ctx.saved_tensors))

    return {
        "add": (2, function(lambda a, b: a + b, lambda g, a, b, y: (g, g))),
        "mul": (2, function(lambda a, b: a * b, lambda g, a, b, y: (g * b, g * a))),
        "exp": (1, function(lambda a: (a * 0.1).exp(), lambda g, a, y: g * y * 0.1)),
        "tanh": (1, function(lambda a: a.tanh(), lambda g, a, y: g * (1 - y * y))),
        "sum": (
            1,
            function(lambda a: a.sum() + a * 0, lambda g, a, y: g.sum() + a * 0),
        ),
    }


PLAIN = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "exp": lambda a: (a * 0.1).exp(),
    "tanh": lambda a: a.tanh(),
    "sum": lambda a: a.sum() + a * 0,
}


@for_each("seed", range(40))
def test_first_and_second_gradients_of_random_graphs_of_functions(seed):
    rng = np.random.default_rng(seed)
    steps = []
    for k in range(rng.integers(1, 9)):
        name = rng.choice(sorted(PLAIN))
        count = 2 if name in ("add", "mul") else 1
        steps.append((name, rng.integers(max(0, k - 1), k + 2, count).tolist()))

    def run(lib, operations, leaves):
        values = list(leaves)
        for name, operands in steps:
            values.append(operations[name](*[values[i] for i in operands]).tanh())
        options = {"materialize_grads": True}
        first = lib.autograd.grad(
            (values[-1] * values[-2]).sum(), leaves, create_graph=True, **options
        )
        second = lib.autograd.grad(sum((g * g).sum() for g in first), leaves, **options)
        return [g.detach().numpy() for g in (*first, *second)]

    pairs = [both(draw(3, seed=i), True) for i in range(2)]
    functions = {name: f for name, (_, f) in table(tinygrad_cnn).items()}
    ours = run(tinygrad_cnn, functions, [p[0] for p in pairs])
    theirs = run(torch, PLAIN, [p[1] for p in pairs])
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
