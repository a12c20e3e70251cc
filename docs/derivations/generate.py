"""What the site shows of an operation, made from its class: `section(name)`.

`python docs/derivations/generate.py Conv2d` prints it, as Markdown. The pages beside this
file say which operations stand where; `operations(page)` reads that out of one.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from functools import cache
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from derivations.prose import Prose, names

from tinygrad_cnn.ops import Op, registry

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DIRECTIVE = re.compile(r"^## (\w+)\n\n```\{derivation\} (\w+)\n```$", re.MULTILINE)


def operations(page: Path) -> list[str]:
    """The operations on a page, each under a heading of its name, in order."""
    found = DIRECTIVE.findall(page.read_text("utf-8"))
    assert all(heading == name for heading, name in found), page
    return [name for _, name in found]


@cache
def pages() -> dict[str, str]:
    """The file name of the page that an operation is on."""
    files = sorted(HERE.glob("*.md"))
    return {name: page.name for page in files for name in operations(page)}


def section(name: str) -> str:
    """The derivation of an operation as Markdown."""
    op = registry[name]
    return f"{facts(op)}\n\n{Prose(names(op), link).docstring(op)}\n"


def introduction(module: str) -> str:
    """What the docstring of a file of operations says of all of them, as Markdown."""
    text = inspect.cleandoc(sys.modules[f"tinygrad_cnn.ops.{module}"].__doc__ or "")
    return Prose({"axis", *registry}, link).text(text)


def facts(op: type[Op]) -> str:
    """How the operation is applied, what has a gradient, and where it stands."""
    fields = dataclasses.fields(op) if dataclasses.is_dataclass(op) else ()
    settings = ", ".join(map(_setting, fields))
    inputs = ("*" if op.variadic else "") + ", ".join(op.inputs)
    said = [f"`{op.__name__}({settings})({inputs})`"]
    without = [f"`{x}`" for x in op.inputs if x not in op.rules]
    said += [f"no gradient for {' and '.join(without)}"] if without else []
    said += ["its inputs broadcast"] if op.broadcasts else []
    said += ["the result may be a view"] if op.view else []
    name, address = place(op)
    return f"{'; '.join(said)} – [{name}]({address})"


def _setting(field: dataclasses.Field[object]) -> str:
    default = field.default is dataclasses.MISSING
    return field.name if default else f"{field.name}={field.default!r}"


def place(op: type[Op]) -> tuple[str, str]:
    """The file of an operation, and the address of its first line."""
    path = Path(inspect.getsourcefile(op) or "").resolve().relative_to(ROOT)
    _, line = inspect.getsourcelines(op)
    return f"{path.parent.name}/{path.name}", f"path:../../{path.as_posix()}#L{line}"


def link(name: str) -> str:
    """The address of an operation's section, from another page of this folder."""
    return f"{pages()[name]}#{name.lower()}"


if __name__ == "__main__":
    for asked in sys.argv[1:] or registry:
        print(f"## {asked}\n\n{section(asked)}")
