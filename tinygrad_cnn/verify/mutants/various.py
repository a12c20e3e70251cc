"""Wrong gradients of elementary functions, sums up to each value, and resampled images."""

from functools import partial

import numpy as np

from ...ops.activation import ELU, PReLU, SiLU, Softplus
from ...ops.classification import Huber
from ...ops.cumulative import CumProd, CumSum, Prod
from ...ops.elementary import Asin, Cos, Erf, Log1p, Sin, Tan
from ...ops.gelu import GELU
from ...ops.normalization import BatchNormEval
from ...ops.resampling import AdaptiveAvgPool, Resample, averages, linear
from .mutant import Example, changed, values, wrong

X, SECOND = values(4, 5), values(4, 5, draw=1)
POSITIVE = values(4, 5, low=0.4, draw=2)
INSIDE = X * 0.6
IMAGES = values(2, 3, 4, 4)
CHANNELS = tuple(values(3, low=0.4, draw=k) for k in range(4))

sin = partial(wrong, Example(Sin(), (X,)), "grad_x")
sin("sine in the place of cosine", "wrong derivative: cos")(lambda op, g, y: g * y)

cos = partial(wrong, Example(Cos(), (X,)), "grad_x")
cos("wrong sign", "sign")(lambda op, g, x: g * np.sin(x))

tan = partial(wrong, Example(Tan(), (X,)), "grad_x")
tan("1 + x² in the place of 1 + y²", "wrong operand: x stands")(
    lambda op, g, x: g * (1 + x * x)
)

asin = partial(wrong, Example(Asin(), (INSIDE,)), "grad_x")
asin("multiplied by the root, not divided", "extra factor: (1 − x²)")(
    lambda op, g, x: g * np.sqrt(1 - x * x)
)

log1p = partial(wrong, Example(Log1p(), (POSITIVE,)), "grad_x")
log1p("1 forgotten", "wrong derivative: g / (1 + x) belongs")(lambda op, g, x: g / x)

erf = partial(wrong, Example(Erf(), (X,)), "grad_x")
erf("2 / √π forgotten", "factor: 0.886227")(lambda op, g, x: g * np.exp(-x * x))

silu = partial(wrong, Example(SiLU(), (X,)), "grad_x")
silu("σ(x) alone: x taken for a constant", "wrong derivative: g · σ(x), where")(
    lambda op, g, x: g / (1 + np.exp(-x))
)

gelu = partial(wrong, Example(GELU(), (X,)), "grad_x")
gelu("g passed on", "derivative missing")(lambda op, g: g)

elu = partial(wrong, Example(ELU(), (X,)), "grad_x")
elu("as if x were positive everywhere", "derivative missing")(lambda op, g: g)

softplus = partial(wrong, Example(Softplus(), (X,)), "grad_x")
softplus("σ taken at y", "wrong point")(lambda op, g, y: g / (1 + np.exp(-y)))

prelu = partial(wrong, Example(PReLU(), (X, SECOND)), "grad_w")
prelu("of all x, not of the negative ones", "wrong derivative: g · x")(
    lambda op, g, x: g * x
)

huber = partial(wrong, Example(Huber(0.7), (X, SECOND)), "grad_a")
huber("not held between −delta and delta", "clip missing: ±0.7")(
    lambda op, g, a, b: g * (a - b)
)

cumulated = partial(wrong, Example(CumSum(1), (X,)), "grad_x")
cumulated("summed from the wrong end", "not transposed: wrong end")(
    lambda op, g: np.cumsum(g, op.axis)
)

multiplied = partial(wrong, Example(CumProd(1), (POSITIVE,)), "grad_x")
multiplied("of each product alone", "diagonal")(lambda op, g, y, x: g * y / x)

product = partial(wrong, Example(Prod((1,)), (POSITIVE,)), "grad_x")
product("the product itself", "extra factor: times x")(
    lambda op, g, y, x: g[:, None] * y[:, None] * np.ones_like(x)
)

evaluated = Example(BatchNormEval(1e-3), (IMAGES, *CHANNELS))
partial(wrong, evaluated, "grad_x")("γ forgotten", "missing factor: factor gamma")(
    lambda op, g, var: g / np.sqrt(var + op.eps)[:, None, None]
)
partial(wrong, evaluated, "grad_beta")("the mean, not the sum", "factor: 1 / 32")(
    lambda op, g, x: g.mean((0, 2, 3))
)

resampled = Example(Resample((linear(4, 8, None, False),) * 2), (IMAGES,))
partial(wrong, resampled, "grad_x")("every second pixel", "subset")(
    lambda op, g: g[:, :, ::2, ::2]
)

means = Example(
    AdaptiveAvgPool((averages(5, 2), averages(7, 3))), (values(2, 2, 5, 7),)
)
partial(wrong, means, "grad_x")("twice", "factor: 2")(
    changed(AdaptiveAvgPool.grad_x, lambda d: 2 * d)
)
