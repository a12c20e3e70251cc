"""The cases: their networks are the model files', and each travels to a process whole."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.benchmark.cases import CASES, GROUPS, Case, choose_cases
from tinygrad_cnn.benchmark.checking import pack, unpack
from tinygrad_cnn.benchmark.layers import with_shapes
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.training.model_file import load_class

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize(
    ("case", "file", "settings"),
    [
        ("lenet5-b64", "lenet5", {}),
        ("lenet5-colour-b64", "lenet5", {"in_channels": 3}),
        ("lenet5-batchnorm-adam-b64", "lenet5", {"batch_norm": True}),
        ("mnist-net-b64", "mnist_net", {}),
        ("numpy-cnn-b256", "numpy_cnn", {}),
    ],
)
def test_a_network_has_the_weights_of_the_model_file(case, file, settings):
    model = load_class(str(MODELS / f"{file}.py"))(**settings)
    shapes = sorted([tuple(p.shape) for p in model.parameters()])
    assert sorted([w.shape for w in CASES[case].weights()]) == shapes


def test_the_vgg_ends_with_2048_features():
    shapes = [
        after for _, _, after in with_shapes(CASES["vgg-b64"].layers, (3, 32, 32))
    ]
    assert shapes[-2:] == [(2048,), (10,)]


def test_an_epoch_takes_every_image_once():
    case = CASES["lenet5-epoch-b64"]
    images, labels, order = case.epoch_data()
    assert images.shape == (64 * 64, *case.image)
    assert images.dtype == np.uint8
    assert sorted(order) == list(range(len(labels)))


def test_resnet18_is_the_one_of_its_paper():
    # He et al. 2016, 3x3 convolutions first and projections in three shortcuts: as many
    # weights as in every implementation of this form.
    case = CASES["resnet18-b32"]
    assert sum([w.size for w in case.weights()]) == 11_173_962
    assert case.output == (10,)


def test_depthwise_convolutions_see_a_channel_each():
    shapes = [w.shape for w in CASES["depthwise-b64"].weights() if w.ndim == 4]
    assert [s for s in shapes if s[2] == 3][1:] == [
        (c, 1, 3, 3) for c in (32, 96, 144, 144, 192, 192)
    ]


def test_weights_are_drawn_once_and_belong_to_their_layers():
    case = CASES["lenet5-batchnorm-adam-b64"]
    first, again = case.weights(), case.weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert {a.dtype for a in first} == {np.dtype(np.float32)}
    own = iter(first)
    for layer, before, _ in with_shapes(case.layers, case.image):
        for shape in layer.weights(before):
            assert next(own).shape == shape
    assert list(own) == []
    bound = 25**-0.5
    assert np.abs(first[0]).max() <= bound
    assert first[0].std() == pytest.approx(bound / math.sqrt(3), rel=0.2)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_case_travels_as_json(case):
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case
    assert case.images().shape == (case.batch, *case.image)


def test_arrays_travel_to_the_bit():
    array = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32).T
    array[0, 0] = np.nan
    assert np.array_equal(unpack(pack(array)), array, equal_nan=True)


def test_names_and_groups_are_chosen_once_each():
    names = [case.name for case in choose_cases(["relu", "inference", "relu"])]
    assert names == ["relu", "lenet5-inference-b1", "lenet5-inference-b256"]
    assert len(choose_cases(["all"])) == len(CASES) == len(GROUPS["all"])
    with pytest.raises(ArgumentError, match="no case 'lenet'"):
        choose_cases(["lenet"])
