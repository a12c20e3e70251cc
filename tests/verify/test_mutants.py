"""The checker is checked: every wrong rule of the catalogue is found, no right one is."""

import json
from dataclasses import replace

import numpy as np
import pytest
from each import for_each

from tinygrad_cnn.ops.activation import ReLU
from tinygrad_cnn.ops.base import Op, registry
from tinygrad_cnn.verify import mutants, verify

REGISTERED = dict(registry)
RULES = {name: dict(op.rules) for name, op in registry.items()}


@pytest.fixture
def applied(monkeypatch):
    """A list that grows with each operation applied."""
    names, apply = [], Op.__call__

    def counted(self, *inputs):
        names.append(type(self).__name__)
        return apply(self, *inputs)

    monkeypatch.setattr(Op, "__call__", counted)
    return names


def test_the_catalogue_is_wide():
    catalogue = mutants.CATALOGUE
    assert len(catalogue) >= 100
    assert len({m.name for m in catalogue}) == len(catalogue)
    assert len({m.family for m in catalogue}) >= 8
    assert len({m.kind for m in catalogue}) >= 25
    assert len({type(m.example.op) for m in catalogue}) >= 35
    assert sum(m.order == 2 for m in catalogue) >= 5


@pytest.mark.slow
def test_every_mutant_is_killed_and_named_and_no_right_rule_is_called_wrong():
    """One test, because the whole catalogue is tried only once for all of it."""
    result = mutants.self_test()
    assert [m.name for m in result.mutants if not m.killed] == []
    assert result.rules >= 90
    assert list(result.alarms) == []
    assert result
    # The mistake that was made is the one that is named. No hypothesis says this: a kept
    # value that is a constant where it should not be.
    unnamed = {m.name: m.sentence for m in result.mutants if not m.named}
    assert unnamed == {"BatchNorm x: the mean outside of the graph (second order)": ""}
    # No sentence is left ambiguous.
    assert [m.sentence for m in result.mutants if "It also equals" in m.sentence] == []
    # Nothing global is changed.
    assert dict(registry) == REGISTERED
    assert {name: dict(op.rules) for name, op in registry.items()} == RULES
    assert_printed(result)


def assert_printed(result):
    """As a table, and as JSON."""
    lines = str(result).splitlines()
    assert len(lines) == 1 + len(mutants.CATALOGUE) + 1
    assert lines[-1] == result.summary
    assert all("yes" in line for line in lines[1:-1])
    n = len(mutants.CATALOGUE)
    assert lines[-1].startswith(
        f"{n} of {n} killed, hypothesis true for {n - 1}, 0 false"
    )
    values = json.loads(result.to_json())
    assert values["right"] is True
    assert values["mutants"][0].keys() >= {
        "name",
        "family",
        "killed",
        "kind",
        "sentence",
    }


def test_a_mutant_takes_a_thousand_applications_of_an_operation_at_most(applied):
    some = mutants.CATALOGUE[::10]
    assert mutants.self_test(some)
    assert 0 < len(applied) < 1000 * len(some)


@for_each("mutant", mutants.CATALOGUE, ids=lambda m: m.name)
def test_a_mutant_computes_the_same_and_differentiates_otherwise(mutant):
    right, wrong = mutant.example.op, mutant.operation()
    assert isinstance(wrong, type(right)) and type(wrong) is not type(right)
    example = mutant.example
    compose = example.compose or (lambda op: op)
    results = (compose(op)(*example.inputs) for op in (right, wrong))
    np.testing.assert_array_equal(*results)
    assert getattr(type(wrong), mutant.part) is not getattr(type(right), mutant.part)


@for_each(
    "mutant", [m for m in mutants.CATALOGUE if m.order == 2], ids=lambda m: m.name
)
def test_a_mistake_of_second_order_hides_at_first_order(mutant):
    inputs = dict(zip(mutant.operation().inputs, mutant.example.inputs, strict=True))
    assert verify(mutant.operation(), inputs)
    assert verify(mutant.example.op, inputs, order=2)
    assert not verify(mutant.operation(), inputs, order=2)


def mutant_of_relu(rule):
    example = mutants.Example(ReLU(), (np.array([0.5, -1.0, 2.0]),))
    first = mutants.CATALOGUE[0]
    return replace(first, example=example, part="grad_x", tensor="x", wrong=rule)


def test_a_mutant_that_is_right_survives_and_the_self_test_fails():
    result = mutants.self_test([mutant_of_relu(ReLU.grad_x)])
    assert not result
    assert "0 of 1 killed" in result.summary
    assert "NO" in str(result)


def test_an_alarm_on_a_right_rule_fails_the_self_test():
    class Wrong(ReLU, register=False):
        def grad_x(self, g):
            return g

    mutant = mutant_of_relu(lambda op, g, y: -g)
    mutant = replace(mutant, example=replace(mutant.example, op=Wrong()))
    result = mutants.self_test([mutant])
    assert not result
    assert "1 false alarms on 1 right rules" in result.summary
    assert "false alarm: Wrong(), x: wrong" in str(result)
