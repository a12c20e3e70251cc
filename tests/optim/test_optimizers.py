"""What each optimiser computes: as PyTorch step for step, and as its closed form says."""

import copy
import inspect
import itertools
import tracemalloc

import numpy as np
import pytest
from pytorch import torch

from tinygrad_cnn import Tensor, optim, tensor

FLOAT64, FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)
TOLERANCE = {
    FLOAT64: {"rtol": 1e-12, "atol": 1e-14},
    FLOAT32: {"rtol": 1e-5, "atol": 1e-6},
}


def grid(name, keep=lambda o: True, **choices):
    """Every combination of the choices, as pytest parameters."""
    for values in itertools.product(*choices.values()):
        chosen = dict(zip(choices, values, strict=True))
        if keep(chosen):
            shown = ",".join(f"{k}={v}" for k, v in chosen.items())
            yield pytest.param(name, chosen, id=f"{name}-{shown}")


def nesterov_fits(o):
    return not o["nesterov"] or (o["momentum"] > 0 and o["dampening"] == 0)


ADAM = {
    "betas": [(0.9, 0.999), (0.3, 0.6)],
    "weight_decay": [0, 0.05],
    "amsgrad": [False, True],
    "maximize": [False, True],
}
OTHERS = {"weight_decay": [0, 0.05], "maximize": [False, True]}
CASES = [
    *grid(
        "SGD",
        nesterov_fits,
        lr=[0.05],
        momentum=[0, 0.9],
        dampening=[0, 0.3],
        nesterov=[False, True],
        **OTHERS,
    ),
    *grid("Adam", lr=[0.01], decoupled_weight_decay=[False], **ADAM),
    *grid("Adam", lr=[0.01], decoupled_weight_decay=[True], weight_decay=[0.05]),
    *grid("AdamW", lr=[0.01], **(ADAM | {"betas": [(0.8, 0.99)]})),
    *grid("RMSprop", momentum=[0, 0.9], centered=[False, True], alpha=[0.9], **OTHERS),
    *grid("Adadelta", lr=[0.3], rho=[0.9, 0.5], **OTHERS),
    *grid("Adagrad", lr_decay=[0, 0.1], initial_accumulator_value=[0, 0.2], **OTHERS),
    *grid("Adamax", lr=[0.01], betas=[(0.9, 0.999), (0.3, 0.6)], **OTHERS),
    *grid("NAdam", decoupled_weight_decay=[False, True], lr=[0.01], **OTHERS),
    *grid("RAdam", betas=[(0.8, 0.99)], decoupled_weight_decay=[False, True], **OTHERS),
    *grid("ASGD", t0=[1e6, 5], lambd=[0.1], **OTHERS),
    *grid("Rprop", step_sizes=[(1e-6, 50), (0.005, 0.02)], maximize=[False, True]),
]
DEFAULTS = ["SGD", "Adam", "AdamW", "RMSprop", "Adadelta", "Adagrad"]
DEFAULTS += ["Adamax", "NAdam", "RAdam", "ASGD", "Rprop", "LBFGS"]


def layouts(rng, dtype):
    """Arrays of several shapes, contiguous and not."""

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    return [
        draw(),
        draw(7),
        draw(3, 4),
        draw(4, 2, 3, 3),
        draw(0, 3),
        draw(5, 4).T,
        draw(6, 5)[:, ::2],
        draw(3, 3, 2, 4).transpose(3, 2, 0, 1),
    ]


def leaves(arrays):
    return [Tensor(a, requires_grad=True) for a in copy.deepcopy(arrays)]


def set_gradients(params, arrays):
    for p, a in zip(params, arrays, strict=True):
        p.grad = tensor(a)


def as_torch(torch, arrays):
    return [torch.from_numpy(np.array(a)) for a in arrays]


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_twenty_steps_and_the_state_equal_pytorchs(name, options, dtype):
    rng = np.random.default_rng(3)
    start = layouts(rng, dtype)
    ours = leaves(start)
    theirs = [t.requires_grad_() for t in as_torch(torch, start)]
    a = getattr(optim, name)(ours, **options)
    b = getattr(torch.optim, name)(theirs, **options)
    for _ in range(20):
        gradients = layouts(rng, dtype)
        set_gradients(ours, gradients)
        for p, g in zip(theirs, as_torch(torch, gradients), strict=True):
            p.grad = g
        a.step()
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        assert p.dtype == dtype
        np.testing.assert_allclose(
            p.detach().numpy(), q.detach(), **TOLERANCE[dtype], strict=True
        )
    state, expected = a.state_dict()["state"], b.state_dict()["state"]
    assert list(state) == list(expected)
    for i, values in expected.items():
        assert state[i].keys() == values.keys()
        for key, value in values.items():
            found = state[i][key]
            if isinstance(found, int | float):
                assert found == value.item()
            else:
                assert found.dtype == dtype
                np.testing.assert_allclose(found.numpy(), value, **TOLERANCE[dtype])


@pytest.mark.parametrize("name", DEFAULTS)
def test_signature_and_group_options_are_pytorchs(name):
    ours = inspect.signature(getattr(optim, name)).parameters
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]
    a = getattr(optim, name)([tensor(1.0)])
    b = getattr(torch.optim, name)([torch.tensor(1.0)])
    assert a.defaults == b.defaults
    assert a.state_dict()["param_groups"] == b.state_dict()["param_groups"]
    assert repr(a) == repr(b)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_step_stays_in_the_memory_that_is_there(name, options):
    p = Tensor(np.ones((250, 400)), requires_grad=True)
    p.grad = tensor(np.full((250, 400), 0.5))
    optimizer = getattr(optim, name)([p], **options)
    optimizer.step()
    memory = p.detach().numpy()
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < p.nbytes / 20
    assert np.shares_memory(memory, p.detach().numpy())


@pytest.mark.parametrize("name", [n for n in DEFAULTS if n not in ("Rprop", "LBFGS")])
def test_numpy_numbers_as_options_do_not_widen(name):
    p = Tensor(np.ones(3, np.float32), requires_grad=True)
    optimizer = getattr(optim, name)(
        [p], lr=np.float64(0.1), weight_decay=np.float64(1)
    )
    for _ in range(2):
        p.grad = tensor(np.ones(3, np.float32))
        optimizer.step()
    arrays = [v for v in optimizer.state[p].values() if isinstance(v, Tensor)]
    assert {t.dtype for t in [p, *arrays]} == {FLOAT32}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 0.9}),
        ("Adam", {"amsgrad": True}),
        ("AdamW", {}),
        ("RMSprop", {"momentum": 0.9, "centered": True}),
        ("Adadelta", {}),
        ("Adagrad", {"lr_decay": 0.1}),
        ("Adamax", {}),
        ("NAdam", {}),
        ("RAdam", {"betas": (0.8, 0.9)}),
        ("ASGD", {"t0": 3}),
        ("Rprop", {}),
    ],
)
class TestStateDict:
    def optimizer(self, name, options, start):
        params = leaves(start)
        return params, getattr(optim, name)(params, **options)

    def run(self, params, optimizer, gradients):
        for arrays in gradients:
            set_gradients(params, arrays)
            optimizer.step()

    def test_a_restored_run_goes_on_bit_for_bit(self, name, options):
        rng = np.random.default_rng(5)
        gradients = [layouts(rng, FLOAT32) for _ in range(10)]
        params, optimizer = self.optimizer(name, options, layouts(rng, FLOAT32))
        self.run(params, optimizer, gradients[:6])
        middle = [p.detach().numpy().copy() for p in params]
        saved = copy.deepcopy(optimizer.state_dict())
        self.run(params, optimizer, gradients[6:])
        again, other = self.optimizer(name, {"lr": 7.0}, middle)
        other.load_state_dict(saved)
        self.run(again, other, gradients[6:])
        for p, q in zip(params, again, strict=True):
            assert p.detach().numpy().tobytes() == q.detach().numpy().tobytes()

    def test_what_was_loaded_is_a_copy(self, name, options):
        gradients = [[np.ones(3)]]
        params, optimizer = self.optimizer(name, options, [np.ones(3)])
        self.run(params, optimizer, gradients)
        again, other = self.optimizer(name, options, [np.ones(3)])
        other.load_state_dict(optimizer.state_dict())
        before = copy.deepcopy(optimizer.state[params[0]])
        self.run(again, other, gradients)
        for key, value in before.items():
            np.testing.assert_array_equal(optimizer.state[params[0]][key], value)

    def test_pytorchs_state_is_taken_over_and_ours_by_pytorch(self, name, options):
        rng = np.random.default_rng(6)
        start, *gradients = (layouts(rng, FLOAT64) for _ in range(9))
        theirs = [t.requires_grad_() for t in as_torch(torch, start)]
        b = getattr(torch.optim, name)(theirs, **options)

        def run_torch(some):
            for arrays in some:
                for p, g in zip(theirs, as_torch(torch, arrays), strict=True):
                    p.grad = g
                b.step()

        run_torch(gradients[:4])
        params, a = self.optimizer(name, {}, [t.detach().numpy() for t in theirs])
        state = b.state_dict()
        state["state"] = {
            i: {k: v.numpy() for k, v in values.items()}
            for i, values in state["state"].items()
        }
        a.load_state_dict(state)
        self.run(params, a, gradients[4:])
        run_torch(gradients[4:6])
        state = copy.deepcopy(a.state_dict())
        for values in state["state"].values():
            for key, value in values.items():
                if not isinstance(value, int | float):
                    values[key] = torch.from_numpy(value.numpy().copy())
        run_torch(gradients[6:])
        for p, q in zip(params, theirs, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach(), rtol=1e-12)
        b.load_state_dict(state)
        self.run(params, a, gradients[:2])
        run_torch(gradients[:2])
        for p, q in zip(params, theirs, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach(), rtol=1e-12)


# ------------------------------------------------------------------- closed forms

START = np.array([1.5, -0.25, 3.0])
GRADIENT = np.array([0.5, -2.0, 0.001])


def path(optimizer_class, steps, gradient=GRADIENT, **options):
    """Where START is after so many steps under a constant gradient."""
    p = tensor(START, requires_grad=True)
    optimizer = optimizer_class([p], **options)
    for _ in range(steps):
        p.grad = tensor(gradient)
        optimizer.step()
    return p.detach().numpy()


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_gradient_descent_on_a_parabola_shrinks_geometrically():
    x = tensor(START, requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        (3 * x * x / 2).sum().backward()
        optimizer.step()
    close(x.detach().numpy(), START * (1 - 0.1 * 3) ** 30)


def test_momentum_sums_a_geometric_series():
    series = sum((1 - 0.9**k) / (1 - 0.9) for k in range(1, 13))
    close(path(optim.SGD, 12, lr=0.1, momentum=0.9), START - 0.1 * series * GRADIENT)


def test_adam_moves_by_the_learning_rate_whatever_the_gradients_size():
    for amsgrad in (False, True):
        found = path(optim.Adam, 15, lr=0.01, eps=0, amsgrad=amsgrad)
        close(found, START - 15 * 0.01 * np.sign(GRADIENT))


def test_adams_epsilon_is_added_after_the_bias_correction():
    step = 0.1 * GRADIENT / (np.abs(GRADIENT) + 0.5)
    close(path(optim.Adam, 1, lr=0.1, eps=0.5), START - step)


def test_adamw_decays_the_parameter_itself():
    found = path(optim.AdamW, 20, np.zeros(3), lr=0.1, weight_decay=0.3)
    close(found, START * (1 - 0.1 * 0.3) ** 20)


def test_rmsprop_divides_by_the_running_root_mean_square():
    lengths = sum(1 / np.sqrt(1 - 0.9**k) for k in range(1, 11))
    found = path(optim.RMSprop, 10, lr=0.01, alpha=0.9, eps=0)
    close(found, START - 0.01 * lengths * np.sign(GRADIENT))


def test_adagrads_steps_fall_as_one_over_the_root_of_their_number():
    lengths = sum(1 / np.sqrt(k) for k in range(1, 11))
    found = path(optim.Adagrad, 10, lr=0.01, eps=0)
    close(found, START - 0.01 * lengths * np.sign(GRADIENT))


def test_adadeltas_first_step_is_the_ratio_of_the_two_roots():
    ratio = np.sqrt(1e-6) / np.sqrt(0.1 * GRADIENT**2 + 1e-6)
    close(path(optim.Adadelta, 1), START - ratio * GRADIENT)


@pytest.mark.parametrize("name", [n for n in DEFAULTS if n not in ("Rprop", "LBFGS")])
def test_maximizing_is_minimizing_the_negative(name):
    kind = getattr(optim, name)
    up = path(kind, 5, weight_decay=0.1, maximize=True)
    np.testing.assert_array_equal(up, path(kind, 5, -GRADIENT, weight_decay=0.1))
