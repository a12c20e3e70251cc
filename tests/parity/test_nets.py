"""A file written for PyTorch trains under both libraries, step for step the same."""

from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn.training.model_file import load_class, run_file

torch = pytest.importorskip("torch")

FILE = Path(__file__).with_name("nets.py")
NETS = run_file(FILE, "theirs").NETS
STEPS, BATCH = 50, 8


def trained(library, model):
    """The losses of fifty steps in float64, and the state after them."""
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(10, 3, 16, 16))
    optimizer = library.optim.SGD(
        model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4, nesterov=True
    )
    schedule = library.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    losses = []
    for _ in range(STEPS):
        labels = rng.integers(0, 10, BATCH)
        images = patterns[labels] + 0.5 * rng.normal(size=(BATCH, 3, 16, 16))
        optimizer.zero_grad()
        scores = model(library.tensor(images))
        loss = library.nn.functional.cross_entropy(scores, library.tensor(labels))
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return np.array(losses), {k: v.numpy() for k, v in model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_fifty_steps_are_those_of_pytorch(name):
    torch.manual_seed(0)
    theirs = NETS[name]().double()
    ours = load_class(f"{FILE}:{NETS[name].__name__}")().double()
    state = theirs.state_dict()
    assert [*ours.state_dict()] == [*state]
    ours.load_state_dict({k: tinygrad_cnn.tensor(v.numpy()) for k, v in state.items()})
    expected, end = trained(torch, theirs)
    found, own_end = trained(tinygrad_cnn, ours)
    assert expected[-5:].mean() < expected[:5].mean()
    assert (np.abs(found - expected) / expected).max() <= 1e-10
    for key, value in end.items():
        # What normalisation makes of no effect, a bias before it, is only rounding.
        scale = max(np.linalg.norm(value), 1e-6)
        assert np.linalg.norm(own_end[key] - value) <= 1e-8 * scale, key
