"""Each mistake is found in a small net that has it, and in no near twin that has not."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as torch
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import optim
from tinygrad_cnn.core.recording import observer
from tinygrad_cnn.errors import ArgumentError, AutogradError, DTypeError
from tinygrad_cnn.training.model_file import load_class
from tinygrad_cnn.verify import lint, watch
from tinygrad_cnn.verify.linting import Findings

MODELS = Path(__file__).parents[2] / "models"
LABELS = torch.arange(40) % 3


class Net(nn.Module):
    """The layers under their names, and a forward that is given."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(1)
    np.random.seed(1)


def vectors(n=40, width=6):
    return torch.randn(n, width)


def images(n=40, channels=1):
    return torch.randn(n, channels, 8, 8)


def codes(findings):
    return [finding.code for finding in findings]


def scores():
    return nn.Linear(6, 3)


def linted(model, loss=F.cross_entropy, inputs=None):
    return lint(model, vectors() if inputs is None else inputs, LABELS, loss=loss)


def the_line(marker):
    """Where in this file a comment stands."""
    lines = Path(__file__).read_text().splitlines()
    return f"{__file__}:{next(i for i, s in enumerate(lines, 1) if f'# {marker}' in s)}"


# ------------------------------------------------------------------- scores and losses


@pytest.mark.parametrize("layer", [nn.Softmax(dim=1), nn.Sigmoid()])
def test_softmax_or_sigmoid_before_cross_entropy(layer):
    found = linted(nn.Sequential(scores(), layer))
    assert codes(found) == ["softmax-before-cross-entropy"]
    assert found[0].module == "1"
    name = type(layer).__name__.lower()
    assert f"the result of a {name}" in found[0].found


def test_the_least_loss_that_is_named_is_the_loss_of_a_sure_net():
    (found,) = linted(nn.Sequential(scores(), nn.Softmax(dim=1)))
    sure = np.exp([1.0, 0, 0])
    assert f"= {-np.log(sure[0] / sure.sum()):.3f}," in found.why


def test_a_softmax_is_seen_through_a_reshape():
    def forward(net, x):
        y = F.softmax(net.layer(x), dim=1)
        return y.reshape(3, 40).reshape(40, 3)

    found = linted(Net(forward, layer=scores()))
    assert codes(found) == ["softmax-before-cross-entropy"]


def test_log_softmax_before_cross_entropy_is_twice_but_right():
    found = linted(nn.Sequential(scores(), nn.LogSoftmax(dim=1)))
    assert codes(found) == ["log-softmax-twice"]


@pytest.mark.parametrize("layer", [nn.Softmax(dim=1), nn.Sigmoid()])
def test_sigmoid_before_a_loss_that_takes_logits(layer):
    def loss(y, labels):
        return F.binary_cross_entropy_with_logits(y, F.one_hot(labels, 3).float())

    assert codes(linted(nn.Sequential(scores(), layer), loss)) == [
        "sigmoid-before-logits-loss"
    ]
    assert not linted(scores(), loss)


def test_relu_before_cross_entropy():
    found = linted(nn.Sequential(scores(), nn.ReLU()))
    assert codes(found) == ["relu-before-cross-entropy"]
    assert not linted(nn.Sequential(scores(), nn.ReLU(), nn.Linear(3, 3)))


@pytest.mark.parametrize(
    "guard", [lambda p: p, lambda p: p + 1e-9, lambda p: p.clamp(1e-9, 1)]
)
def test_log_of_softmax_is_right_for_nll_but_worse(guard):
    model = Net(lambda net, x: guard(net.layer(x).softmax(1)).log(), layer=scores())
    assert codes(linted(model, F.nll_loss)) == ["log-of-softmax"]


def test_nll_of_probabilities():
    model = nn.Sequential(scores(), nn.Softmax(dim=1))
    assert codes(linted(model, F.nll_loss)) == ["softmax-before-nll"]


def test_nll_of_scores():
    assert codes(linted(scores(), F.nll_loss)) == ["nll-of-scores"]


def test_nll_of_a_log_softmax_over_the_wrong_axis():
    model = nn.Sequential(scores(), nn.LogSoftmax(dim=0))
    assert codes(linted(model, F.nll_loss)) == ["nll-of-scores"]


RIGHT_FOR_NLL = {
    "log_softmax": lambda y: F.log_softmax(y, dim=1),
    "logsumexp": lambda y: y - y.logsumexp(1, keepdim=True),
    "reshaped": lambda y: F.log_softmax(y.reshape(8, 5, 3), dim=2).reshape(40, 3),
    "focal": lambda y: (1 - y.softmax(1)) ** 2 * F.log_softmax(y, dim=1),
}


@pytest.mark.parametrize("name", RIGHT_FOR_NLL)
def test_nll_of_what_is_made_of_log_probabilities(name):
    last = RIGHT_FOR_NLL[name]
    assert not linted(
        Net(lambda net, x: last(net.layer(x)), layer=scores()), F.nll_loss
    )


@pytest.mark.parametrize(
    "loss",
    [
        F.cross_entropy,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda y, labels: F.cross_entropy(y, F.softmax(torch.randn(40, 3), dim=1)),
        lambda y, labels: F.mse_loss(y.softmax(1), F.one_hot(labels, 3).float()),
    ],
    ids=["labels", "smoothed", "soft", "squares of probabilities"],
)
def test_scores_and_their_losses_are_clean(loss):
    assert not linted(scores(), loss)


def test_attention_inside_a_net_is_no_softmax_before_the_loss():
    def forward(net, x):
        weights = F.softmax(net.query(x), dim=1)
        return net.out(weights * x)

    assert not linted(Net(forward, query=nn.Linear(6, 6), out=scores()))


def test_a_loss_that_is_not_finite_and_where_it_comes_from():
    def forward(net, x):
        y = net.layer(x)
        return (y - y).log()  # not finite

    (found,) = linted(Net(forward, layer=scores()))
    assert found.code == "loss-not-finite"
    assert found.where == the_line("not finite")
    assert "that of Log, of finite inputs." in found.found


def test_a_loss_that_is_not_finite_because_of_the_images():
    x = vectors()
    x[3, 2] = math.nan
    (found,) = linted(scores(), inputs=x)
    assert "So is x, an input of Linear." in found.found


# ------------------------------------------------------------------------------- layers


class Plus(nn.Module):
    """Adds a parameter of this shape, reshaped to another if wanted."""

    def __init__(self, *shape, as_shape=None):
        super().__init__()
        self.bias, self.as_shape = nn.Parameter(torch.randn(*shape)), as_shape or shape

    def forward(self, x):
        return x + self.bias.reshape(self.as_shape)


class Minus(Plus):
    def forward(self, x):
        return x - self.bias


class BothWays(nn.Module):
    """The sum of an input as it is and normalised."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return x + self.norm(x)


class FixedNorm(nn.Module):
    """Batch normalisation by figures that stay, in training too."""

    def forward(self, x):
        return F.batch_norm(x, torch.zeros(4).to(x.dtype), torch.ones(4).to(x.dtype))


def conv(bias=True):
    return nn.Conv2d(1, 4, 3, bias=bias)


def net(*layers, size=6):
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * size * size, 3))


def dense(bias=True):
    return nn.Sequential(nn.Linear(6, 5, bias=bias), nn.BatchNorm1d(5), nn.Linear(5, 3))


def norm():
    return nn.BatchNorm2d(4)


POINTLESS = {
    "convolution": ("0.bias", lambda: net(conv(), norm())),
    "transposed": ("0.bias", lambda: net(nn.ConvTranspose2d(1, 4, 3), norm(), size=10)),
    "dense": ("0.bias", dense),
    "pooled": ("0.bias", lambda: net(conv(), nn.MaxPool2d(2), norm(), size=3)),
    "added": ("1.bias", lambda: net(conv(False), Plus(1, 4, 1, 1), norm())),
    "moved": ("1.bias", lambda: net(conv(False), Plus(4, as_shape=(4, 1, 1)), norm())),
    "subtracted": ("1.bias", lambda: net(conv(False), Minus(1), norm())),
}
USEFUL = {
    "convolution": ("0.bias", lambda: net(conv(), nn.ReLU(), norm())),
    "used twice": ("0.bias", lambda: net(conv(), BothWays())),
    "fixed figures": ("0.bias", lambda: net(conv(), FixedNorm())),
    "each position": ("1.bias", lambda: net(conv(False), Plus(1, 4, 6, 6), norm())),
    "each image": ("1.bias", lambda: net(conv(False), Plus(40, 1, 1, 1), norm())),
    "after": ("2.bias", lambda: net(conv(False), FixedNorm(), Plus(1, 4, 1, 1))),
}
WITHOUT = {
    "convolution": lambda: net(conv(False), norm()),
    "dense": lambda: dense(False),
}


def doubles(build):
    model = build().double()
    is_dense = isinstance(model[0], nn.Linear)
    return model, (vectors() if is_dense else images()).double()


def sizes_of_gradients(model, x):
    F.cross_entropy(model(x), LABELS).backward()
    return {name: np.abs(p.grad.numpy()).max() for name, p in model.named_parameters()}


@pytest.mark.parametrize("case", POINTLESS)
def test_a_bias_before_batch_normalisation_which_has_no_gradient(case):
    name, build = POINTLESS[case]
    model, x = doubles(build)
    (found,) = linted(model, inputs=x)
    assert found.code == "bias-before-batch-norm"
    assert found.found == f"Only batch normalisation uses the sums with {name}."
    size = sizes_of_gradients(model, x)
    assert size.pop(name) < 1e-12 < 1e-5 < min(size.values())


def test_several_such_biases_are_one_finding():
    twice = nn.Sequential(conv(), norm(), nn.ReLU(), nn.Conv2d(4, 4, 3), norm())
    (found,) = linted(net(*twice, size=4), inputs=images())
    assert found.found.endswith("the sums with 0.bias, 3.bias.")
    assert found.module == "0"


@pytest.mark.parametrize("case", USEFUL)
def test_a_bias_near_batch_normalisation_which_has_a_gradient(case):
    name, build = USEFUL[case]
    model, x = doubles(build)
    assert not linted(model, inputs=x)
    assert sizes_of_gradients(model, x)[name] > 1e-5


@pytest.mark.parametrize("case", WITHOUT)
def test_batch_normalisation_after_a_layer_without_a_bias(case):
    model, x = doubles(WITHOUT[case])
    assert not linted(model, inputs=x)


def test_a_bias_that_is_also_used_elsewhere_is_not_pointless():
    def forward(net, x):
        return net.last(net.norm(net.layer(x))) + net.layer.bias[:3]

    layers = {"layer": nn.Linear(6, 5), "norm": nn.BatchNorm1d(5)}
    assert not linted(Net(forward, **layers, last=nn.Linear(5, 3)))


def test_a_parameter_in_the_scale_of_a_normalisation_is_no_bias():
    def forward(net, x):
        scale = net.shift.bias + torch.ones(4)
        x = F.batch_norm(net.conv(x), None, None, scale, training=True)
        return net.last(x.flatten(1))

    layers = {"conv": conv(False), "shift": Plus(1), "last": nn.Linear(144, 3)}
    assert not linted(Net(forward, **layers), inputs=images())


def with_dead_units(dead, units=10):
    """A dense layer of which the biases drown the first `dead` units."""
    model = nn.Sequential(nn.Linear(6, units), nn.ReLU(), nn.Linear(units, 3))
    model[0].bias.data = torch.tensor([-100.0] * dead + [1.0] * (units - dead))
    return model


def naive_count(model, x):
    """How many columns of the ReLU are 0 in every row."""
    y = model[1](model[0](x)).tolist()
    return sum(all(row[i] == 0 for row in y) for i in range(len(y[0])))


def test_units_that_are_dead_on_the_whole_batch_are_counted():
    x, model = vectors(), with_dead_units(7)
    assert naive_count(model, x) == 7
    (found,) = linted(model, inputs=x)
    assert (found.code, found.module) == ("dead-relu", "1")
    assert "7 of 10 units of this ReLU are 0 for each of the 40 images." in found.found


def test_up_to_half_of_the_units_may_be_dead():
    x, model = vectors(), with_dead_units(5)
    assert naive_count(model, x) == 5
    assert not linted(model, inputs=x)


def test_a_layer_that_is_dead_altogether():
    (found,) = linted(with_dead_units(10))
    assert found.found.startswith("All 10 units")


def test_a_unit_that_one_image_wakes_is_not_dead():
    x, model = vectors(), with_dead_units(7)
    model[0].weight.data = torch.zeros(10, 6) + 30
    x[3] = 10.0
    assert naive_count(model, x) == 0
    assert not linted(model, inputs=x)


def test_channels_of_images_are_dead_at_every_position():
    model = net(conv(), nn.ReLU())
    model[0].bias.data = torch.tensor([-100.0, -100.0, -100.0, 1.0])
    (found,) = linted(model, inputs=images())
    assert "3 of 4 channels" in found.found


def test_too_few_images_judge_no_relu_and_that_is_said():
    found = lint(with_dead_units(10), vectors(8), LABELS[:8])
    assert not found
    assert "8 images are too few" in str(found)


def test_two_dense_layers_in_a_row():
    (found,) = linted(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3)))
    assert (found.code, found.module) == ("linear-after-linear", "1")
    assert "of 6 to 5 is followed by one of 5 to 3" in found.found


def both_layers(net, x):
    h = net.a(x)
    return net.b(h) + h[:, :3]


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)),
        nn.Sequential(nn.Linear(6, 2), nn.Linear(2, 3)),
        Net(both_layers, a=nn.Linear(6, 5), b=nn.Linear(5, 3)),
    ],
    ids=["activation", "narrow", "used twice"],
)
def test_dense_layers_that_are_not_one(model):
    assert not linted(model)


# ------------------------------------------------------------------- parameters, dtypes


def two_heads(forward):
    return Net(forward, a=scores(), b=scores())


def test_parameters_that_forward_does_not_use():
    (found,) = linted(two_heads(lambda net, x: net.a(x)))
    assert found.code == "no-gradient"
    assert found.found == "No gradient reaches b.weight, b.bias: not used in forward."


def test_parameters_that_are_used_within_no_grad():
    def forward(net, x):
        with torch.no_grad():
            shift = net.b(x)  # unrecorded
        return net.a(x) + shift

    (found,) = linted(two_heads(forward))
    assert found.code == "no-gradient"
    assert found.found.startswith(
        "No gradient reaches b.weight, b.bias: used within no"
    )
    assert (found.module, found.where) == ("b", the_line("unrecorded"))


def test_parameters_that_are_cut_off_by_detach():
    def forward(net, x):
        shift = net.b(x).detach()
        return net.a(x) + shift  # the sum

    (found,) = linted(two_heads(forward))
    assert found.found.startswith(
        "No gradient reaches b.weight, b.bias: the graph is cut"
    )
    assert found.where == the_line("the sum")


def test_parameters_whose_result_is_dropped():
    def forward(net, x):
        net.b(x)  # dropped
        return net.a(x)

    (found,) = linted(two_heads(forward))
    assert found.found.startswith(
        "No gradient reaches b.weight, b.bias: used here, but"
    )
    assert found.where == the_line("dropped")


def test_a_model_that_is_cut_off_altogether():
    (found,) = linted(Net(lambda net, x: net.a(x).detach(), a=scores()))
    assert found.found.startswith(
        "No gradient reaches a.weight, a.bias: the graph is cut"
    )


def test_frozen_parameters_are_meant_to_have_no_gradient():
    model = two_heads(lambda net, x: net.a(x) + net.b(x).detach())
    model.b.requires_grad_(False)
    assert not linted(model)


def test_used_parameters_are_clean():
    assert not linted(two_heads(lambda net, x: net.a(x) + net.b(x)))


def test_a_computed_loss_with_its_model():
    model = two_heads(lambda net, x: net.a(x))
    loss = F.cross_entropy(model(vectors()), LABELS)
    (found,) = lint(loss, model=model)
    assert "b.weight, b.bias: not used in forward, or cut off" in found.found
    assert not lint(loss)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_another_dtype_that_a_constant_brings(dtype):
    mean = torch.from_numpy(np.zeros(3, dtype) + 1)

    def forward(net, x):
        y = net.a(x).tanh().half() if dtype == "float16" else net.a(x).tanh()
        return y - mean  # brought

    (found,) = linted(Net(forward, a=scores()))
    assert found.code == "dtype-changed"
    assert found.where == the_line("brought") or dtype == "float16"
    assert f"brought by a {dtype} tensor of shape [3]" in found.found


def test_another_dtype_that_a_parameter_brings():
    model = nn.Sequential(scores(), Plus(3))
    model[1].bias.data = model[1].bias.data.double()
    (found,) = linted(model)
    assert "float64, brought by 1.bias." in found.found
    assert found.module == "1"


def test_another_dtype_that_the_code_asks_for():
    (found,) = linted(Net(lambda net, x: net.a(x).double(), a=scores()))
    assert "the result of Cast here is float64, brought by a conversion" in found.found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_dtype_throughout_with_numbers_of_python_and_numpy(dtype):
    model = Net(lambda net, x: net.a(x) * 2.0 + np.float64(3), a=scores()).to(dtype)
    assert not linted(model, inputs=vectors().to(dtype))


# ------------------------------------------------------------------------ the function


CLEAN = [
    *[("mlp", {"activation": name}) for name in ("relu", "sigmoid", "atan", "tanh")],
    *[
        ("lenet5", {key: value})
        for key in ("batch_norm", "document_init")
        for value in (0, 1)
    ],
    *[("numpy_cnn", {"document_init": value}) for value in (False, True)],
    ("mnist_net", {}),
    ("patches_cnn", {}),
]


@pytest.mark.parametrize(("name", "settings"), CLEAN)
def test_the_models_of_the_documents_are_clean(name, settings):
    model_class = load_class(str(MODELS / f"{name}.py"))
    raw = np.random.default_rng(3).integers(0, 256, (40, 1, 28, 28), dtype=np.uint8)
    x = torch.as_tensor(model_class.transform(raw))
    found = lint(model_class(**settings), x, LABELS)
    assert not found
    assert found.notes == []
    assert str(found).startswith("nothing found in ")


def several():
    def forward(net, x):
        x = F.dropout(F.relu(net.norm(net.conv(x))), 0.3).flatten(1)
        return (net.last(x) + np.random.rand()).softmax(1)

    layers = {"conv": conv(), "norm": norm(), "last": nn.Linear(144, 3)}
    return Net(forward, **layers, unused=scores())


def test_several_findings_are_printed_and_written_as_json():
    found = lint(several(), images(), LABELS)
    wanted = ["softmax-before-cross-entropy", "no-gradient", "bias-before-batch-norm"]
    assert codes(found) == wanted
    text = str(found)
    assert text.startswith("3 findings in ")
    assert all(len(line) <= 88 for line in text.splitlines() if __file__ not in line)
    blocks = text.split("\n\n")[1:]
    for finding, block in zip(found, blocks, strict=True):
        assert block.split()[0] == finding.code
        assert [line[:7].strip() for line in block.splitlines() if line[2:3].strip()][
            1:
        ]
    data = json.loads(json.dumps(found.to_dict()))
    assert [entry["code"] for entry in data["findings"]] == wanted
    assert data["looked_at"].endswith("8 parameters of Net")


def test_one_line_that_runs_twice_is_one_finding():
    def forward(net, x):
        return sum([net.layer(part).softmax(1).log() for part in (x, -x)])

    assert codes(linted(Net(forward, layer=scores()))) == ["log-of-softmax"]


def test_the_model_and_the_generators_stay_as_they_were():
    model, x = several(), images()
    model.eval().conv.train()
    F.cross_entropy(model(x), LABELS).backward()

    def everything():
        tensors = {**state, **{f"∂{k}": p.grad for k, p in model.named_parameters()}}
        arrays = {k: t if t is None else t.numpy().copy() for k, t in tensors.items()}
        modes = [module.training for module in model.modules()]
        generators = torch.random.default_generator.get_state(), np.random.get_state()
        return arrays, modes, generators, observer.get()

    state = model.state_dict()  # shares its memory with the model
    before = everything()
    assert len(lint(model, x, LABELS)) == 3
    np.testing.assert_equal(everything(), before)
    assert all(model.state_dict()[k]._array is t._array for k, t in state.items())


def test_a_graph_that_a_backward_pass_used_up_can_still_be_linted():
    model = with_dead_units(7)
    loss = F.cross_entropy(model(vectors()), LABELS)
    loss.backward()
    assert codes(lint(loss)) == ["dead-relu"]


def test_the_loss_is_that_of_the_model_unless_given():
    model = nn.Sequential(scores(), nn.LogSoftmax(dim=1))
    model.loss = F.nll_loss
    assert not lint(model, vectors(), LABELS)
    assert not lint(scores(), vectors(), loss=lambda y: y.square().mean())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3,), DTypeError, "lint takes a loss (a Tensor) or a model, got int"),
        ((nn.Linear(6, 3),), ArgumentError, "lint needs inputs, and labels"),
        ((nn.Linear(6, 3), torch.zeros(2, 6)), ArgumentError, "labels or a loss of"),
        ((torch.tensor(1.0),), AutogradError, "no graph behind this loss"),
    ],
)
def test_what_cannot_be_linted_is_refused(arguments, error, message):
    with pytest.raises(error) as refused:
        lint(*arguments)
    assert message in str(refused.value)


# ----------------------------------------------------------------------- training loops


def train(model, optimizer, steps=4, zero=lambda o: o.zero_grad(), passes=1, clip=None):
    for _ in range(steps):
        zero(optimizer)
        for _ in range(passes):
            F.cross_entropy(model(vectors()), LABELS).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()  # of training


def watched(loop, named=True):
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with watch(optimizer, model if named else None) as findings:
        loop(model, optimizer)
    assert "step" not in vars(optimizer)
    assert not any(p._hooks for p in model.parameters())
    return findings


def do_nothing(optimizer):
    pass


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("clip", [None, 1e-3])
def test_gradients_that_are_never_zeroed(passes, clip):
    loop = lambda *both: train(*both, zero=do_nothing, passes=passes, clip=clip)
    (found,) = watched(loop)
    assert found.code == "gradients-not-zeroed"
    assert found.where == the_line("of training")
    assert (
        "At step 2 the gradients of 0.weight, 0.bias, 2.weight, 2.bias" in found.found
    )
    assert "3 of 4 steps" in found.found


ZEROED = {
    "to None": lambda o: o.zero_grad(),
    "to zeros": lambda o: o.zero_grad(set_to_none=False),
    "by hand": lambda o: [
        p.grad.zero_() for p in o.param_groups[0]["params"] if p.grad is not None
    ],
}


@pytest.mark.parametrize("how", ZEROED)
@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("clip", [None, 1e-3])
def test_gradients_that_are_zeroed_before_they_are_summed_up(how, passes, clip):
    loop = lambda *both: train(*both, zero=ZEROED[how], passes=passes, clip=clip)
    findings = watched(loop)
    assert not findings
    assert str(findings) == "nothing found in 4 steps of SGD"


def test_some_gradients_that_are_not_zeroed():
    def zero(optimizer):
        for p in optimizer.param_groups[0]["params"][:3]:
            p.grad = None

    (found,) = watched(lambda *both: train(*both, zero=zero), named=False)
    assert "the gradients of parameter 3 [3] still contain" in found.found


def test_a_gradient_that_is_used_again_without_a_new_one():
    def loop(model, optimizer):
        train(model, optimizer, steps=1)
        optimizer.step()

    (found,) = watched(loop)
    assert "1 of 2 steps" in found.found


def copy_to(p, g):
    p.grad = g if p.grad is None else p.grad.copy_(g)


def assign_doubled(p, g):
    p.grad = 2 * g


def start_from_zero(p, g):
    p.grad = g if p.grad is None else p.grad.zero_()


@pytest.mark.parametrize("write", [copy_to, assign_doubled, start_from_zero])
def test_gradients_that_are_written_anew_each_time(write):
    def loop(model, optimizer):
        params = list(model.parameters())
        for _ in range(3):
            loss = F.cross_entropy(model(vectors()), LABELS)
            for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
                write(p, g)
            if write is start_from_zero:
                F.cross_entropy(model(vectors()), LABELS).backward()
            optimizer.step()

    assert not watched(loop)


@pytest.mark.parametrize("zeroed", [True, False])
def test_a_closure_is_watched_too(zeroed):
    def loop(model, optimizer):
        def closure():
            if zeroed:
                optimizer.zero_grad()
            loss = F.cross_entropy(model(vectors()), LABELS)
            loss.backward()
            return loss

        assert [optimizer.step(closure).ndim for _ in range(3)] == [0, 0, 0]

    assert bool(watched(loop)) == (not zeroed)


def test_watching_does_not_change_the_training():
    def trained(context):
        torch.manual_seed(4)
        model = scores()
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        with context(optimizer):
            train(model, optimizer)
        return [p.tolist() for p in model.parameters()]

    assert trained(watch) == trained(lambda optimizer: torch.enable_grad())


def test_watching_ends_with_an_error_of_the_loop():
    model = scores()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(KeyError), watch(optimizer) as findings:
        train(model, optimizer, zero=do_nothing)
        raise KeyError
    assert "step" not in vars(optimizer)
    assert isinstance(findings, Findings)
    assert len(findings) == 1


def test_one_watch_within_another():
    def loop(model, optimizer):
        with watch(optimizer) as inner:
            train(model, optimizer, zero=do_nothing)
        assert "4 steps" in str(inner)
        train(model, optimizer)

    (found,) = watched(loop)
    assert "3 of 8 steps" in found.found
