"""Gradient clipping, parameters as a vector, and functional calls, as in PyTorch."""

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn


def functional_call(lib, *args, **kwargs):
    if lib is tg:
        return nn.utils.stateless.functional_call(*args, **kwargs)
    return lib.func.functional_call(*args, **kwargs)


def with_gradients(lib, *gradients):
    parameters = [lib.nn.Parameter(lib.zeros(len(g))) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = lib.tensor(g)
    return [*parameters, lib.nn.Parameter(lib.zeros(1))]


def rounded(tensor):
    return [float(f"{v:.5g}") for v in tensor.reshape(-1).tolist()]


@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.1, 5, 100])
def test_clipping_by_norm_scales_and_returns_as_pytorch(agree, norm_type, max_norm):
    def clipped(lib):
        ps = with_gradients(lib, [3.0, -4.0], [12.0])
        norm = lib.nn.utils.clip_grad_norm_(ps, max_norm, norm_type)
        return rounded(norm), [rounded(p.grad) for p in ps[:2]]

    agree(clipped)


def test_clipping_keeps_the_dtype_and_the_gradient_tensor():
    (p, _) = with_gradients(tg, [30.0, 40.0])
    grad = p.grad
    norm = nn.utils.clip_grad_norm_(p, 1.0)
    assert p.grad is grad and grad.dtype == norm.dtype == np.float32
    assert norm.item() == 50


def test_a_norm_that_is_not_finite_is_an_error_where_asked(agree):
    def clipped(lib, strict=True):
        ps = with_gradients(lib, [math.inf, 1.0])
        lib.nn.utils.clip_grad_norm_(ps, 1.0, error_if_nonfinite=strict)
        return repr(ps[0].grad.tolist())

    agree(clipped)
    agree(lambda lib: clipped(lib, strict=False))


def test_clipping_nothing_returns_zero_and_warns_of_an_empty_generator(agree):
    agree(lambda lib: lib.nn.utils.clip_grad_norm_([], 1.0))
    with pytest.warns(UserWarning, match="empty generator"):
        nn.utils.clip_grad_norm_((p for p in ()), 1.0)


def test_clipping_by_value_is_pytorchs(agree):
    def clipped(lib):
        ps = with_gradients(lib, [3.0, -4.0, 0.5], [12.0])
        lib.nn.utils.clip_grad_value_(ps, 2)
        return [p.grad for p in ps[:2]]

    agree(clipped)


def test_there_is_no_foreach():
    with pytest.raises(ValueError, match="foreach"):
        nn.utils.clip_grad_norm_([], 1.0, foreach=True)


def test_parameters_go_to_a_vector_and_back(agree):
    def there_and_back(lib):
        m = lib.nn.Linear(2, 2)
        m.load_state_dict({"weight": lib.ones(2, 2), "bias": lib.zeros(2)})
        vector = lib.nn.utils.parameters_to_vector(m.parameters())
        lib.nn.utils.vector_to_parameters(lib.arange(6.0), m.parameters())
        return vector.requires_grad, vector.detach(), m.weight.detach(), m.bias.detach()

    agree(there_and_back)


def linear(lib):
    m = lib.nn.Sequential(lib.nn.Linear(2, 1), lib.nn.Linear(1, 1, bias=False))
    m[1].weight = lib.nn.Parameter(lib.ones(1, 1))
    return m


def tied(lib):
    m = lib.nn.Sequential(
        lib.nn.Linear(1, 1, bias=False), lib.nn.Linear(1, 1, bias=False)
    )
    m[1].weight = m[0].weight
    return m


class Calls:
    def gradients_reach_the_given_tensors(lib):
        m = linear(lib)
        w = lib.tensor([[2.0, 3.0]], requires_grad=True)
        given = [{"0.weight": w}, {"0.bias": lib.zeros(1)}]
        y = functional_call(lib, m, given, lib.ones(1, 2))
        y.backward()
        return y.detach(), w.grad, m[0].weight.grad is None, m[0].weight is not w

    def tied_parameters_stay_tied(lib):
        return functional_call(
            lib, tied(lib), {"0.weight": lib.ones(1, 1) * 3}, lib.ones(1, 1)
        )

    def tied_parameters_can_be_untied(lib):
        m = tied(lib)
        given = {"0.weight": lib.ones(1, 1) * 3, "1.weight": lib.ones(1, 1) * 5}
        return functional_call(lib, m, given, (lib.ones(1, 1),), tie_weights=False)

    def tied_parameters_cannot_differ(lib):
        given = {"0.weight": lib.ones(1, 1), "1.weight": lib.ones(1, 1)}
        return functional_call(lib, tied(lib), given, lib.ones(1, 1))

    def names_in_two_dictionaries(lib):
        given = {"0.weight": lib.ones(1, 1)}
        return functional_call(lib, tied(lib), [given, given], lib.ones(1, 1))

    def buffers_are_updated_where_they_are(lib):
        m = lib.nn.BatchNorm1d(1)
        mean = lib.zeros(1)
        x = lib.tensor([[1.0], [3.0]])
        functional_call(lib, m, {"running_mean": mean}, kwargs={"input": x})
        return rounded(mean), m.running_mean


@pytest.mark.parametrize("call", [n for n in vars(Calls) if n[0] != "_"])
def test_a_functional_call_does_what_pytorchs_does(agree, call):
    agree(getattr(Calls, call))


def test_a_strict_functional_call_names_what_does_not_fit():
    with pytest.raises(RuntimeError) as caught:
        functional_call(
            tg, nn.Linear(1, 1), {"wieght": tg.ones(1, 1)}, tg.ones(1, 1), strict=True
        )
    assert "Unexpected key(s): ['wieght']" in str(caught.value)
    assert "Missing key(s): ['bias', 'weight']" in str(caught.value)


def test_the_module_has_its_own_parameters_again_even_after_an_error():
    m = nn.Linear(2, 1)
    weight = m.weight
    with pytest.raises(ValueError, match="Linear"):
        functional_call(tg, m, {"weight": tg.ones(1, 3)}, tg.ones(1, 2))
    assert m.weight is weight
