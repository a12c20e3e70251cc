"""The public names and their signatures are those of `public_api.txt`, a line each.

A change of the interface is a change of that file, which is seen when it is read:

    python tests/test_public_api.py > tests/public_api.txt
"""

import importlib
import inspect
import re
from pathlib import Path

import tinygrad_cnn

PINNED = Path(__file__).parent / "public_api.txt"
MODULES = """
    . autograd checkpoint data data.transforms errors graph kernels metrics nn
    nn.functional nn.init nn.utils ops ops.base ops.formulas optim optim.lr_scheduler
    planning random training utils.data verify
"""


def public_names(module):
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if name[0] != "_"
        and not inspect.ismodule(value)
        and getattr(value, "__module__", "").startswith("tinygrad_cnn")
        and getattr(value, "__module__", "") == getattr(module, "__name__", "")
    )


def signature(function):
    """Parameters and defaults; annotations may get more exact without a notice."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return "(…)"
    empty = inspect.Parameter.empty
    parameters = [p.replace(annotation=empty) for p in found.parameters.values()]
    text = str(found.replace(parameters=parameters, return_annotation=empty))
    text = re.sub(r"<function (\w+)[^>]*>", r"\1", text)
    return re.sub(r"<([\w.]+) object[^>]*>", lambda m: m[1].rpartition(".")[2], text)


def own_attributes(cls):
    """What a class adds to its public bases, each as (name, value)."""
    bases = [b for b in cls.__mro__[1:] if b.__module__.split(".")[0] != "tinygrad_cnn"]
    bases += [tinygrad_cnn.nn.Module, tinygrad_cnn.optim.Optimizer]
    for name in sorted(dir(cls)):
        value = inspect.getattr_static(cls, name)
        inherited = any(
            base is not cls and inspect.getattr_static(base, name, None) is value
            for base in bases
        )
        if name[0] != "_" and not inherited:
            yield name, value


def described(name, value):
    if inspect.isclass(value):
        yield f"class {name}{signature(value)}"
        for attribute, of_class in own_attributes(value):
            if isinstance(of_class, property):
                yield f"    {attribute}"
            elif isinstance(of_class, classmethod | staticmethod):
                yield f"    {attribute}{signature(of_class.__func__)}"
            elif callable(of_class):
                yield f"    {attribute}{signature(of_class)}"
    elif inspect.ismodule(value):
        yield f"module {name}"
    elif callable(value):
        yield f"{name}{signature(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def public_api():
    for of in MODULES.split():
        path = "tinygrad_cnn" if of == "." else f"tinygrad_cnn.{of}"
        module = tinygrad_cnn
        for part in path.split(".")[1:]:
            module = getattr(module, part, None) or importlib.import_module(path)
        yield f"\n# {path}"
        for name in public_names(module):
            yield from described(name, getattr(module, name))


def test_names_and_signatures_are_those_pinned():
    pinned = PINNED.read_text(encoding="utf-8").splitlines()
    assert "\n".join(public_api()).splitlines() == pinned


if __name__ == "__main__":
    for line in public_api():
        print(line)
