"""Softmax, cross-entropy and normalisation with another array, another axis, or an ε."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis
from .terms import Family, coefficients, labels_of, normalisations, softmax


def softmaxes(e: Evidence) -> Iterator[Hypothesis]:
    """p (g − Σ g p) with another array for one of the p, or another axis."""
    y, g = e.output, e.cotangent
    if y.shape != e.shape or not y.ndim:
        return
    axes = range(y.ndim)
    for axis in [a for a in axes if np.allclose(y.sum(a), 1) and np.all(y >= 0)]:
        known = {
            "p": y,
            e.name: e.x,
            f"exp({e.name})": np.exp(e.x),
            "1": np.ones(y.shape),
        }
        for three in product(known, repeat=3):
            a, b, c = [known[t] for t in three]
            wrong = next((t for t in three if t != "p"), None)
            if wrong is not None:
                text = (
                    f"{three[0]} g − {three[1]} Σ g {three[2]}: {wrong} stands where p"
                )
                d = a * g - b * np.sum(g * c, axis, keepdims=True)
                yield Hypothesis("wrong operand", f"{text} belongs", d)
        for over in [*[a for a in axes if a != axis], None] if y.ndim > 1 else []:
            wrong = "all axes" if over is None else f"axis {over}"
            text = f"p (g − Σ g p), its sum over {wrong}"
            d = y * (g - np.sum(g * y, over, keepdims=True))
            yield Hypothesis("wrong axis", f"{text} where axis {axis} belongs", d)
        for text, d in (("p − g", y - g), ("g − p", g - y)):
            text += ": g is taken for the labels, as if a cross-entropy came after"
            yield Hypothesis("label term", text, d)
        for over in [a for a in axes if a != axis]:
            p = softmax(e.x, over)
            d = p * (g - np.sum(g * p, over, keepdims=True))
            text = f"the gradient of a softmax along axis {over}, and here it is along"
            yield Hypothesis("wrong axis", f"{text} axis {axis}", d)


def cross_entropies(e: Evidence) -> Iterator[Hypothesis]:
    """s (p − y) with other labels, or with something else for p."""
    if e.x.ndim != 2 or e.output.shape not in ((), e.shape[:1]) or len(e.x) < 2:
        return
    p, y = softmax(e.x, 1), labels_of(e)
    scale = _scale(e.true, p - y)
    if not e.agree(scale * (p - y), e.true):
        return
    rows = np.isin(np.arange(len(y)), y.argmax(axis=1))[:, None]
    what = "the cross-entropy gradient p − y, with p = softmax(x), but"
    for text, labels in (
        (
            "1 is subtracted in all columns of the batch's labels, p[:, y] −= 1",
            y.max(0),
        ),
        (
            "1 is subtracted in all of the rows that the labels name, p[y] −= 1",
            rows,
        ),
        ("the labels are one too high", np.roll(y, 1, 1)),
        ("the labels are one too low", np.roll(y, -1, 1)),
        ("the labels are those of the image before", np.roll(y, 1, 0)),
        ("the labels are in reversed order", y[::-1]),
        ("y is added, not subtracted", -y),
        ("the 1 of the correct class is in the place of all", 1.0),
    ):
        yield Hypothesis("label term", f"{what} {text}", scale * (p - labels))
    for t, values in {
        "x": e.x,
        "exp(x)": np.exp(e.x),
        "log p": np.log(p),
        "softmax along axis 0": softmax(e.x, 0),
        "σ(x)": 1 / (1 + np.exp(-e.x)),
        "p²": p * p,
    }.items():
        text = f"{t} − y, where p − y with p = softmax(x) belongs"
        yield Hypothesis("wrong operand", text, scale * (values - y))
    text = "−y / p: the derivative of −log p, and that of the softmax is missing"
    yield Hypothesis("derivative missing", text, -scale * y / p)


def _scale(gradient: Array, direction: Array) -> Array:
    """In each row, the multiple of the direction that the gradient is, if it is one."""
    products = np.sum(gradient * direction, axis=1, keepdims=True)
    return np.asarray(products / np.sum(direction**2, axis=1, keepdims=True))


def epsilons(e: Evidence) -> Iterator[Hypothesis]:
    """The ε in forward's log(p + ε) that backward leaves out, where that is all."""
    if e.x.ndim != 2 or e.output.shape not in ((), e.shape[:1]) or not e.is_complete:
        return
    p, y = softmax(e.x, 1), labels_of(e)
    claimed, true = _scale(e.claim, p - y), _scale(e.true, p - y)
    exact = np.allclose(claimed * (p - y), e.claim, 1e-8, 1e-12)
    near = np.allclose(true * (p - y), e.true, 1e-5, 1e-5 * np.abs(e.true).max())
    if not exact or not near:
        return
    # true = claimed · p_c / (p_c + ε)
    each = (claimed / true - 1)[:, 0] * np.sum(p * y, axis=1)
    size = float(np.median(each))
    error = float(np.max(np.abs(e.claim - e.true)) / np.max(np.abs(e.true)))
    if 0 < size < 0.1 and np.all(np.abs(each - size) < 0.05 * size + 1e-9):
        text = "exactly that of −log p, and forward computes −log(p + ε) with ε = "
        text += f"{size:.1g}: a tiny difference, {error:.0e} of the largest entry"
        yield Hypothesis("epsilon", text, e.claim)


def other_axes(e: Evidence) -> Iterator[Hypothesis]:
    """A normalisation's gradient over other axes than forward's, or with such means."""
    if e.output.shape != e.shape or not e.is_complete:
        return
    known = [(over, f) for over, f in normalisations(e) if "mean of g" in f.terms]
    fitting = [(over, f) for over, f in known if coefficients(e, f, e.true) is not None]
    if not fitting:
        return
    right, family = fitting[0]
    g, forwards = family.terms["g"], f"axis {_listed(right)}"
    for over, other in known:
        # groups within forward's would fit whatever means are taken
        if not set(over) <= set(right) and _has_means(
            e, other, g.mean(over, keepdims=True)
        ):
            text = (
                f"{family.what} over axis {_listed(over)}, and forward normalises over"
            )
            yield Hypothesis("wrong axis", f"{text} {forwards}", e.claim)
    rest = [axis for axis in range(e.x.ndim) if axis not in right]
    for more in [c for n in range(len(rest)) for c in combinations(rest, n + 1)]:
        over = tuple(sorted((*right, *more)))
        if _has_means(e, family, g.mean(over, keepdims=True)):
            text = (
                f"{family.what}, its means taken over axis {_listed(over)}, and forward"
            )
            yield Hypothesis(
                "wrong axis", f"{text} normalises over {forwards}", e.claim
            )


def _has_means(e: Evidence, family: Family, means: Array) -> bool:
    """Whether the claim is a (g − this mean) + c x̂ in each group."""
    found = coefficients(e, family, e.claim)
    if found is None:
        return False
    numbers, first, counts = np.unique(
        family.groups, return_index=True, return_counts=True
    )
    first = first[(numbers >= 0) & (counts > len(family.terms))]
    expected = -found[:, 0] * np.broadcast_to(means, e.shape).reshape(-1)[first]
    room = 1e-4 * np.abs(found[:, :2]).max()
    return bool(np.all(np.abs(found[:, 1] - expected) < room))


def _listed(axes: tuple[int, ...]) -> str:
    return " and ".join(map(str, axes))
