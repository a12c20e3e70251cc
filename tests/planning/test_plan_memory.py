"""Whose memory is whose: results are the caller's, gradients the plan's, nothing leaks."""

import copy
import gc
import itertools
import threading
import weakref

import numpy as np
import pytest
from side_by_side import as_usual, assert_close, gradients

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor, planned, tensor
from tinygrad_cnn.nn.utils import clip_grad_norm_


def small_net():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))


def arrays_of(plan):
    """Every array that the calls of a plan read or write."""
    stack, found = [plan.phases, plan.outputs], []
    while stack:
        x = stack.pop()
        if isinstance(x, np.ndarray):
            found.append(x)
        elif isinstance(x, list | tuple):
            stack += x
    return found


def test_results_share_no_memory_with_the_plan_or_one_another(
    table, pair, images, labels
):
    both, results = pair(small_net(), F.cross_entropy), []
    for _ in range(3):
        results += both.agree(images(2, 1, 6, 6), labels(2, 4))
    used = [
        *arrays_of(both.step._plans[0][2]),
        *[p._array for p in both.model.parameters()],
    ]
    for a, b in itertools.combinations(results, 2):
        assert not np.shares_memory(a._array, b._array)
    for t in results:
        assert not any(np.may_share_memory(t._array, a) for a in used)
        t.add_(1)  # the caller's own


class OneGradient(nn.Module):
    """Parameters whose gradients are one array, a view of one, or a repeated number."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(Tensor(np.ones((2, 3)))) for _ in "abc")
        self.d = nn.Parameter(Tensor(np.ones(6)))
        self.e, self.f = (nn.Parameter(Tensor(np.ones(3))) for _ in "ef")

    def forward(self, x):
        from tinygrad_cnn import cat

        many = self.a + self.b + self.c.t().t() + self.d.reshape(2, 3)
        return many + cat([self.e, self.f]).reshape(2, 3) * x


def summed(output, labels):
    return output.sum()


@pytest.mark.parametrize("loss", [summed, F.mse_loss])
def test_gradients_share_no_memory_with_one_another(loss, table, pair, images):
    both = pair(OneGradient(), loss)
    for _ in range(3):
        x, y = (images(2, 3, dtype=np.float64) for _ in range(2))
        both.agree(x, y)
        grads = [p.grad for p in both.model.parameters()]
        for g, h in itertools.combinations(grads, 2):
            assert not np.may_share_memory(g._array, h._array)
        for model in (both.model, both.usual):
            clip_grad_norm_(model.parameters(), 0.1)
        theirs = gradients(both.usual)
        for name, g in gradients(both.model).items():
            assert_close(g, theirs[name])


def test_gradients_are_set_not_added_and_their_memory_is_written_anew(
    table, pair, images, labels
):
    both = pair(small_net(), F.cross_entropy)
    both.agree(images(2, 1, 6, 6), labels(2, 4))
    kept = both.model[0].weight.grad
    both.agree(images(2, 1, 6, 6), labels(2, 4))
    assert np.shares_memory(kept._array, both.model[0].weight.grad._array)


def test_a_graph_that_saved_a_gradient_notices_that_it_is_written_anew(images, labels):
    from tinygrad_cnn.errors import MutationError

    model = nn.Linear(4, 3)
    step = planned(model, F.cross_entropy)
    step(images(2, 4), labels(2, 3))
    x = tensor(np.ones((3, 4), np.float32), requires_grad=True)
    y = (x * model.weight.grad).sum()
    step(images(2, 4), labels(2, 3))
    with pytest.raises(MutationError):
        y.backward()


def test_one_more_use_of_each_result_does_not_make_buffers_meet(table, pair, images):
    """Results that are needed late, of one size, so that their memory is wanted early."""

    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(tensor([0.3, -0.2, 0.5]))

        def forward(self, x):
            first = x * self.w
            second = (first.t() + 1).exp().t()
            third = second.reshape(3, 2).t().reshape(2, 3) - first
            fourth = third[:, ::2].sum(1, keepdim=True) + second
            return (fourth * first).tanh() + third.exp() * second[:1] + x

    both = pair(Late(), F.mse_loss)
    for _ in range(3):
        both.agree(images(2, 3), images(2, 3))


# --------------------------------------------------------------------------- lifetime


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_plan_goes_with_its_last_user_without_the_collector(
    no_collector, images, labels
):
    model = small_net()
    step = planned(model, F.cross_entropy)
    for _ in range(2):
        step(images(2, 1, 6, 6), labels(2, 4))
    plan = weakref.ref(step._plans[0][2])
    model.zero_grad()
    gone = weakref.ref(model), weakref.ref(step)
    del model, step
    assert [r() for r in (*gone, plan)] == [None] * 3


def test_refusals_leave_no_cycles(no_collector, images):
    class Reading(nn.Module):
        def forward(self, x):
            return x * x.sum().item()

    model = Reading()
    step = planned(model)
    for _ in range(2):
        step(images(2, 3))
    gone = weakref.ref(model), weakref.ref(step)
    del model, step
    assert [r() for r in gone] == [None] * 2


@pytest.mark.slow
def test_calls_leave_nothing_behind(no_collector, images, labels):
    step = planned(small_net(), F.cross_entropy)
    x, y, counts = images(2, 1, 6, 6), labels(2, 4), []
    for _ in range(300):
        step(x, y)
        counts.append(len(gc.get_objects()))
    assert max(counts[10:]) - min(counts[10:]) < 10


def test_a_plan_holds_less_memory_than_its_results_together(images, labels):
    model = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.Tanh())] * 20)
    step = planned(model)
    step(images(256, 64))
    assert step._plans[0][2].nbytes <= 4 * 256 * 64 * 4


# ---------------------------------------------------------------------------- threads


def test_several_threads_predict_by_one_plan(table, images):
    model = small_net()
    step = planned(model)
    inputs = [images(17 if i % 2 else 2, 1, 6, 6) for i in range(8)]
    expected = [model(x).detach() for x in inputs]
    wrong = []

    def many(i):
        for _ in range(30):
            found = step(inputs[i])
            try:
                assert_close(found, expected[i])
            except AssertionError as error:
                wrong.append(error)

    workers = [threading.Thread(target=many, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_model_may_call_a_plan_of_its_part(images):
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.Linear(4, 3)
            self.call = planned(self.part)

        def forward(self, x):
            return self.call(x) * 2

    model = Outer()
    step = planned(model)
    for _ in range(3):
        x = images(2, 4)
        assert_close(step(x), (model.part(x) * 2).detach())


def test_a_copy_of_a_plan_plans_for_its_own_copy_of_the_model(images, labels):
    step = planned(small_net(), F.cross_entropy)
    x, y = images(2, 1, 6, 6), labels(2, 4)
    before, _ = step(x, y)
    twin = copy.deepcopy(step)
    twin.model[0].weight.data *= 3
    assert twin(x, y)[0].item() != before.item()
    assert step(x, y)[0].item() == before.item()
    assert twin.why is None
    grads = step.model[0].weight.grad._array, twin.model[0].weight.grad._array
    assert not np.shares_memory(*grads)


def test_torch_agrees(pair, images, labels):
    torch = pytest.importorskip("torch")
    both = pair(small_net(), F.cross_entropy)
    twin = torch.nn.Sequential(
        *(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten()),
        torch.nn.Linear(48, 4),
    )
    state = both.model.state_dict()
    twin.load_state_dict({k: torch.tensor(np.array(v)) for k, v in state.items()})
    for _ in range(2):
        x, y = images(5, 1, 6, 6), labels(5, 4)
        loss, output = both.agree(x, y)
        theirs = (torch.tensor(np.array(t)) for t in (x, y))
        found = as_usual(twin, torch.nn.functional.cross_entropy, *theirs)
        for ours, of_torch in zip((loss, output), found, strict=True):
            assert_close(ours, of_torch.numpy())
        for (name, p), q in zip(
            both.model.named_parameters(), twin.parameters(), strict=True
        ):
            assert_close(p.grad, q.grad.numpy()), name
