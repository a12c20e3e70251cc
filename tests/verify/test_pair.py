"""`verify_pair`: the usual ways in which people write a layer of their own.

Every style is a dense layer, y = x W + b. Each is checked with the right gradient of W, and
with twice that: only then is it known that the gradient was found where the style puts it.
"""

import functools

import numpy as np
import pytest

from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.verify import verify_pair

rng = np.random.default_rng(0)
X = rng.normal(size=(4, 3))
W = rng.normal(size=(3, 2))
B = rng.normal(size=2)


class Dense:
    """The gradients, times `factor` for that of W."""

    factor = 1

    def __init__(self):
        self.W, self.b = W.copy(), B.copy()

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def gradients(self, g):
        return g @ self.W.T, self.factor * (self.x.T @ g), g.sum(axis=0)


def names(first, second):
    """A layer that leaves the gradients in attributes of these names."""

    class Style(Dense):
        def backward(self, g):
            dx, dW, db = self.gradients(g)
            setattr(self, first, dW)
            setattr(self, second, db)
            return dx

    return Style


class Preallocated(Dense):
    def __init__(self):
        super().__init__()
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def backward(self, g):
        dx, self.dW[...], self.db[...] = self.gradients(g)
        return dx


class ReturnsAll(Dense):
    def backward(self, g):
        return self.gradients(g)


class ReturnsDict(Dense):
    def backward(self, g):
        return dict(zip(("dx", "dW", "db"), self.gradients(g), strict=True))


class ReturnsAllAndKeeps(Dense):
    def backward(self, g):
        _, self.dW, self.db = self.gradients(g)
        return self.gradients(g)


def in_a_dict(name):
    """A layer that leaves the gradients in a dict of this name."""

    class Style(Dense):
        def backward(self, g):
            dx, dW, db = Dense.gradients(self, g)
            setattr(self, name, {"W": dW, "b": db})
            return dx

    return Style


class ParamsAndGrads(Dense):
    """The parameters are attributes and in a dict; the gradients in another."""

    def __init__(self):
        super().__init__()
        self.params = {"W": self.W, "b": self.b}
        self.grads = {}

    def backward(self, g):
        dx, self.grads["dW"], self.grads["db"] = self.gradients(g)
        return dx


class Dparams(Dense):
    """The gradients are in a dict of that name."""

    def backward(self, g):
        dx, dW, db = self.gradients(g)
        self.dparams = {"W": dW, "b": db}
        return dx


class Lists:
    factor = 1

    def __init__(self):
        self.params, self.grads = [W.copy(), B.copy()], []

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, g):
        self.grads[:] = [self.factor * (self.x.T @ g), g.sum(axis=0)]
        return g @ self.params[0].T


class Value:
    def __init__(self, data):
        self.data, self.grad = data, None


class Values:
    factor = 1

    def __init__(self):
        self.W, self.b = Value(W.copy()), Value(B.copy())

    def forward(self, x):
        self.x = x
        return x @ self.W.data + self.b.data

    def backward(self, g):
        self.W.grad, self.b.grad = self.factor * (self.x.T @ g), g.sum(axis=0)
        return g @ self.W.data.T


class Weights:
    """Names in the plural, gradients with the singular and with the first letter."""

    factor = 1

    def __init__(self):
        self.weights, self.biases = W.copy(), B.copy()

    def forward(self, inputs):
        self.inputs = inputs
        return inputs @ self.weights + self.biases

    def backward(self, dvalues):
        self.dweight = self.factor * (self.inputs.T @ dvalues)
        self.db = dvalues.sum(axis=0)
        return dvalues @ self.weights.T


class Updates(Dense):
    def backprop(self, g, learn_rate):
        dx, dW, db = self.gradients(g)
        self.W -= learn_rate * dW
        self.b = self.b - learn_rate * db
        return dx


class RateInside(Dense):
    """The input comes before g, and the learning rate is an attribute."""

    learning_rate = None

    def __init__(self):
        super().__init__()
        self.learning_rate = 0.01

    def forward_pass(self, input):
        return Dense.forward(self, input)

    forward = None

    def backward_pass(self, input, grad_output):
        dx, dW, db = self.gradients(grad_output)
        self.W -= self.learning_rate * dW
        self.b -= self.learning_rate * db
        return dx


class Momentum(Dense):
    def __init__(self):
        super().__init__()
        self.velocity, self.speed = np.zeros_like(self.W), np.zeros_like(self.b)

    def backward(self, g, lr=0.1):
        dx, dW, db = self.gradients(g)
        self.velocity = 0.9 * self.velocity - lr * dW
        self.speed = 0.9 * self.speed - lr * db
        self.W += self.velocity
        self.b += self.speed
        return dx


class ReturnsCache(Dense):
    def forward(self, x):
        return x @ self.W + self.b, x

    def backward(self, g, cache):
        self.x = cache
        dx, self.dW, self.db = self.gradients(g)
        return dx


class Nested:
    """A layer in a layer, and one in a list."""

    factor = 1

    def __init__(self):
        self.first = names("dW", "db")()
        self.first.factor = self.factor
        self.others = [Relu()]

    def forward(self, x):
        return self.others[0].forward(self.first.forward(x))

    def backward(self, g):
        return self.first.backward(self.others[0].backward(g))


class Relu:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, g):
        return g * self.mask


ATTRIBUTES = [
    "dW",
    "d_W",
    "grad_W",
    "W_grad",
    "dL_dW",
    "d_L_d_W",
    "W_gradient",
    "gradW",
]
STYLES = {
    **{name: names(name, name.replace("W", "b")) for name in ATTRIBUTES},
    "two namings": names("dW", "b_grad"),
    **{name: in_a_dict(name) for name in ("grads", "gradients", "dparams", "d_params")},
    **{
        style.__name__: style
        for style in [
            Preallocated,
            ReturnsAll,
            ReturnsDict,
            ReturnsAllAndKeeps,
            ParamsAndGrads,
            Lists,
            Values,
            Weights,
            Updates,
            RateInside,
            Momentum,
            ReturnsCache,
            Nested,
        ]
    },
}


@pytest.mark.parametrize("name", STYLES)
def test_each_style_is_read_right(name):
    layer_class = STYLES[name]
    report = verify_pair(layer_class(), inputs=X)
    assert report, report
    shapes = sorted([t.shape for t in report.tensors])
    assert shapes == [(2,), (3, 2), (4, 3)]

    wrong = type(name, (layer_class,), {"factor": 2})
    report = verify_pair(wrong(), inputs=X)
    bad = [t for t in report.tensors if not t]
    assert [t.shape for t in bad] == [W.shape], report
    np.testing.assert_allclose(bad[0].worst.claimed, 2 * bad[0].worst.numerical, 1e-6)


def test_the_names_of_the_tensors_are_those_in_the_code():
    def checked(layer):
        return " ".join([t.name for t in verify_pair(layer, inputs=X).tensors])

    assert checked(Lists()) == "x params.0 params.1"
    assert checked(Weights()) == "inputs weights biases"
    assert checked(Nested()) == "x first.W first.b"


def test_the_users_layer_is_left_alone():
    layer = Updates()
    layer.W = layer.W.astype(np.float32)
    assert verify_pair(layer, inputs=X)
    assert layer.W.dtype == np.float32
    np.testing.assert_array_equal(layer.W, W.astype(np.float32))
    assert not hasattr(layer, "x")


class BatchNorm:
    """With running statistics, which are neither parameters nor checked."""

    forgotten = False

    def __init__(self):
        self.gamma, self.beta = np.ones(3), np.zeros(3)
        self.running_mean, self.running_var = np.zeros(3), np.ones(3)

    def forward(self, x):
        mean, self.scale = x.mean(axis=0), 1 / np.sqrt(x.var(axis=0) + 1e-5)
        self.running_mean = 0.9 * self.running_mean + 0.1 * mean
        self.running_var *= 0.9
        self.running_var += 0.1 * x.var(axis=0)
        self.normal = (x - mean) * self.scale
        return self.gamma * self.normal + self.beta

    def backward(self, g):
        self.dgamma, self.dbeta = (g * self.normal).sum(axis=0), g.sum(axis=0)
        d = g if self.forgotten else g * self.gamma
        projection = self.normal * (d * self.normal).mean(axis=0)
        return self.scale * (d - d.mean(axis=0) - projection)


def test_buffers_are_no_parameters():
    report = verify_pair(BatchNorm(), inputs=X)
    assert report
    assert [t.name for t in report.tensors] == ["x", "gamma", "beta"]


def test_a_mistake_that_ones_would_hide_is_found():
    layer = BatchNorm()
    layer.forgotten = True
    report = verify_pair(layer, inputs=X)
    assert [t.name for t in report.tensors if not t] == ["x"]
    assert any("drawn anew: gamma, beta" in note for note in report.notes)


class Dropout:
    def forward(self, x):
        self.mask = np.random.rand(*x.shape) < 0.5
        return x * self.mask

    def backward(self, g):
        return g * self.mask


def test_random_masks_stay_the_same_and_one_drawn_again_is_found():
    class DrawnAgain(Dropout):
        def backward(self, g):
            return g * (np.random.rand(*g.shape) < 0.5)

    assert verify_pair(Dropout(), inputs=X)
    assert not verify_pair(DrawnAgain(), inputs=X)


def test_a_parameter_without_a_gradient_is_wrong_and_not_passed_over():
    class Forgets(Dense):
        def backward(self, g):
            dx, self.dW, _ = self.gradients(g)
            return dx

    report = verify_pair(Forgets(), inputs=X)
    assert [t.name for t in report.tensors if not t] == ["b"]
    assert report["b"].never_computed
    assert "no gradient was found" in report.notes[0]
    assert report.notes[0].endswith("of b")


def test_a_first_layer_may_return_nothing_if_only_its_parameters_are_asked_for():
    class First(Dense):
        def backward(self, g):
            _, self.dW, self.db = self.gradients(g)

    report = verify_pair(First(), inputs=X)
    assert [t.name for t in report.tensors if not t] == ["x"]
    assert "backward returns nothing" in report.notes[0]
    assert verify_pair(First(), inputs=X, only=("W", "b"))


def test_params_says_where_a_gradient_is_and_what_is_not_checked():
    class Odd(Dense):
        def backward(self, g):
            dx, self.slope, _ = self.gradients(g)
            return dx

    assert not verify_pair(Odd(), inputs=X)
    report = verify_pair(Odd(), inputs=X, params={"W": "slope"})
    assert report
    assert [t.name for t in report.tensors] == ["x", "W"]
    assert report.notes == ["not checked, since params does not name them: b"]
    with pytest.raises(ArgumentError, match="has no V, slop, which params names"):
        verify_pair(Odd(), inputs=X, params={"V": "slop"})


def test_a_gradient_that_is_added_up_across_calls_is_noted():
    class Adds(Preallocated):
        def backward(self, g):
            dx, dW, db = self.gradients(g)
            self.dW += dW
            self.db = db
            return dx

    class Resets(Adds):
        def zero_grad(self):
            self.dW[...] = 0

    report = verify_pair(Adds(), inputs=X)
    assert report
    assert report.notes == ["added to the gradient of the call before: W"]
    assert verify_pair(Resets(), inputs=X).notes == []


def test_an_update_before_the_gradient_that_needs_the_old_values_is_named():
    class UpdatesFirst(Dense):
        def backward(self, g, eta):
            _, dW, db = self.gradients(g)
            self.W -= eta * dW
            self.b -= eta * db
            return g @ self.W.T

    report = verify_pair(UpdatesFirst(), inputs=X)
    assert [t.name for t in report.tensors if not t] == ["x"]
    assert any("updated before what is computed" in note for note in report.notes)
    assert not any("before what" in n for n in verify_pair(Updates(), inputs=X).notes)


class Product:
    def forward(self, a, b):
        self.a, self.b = a, b
        return a * b

    def backward(self, g):
        return g * self.b, g * self.a


def test_a_layer_may_take_several_inputs():
    report = verify_pair(Product(), inputs=(X, X + 1))
    assert report
    assert [t.name for t in report.tensors] == ["a", "b"]


def affine(x, w, b):
    return x @ w + b


def affine_backward(g, x, w, b):
    return g @ w.T, x.T @ g, g.sum(axis=0)


def affine_cached(x, w, b):
    return affine(x, w, b), (x, w, b)


def affine_of_cache(dout, cache):
    return affine_backward(dout, *cache)


@pytest.mark.parametrize(
    "pair",
    [
        (affine, affine_backward),
        (affine, lambda d, a, b, c: affine_backward(d, a, b, c)),
        (affine, lambda *given: affine_backward(*given)),
        (affine, lambda w, g, b, x: affine_backward(g, x, w, b)),
        (affine_cached, affine_of_cache),
    ],
    ids=["by name", "by position", "any number", "in another order", "cache"],
)
def test_functions_are_called_as_they_are_written(pair):
    assert verify_pair(*pair, (X, W, B))
    assert verify_pair(*pair, {"b": B, "w": W, "x": X})

    @functools.wraps(pair[1])  # the signature as well
    def doubled(*given, **named):
        dx, dw, db = pair[1](*given, **named)
        return dx, 2 * dw, db

    report = verify_pair(pair[0], doubled, (X, W, B))
    assert [t.name for t in report.tensors if not t] == ["w"]


def test_a_slope_called_alpha_is_no_learning_rate():
    def forward(x, alpha=0.1):
        return np.where(x > 0, x, alpha * x)

    def backward(g, x, alpha=0.1):
        return np.where(x > 0, g, alpha * g)

    assert verify_pair(forward, backward, X)


LABELS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])


class MeanSquare:
    def forward(self, y, t):
        self.off = y - t
        return np.mean(self.off**2)

    def backward(self):
        return 2 * self.off / self.off.size


def test_the_derivative_of_a_loss_needs_no_g():
    def loss(y, t):
        return np.mean((y - t) ** 2)

    assert verify_pair(MeanSquare(), inputs=(X, LABELS))
    assert verify_pair(loss, lambda p, t: 2 * (p - t) / p.size, (X, LABELS))
    assert verify_pair(np.sum, lambda: np.ones_like(X), X)
    assert verify_pair(lambda x: np.sum(x), lambda g: np.full_like(X, g), X)
    assert verify_pair(loss, lambda y, t: 2 * (y - t) / y.size, (X, LABELS))
    assert not verify_pair(loss, lambda y, t: 2 * (y - t), (X, LABELS))


def test_an_exception_is_a_finding_with_the_line():
    class Breaks(Dense):
        def backward(self, g):
            return g @ self.W

    class BreaksEarly(Dense):
        def forward(self, x):
            return self.helper(x)

        def helper(self, x):
            raise KeyError("filters\x1b")

        def backward(self, g):
            return g

    report = verify_pair(Breaks(), inputs=X)
    assert not report
    assert report.tensors[0].verdict == "failed"
    assert report.tensors[0].failure.startswith("backward raised ValueError: ")
    assert report.tensors[0].failure.endswith(": return g @ self.W)")
    failure = verify_pair(BreaksEarly(), inputs=X).tensors[0].failure
    line = BreaksEarly.helper.__code__.co_firstlineno + 1
    assert failure.startswith("forward raised KeyError: 'filters")
    assert f"(test_pair.py, line {line}: raise KeyError(" in failure


def test_what_is_no_array_is_a_finding():
    class Words(Dense):
        def backward(self, g):
            return "dx"

    assert "gradient of x is no array of numbers" in str(verify_pair(Words(), inputs=X))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((Dense, None, X), "needs a layer: Dense\\(…\\), not its class"),
        ((Product, None), "needs inputs"),
        (
            (X, None, X),
            "ndarray is no layer; expected an object with methods forward",
        ),
        ((affine, lambda g, p, q: g, (X, W, B)), "no telling how to call backward"),
        (
            (affine, lambda g: (g, g), (X, W, B)),
            "backward returned 2 gradients, of shapes .* where one each of x, w, b",
        ),
        (
            (Relu(), None, LABELS),
            "no input is a floating array, and there is no parameter",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(given, message):
    with pytest.raises(ArgumentError, match=message):
        verify_pair(*given)


@pytest.mark.parametrize("at", [[0], [0, 2], [0, 1, 3]])
def test_a_relu_at_zero_is_a_kink_for_each_value_and_for_all_together(at):
    x = np.array([1.0, -1.5, 2.0, -0.5])
    x[at] = 0
    relu = lambda x: np.maximum(x, 0)
    report = verify_pair(relu, lambda g, x: g * (x > 0), x)
    assert report, report
    assert [kink.index for kink in report["x"].kinks] == [(i,) for i in at]
    outside = verify_pair(relu, lambda g, x: g * ((x > 0) - 1.0 * (x == 0)), x)
    assert outside["x"].wrong == tuple((i,) for i in at)


def test_progress_is_told_each_tensor_before_it_is_checked():
    seen = []
    verify_pair(ReturnsAll(), inputs=X, progress=lambda *told: seen.append(told))
    assert seen == [("x", 0, 3), ("W", 1, 3), ("b", 2, 3)]


def test_a_backward_of_any_number_of_inputs_is_given_them_all():
    def forward(*inputs):
        return inputs[0] * inputs[1]

    def backward(g, *inputs):
        return g * inputs[1], g * inputs[0]

    a, b = np.random.default_rng(0).normal(size=(2, 3))
    assert verify_pair(forward, backward, (a, b))
