"""Gradients that are a sum of known terms, one of which is missing or wrong.

Softmax and normalisation couple values: the gradient is, group by group, a combination of a
few known arrays. Where the true gradient is such a combination, so may the claim be, and
the term whose coefficient differs is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis
from .factoring import meaning, quantities


class Family(NamedTuple):
    """true = Σ coefficient · term in each group, the coefficients being the group's own.

    groups: a number for each entry, −1 for none. without: where they say more than its
    name, the kind and the words for the gradient without these terms (by their places).
    """

    what: str
    groups: Array
    terms: dict[str, Array]
    without: dict[tuple[int, ...], tuple[str, str]]


def terms(e: Evidence) -> Iterator[Hypothesis]:
    """The claim as the same sum with one term missing, turned or multiplied."""
    for family in _families(e):
        true = coefficients(e, family, e.true)
        if true is None:
            continue
        sizes = np.abs(true) * [np.abs(t).max() for t in family.terms.values()]
        telling = np.all(sizes > 1e-5 * sizes.max(), axis=1)
        if telling.any():
            claimed = coefficients(e, family, e.claim)
            if claimed is not None:
                shares = claimed[telling] / true[telling]
                yield from _compare(e, family, shares)
                yield from _compare_scales(e, family, shares, telling)
            return  # the families that follow are wider


def _compare(e: Evidence, family: Family, shares: Array) -> Iterator[Hypothesis]:
    """What the claim has of each term (1: as it should be; by group and term)."""
    absent = np.all(np.abs(shares) < 1e-4, axis=0)
    same = np.all(np.abs(shares - 1) < 1e-4, axis=0)
    missing = tuple(np.flatnonzero(absent).tolist())
    changed = int(np.argmin(same))
    name, share = list(family.terms)[changed], shares[:, changed]
    if missing in family.without or len(missing) == 1:
        default = "term", f"without the term {list(family.terms)[missing[0]]}"
        kind, text = family.without.get(missing, default)
        text += "" if np.all(absent | same) else ", and with another factor"
    elif (~same).sum() != 1:
        return
    elif np.ptp(share) > 1e-4 * np.abs(share).max():
        kind, text = "term", f"with a wrong factor in the term {name}"
    elif abs(share[0] + 1) < 1e-4:
        kind, text = "sign of a term", f"with the wrong sign before the term {name}"
    else:
        factor = meaning(e, float(share[0]))
        kind, text = "factor of a term", f"with the term {name} multiplied by {factor}"
    yield Hypothesis(kind, f"{family.what} {text}", e.claim)


def _compare_scales(
    e: Evidence, family: Family, shares: Array, telling: Array
) -> Iterator[Hypothesis]:
    """Whether all terms of a normalisation lack its factor 1 / σ, or have it twice."""
    centred = family.terms.get("x̂ · mean of g x̂")
    scale = np.abs(shares).max()
    if centred is None or np.ptp(shares, axis=1).max() > 1e-4 * scale:
        return
    numbers, counts = np.unique(family.groups[~np.isnan(e.true)], return_counts=True)
    numbers = numbers[(numbers >= 0) & (counts > len(family.terms))][telling]
    sizes = np.array([centred[family.groups == n].std() for n in numbers])
    for kind, text, values in (
        ("missing factor", "without its factor 1 / σ", sizes),
        ("extra factor", "with its factor 1 / σ twice", 1 / sizes),
        ("inverted factor", "times σ where it is to be divided by it", sizes**2),
    ):
        if np.ptp(sizes) > 0 and np.allclose(shares[:, 0], values, 1e-3):
            yield Hypothesis(kind, f"{family.what} {text}", e.claim)


def coefficients(e: Evidence, family: Family, gradient: Array) -> Array | None:
    """The combination of the terms in each group, if the gradient is one."""
    known = ~np.isnan(e.true)
    groups, wanted = family.groups[known], gradient[known]
    terms = np.stack([term[known] for term in family.terms.values()], axis=1)
    found = []
    for group, size in zip(*np.unique(groups, return_counts=True), strict=True):
        at = groups == group
        if group < 0 or size <= len(family.terms):
            continue
        solution, *_ = np.linalg.lstsq(terms[at], wanted[at], rcond=None)
        if not np.all(e.close(terms[at] @ solution, wanted[at])):
            return None
        found.append(solution)
    return np.array(found) if found else None


def _families(e: Evidence) -> Iterator[Family]:
    if e.output.shape == e.shape:
        yield from _couplings(e)
    if e.x.ndim >= 2 and e.output.shape in ((), e.shape[:1]):
        yield from _cross_entropy(e)
    if e.output.size < e.x.size and np.all(e.touched.sum(axis=1) == 1):
        groups = np.full(e.shape, -1)
        groups.reshape(-1)[e.entries] = e.touched.argmax(axis=1)
        yield Family(
            "the true gradient",
            groups,
            {"x": e.x, "mean of x": np.ones(e.shape)},
            {(1,): ("mean term", "without the mean that is subtracted from x")},
        )


def _couplings(e: Evidence) -> Iterator[Family]:
    g, y, ndim = e.cotangent, e.output, e.x.ndim
    for axis in range(ndim):
        groups = _groups(e.shape, [axis])
        if np.allclose(y.sum(axis=axis), 1) and np.all(y >= 0):
            yield Family(
                "the softmax gradient p (g − Σ g p)",
                groups,
                {"p g": g * y, "p Σ g p": y},
                {(1,): ("softmax mean", "without the mean Σ g p")},
            )
        if np.allclose(np.exp(y).sum(axis=axis), 1):
            yield Family(
                "the log-softmax gradient g − p Σ g",
                groups,
                {"g": g, "p Σ g": np.exp(y)},
                {(1,): ("softmax mean", "without the term p Σ g")},
            )
    for _, family in normalisations(e):
        yield family


def normalisations(e: Evidence) -> Iterator[tuple[tuple[int, ...], Family]]:
    """x / |x| and (x − μ) / σ, g being multiplied by γ: the axes that they sum over."""
    ndim = e.x.ndim
    axes = [[1], [0], [0, 1], list(range(ndim - 1))] if ndim >= 2 else [[]]
    scales = [np.ones(e.shape), *quantities(e, e.shape).values()]
    for fixed, scale in product(dict.fromkeys(map(tuple, axes)), scales):
        over = tuple([axis for axis in range(ndim) if axis not in fixed])
        for family in _normalisations(e, over, e.cotangent * scale):
            yield over, family


def _normalisations(e: Evidence, over: tuple[int, ...], g: Array) -> Iterator[Family]:
    """Both over these axes; g is multiplied by γ already."""
    groups = _groups(e.shape, over)
    centred = e.x - e.x.mean(axis=over, keepdims=True)
    constant = "taken as a constant, and it depends on x"
    yield Family(
        "the gradient of x / |x|",
        groups,
        {"g": g, "x̂ Σ g x̂": e.x},
        {(1,): ("norm term", f"with the length {constant}")},
    )
    yield Family(
        "the gradient of the normalisation",
        groups,
        {"g": g, "mean of g": np.ones(e.shape), "x̂ · mean of g x̂": centred},
        {
            (1,): ("batch mean", f"with the mean {constant}"),
            (2,): ("batch variance", f"with the variance {constant}"),
            (1, 2): (
                "batch statistics",
                "with mean and variance taken as constants, as running statistics are "
                "(those of the batch depend on x)",
            ),
        },
    )


def _cross_entropy(e: Evidence) -> Iterator[Family]:
    """∂L/∂x = s (p − onehot), with s of the row and p = softmax(x) along axis 1."""
    p, onehot = softmax(e.x, 1), labels_of(e)
    yield Family(
        "the cross-entropy gradient p − y, with p = softmax(x),",
        _groups(e.shape, [1]),
        {"p": p, "y, the 1 of the correct class": onehot},
        {(1,): ("label term", "without y: the 1 of the correct class is missing")},
    )


def softmax(x: Array, axis: int) -> Array:
    """exp(x) along an axis, divided by its sum."""
    powers = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def labels_of(e: Evidence) -> Array:
    """The labels of a cross-entropy, one-hot along axis 1, as its true gradient tells."""
    # the correct class has the sign that no other has
    sign = np.sign(np.nansum(np.sign(e.true), axis=1, keepdims=True))
    label = np.argmin(np.nan_to_num(e.true) * sign, axis=1, keepdims=True)
    onehot = np.zeros(e.shape)
    np.put_along_axis(onehot, label, 1.0, axis=1)
    return onehot


def _groups(shape: tuple[int, ...], over: Sequence[int]) -> Array:
    """Numbers the groups of entries that differ only in their index along these axes."""
    sizes = [1 if axis in over else n for axis, n in enumerate(shape)]
    return np.broadcast_to(np.arange(math.prod(sizes)).reshape(sizes), shape)
