"""Random numbers: seeds, states that can be saved, and distributions."""

import json
import threading

import numpy as np
import pytest
from each import for_each
from pytorch import from_pytorch, refused_by_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn import Generator, manual_seed
from tinygrad_cnn.core.generator import stream
from tinygrad_cnn.errors import TinygradError

DRAWS = {
    "rand": lambda g=None: tinygrad_cnn.rand(5, generator=g),
    "randn": lambda g=None: tinygrad_cnn.randn(5, generator=g),
    "randint": lambda g=None: tinygrad_cnn.randint(1000, (5,), generator=g),
    "randperm": lambda g=None: tinygrad_cnn.randperm(50, generator=g),
    "normal_": lambda g=None: tinygrad_cnn.zeros(5).normal_(generator=g),
    "uniform_": lambda g=None: tinygrad_cnn.zeros(5).uniform_(generator=g),
}
WITHOUT_GENERATOR = {
    "rand_like": lambda: tinygrad_cnn.rand_like(tinygrad_cnn.zeros(5)),
    "randn_like": lambda: tinygrad_cnn.randn_like(tinygrad_cnn.zeros(5)),
    "dropout": lambda: tinygrad_cnn.nn.functional.dropout(tinygrad_cnn.ones(99), 0.5),
}


@pytest.fixture(autouse=True)
def default_generator_as_before():
    from tinygrad_cnn.core.generator import default_generator

    state = default_generator.get_state()
    yield
    default_generator.set_state(state)


@for_each("name", [*DRAWS, *WITHOUT_GENERATOR])
def test_the_same_seed_gives_the_same_numbers(name):
    drawing = {**DRAWS, **WITHOUT_GENERATOR}[name]
    manual_seed(7)
    first, second = drawing().tolist(), drawing().tolist()
    manual_seed(7)
    assert drawing().tolist() == first
    assert drawing().tolist() == second
    assert first != second
    manual_seed(8)
    assert drawing().tolist() != first


@for_each("name", DRAWS)
def test_a_generator_of_ones_own_leaves_the_common_one_alone(name):
    manual_seed(7)
    expected = DRAWS[name]().tolist()
    manual_seed(7)
    own = Generator().manual_seed(1)
    first = DRAWS[name](own).tolist()
    assert DRAWS[name]().tolist() == expected
    assert DRAWS[name](Generator().manual_seed(1)).tolist() == first


@for_each("seed", [0, 1, -1, -(2**40), 2**31, 2**63 - 1])
def test_any_seed_that_pytorch_takes_is_taken_and_remembered(seed):
    generator = Generator()
    assert generator.manual_seed(seed) is generator
    theirs = from_pytorch(lambda: torch.Generator().manual_seed(seed).initial_seed())
    assert generator.initial_seed() % 2**64 == theirs % 2**64
    assert isinstance(manual_seed(seed), Generator)
    assert tinygrad_cnn.initial_seed() == seed


def test_seeds_that_differ_give_numbers_that_differ():
    seeds = [0, 1, -1, 2**32, 2**63 - 1, 2**64, -(2**64)]
    drawn = {tuple(DRAWS["rand"](Generator().manual_seed(s)).tolist()) for s in seeds}
    assert len(drawn) == len(seeds)


@for_each("wrong", [1.5, "a", None])
def test_a_seed_is_an_integer(wrong):
    expected = refused_by_pytorch(lambda: torch.Generator().manual_seed(wrong))
    with pytest.raises((TinygradError, TypeError, RuntimeError)) as refused:
        Generator().manual_seed(wrong)
    assert isinstance(refused.value, TinygradError)
    assert isinstance(refused.value, expected)


def test_only_the_cpu_draws():
    assert Generator("cpu").manual_seed(1).initial_seed() == 1
    assert Generator(device="cpu").manual_seed(1).initial_seed() == 1
    with pytest.raises(TinygradError):
        Generator("nowhere")


@for_each("name", DRAWS)
@for_each("before", range(4))
def test_a_state_continues_exactly_where_it_was_taken(name, before):
    generator = Generator().manual_seed(3)
    for _ in range(before):
        tinygrad_cnn.rand(3, generator=generator)
        tinygrad_cnn.randint(10, (1,), generator=generator, dtype=np.int32)
    state = generator.get_state()
    expected = [DRAWS[name](generator).tolist() for _ in range(3)]
    generator.set_state(state)
    assert [DRAWS[name](generator).tolist() for _ in range(3)] == expected
    other = Generator().manual_seed(99)
    assert other.set_state(state) is other
    assert [DRAWS[name](other).tolist() for _ in range(3)] == expected
    assert other.initial_seed() == 3


def test_a_state_is_plain_json():
    for seed in (0, -5, 2**63 - 1, 2**127):
        generator = Generator().manual_seed(seed)
        generator.numpy.integers(0, 10, dtype=np.uint32)  # half a word is left over
        state = json.loads(json.dumps(generator.get_state()))
        expected = DRAWS["randn"](generator).tolist()
        assert DRAWS["randn"](Generator().set_state(state)).tolist() == expected
        left_over = Generator().set_state(state).numpy.integers(0, 2**32, 3, np.uint32)
        again = Generator().set_state(state).numpy.integers(0, 2**32, 3, np.uint32)
        np.testing.assert_array_equal(left_over, again)


def test_a_state_is_not_changed_by_drawing_on():
    generator = Generator().manual_seed(3)
    state = generator.get_state()
    copied = json.dumps(state)
    tinygrad_cnn.rand(100, generator=generator)
    assert json.dumps(state) == copied


def test_uniform_numbers_stay_below_one_in_float32():
    class AlmostOne:
        """Draws the largest number below one, in whatever dtype is asked for."""

        def random(self, size=None, dtype=np.float64, out=None):
            dtype = np.dtype(dtype).type
            return np.full(size, np.nextafter(dtype(1), dtype(0)))

    class Stub:
        numpy = AlmostOne()

    for drawn in (
        tinygrad_cnn.rand(3, generator=Stub()),
        tinygrad_cnn.zeros(3).uniform_(generator=Stub()),
        tinygrad_cnn.rand(3, generator=Stub(), dtype=np.float64),
    ):
        assert max(drawn.tolist()) < 1.0


def test_distributions_have_their_moments_and_range():
    manual_seed(0)
    n = 40_000
    uniform, normal = tinygrad_cnn.rand(n).numpy(), tinygrad_cnn.randn(n).numpy()
    assert uniform.min() >= 0
    assert abs(uniform.mean() - 0.5) < 0.01
    assert abs(uniform.std() - 12**-0.5) < 0.01
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    integers = tinygrad_cnn.randint(-2, 3, (n,)).numpy()
    counts = np.bincount(integers + 2)
    assert counts.size == 5
    assert abs(counts - n / 5).max() < 500
    assert sorted(tinygrad_cnn.randperm(100).tolist()) == list(range(100))


def test_a_stream_is_a_function_of_its_key():
    first = stream(1, 2, 3).random(4)
    np.testing.assert_array_equal(first, stream(1, 2, 3).random(4))
    for other in ((1, 2), (1, 2, 4), (3, 2, 1), (1, 2, 3, 0), (-1, 2, 3), (0, 2, 3)):
        assert not np.array_equal(first, stream(*other).random(4))


def test_a_stream_does_not_touch_the_common_generator():
    manual_seed(5)
    expected = DRAWS["rand"]().tolist()
    manual_seed(5)
    stream(1, 2).random(100)
    assert DRAWS["rand"]().tolist() == expected


def test_generators_in_threads_are_independent():
    results = {}

    def run(seed):
        results[seed] = DRAWS["randn"](Generator().manual_seed(seed)).tolist()

    threads = [threading.Thread(target=run, args=(s,)) for s in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, drawn in results.items():
        assert drawn == DRAWS["randn"](Generator().manual_seed(seed)).tolist()
