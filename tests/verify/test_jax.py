"""Gradients of JAX, checked where they are; its own rules are the oracle."""

import numpy as np
import pytest

from tinygrad_cnn.cli.main import main
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.verify import assert_gradients, verify

jax = pytest.importorskip("jax")
jnp = jax.numpy


def leaky(x, slope=0.2):
    return jnp.where(x > 0, x, slope * x)


def with_rule(function, backward):
    """A custom_vjp of one array."""

    @jax.custom_vjp
    def written(x):
        return function(x)

    written.defvjp(lambda x: (function(x), x), lambda x, g: (backward(g, x),))
    return written


RIGHT = with_rule(leaky, lambda g, x: jnp.where(x > 0, g, 0.2 * g))
WRONG = with_rule(leaky, lambda g, x: g)


def normal(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("rule", [RIGHT, WRONG])
def test_a_custom_vjp_is_judged_as_its_plain_function_is_differentiated(rule):
    x = normal(4, 3)
    own, plain = [jax.grad(lambda x, f=f: f(x).sum())(x) for f in (rule, leaky)]
    report = verify(rule, x)
    assert bool(report) == bool(jnp.allclose(own, plain))
    assert bool(report) == (rule is RIGHT)
    if not report:
        assert "the derivative is missing" in report["x"].diagnosis.sentence
        assert report.culprit is None


def test_a_custom_jvp():
    @jax.custom_jvp
    def cube(x):
        return x**3

    cube.defjvps(lambda t, y, x: 3 * x**2 * t)
    assert verify(cube, normal(5))
    cube.defjvps(lambda t, y, x: 2 * x**2 * t)
    assert not verify(cube, normal(5))


def net(activation):
    def apply(params, x, key):
        h = jax.lax.conv_general_dilated(x, params["conv"], (1, 1), "SAME")
        h = jax.jit(activation)(jax.nn.relu(h) - 0.3)
        h = h * jax.random.bernoulli(key, 0.7, h.shape)
        w, b = params["layers"][1]
        return h.reshape(len(h), -1) @ w + b

    return apply


PARAMS = {
    "conv": normal(3, 1, 3, 3),
    "layers": {1: (normal(108, 4) / 10, jnp.zeros(4)), 2: jnp.arange(3)},
}
INPUTS = PARAMS, normal(2, 1, 6, 6, seed=1), jax.random.key(2)
LABELS = np.array([0, 3])


def test_a_right_network_with_parameters_in_a_tree():
    report = verify(net(RIGHT), INPUTS, labels=LABELS)
    assert report
    names = [tensor.name for tensor in report.tensors]
    assert names == ["params.conv", "params.layers.1.0", "params.layers.1.1", "x"]
    assert jnp.ones(1).dtype == jnp.float32


def test_the_wrong_rule_in_a_network_is_named():
    report = verify(net(WRONG), INPUTS, labels=LABELS)
    assert not report and report["params.layers.1.0"]
    assert report.culprit.operation == "custom_vjp written"
    assert report.culprit.where.startswith("test_jax.py:")
    assert "the derivative is missing" in report.diagnosis.sentence
    with pytest.raises(AssertionError, match="by differences"):
        assert_gradients(WRONG, normal(3))


def test_functions_as_people_call_them():
    def power(x, exponent=2, *, shift):
        return x**exponent + shift

    assert verify(power, {"x": jnp.ones(3), "exponent": 3, "shift": jnp.ones(3)})
    assert verify(jax.jit(jnp.tanh), normal(3))
    assert verify(
        lambda batch: batch["a"] * batch["b"], {"a": normal(3), "b": normal(3)}
    )


def test_what_jax_cannot_differentiate_is_said_in_its_words():
    def branching(x):
        return x if float(x.sum()) > 0 else -x

    report = verify(branching, jnp.ones(3))
    assert report["x"].verdict == "failed"
    assert "ConcretizationTypeError" in report["x"].failure


def test_complex_numbers_and_low_precision():
    z = normal(3, 2) + 1j * normal(3, 2, seed=1)
    assert verify(lambda z: jnp.fft.fft(z) * z.conj(), z)["z"].shape == (3, 2, 2)
    assert verify(lambda x: x * x, normal(3).astype(jnp.bfloat16))


def test_what_cannot_be_checked_is_refused_in_a_sentence():
    with pytest.raises(ArgumentError, match="floating array"):
        verify(lambda x: x.argmax(), normal(3))
    with pytest.raises(ArgumentError, match="nothing to check"):
        verify(lambda x: x * 1.0, jnp.arange(3))


def test_a_file_from_the_shell(tmp_path, capsys):
    path = tmp_path / "rules.py"
    path.write_text(
        "import jax, jax.numpy as jnp, numpy as np\n"
        "@jax.custom_vjp\n"
        "def half(x): return x / 2\n"
        "half.defvjp(lambda x: (x / 2, None), lambda _, g: (g,))\n"
        "inputs = np.ones((2, 3))\n"
    )
    assert main(["check", "--framework", "jax", str(path)]) == 1
    assert "times 2" in capsys.readouterr().out
