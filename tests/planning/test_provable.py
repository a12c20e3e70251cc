"""What is planned without being asked, and what is not, with the reason."""

import functools
import random
import time

import numpy as np
import pytest

import tinygrad_cnn
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import PlanningError
from tinygrad_cnn.planning.provable import holds, proven

FLAG = True
SCALES = [1.0, 2.0]
WIDTH = 3


class Of(nn.Module):
    """A dense layer, and attributes of each kind."""

    def __init__(self):
        super().__init__()
        self.layer, self.drop = nn.Linear(4, 4), nn.Dropout(0.1)
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Tanh()])
        self.scale, self.sizes, self.counter, self.seen = 2.0, (2, 2), 0, []
        self.options, self.helper = {"slope": 0.1}, object()
        self.activation = F.relu


def with_forward(forward, base=Of):
    return type("Drawn", (base,), {"forward": forward})()


# ------------------------------------------------------------------------- provable


def plain(self, x):
    return F.relu(self.layer(x)) * self.scale


def constant_global(self, x):
    return self.layer(x) * WIDTH


def blocks(self, x):
    for block in self.blocks:
        x = block(x)
    return x


def training_decides(self, x):
    return self.drop(x) if self.training else x * 2


def shape_decides(self, x):
    return x.reshape(len(x), *self.sizes).flatten(1) if x.shape[1] == 4 else x


def function_in_an_attribute(self, x):
    return self.activation(self.layer(x))


def helped(x, n=2):
    return x * n


def helper_function(self, x):
    return helped(self.layer(x))


def own_list(self, x):
    parts = [part + 1 for part in (x, x * 2)]
    return parts[0] + sum(parts)


@pytest.mark.parametrize(
    "forward",
    [
        plain,
        constant_global,
        blocks,
        training_decides,
        shape_decides,
        function_in_an_attribute,
        helper_function,
        own_list,
    ],
    ids=lambda f: f.__name__,
)
def test_provable(forward):
    assert holds(proven(with_forward(forward), F.cross_entropy))


@pytest.mark.parametrize(
    "loss",
    [
        F.nll_loss,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        functools.partial(F.cross_entropy, label_smoothing=0.1),
        lambda output, labels: F.cross_entropy(output, labels) * 2,
    ],
)
def test_losses_that_are_provable(loss):
    assert holds(proven(with_forward(plain), loss))


# --------------------------------------------------------------------- not provable


def appends_to_a_list(self, x):
    self.seen.append(len(x))
    return self.layer(x)


def reads_a_list(self, x):
    return self.layer(x) * SCALES[0]


def reads_a_list_of_the_module(self, x):
    return self.layer(x) * len(self.seen)


def reads_a_dict(self, x):
    return x * self.options["slope"]


def reads_an_object(self, x):
    return x if self.helper else -x


def counts(self, x):
    self.counter += 1
    return self.layer(x) * self.counter


def sets_a_global(self, x):
    global FLAG
    FLAG = not FLAG
    return x


def draws(self, x):
    return x * random.random()


def looks_at_the_clock(self, x):
    return x * time.perf_counter()


def uses_numpy(self, x):
    return x * float(np.float32(3))


def prints(self, x):
    print("forward")
    return x


def computed_name(self, x):
    return getattr(self, "lay" + "er")(x)


def gives_itself_away(self, x):
    return helped(x, n=len(vars(self)))


def renamed(self, x):
    other = self
    return other.layer(x)


def in_a_dictionary(self, x):
    return self.__dict__["scale"] * x


def by_super(self, x):
    return super(Of, self).forward(x)


def imports(self, x):
    import math

    return x * math.pi


def writes_an_item(self, x):
    x[0] = 1.0
    return x


def depends_on_memory(self, x):
    return x if x.is_contiguous() else -x


def in_a_comprehension(self, x):
    return sum([x * s for s in SCALES])


def in_a_lambda(self, x):
    return (lambda y: y * random.random())(x)


def mutable_default(self, x, memory=[]):  # noqa: B006
    return x * len(memory)


def by_a_helper(self, x):
    return remembering(x)


def remembering(x):
    SCALES.append(1.0)
    return x


def own_memory(x):
    own_memory.count += 1
    return x * own_memory.count


own_memory.count = 0


def by_an_attribute_of_a_function(self, x):
    return own_memory(x)


@functools.cache
def cached(n):
    return n


def by_a_cache(self, x):
    return x * cached(2)


def closing_over_a_list():
    seen = []

    def forward(self, x):
        return x * len(seen)

    return forward


NOT = [
    appends_to_a_list,
    reads_a_list,
    reads_a_list_of_the_module,
    reads_a_dict,
    reads_an_object,
    counts,
    sets_a_global,
    draws,
    looks_at_the_clock,
    uses_numpy,
    prints,
    computed_name,
    gives_itself_away,
    renamed,
    in_a_dictionary,
    by_super,
    imports,
    writes_an_item,
    depends_on_memory,
    in_a_comprehension,
    in_a_lambda,
    mutable_default,
    by_a_helper,
    by_an_attribute_of_a_function,
    by_a_cache,
    closing_over_a_list(),
]


@pytest.mark.parametrize("forward", NOT, ids=lambda f: f.__name__)
def test_not_provable(forward):
    with pytest.raises(PlanningError):
        proven(with_forward(forward), F.cross_entropy)


class WithProperty(Of):
    @property
    def factor(self):
        return random.random()

    def forward(self, x):
        return x * self.factor


class WithGetattr(Of):
    def __getattr__(self, name):
        return random.random() if name == "factor" else super().__getattr__(name)

    def forward(self, x):
        return x * self.factor


class WithCall(nn.Linear):
    def __call__(self, x):
        return super().__call__(x) * random.random()


class WithWeight(nn.Linear):
    @property
    def factor(self):
        return 2


class Run(nn.ReLU):
    def _run(self, x):
        return x * random.random()


class WithItems(nn.Module):
    def __getitem__(self, i):
        return random.random()


class WithGet(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([WithGetMethod()])

    def forward(self, x):
        return x * self.parts[0].get(0)


class WithGetMethod(nn.Module):
    def forward(self, x):
        return x

    def get(self, i):
        return random.random()


class Growing(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([nn.ModuleList()])

    def forward(self, x):
        self.parts[0].append(nn.ReLU())
        return x * len(self.parts[0])


class Shadowing(Of):
    def forward(self, x):
        return (lambda self: self.scale)(self.blocks[0]) * x


class Held:
    def __init__(self):
        self.factor = 2

    def __call__(self, x):
        return x * self.factor


@pytest.mark.parametrize(
    "make",
    [
        WithProperty,
        WithGetattr,
        lambda: WithCall(4, 4),
        lambda: WithWeight(4, 4),
        Run,
        WithItems,
        WithGet,
        Growing,
        Shadowing,
        lambda: nn.Sequential(nn.Linear(4, 4), with_forward(draws)),
    ],
)
def test_classes_that_are_not_provable(make):
    with pytest.raises(PlanningError):
        proven(make(), F.cross_entropy)


@pytest.mark.parametrize(
    "activation",
    [
        Held(),
        Held().__call__,
        lambda x: x * random.random(),
        functools.partial(remembering),
        functools.partial(helped, n=[2]),
        nn.ReLU().forward,
        np.tanh,
    ],
)
def test_callables_in_an_attribute_that_are_not_provable(activation):
    model = with_forward(function_in_an_attribute)
    model.activation = activation
    with pytest.raises(PlanningError):
        proven(model, F.cross_entropy)


def test_a_setting_of_a_layer_that_may_change_inside_is_not_provable():
    model = nn.MaxPool2d(2)
    model.kernel_size = [2, 2]
    with pytest.raises(PlanningError, match="kernel_size, a list"):
        proven(model, F.cross_entropy)


# ---------------------------------------------------------- facts that cease to hold


def change_a_global(model, loss, patch):
    patch.setitem(globals(), "WIDTH", 4)


def change_a_helper(model, loss, patch):
    patch.setitem(globals(), "helped", remembering)


def change_the_code_of_a_helper(model, loss, patch):
    patch.setattr(helped, "__code__", (lambda x, n: x).__code__)


def change_the_defaults_of_a_helper(model, loss, patch):
    patch.setattr(helped, "__defaults__", (3,))


def change_a_class(model, loss, patch):
    patch.setattr(nn.Linear, "forward", lambda self, x: x)


def change_a_function_of_the_package(model, loss, patch):
    patch.setattr(F, "relu", F.tanh)


def change_a_method_of_tensors(model, loss, patch):
    patch.setattr(tinygrad_cnn.Tensor, "flatten", lambda x, n: x)


def change_forward(model, loss, patch):
    patch.setattr(type(model), "forward", plain)


def change_how_modules_are_called(model, loss, patch):
    patch.setattr(nn.Module, "__call__", lambda self, x: x)


def hide_a_builtin(model, loss, patch):
    patch.setitem(globals(), "len", lambda x: 3)


def change_the_loss(model, loss, patch):
    loss.keywords["label_smoothing"] = 0.2


@pytest.mark.parametrize(
    "change",
    [
        change_a_global,
        change_a_helper,
        change_the_code_of_a_helper,
        change_the_defaults_of_a_helper,
        change_a_class,
        change_a_function_of_the_package,
        change_a_method_of_tensors,
        change_forward,
        change_how_modules_are_called,
        hide_a_builtin,
        change_the_loss,
    ],
    ids=lambda f: f.__name__,
)
def test_a_fact_that_no_longer_holds_is_noticed(change, monkeypatch):
    def forward(self, x):
        return helped(F.relu(self.layer(x))).flatten(1) * WIDTH + len(x)

    model = with_forward(forward)
    loss = functools.partial(F.cross_entropy, label_smoothing=0.1)
    facts = proven(model, loss)
    assert holds(facts)
    change(model, loss, monkeypatch)
    assert not holds(facts)
