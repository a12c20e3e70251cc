"""The right answers, found without the package: loops, closed forms, central differences.

Everything here is slow and plain on purpose, takes float64 arrays and returns float64.
A window is anything with kernel, stride, padding and dilation, each (vertical, horizontal).
"""

import math

import numpy as np


def partial_derivatives(f, inputs, cotangents, rng, most=16, eps=1e-5):
    """Central differences of Σ_k ⟨cotangent_k, f(*inputs)_k⟩, f returning arrays.

    For each input: some of its row-major positions (at most `most`), and the partial
    derivatives there. What a step leaves alone cancels to the bit before it is summed.
    """
    found = []
    for i, x in enumerate(inputs):
        positions = rng.permutation(x.size)[:most]
        slopes = []
        for position in positions:
            plus, minus = (_moved(x, position, step) for step in (eps, -eps))
            sides = [f(*inputs[:i], side, *inputs[i + 1 :]) for side in (plus, minus)]
            rise = (
                np.sum(c * (up - down))
                for c, up, down in zip(cotangents, *sides, strict=True)
            )
            width = plus.flat[position] - minus.flat[position]
            slopes.append(math.fsum(rise) / width)
        found.append((positions, np.array(slopes)))
    return found


def _moved(x, position, step):
    x = np.array(x, order="C")
    x.flat[position] += step
    return x


# --------------------------------------------------------------- element by element


def each(f):
    """A function of Python numbers, applied element by element with broadcasting."""
    vectorized = np.vectorize(f, otypes=[np.float64])
    return np.errstate(invalid="ignore")(vectorized)  # comparing NaN is no accident


def logistic(x):
    return 1 / (1 + math.exp(-x))


def logistic_loss(x, t, q):
    softplus = math.log1p(math.exp(-abs(x))) + max(-x, 0.0)
    return -q * t * -softplus - (1 - t) * (-x - softplus)


def erf(x):
    """By its power series."""
    terms, term = [], x
    for n in range(60):
        terms.append(term / (2 * n + 1))
        term *= -x * x / (n + 1)
    return 2 / math.sqrt(math.pi) * math.fsum(terms)


# ------------------------------------------------------------------- over some axes


def reduced(f, x, axis, keepdims):
    """f of the list of values over `axis` (None for all), for each other index."""
    axes = {a % x.ndim for a in (range(x.ndim) if axis is None else axis)}
    shape = tuple(1 if a in axes else s for a, s in enumerate(x.shape))
    y = np.zeros(shape)
    for index in np.ndindex(shape):
        at = tuple(slice(None) if a in axes else i for a, i in enumerate(index))
        y[index] = f(list(x[at].flat))
    kept = [s for a, s in enumerate(shape) if keepdims or a not in axes]
    return y.reshape(kept)


def mean(values):
    return math.fsum(values) / len(values) if values else math.nan


def variance(values, correction):
    m = mean(values)
    squares = math.fsum((v - m) ** 2 for v in values)
    return squares / (len(values) - correction)


def extreme(choose, values):
    return math.nan if any(map(math.isnan, values)) else choose(values)


def norm(values, p):
    return math.fsum(abs(v) ** p for v in values) ** (1 / p)


def of_each_beginning(f):
    """f of the values up to each one."""
    return lambda values: [f(list(values[: k + 1])) for k in range(len(values))]


def recurrence(x, a, axis):
    """y[k] = Σ_j x[j] times all a after j up to k."""
    y = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        k = at[axis]
        line = [slice(i, i + 1) for i in at]
        line[axis] = slice(None)
        xs, factors = x[tuple(line)].ravel(), a[tuple(line)].ravel()
        y[at] = sum(xs[j] * math.prod(factors[j + 1 : k + 1]) for j in range(k + 1))
    return y


def logsumexp(values):
    total = math.fsum(math.exp(v) for v in values)
    return math.log(total) if total else -math.inf


def softmax(x, axis):
    total = reduced(lambda v: math.fsum(map(math.exp, v)), x, (axis,), True)
    return each(math.exp)(x) / total


def log_softmax(x, axis):
    return x - reduced(logsumexp, x, (axis,), True)


def batch_norm(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1] if x.size else 0):
        values = list(x[:, c].flat)
        scale = 1.0 if gamma is None else gamma[c]
        shift = 0.0 if beta is None else beta[c]
        deviation = math.sqrt(variance(values, 0) + eps)
        y[:, c] = (x[:, c] - mean(values)) / deviation * scale + shift
    return y


def nll_loss(x, target, weight, reduction, ignore_index):
    losses, weights = np.zeros(target.shape), [0.0]
    for index in np.ndindex(target.shape):
        label = target[index]
        if label != ignore_index:
            w = 1.0 if weight is None else weight[label]
            losses[index] = -w * x[(index[0], label, *index[1:])]
            weights.append(w)
    total = math.fsum(losses.flat)
    if reduction == "mean":
        return np.array(total / math.fsum(weights) if losses.size else math.nan)
    return losses if reduction == "none" else np.array(total)


# ---------------------------------------------------------------- moving values about


def permuted(x, axes):
    y = np.zeros([x.shape[a] for a in axes])
    for index in np.ndindex(x.shape):
        y[tuple(index[a] for a in axes)] = x[index]
    return y


def summed_to(x, shape):
    y = np.zeros(shape)
    lead = x.ndim - len(shape)
    for index in np.ndindex(x.shape):
        at = (0 if s == 1 else i for i, s in zip(index[lead:], shape, strict=True))
        y[tuple(at)] += x[index]
    return y


def concatenated(xs, axis):
    rows = [row for x in xs for row in np.moveaxis(x, axis, 0)]
    shape = list(xs[0].shape)
    del shape[axis]
    y = np.zeros((len(rows), *shape))
    for i, row in enumerate(rows):
        y[i] = row
    return np.moveaxis(y, 0, axis)


def padded(x, widths, value):
    y = np.full([s + a + b for s, (a, b) in zip(x.shape, widths, strict=True)], value)
    for index in np.ndindex(y.shape):
        at = tuple(i - before for i, (before, _) in zip(index, widths, strict=True))
        if all(0 <= i < s for i, s in zip(at, x.shape, strict=True)):
            y[index] = x[at]
    return y


def places(key, shape):
    """The row-major positions that an index selects, in the shape of the selection."""
    return np.arange(math.prod(shape)).reshape(shape)[key]


def added_at(x, key, shape):
    y = np.zeros(math.prod(shape))
    for position, value in zip(places(key, shape).flat, x.flat, strict=True):
        y[position] += value
    return y.reshape(shape)


def put(x, v, key):
    y = np.array(x, order="C")
    at = places(key, x.shape)
    for position, value in zip(at.flat, np.broadcast_to(v, at.shape).flat, strict=True):
        y.flat[position] = value
    return y


def placed(x, label, classes):
    y = np.zeros((x.shape[0], classes, *x.shape[1:]))
    for index in np.ndindex(x.shape):
        y[(index[0], label[index], *index[1:])] = x[index]
    return y


def picked(x, label):
    y = np.zeros(label.shape)
    for index in np.ndindex(label.shape):
        y[index] = x[(index[0], label[index], *index[1:])]
    return y


def matmul(a, b):
    return np.einsum("...ij,...jk->...ik", a, b)


# ------------------------------------------------------------------- sliding windows


def positions(size, window, ceil_mode=False):
    """How many windows fit (vertically, horizontally), counted one by one."""
    axes = zip(size, *_geometry(window), strict=True)
    return tuple(_fitting(*axis, ceil_mode) for axis in axes)


def _fitting(n, k, s, p, d, ceil_mode):
    span, start, count = d * (k - 1) + 1, -p, 0
    while start + span <= n + p:
        start, count = start + s, count + 1
    uncovered = count and start - s + span < n + p
    return count + bool(ceil_mode and uncovered and start < n)


def _geometry(window):
    return window.kernel, window.stride, window.padding, window.dilation


def _around(x, window, counts, value=0.0):
    """x with `value` wherever a window reaches, and where the input begins in it."""
    reach = [
        max((o - 1) * s + d * (k - 1) + 1 - p - n, p)
        for o, n, k, s, p, d in zip(
            counts, x.shape[2:], *_geometry(window), strict=True
        )
    ]
    widths = [(0, 0), (0, 0), *zip(window.padding, reach, strict=True)]
    return np.pad(x, widths, constant_values=value)


def _under(window, i, j):
    """The rows and the columns under the window at (i, j), in padded coordinates."""
    return tuple(
        slice(o * s, o * s + d * (k - 1) + 1, d)
        for o, k, s, _, d in zip((i, j), *_geometry(window), strict=True)
    )


def _channels(o, w, groups):
    group = o // (w.shape[0] // groups)
    return slice(group * w.shape[1], (group + 1) * w.shape[1])


def conv2d(x, w, b, window, groups):
    y = np.zeros((x.shape[0], w.shape[0], *positions(x.shape[2:], window)))
    x = _around(x, window, y.shape[2:])
    for n, o, i, j in np.ndindex(y.shape):
        patch = x[(n, _channels(o, w, groups), *_under(window, i, j))]
        y[n, o, i, j] = math.fsum((patch * w[o]).flat) + (0.0 if b is None else b[o])
    return y


def conv2d_input(g, w, b, size, window, groups):
    n, _, *counts = g.shape
    y = np.zeros((n, w.shape[1] * groups, *size))
    whole = _around(y, window, counts)
    for n, o, i, j in np.ndindex(g.shape):
        at = (n, _channels(o, w, groups), *_under(window, i, j))
        whole[at] += g[n, o, i, j] * w[o]
    y = _inside(whole, size, window)
    return y if b is None else y + b.reshape(-1, 1, 1)


def _inside(whole, size, window):
    (h, w), (py, px) = size, window.padding
    return whole[:, :, py : py + h, px : px + w]


def conv2d_weight(x, g, window, groups):
    y = np.zeros((g.shape[1], x.shape[1] // groups, *window.kernel))
    x = _around(x, window, g.shape[2:])
    for n, o, i, j in np.ndindex(g.shape):
        patch = x[(n, _channels(o, y, groups), *_under(window, i, j))]
        y[o] += g[n, o, i, j] * patch
    return y


def max_pool2d(x, window, ceil_mode):
    """The maxima, and the row-major tap of each: the first maximum, or the last NaN.

    Taps outside the input take no part, not even where all of the input is −∞.
    """
    y = np.zeros((*x.shape[:2], *positions(x.shape[2:], window, ceil_mode)))
    tap = np.zeros(y.shape, int)
    inside = _around(np.ones(x.shape, bool), window, y.shape[2:], False)
    x = _around(x, window, y.shape[2:])
    for n, c, i, j in np.ndindex(y.shape):
        under = (n, c, *_under(window, i, j))
        values = list(x[under].flat)
        best, *others = np.flatnonzero(inside[under])
        for t in others:
            if values[t] > values[best] or math.isnan(values[t]):
                best = t
        y[n, c, i, j], tap[n, c, i, j] = values[best], best
    return y, tap


def max_pool2d_put(g, tap, size, window):
    whole = _around(np.zeros((*g.shape[:2], *size)), window, g.shape[2:])
    for n, c, i, j in np.ndindex(g.shape):
        u, v = divmod(int(tap[n, c, i, j]), window.kernel[1])
        rows, columns = _under(window, i, j)
        at = rows.start + u * rows.step, columns.start + v * columns.step
        whole[(n, c, *at)] += g[n, c, i, j]
    return _inside(whole, size, window)


def max_pool2d_pick(x, tap, window):
    y = np.zeros(tap.shape)
    x = _around(x, window, tap.shape[2:])
    for n, c, i, j in np.ndindex(tap.shape):
        under = x[(n, c, *_under(window, i, j))]
        y[n, c, i, j] = list(under.flat)[tap[n, c, i, j]]
    return y


def sum_pool2d(x, window, ceil_mode):
    y = np.zeros((*x.shape[:2], *positions(x.shape[2:], window, ceil_mode)))
    x = _around(x, window, y.shape[2:])
    for n, c, i, j in np.ndindex(y.shape):
        y[n, c, i, j] = math.fsum(x[(n, c, *_under(window, i, j))].flat)
    return y


def sum_pool2d_input(g, size, window):
    whole = _around(np.zeros((*g.shape[:2], *size)), window, g.shape[2:])
    for n, c, i, j in np.ndindex(g.shape):
        whole[(n, c, *_under(window, i, j))] += g[n, c, i, j]
    return _inside(whole, size, window)


def unfolded(x, window):
    counts = positions(x.shape[2:], window)
    y = np.zeros((*x.shape[:2], *window.kernel, *counts))
    x = _around(x, window, counts)
    for n, c, i, j in np.ndindex(*x.shape[:2], *counts):
        y[n, c, :, :, i, j] = x[(n, c, *_under(window, i, j))]
    return y


def folded(parts, size, window):
    counts = parts.shape[4:]
    whole = _around(np.zeros((*parts.shape[:2], *size)), window, counts)
    for n, c, i, j in np.ndindex(*parts.shape[:2], *counts):
        whole[(n, c, *_under(window, i, j))] += parts[n, c, :, :, i, j]
    return _inside(whole, size, window)


# ----------------------------------------------------------------------- resampling


def resampled(x, matrices):
    """A matrix along each of the last axes; where it is 0, x does not matter."""
    for axis, a in enumerate(matrices, x.ndim - len(matrices)):
        values = np.moveaxis(x, axis, 0)
        y = np.zeros((len(a), *values.shape[1:]))
        for i, q in np.argwhere(a):
            y[i] += a[i, q] * values[q]
        x = np.moveaxis(y, 0, axis)
    return x


def adaptive(f, x, sizes):
    """f of the list of values in each of the windows that cover the last axes."""
    lead, lengths = x.shape[: -len(sizes)], x.shape[-len(sizes) :]
    y = np.zeros((*lead, *sizes))
    for at in np.ndindex(y.shape):
        axes = zip(at[len(lead) :], lengths, sizes, strict=True)
        window = [slice(i * n // o, math.ceil((i + 1) * n / o)) for i, n, o in axes]
        y[at] = f(list(x[(*at[: len(lead)], *window)].flat))
    return y


def _places(place, axes, size):
    """Each position, and the one in an image of this size that its place stands for."""
    for at in np.ndindex(place.shape):
        yield at, (*at[:-axes], *np.unravel_index(place[at], size))


def put_at_place(x, place, size):
    y = np.zeros((*x.shape[: -len(size)], *size))
    for at, there in _places(place, len(size), size):
        y[there] += x[at]
    return y


def picked_at_place(x, place):
    y, axes = np.zeros(place.shape), x.ndim - 2
    for at, there in _places(place, axes, x.shape[2:]):
        y[at] = x[there]
    return y
