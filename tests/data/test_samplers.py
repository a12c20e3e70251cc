"""Samplers and combined data sets: PyTorch's lengths and errors, and fair draws."""

import importlib

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import TinygradError
from tinygrad_cnn.utils import data

torch = pytest.importorskip("torch")

SAMPLERS = {
    "in order": lambda d: d.SequentialSampler(range(5)),
    "each once": lambda d: d.RandomSampler(range(5)),
    "more than once": lambda d: d.RandomSampler(range(5), num_samples=12),
    "with replacement": lambda d: d.RandomSampler(range(5), True, 12),
    "of a subset": lambda d: d.SubsetRandomSampler([7, 3, 9]),
    "by weight": lambda d: d.WeightedRandomSampler([0, 1, 2.5], 7),
    "by weight, once": lambda d: d.WeightedRandomSampler([0, 1, 2, 5], 3, False),
    "batches": lambda d: d.BatchSampler(d.SequentialSampler(range(5)), 2, False),
    "full batches": lambda d: d.BatchSampler(range(5), 2, True),
}


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)
def test_a_sampler_gives_as_many_of_the_same_indices_as_pytorchs(make):
    ours, theirs = make(data), make(torch.utils.data)
    found, expected = list(ours), list(theirs)
    assert len(ours) == len(theirs) == len(found) == len(expected)
    assert {type(i) for i in found} == {type(i) for i in expected}
    if not getattr(ours, "replacement", False):
        assert {str(i) for i in found} == {str(i) for i in expected}
    batches = data.DataLoader(range(10), 3, sampler=ours)
    if not isinstance(found[0], list):
        assert len(batches) == -(-len(found) // 3) == len(list(batches))


@pytest.mark.parametrize("replacement", [False, True])
def test_weights_are_probabilities(replacement):
    generator = tg.Generator().manual_seed(3)
    counts = np.zeros(4)
    for _ in range(3000):
        sampler = data.WeightedRandomSampler([1, 0, 3, 2], 1, replacement, generator)
        counts[list(sampler)] += 1
    np.testing.assert_allclose(counts / 3000, np.array([1, 0, 3, 2]) / 6, atol=0.04)


def test_a_generator_repeats_the_order():
    def order(seed):
        generator = tg.Generator().manual_seed(seed)
        return list(data.RandomSampler(range(20), generator=generator))

    assert order(1) == order(1) != order(2)


REFUSED = {
    "no samples": lambda d: d.RandomSampler([]),
    "replacement": lambda d: d.RandomSampler([1], replacement=3),
    "weights": lambda d: d.WeightedRandomSampler([[1.0]], 1),
    "negative weights": lambda d: list(d.WeightedRandomSampler([1.0, -1.0], 1)),
    "batch size": lambda d: d.BatchSampler([1], 0, False),
    "drop_last": lambda d: d.BatchSampler([1], 1, 1),
    "prefetch": lambda d: d.DataLoader([1], prefetch_factor=2),
    "persistent": lambda d: d.DataLoader([1], persistent_workers=True),
    "context": lambda d: d.DataLoader([1], multiprocessing_context="fork"),
    "stack of none": lambda d: d.StackDataset(),
    "stack of lengths": lambda d: d.StackDataset([1], [1, 2]),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_pytorch_refuses_is_refused_with_its_kind(call):
    with pytest.raises(Exception) as theirs:
        call(torch.utils.data)
    with pytest.raises(theirs.type) as ours:
        call(data)
    assert isinstance(ours.value, TinygradError)


def test_a_loader_shows_its_samplers():
    loader = data.DataLoader(range(5), 2, drop_last=True)
    assert list(loader.batch_sampler) == [[0, 1], [2, 3]]
    assert isinstance(loader.sampler, data.SequentialSampler)
    shuffled = data.DataLoader(range(5), 2, shuffle=True)
    assert isinstance(shuffled.sampler, data.RandomSampler)
    assert len(shuffled.batch_sampler) == 3 and data.get_worker_info() is None
    assert data.DataLoader(range(5), None).batch_sampler is None


def test_data_sets_side_by_side_and_one_after_the_other():
    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter("ab")

        def __len__(self):
            return 2

    both = Stream() + Stream()
    assert (list(both), len(both)) == (list("abab"), 4)
    with pytest.raises(TypeError, match="only supports IterableDataset"):
        list(data.ChainDataset([[1]]))
    assert data.StackDataset([1, 2], "ab")[1] == (2, "b")
    named = data.StackDataset(x=[1, 2], y="ab")
    assert (named[0], len(named)) == ({"x": 1, "y": "a"}, 2)


@pytest.mark.parametrize("place", ["sampler", "dataset", "dataloader"])
def test_pytorchs_places_have_the_same_objects(place):
    module = importlib.import_module(f"tinygrad_cnn.utils.data.{place}")
    theirs = importlib.import_module(f"torch.utils.data.{place}")
    for name in module.__all__:
        assert getattr(module, name) is getattr(data, name)
        assert hasattr(theirs, name)
