"""Each layer has PyTorch's constructor and repr, and computes the same with its weights."""

import inspect

import numpy as np
import pytest
from pytorch import torch

import tinygrad_cnn as tg
from tinygrad_cnn import nn

LAYERS = [
    ("Linear", (3, 2), {}, (4, 3)),
    ("Linear", (3, 2), {"bias": False}, (2, 5, 3)),
    ("Conv2d", (2, 4, 3), {}, (2, 2, 7, 6)),
    ("Conv2d", (2, 4, (3, 2)), {"stride": (2, 1), "padding": (1, 2)}, (2, 2, 7, 6)),
    ("Conv2d", (4, 6, 3), {"dilation": 2, "groups": 2, "bias": False}, (1, 4, 7, 8)),
    ("Conv2d", (2, 3, (3, 4)), {"padding": "same", "dilation": (1, 2)}, (2, 2, 6, 7)),
    ("Conv2d", (2, 3, 3), {"padding": "valid"}, (2, 5, 5)),
    ("ConvTranspose2d", (4, 6, 3), {}, (2, 4, 3, 5)),
    (
        "ConvTranspose2d",
        (4, 6, (2, 3), 3, (1, 0), (2, 1), 2, False, (1, 2)),
        {},
        (2, 4, 3, 4),
    ),
    ("MaxPool2d", (2,), {}, (2, 3, 5, 4)),
    ("MaxPool2d", (3, 2, 1), {"dilation": 2, "ceil_mode": True}, (2, 3, 8, 7)),
    ("AvgPool2d", (2,), {}, (2, 3, 5, 4)),
    ("AvgPool2d", ((3, 2), (2, 1), 1, True, False), {}, (3, 6, 5)),
    ("AvgPool2d", (2,), {"divisor_override": 3}, (1, 1, 4, 4)),
    ("AdaptiveAvgPool2d", (3,), {}, (2, 3, 7, 5)),
    ("AdaptiveAvgPool2d", ((None, 2),), {}, (3, 7, 5)),
    ("BatchNorm1d", (3,), {}, (5, 3)),
    ("BatchNorm1d", (3,), {"affine": False}, (5, 3, 4)),
    ("BatchNorm2d", (3,), {"eps": 1e-3, "momentum": 0.3}, (4, 3, 2, 5)),
    ("BatchNorm2d", (3,), {"momentum": None}, (4, 3, 2, 5)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (4, 3, 2, 5)),
    ("BatchNorm3d", (2,), {}, (3, 2, 2, 3, 2)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 4)),
    ("InstanceNorm1d", (3,), {"affine": True}, (3, 4)),
    ("InstanceNorm2d", (3, 1e-3, 0.3, True, True), {}, (4, 3, 2, 5)),
    ("InstanceNorm3d", (2,), {"track_running_stats": True}, (3, 2, 2, 3, 2)),
    ("GroupNorm", (2, 4), {}, (3, 4, 5)),
    ("GroupNorm", (3, 6, 1e-3), {"bias": False}, (2, 6, 2, 3)),
    ("LayerNorm", (4,), {}, (3, 2, 4)),
    ("LayerNorm", ((2, 4),), {"elementwise_affine": False}, (3, 2, 4)),
    ("RMSNorm", ([2, 4], 0.1), {}, (3, 2, 4)),
    ("RMSNorm", (4,), {}, (3, 4)),
    ("LocalResponseNorm", (2,), {"alpha": 0.5}, (3, 4, 2, 3)),
    ("LocalResponseNorm", (3, 0.5, 0.5, 2.0), {}, (3, 4, 5)),
    ("Dropout", (), {"p": 0.0}, (3, 4)),
    ("Dropout1d", (1.0,), {}, (3, 4)),
    ("Dropout3d", (1.0,), {}, (2, 3, 2, 2, 2)),
    ("AlphaDropout", (1.0,), {}, (3, 4)),
    ("FeatureAlphaDropout", (0.0,), {}, (3, 4, 2)),
    ("Dropout", (1.0,), {}, (3, 4)),
    ("Dropout2d", (0.0, False), {}, (2, 3, 4, 4)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (0, -2), {}, (2, 3, 4)),
    ("Unflatten", (1, (2, -1)), {}, (2, 6, 3)),
    ("Unflatten", (-1, [3, 1]), {}, (2, 3)),
    *(
        (name, (), {}, (3, 4))
        for name in (
            *("ReLU", "Sigmoid", "Tanh", "LogSigmoid", "Softsign", "Tanhshrink"),
            *("GELU", "Softplus", "PReLU", "GLU", "Hardshrink", "Softshrink"),
        )
    ),
    *(
        (name, (True,), {}, (3, 4))
        for name in (*("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish"),)
    ),
    ("GELU", ("tanh",), {}, (3, 4)),
    ("PReLU", (4, -0.5), {}, (3, 4, 2)),
    ("ELU", (0.5, True), {}, (3, 4)),
    ("CELU", (), {"alpha": 2.0}, (3, 4)),
    ("GLU", (0,), {}, (4, 3)),
    ("LeakyReLU", (0.2,), {}, (3, 4)),
    ("RReLU", (0.2, 0.2), {}, (3, 4)),
    ("Threshold", (0.25, 3.0, True), {}, (3, 4)),
    ("Softplus", (2.0, 1.0), {}, (3, 4)),
    ("Hardtanh", (-0.5, 1.5), {}, (3, 4)),
    ("Softmax", (-1,), {}, (3, 4)),
    ("Softmax2d", (), {}, (3, 4, 2)),
    ("Softmin", (1,), {}, (3, 4)),
    ("LogSoftmax", (), {"dim": 0}, (3, 4)),
    ("ZeroPad2d", (1,), {}, (2, 1, 3, 3)),
    ("ZeroPad2d", ((1, 2, 0, -1),), {}, (2, 1, 3, 3)),
    *(
        (f"{kind}Pad{axes}d", (padding, *value), {}, (2, 3, 4, 5, 3)[-axes - 2 :])
        for kind, *value in (
            ("Constant", 1.5),
            *(("Zero",), ("Reflection",), ("Replication",), ("Circular",)),
        )
        for axes in (1, 2, 3)
        for padding in (1, (2, 1, 0, 1, 1, 2)[: 2 * axes])
        if (kind, axes) != ("Zero", 2)
    ),
    ("Conv1d", (2, 4, 3), {}, (2, 2, 7)),
    ("Conv1d", (4, 6, 2, 2, 1, 2, 2, False, "circular"), {}, (4, 9)),
    ("Conv1d", (2, 3, 4), {"padding": "same", "padding_mode": "reflect"}, (2, 2, 7)),
    ("Conv3d", (2, 4, (2, 3, 1)), {"padding": (0, 1, 2)}, (2, 2, 4, 5, 3)),
    ("Conv3d", (4, 6, 2, (2, 1, 3), 1, (2, 1, 1), 2), {}, (4, 6, 5, 4)),
    ("Conv3d", (2, 3, (3, 3, 1)), {"padding": "same", "bias": False}, (1, 2, 4, 5, 3)),
    ("ConvTranspose1d", (4, 6, 3), {}, (2, 4, 5)),
    ("ConvTranspose1d", (4, 6, 3, 3, 1, 2, 2, False, 2), {}, (4, 5)),
    ("MaxPool1d", (3, 2, 1), {"dilation": 1, "ceil_mode": True}, (2, 3, 8)),
    ("MaxPool3d", (2,), {}, (2, 3, 4, 5, 6)),
    (
        "MaxPool3d",
        ((1, 2, 3), 2, (0, 1, 1), (2, 1, 2)),
        {"ceil_mode": True},
        (3, 6, 7, 9),
    ),
    ("AvgPool1d", (3, 2, 1), {"count_include_pad": False}, (3, 8)),
    ("AvgPool3d", ((3, 2, 2), 2, 1, True, False), {}, (2, 3, 4, 5, 6)),
    ("AvgPool3d", (2,), {"divisor_override": 3}, (3, 4, 5, 6)),
    ("LPPool1d", (3, 3, 2), {}, (2, 3, 8)),
    ("LPPool2d", (2, (3, 2), 2), {"ceil_mode": True}, (3, 7, 8)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveAvgPool3d", ((2, None, 3),), {}, (3, 5, 4, 7)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", ((None, 3),), {}, (3, 7, 5)),
    ("AdaptiveMaxPool3d", (2,), {}, (3, 5, 4, 7)),
    ("PixelShuffle", (2,), {}, (2, 8, 3, 2)),
    ("PixelUnshuffle", (2,), {}, (2, 4, 6)),
    ("ChannelShuffle", (3,), {}, (2, 6, 3, 2)),
    (
        "Unfold",
        ((2, 3),),
        {"dilation": (2, 1), "padding": 1, "stride": 2},
        (2, 2, 5, 4),
    ),
    ("Fold", ((5, 4), (2, 3)), {"padding": (1, 0), "stride": (3, 1)}, (2, 12, 4)),
    ("Upsample", (), {"scale_factor": 2}, (2, 3, 4)),
    ("Upsample", ((5, 3), None, "bicubic", True), {}, (2, 3, 4, 4)),
    ("Upsample", (None, 1.6, "linear"), {"recompute_scale_factor": True}, (2, 3, 4)),
    ("Upsample", (None, (0.7, 1.3, 2.5), "trilinear"), {}, (1, 2, 4, 3, 3)),
    ("UpsamplingNearest2d", ((3, 7),), {}, (2, 3, 4, 4)),
    ("UpsamplingBilinear2d", (), {"scale_factor": (2, 0.5)}, (2, 3, 4, 4)),
    ("Identity", (3,), {"anything": True}, (3, 4)),
    *(
        ("Conv2d", (2, 3, (3, 4), 1, padding, 1, 1, True, mode), {}, (2, 2, 6, 7))
        for mode in ("reflect", "replicate", "circular")
        for padding in ((2, 1), "same", "valid")
    ),
]
DRAW = np.random.default_rng(7)


def double(name, args, kwargs):
    """The layer of both libraries, in float64, with the same random weights."""
    theirs = getattr(torch.nn, name)(*args, **kwargs).double()
    ours = getattr(nn, name)(*args, **kwargs).double()
    for tensor in theirs.state_dict().values():
        if tensor.dtype.is_floating_point:
            tensor.copy_(torch.tensor(DRAW.uniform(0.5, 2, tensor.shape)))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def close(ours, theirs):
    a = np.asarray(ours.detach())
    assert a.shape == tuple(theirs.shape)
    np.testing.assert_allclose(a, theirs.detach(), rtol=1e-12, atol=1e-13)


def same_pass(ours, theirs, *arrays):
    """Forward, and backward with a random cotangent, to the inputs and the parameters."""
    leaves = [tg.tensor(a, requires_grad=True) for a in arrays]
    their_leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    # The layers may work in place, so they get results, not leaves.
    y, z = ours(*[x * 1 for x in leaves]), theirs(*[x * 1 for x in their_leaves])
    close(y, z)
    cotangent = DRAW.standard_normal(y.shape)
    y.backward(tg.tensor(cotangent))
    z.backward(torch.tensor(cotangent))
    parameters = zip(ours.parameters(), theirs.parameters(), strict=True)
    for x, their_x in [*zip(leaves, their_leaves, strict=True), *parameters]:
        close(x.grad, their_x.grad)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_layer_prints_stores_and_computes_as_pytorchs(layer):
    name, args, kwargs, shape = layer
    ours, theirs = double(name, args, kwargs)
    assert repr(ours) == repr(theirs)
    shapes = [(k, tuple(v.shape)) for k, v in theirs.state_dict().items()]
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == shapes
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        same_pass(ours, theirs, DRAW.standard_normal(shape))
        for key, value in theirs.state_dict().items():
            close(ours.state_dict()[key], value)


OBSOLETE = ("min_value", "max_value")
WEIGHT = np.array([0.5, 2.0, 1.5])
CLASSIFICATION = [
    ("NLLLoss", {}),
    ("NLLLoss", {"weight": WEIGHT, "ignore_index": 1}),
    ("NLLLoss", {"weight": WEIGHT, "reduction": "none"}),
    ("CrossEntropyLoss", {}),
    ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.1, "ignore_index": 0}),
    ("CrossEntropyLoss", {"reduction": "sum", "label_smoothing": 0.3}),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": WEIGHT}),
]
REGRESSION = [
    (name, {"reduction": reduction})
    for name in ("MSELoss", "L1Loss", "BCEWithLogitsLoss", "BCELoss", "KLDivLoss")
    for reduction in ("sum", "none", "mean")[: 2 if name == "KLDivLoss" else 3]
]
REGRESSION += [
    ("BCEWithLogitsLoss", {"pos_weight": WEIGHT, "weight": WEIGHT}),
    ("BCELoss", {"weight": WEIGHT}),
    ("SmoothL1Loss", {"beta": 0.5}),
    ("SmoothL1Loss", {"beta": 0.0}),
    ("HuberLoss", {"delta": 0.3}),
    ("KLDivLoss", {"log_target": True, "reduction": "batchmean"}),
    ("PoissonNLLLoss", {"full": True}),
    ("PoissonNLLLoss", {"log_input": False, "eps": 0.1}),
    ("MultiLabelSoftMarginLoss", {"weight": WEIGHT}),
    ("CosineSimilarity", {"dim": 0}),
    ("PairwiseDistance", {"eps": 0.1, "keepdim": True}),
]
SIGNED = [
    ("SoftMarginLoss", {}, 1, (4, 3), (4, 3)),
    ("HingeEmbeddingLoss", {"margin": 0.5}, 1, (4, 3), (4, 3)),
    ("CosineEmbeddingLoss", {"margin": -0.5}, 2, (4, 3), (4,)),
    ("MarginRankingLoss", {"margin": 0.2, "reduction": "sum"}, 2, (4,), (4,)),
]
"""Losses of so many inputs of a shape, with targets of 1 and −1."""


def losses(name, kwargs):
    tensors = {k: v for k, v in kwargs.items() if isinstance(v, np.ndarray)}
    ours = getattr(nn, name)(
        **{**kwargs, **{k: tg.tensor(v) for k, v in tensors.items()}}
    )
    theirs = getattr(torch.nn, name)(
        **{**kwargs, **{k: torch.tensor(v) for k, v in tensors.items()}}
    )
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2, 2), (3,)])
@pytest.mark.parametrize(("name", "kwargs"), CLASSIFICATION, ids=str)
def test_a_loss_of_class_labels_is_pytorchs(name, kwargs, shape):
    shape = shape[:2] if name == "MultiMarginLoss" else shape
    ours, theirs = losses(name, kwargs)
    labels = np.asarray(DRAW.integers(0, 3, (*shape[:1], *shape[2:])[: len(shape) - 1]))
    labels.flat[0] = 2
    same_pass(
        lambda_module(lambda x: ours(x, tg.tensor(labels))),
        lambda_module(lambda x: theirs(x, torch.tensor(labels)), torch.nn),
        DRAW.standard_normal(shape),
    )


@pytest.mark.parametrize(("name", "kwargs"), REGRESSION, ids=str)
def test_a_loss_between_equal_shapes_is_pytorchs(name, kwargs):
    ours, theirs = losses(name, kwargs)
    x = DRAW.random if name == "BCELoss" else DRAW.standard_normal
    if not kwargs.get("log_input", True):
        x = DRAW.random
    same_pass(ours, theirs, x((4, 3)), DRAW.random((4, 3)))


@pytest.mark.parametrize(("name", "kwargs", "inputs", "shape", "signs"), SIGNED)
def test_a_loss_of_signs_is_pytorchs(name, kwargs, inputs, shape, signs):
    ours, theirs = losses(name, kwargs)
    t = np.where(DRAW.random(signs) < 0.5, 1.0, -1.0)
    x = DRAW.standard_normal((inputs, *shape))
    same_pass(
        lambda_module(lambda x: ours(*x, tg.tensor(t))),
        lambda_module(lambda x: theirs(*x, torch.tensor(t)), torch.nn),
        x,
    )


TRIPLETS = [
    ("TripletMarginLoss", {"margin": 0.5, "swap": True}),
    ("TripletMarginWithDistanceLoss", {"reduction": "sum"}),
    ("GaussianNLLLoss", {"full": True, "eps": 0.5}),
]


@pytest.mark.parametrize(("name", "kwargs"), TRIPLETS, ids=str)
def test_a_loss_of_three_inputs_is_pytorchs(name, kwargs):
    ours, theirs = losses(name, kwargs)
    same_pass(ours, theirs, *DRAW.random((3, 4, 5)))


CLASSES = {
    name: value
    for name, value in vars(nn).items()
    if isinstance(value, type) and not name.startswith("Lazy")  # in test_lazy
}
IN_SEQUENCES = ("attention", "embedding", "recurrent", "transformer")
LAYER_NAMES = sorted(
    {case[0] for case in (*LAYERS, *CLASSIFICATION, *REGRESSION, *SIGNED, *TRIPLETS)}
    | {"MaxUnpool1d", "MaxUnpool2d"}
)


def test_every_layer_is_tested():
    others = {"Module", "Parameter", "Sequential"}
    others |= {"ModuleList", "ModuleDict", "ParameterList"}
    others |= {"DataParallel"}  # in test_importing
    others |= {"NLLLoss2d", "Hardsigmoid"}  # PyTorch's has a slope of float32
    others |= {
        name
        for name, value in CLASSES.items()
        if value.__module__.rpartition(".")[2] in IN_SEQUENCES  # in test_sequences
    }
    assert CLASSES.keys() - others == {*LAYER_NAMES}


@pytest.mark.parametrize("name", LAYER_NAMES)
def test_a_layer_has_pytorchs_constructor(name):
    def arguments(cls):
        own = cls.__init__ not in (nn.Module.__init__, torch.nn.Module.__init__)
        listed = inspect.signature(cls).parameters.values() if own else ()
        # PyTorch's Hardtanh still lists two names that it has long deprecated.
        return [(p.name, p.default, p.kind) for p in listed if p.name not in OBSOLETE]

    assert arguments(getattr(nn, name)) == arguments(getattr(torch.nn, name))


def lambda_module(function, library=nn):
    """A module without parameters around a function."""

    class Lambda(library.Module):
        def forward(self, x):
            return function(x)

    return Lambda()


@pytest.mark.parametrize("loss", ["MSELoss", "NLLLoss"])
@pytest.mark.parametrize(
    ("old", "reduction"),
    [
        ({"size_average": False}, "sum"),
        ({"reduce": False, "size_average": True}, "none"),
        ({"reduce": True}, "mean"),
    ],
)
def test_the_old_arguments_of_losses_are_translated(loss, old, reduction):
    with pytest.warns(UserWarning, match=f"reduction='{reduction}'"):
        assert getattr(nn, loss)(**old).reduction == reduction
    with pytest.raises(ValueError, match="median is not a valid value"):
        getattr(nn, loss)(reduction="median")


def test_max_pooling_returns_the_places_that_pytorchs_returns():
    x = DRAW.integers(0, 3, (2, 3, 7, 6)).astype(np.float64)
    _, ours = nn.MaxPool2d(3, 2, 1, return_indices=True)(tg.tensor(x))
    _, theirs = torch.nn.MaxPool2d(3, 2, 1, return_indices=True)(torch.tensor(x))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("axes", [1, 2])
def test_maxima_go_back_where_they_stood(axes):
    x = DRAW.integers(0, 4, (2, 3, 7, 6)[: axes + 2]).astype(np.float64)

    def there_and_back(library):
        pool = getattr(library.nn, f"MaxPool{axes}d")(3, 2, 1, return_indices=True)
        unpool = getattr(library.nn, f"MaxUnpool{axes}d")(3, 2, 1)
        given = library.tensor(x, requires_grad=True)
        y = unpool(*pool(given), output_size=x.shape)
        (y * y).sum().backward()
        return y, given.grad

    for ours, theirs in zip(there_and_back(tg), there_and_back(torch), strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("output_size", [(7, 9), (2, 6, 8, 9), [7, 10]])
def test_a_transposed_convolution_can_be_asked_for_a_size(output_size):
    ours, theirs = double("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1})
    x = DRAW.standard_normal((2, 4, 4, 5))
    close(
        ours(tg.tensor(x), output_size=output_size),
        theirs(torch.tensor(x), output_size=output_size),
    )


@pytest.mark.parametrize("layer", ["Dropout", "Dropout2d"])
def test_dropout_drops_a_fraction_p_and_keeps_the_mean(layer):
    tg.manual_seed(0)
    y = np.asarray(getattr(nn, layer)(0.3)(tg.ones(100, 100, 2, 2)))
    assert set(np.unique(y)) == {0, np.float32(1 / 0.7)}
    if layer == "Dropout2d":
        assert (y == y[:, :, :1, :1]).all()
        y = y[:, :, 0, 0]
    assert abs((y == 0).mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / y.size)


def test_dropout_is_the_identity_in_evaluation():
    x = tg.randn(3, 4)
    assert (nn.Dropout(0.9).eval()(x) == x).all()


def test_layers_are_made_in_the_dtype_that_is_asked():
    for layer in (
        nn.Linear(2, 2, dtype=np.float64),
        nn.Conv2d(1, 1, 1, dtype=tg.float64),
    ):
        assert layer.weight.dtype == layer.bias.dtype == np.float64
    norm = nn.BatchNorm2d(2, dtype=tg.float64)
    assert norm.running_var.dtype == np.float64
    assert norm.num_batches_tracked.dtype == np.int64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Unflatten(1, (2.5, 2)), "tuple of ints"),
        (lambda: nn.Hardtanh(1, -1), "must be larger"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), "Invalid padding string"),
        (
            lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"),
            "padding_mode must be one of",
        ),
        (lambda: nn.Conv2d(1, 1, 3, groups=0), "groups must be a positive"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(make, message):
    with pytest.raises(tg.errors.TinygradError, match=message):
        make()


def test_a_users_layer_may_derive_from_ours_as_from_any_class():
    class Counted(nn.MaxPool2d):
        calls: int

        def __init__(self, size):
            super().__init__(size, stride=1)
            self.calls = 0

        def forward(self, input):
            self.calls += 1
            return super().forward(input)

    class Framed(nn.ReflectionPad2d):
        pass

    assert Framed(1)(tg.arange(9.0).reshape(1, 3, 3)).shape == (1, 5, 5)
    layer = Counted(2)
    y = layer(tg.arange(9.0).reshape(1, 1, 3, 3))
    assert y.tolist() == [[[[4.0, 5.0], [7.0, 8.0]]]]
    assert layer.calls == 1
    assert repr(layer).startswith("Counted(kernel_size=2, stride=1")
