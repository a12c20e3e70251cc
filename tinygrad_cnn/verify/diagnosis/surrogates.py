"""Gradients that stand in for a derivative that is zero: of rounding, of a sign."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..difference import with_values
from ..subject import Array
from .evidence import Evidence, Hypothesis


def surrogates(e: Evidence) -> Iterator[Hypothesis]:
    """What people let pass where the output moves in steps: g, or g in a window."""
    if e.output.shape != e.shape or e.contributions.any() or not _moves(e):
        return
    steps = "though the output moves in steps, so that its derivative is zero"
    purpose = "on purpose not the derivative, if that was meant"
    text = f"g itself, {steps}: a straight-through estimator, {purpose}"
    yield Hypothesis("straight-through", text, e.cotangent)
    passed = e.claim != 0
    if not passed.any() or passed.all():
        return
    low, high = float(e.x[passed].min()), float(e.x[passed].max())
    window = (e.x >= low) & (e.x <= high)
    text = (
        f"g where {e.name} is from {low:.4g} to {high:.4g} and zero elsewhere, {steps}: "
        f"a straight-through estimator that is clipped, {purpose}"
    )
    yield Hypothesis("straight-through", text, np.where(window, e.cotangent, 0.0))


def _moves(e: Evidence) -> bool:
    """Whether the output is another one when all entries move far."""
    far: Array = e.x + 1.7 * (1 + np.abs(e.x).max(initial=0))
    run = with_values(e.x, slice(None), far.reshape(-1), e.subject.run)
    return not np.array_equal(run.row, e.output.reshape(-1), equal_nan=True)
