"""The directive `{derivation} Conv2d`: an operation's definition and gradients, set."""

from __future__ import annotations

import inspect

from derivations import generate
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tinygrad_cnn.ops import registry


class Derivation(SphinxDirective):
    """Of an operation; with `module` before its name, what is common to a file of them."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        *of_module, name = self.arguments
        if of_module:
            text = generate.introduction(name)
        elif name in registry:
            self.env.note_dependency(inspect.getsourcefile(registry[name]) or "")
            text = generate.section(name)
        else:
            raise self.error(f"no operation is called {name}")
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("derivation", Derivation)
    return {"parallel_read_safe": True}
