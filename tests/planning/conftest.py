"""Pairs, images and labels for the tests of this folder."""

import numpy as np
import pytest
from cases import LAYOUTS
from side_by_side import Pair

import tinygrad_cnn
from tinygrad_cnn import Tensor, kernels, tensor


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture(autouse=True)
def seeded():
    tinygrad_cnn.manual_seed(3)


@pytest.fixture(params=["reference", "fast"])
def table(request):
    """Both tables of kernels; the one that served before does so again afterwards."""
    if request.param == "fast":
        pytest.importorskip("numba")
    before = kernels.serving()
    kernels.use(request.param)
    yield request.param
    kernels.use(before)


@pytest.fixture
def pair():
    return Pair


@pytest.fixture
def images(rng):
    """Draws images of a shape."""

    def draw(*shape, dtype=np.float32, layout="row-major"):
        return Tensor._wrap(LAYOUTS[layout](rng.normal(size=shape).astype(dtype)))

    return draw


@pytest.fixture
def labels(rng):
    """Draws class labels."""

    def draw(count, classes=10):
        return tensor(rng.integers(0, classes, count))

    return draw
