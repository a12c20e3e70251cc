"""The page executes the formulas that it shows, and finds what `explain` finds."""

import json

import numpy as np
import pytest
from each import for_each
from exploring_nets import NETS

from tinygrad_cnn.core.engine import Record
from tinygrad_cnn.verify.explaining.computation import Graph

pytestmark = pytest.mark.browser

ASK = """(numbers) => numbers.map(([name, kind, index]) => {
  const { run, partsOf, largestFirst, sumOf } = explored;
  const node = run.byName.get(name);
  return partsOf(run, { node, kind, index }).map((part) => part.terms && {
    operation: part.operation.name,
    sum: sumOf(part.terms),
    products: largestFirst(part.terms).map((term) => term.product).filter((x) => x !== 0),
  });
})"""

NUMBERS = 40


def drawn(run, rng):
    """Random entries of random arrays: (name, kind, index)."""
    nodes = [node for node in run.nodes if "gradient" in node]
    for _ in range(NUMBERS):
        node = nodes[rng.integers(len(nodes))]
        kind = ["value", "gradient"][rng.integers(2)]
        yield node["name"], kind, [int(rng.integers(n)) for n in node["shape"]]


@for_each("name", NETS)
def test_terms_are_those_of_explain_in_its_order(opened, runs, name):
    loss, run = runs(name)
    graph = Graph(loss, None, None, {})
    recorded = {node["name"]: None for node in run.nodes}
    for one, id in run._walk.ids.items():
        recorded[run.nodes[run._place[id]]["name"]] = one
    asked = list(drawn(run, np.random.default_rng(0)))
    answers = opened(name).view.evaluate(ASK, json.loads(json.dumps(asked)))
    compared = 0
    for (node, kind, index), parts in zip(asked, answers, strict=True):
        one, at = recorded[node], tuple(index)
        if not parts or None in parts:
            continue
        compared += 1
        total = sum([part["sum"] for part in parts])
        if kind == "value":
            value = graph.values[one]._array[at]
            np.testing.assert_allclose(total, value, 1e-5, 1e-6)
            assert isinstance(one, Record)
            continue
        explained = graph.explanation(one, at)
        largest = max([abs(t.product) for t in explained.terms], default=0)
        np.testing.assert_allclose(total, explained.total, 1e-5, 1e-6 * largest)
        assert len(parts) == len(explained.uses)
        for part in parts:
            products = [
                [t.product for t in use.terms if t.product] for use in explained.uses
            ]
            assert any(
                len(found) == len(part["products"])
                and np.allclose(found, part["products"], 1e-5, 1e-6 * largest)
                for found in products
            )
    assert compared >= NUMBERS // 2
