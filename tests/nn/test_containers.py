"""Sequential, ModuleList, ModuleDict and ParameterList hold modules as PyTorch's do."""

from collections import OrderedDict

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn


def layers(lib, n=4):
    return [lib.nn.Linear(i + 1, i + 2) for i in range(n)]


def named(lib):
    return lib.nn.Sequential(OrderedDict(zip("abcd", layers(lib), strict=True)))


class Changes:
    """Each returns a container after a change."""

    def numbered(lib):
        return lib.nn.Sequential(*layers(lib))

    def from_an_ordered_dict(lib):
        return named(lib)

    def empty(lib):
        return lib.nn.Sequential()

    def slice(lib):
        return named(lib)[1:3]

    def slice_of_a_slice(lib):
        return lib.nn.Sequential(*layers(lib))[::2][1:]

    def assignment(lib):
        s = named(lib)
        s[-1] = lib.nn.ReLU()
        return s

    def deletion(lib):
        s = lib.nn.Sequential(*layers(lib))
        del s[1]
        del s[-2:]
        return s

    def growth(lib):
        s = lib.nn.Sequential(*layers(lib, 2)).append(lib.nn.ReLU())
        s.extend([lib.nn.Tanh()]).insert(1, lib.nn.Sigmoid()).insert(
            -1, lib.nn.Flatten()
        )
        return s

    def sum(lib):
        return lib.nn.Sequential(*layers(lib, 1)) + lib.nn.Sequential(lib.nn.ReLU())

    def pop(lib):
        s = lib.nn.Sequential(*layers(lib))
        return [s.pop(1), s]

    def nested(lib):
        return lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Sequential(*layers(lib, 2)))

    def list(lib):
        m = lib.nn.ModuleList(layers(lib))
        m += [lib.nn.ReLU()]
        m.append(lib.nn.Tanh())
        m.insert(1, lib.nn.Flatten())
        del m[0]
        m[0] = lib.nn.Sigmoid()
        return [m, m[1:3], m[-1], len(m), m.pop(0), m, m + m]

    def list_of_equals(lib):
        equals = [lib.nn.ReLU() for _ in range(3)]
        return lib.nn.ModuleList(
            [*equals, lib.nn.Sequential(*layers(lib, 1)), equals[0]]
        )

    def dict(lib):
        m = lib.nn.ModuleDict(
            {"conv": lib.nn.Conv2d(1, 1, 1), "pool": lib.nn.MaxPool2d(2)}
        )
        m["act"] = lib.nn.ReLU()
        m.update([("norm", lib.nn.BatchNorm2d(1)), ("conv", lib.nn.Identity())])
        del m["pool"]
        popped = m.pop("norm")
        other = lib.nn.ModuleDict(m)
        m.clear()
        found = "conv" in other, "pool" in other, list(other.keys()), len(m)
        return [other, popped, found, [type(v).__name__ for v in other.values()]]

    def parameters(lib):
        p = lib.nn.ParameterList([lib.ones(2, 3)])
        p.append(lib.zeros(1)).extend([lib.ones(4)])
        p[0] = lib.nn.Parameter(lib.zeros(5))
        return [p, p[-1], p[1:], len(p), [n for n, _ in p.named_parameters()]]


def described(thing):
    if isinstance(thing, list):
        return [described(t) for t in thing]
    return (
        (repr(thing), list(thing.state_dict())) if hasattr(thing, "forward") else thing
    )


@pytest.mark.parametrize("change", [n for n in vars(Changes) if n[0] != "_"])
def test_a_container_after_a_change_is_the_same_as_pytorchs(agree, change):
    agree(lambda lib: described(getattr(Changes, change)(lib)))


def test_a_sequential_runs_its_modules_in_order():
    double = nn.Linear(1, 1)
    double.load_state_dict({"weight": tg.tensor([[2.0]]), "bias": tg.tensor([1.0])})
    assert nn.Sequential(double, double, nn.Identity())(tg.ones(1)).tolist() == [7]


def test_containers_are_told_apart_by_identity():
    one, other = nn.ModuleDict(), nn.ModuleDict()
    assert one != other and len({one, other}) == 2


def test_a_parameter_list_holds_tensors_only():
    with pytest.raises(TypeError, match="holds Tensors, not str"):
        nn.ParameterList(["a"])
