"""What a wrong gradient looks like: hypotheses, tried by numbers until one explains it.

A hypothesis is another combination of the same contributions (only those of the last image;
the last instead of their sum; all without the mask), the true gradient in other places or
times something, or the true gradient of another computation (the kernel rotated, stride 1).
If that equals what the code claims, and differs from what is true, the mistake is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice

import numpy as np

from ..check import Checker
from ..report import Diagnosis, TensorReport
from .alternatives import (
    of_another_tensor,
    of_operation,
    of_other_inputs,
    of_other_pooling,
)
from .composition import PAIRED, two_at_once
from .cotangents import of_other_cotangents, of_shifted_cotangents
from .couplings import cross_entropies, epsilons, other_axes, softmaxes
from .evidence import Evidence, Hypothesis
from .factoring import derivatives, factors, multiples, operands
from .layers import hidden_factors, sums_of_products
from .parts import assignments, loops, masks, outputs, passages
from .places import gaps, misshapen, rearrange, repeat, roll, shift, turn
from .remedy import remedy
from .responses import one_hots
from .surrogates import surrogates
from .terms import terms
from .values import cuts, slopes, sums, thresholds
from .windows import adjoint, moves, own_steps, slopes_of_one

__all__ = ["diagnose"]

Family = Callable[[Evidence], Iterator[Hypothesis]]


def plain(e: Evidence) -> Iterator[Hypothesis]:
    """Zero, or the sign flipped."""
    yield Hypothesis("zero", "zero everywhere", np.zeros(e.shape))
    yield Hypothesis("sign", "the true gradient with the sign flipped", -e.true)


def diagonal(e: Evidence) -> Iterator[Hypothesis]:
    """What each entry does to its own output, without what it does to the others."""
    if e.own.any():
        text = "g times the diagonal of the Jacobian: what each entry does to the other"
        terms = e.contributions * e.own
        yield Hypothesis("diagonal", f"{text} outputs is missing", e.summed(terms))


FAMILIES: tuple[tuple[Family, ...], ...] = (
    (surrogates,),
    (plain,),
    (epsilons,),
    (one_hots,),
    (loops, outputs, terms, partial(rearrange, turn), of_operation),
    (masks, passages, diagonal),
    (assignments,),
    (factors,),
    (operands,),
    (of_another_tensor,),
    (multiples,),
    (derivatives, softmaxes, cross_entropies, other_axes, hidden_factors),
    (of_other_pooling,),
    (sums_of_products,),
    (partial(rearrange, repeat), slopes_of_one, slopes, own_steps),
    (moves,),
    (of_other_cotangents,),
    (gaps, thresholds),
    (cuts,),
    (partial(rearrange, roll),),
    (partial(rearrange, shift),),
    (of_shifted_cotangents,),
    (of_other_inputs,),
    (adjoint,),
    (sums,),
)
"""From the most specific to the vaguest; those of one row are of equal right."""


def diagnose(checker: Checker, report: TensorReport) -> Diagnosis | None:
    """The hypothesis that explains this report's wrong gradient, if one does."""
    name = report.name
    if report.failure is not None:
        return None
    claim = checker.claims[name]
    if claim is None:
        text = (
            f"grad of {name} is never computed: none is returned, or the graph is cut."
        )
        return Diagnosis("never computed", text)
    odd = int((~np.isfinite(claim)).sum())
    if odd:
        text = (
            f"grad of {name} is not finite (inf or NaN) at {odd:,} of its {claim.size:,} "
            "entries: a division by zero, or an overflow."
        )
        return Diagnosis("not finite", text)
    with np.errstate(all="ignore"):
        e = Evidence(checker, report, claim)
        if claim.shape == e.shape:
            found = _find_fitting(e)
        else:
            found = list(islice(chain(misshapen(e), of_another_tensor(e)), 1))
    if not found:
        return None
    text = f"grad of {name} equals {found[0].sentence}."
    if len(found) > 1:
        other = found[1].sentence
        text += f" It also equals {other}; on these inputs both are the same."
    with np.errstate(all="ignore"):
        text = f"{text} {remedy(e)}".rstrip()
    return Diagnosis(found[0].kind, text)


def _find_fitting(e: Evidence) -> list[Hypothesis]:
    """One hypothesis of each kind that explains the claim, of the first row with any."""
    if not e.wrong.any():  # too little for anything but an ε
        return list(epsilons(e))
    tried: list[Hypothesis] = []
    for row in FAMILIES if e.entries.size else ():
        found: dict[str, Hypothesis] = {}
        for hypothesis in (h for family in row for h in family(e)):
            if hypothesis.kind not in found and e.explains(hypothesis.gradient):
                found[hypothesis.kind] = hypothesis
            if e.x.size <= PAIRED:
                tried.append(hypothesis)
        if found:
            return list(found.values())
    return list(islice(two_at_once(e, tried), 1)) if tried else []
