"""A Module finds, names, guards and switches its parts as PyTorch's does."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.core.recording import module_path


def pickled(x):
    return pickle.loads(pickle.dumps(x))


def network(lib):
    """Parameters, buffers, shared children and parameters, in no alphabetic order."""

    class Block(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("steps", lib.zeros(1), persistent=False)
            self.scale = lib.nn.Parameter(lib.ones(2))
            self.register_parameter("nothing", None)
            self.register_buffer("mean", lib.zeros(2))
            self.linear = lib.nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x) * self.scale + self.mean

    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.second = Block()
            self.first = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.ReLU())
            self.again = self.second
            self.absent = None
            self.tied = lib.nn.Linear(2, 2)
            self.tied.weight = self.first[0].weight
            self.bias = lib.nn.Parameter(lib.zeros(2))

        def forward(self, x):
            return self.again(self.tied(self.first(self.second(x)))) + self.bias

    return Net()


LISTINGS = {
    "parameters": lambda m: [n for n, _ in m.named_parameters()],
    "parameters under every name": lambda m: [
        n for n, _ in m.named_parameters(remove_duplicate=False)
    ],
    "parameters with a prefix": lambda m: [n for n, _ in m.named_parameters("net")],
    "own parameters": lambda m: [n for n, _ in m.named_parameters(recurse=False)],
    "number of parameters": lambda m: len(list(m.parameters())),
    "buffers": lambda m: [n for n, _ in m.named_buffers()],
    "number of buffers": lambda m: len(list(m.buffers())),
    "modules": lambda m: [n for n, _ in m.named_modules()],
    "modules under every name": lambda m: [
        n for n, _ in m.named_modules(prefix="x", remove_duplicate=False)
    ],
    "number of modules": lambda m: len(list(m.modules())),
    "children": lambda m: [n for n, _ in m.named_children()],
    "state": lambda m: list(m.state_dict()),
    "state with a prefix": lambda m: list(m.state_dict(prefix="p.")),
    "order of apply": lambda m: visited(m),
    "repr": repr,
}


def visited(module):
    order = []
    module.apply(lambda m: order.append(type(m).__name__))
    return order


@pytest.mark.parametrize("listing", LISTINGS)
def test_parts_are_listed_in_definition_order_each_once(agree, listing):
    agree(lambda lib: LISTINGS[listing](network(lib)))


def test_a_part_is_found_by_its_path(agree):
    def found(lib):
        m = network(lib)
        return [
            m.get_submodule("") is m,
            m.get_submodule("first.0") is m.first[0],
            m.get_parameter("second.linear.weight") is m.second.linear.weight,
            m.get_buffer("second.mean") is m.second.mean,
        ]

    agree(found)


def test_assigning_again_keeps_the_place_and_another_kind_takes_the_name_over(agree):
    def names(lib):
        m = network(lib)
        m.second = lib.nn.Linear(2, 2)
        m.tied = None
        m.second.weight = None
        m.hidden = lib.nn.ReLU()
        m.hidden = lib.nn.Parameter(lib.ones(2))
        m.register_buffer("running", lib.ones(1))
        m.running = lib.nn.ReLU()
        m.first = lib.nn.Parameter(lib.ones(1))
        del m.again
        m.register_buffer("late", lib.ones(1))
        m.late = lib.zeros(3)
        return [n for n, _ in m.named_children()], list(m.state_dict()), m.late.shape[0]

    agree(names)


def early(lib, assign):
    class Early(lib.nn.Module):
        def __init__(self):
            assign(self)

    return Early()


def put(module, name, value):
    setattr(module, name, value)


REFUSED = {
    "a module before init": lambda lib: early(
        lib, lambda m: put(m, "a", lib.nn.ReLU())
    ),
    "a parameter before init": lambda lib: early(
        lib, lambda m: put(m, "a", lib.nn.Parameter(lib.ones(1)))
    ),
    "a buffer before init": lambda lib: early(
        lib, lambda m: m.register_buffer("a", lib.ones(1))
    ),
    "a missing attribute": lambda lib: lib.nn.Linear(1, 1).wieght,
    "a tensor as parameter": lambda lib: put(
        lib.nn.Linear(1, 1), "weight", lib.ones(1)
    ),
    "a module as parameter": lambda lib: put(
        lib.nn.Linear(1, 1), "bias", lib.nn.ReLU()
    ),
    "a number as module": lambda lib: put(network(lib), "second", 3),
    "a list as buffer": lambda lib: put(lib.nn.BatchNorm1d(1), "running_mean", [0.0]),
    "registering a tensor as parameter": lambda lib: lib.nn.Module().register_parameter(
        "a", lib.ones(1)
    ),
    "registering a number as buffer": lambda lib: lib.nn.Module().register_buffer(
        "a", 3
    ),
    "adding a number as module": lambda lib: lib.nn.Module().add_module("a", 3),
    "a name of a method": lambda lib: lib.nn.Module().add_module(
        "train", lib.nn.ReLU()
    ),
    "a name of another part": lambda lib: lib.nn.Linear(1, 1).register_buffer(
        "bias", None
    ),
    "a module name with a dot": lambda lib: lib.nn.Module().add_module("a.b", None),
    "a name with a dot": lambda lib: lib.nn.Module().register_parameter("a.b", None),
    "an empty name": lambda lib: lib.nn.Module().register_buffer("", None),
    "a number as name": lambda lib: lib.nn.Module().register_parameter(3, None),
    "a path to nothing": lambda lib: network(lib).get_submodule("first.7.weight"),
    "a path to no module": lambda lib: network(lib).get_submodule("first.0.weight"),
    "a path to no parameter": lambda lib: network(lib).get_parameter("second.mean"),
    "a path to no buffer": lambda lib: network(lib).get_buffer("second.scale"),
    "a mode that is no bool": lambda lib: lib.nn.Linear(1, 1).train(1),
    "an integer dtype": lambda lib: lib.nn.Linear(1, 1).to(lib.int64),
    "a state that is no mapping": lambda lib: lib.nn.ReLU().load_state_dict([1]),
    "an index beyond the end": lambda lib: lib.nn.Sequential(lib.nn.ReLU())[1],
    "an insertion beyond it": lambda lib: lib.nn.Sequential().insert(1, lib.nn.ReLU()),
    "a sum with a layer": lambda lib: lib.nn.Sequential() + lib.nn.ReLU(),
    "groups that do not divide": lambda lib: lib.nn.Conv2d(3, 4, 3, groups=2),
    "same with stride": lambda lib: lib.nn.Conv2d(3, 4, 3, stride=2, padding="same"),
    "a padded transpose": lambda lib: lib.nn.ConvTranspose2d(
        3, 4, 3, padding_mode="reflect"
    ),
    "an unreachable size": lambda lib: lib.nn.ConvTranspose2d(1, 1, 3, 2)(
        lib.ones(1, 1, 4, 4), output_size=(12, 9)
    ),
    "images for 1d": lambda lib: lib.nn.BatchNorm1d(2)(lib.ones(1, 2, 3, 3)),
    "vectors for 2d": lambda lib: lib.nn.BatchNorm2d(2)(lib.ones(1, 2)),
    "a probability of 1.5": lambda lib: lib.nn.Dropout(1.5),
    "an unknown gain": lambda lib: lib.nn.init.calculate_gain("swish"),
    "a slope that is no number": lambda lib: lib.nn.init.calculate_gain(
        "leaky_relu", "s"
    ),
    "the fan of a vector": lambda lib: lib.nn.init.xavier_uniform_(lib.ones(3)),
    "an unknown fan": lambda lib: lib.nn.init.kaiming_normal_(
        lib.ones(3, 3), mode="fan"
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_pytorch_refuses_is_refused_in_its_words(agree, case):
    agree(REFUSED[case], refused=True)


def test_a_module_without_forward_says_so(agree):
    with pytest.raises(NotImplementedError, match="Module \\[Module\\] is missing"):
        nn.Module()(1)


def test_train_and_eval_reach_every_module_and_return_self(agree):
    def modes(lib):
        m = network(lib)
        evaluated = m.eval() is m and [x.training for x in m.modules()]
        m.first.train()
        return evaluated, [x.training for x in m.modules()]

    agree(modes)


def test_zero_grad_forgets_gradients_or_sets_them_to_zero():
    m = nn.Linear(2, 1)
    m(tg.ones(1, 2)).backward()
    m.zero_grad(set_to_none=False)
    assert m.weight.grad.tolist() == [[0, 0]]
    m.zero_grad()
    assert m.weight.grad is None


def test_requires_grad_freezes_all_parameters():
    m = network(tg).requires_grad_(False)
    assert not any(p.requires_grad for p in m.parameters())
    assert m(tg.ones(1, 2)).grad_fn is None


def test_conversion_keeps_the_parameters_and_leaves_integers_alone():
    m = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    weight = m[0].weight
    m(tg.randn(3, 2)).sum().backward()
    grad = weight.grad
    assert m.double() is m
    assert m[0].weight is weight and weight.dtype == weight.grad.dtype == np.float64
    assert weight.grad is grad and m[1].running_mean.dtype == np.float64
    assert m[1].num_batches_tracked.dtype == np.int64
    m(tg.randn(3, 2, dtype=np.float64)).sum().backward()
    assert (
        m.to("cpu").to(tg.zeros(1)).half().float().cpu()[0].weight.dtype == np.float32
    )
    with pytest.raises(TypeError, match="cuda"):
        m.to("cuda")


def test_a_parameter_shares_memory_and_version_and_requires_grad_even_in_no_grad():
    t = tg.zeros(2)
    with tg.no_grad():
        p = nn.Parameter(t)
        assert p.requires_grad and p.is_leaf
        p.fill_(3)
    assert t.tolist() == [3, 3] and t._version is p._version
    assert not nn.Parameter(t, requires_grad=False).requires_grad
    assert nn.Parameter(p * 2).is_leaf
    assert nn.Parameter().shape == (0,)


def test_a_parameter_prints_and_copies_as_in_pytorch(agree):
    def printed(lib):
        p = lib.nn.Parameter(lib.tensor([1.5, 2.0]))
        copied = copy.deepcopy(p)
        return repr(copied).split("\n")[0], type(copied) is type(p), copied is p

    agree(printed)


def test_a_deep_copy_has_its_own_parameters_and_keeps_shared_ones_shared():
    m = network(tg)
    x = tg.randn(3, 2)
    before = m(x)
    copied = copy.deepcopy(m)
    assert copied.tied.weight is copied.first[0].weight
    assert copied.again is copied.second
    with tg.no_grad():
        for p in m.parameters():
            p.fill_(0)
    assert np.array_equal(copied(x).detach(), before.detach())
    assert copied(x).grad_fn.next_functions[0][0].module == "second"


def test_operations_know_the_path_of_the_module_that_runs_them():
    paths = []

    class Probe(nn.Module):
        def forward(self, x):
            paths.append(module_path.get())
            return x

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(Probe(), nn.Sequential(Probe()))
            self.hidden = [Probe()]

        def forward(self, x):
            paths.append(module_path.get())
            return self.hidden[0](self.features(x))

    net = Net()
    net(1)
    assert paths == ["", "features.0", "features.1.0", ""]
    paths.clear()
    net.features[1].append(Probe())
    del net.features[0]
    net(1)
    assert paths == ["", "features.0.0", "features.0.1", ""]
    paths.clear()
    net.features(1)
    assert paths == ["0.0", "0.1"]
    assert module_path.get() == ""
    y = nn.Sequential(nn.Linear(1, 1))(tg.ones(1))
    assert y.grad_fn.module == "0"


def test_a_failing_forward_leaves_no_path_behind():
    net = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="in 0\n"):
        net(tg.ones(1, 3))
    assert module_path.get() == ""


def everything(module):
    """What a copy must have, by value."""
    state = {k: v.tolist() for k, v in module.state_dict(keep_vars=True).items()}
    asks = [p.requires_grad for p in module.parameters()]
    return repr(module), state, asks, module.training


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(2, 2),
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval(),
        lambda: nn.Sequential(nn.LazyLinear(3)).requires_grad_(False),
        lambda: nn.ModuleDict({"a": nn.ParameterList([tg.ones(2)]), "b": nn.GELU()}),
    ],
)
def test_modules_are_copied_and_pickled(make, copied):
    module = make()
    if "Lazy" in repr(module):
        again = copied(module)
        assert type(again[0].weight) is type(module[0].weight)
        again, module = (m(tg.ones(1, 2)) is not None and m for m in (again, module))
        for parameter in [*again.parameters(), *module.parameters()]:
            parameter.detach().fill_(0.5)
    else:
        again = copied(module)
    assert everything(again) == everything(module)
    shared = next(again.parameters()) is next(module.parameters())
    assert shared == (copied is copy.copy)


def test_a_copied_or_pickled_tensor_is_pytorchs(agree):
    def copies(lib):
        leaf = lib.arange(4.0).requires_grad_()
        leaf.grad = lib.ones(4)
        parameter = lib.nn.Parameter(lib.ones(2), requires_grad=False)
        found = []
        for x in (leaf, leaf * 2, leaf.detach()[::2], parameter, lib.arange(3)):
            for f in (copy.copy, pickled):
                y = f(x)
                found += [y, type(y) is type(x), y.is_leaf, y.requires_grad, y.grad]
            with lib.no_grad():
                copy.copy(x)[0] = 9  # shares the memory
            found.append(x)
        assert pickled([parameter, parameter])[0].shape == parameter.shape
        one, two = pickled([parameter, parameter])
        return [*found, one is two]

    agree(copies)


def test_a_result_is_not_copied_deeply():
    with pytest.raises(tg.errors.AutogradError, match="only leaf Tensors"):
        copy.deepcopy(tg.ones(1).requires_grad_() * 2)


def test_a_change_of_a_shallow_copy_is_noticed():
    x = tg.ones(2).requires_grad_()
    y = x * x
    with tg.no_grad():
        copy.copy(x).add_(1)
    with pytest.raises(tg.errors.MutationError):
        y.sum().backward()


def test_converting_all_of_a_module_is_pytorchs(agree):
    def converted(lib):
        found = []
        for convert in (
            lambda m: m.type(lib.float64),
            lambda m: m.double().half().float().half(),
            lambda m: m.to_empty(device="cpu"),
            lambda m: m.to_empty(device="cpu", recurse=False),
            lambda m: m.cpu(),
        ):
            m = lib.nn.Sequential(lib.nn.Linear(1, 2), lib.nn.BatchNorm1d(2))
            weight = m[0].weight
            found.append(convert(m) is m and m[0].weight is weight)
            found += [[str(v.dtype), v.shape] for v in m.state_dict().values()]
        return found

    agree(converted)
    assert nn.ReLU().compile(mode="max-autotune") is None


@pytest.mark.parametrize("name", ["cuda", "xpu", "ipu", "mtia", "bfloat16"])
def test_what_a_cpu_has_not_is_refused(name):
    with pytest.raises(
        tg.errors.UnavailableError, match=rf"^Linear\.{name}\(\) is not"
    ):
        getattr(nn.Linear(1, 1), name)()


SUBMODULES = {
    "in the place of one": ("1.0", True),
    "where there is none": ("1.5", False),
    "where there must be one": ("1.5", True),
    "at no path": ("", False),
    "below nothing": ("9.1", False),
    "in a parameter's place": ("0.weight", False),
}


@pytest.mark.parametrize("case", SUBMODULES)
def test_a_submodule_is_set_as_in_pytorch(agree, case):
    target, strict = SUBMODULES[case]

    def put(lib):
        m = lib.nn.Sequential(lib.nn.Linear(1, 1), lib.nn.Sequential(lib.nn.ReLU()))
        m.set_submodule(target, lib.nn.Tanh(), strict=strict)
        return repr(m)

    agree(put)
    with pytest.raises(tg.errors.ArgumentError, match="`module` is not"):
        nn.Sequential().set_submodule("0", 3)


def test_a_missing_attribute_suggests_what_is_there():
    layer = nn.Linear(1, 1)
    assert {"weight", "register_buffer"} <= {*dir(layer)}
    assert "0" not in dir(nn.Sequential(layer))
    for wrong, right in {
        "wieght": "weight",
        "regster_buffer": "register_buffer",
    }.items():
        with pytest.raises(AttributeError, match=f"'{wrong}'; did you mean {right}?"):
            getattr(layer, wrong)


@pytest.mark.parametrize("name", ["modules", "parameters", "named_children"])
def test_a_list_in_the_place_of_a_listing_method_is_refused(name):
    with pytest.raises(tg.errors.ModuleError, match=f"'list' as '{name}', the method"):
        setattr(nn.ReLU(), name, [nn.Linear(1, 1)])
