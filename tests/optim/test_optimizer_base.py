"""Groups of parameters, gradients, errors: what all optimisers share."""

import copy

import numpy as np
import pytest
from pytorch import torch

import tinygrad_cnn
from tinygrad_cnn import no_grad, optim, tensor
from tinygrad_cnn.errors import ArgumentError, AutogradError, MutationError, ShapeError


@pytest.fixture
def p():
    return tensor([1.0, 2.0], requires_grad=True)


@pytest.fixture
def q():
    return tensor([[3.0]], requires_grad=True)


def test_a_group_overrides_the_defaults_and_the_user_changes_it_later(p, q):
    groups = [{"params": [p]}, {"params": q, "lr": 0.5}]
    optimizer = optim.SGD(groups, lr=0.1)
    p.grad, q.grad = tensor([1.0, 1.0]), tensor([[1.0]])
    optimizer.step()
    np.testing.assert_allclose(p.tolist(), [0.9, 1.9], rtol=1e-6)
    assert q.item() == 2.5
    optimizer.param_groups[1]["lr"] = 1.0
    optimizer.step()
    assert q.item() == 1.5


def test_a_group_is_added_later_and_a_generator_is_read_once(p, q):
    optimizer = optim.Adam(iter([p]), lr=0.1)
    optimizer.add_param_group({"params": iter([q]), "lr": 0.01})
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.01]
    assert [len(g["params"]) for g in optimizer.param_groups] == [1, 1]


def test_named_parameters_keep_their_names_in_the_state_dict(p, q):
    saved = optim.SGD([("weight", p), ("bias", q)]).state_dict()
    assert saved["param_groups"][0]["param_names"] == ["weight", "bias"]
    assert saved["param_groups"][0]["params"] == [0, 1]


def test_parameters_are_numbered_through_the_groups(p, q):
    optimizer = optim.SGD([{"params": [p]}, {"params": [q]}], momentum=0.9)
    other = torch.optim.SGD(
        [{"params": [t]} for t in (torch.zeros(2), torch.zeros(1, 1))], momentum=0.9
    )
    assert optimizer.state_dict()["param_groups"] == other.state_dict()["param_groups"]
    q.grad = tensor([[1.0]])
    optimizer.step()
    assert list(optimizer.state_dict()["state"]) == [1]


def test_a_parameter_without_gradient_is_left_alone(p, q):
    optimizer = optim.AdamW([p, q])
    q.grad = tensor([[1.0]])
    optimizer.step()
    assert p.tolist() == [1.0, 2.0]
    assert p not in optimizer.state
    assert q.item() != 3.0


def test_zero_grad_forgets_or_zeroes(p):
    optimizer = optim.SGD([p])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is None
    (p * p).sum().backward(create_graph=True)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    assert not p.grad.requires_grad
    optimizer.zero_grad()
    assert p.grad is None


def test_the_closure_runs_with_gradients_on_and_its_loss_is_returned(p):
    optimizer = optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with no_grad():
        assert optimizer.step(closure).item() == 5.0
    assert p.tolist() == [0.0, 0.0]


def test_a_graph_that_needs_the_old_values_notices_the_step(p):
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(
        MutationError, match=r"changed in place at .*test_optimizer_base"
    ):
        loss.backward()


def test_memory_that_cannot_be_written_is_refused():
    p = tensor([1.0]).expand(3).detach().requires_grad_()
    p.grad = tensor([1.0, 1.0, 1.0])
    with pytest.raises(AutogradError, match="read-only memory"):
        optim.SGD([p]).step()


def test_infinite_and_undefined_gradients_pass_silently_as_in_pytorch(p):
    p.grad = tensor([np.inf, np.nan])
    optim.Adam([p]).step()
    assert np.isnan(p.tolist()).all()


def test_an_optimizer_of_ones_own_needs_only_the_update(p):
    class Sign(optim.Optimizer):
        def _update(self, p, g, group, work, spare):
            p._array -= group["lr"] * np.sign(g)

    p.grad = tensor([5.0, -0.1])
    Sign([p], {"lr": 0.5}).step()
    assert p.tolist() == [0.5, 2.5]
    with pytest.raises(NotImplementedError):
        optim.Optimizer([p], {}).step()


def test_a_deep_copy_owns_its_parameters_and_its_state(p):
    optimizer = optim.SGD([p], lr=1.0, momentum=0.9)
    p.grad = tensor([1.0, 1.0])
    optimizer.step()
    other = copy.deepcopy(optimizer)
    (copied,) = other.param_groups[0]["params"]
    copied.grad = tensor([1.0, 1.0])
    other.step()
    assert p.tolist() == [0.0, 1.0]
    np.testing.assert_allclose(copied.tolist(), [-1.9, -0.9], rtol=1e-6)


# ------------------------------------------------------------------------- errors


def make(library, name="SGD", **options):
    return getattr(library.optim, name)([library.zeros(2)], **options)


def computed(library):
    return library.zeros(2, requires_grad=True) * 2


def load(library, groups, saved):
    """An optimiser with groups of so many parameters loads the state of another."""
    one, other = (
        library.optim.SGD(
            [{"params": [library.zeros(1) for _ in range(n)]} for n in sizes]
        )
        for sizes in (groups, saved)
    )
    one.load_state_dict(other.state_dict())


REFUSED = {
    "no parameters": lambda lib: lib.optim.SGD([]),
    "a number among the parameters": lambda lib: lib.optim.SGD([5]),
    "a set": lambda lib: lib.optim.SGD([{"params": {lib.zeros(1)}}]),
    "a computed tensor": lambda lib: lib.optim.SGD([computed(lib)]),
    "a tensor in two groups": lambda lib: lib.optim.SGD(
        [{"params": [t]} for t in [lib.zeros(1)] * 2]
    ),
    "names for some": lambda lib: lib.optim.SGD([("w", lib.zeros(1)), lib.zeros(1)]),
    "names in one group only": lambda lib: lib.optim.SGD(
        [{"params": [("w", lib.zeros(1))]}, {"params": [lib.zeros(1)]}]
    ),
    "learning rate": lambda lib: make(lib, lr=-0.5),
    "momentum": lambda lib: make(lib, momentum=-1),
    "weight decay": lambda lib: make(lib, weight_decay=-1),
    "nesterov alone": lambda lib: make(lib, nesterov=True),
    "nesterov, damped": lambda lib: make(lib, nesterov=True, momentum=1, dampening=1),
    "Adam's learning rate": lambda lib: make(lib, "Adam", lr=float("nan")),
    "beta 0": lambda lib: make(lib, "Adam", betas=(1.0, 0.9)),
    "beta 1": lambda lib: make(lib, "AdamW", betas=(0.9, -0.1)),
    "epsilon": lambda lib: make(lib, "Adam", eps=-1e-8),
    "alpha": lambda lib: make(lib, "RMSprop", alpha=-1),
    "RMSprop's momentum": lambda lib: make(lib, "RMSprop", momentum=-1),
    "rho": lambda lib: make(lib, "Adadelta", rho=1.5),
    "negative rho": lambda lib: make(lib, "Adadelta", rho=-0.5),
    "learning rate decay": lambda lib: make(lib, "Adagrad", lr_decay=-1),
    "accumulator": lambda lib: make(lib, "Adagrad", initial_accumulator_value=-1),
    "more groups loaded": lambda lib: load(lib, [1], [1, 1]),
    "a larger group loaded": lambda lib: load(lib, [1, 2], [1, 3]),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_pytorch_refuses_is_refused_in_its_words(call):
    with pytest.raises(Exception) as theirs:
        call(torch)
    with pytest.raises(theirs.type) as ours:
        call(tinygrad_cnn)
    assert isinstance(ours.value, tinygrad_cnn.errors.TinygradError)
    assert str(theirs.value) in str(ours.value)


def test_a_tensor_or_a_module_in_place_of_an_iterable_is_refused(p):
    text = "should be an iterable of Tensors or dicts, but got "
    for wrong in (p, object()):
        with pytest.raises(TypeError, match=text + type(wrong).__name__):
            optim.SGD(wrong)


@pytest.mark.parametrize("option", ["foreach", "fused", "differentiable", "capturable"])
def test_options_for_other_devices_are_accepted_only_as_none_or_false(p, option):
    optim.Adam([p], **{option: False})
    with pytest.raises(ArgumentError, match=f"{option}=True is not available"):
        optim.Adam([p], **{option: True})
    with pytest.raises(ArgumentError, match=f"{option}=True is not available"):
        optim.Adam([{"params": [p], option: True}])


@pytest.mark.parametrize("wrong", ["0.1", None, [0.1]])
def test_a_learning_rate_that_is_no_number_is_refused(p, wrong):
    with pytest.raises(TypeError, match="Invalid learning rate: expected a number"):
        optim.Adam([p], lr=wrong)


def test_a_group_without_params_is_refused(p):
    optimizer = optim.SGD([p])
    for wrong in ({"lr": 1.0}, [p]):
        with pytest.raises(TypeError, match='must be a dict with the key "params"'):
            optimizer.add_param_group(wrong)


def test_a_parameter_twice_in_a_group_warns(p):
    with pytest.warns(UserWarning, match="duplicate parameters") as caught:
        optim.SGD([p, p])
    assert caught[0].filename == __file__


class TestLoading:
    def saved(self):
        p = tensor([1.0, 2.0], requires_grad=True)
        optimizer = optim.SGD([p], momentum=0.9, lr=0.25)
        p.grad = tensor([1.0, 2.0])
        optimizer.step()
        return copy.deepcopy(optimizer.state_dict())

    def test_the_options_come_with_it(self, p):
        optimizer = optim.SGD([p])
        optimizer.load_state_dict(self.saved())
        assert optimizer.param_groups[0]["lr"] == 0.25
        assert optimizer.param_groups[0]["momentum"] == 0.9
        assert optimizer.param_groups[0]["params"][0] is p

    def test_options_that_an_older_version_did_not_save_are_the_defaults(self, p):
        saved = self.saved()
        del saved["param_groups"][0]["maximize"]
        optimizer = optim.SGD([p])
        optimizer.load_state_dict(saved)
        assert optimizer.param_groups[0]["maximize"] is False

    def test_the_state_takes_the_parameters_dtype(self):
        p = tensor(np.ones(2), requires_grad=True)
        optimizer = optim.SGD([p])
        optimizer.load_state_dict(self.saved())
        assert optimizer.state[p]["momentum_buffer"].dtype == np.float64

    def test_adamw_stays_decoupled(self, p):
        optimizer = optim.AdamW([p])
        optimizer.load_state_dict(optim.Adam([p]).state_dict())
        assert optimizer.param_groups[0]["decoupled_weight_decay"] is True

    def test_a_state_of_another_shape_is_refused_before_anything_changes(self):
        p = tensor([1.0, 2.0, 3.0], requires_grad=True)
        optimizer = optim.SGD([p], lr=0.5)
        text = r"momentum_buffer of shape \[2\] for a parameter of shape \[3\]"
        with pytest.raises(ShapeError, match=text):
            optimizer.load_state_dict(self.saved())
        assert optimizer.param_groups[0]["lr"] == 0.5
        assert not optimizer.state

    @pytest.mark.parametrize("key", ["0", 4])
    def test_a_state_of_no_parameter_is_not_dropped_unseen(self, p, key):
        saved = self.saved()
        saved["state"] = {key: saved["state"][0]}
        with pytest.raises(ArgumentError, match="none of its groups"):
            optim.SGD([p]).load_state_dict(saved)

    def test_something_else_is_refused(self, p):
        with pytest.raises(ArgumentError, match='keys "state" and "param_groups"'):
            optim.SGD([p]).load_state_dict({"weight": p})
