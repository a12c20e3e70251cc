"""Forward and backward hooks run when, with what, and to what effect PyTorch's do."""

import gc

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn


def shown(values):
    return [None if v is None else v.tolist() for v in values]


def forward_hooks(lib):
    log = []
    m = lib.nn.Identity()
    m.register_forward_pre_hook(lambda m, args: log.append(("pre", shown(args))))
    m.register_forward_pre_hook(lambda m, args: args[0] + 1)
    m.register_forward_pre_hook(lambda m, args: log.append("first"), prepend=True)
    m.register_forward_hook(lambda m, args, out: out * 10)
    m.register_forward_hook(
        lambda m, args, out: log.append((shown(args), out.tolist()))
    )
    return m(lib.tensor([1.0, 2.0])), log


def hooks_with_keywords(lib):
    class Scale(lib.nn.Module):
        def forward(self, x, by=1.0):
            return x * by

    log = []
    m = Scale()
    m.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"by": kwargs["by"] * 2}), with_kwargs=True
    )
    m.register_forward_hook(
        lambda m, args, kwargs, out: log.append((kwargs, out.tolist())),
        with_kwargs=True,
    )
    return m(lib.tensor([1.0]), by=3.0), log


def removed_hooks(lib):
    log = []
    m = lib.nn.Identity()
    handles = [m.register_forward_hook(lambda *_, i=i: log.append(i)) for i in range(3)]
    handles[1].remove()
    handles[1].remove()
    m(lib.ones(1))
    return log


def always_called_hooks(lib):
    class Fails(lib.nn.Module):
        def forward(self, x):
            raise ValueError("broken")

    log = []
    m = Fails()
    m.register_forward_hook(lambda m, args, out: log.append("never"))
    m.register_forward_hook(lambda m, args, out: log.append(out), always_call=True)
    with pytest.raises(ValueError, match="broken"):
        m(lib.ones(1))
    return log


def wrong_result_of_a_pre_hook(lib):
    m = lib.nn.Identity()
    m.register_forward_pre_hook(lambda m, args, kwargs: "x", with_kwargs=True)
    m(lib.ones(1))


def two_of_three(lib):
    class Module(lib.nn.Module):
        def forward(self, x, label, y):
            return x * y, x

    return Module()


def backward_hooks(lib):
    log = []
    m = two_of_three(lib)
    m.register_full_backward_hook(
        lambda m, gi, go: log.append(("full", shown(gi), shown(go)))
    )
    m.register_full_backward_pre_hook(lambda m, go: log.append(("pre", shown(go))))
    x = lib.tensor([2.0, 3.0], requires_grad=True)
    y = lib.tensor([[5.0], [7.0]], requires_grad=True)
    product, same = m(x, "label", y)
    (product.sum() + (same * same).sum()).backward()
    return log, x.grad, y.grad


def replaced_gradients(lib):
    m = two_of_three(lib)
    m.register_full_backward_pre_hook(lambda m, go: (go[0] * 2, go[1]))
    m.register_full_backward_hook(lambda m, gi, go: (gi[0] + 100, None, gi[2] * 3))
    m.register_full_backward_hook(
        lambda m, gi, go: (gi[0] * 2, None, gi[2]), prepend=True
    )
    x = lib.tensor([2.0, 3.0], requires_grad=True)
    y = lib.tensor([5.0, 7.0], requires_grad=True)
    product, same = m(x, None, y)
    (product.sum() + same.sum()).backward()
    return x.grad, y.grad


def an_input_without_part_in_the_result(lib):
    class First(lib.nn.Module):
        def forward(self, x, y):
            return x * 2

    log = []
    m = First()
    m.register_full_backward_hook(lambda m, gi, go: log.append((shown(gi), shown(go))))
    x, y = (lib.ones(2, requires_grad=True) for _ in "xy")
    m(x, y).sum().backward()
    return log


def gradients_of_gradients(lib):
    log = []
    m = lib.nn.Tanh()
    m.register_full_backward_hook(lambda m, gi, go: log.append(shown(gi)))
    x = lib.tensor([0.0], requires_grad=True)
    (first,) = lib.autograd.grad(m(x), x, create_graph=True)
    first.backward()
    return log, first, x.grad


def hooks_in_no_grad(lib):
    log = []
    m = lib.nn.Tanh()
    m.register_full_backward_hook(lambda m, gi, go: log.append("never"))
    with lib.no_grad():
        return m(lib.zeros(1, requires_grad=True)).requires_grad, log


def too_many_gradients(lib):
    m = lib.nn.Tanh()
    m.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    m(lib.zeros(1, requires_grad=True)).backward()


def too_few_gradients(lib):
    m = two_of_three(lib)
    m.register_full_backward_pre_hook(lambda m, go: (go[0],))
    m(lib.zeros(1, requires_grad=True), 0, 1)[0].backward()


@pytest.mark.parametrize(
    "scenario",
    [
        forward_hooks,
        hooks_with_keywords,
        removed_hooks,
        always_called_hooks,
        wrong_result_of_a_pre_hook,
        backward_hooks,
        replaced_gradients,
        an_input_without_part_in_the_result,
        gradients_of_gradients,
        hooks_in_no_grad,
        too_many_gradients,
        too_few_gradients,
    ],
)
def test_hooks_see_and_do_what_they_do_in_pytorch(agree, scenario):
    agree(scenario)


def test_a_backward_hook_without_inputs_to_wait_for_runs_with_a_warning():
    log = []
    m = nn.Linear(2, 1)
    m.register_full_backward_hook(lambda m, gi, go: log.append((gi, shown(go))))
    y = m(tg.ones(1, 2))
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        y.sum().backward()
    assert log == [((None,), [[[1.0]]])]


def test_gradients_through_hooks_are_those_without():
    m = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.MaxPool2d(2))
    x = tg.randn(2, 2, 6, 6, requires_grad=True)
    m(x).square().sum().backward()
    expected, x.grad = x.grad, None
    for module in m.modules():
        module.register_full_backward_hook(lambda m, gi, go: None)
    m(x).square().sum().backward()
    assert (x.grad == expected).all()


def test_a_backward_hook_cannot_change_the_shape_of_a_gradient():
    m = nn.Tanh()
    m.register_full_backward_hook(lambda m, gi, go: (tg.ones(3),))
    with pytest.raises(RuntimeError, match="changed the size"):
        m(tg.zeros(2, requires_grad=True)).sum().backward()


def test_a_failing_hook_for_failures_is_reported_beside_the_failure():
    class Fails(nn.Module):
        def forward(self):
            raise ValueError("first")

    def hook(*args):
        raise ValueError("second")

    m = Fails()
    m.register_forward_hook(hook, always_call=True)
    with (
        pytest.warns(UserWarning, match="silenced .* second"),
        pytest.raises(ValueError, match="first"),
    ):
        m()


def test_a_step_through_hooks_leaves_nothing_to_the_garbage_collector():
    m = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    for module in m.modules():
        module.register_full_backward_hook(lambda m, gi, go: gi)
        module.register_forward_hook(lambda m, args, out: None)

    def step():
        m(tg.ones(1, 2, requires_grad=True)).sum().backward()

    step()
    gc.collect()
    gc.disable()
    # What is there already is not looked at: PyTorch's part in the tests above is freed by
    # a second collection only, because its graph hides references from the collector.
    gc.freeze()
    try:
        step()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        # Other threads, such as those of a test runner, leave garbage of their own.
        modules = [getattr(x, "__module__", None) for x in gc.garbage]
        assert not [m for m in modules if str(m).startswith(("tinygrad_cnn", __name__))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()
