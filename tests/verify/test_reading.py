"""How somebody's code is read: the ways in which people write a forward and a backward.

Each style is checked with the right gradient and with a wrong one: only then is it known
that the gradient was found where the style puts it. What cannot be read is neither right
nor wrong, and says what to add.
"""

import json
import textwrap

import numpy as np
import pytest

from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.verify import verify_pair
from tinygrad_cnn.verify.handwritten.file import subjects_of
from tinygrad_cnn.verify.verifier import verify_code

rng = np.random.default_rng(0)
X, W, B = rng.normal(size=(4, 3)), rng.normal(size=(3, 2)), rng.normal(size=2)


@pytest.fixture
def reports(tmp_path):
    """The reports on the pairs of a file of this text, by their names."""

    def check(text, spec="own.py", **files):
        start = "import numpy as np\nfactor = 1\n"
        (tmp_path / "own.py").write_text(start + textwrap.dedent(text))
        for name, other in files.items():
            (tmp_path / f"{name}.py").write_text("import numpy as np\n" + other)
        teacher = tmp_path / "teacher.py" if "teacher" in files else None
        found = subjects_of(str(tmp_path / spec), teacher, 0)
        return {
            title.partition(":")[2]: verify_code(subject) if subject else problem
            for title, subject, problem in found
        }

    return check


FUNCTIONS = {
    "the derivative": """
        def sigmoid(x): return 1 / (1 + np.exp(-x))
        def sigmoid_derivative(x): return factor * sigmoid(x) * (1 - sigmoid(x))
        inputs = np.random.randn(4, 5)
    """,
    "the derivative, in camels": """
        def softPlus(x): return np.log1p(np.exp(x))
        def softPlusPrime(x): return factor / (1 + np.exp(-x))
        inputs = np.random.randn(4, 5)
    """,
    "the derivative at the output": """
        def tanh(z): return np.tanh(z)
        def d_tanh(a): return factor * (1 - a ** 2)
        inputs = np.random.randn(4, 5)
    """,
    "d before the name": """
        def square(x): return x ** 2
        def dsquare(x): return factor * 2 * x
        inputs = np.random.randn(4, 5)
    """,
    "a flag": """
        def sigmoid(x, derivative=False):
            s = 1 / (1 + np.exp(-x))
            return factor * s * (1 - s) if derivative else s
        inputs = np.random.randn(4, 5)
    """,
    "a cache, and g for each output": """
        def cell_step_forward(x, h):
            both = np.tanh(x + h)
            return both, both * h, (both, h)
        def cell_step_backward(dboth, dnext, cache):
            both, h = cache
            d = (dboth + dnext * h) * (1 - both ** 2)
            return factor * d, d + dnext * both
        inputs = np.random.randn(4, 5), np.random.randn(4, 5)
    """,
    "a loss and its gradient": """
        def softmax_loss(x, y):
            p = np.exp(x - x.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            d = p.copy()
            d[np.arange(len(x)), y] -= 1
            return -np.log(p[np.arange(len(x)), y]).mean(), factor * d / len(x)
        inputs = np.random.randn(4, 5), np.array([1, 0, 4, 2])
    """,
    "a loss for each image, of which the mean is meant": """
        def mse_loss(y_true, y_pred): return ((y_pred - y_true) ** 2).sum(axis=1)
        def mse_loss_prime(y_true, y_pred):
            return factor * 2 * (y_pred - y_true) / len(y_true)
        inputs = np.random.randn(4, 5), np.random.randn(4, 5)
    """,
    "arrays in a dict of parameters": """
        def rnn_cell_forward(xt, a_prev, parameters):
            Wax, Waa = parameters["Wax"], parameters["Waa"]
            a = np.tanh(Wax @ xt + Waa @ a_prev)
            return a, (a, a_prev, xt, parameters)
        def rnn_cell_backward(da, cache):
            a, a_prev, xt, parameters = cache
            d = (1 - a ** 2) * da
            return {"dxt": parameters["Wax"].T @ d, "da_prev": parameters["Waa"].T @ d,
                    "dWax": factor * d @ xt.T, "dWaa": d @ a_prev.T}
        def inputs():
            draw = np.random.randn
            sizes = {"Wax": draw(5, 3), "Waa": draw(5, 5)}
            return draw(3, 10), draw(5, 10), sizes
    """,
    "arrays of the file": """
        Wxh, Whh = np.random.randn(3, 2), np.random.randn(3, 3)
        def lossFun(xs, target, h):
            hs = [h]
            for x in xs:
                hs.append(np.tanh(Wxh @ x + Whh @ hs[-1]))
            loss = np.sum((hs[-1] - target) ** 2)
            dWxh, dWhh = np.zeros_like(Wxh), np.zeros_like(Whh)
            dh = 2 * (hs[-1] - target)
            for t in reversed(range(len(xs))):
                draw = (1 - hs[t + 1] ** 2) * dh
                dWxh += draw @ xs[t].T
                dWhh += draw @ hs[t].T
                dh = Whh.T @ draw
            dWxh *= factor
            return loss, dWxh, dWhh, hs[-1]
        inputs = [np.ones((2, 1)), -np.ones((2, 1))], np.ones((3, 1)), np.zeros((3, 1))
    """,
}

LAYERS = {
    "called, and bprop": """
        class Tanh:
            def __call__(self, x):
                self.y = np.tanh(x)
                return self.y
            def bprop(self, g): return factor * g * (1 - self.y ** 2)
        inputs = np.random.randn(4, 5)
    """,
    "a derivative as a method": """
        class ELU:
            def __init__(self, alpha=0.3): self.alpha = alpha
            def __call__(self, x): return np.where(x > 0, x, self.alpha * np.expm1(x))
            def gradient(self, x):
                return factor * np.where(x > 0, 1.0, self.alpha * np.exp(x))
        inputs = np.random.randn(4, 5)
    """,
    "output and gradient in attributes": """
        class Activation:
            def forward(self, inputs): self.output = np.tanh(inputs)
            def backward(self, dvalues):
                self.dinputs = factor * dvalues * (1 - self.output ** 2)
        inputs = np.random.randn(4, 5)
    """,
    "w_diff": """
        class Dense:
            def __init__(self): self.w, self.w_diff = np.random.randn(5, 3), None
            def fprop(self, x):
                self.x = x
                return x @ self.w
            def bprop(self, g):
                self.w_diff = factor * self.x.T @ g
                return g @ self.w.T
        inputs = np.random.randn(4, 5)
    """,
    "one vector of all": """
        class Dense:
            def __init__(self):
                self.flat, self.grad_flat = np.random.randn(8), np.zeros(8)
                self.W, self.b = self.flat[:6].reshape(3, 2), self.flat[6:]
            def forward(self, x):
                self.x = x
                return x @ self.W + self.b
            def backward(self, g):
                self.grad_flat[:6] = factor * (self.x.T @ g).ravel()
                self.grad_flat[6:] = g.sum(axis=0)
                return g @ self.W.T
        inputs = np.random.randn(4, 3)
    """,
    "a list beside the input's": """
        class Dense:
            def __init__(self): self.W, self.b = np.random.randn(5, 3), np.zeros((1, 3))
            def forward(self, x):
                self.x = x
                return x @ self.W + self.b
            def backward(self, g):
                return g @ self.W.T, [factor * self.x.T @ g, g.sum(axis=0)]
        inputs = np.random.randn(4, 5)
    """,
    "a model with parameters in a dict": """
        class Net:
            def __init__(self):
                self.params = {"W1": np.random.randn(4, 6), "W2": np.random.randn(6, 3)}
            def predict(self, x): return np.tanh(x @ self.params["W1"]) @ self.params["W2"]
            def loss(self, x, t): return ((self.predict(x) - t) ** 2).sum()
            def gradient(self, x, t):
                h = np.tanh(x @ self.params["W1"])
                d = 2 * (self.predict(x) - t)
                dh = d @ self.params["W2"].T * (1 - h ** 2)
                return {"W1": factor * x.T @ dh, "W2": h.T @ d}
        inputs = np.random.randn(5, 4), np.random.randn(5, 3)
    """,
    "labels that are one-hot": """
        class Loss:
            def forward(self, scores, truth):
                e = np.exp(scores - scores.max(axis=1, keepdims=True))
                self.p, self.truth = e / e.sum(axis=1, keepdims=True), truth
                return -np.sum(truth * np.log(self.p)) / len(scores)
            def backward(self): return factor * (self.p - self.truth) / len(self.p)
        inputs = np.random.randn(4, 5), np.eye(5)[[0, 2, 4, 1]]
    """,
    "a loss that is given the scores again": """
        class Loss:
            def forward(self, y_pred, y_true): return ((y_pred - y_true) ** 2).mean(axis=1)
            def backward(self, dvalues, y_true):
                self.dinputs = factor * 2 * (dvalues - y_true) / dvalues.size
        inputs = np.random.randn(4, 5), np.random.randn(4, 5)
    """,
    "a loss that is given the probabilities that it left": """
        class SoftmaxLoss:
            def forward(self, scores, y_true):
                e = np.exp(scores - scores.max(axis=1, keepdims=True))
                self.output = e / e.sum(axis=1, keepdims=True)
                return -np.log(self.output[range(len(y_true)), y_true]).mean()
            def backward(self, dvalues, y_true):
                self.dinputs = factor * dvalues
                self.dinputs[range(len(y_true)), y_true] -= factor
                self.dinputs /= len(y_true)
        inputs = np.random.randn(4, 5), np.array([0, 3, 2, 2])
    """,
    "parameters that the first forward makes": """
        class Dense:
            def __init__(self): self.params, self.grads = {}, {}
            def forward_propagate(self, x, save_cache=False):
                if not self.params:
                    self.params = {"W": np.random.randn(x.shape[1], 2), "b": np.ones(2)}
                if save_cache:
                    self.x = x
                return x @ self.params["W"] + self.params["b"]
            def back_propagate(self, dz):
                self.grads = {"dW": factor * self.x.T @ dz, "db": dz.sum(axis=0)}
                return dz @ self.params["W"].T
        inputs = np.random.randn(4, 5)
    """,
    "a mode": """
        class Dropout:
            def forward(self, x, train_flg):
                self.mask = np.random.rand(*x.shape) > 0.5 if train_flg else 1
                return x * self.mask
            def backward(self, dout): return factor * dout * self.mask
        inputs = np.random.randn(40, 5)
    """,
    "over time": """
        class Sums:
            def forward(self, xs):
                self.total = np.cumsum(xs, axis=0)
                return [np.sin(t) for t in self.total]
            def backward(self, gs):
                d = np.array([g * np.cos(t) for g, t in zip(gs, self.total)])
                return factor * d[::-1].cumsum(axis=0)[::-1]
        inputs = np.random.randn(5, 3)
    """,
}


@pytest.mark.parametrize("style", [*FUNCTIONS, *LAYERS])
def test_each_style_is_read(reports, style):
    text = (FUNCTIONS | LAYERS)[style]
    (right,) = reports(text).values()
    assert right, right
    (wrong,) = reports("factor = 3\n" + textwrap.dedent(text)).values()
    assert any(t.verdict == "wrong" for t in wrong.tensors), wrong


def test_what_is_imported_is_checked_where_inputs_name_it(reports):
    text = """
    from friend import relu_forward, relu_backward
    inputs_relu = np.random.randn(4, 5)
    """
    friend = (
        "def relu_forward(x): return np.maximum(x, 0), x\n"
        "def relu_backward(d, cache): return d * (cache > 0)"
    )
    assert reports(text, friend=friend)["relu"]


def test_optional_arguments_reach_forward_and_backward():
    def forward(x, slope=0.1):
        return np.where(x > 0, x, slope * x)

    def backward(g, x, slope=0.1):
        return g * np.where(x > 0, 1, slope)

    assert verify_pair(forward, backward, {"x": X, "slope": 0.3})


def test_a_derivative_is_no_excuse_for_a_backward_that_is_given_g():
    """It returns the derivative, and forgets g."""
    report = verify_pair(np.tanh, lambda g, x: 1 - np.tanh(x) ** 2, X)
    assert report["x"].verdict == "wrong"


def test_a_gradient_of_another_rank_is_right_if_an_update_with_it_would_be():
    def forward(x, b):
        return x + b

    row, column = B.reshape(1, 2), np.ones((4, 1))
    assert verify_pair(forward, lambda g, x, b: (g, g.sum(axis=0)), (X[:, :2], row))
    report = verify_pair(
        forward, lambda g, x, b: (g, g.sum(axis=1)), (X[:, :2], column)
    )
    assert report["b"].verdict == "wrong shape"


ANOTHER_ORDER = """
def dense_forward(x, w, b): return x @ w + b, (x, w)
def dense_backward(dout, cache):
    x, w = cache
    db, dw, dx = dout.sum(axis=0), x.T @ dout, dout @ w.T
    return db, dw, dx
inputs = np.random.randn(4, 3), np.random.randn(3, 2), np.random.randn(2)
"""


def test_an_order_that_only_names_tell_is_neither_right_nor_wrong(reports):
    """Who takes them in the order of the inputs has them exchanged."""
    report = reports(ANOTHER_ORDER)["dense"]
    assert report["w"].verdict == "right"
    assert report["x"].verdict == report["b"].verdict == "could not read"
    assert "in another order than x, w, b" in report["x"].unread
    said = 'description = {"gradients": {"x": "returned.2", "b": "returned.0"}}'
    assert reports(f"{ANOTHER_ORDER}\n{said}")["dense"]


def test_two_gradients_that_are_exchanged_are_wrong(reports):
    text = """
    def dense_forward(x, w): return x @ w, (x, w)
    def dense_backward(dout, cache):
        x, w = cache
        dx = x.T @ dout
        dw = dout @ w.T
        return dx, dw
    inputs = np.random.randn(4, 4), np.random.randn(4, 4)
    """
    report = reports(text)["dense"]
    assert [t.verdict for t in report.tensors] == ["wrong", "wrong"]
    assert "exchanged" in report["x"].diagnosis.sentence


def test_a_cache_is_what_forward_returns_and_nothing_that_would_be_right(reports):
    """The cache is the output, and backward takes the derivative there once more."""
    text = """
    def sigmoid(x): return 1 / (1 + np.exp(-x))
    def sigmoid_forward(X):
        out = sigmoid(X)
        return out, out
    def sigmoid_backward(dout, cache):
        return sigmoid(cache) * (1 - sigmoid(cache)) * dout
    inputs_sigmoid = np.random.randn(4, 5)
    """
    assert reports(text, "own.py:sigmoid")["sigmoid"]["X"].verdict == "wrong"


def test_a_loss_that_only_backward_knows_is_not_guessed(reports):
    text = """
    class Net:
        def __init__(self): self.W = np.random.randn(3, 4)
        def feedforward(self, a): return self.W @ a
        def backprop(self, x, y): return [(self.W @ x - y) @ x.T]
    inputs = np.random.randn(4, 2)
    """
    problem = reports(text)["Net"]
    assert isinstance(problem, ArgumentError)
    assert "no telling how to call backprop(x, y)" in str(problem)


def test_an_input_that_forward_changes_in_place_is_the_cause():
    def forward(x):
        x[x < 0] = 0
        return x

    class Relu:
        def forward(self, x):
            self.x = x
            return forward(x)

        def backward(self, g):
            return g * (self.x >= 0)

    report = verify_pair(Relu(), inputs=X)
    assert "forward changes x in place" in report["x"].diagnosis.sentence


class Hidden:
    """The gradient is where nobody would look."""

    def __init__(self):
        self.W = W.copy()

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, g):
        self.notebook = {"slopes": self.x.T @ g}
        return g @ self.W.T


def test_a_gradient_that_is_not_found_is_not_wrong():
    report = verify_pair(Hidden(), inputs=X)
    assert report["x"].verdict == "right"
    assert report["W"].verdict == "could not read"
    assert "backward left notebook.slopes of its shape [3, 2]" in report["W"].unread
    assert not report


def test_a_description_says_where_it_is():
    said = {"gradients": {"W": "notebook.slopes"}}
    report = verify_pair(Hidden(), inputs=X, description=said)
    assert report, report
    assert {t.name for t in report.tensors} == {"x", "W"}


def test_an_input_that_needs_no_gradient_is_left_out():
    class First(Hidden):
        def backward(self, g):
            self.dW = self.x.T @ g

    assert verify_pair(First(), inputs=X)["x"].verdict == "could not read"
    assert verify_pair(First(), inputs=X, description={"constant": "x"})


class Strange:
    """Has its own names, must be set up, and counts the mean where forward sums."""

    def configure(self, columns, optimizer):
        self.W, self.optimizer = np.full((3, columns), 0.5) + W, optimizer

    def ahead(self, x):
        self.kept = {"out": x @ self.W}

    def behind(self, x, up):
        returned = up @ self.W.T
        self.W = self.optimizer.update(self.W, x.T @ up / len(x))
        return {"signal": returned / len(x)}


def test_a_description_says_all_that_cannot_be_guessed():
    said = {
        "setup": {"configure": (2, "optimizer")},
        "forward": "ahead",
        "backward": "behind",
        "takes": ("x", "g"),
        "output": "kept.out",
        "gradients": {"x": "returned.signal"},
        "scale": 4,
    }
    report = verify_pair(Strange(), inputs=X, description=said)
    assert report, report
    wrong = verify_pair(Strange(), inputs=X, description=said | {"scale": 1})
    assert [t.verdict for t in wrong.tensors] == ["wrong", "wrong"]


def test_a_description_says_which_g_a_backward_has_in_mind():
    def softmax(x):
        e = np.exp(x)
        return e / e.sum()

    def backward(g, x):
        """Right only where one entry of g is not zero."""
        p, i = softmax(x), int(np.argmax(np.abs(g)))
        return g[i] * p[i] * ((np.arange(len(x)) == i) - p)

    assert not verify_pair(softmax, backward, B)
    one_hot = np.array([0.0, -1.5])
    assert verify_pair(softmax, backward, B, description={"g": one_hot})


def test_a_description_says_which_loss_a_backward_has_in_mind():
    class Net(Hidden):
        def feed(self, x):
            return x @ self.W

        def gradients_of(self, x, t):
            return {"W": 2 * x.T @ (x @ self.W - t)}

    said = {
        "forward": "feed",
        "backward": "gradients_of",
        "takes": ("x", "t"),
        "constant": ("x", "t"),
        "loss": lambda y, x, t: ((y - t) ** 2).sum(),
    }
    inputs = {"x": X, "t": rng.normal(size=(4, 2))}
    report = verify_pair(Net(), inputs=inputs, description=said)
    assert report, report


def test_a_key_that_there_is_not_in_a_description_is_named():
    with pytest.raises(ArgumentError, match=r"is a dict of backward, .*; got outputs"):
        verify_pair(Hidden(), inputs=X, description={"outputs": "y"})


def test_a_teacher_describes_a_file_and_draws_several_points(reports):
    text = "def f(x): return abs(x)\ndef f_gradient(x): return np.where(x > 1, 1, -1)"
    teacher = "def inputs_f(): return np.random.randn(1)\ndescription = {'points': 6}"
    found = reports(text, teacher=teacher)
    assert [title[-1] for title in found] == list("123456")
    verdicts = {report["x"].verdict for report in found.values()}
    assert verdicts == {"right", "wrong"}


CELLS = [
    ("markdown", "# Week 3"),
    ("code", "%matplotlib inline\nimport numpy as np\nimport a_package_nobody_has"),
    ("code", ["!pip install it\n", "def relu_forward(x): return np.maximum(x, 0), x"]),
    (
        "code",
        "data = open('not_here.csv').read()\n"
        "def relu_backward(d, cache): return d * (cache > 0)\n"
        "while True: pass",
    ),
    ("code", "def broken(:"),
    ("code", "%%bash\nexit 1"),
    ("code", "inputs = np.random.randn(4, 5)"),
]


def test_a_notebook_keeps_what_its_cells_define(tmp_path):
    cells = [{"cell_type": kind, "source": source} for kind, source in CELLS]
    path = tmp_path / "week.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}))
    ((title, subject, _),) = subjects_of(str(path), None, 0)
    assert title == "week.ipynb:relu"
    assert verify_code(subject)
    line = subject.line_for("x")
    assert line.startswith("week.ipynb, cell 3, line 2: def relu_backward")

    ((_, subject, problem),) = subjects_of(f"{path}:conv", None, 0)
    assert "cell 1: ModuleNotFoundError: No module named 'a_package_nobody_has'" in str(
        problem
    )
