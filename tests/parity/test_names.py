"""What carries a PyTorch name takes PyTorch's arguments: names, order and defaults."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest

import tinygrad_cnn

torch = pytest.importorskip("torch")

PLACES = (
    *("", ".nn", ".nn.functional", ".nn.init", ".nn.utils", ".optim"),
    *(".optim.lr_scheduler", ".autograd", ".utils.data"),
)

EXCEPTIONS = {
    "enable_grad": "one function here, for context and decorator",
    "no_grad": "one function here, for context and decorator",
    "_forward_unimplemented": "the stub that models replace by their `forward`",
    "load": "there is no pickle and no memory map, and weights_only is always true",
    "save": "there is no pickle",
    "DataLoader": "`seed` is ours: the order of an epoch is a function of it",
    "Module": "PyTorch's takes any arguments in order to refuse them",
    "Module.state_dict": "PyTorch's positional arguments are deprecated",
    "backward": "grad_variables is deprecated",
    "Hardtanh": "min_value and max_value are deprecated",
    "ModuleDict.pop": "a default is allowed, as of any dict",
    "ModuleDict.update": "items as keywords are allowed, as of any dict",
    "random_split": "the default is each library's own generator",
    "autocast": "`torch.cuda.amp` has the device as its default; it is one class here",
    "compile": "takes any options, since all do nothing",
    **dict.fromkeys(
        ("Transformer", "TransformerDecoderLayer", "TransformerEncoderLayer"),
        "the usual activation is each library's own relu",
    ),
    **dict.fromkeys(
        (
            f"{kind}.{method}"
            for kind in ("Sequential", "ModuleList", "ParameterList")
            for method in ("append", "extend", "insert", "pop")
            if kind != "ParameterList" or method in ("append", "extend")
        ),
        "the containers share one implementation, called by position",
    ),
}
"""Names whose arguments differ on purpose, and why."""


def public(module):
    """The names that a module offers: `__all__`, or else what it defines."""
    if hasattr(module, "__all__"):
        return module.__all__
    defined = {n: getattr(v, "__module__", "") for n, v in vars(module).items()}
    return [n for n, m in defined.items() if n[0] != "_" and m == module.__name__]


def shared(place):
    """(name, ours, theirs) for each function, class and method that both have."""
    ours, theirs = (
        importlib.import_module(root + place) for root in ("tinygrad_cnn", "torch")
    )
    for name in public(ours):
        pair = getattr(ours, name), getattr(theirs, name, None)
        if all(map(callable, pair)):
            yield name, *pair
        if all(map(inspect.isclass, pair)):
            for method in (m for m in dir(pair[0]) if not m.startswith("_")):
                twins = [getattr(kind, method, None) for kind in pair]
                if all(map(inspect.isfunction, twins)):
                    yield twins[1].__qualname__, *twins


def arguments(function):
    """(name, default) of each parameter but `out`; None where Python cannot tell."""
    try:
        given = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = [(stars.get(p.kind, p.name), p.default) for p in given if p.name != "out"]
    return None if [name for name, _ in found] == ["*", "**"] else found


@pytest.mark.parametrize("place", PLACES)
def test_arguments_are_those_of_pytorch(place):
    differing = {}
    for name, ours, theirs in shared(place):
        both = arguments(ours), arguments(theirs)
        if None not in both and both[0] != both[1] and name not in EXCEPTIONS:
            differing[name] = both
    assert differing == {}


def test_functions_call_their_tensor_input():
    """PyTorch's functions in C have no signature, but their documentation has one."""
    differing = []
    for name in tinygrad_cnn.__all__:
        documented = re.match(
            rf"{name}\(input\b", (getattr(torch, name, 0).__doc__ or "").strip()
        )
        if documented and arguments(getattr(tinygrad_cnn, name))[0][0] != "input":
            differing.append(name)
    assert differing == []


def test_one_import_reaches_every_submodule():
    """In a process of its own, since any other import makes a submodule reachable."""
    names = "; ".join(f"torch{place}" for place in PLACES)
    program = f"import tinygrad_cnn as torch; {names}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_exception_is_needed():
    differing = {
        name
        for place in PLACES
        for name, ours, theirs in shared(place)
        if arguments(ours) != arguments(theirs)
    }
    assert set(EXCEPTIONS) <= differing
