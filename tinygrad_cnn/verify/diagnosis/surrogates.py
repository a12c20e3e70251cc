"""Gradients that stand in for a derivative that is zero: of rounding, of a sign."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..difference import with_values
from ..subject import Array
from .evidence import Evidence, Hypothesis


def surrogates(e: Evidence) -> Iterator[Hypothesis]:
    """What people let pass where the output moves in steps: g, or a part of it."""
    if e.output.shape != e.shape or e.contributions.any() or not _moves(e):
        return
    steps = "though the output moves in steps, so that its derivative is zero"
    purpose = "on purpose not the derivative, if that was meant"
    text = f"g itself, {steps}: a straight-through estimator, {purpose}"
    yield Hypothesis("straight-through", text, e.cotangent)
    passed = e.claim != 0
    if not passed.any():
        return
    factors = e.claim / e.cotangent
    if not passed.all():
        yield _clipped(e, passed, steps, purpose)
    if factors.min() >= 0 and factors[passed].min() < factors.max() * (1 - e.tolerance):
        most = float(factors.max())
        text = f"g times a factor from {factors.min():.4g} to {most:.4g}, {steps}: the"
        text += f" slope of a smooth function in its place, a surrogate, {purpose}"
        yield Hypothesis("surrogate", text, e.claim)


def _clipped(e: Evidence, passed: Array, steps: str, purpose: str) -> Hypothesis:
    low, high = float(e.x[passed].min()), float(e.x[passed].max())
    window = (e.x >= low) & (e.x <= high)
    text = (
        f"g where {e.name} is from {low:.4g} to {high:.4g} and zero elsewhere, {steps}: "
        f"a straight-through estimator that is clipped, {purpose}"
    )
    return Hypothesis("clipped", text, np.where(window, e.cotangent, 0.0))


def _moves(e: Evidence) -> bool:
    """Whether the output is another one when all entries move far."""
    far: Array = e.x + 1.7 * (1 + np.abs(e.x).max(initial=0))
    run = with_values(e.x, slice(None), far.reshape(-1), e.subject.run)
    return not np.array_equal(run.row, e.output.reshape(-1), equal_nan=True)
