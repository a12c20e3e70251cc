"""From scores to a loss: softmax, log-softmax, negative log-likelihood and its relatives.

Index letters: n image; c, j, k class; p = softmax(x).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..errors import LabelError, ShapeError
from ..kernels import active
from .activation import Sigmoid
from .arithmetic import Exp, Log, Neg
from .base import Elementwise, Inputs, Op, Position, Value, recorded
from .reduction import Sum
from .selection import Abs, Clip, Sign, distance, side
from .words import named, number


class Softmax(Op):
    """y[k] = exp(x[k]) / Σ_j exp(x[j]), along one axis (`numpy-cnn` eq. 4).

    ∂y[c]/∂x[k] = −y[c] y[k] for k ≠ c, y[c] (1 − y[c]) for k = c (`day3` §3.1), so
    ∂L/∂x[k] = Σ_c g[c] y[c] ([c = k] − y[k]) = y[k] (g[k] − Σ_c g[c] y[c]).
    Computed from x − max x, which changes nothing and cannot overflow.
    """

    axis: int
    gives = "probabilities"

    def forward(self, x: Value) -> Value:
        e = np.exp(x - x.max(axis=self.axis, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=self.axis, keepdims=True)

    def grad_x(self, g: Value, y: Value) -> Value:
        return y * (g - Sum((self.axis,), keepdims=True)(g * y))


class LogSoftmax(Op):
    """y[k] = x[k] − ln(Σ_j exp(x[j])), along one axis (`lenet` §5).

    ∂y[c]/∂x[k] = [c = k] − p[k] with p = exp(y), so
    ∂L/∂x[k] = Σ_c g[c] ([c = k] − p[k]) = g[k] − p[k] Σ_c g[c], p being the softmax.
    Computed from x − max x, which changes nothing and cannot overflow.
    """

    axis: int
    takes = "scores"
    gives = "log-probabilities"
    compiled = "log_softmax"
    index_formulas: ClassVar = {"x": "∂L/∂x[k] = Σ_c g[c] · ([c = k] − exp(y[k]))"}

    def forward(self, x: Value) -> Value:
        return active.log_softmax(x, self.axis)

    def grad_x(self, g: Value, y: Value) -> Value:
        if not recorded(g, y):
            return LogSoftmaxInput(self.axis)(g, y)
        return g - Exp()(y) * Sum((self.axis,), keepdims=True)(g)

    def factor(self, inputs: Inputs, i: int, index: Position, at: Position) -> str:
        return ("1 − " if at == index else "−") + named("p", index)

    def remark(self, inputs: Inputs, i: int, index: Position, g: Value) -> str:
        """The gradient of a loss that picks one class."""
        axis = self.axis % g.ndim
        row = np.moveaxis(g, axis, -1)[index[:axis] + index[axis + 1 :]]
        labels = np.flatnonzero(row)
        if len(labels) != 1:
            return ""
        with np.errstate(all="ignore"):
            p = np.exp(self(inputs[0])[index])
        label, name = int(labels[0]), named("p", index)
        gap = f"({name} − 1)" if label == index[axis] else name
        return (
            f"g is 0 but for class {label}, so "
            f"∂L/∂x = {gap} · {number(-row[label])} with {name} = {number(p)}"
        )


class LogSoftmaxInput(Op, register=False):
    """∂L/∂x of `LogSoftmax` in one kernel, without a gradient of its own."""

    axis: int
    compiled = "log_softmax_input"

    def forward(self, g: Value, y: Value) -> Value:
        return active.log_softmax_input(g, y, self.axis)


class NLLLoss(Op):
    """y = −Σ_n weight[target[n]] · x[n, target[n]] / S, S = Σ weight[target], 1 for a sum.

    For "none" there is no Σ either, but one y[n] and g[n] each.
    x (N, C, …) log-probabilities, target (N, …) integers in 0 … C − 1 or `ignore_index`
    (which count neither above nor below), weight (C) or None (all 1). `numpy-cnn` eq. 5;
    the mean divides by N when unweighted.
    ∂L/∂x[n,k] = −g · weight[k] / S where k = target[n], else 0,
    S = Σ weight[target], 1 for a sum: Place. Behind a log-softmax that gives
    (p − onehot(target)) / N for the logits (`lenet` §5).
    """

    reduction: str = "mean"
    flat_slope = True
    ignore_index: int = -100
    constant = ("target", "weight")
    keeps = ("scale", "label")
    takes = "log-probabilities"
    compiled = "nll_loss"
    index_formulas: ClassVar = {
        "y": "y = Σ_n scale[n] · x[n, label[n]]",
        "x": "∂L/∂x[n,k] = g · scale[n] · [k = label[n]]",
    }

    def forward(self, x: Value, target: Value, weight: Value) -> tuple[Value, ...]:
        if weight is None and self.plain(x, target):
            found: tuple[Value, ...] | None = active.mean_nll(x, target)
            if found is not None:
                return found
        counted, label = self._labels(x, target)
        if weight is not None and weight.shape != x.shape[1:2]:
            raise ShapeError(
                f"weight tensor should be defined for all {x.shape[1]} classes, one each; "
                f"got {list(weight.shape)}"
            )
        w = np.ones(x.shape[1], x.dtype) if weight is None else weight
        w = w[label] * counted.astype(x.dtype)
        losses = -w * np.where(counted, Pick()(x, label), 0)
        if self.reduction == "mean":
            total = w.sum()
            return losses.sum() / total, np.where(counted, -w / total, 0), label
        return losses if self.reduction == "none" else losses.sum(), -w, label

    def grad_x(self, g: Value, scale: Value, label: Value, x_shape: Any) -> Value:
        return Place(x_shape[1])(g * scale, label)

    def note(self, inputs: Inputs, i: int, index: Position, at: Position) -> str:
        n, _, *rest = index
        return f"the label of image {n} is {inputs[1][(n, *rest)]}"

    def plain(self, x: Value, target: Value) -> bool:
        """Whether this is a mean over images, in which every label has to be a class."""
        if self.reduction != "mean" or x.ndim != 2 or target.shape != x.shape[:1]:
            return False
        return target.dtype.kind in "iu" and not 0 <= self.ignore_index < x.shape[1]

    def _labels(self, x: Value, target: Value) -> tuple[Value, Value]:
        """Which targets count, and all of them as indices that exist."""
        if x.ndim < 2 or target.shape != (x.shape[0], *x.shape[2:]):
            raise ShapeError(
                f"nll_loss takes scores (N, C, …) and one label each, (N, …); "
                f"got {list(x.shape)} and {list(target.shape)}"
            )
        if target.dtype.kind not in "iu":
            raise LabelError(
                f"labels must be integers (class indices), got {target.dtype}"
            )
        counted = target != self.ignore_index
        classes = x.shape[1]
        wrong = counted & ((target < 0) | (target >= classes))
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise LabelError(
                f"Target {int(target[at])} is out of bounds: label {list(at)} must be in "
                f"0 … {classes - 1} for {classes} classes"
            )
        return counted, np.where(counted, target, 0)


class Pick(Op):
    """y[n,…] = x[n, label[n,…], …]: one class of each.

    ∂L/∂x[n,k,…] = g[n,…] where k = label[n,…], else 0: Place.
    """

    constant = ("label",)

    def forward(self, x: Value, label: Value) -> Value:
        return np.take_along_axis(x, label[:, None], axis=1)[:, 0]

    def grad_x(self, g: Value, label: Value, x_shape: tuple[int, ...]) -> Value:
        return Place(x_shape[1])(g, label)


class Place(Op):
    """y[n,k,…] = x[n,…] where k = label[n,…], else 0.

    ∂L/∂x[n,…] = g[n, label[n,…], …]: Pick.
    """

    classes: int
    constant = ("label",)
    compiled = "place"

    def forward(self, x: Value, label: Value) -> Value:
        return active.place(x, label, self.classes)

    def grad_x(self, g: Value, label: Value) -> Value:
        return Pick()(g, label)


class SquaredError(Elementwise):
    """y = (a − b)²: its mean is the MSE (`lenet`).

    ∂L/∂a = 2 g (a − b),   ∂L/∂b = 2 g (b − a).
    """

    def forward(self, a: Value, b: Value) -> Value:
        d = a - b
        return d * d

    def grad_a(self, g: Value, a: Value, b: Value) -> Value:
        return 2 * g * (a - b)

    def grad_b(self, g: Value, a: Value, b: Value) -> Value:
        return 2 * g * (b - a)


class AbsoluteError(Elementwise):
    """y = |a − b|.   ∂L/∂a = g · sign(a − b),   ∂L/∂b = g · sign(b − a); 0 where a = b."""

    def forward(self, a: Value, b: Value) -> Value:
        return np.abs(a - b)

    def grad_a(self, g: Value, a: Value, b: Value) -> Value:
        return g * Sign()(a - b)

    def grad_b(self, g: Value, a: Value, b: Value) -> Value:
        return g * Sign()(b - a)

    def branch(self, a: Value, b: Value) -> Value:
        return np.sign(a - b).astype(np.int8)

    def margin(self, y: Value) -> Value:
        return y


class Huber(Elementwise):
    """y = d² / 2 where |d| ≤ delta, else delta (|d| − delta / 2), where d = a − b.

    Its slope is d, held between −delta and delta:
    ∂L/∂a = g · min(max(d, −delta), delta),   ∂L/∂b = −g · min(max(d, −delta), delta).
    """

    delta: float = 1.0

    def forward(self, a: Value, b: Value) -> Value:
        d = np.abs(a - b)
        near = np.minimum(d, self.delta)
        return near * (d - near / 2)

    def grad_a(self, g: Value, a: Value, b: Value) -> Value:
        return g * Clip(-self.delta, self.delta)(a - b)

    def grad_b(self, g: Value, a: Value, b: Value) -> Value:
        return g * Clip(-self.delta, self.delta)(b - a)

    def branch(self, a: Value, b: Value) -> Value:
        return side(a - b, -self.delta, self.delta)

    def margin(self, a: Value, b: Value) -> Value:
        return distance(a - b, -self.delta, self.delta)


class BinaryCrossEntropy(Elementwise):
    """y = −t ln x − (1 − t) ln(1 − x), for probabilities x and targets t.

    A logarithm below −100 counts as −100, so that y is finite. By the quotient rule
    ∂L/∂x = g · (x − t) / (x (1 − x)), the divisor being 1e-12 at least;
    ∂L/∂t = g · (ln(1 − x) − ln x).
    """

    takes = "probability"

    def forward(self, x: Value, t: Value) -> Value:
        log, other = (np.maximum(np.log(v), -100) for v in (x, 1 - x))
        return -t * log - (1 - t) * other

    def grad_x(self, g: Value, x: Value, t: Value) -> Value:
        return g * ((x - t) / Clip(1e-12, None)(x * (1 - x)))

    def grad_t(self, g: Value, x: Value) -> Value:
        return g * (Log()(1 - x) - Log()(x))


class LogisticLoss(Elementwise):
    """y = −q t ln σ(x) − (1 − t) ln(1 − σ(x)), for logits x, targets t, positive weight q.

    With −ln σ(x) = ln(1 + e⁻ˣ) and −ln(1 − σ(x)) = x + ln(1 + e⁻ˣ):
    y = (1 − t) x + (1 + (q − 1) t) ln(1 + e⁻ˣ), where
    ln(1 + e⁻ˣ) = ln(1 + e^−|x|) + max(−x, 0) cannot overflow.
    ∂L/∂x = g · ((1 − t) − (1 + (q − 1) t) (1 − σ(x))); for q = 1 that is g · (σ(x) − t).
    ∂L/∂t = g · ((q − 1) ln(1 + e⁻ˣ) − x).
    """

    constant = ("q",)
    takes = "logits"

    def forward(self, x: Value, t: Value, q: Value) -> Value:
        softplus = np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)
        return (1 - t) * x + (1 + (q - 1) * t) * softplus

    def grad_x(self, g: Value, x: Value, t: Value, q: Value) -> Value:
        return g * ((1 - t) - (1 + (q - 1) * t) * (1 - Sigmoid()(x)))

    def grad_t(self, g: Value, x: Value, q: Value) -> Value:
        softplus = Neg()(Log()(Sigmoid()(Abs()(x)))) + (Abs()(x) - x) * 0.5
        return g * ((q - 1) * softplus - x)
