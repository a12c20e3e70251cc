"""`gradcheck` and `gradgradcheck`: PyTorch's verdicts, on functions right and wrong."""

import itertools
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from agreement import both, draw, torch
from each import for_each

import tinygrad_cnn
from tinygrad_cnn import autograd, tensor
from tinygrad_cnn.autograd.gradcheck import GradcheckError
from tinygrad_cnn.errors import ArgumentError, AutogradError, TinygradError
from tinygrad_cnn.ops.base import Op

gradcheck, gradgradcheck = autograd.gradcheck, autograd.gradgradcheck


def function(lib, forward, backward):
    """A Function of its own that saves its arguments for backward(g, *arguments)."""

    class Mine(lib.autograd.Function):
        @staticmethod
        def forward(ctx, *args):
            ctx.save_for_backward(*args)
            return forward(*args)

        @staticmethod
        def backward(ctx, *gs):
            return backward(*gs, *ctx.saved_tensors)

    return Mine.apply


def times(lib, slope):
    """y = a · b, with ∂L/∂a = slope(g, a, b)."""
    return function(lib, lambda a, b: a * b, lambda g, a, b: (slope(g, a, b), g * a))


def outcome(check, *args, **options):
    """What a check says: True, or the kind of error."""
    try:
        assert check(*args, **options) is True
    except Exception as error:
        refused = "GradcheckError", "ArgumentError", "ValueError"
        name = type(error).__name__
        assert name in refused, error
        assert isinstance(error, RuntimeError | ValueError)
        return "ValueError" if name == "ArgumentError" else name
    return True


def verdicts(check, program, *arrays, **options):
    """(ours, PyTorch's) on `program(library)` at these float64 inputs."""
    ours, theirs = zip(*[both(a, True) for a in arrays], strict=True)
    found = []
    for lib, inputs in ((tinygrad_cnn, ours), (torch, theirs)):
        called = getattr(lib.autograd, check)
        found.append(outcome(called, program(lib), inputs, **options))
    return tuple(found)


# ------------------------------------------------------------------------- verdicts

RIGHT = {
    "a product": lambda lib: lambda a, b: a * b,
    "several outputs": lambda lib: lambda a, b: (a * b, a.sum(), b @ a.T),
    "outputs in a list": lambda lib: lambda a, b: [a * b, a + b],
    "an output of integers": lambda lib: lambda a, b: (a * b, a.argmax()),
    "an output without gradient": lambda lib: lambda a, b: (a * b, a.detach() * 2),
    "an unused input": lambda lib: lambda a, b: a.exp(),
    "a constant": lambda lib: lambda a, b: lib.ones(2, dtype=a.dtype),
    "an input as output": lambda lib: lambda a, b: (a, b * 1),
    "a view": lambda lib: lambda a, b: (a.T, b[0]),
    "selection": lambda lib: lambda a, b: lib.where(a > b, a * a, b),
    "a Function": lambda lib: times(lib, lambda g, a, b: g * b),
    "a symmetric kink": lambda lib: lambda a, b: (a - lib.tensor(draw(2, 3))).abs() * b,
    "a Function that ignores a result": lambda lib: function(
        lib, lambda a, b: (a * b, a * 1), lambda g, h, a, b: (g * b + h, g * a)
    ),
}
WRONG = {
    "twice": lambda lib: times(lib, lambda g, a, b: 2 * g * b),
    "a wrong sign": lambda lib: times(lib, lambda g, a, b: -g * b),
    "the other input's": lambda lib: times(lib, lambda g, a, b: g * a),
    "transposed": lambda lib: times(lib, lambda g, a, b: g * b.flip(0)),
    "no g": lambda lib: times(lib, lambda g, a, b: b * 1),
    "None": lambda lib: times(lib, lambda g, a, b: None),
    "zeros": lambda lib: times(lib, lambda g, a, b: 0 * g),
    "a little more": lambda lib: times(lib, lambda g, a, b: 1.01 * g * b + 1e-3 * g),
    "NaN": lambda lib: times(lib, lambda g, a, b: g * float("nan")),
    "infinite": lambda lib: times(lib, lambda g, a, b: g * float("inf")),
    "one value": lambda lib: times(
        lib,
        lambda g, a, b: g * b + (lib.arange(6).reshape(2, 3) == 4).to(g.dtype) * g,
    ),
    "the wrong output": lambda lib: function(
        lib, lambda a, b: (a * b, a * 1), lambda g, h, a, b: (h * b + g, h * a)
    ),
    "detached": lambda lib: lambda a, b: a.detach() * b,
    "detached outputs": lambda lib: lambda a, b: (a * b).detach(),
    "out of the domain": lambda lib: lambda a, b: (a - 100).log() * b,
    "an asymmetric kink": lambda lib: (
        lambda a, b: (a - lib.tensor(draw(2, 3))).relu() * b
    ),
}
CASES = RIGHT | WRONG


@for_each("fast", [False, True], ids=["slow", "fast"])
@for_each("name", CASES)
def test_the_verdict_is_pytorchs(name, fast):
    arrays = draw(2, 3), draw(2, 3, seed=1)
    ours, theirs = verdicts("gradcheck", CASES[name], *arrays, fast_mode=fast)
    assert ours == theirs
    assert (ours is True) == (name in RIGHT)


def wrong_later(lib):
    """The gradient is right, but its own gradient is not: b is taken for a constant."""
    return times(lib, lambda g, a, b: g * b.detach())


def wrong_there_too(lib):
    return times(lib, lambda g, a, b: 2 * g * b)


def once(lib):
    class Once(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * a * b

        @staticmethod
        @lib.autograd.function.once_differentiable
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            return 2 * a * b * g, a * a * g

    return Once.apply


SECOND = {
    "smooth": (lambda lib: lambda a, b: (a * b).exp() * a, True),
    "several outputs": (lambda lib: lambda a, b: (a * a * b, b.tanh()), True),
    "linear": (lambda lib: lambda a, b: a * 2 + b, True),
    "a Function": (lambda lib: times(lib, lambda g, a, b: g * b), True),
    "wrong in the second order": (wrong_later, "GradcheckError"),
    "differentiable once": (once, "GradcheckError"),
    "a wrong Function that agrees with itself": (
        lambda lib: function(lib, lambda a, b: a + b, lambda g, a, b: (2 * g, g)),
        True,
    ),
}


@for_each("fast", [False, True], ids=["slow", "fast"])
@for_each("name", SECOND)
def test_the_verdict_on_second_gradients_is_pytorchs(name, fast):
    program, expected = SECOND[name]
    arrays = 0.5 * draw(2, 3), 0.5 * draw(2, 3, seed=1)
    ours, theirs = verdicts("gradgradcheck", program, *arrays, fast_mode=fast)
    assert ours == theirs == expected


@for_each("seed", range(30))
def test_near_the_tolerance_the_verdict_is_that_of_the_formula(seed):
    """|analytical − numerical| ≤ atol + rtol · |numerical|, for y = slope · a."""
    rng = np.random.default_rng(seed)
    slope = rng.uniform(0.5, 2.0)
    atol, rtol = 10.0 ** rng.integers(-5, -1, 2)
    allowed = atol + rtol * slope
    for factor, expected in ((0.98, True), (1.02, "GradcheckError")):
        off = slope + factor * allowed * rng.choice([-1, 1])

        def program(lib, off=off):
            return function(lib, lambda a: a * slope, lambda g, a: g * off)

        options = {"atol": atol, "rtol": rtol}
        assert verdicts("gradcheck", program, draw(1), **options) == (expected,) * 2


@for_each("factor", [-1.02, -0.98, 0.98, 1.02])
@for_each("fast", [False, True], ids=["slow", "fast"])
def test_an_error_in_all_values_of_the_jacobian_is_measured_alike(fast, factor):
    """∂y/∂a = 0 everywhere, and the gradient says e: right if |e| ≤ atol."""

    def program(lib):
        e = factor * 1e-3
        return function(lib, lambda a: a * 0, lambda g, a: g * 0 + e * g.sum())

    found = verdicts("gradcheck", program, draw(2, 3), atol=1e-3, fast_mode=fast)
    assert found == (True if abs(factor) < 1 else "GradcheckError",) * 2


@for_each("shape", [(), (0,), (1,), (2, 1, 2)])
@for_each("fast", [False, True], ids=["slow", "fast"])
def test_any_shape(shape, fast):
    for slope, expected in ((2, True), (3, True if 0 in shape else "GradcheckError")):

        def program(lib, slope=slope):
            return function(lib, lambda a: a * 2, lambda g, a: g * slope)

        found = verdicts("gradcheck", program, draw(*shape), fast_mode=fast)
        assert found == (expected,) * 2


# ------------------------------------------------------------------ what is checked


def test_backward_must_give_the_same_twice():
    def program(lib):
        calls = itertools.count()
        return function(
            lib, lambda a: a * 2, lambda g, a: g * (2 + 1e-7 * (next(calls) % 2))
        )

    for tolerance, expected in ((0.0, "GradcheckError"), (1e-6, True)):
        found = verdicts("gradcheck", program, draw(3), nondet_tol=tolerance)
        assert found == (expected,) * 2


def test_a_gradient_that_is_not_multiplied_by_that_of_the_output_is_found():
    def program(lib):
        return function(lib, lambda a: a * 2, lambda g, a: lib.zeros_like(g) + 2)

    assert verdicts("gradcheck", program, draw(1)) == ("GradcheckError",) * 2
    with pytest.raises(GradcheckError, match="backward not multiplied by grad_output"):
        gradcheck(program(tinygrad_cnn), tensor(draw(1), requires_grad=True))


def selective(lib, error):
    """Two results; backward fails where no gradient comes to one of the second kind."""

    class Selective(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.set_materialize_grads(False)
            return a * 2, a * 3

        @staticmethod
        def backward(ctx, g, h):
            if g is None and h is None:
                return None
            if g is None:
                return 3 * h
            if h is None:
                if error is not None and not g.any():
                    raise error
                return 2 * g
            return 2 * g + 3 * h

    return Selective.apply


def test_outputs_without_gradient_are_tried():
    assert (
        verdicts("gradcheck", lambda lib: selective(lib, None), draw(2)) == (True,) * 2
    )
    error = RuntimeError("undefined")
    with pytest.raises(GradcheckError, match="no gradient came to output 1"):
        gradcheck(selective(tinygrad_cnn, error), tensor(draw(2), requires_grad=True))
    a = tensor(draw(2), requires_grad=True)
    assert gradcheck(selective(tinygrad_cnn, error), a, check_undefined_grad=False)


def test_outputs_that_ask_for_no_gradient_may_stand_before_others():
    a = tensor(draw(2), requires_grad=True)
    for fast in (False, True):
        assert gradcheck(
            lambda a: (a.detach() * 5, a > 0, a.argmax(), a * 2), a, fast_mode=fast
        )


@dataclass(frozen=True)
class Unfit(Op, register=False):
    """y = a, and a gradient of another dtype or shape."""

    shape: tuple[int, ...]
    dtype: type

    def forward(self, a):
        return a.copy()

    def grad_a(self, g):
        return np.zeros(self.shape, self.dtype) + np.asarray(g).sum().astype(self.dtype)


def test_gradients_of_another_dtype_or_shape_are_found():
    a = tensor(draw(1), requires_grad=True)
    assert gradcheck(Unfit((1,), np.float32), a)
    with pytest.raises(GradcheckError, match=r"dtype mismatch: float32 .* of float64"):
        gradcheck(Unfit((1,), np.float32), a, check_grad_dtypes=True)
    with pytest.raises(
        GradcheckError, match=r"incorrect size: \[1, 1\] .* shape \[1\]"
    ):
        gradcheck(Unfit((1, 1), np.float64), a)


def test_inputs_may_be_of_any_kind_and_reached_by_other_ways():
    for lib in (tinygrad_cnn, torch):
        check = lib.autograd.gradcheck
        a, b = (
            lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
            for _ in range(2)
        )
        assert check(lambda a, k, d: a * k[0] * d["s"], (a, [2.0, 3], {"s": 4}))
        assert check(lambda a, b: a * b, [a, b])
        assert check(lambda x, y: a * b, (a, b))  # noqa: B023
        assert check(lambda a: a * b, (a,))  # noqa: B023
        assert check(lambda a: a * 2, a * 1)
        wrong = function(lib, lambda a: a * 2, lambda g, a: 3 * g)
        assert not check(
            lambda x, y: wrong(a),  # noqa: B023
            (a, b),
            raise_exception=False,
        )


@for_each("layout", ["C", "F", "strided", "reversed"])
def test_inputs_are_left_as_they_were(layout):
    values = np.asarray(draw(4, 6) * 1e3, order="F" if layout == "F" else "C")
    a = tensor(values)
    a = {"strided": a[::2, ::2], "reversed": a.T}.get(layout, a)
    a.requires_grad_()
    before, version = a.tolist(), a._version.count
    gradcheck(lambda a: a * a, a, atol=1e-3)

    def failing(a):
        if a.tolist() != before:
            raise ZeroDivisionError
        return a * a

    with pytest.raises(ZeroDivisionError):
        gradcheck(failing, a)
    assert a.tolist() == before
    assert (a.grad, a._version.count) == (None, version)


def test_the_random_numbers_of_the_user_are_left_alone():
    a = tensor(draw(2), requires_grad=True)
    tinygrad_cnn.manual_seed(0)
    expected = tinygrad_cnn.rand(3).tolist()
    tinygrad_cnn.manual_seed(0)
    gradgradcheck(lambda a: a * a, a, fast_mode=True)
    assert tinygrad_cnn.rand(3).tolist() == expected


def test_grad_outputs_are_checked_if_they_ask():
    for lib in (tinygrad_cnn, torch):
        check = lib.autograd.gradgradcheck
        a = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
        g = lib.tensor([3.0, 4.0], dtype=lib.float64)
        assert check(lambda a: a**3, a, g)
        assert check(lambda a: (a**3, a.exp()), a, (g, g.clone().requires_grad_()))
        for gaps in (True, False):
            seen = set()

            def backward(g, a, seen=seen):
                seen.add(g.is_contiguous())
                return g * 3 * a**2

            cube = function(lib, lambda a: a**3, backward)
            assert check(cube, a, gen_non_contig_grad_outputs=gaps)
            assert seen == {not gaps}


@pytest.mark.filterwarnings("ignore")
def test_single_precision_is_warned_of_and_mostly_fails():
    for lib in (tinygrad_cnn, torch):
        check = lib.autograd.gradcheck
        a = lib.tensor([1.0, 2.0], requires_grad=True)
        with pytest.warns(UserWarning, match="double|float64"):
            assert not check(lambda a: a * 2, a, raise_exception=False)
        with pytest.warns(UserWarning):
            assert check(lambda a: a * 2, a, eps=0.1)
        assert check(lambda a: a.double() * 2, a, eps=0.1, check_grad_dtypes=True)


# ------------------------------------------------------------------------ messages


def message_of(func, *arrays, **options):
    inputs = tuple(tensor(a, requires_grad=True) for a in arrays)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(func, inputs, **options)
    return str(caught.value)


def off_by(i, j, factor):
    """y = a · b, with ∂L/∂b wrong in one place."""
    factors = np.ones((2, 3))
    factors[i, j] = factor
    wrong = tensor(factors)
    return function(
        tinygrad_cnn, lambda a, b: a * b, lambda g, a, b: (g * b, g * a * wrong)
    )


def test_a_mismatch_says_how_many_which_and_how_far():
    """Of the 36 values of ∂y/∂b, ∂y[1, 2]/∂b[1, 2] is 5 · 3 instead of 3."""
    a = np.full((2, 3), 3.0)
    message = message_of(off_by(1, 2, 5.0), a, np.ones((2, 3)))
    first, *lines = message.splitlines()
    assert first == (
        "Jacobian mismatch for output 0 with respect to input 1: 1 of 36 values are off"
    )
    assert "∂output[1, 2] / ∂input[1, 2] is 15 by backward, 3 by" in lines[0]
    assert "largest error 12, relative 0.8" in lines[1]


def test_the_worst_of_several_is_named():
    """∂(1000 · a)/∂a is off by 10 and ∂(2 · a)/∂a by 1; only the second output is wrong."""
    slopes = tensor([1000.0, 2.0], dtype=np.float64)
    mistakes = tensor([10.0, 1.0], dtype=np.float64)
    wrong = function(
        tinygrad_cnn, lambda a: a * slopes, lambda g, a: g * (slopes + mistakes)
    )
    message = message_of(lambda a: (a * 1, wrong(a)), np.ones(2))
    assert "output 1 with respect to input 0: 2 of 4 values" in message
    assert "∂output[0] / ∂input[0] is 1010 by backward, 1000 by" in message
    assert "largest error 10, relative 0.333" in message


def test_fast_mode_then_looks_at_all_values():
    message = message_of(off_by(0, 1, 5.0), *[np.ones((2, 3))] * 2, fast_mode=True)
    assert "in random directions, vᵀJu is" in message.splitlines()[0]
    assert "output 0 with respect to input 1: 1 of 36 values are off" in message
    assert "∂output[0, 1] / ∂input[0, 1] is 5 by backward, 1 by" in message


def test_a_gradient_error_can_be_caught_as_pytorchs():
    assert issubclass(GradcheckError, AutogradError)
    assert issubclass(GradcheckError, RuntimeError)
    assert autograd.gradcheck is gradcheck


# ------------------------------------------------------------------------ refusals

calls = itertools.count()
REFUSED = {
    "no input asks": lambda check, a: check(lambda a: a * 2, a.detach()),
    "no input asks, no exception": lambda check, a: check(
        lambda a: a * 2, a.detach(), raise_exception=False
    ),
    "no input": lambda check, a: check(lambda: a * 2, ()),
    "an input in a dict": lambda check, a: check(lambda d: d["a"] * 2, {"a": a}),
    "asking Tensors in a list": lambda check, a: check(
        lambda a, b: a * b[0], (a, [a * 1])
    ),
    "None as output": lambda check, a: check(lambda a: (a * 2, None), a),
    "a number as output": lambda check, a: check(lambda a: (a * 2, 3), a),
    "expanded memory": lambda check, a: check(
        lambda a: a * 2, a.detach()[:1].expand(3).requires_grad_()
    ),
    "another shape near by": lambda check, a: check(
        lambda a: (a * 2)[: 1 + next(calls) % 2], a
    ),
    "nothing to check": lambda check, a: check(
        lambda a: a * 2, a, check_backward_ad=False
    ),
}


@for_each("name", REFUSED)
def test_what_cannot_be_checked_is_refused(name):
    for lib, kind in ((torch, Exception), (tinygrad_cnn, TinygradError)):
        a = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
        with pytest.raises(kind) as caught:
            REFUSED[name](lib.autograd.gradcheck, a)
        assert type(caught.value).__name__ != "GradcheckError"
        if lib is torch:
            same_kind = isinstance(caught.value, ValueError)
    assert not same_kind or isinstance(caught.value, ValueError)


@for_each(
    "option",
    [
        {"check_batched_grad": True},
        {"check_batched_forward_grad": True},
        {"check_forward_ad": True},
        {"check_backward_ad": False},
        {"masked": True},
    ],
    ids=str,
)
def test_what_is_not_offered_is_refused(option):
    ((name, value),) = option.items()
    with pytest.raises(ArgumentError, match=f"{name}={value} is not offered"):
        gradcheck(lambda a: a * 2, tensor(draw(2), requires_grad=True), **option)


@for_each(
    "option",
    [
        {"check_batched_grad": True},
        {"check_fwd_over_rev": True},
        {"check_rev_over_rev": False},
        {"masked": True},
    ],
    ids=str,
)
def test_what_is_not_offered_for_second_gradients_is_refused(option):
    ((name, value),) = option.items()
    with pytest.raises(ArgumentError, match=f"{name}={value} is not offered"):
        gradgradcheck(lambda a: a * 2, tensor(draw(2), requires_grad=True), **option)


# --------------------------------------------------------------------- where it is

IMPORTS = {
    "the package first": (
        "import tinygrad_cnn.autograd; import tinygrad_cnn.autograd.gradcheck"
    ),
    "the module first": "import tinygrad_cnn.autograd.gradcheck",
    "the error first": "from tinygrad_cnn.autograd.gradcheck import GradcheckError",
    "lazily": "import tinygrad_cnn; tinygrad_cnn.autograd",
}


@for_each("name", IMPORTS)
def test_gradcheck_is_the_function_however_it_was_imported(name):
    program = (
        f"{IMPORTS[name]}\n"
        "import tinygrad_cnn\n"
        "from tinygrad_cnn.autograd import gradcheck\n"
        "from tinygrad_cnn.autograd.gradcheck import GradcheckError\n"
        "assert tinygrad_cnn.autograd.gradcheck is gradcheck\n"
        "assert callable(gradcheck) and issubclass(GradcheckError, RuntimeError)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_failure_comes_with_what_verify_says_of_it():
    x = tensor([0.0, 1.0], dtype=tinygrad_cnn.float64, requires_grad=True)
    with pytest.raises(GradcheckError) as caught:
        autograd.gradcheck(tinygrad_cnn.relu, (x,))
    assert "relu, element (0,): on the corner" in caught.value.__notes__[0]
    assert not autograd.gradcheck(tinygrad_cnn.relu, (x,), raise_exception=False)
    report = autograd.gradcheck.last_report
    assert report
    assert [kink.index for kink in report["input 0"].kinks] == [(0,)]
