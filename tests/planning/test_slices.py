"""Plans that carry slice after slice of the batch: the very bits of the recorded step."""

import copy
import multiprocessing
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

import tinygrad_cnn
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import kernels, tensor
from tinygrad_cnn.kernels import threads
from tinygrad_cnn.planning import planned
from tinygrad_cnn.planning.crew import run_together

DTYPES = np.float32, np.float64
BATCHES = 64, 70, 100, 128


@pytest.fixture(autouse=True)
def compiled_kernels():
    before = kernels.serving(), threads.get_num_threads()
    kernels.use("fast")
    yield
    tinygrad_cnn.set_num_threads(before[1])
    kernels.use(before[0])


def use_threads(number):
    tinygrad_cnn.set_num_threads(number)
    threads.Pool.compiled = number  # even if there are fewer cores


def is_sliced(step):
    """Whether the plan used last has a phase that threads share."""
    return any(len(phase) > 1 for phase in step._plans[0][2].phases)


def step_of(model, loss, *inputs):
    """The bits of a recorded step's loss, output and gradients."""
    model.zero_grad()
    output = model(inputs[0])
    value = loss(output, inputs[1])
    value.backward()
    return bits(model, value, output)


def bits(model, *results):
    grads = [p.grad for p in model.parameters()]
    return [t._array.tobytes() for t in (*results, *grads)]


def assert_same_bits(model, loss, *batches):
    """Plan, replay on every batch, and compare; returns the planned step."""
    usual, step = copy.deepcopy(model), planned(model, loss)
    for batch in batches:
        found = bits(model, *step(*batch))
        assert step.why is None
        assert found == step_of(usual, loss, *batch)
    return step


# ------------------------------------------------------------- the very same numbers

ACTIVATIONS = nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU
LOSSES = F.cross_entropy, lambda y, t: F.nll_loss(F.log_softmax(y, 1), t), F.mse_loss
CLASSES = 5


@st.composite
def nets(draw):
    """A small net with its images: (channels, height, width)."""
    channels, size = draw(st.sampled_from([1, 2, 4])), draw(st.integers(5, 9))
    shape, layers = (channels, size, draw(st.integers(5, 9))), []
    for _ in range(draw(st.integers(0, 2))):
        groups = draw(st.sampled_from([g for g in (1, 2) if channels % g == 0]))
        outputs = groups * draw(st.integers(1, 3))
        options = {
            "padding": draw(st.integers(0, 2)),
            "stride": draw(st.integers(1, 2)),
        }
        options |= {"groups": groups, "bias": draw(st.booleans())}
        kernel = draw(st.integers(1, 3))
        layers.append(nn.Conv2d(channels, outputs, kernel, **options))
        layers.append(draw(st.sampled_from(ACTIVATIONS))())
        channels = outputs
    if draw(st.booleans()):
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.Flatten())
    width = layers_width(layers, shape)
    if draw(st.booleans()):
        hidden = draw(st.integers(1, 20))
        layers.append(nn.Linear(width, hidden, bias=draw(st.booleans())))
        layers.append(draw(st.sampled_from(ACTIVATIONS))())
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, CLASSES)), shape


def layers_width(layers, shape):
    return nn.Sequential(*layers)(tensor(np.zeros((1, *shape), "f"))).shape[1]


def drawn(shape, n, dtype, loss, seed=0):
    """Images and what the loss compares the output with."""
    rng = np.random.default_rng(seed)
    images = tensor(rng.normal(size=(n, *shape)).astype(dtype))
    if loss is F.mse_loss:
        return images, tensor(rng.normal(size=(n, CLASSES)).astype(dtype))
    return images, tensor(rng.integers(0, CLASSES, n))


def test_drawn_nets_give_the_bits_of_the_recorded_step():
    sliced = []

    @settings(max_examples=12)
    @given(
        net=nets(),
        loss=st.sampled_from(LOSSES),
        n=st.sampled_from(BATCHES),
        dtype=st.sampled_from(DTYPES),
        number=st.sampled_from([1, 2]),
    )
    def same_bits(net, loss, n, dtype, number):
        use_threads(number)
        model, shape = net
        model.to(dtype)
        batches = [drawn(shape, n, dtype, loss, seed) for seed in range(2)]
        step = assert_same_bits(model, loss, *batches)
        if number == 2:
            sliced.append(is_sliced(step))

    same_bits()
    assert np.mean(sliced) > 0.5


def cnn():
    body = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    return nn.Sequential(*body, nn.Linear(64, CLASSES))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", BATCHES)
def test_threads_change_no_bit(n, dtype):
    found, model = [], cnn().to(dtype)
    batch = drawn((1, 8, 8), n, dtype, F.cross_entropy)
    for number in (1, 2):
        use_threads(number)
        step = assert_same_bits(model, F.cross_entropy, batch, batch)
        found.append(bits(model, *step(*batch)))
    assert found[0] == found[1]


def test_sums_over_the_batch_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    use_threads(2)
    model = cnn().to(np.float64)
    x, y = drawn((1, 8, 8), 100, np.float64, F.cross_entropy)
    loss, _ = planned(model, F.cross_entropy)(x, y)
    w, b, v, c = (
        torch.tensor(np.array(p._array), requires_grad=True) for p in model.parameters()
    )
    f = torch.nn.functional
    maps = f.conv2d(torch.tensor(np.array(x._array)), w, b, padding=1).relu()
    output = f.linear(f.max_pool2d(maps, 2).flatten(1), v, c)
    expected = f.cross_entropy(output, torch.tensor(np.array(y._array)))
    expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-13)
    for ours, theirs in zip(model.parameters(), (w, b, v, c), strict=True):
        np.testing.assert_allclose(
            ours.grad._array, theirs.grad, rtol=1e-10, atol=1e-14
        )


# ----------------------------------------------------------------- which are sliced


def plan_of(model, n, shape=(1, 8, 8), loss=F.cross_entropy):
    step = planned(model, loss)
    step(*drawn(shape, n, np.float32, loss))
    assert step.why is None
    return step


@pytest.mark.parametrize("n", BATCHES)
def test_a_convolutional_net_is_sliced_from_64_images_on(n):
    use_threads(2)
    assert is_sliced(plan_of(cnn(), n))


@pytest.mark.parametrize("n", [1, 31, 32, 63])
def test_fewer_images_are_one_slice(n):
    use_threads(2)
    assert not is_sliced(plan_of(cnn(), n))


def test_batch_norm_over_large_images_is_not_sliced():
    use_threads(2)
    norm = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    model = nn.Sequential(norm, nn.Linear(4 * 14 * 14, CLASSES))
    assert not is_sliced(plan_of(model, 64, (1, 16, 16)))


def test_nothing_is_sliced_by_the_readable_kernels():
    kernels.use("reference")
    assert not is_sliced(plan_of(cnn(), 64))


# ---------------------------------------------------------------- threads that replay


def test_the_lists_of_a_phase_are_all_done_when_it_ends():
    done = [[], [], []]
    run_together([[(of.append, (i,)) for i in range(100)] for of in done])
    assert done == [list(range(100))] * 3


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_error_of_any_thread_reaches_the_caller(at):
    def fail():
        raise MemoryError("no more")

    done = []
    lists = [[(done.append, (i,))] for i in range(3)]
    lists[at].append((fail, ()))
    with pytest.raises(MemoryError, match="no more"):
        run_together(lists)
    assert sorted(done) == [0, 1, 2]
    run_together([[(done.append, (i,))] for i in (3, 4)])  # the threads live on
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_an_error_leaves_the_other_threads_time_to_end():
    started, done = threading.Event(), []

    def fail():
        raise ValueError

    def late():
        started.wait()
        done.append("late")

    with pytest.raises(ValueError):
        run_together([[(started.set, ()), (fail, ())], [(late, ())]])
    assert done == ["late"]


def replay_in_child(step, batch, expected, into):
    into.put(bits(step.model, *step(*batch)) == expected and step.why is None)


def test_a_forked_child_replays():
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("processes are not forked here")
    use_threads(2)
    step, batch = plan_of(cnn(), 64), drawn((1, 8, 8), 64, np.float32, F.cross_entropy)
    assert is_sliced(step)
    expected = bits(step.model, *step(*batch))
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    child = context.Process(target=replay_in_child, args=(step, batch, expected, found))
    child.start()
    try:
        assert found.get(timeout=60)
    finally:
        child.kill()
        child.join()
