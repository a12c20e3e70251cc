"""The kernels in NumPy: vectorised, one formula each, written to be read.

Images have the shape (N, C, H, W). In memory the batch is the innermost axis wherever a
kernel has the choice (the strides differ, the shape does not): each tap of a window is then
one long contiguous run, and a convolution is one matrix product without a transposition.
NumPy's element-wise functions keep that layout by themselves.

Index letters: n image, c input channel, o output channel, (i, j) output position,
(u, v) kernel tap; s stride, p padding, d dilation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from inspect import isfunction
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .geometry import Pair, Window

Array = np.ndarray[Any, Any]


def _batch_last(x: Array) -> Array:
    """(N, C, H, W) as a contiguous (C, H, W, N)."""
    return np.ascontiguousarray(x.transpose(1, 2, 3, 0))


def _batch_first(x: Array) -> Array:
    """(C, H, W, N) seen as (N, C, H, W)."""
    return x.transpose(3, 0, 1, 2)


def _pad(x: Array, window: Window, positions: Pair, value: float) -> Array:
    """`_batch_last` of x with `value` around it, wherever a window reaches."""
    x = _batch_last(x)
    (py, px), size = window.padding, (x.shape[1], x.shape[2])
    oy, ox = window.overhang(size, positions)
    if not (py or px or oy or ox):
        return x
    c, h, w, n = x.shape
    y = np.full((c, h + 2 * py + oy, w + 2 * px + ox, n), value, x.dtype)
    y[:, py : py + h, px : px + w] = x
    return y


def _taps(window: Window, positions: Pair) -> list[tuple[slice, slice]]:
    """For each tap (u, v), row-major: the rows and columns of the input that it meets."""
    (ky, kx), (sy, sx), (dy, dx) = window.kernel, window.stride, window.dilation
    i, j = positions
    rows = [slice(dy * u, dy * u + sy * (i - 1) + 1, sy) for u in range(ky)]
    columns = [slice(dx * v, dx * v + sx * (j - 1) + 1, sx) for v in range(kx)]
    return [(row, column) for row in rows for column in columns]


def _columns(x: Array, window: Window, positions: Pair, groups: int) -> Array:
    """Row (c, u, v), column (i, j, n): x[n, c, s i + d u − p, s j + d v − p]; per group."""
    x = _pad(x, window, positions, 0)
    c, _, _, n = x.shape
    (ky, kx), (sy, sx), (dy, dx) = window.kernel, window.stride, window.dilation
    i, j = positions
    tc, ty, tx, tn = x.strides
    strides = (tc, dy * ty, dx * tx, sy * ty, sx * tx, tn)
    view = as_strided(x, (c, ky, kx, i, j, n), strides, writeable=False)
    return view.reshape(groups, c // groups * ky * kx, i * j * n)


def conv2d(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    """y[n,o,i,j] = b[o] + Σ_{c,u,v} x[n, c, s i + d u − p, s j + d v − p] · w[o,c,u,v]."""
    n, o = x.shape[0], w.shape[0]
    i, j = positions = window.output_size((x.shape[2], x.shape[3]))
    rows = w.reshape(groups, o // groups, -1)
    y = np.matmul(rows, _columns(x, window, positions, groups)).reshape(o, i, j, n)
    if b is not None:
        y += b[:, None, None, None]
    return _batch_first(y)


def conv2d_input(g: Array, w: Array, size: Pair, window: Window, groups: int) -> Array:
    """The adjoint in x: dx[n,c, s i + d u − p, s j + d v − p] += g[n,o,i,j] w[o,c,u,v]."""
    o, c = w.shape[0], w.shape[1] * groups
    g, rows = _batch_last(g), w.reshape(groups, o // groups, -1).swapaxes(1, 2)
    columns = np.matmul(rows, g.reshape(groups, o // groups, -1))
    columns = columns.reshape(c, w.shape[2] * w.shape[3], *g.shape[1:])
    return _overlap_add(columns.swapaxes(0, 1), c, g, size, window)


def conv2d_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    """The adjoint in w: dw[o,c,u,v] = Σ_{n,i,j} g[n,o,i,j] · x[n, c, s i + d u − p, …]."""
    n, o, i, j = g.shape
    rows = _batch_last(g).reshape(groups, o // groups, i * j * n)
    columns = _columns(x, window, (i, j), groups)
    dw = np.matmul(rows, columns.swapaxes(1, 2))
    return dw.reshape(o, x.shape[1] // groups, *window.kernel)


def _overlap_add(
    parts: Iterable[Array], c: int, g: Array, size: Pair, window: Window
) -> Array:
    """Σ over the taps of parts[tap] (C, i, j, N), each laid back where the tap read.

    g: any such array, for the positions, the images and the dtype.
    """
    (h, w), (py, px), (_, i, j, n) = size, window.padding, g.shape
    oy, ox = window.overhang(size, (i, j))
    y = np.zeros((c, h + 2 * py + oy, w + 2 * px + ox, n), g.dtype)
    for part, (rows, columns) in zip(parts, _taps(window, (i, j)), strict=True):
        y[:, rows, columns] += part
    return _batch_first(y[:, py : py + h, px : px + w])


def max_pool2d(x: Array, window: Window, ceil_mode: bool) -> tuple[Array, Array]:
    """y[n,c,i,j] = max over (u, v) of x[n, c, s i + d u − p, s j + d v − p], and its tap.

    Outside the input lies −∞. The tap u k_x + v is the first maximum in row-major order
    (or the last NaN, which wins), in one byte where the window has at most 256 taps.
    """
    positions = window.output_size((x.shape[2], x.shape[3]), ceil_mode)
    shape = x.shape
    low = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    x = _pad(x, window, positions, low)
    seen = [x[:, rows, columns] for rows, columns in _taps(window, positions)]
    y = seen[0].copy()
    for values in seen[1:]:
        np.maximum(y, values, out=y)
    tap = np.zeros(y.shape, np.uint8 if len(seen) <= 256 else np.intp)
    before = np.ones(y.shape, bool)  # no maximum at any tap so far
    for values in seen[:-1]:
        before &= values != y
        tap += before
    if np.isnan(y).any():
        for t, values in enumerate(seen):
            tap[np.isnan(values)] = t
    if (y == low).any() and any(window.padding):
        # A window of −∞ alone takes its first place inside, not one in the padding.
        inside = _pad(np.ones(shape, bool), window, positions, 0)
        places = list(enumerate(_taps(window, positions)))
        for t, (rows, columns) in reversed(places):
            tap[(y == low) & inside[:, rows, columns]] = t
    return _batch_first(y), _batch_first(tap)


def max_pool2d_put(g: Array, tap: Array, size: Pair, window: Window) -> Array:
    """dx += g at the tap that each window took, windows that overlap adding up."""
    g, tap = _batch_last(g), _batch_last(tap)
    taps = range(window.kernel[0] * window.kernel[1])
    parts = (keep(g, tap == t) for t in taps)
    return _overlap_add(parts, len(g), g, size, window)


def max_pool2d_pick(x: Array, tap: Array, window: Window) -> Array:
    """y[n,c,i,j] = x at the tap that the window took: the adjoint of putting back."""
    positions = tap.shape[2], tap.shape[3]
    x, tap = _pad(x, window, positions, 0), _batch_last(tap)
    y = np.zeros(tap.shape, x.dtype)
    for t, (rows, columns) in enumerate(_taps(window, positions)):
        np.copyto(y, x[:, rows, columns], where=tap == t)
    return _batch_first(y)


def sum_pool2d(x: Array, window: Window, positions: Pair) -> Array:
    """y[n,c,i,j] = Σ over (u, v) of x[n, c, s i + d u − p, s j + d v − p]."""
    x = _pad(x, window, positions, 0)
    (first, *rest) = _taps(window, positions)
    y = x[:, first[0], first[1]].copy()
    for rows, columns in rest:
        y += x[:, rows, columns]
    return _batch_first(y)


def sum_pool2d_input(g: Array, size: Pair, window: Window) -> Array:
    """The adjoint of `sum_pool2d`: dx += g at every tap of the window."""
    g = _batch_last(g)
    parts = [g] * (window.kernel[0] * window.kernel[1])
    return _overlap_add(parts, len(g), g, size, window)


def relu(x: Array) -> Array:
    """max(0, x); NaN stays."""
    y: Array = np.maximum(x, 0)
    return y


def matmul(a: Array, b: Array) -> Array:
    """y[…,i,k] = Σ_j a[…,i,j] · b[…,j,k]."""
    y: Array = np.matmul(a, b)
    return y


def linear(x: Array, w: Array, b: Array | None) -> Array:
    """y[…,o] = b[o] + Σ_i x[…,i] · w[o,i]."""
    y: Array = np.matmul(x, w.T)
    if b is not None:
        y += b
    return y


def _all_but_channels(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _per_channel(v: Array, x: Array) -> Array:
    """(C) as (1, C, 1, …), to meet x."""
    return v.reshape((1, -1) + (1,) * (x.ndim - 2))


def batch_norm(
    x: Array, gamma: Array | None, beta: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """y = γ (x − μ) r + β, and μ and r = 1 / √(σ² + ε), for each channel of (N, C, …)."""
    axes = _all_but_channels(x)
    m = max(x.size // max(x.shape[1], 1), 1)
    mu = x.sum(axis=axes, keepdims=True) / m
    y = x - mu
    r = 1 / np.sqrt(np.sum(y * y, axis=axes, keepdims=True) / m + eps)
    y *= r if gamma is None else r * _per_channel(gamma, x)
    if beta is not None:
        y += _per_channel(beta, x)
    return y, mu, r


def moments(x: Array) -> tuple[Array, Array]:
    """The mean and the biased variance of each channel of (N, C, …)."""
    axes = _all_but_channels(x)
    return x.mean(axis=axes), x.var(axis=axes)


def batch_norm_input(
    g: Array, x: Array, gamma: Array | None, mu: Array, r: Array
) -> Array:
    """γ r (g − Σ g / m − x̂ Σ g x̂ / m), x̂ = (x − μ) r, for each channel."""
    axes = _all_but_channels(x)
    normal = (x - mu) * r
    scale = r if gamma is None else r * _per_channel(gamma, x)
    m = max(x.size // max(x.shape[1], 1), 1)
    means = [v.sum(axis=axes, keepdims=True) / m for v in (g, g * normal)]
    dx: Array = scale * (g - means[0] - normal * means[1])
    return dx


def batch_norm_scale(g: Array, x: Array, mu: Array, r: Array) -> Array:
    """Σ g x̂, x̂ = (x − μ) r, for each channel."""
    total: Array = (g * ((x - mu) * r)).sum(axis=_all_but_channels(x))
    return total


def channel_sums(x: Array) -> Array:
    """Σ over all axes of x (N, C, …) but the second."""
    y: Array = x.sum(axis=_all_but_channels(x))
    return y


def log_softmax(x: Array, axis: int) -> Array:
    """x − max x − ln Σ exp(x − max x) along an axis."""
    z = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
    y: Array = z - np.log(np.exp(z).sum(axis=axis, keepdims=True))
    return y


def log_softmax_input(g: Array, y: Array, axis: int) -> Array:
    """g − exp(y) Σ g along an axis."""
    dx: Array = g - np.exp(y) * g.sum(axis=axis, keepdims=True)
    return dx


def mean_nll(x: Array, target: Array) -> tuple[Any, Array, Array] | None:
    """−Σ_n x[n, target[n]] / N for x (N, C), −1 / N for each n, and a copy of the target;
    None if a target is not in 0 … C − 1, or N = 0.
    """
    n = len(target)
    if not n or target.min() < 0 or target.max() >= x.shape[1]:
        return None
    total = x[np.arange(n), target].sum()
    return -total / x.dtype.type(n), np.full(n, -1 / n, x.dtype), target.copy()


def place(x: Array, label: Array, classes: int) -> Array:
    """y[n,k,…] = x[n,…] where k = label[n,…], else 0; the batch innermost."""
    y = np.zeros((classes, *x.shape[1:], x.shape[0]), x.dtype)
    y = y.transpose(-1, *range(x.ndim))
    np.put_along_axis(y, label[:, None], x[:, None], axis=1)
    return y


def gate(x: Array, by: Array) -> Array:
    """x where by > 0 or by is NaN, else +0."""
    return keep(x, ~(by <= 0))


def erf(x: Array) -> Array:
    """The error function, which NumPy has not."""
    return np.asarray(_ERF(x)).astype(x.dtype)


_ERF = np.frompyfunc(math.erf, 1, 1)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ), from e^−|x|, which cannot overflow."""
    e = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, 1, e) / (1 + e)
    return y


def sigmoid_input(g: Array, y: Array) -> Array:
    """g · y (1 − y)."""
    return g * (y * (1 - y))


def tanh_input(g: Array, y: Array) -> Array:
    """g · (1 − y²)."""
    return g * (1 - y * y)


def silu(x: Array) -> Array:
    """x σ(x)."""
    return x / (1 + np.exp(-x))


def silu_input(g: Array, x: Array) -> Array:
    """g · (σ(x) + x σ(x) (1 − σ(x)))."""
    s = sigmoid(x)
    return g * (s + x * s * (1 - s))


def gelu(x: Array) -> Array:
    """x (1 + erf(x / √2)) / 2."""
    return x * (1 + erf(x * math.sqrt(0.5))) / 2


def gelu_input(g: Array, x: Array) -> Array:
    """g · ((1 + erf(x / √2)) / 2 + x exp(−x² / 2) / √(2 π))."""
    share = (1 + erf(x * math.sqrt(0.5))) / 2
    return g * (share + x * np.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)))


def elu(x: Array, alpha: float, scale: float, rate: float) -> Array:
    """scale · x where x > 0, else scale · alpha · (exp(rate · x) − 1)."""
    bent = alpha * np.expm1(rate * np.minimum(x, 0))
    return scale * np.where(x <= 0, bent, x)


def elu_input(g: Array, x: Array, alpha: float, scale: float, rate: float) -> Array:
    """scale · g where x > 0, else scale · alpha · rate · exp(rate · x) · g."""
    bent = alpha * rate * np.exp(rate * np.minimum(x, 0))
    return g * scale * np.where(x <= 0, bent, np.ones_like(x))


def softplus(x: Array, beta: float, threshold: float) -> Array:
    """ln(1 + exp(beta · x)) / beta where beta · x ≤ threshold, else x."""
    z = x * beta
    soft = (np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0)) / beta
    return np.where(z > threshold, x, soft)


def softplus_input(g: Array, x: Array, beta: float, threshold: float) -> Array:
    """g · σ(beta · x) where beta · x ≤ threshold, else g."""
    z = x * beta
    return np.where(z > threshold, g, g * sigmoid(z))


def bend(x: Array, mask: Array, slope: float) -> Array:
    """x where the mask holds, else slope · x."""
    return np.where(mask, x, slope * x)


def keep(x: Array, mask: Array) -> Array:
    """x where the mask holds, else +0: on the bits, so without a branch or inf · 0."""
    x, mask = np.asarray(x), np.asarray(mask)
    bits = x.view(f"i{x.itemsize}")
    return (bits & -mask.view(np.int8).astype(bits.dtype)).view(x.dtype)


def momentum_step(
    p: Array,
    g: Array,
    b: Array,
    work: Array,
    lr: float,
    momentum: float,
    share: float,
    nesterov: bool,
) -> None:
    """b ← μ b + share · g, then p ← p − lr d, d = g + μ b if nesterov, else b."""
    b *= momentum
    b += g if share == 1 else np.multiply(g, share, out=work)
    d = np.add(g, np.multiply(b, momentum, out=work), out=work) if nesterov else b
    p += np.multiply(d, -lr, out=work)


def adam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    work: Array,
    spare: Array,
    rate: float,
    betas: tuple[float, float],
    eps: float,
    correction: float,
    largest: Array | None,
) -> None:
    """m and v move towards g and g², then p ← p − rate · m / (√v / correction + ε).

    largest: the largest v so far, which is brought up to date and taken instead of v,
    or None.
    """
    weight = 1 - betas[0]
    np.subtract(g, m, out=work)
    if weight < 0.5:  # m + w (g − m), worked out from the nearer end, as PyTorch's lerp
        work *= weight
        m += work
    else:
        work *= 1 - weight
        np.subtract(g, work, out=m)
    v *= betas[1]
    np.multiply(g, 1 - betas[1], out=work)
    work *= g
    v += work
    size = v if largest is None else np.maximum(largest, v, out=largest)
    denominator = np.sqrt(size, out=spare)
    denominator /= correction
    denominator += eps
    np.multiply(m, -rate, out=work)
    work /= denominator
    p += work


KERNELS = [
    name
    for name, value in list(vars().items())
    if isfunction(value) and value.__module__ == __name__ and not name.startswith("_")
]
"""What every table of kernels has: the functions of this file."""
