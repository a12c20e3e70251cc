"""Weights that are computed, and layers that are fused: as PyTorch, step for step."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import TinygradError

torch = pytest.importorskip("torch")


def numbers(library, module, seed=0):
    """Give parameters and buffers the same drawn values in both libraries."""
    rng = np.random.default_rng(seed)
    for t in [*module.parameters(), *module.buffers()]:
        if t.is_floating_point():
            t.data = library.tensor(rng.uniform(0.2, 1.0, tuple(t.shape)))
    return module


def layer(library, kind):
    nn = library.nn
    made = {
        "Linear": lambda: nn.Linear(3, 4),
        "Conv2d": lambda: nn.Conv2d(2, 3, 2),
        "ConvTranspose2d": lambda: nn.ConvTranspose2d(2, 3, 2),
    }
    return numbers(library, made[kind]().double())


def passes(library, module, kind):
    """Three steps in training, then evaluation: results, gradients, state."""
    shape = (2, 3) if kind == "Linear" else (2, 2, 3, 3)
    rng, found = np.random.default_rng(5), []
    for training in (True, True, False):
        module.train(training)
        module.zero_grad()
        y = module(library.tensor(rng.normal(size=shape)))
        (y * y).sum().backward()
        found.append(y.detach().numpy())
        found += [p.grad.numpy() for p in module.parameters()]
        found += [t.detach().numpy() * 1 for t in module.state_dict().values()]
    return found


def same(run):
    (found, facts), (expected, their_facts) = run(tg), run(torch)
    assert facts == their_facts
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)


FORMS = {
    "weight_norm": lambda u, m, **k: u.weight_norm(m, **k),
    "spectral_norm": lambda u, m, **k: u.spectral_norm(m, **k),
    "new weight_norm": lambda u, m, **k: u.parametrizations.weight_norm(m, **k),
    "new spectral_norm": lambda u, m, **k: u.parametrizations.spectral_norm(m, **k),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", ["Linear", "Conv2d", "ConvTranspose2d"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"dim": 1}, {"dim": None}], ids=str)
def test_normalised_weights_are_pytorchs(kind, form, options):
    def run(library):
        utils = library.nn.utils
        module = FORMS[form](utils, layer(library, kind), **options)
        if "spectral" in form:  # whose vectors start at random
            numbers(library, module, 1)
        found = passes(library, module, kind)
        facts = [repr(module), list(module.state_dict())]
        before = module.weight.detach().numpy() * 1
        if form.startswith("new"):
            utils.parametrize.remove_parametrizations(module, "weight")
        else:
            getattr(utils, f"remove_{form}")(module)
        np.testing.assert_allclose(module.weight.detach().numpy(), before)
        facts += [repr(module), list(module.state_dict())]
        return [*found, before], facts

    same(run)


def symmetric(library):
    class Symmetric(library.nn.Module):
        def forward(self, x):
            return x * 0.5 + x.transpose(-1, -2) * 0.5

        def right_inverse(self, x):
            return x * 1

    return Symmetric()


def doubled(library):
    class Doubled(library.nn.Module):
        def forward(self, x):
            return x * 2

    return Doubled()


def test_parametrizations_are_computed_assigned_copied_and_removed():
    def run(library):
        P = library.nn.utils.parametrize
        module = numbers(library, library.nn.Linear(3, 3).double())
        P.register_parametrization(module, "weight", symmetric(library))
        P.register_parametrization(module, "weight", doubled(library), unsafe=True)
        facts = [repr(module).split("(")[0], list(module.state_dict())]
        facts += [P.is_parametrized(module), P.is_parametrized(module, "bias")]
        facts.append(P.type_before_parametrizations(module).__name__)
        found = passes(library, module, "Linear")
        copied = copy.deepcopy(module)
        with P.cached():
            facts.append(copied.weight is copied.weight)
        found.append(copied.weight.detach().numpy())
        P.remove_parametrizations(copied, "weight", leave_parametrized=False)
        found.append(copied.weight.detach().numpy())
        facts += [type(copied).__name__, list(copied.state_dict())]
        return found, facts

    same(run)


def test_a_parametrized_weight_can_be_assigned_and_the_parameter_stays():
    module = tg.nn.Linear(2, 2)
    weight = module.weight
    tg.nn.utils.parametrize.register_parametrization(module, "weight", symmetric(tg))
    module.weight = tg.ones(2, 2) * 3
    assert module.parametrizations.weight.original is weight
    assert weight.tolist() == module.weight.tolist() == [[3, 3], [3, 3]]
    with pytest.raises(RuntimeError, match="state_dict"):
        pickle.dumps(module)


REFUSED = {
    "no such name": lambda lib: lib.nn.utils.parametrize.register_parametrization(
        lib.nn.Linear(2, 2), "wieght", lib.nn.Identity()
    ),
    "another shape": lambda lib: lib.nn.utils.parametrize.register_parametrization(
        lib.nn.Linear(2, 2), "weight", lib.nn.Flatten(0)
    ),
    "not parametrized": lambda lib: lib.nn.utils.parametrize.remove_parametrizations(
        lib.nn.Linear(2, 2), "weight"
    ),
    "no hook": lambda lib: lib.nn.utils.remove_weight_norm(lib.nn.Linear(2, 2)),
    "two hooks": lambda lib: lib.nn.utils.spectral_norm(
        lib.nn.utils.spectral_norm(lib.nn.Linear(2, 2))
    ),
    "no steps": lambda lib: lib.nn.utils.spectral_norm(
        lib.nn.Linear(2, 2), n_power_iterations=0
    ),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_pytorch_refuses_is_refused_with_its_kind(call):
    with pytest.raises(Exception) as theirs:
        call(torch)
    with pytest.raises(theirs.type) as ours:
        call(tg)
    assert isinstance(ours.value, TinygradError)


@pytest.mark.parametrize("kind", ["Linear", "Conv2d", "ConvTranspose2d"])
def test_a_fused_layer_does_both(kind):
    first = layer(tg, kind).eval()
    norm = tg.nn.BatchNorm1d(4) if kind == "Linear" else tg.nn.BatchNorm2d(3)
    norm = numbers(tg, norm.double(), 2).eval()
    x = tg.randn(2, 3) if kind == "Linear" else tg.randn(2, 2, 3, 3)
    utils = tg.nn.utils
    if kind == "Linear":
        fused = utils.fuse_linear_bn_eval(first, norm)
    else:
        fused = utils.fuse_conv_bn_eval(first, norm, kind == "ConvTranspose2d")
    expected = norm(first(x.double()))
    np.testing.assert_allclose(fused(x.double()).tolist(), expected.tolist(), 1e-9)
    with pytest.raises(RuntimeError, match="only for eval"):
        utils.fuse_conv_bn_eval(first.train(), norm)


def test_skipped_initial_values_draw_nothing():
    tg.manual_seed(3)
    state = tg.random.default_generator.get_state()
    assert tg.nn.utils.skip_init(tg.nn.Linear, 3, 4, bias=False).weight.shape == (4, 3)
    assert tg.random.default_generator.get_state() == state


def test_norms_and_clipping_apart_are_clipping_together():
    p = tg.ones(2, requires_grad=True)
    p.grad = tg.tensor([3.0, 4.0])
    norm = tg.nn.utils.get_total_norm([p.grad])
    tg.nn.utils.clip_grads_with_norm_(p, 1.0, norm)
    assert norm.item() == 5
    np.testing.assert_allclose(p.grad.tolist(), [0.6, 0.8], 1e-6)
    with pytest.warns(FutureWarning, match="in favor of"):
        tg.nn.utils.clip_grad_norm([p], 0.5)
    np.testing.assert_allclose(p.grad.tolist(), [0.3, 0.4], 1e-5)
