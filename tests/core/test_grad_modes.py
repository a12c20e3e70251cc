"""Recording on and off: as context, as decorator, nested, after errors, and by thread."""

import asyncio
import threading

import numpy as np
import pytest
from agreement import alike, draw
from cases import leaf
from each import for_each
from pytorch import from_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn import enable_grad, is_grad_enabled, no_grad, set_grad_enabled, tensor


def test_under_no_grad_nothing_is_recorded():
    x = leaf(1, 2)
    with no_grad():
        y = x * 2
        assert not is_grad_enabled()
    assert is_grad_enabled()
    assert not y.requires_grad
    assert y.is_leaf
    assert y.grad_fn is None
    assert (x * 2).requires_grad
    assert x.requires_grad


def test_a_leaf_made_under_no_grad_may_ask_for_a_gradient():
    with no_grad():
        x = leaf(1, 2)
        y = tensor([1.0]).requires_grad_()
    assert x.requires_grad
    assert y.requires_grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_enable_grad_records_inside_no_grad():
    x = leaf(1, 2)
    with no_grad():
        with enable_grad():
            y = x * x
            assert is_grad_enabled()
        assert not is_grad_enabled()
        z = x * x
    assert y.requires_grad
    assert not z.requires_grad


NESTINGS = {
    "no no": (no_grad, no_grad),
    "no enable": (no_grad, enable_grad),
    "enable no": (enable_grad, no_grad),
    "set no": (lambda: set_grad_enabled(True), no_grad),
    "no set": (no_grad, lambda: set_grad_enabled(True)),
    "set set": (lambda: set_grad_enabled(False), lambda: set_grad_enabled(True)),
}


@for_each("name", NESTINGS)
def test_each_block_restores_what_was_before(name):
    outer, inner = NESTINGS[name]
    with outer():
        before = is_grad_enabled()
        with inner():
            pass
        assert is_grad_enabled() == before
        with inner(), outer(), inner():
            pass
        assert is_grad_enabled() == before
    assert is_grad_enabled()


@for_each("block", [no_grad, enable_grad, lambda: set_grad_enabled(False)])
def test_an_exception_restores_what_was_before(block):
    for around in (no_grad, enable_grad):
        with around():
            before = is_grad_enabled()
            with pytest.raises(KeyError), block():
                raise KeyError
            assert is_grad_enabled() == before


def test_one_object_may_be_entered_again_and_again():
    block = no_grad()
    with block:
        with block:
            assert not is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()
    with block:
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_a_mode_that_was_set_may_be_entered_again_and_again():
    def program(library, x):
        seen = []
        block = library.set_grad_enabled(False)
        for _ in range(2):
            with block:
                seen.append((x * 2).requires_grad)
            seen.append((x * 2).requires_grad)
        return seen

    alike(program, draw(2))


def decorated(library):
    """The modes seen inside and after functions decorated in every way."""
    seen = []

    def note():
        seen.append(library.is_grad_enabled())

    @library.no_grad()
    def without():
        note()

    @library.enable_grad()
    def within():
        note()

    note()
    for mode in (True, False):

        @library.set_grad_enabled(mode)
        def as_set():
            note()

        note()  # decorating changes nothing yet
        as_set()
        note()
        with library.no_grad():
            as_set()
            note()
        as_set()
        note()
    for function in (without, within, without):
        function()
        note()
        with library.no_grad():
            function()
            note()
    return seen


def test_decorated_functions_are_pytorchs():
    try:
        ours = decorated(tinygrad_cnn)
    finally:
        set_grad_enabled(True)
    assert ours == from_pytorch(lambda: decorated(torch))


def test_a_decorated_function_may_call_itself_and_raise():
    @no_grad()
    def countdown(n):
        assert not is_grad_enabled()
        if n == 0:
            raise KeyError
        countdown(n - 1)

    with pytest.raises(KeyError):
        countdown(5)
    assert is_grad_enabled()


def test_decoration_keeps_name_arguments_and_result():
    @no_grad()
    def add(a, b=2):
        """Adds."""
        return a + b

    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    assert add(1) == 3
    assert add(1, b=5) == 6


def test_methods_can_be_decorated():
    class Model:
        @no_grad()
        def evaluate(self, x):
            return x * 2

    assert not Model().evaluate(leaf(1)).requires_grad


def test_no_grad_without_parentheses_decorates_as_in_pytorch():
    def mode(library):
        return library.no_grad(library.is_grad_enabled)()

    assert from_pytorch(lambda: mode(torch)) is False
    assert mode(tinygrad_cnn) is False
    assert is_grad_enabled()


def generators(library):
    """The modes inside and outside of decorated generators, through all of their life."""
    seen = []

    def note(where):
        seen.append([where, library.is_grad_enabled()])

    for block in (library.no_grad(), library.inference_mode(), library.enable_grad()):

        @block
        def steps(n):
            note("start")
            try:
                for i in range(n):
                    note(["got", (yield i)])
            except KeyError:
                note("caught")
                yield "after"
            finally:
                note("end")
            return "result"

        for stop in ("close", "throw", "run out"):
            generator = steps(2)
            note(next(generator))
            note(generator.send("sent"))
            if stop == "close":
                generator.close()
            elif stop == "throw":
                note(generator.throw(KeyError()))
                generator.close()
            else:
                try:
                    next(generator)
                except StopIteration as done:
                    note(done.value)
    return seen


def test_decorated_generators_are_pytorchs():
    assert generators(tinygrad_cnn) == from_pytorch(lambda: generators(torch))


def test_a_coroutine_is_not_decorated():
    async def wait():
        pass

    with pytest.raises(tinygrad_cnn.errors.ArgumentError, match="with block inside"):
        no_grad()(wait)


def inference(library):
    """What asks for a gradient in and after inference_mode, in all of its forms."""
    x, seen = library.ones(2).requires_grad_(), []

    @library.inference_mode
    def bare():
        return (x * 2).requires_grad

    @library.inference_mode()
    def called():
        return (x * 2).requires_grad

    with library.no_grad(), library.inference_mode(False):
        seen.append((x * 2).requires_grad)
    with library.inference_mode():
        seen.append((x * 2).requires_grad)
        with library.inference_mode(mode=False):
            seen.append((x * 2).requires_grad)
    return [*seen, bare(), called(), (x * 2).requires_grad]


def test_inference_mode_is_pytorchs():
    assert inference(tinygrad_cnn) == from_pytorch(lambda: inference(torch))


def test_set_grad_enabled_works_at_once_and_as_a_block():
    def program(library, x):
        seen = []
        library.set_grad_enabled(False)
        seen.append((x * 2).requires_grad)
        library.set_grad_enabled(True)
        seen.append((x * 2).requires_grad)
        with library.set_grad_enabled(False):
            seen.append((x * 2).requires_grad)
        seen.append((x * 2).requires_grad)
        return seen

    alike(program, draw(2))


def test_backward_works_under_no_grad():
    def program(library, x):
        y = (x * x).sum()
        with library.no_grad():
            y.backward()
        return x.grad

    alike(program, draw(3))


def test_create_graph_works_under_no_grad():
    def program(library, x):
        y = (x * x * x).sum()
        with library.no_grad():
            (g,) = library.autograd.grad(y, x, create_graph=True)
            assert not library.is_grad_enabled()
        return library.autograd.grad(g.sum(), x)

    alike(program, draw(3))


def test_an_error_in_backward_leaves_recording_on():
    x = leaf(1, 2)
    y = x * x

    def fail(g):
        raise KeyError("hook")

    y.register_hook(fail)
    with pytest.raises(KeyError, match="hook"):
        y.sum().backward()
    assert is_grad_enabled()


# -------------------------------------------------------------------------- threads


def in_threads(function, count):
    """What `function(i)` returns in each of `count` threads that start together."""
    results, errors = [None] * count, []
    barrier = threading.Barrier(count)

    def run(i):
        try:
            barrier.wait()
            results[i] = function(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return results


def test_a_thread_starts_with_recording_on_whatever_the_others_do():
    with no_grad():
        assert in_threads(lambda i: is_grad_enabled(), 3) == [True] * 3
    assert is_grad_enabled()


def test_switching_off_in_one_thread_is_not_seen_in_another():
    off, checked = threading.Event(), threading.Event()

    def run(i):
        if i == 0:
            with no_grad():
                off.set()
                assert checked.wait(5)
                return is_grad_enabled()
        assert off.wait(5)
        seen = is_grad_enabled()
        checked.set()
        return seen

    assert in_threads(run, 2) == [False, True]


def test_one_decorated_function_may_run_in_several_threads():
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    @no_grad()
    def meet(entered, leave):
        entered.set()
        assert leave.wait(5)

    def run(i):
        with set_grad_enabled(i == 0):
            if i == 0:
                meet(first_in, second_in)
            else:
                assert first_in.wait(5)
                meet(second_in, first_out)
            seen = is_grad_enabled()
            first_out.set()
            return seen

    assert in_threads(run, 2) == [True, False]


def test_tasks_have_their_own_mode():
    async def off(entered, leave):
        with no_grad():
            entered.set()
            await leave.wait()

    async def main():
        entered, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(off(entered, leave))
        await entered.wait()
        seen = is_grad_enabled()
        leave.set()
        await task
        return seen

    assert asyncio.run(main()) is True


def trained(seed):
    """The weights after a hundred steps of a small network."""
    rng = np.random.default_rng(seed)
    w = tensor(rng.standard_normal((4, 3)), requires_grad=True)
    v = tensor(rng.standard_normal((3, 2)), requires_grad=True)
    x = tensor(rng.standard_normal((5, 4)))
    for _ in range(100):
        loss = (((x @ w).tanh() @ v).log_softmax(1)[:, 0]).mean()
        loss.backward()
        with no_grad():
            for p in (w, v):
                p -= 0.1 * p.grad
                p.grad = None
    return np.concatenate([w.detach().numpy().ravel(), v.detach().numpy().ravel()])


def test_eight_threads_of_a_hundred_steps_each_are_bit_for_bit_the_serial_ones():
    serial = [trained(seed) for seed in range(8)]
    threaded = in_threads(trained, 8)
    for one, other in zip(serial, threaded, strict=True):
        np.testing.assert_array_equal(one, other)
