"""Initial values have PyTorch's bounds and distributions; the streams differ."""

import inspect
import math

import numpy as np
import pytest
from pytorch import torch

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.nn import init

SHAPE = (64, 32, 5, 3)  # fan_in 480, fan_out 960


def uniform_between(values, low, high):
    """Inside the bounds, and by Kolmogorov's bound uniform (one in 10^6 fails)."""
    v = np.sort(np.asarray(values.detach()).ravel().astype(np.float64))
    assert low <= v[0] and v[-1] <= high
    return farthest((v - low) / (high - low))


def normal_with(values, mean, std):
    v = np.sort(np.asarray(values.detach()).ravel().astype(np.float64))
    return farthest(np.vectorize(math.erf)((v - mean) / (std * math.sqrt(2))) / 2 + 0.5)


def farthest(cumulative):
    n = len(cumulative)
    steps = np.arange(n + 1) / n
    distance = max((steps[1:] - cumulative).max(), (cumulative - steps[:-1]).max())
    return distance < math.sqrt(math.log(2e6) / (2 * n))


@pytest.fixture(autouse=True)
def seeded():
    tg.manual_seed(1)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (lambda: nn.Linear(300, 200), 300),
        (lambda: nn.Conv2d(32, 64, (5, 3)), 32 * 15),
        (lambda: nn.Conv2d(32, 64, 5, groups=4), 8 * 25),
        (lambda: nn.ConvTranspose2d(32, 64, 5, groups=2), 32 * 25),
    ],
)
def test_weights_and_biases_start_uniform_within_one_over_root_fan_in(layer, fan_in):
    made = layer()
    bound = 1 / math.sqrt(fan_in)
    assert uniform_between(made.weight, -bound, bound)
    assert uniform_between(made.bias, -bound, bound)


FANS = {"fan_in": 480, "fan_out": 960}


@pytest.mark.parametrize("mode", FANS)
@pytest.mark.parametrize(
    ("kind", "a", "gain"),
    [("relu", 0, math.sqrt(2)), ("leaky_relu", 2, math.sqrt(0.4)), ("tanh", 0, 5 / 3)],
)
def test_kaiming_scales_with_the_gain_and_one_fan(mode, kind, a, gain):
    std = gain / math.sqrt(FANS[mode])
    values = init.kaiming_uniform_(tg.zeros(SHAPE), a, mode, kind)
    assert uniform_between(values, -std * math.sqrt(3), std * math.sqrt(3))
    assert normal_with(init.kaiming_normal_(tg.zeros(SHAPE), a, mode, kind), 0, std)


def test_xavier_scales_with_both_fans():
    std = 3 * math.sqrt(2 / (480 + 960))
    values = init.xavier_uniform_(tg.zeros(SHAPE), gain=3)
    assert uniform_between(values, -std * math.sqrt(3), std * math.sqrt(3))
    assert normal_with(init.xavier_normal_(tg.zeros(SHAPE), gain=3), 0, std)


def test_plain_distributions_are_what_their_names_say():
    assert uniform_between(init.uniform_(tg.zeros(SHAPE), -1, 3), -1, 3)
    assert normal_with(init.normal_(tg.zeros(SHAPE), 2, 0.5), 2, 0.5)
    assert init.constant_(tg.zeros(2), 7).tolist() == [7, 7]
    assert init.ones_(tg.zeros(2)).tolist() == [1, 1]
    assert init.zeros_(tg.ones(2)).tolist() == [0, 0]


def test_the_truncated_normal_is_the_normal_given_that_it_lies_inside():
    values = np.asarray(
        init.trunc_normal_(tg.zeros(20000, dtype=tg.float64), 1, 2, -1, 2)
    )
    assert values.min() >= -1 and values.max() <= 2

    def cdf(v):
        return (1 + math.erf((v - 1) / (2 * math.sqrt(2)))) / 2

    inside = [(cdf(v) - cdf(-1)) / (cdf(2) - cdf(-1)) for v in np.sort(values)]
    assert farthest(np.array(inside))
    with pytest.raises(ValueError, match="hardly ever"):
        init.trunc_normal_(tg.zeros(2), 0, 1, 9, 10)


@pytest.mark.parametrize("shape", [(4, 4), (3, 2, 2, 2), (9, 2, 2)])
def test_orthogonal_rows_or_columns_have_the_length_of_the_gain(shape):
    q = np.asarray(init.orthogonal_(tg.zeros(shape, dtype=tg.float64), gain=3))
    q = q.reshape(shape[0], -1)
    product = q @ q.T if len(q) <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(product, 9 * np.eye(len(product)), atol=1e-12)


def test_a_generator_makes_the_values_repeatable():
    def draw(seed):
        generator = tg.Generator().manual_seed(seed)
        return init.kaiming_uniform_(tg.zeros(3, 3), generator=generator).tolist()

    assert draw(1) == draw(1) != draw(2)


def test_parameters_are_filled_in_place_without_being_recorded():
    p = nn.Parameter(tg.zeros(3, 3))
    assert init.xavier_normal_(p) is p
    assert p.is_leaf and p.requires_grad and (p != 0).any()


def test_an_empty_tensor_is_left_alone_with_a_warning():
    with pytest.warns(UserWarning, match="no-op"):
        init.kaiming_uniform_(tg.zeros(0, 3))


@pytest.mark.parametrize(
    "kind",
    [
        "linear",
        "conv2d",
        "conv_transpose1d",
        "sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "selu",
    ],
)
@pytest.mark.parametrize("param", [None, 0.3])
def test_gains_are_pytorchs(agree, kind, param):
    agree(lambda lib: lib.nn.init.calculate_gain(kind, param))


def test_functions_have_pytorchs_arguments():
    names = [n for n in vars(init) if n.endswith("_") and not n.startswith("_")]
    assert len(names) == 14
    for name in [*names, "calculate_gain", "_calculate_fan_in_and_fan_out"]:
        ours = inspect.signature(getattr(init, name)).parameters.values()
        theirs = inspect.signature(getattr(torch.nn.init, name)).parameters.values()
        assert [(p.name, p.default) for p in ours] == [
            (p.name, p.default) for p in theirs
        ]


@pytest.mark.parametrize(
    ("shape", "groups"), [((4, 3, 3), 1), ((6, 2, 3, 4), 2), ((2, 2, 1, 2, 3), 1)]
)
def test_dirac_kernels_are_pytorchs(agree, shape, groups):
    agree(lambda lib: lib.nn.init.dirac_(lib.ones(shape), groups))


def test_the_identity_is_pytorchs(agree):
    agree(lambda lib: lib.nn.init.eye_(lib.zeros(3, 5)))


def test_a_sparse_matrix_has_its_share_of_zeros_in_each_column():
    values = np.asarray(init.sparse_(tg.ones(50, 40), 0.31, std=2.0))
    assert ((values == 0).sum(0) == 16).all()
    assert normal_with(tg.tensor(values[values != 0]), 0, 2)


def test_wrong_shapes_are_refused(agree):
    agree(lambda lib: lib.nn.init.eye_(lib.zeros(3)), refused=True)
    agree(lambda lib: lib.nn.init.sparse_(lib.zeros(3), 0.1), refused=True)
    agree(lambda lib: lib.nn.init.dirac_(lib.zeros(3, 3)), refused=True)
    agree(lambda lib: lib.nn.init.dirac_(lib.zeros(3, 3, 3), 2), refused=True)


@pytest.mark.parametrize("name", ["kaiming_normal", "xavier_uniform", "sparse", "eye"])
def test_old_names_warn_and_work(name):
    more = [0.1] if name == "sparse" else []
    with pytest.warns(FutureWarning, match=f"favor of `nn.init.{name}_`"):
        filled = getattr(init, name)(tg.full((3, 3), 7.0), *more)
    assert (filled != 7).all()
