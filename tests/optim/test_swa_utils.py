"""Averaged weights, and hooks around steps, as in PyTorch."""

import numpy as np
import pytest

import tinygrad_cnn as tg

torch = pytest.importorskip("torch")

AVERAGES = {
    "mean": lambda swa: {},
    "mean with buffers": lambda swa: {"use_buffers": True},
    "fading": lambda swa: {"avg_fn": swa.get_ema_avg_fn(0.7)},
    "fading, of lists": lambda swa: {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.7)},
    "mean, of lists": lambda swa: {"multi_avg_fn": swa.get_swa_multi_avg_fn()},
}


@pytest.mark.parametrize("options", AVERAGES.values(), ids=AVERAGES)
def test_an_averaged_model_is_pytorchs(options):
    def run(library):
        nn, swa = library.nn, library.optim.swa_utils
        rng = np.random.default_rng(3)
        model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).double()
        averaged = swa.AveragedModel(model, **options(swa))
        for _ in range(4):
            for p in model.parameters():
                p.data = library.tensor(rng.normal(size=tuple(p.shape)))
            model(library.tensor(rng.normal(size=(5, 2))))
            averaged.update_parameters(model)
        before = [t.detach().numpy() * 1.0 for t in averaged.state_dict().values()]
        batches = [library.tensor(rng.normal(size=(4, 2))) for _ in range(3)]
        swa.update_bn([[batch, 0] for batch in batches], averaged)
        averaged.eval()
        return list(averaged.state_dict()), before, averaged(batches[0])

    (names, values, y), (their_names, expected, z) = run(tg), run(torch)
    assert names == their_names
    for a, b in zip(
        [*values, y.detach().numpy()], [*expected, z.detach()], strict=True
    ):
        # PyTorch's average of lists has its share in float32.
        np.testing.assert_allclose(a, b, 1e-6)


def test_hooks_run_before_and_after_a_step():
    def run(library):
        p = library.ones(1, requires_grad=True)
        optimizer, seen = library.optim.SGD([p], lr=0.5), []

        def closure():
            optimizer.zero_grad()
            loss = (p * p).sum()
            loss.backward()
            return loss

        def before(optimizer, args, kwargs):
            seen.append(("before", p.item(), len(args)))
            return (optimizer, closure), kwargs

        def after(optimizer, args, kwargs):
            seen.append(("after", p.item(), len(args)))

        handles = [
            optimizer.register_step_pre_hook(before),
            optimizer.register_step_post_hook(after),
        ]
        loss = optimizer.step()
        handles[0].remove()
        optimizer.step()
        return seen, loss.item()

    assert run(tg) == run(torch)


def test_hooks_run_around_a_step_of_the_users_own():
    class Nothing(tg.optim.Optimizer):
        def step(self, closure=None):
            return 5

    optimizer, seen = Nothing([tg.ones(1)], {}), []
    optimizer.register_step_post_hook(lambda *args: seen.append(args))
    assert optimizer.step() == 5 and seen == [(optimizer, (optimizer,), {})]
    optimizer.register_step_pre_hook(lambda *args: 3)
    with pytest.raises(TypeError, match="must return None or a tuple"):
        optimizer.step()
