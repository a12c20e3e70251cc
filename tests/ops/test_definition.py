"""Defining an operation registers it and checks that its rules name what exists."""

from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest

from tinygrad_cnn import tensor
from tinygrad_cnn.errors import NotDifferentiableError
from tinygrad_cnn.ops import Op, registry


@pytest.fixture(autouse=True)
def registry_is_left_as_it_was():
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


def test_a_definition_registers_the_operation_under_its_name():
    @dataclass(frozen=True)
    class Twice(Op):
        def forward(self, x):
            return 2 * x

        def grad_x(self, g):
            return 2 * g

    assert list(registry)[-1] == "Twice"
    assert registry["Twice"] is Twice


def test_a_base_without_a_forward_is_no_operation():
    class Family(Op):
        axis = 0

    assert "Family" not in registry


def test_a_rule_for_no_input_is_refused():
    with pytest.raises(TypeError, match=r"Mistaken.grad_z is for no input of forward"):

        class Mistaken(Op):
            def forward(self, x):
                return x

            def grad_z(self, g):
                return g

    assert "Mistaken" not in registry


@pytest.mark.parametrize("name", ["z", "x_size", "z_shape", "index", "kept"])
def test_a_rule_that_names_no_input_is_refused(name):
    namespace = {}
    exec(f"def grad_x(self, g, {name}): return g", namespace)
    with pytest.raises(TypeError, match=f"grad_x names {name}, which is no input"):
        type(
            "Mistaken",
            (Op,),
            {"forward": lambda self, x: x, "grad_x": namespace["grad_x"]},
        )
    assert "Mistaken" not in registry


def test_a_rule_may_name_the_result_inputs_their_shapes_and_what_is_kept():
    class Complete(Op):
        keeps = ("kept",)

        def forward(self, x, w):
            return x, x

        def grad_x(self, g, y, x, w, kept, x_shape, w_dtype):
            return g

    assert [need.name for need in Complete.rules["x"].needs] == (
        ["y", "x", "w", "kept", "x_shape", "w_dtype"]
    )


def test_an_input_without_a_rule_has_no_derivative():
    class Halfway(Op):
        def forward(self, x, w):
            return x * w

        def grad_x(self, g, w):
            return g * w

    x, w = (tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    with pytest.raises(NotDifferentiableError, match="with respect to w is not impl"):
        Halfway()(x, w).sum().backward()


def test_operations_are_immutable_values():
    op = registry["LeakyReLU"](0.1)
    assert op == registry["LeakyReLU"](0.1) != registry["LeakyReLU"](0.2)
    with pytest.raises(FrozenInstanceError):
        op.negative_slope = 0.5


def test_one_operation_used_twice_keeps_the_two_uses_apart():
    op = registry["Max"]((0,))
    x, z = (tensor(v, requires_grad=True) for v in ([1.0, 2.0], [4.0, 3.0]))
    first, second = op(x), op(z)
    second.backward()
    first.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 1])
    np.testing.assert_array_equal(z.grad.numpy(), [1, 0])
