"""Activations: element-wise, y[i] = φ(x[i]) and ∂L/∂x[i] = g[i] · φ′(x[i]).

(`numpy-cnn` §1.3; `lenet`, listing of the activations. The identity is no operation, and
`sign` stands in `selection`.)
"""

from __future__ import annotations

import numpy as np

from ..kernels import active
from .arithmetic import Exp
from .base import Elementwise, Inputs, Position, Value, recorded
from .selection import Clip, Where, distance, side
from .words import number


class Keep(Elementwise):
    """y = x where mask, else 0; so also where x is inf or NaN.

    ∂L/∂x = g where mask, else 0: Keep(g). The gradient of every switch.
    """

    constant = ("mask",)
    compiled = "keep"

    def forward(self, x: Value, mask: Value) -> Value:
        return active.keep(x, mask)

    def grad_x(self, g: Value, mask: Value) -> Value:
        return Keep()(g, mask)

    def branch(self, mask: Value) -> Value:
        return mask


class Gate(Elementwise):
    """y = x where by > 0, else 0; where `by` is NaN x passes, as in PyTorch.

    ∂L/∂x = g where by > 0, else 0: Gate(g). The gradient of ReLU.
    ∂L/∂by = 0: y is constant between the jumps.
    """

    compiled = "gate"

    def forward(self, x: Value, by: Value) -> Value:
        return active.gate(x, by)

    def grad_x(self, g: Value, by: Value) -> Value:
        return Gate()(g, by)

    def grad_by(self, g: Value) -> Value:
        return g * 0.0

    def branch(self, by: Value) -> Value:
        return by > 0

    def margin(self, by: Value) -> Value:
        return np.abs(by)


class ReLU(Elementwise):
    """y = max(0, x).   ∂L/∂x = g · [y > 0]; at the corner x = 0 it is 0.

    (`numpy-cnn` §1.3.) y > 0 exactly where x > 0, so y alone is kept.
    """

    gives = "rectified"
    floor = 0.0
    compiled = "relu"

    def forward(self, x: Value) -> Value:
        return active.relu(x)

    def grad_x(self, g: Value, y: Value) -> Value:
        return Gate()(g, y)

    def branch(self, y: Value) -> Value:
        return y > 0

    def margin(self, x: Value) -> Value:
        return np.abs(x)

    alive = branch

    def note(self, inputs: Inputs, i: int, index: Position, at: Position) -> str:
        x = inputs[0][index]
        sign, fate = ("≤", "is blocked") if x <= 0 else (">", "passes")
        return f"{fate}: x = {number(x)} {sign} 0"


class Bend(Elementwise):
    """y = x where mask, else slope · x.

    ∂L/∂x = g where mask, else slope · g: Bend(g).
    """

    slope: float
    constant = ("mask",)
    compiled = "bend"

    def forward(self, x: Value, mask: Value) -> Value:
        return active.bend(x, mask, self.slope)

    def grad_x(self, g: Value, mask: Value) -> Value:
        return Bend(self.slope)(g, mask)

    def branch(self, mask: Value) -> Value:
        return mask


class Slope(Elementwise, register=False):
    """∂L/∂x of an operation in one kernel, without a gradient of its own."""

    kernel: str
    numbers: tuple[float, ...] = ()
    compiled = "slope"

    def forward(self, g: Value, x: Value) -> Value:
        return getattr(active, self.kernel)(g, x, *self.numbers)


class LeakyReLU(Elementwise):
    """y = x where x > 0, else negative_slope · x.

    ∂L/∂x = g where x > 0, else negative_slope · g: Bend.
    """

    negative_slope: float = 0.01
    flat_slope = True
    keeps = ("positive",)

    def forward(self, x: Value) -> tuple[Value, Value]:
        positive = x > 0
        return active.bend(x, positive, self.negative_slope), positive

    def grad_x(self, g: Value, positive: Value) -> Value:
        return Bend(self.negative_slope)(g, positive)

    def branch(self, positive: Value) -> Value:
        return positive

    def margin(self, x: Value) -> Value:
        return np.abs(x)

    alive = branch


class PReLU(Elementwise):
    """y = x where x > 0, else w · x: the slope w is learned.

    ∂L/∂x = g where x > 0, else w · g;   ∂L/∂w = 0 where x > 0, else g · x.
    """

    flat_slope = True
    keeps = ("positive",)

    def forward(self, x: Value, w: Value) -> tuple[Value, Value]:
        positive = x > 0
        return np.where(positive, x, w * x), positive

    def grad_x(self, g: Value, w: Value, positive: Value) -> Value:
        return Where()(positive, g, g * w)

    def grad_w(self, g: Value, x: Value, positive: Value) -> Value:
        return Where()(positive, 0.0, g * x)

    def branch(self, positive: Value) -> Value:
        return positive

    def margin(self, x: Value) -> Value:
        return np.abs(x)

    alive = branch


class Threshold(Elementwise):
    """y = x where x > threshold, else value.

    ∂L/∂x = g where x > threshold, else 0: Keep.
    """

    threshold: float
    value: float
    flat_slope = True
    keeps = ("passes",)

    def forward(self, x: Value) -> tuple[Value, Value]:
        passes = ~(x <= self.threshold)  # what is NaN does
        return np.where(passes, x, np.asarray(self.value, x.dtype)), passes

    def grad_x(self, g: Value, passes: Value) -> Value:
        return Keep()(g, passes)

    def branch(self, passes: Value) -> Value:
        return passes

    def margin(self, x: Value) -> Value:
        return np.abs(x - self.threshold)

    alive = branch


class Hardshrink(Elementwise):
    """y = 0 where |x| ≤ lambd, else x.   ∂L/∂x = 0 where |x| ≤ lambd, else g: Keep."""

    lambd: float = 0.5
    flat_slope = True
    keeps = ("passes",)

    def forward(self, x: Value) -> tuple[Value, Value]:
        passes = ~(np.abs(x) <= self.lambd)  # what is NaN does
        return active.keep(x, passes), passes

    def grad_x(self, g: Value, passes: Value) -> Value:
        return Keep()(g, passes)

    def branch(self, x: Value) -> Value:
        return side(x, -self.lambd, self.lambd)

    def margin(self, x: Value) -> Value:
        return distance(x, -self.lambd, self.lambd)

    def alive(self, passes: Value) -> Value:
        return passes


class Softshrink(Hardshrink):
    """y = x − min(max(x, −lambd), lambd): lambd nearer to 0.

    ∂L/∂x = 0 where |x| ≤ lambd, else g: Keep.
    """

    def forward(self, x: Value) -> tuple[Value, Value]:
        passes = ~(np.abs(x) <= self.lambd)
        return x - np.clip(x, -self.lambd, self.lambd), passes


class ELU(Elementwise):
    """y = scale · x where x > 0, else scale · alpha · (exp(rate · x) − 1).

    ∂L/∂x = scale · g where x > 0, else scale · alpha · rate · exp(rate · x) · g.
    CELU has the rate 1 / alpha, which takes the corner out; SELU the alpha and scale that
    leave mean 0 and variance 1 as they are.
    """

    alpha: float = 1.0
    scale: float = 1.0
    rate: float = 1.0
    compiled = "elu"

    def forward(self, x: Value) -> Value:
        return active.elu(x, self.alpha, self.scale, self.rate)

    def grad_x(self, g: Value, x: Value) -> Value:
        if not recorded(g, x):
            return Slope("elu_input", (self.alpha, self.scale, self.rate))(g, x)
        power = Exp()(Clip(None, 0.0)(x) * self.rate)  # e to a large x is not finite
        bent = g * (self.scale * self.alpha * self.rate) * power
        return Where()(x <= 0, bent, g * self.scale)

    def branch(self, x: Value) -> Value:
        return ~(x <= 0)  # so is NaN

    def margin(self, x: Value) -> Value:
        return np.abs(x)

    alive = branch


class Sigmoid(Elementwise):
    """y = 1 / (1 + e⁻ˣ) (`numpy-cnn` eq. 3).

    dy/dx = e⁻ˣ / (1 + e⁻ˣ)² = y (1 − y).   ∂L/∂x = g · y (1 − y).
    Computed from e^−|x|, which cannot overflow.
    """

    gives = "probability"
    compiled = "sigmoid"

    def forward(self, x: Value) -> Value:
        return active.sigmoid(x)

    def grad_x(self, g: Value, y: Value) -> Value:
        if not recorded(g, y):
            return Slope("sigmoid_input")(g, y)
        return g * (y * (1 - y))


class LogSigmoid(Elementwise):
    """y = ln σ(x) = −ln(1 + e⁻ˣ).   ∂L/∂x = g · (1 − σ(x)), which is g · σ(−x).

    Computed as min(x, 0) − ln(1 + e^−|x|), which cannot overflow.
    """

    gives = "logarithms"

    def forward(self, x: Value) -> Value:
        return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))

    def grad_x(self, g: Value, x: Value) -> Value:
        return g * Sigmoid()(-x)


class Softplus(Elementwise):
    """y = ln(1 + exp(beta · x)) / beta where beta · x ≤ threshold, else x.

    ∂L/∂x = g · σ(beta · x) where beta · x ≤ threshold, else g.
    """

    beta: float = 1.0
    threshold: float = 20.0
    gives = "positive"
    compiled = "softplus"

    def forward(self, x: Value) -> Value:
        return active.softplus(x, self.beta, self.threshold)

    def grad_x(self, g: Value, x: Value) -> Value:
        if not recorded(g, x):
            return Slope("softplus_input", (self.beta, self.threshold))(g, x)
        z = x * self.beta
        return Where()(z > self.threshold, g, g * Sigmoid()(z))

    def branch(self, x: Value) -> Value:
        return ~(x * self.beta > self.threshold)

    def margin(self, x: Value) -> Value:
        return np.abs(x - self.threshold / self.beta)


class SiLU(Elementwise):
    """y = x σ(x), also called swish.

    ∂L/∂x = g · (σ(x) + x σ(x) (1 − σ(x))), as σ′ = σ (1 − σ).
    """

    compiled = "silu"

    def forward(self, x: Value) -> Value:
        return active.silu(x)

    def grad_x(self, g: Value, x: Value) -> Value:
        if not recorded(g, x):
            return Slope("silu_input")(g, x)
        s = Sigmoid()(x)
        return g * (s + x * s * (1 - s))


class Tanh(Elementwise):
    """y = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ).   dy/dx = 1 − y².   ∂L/∂x = g · (1 − y²)."""

    def forward(self, x: Value) -> Value:
        return np.tanh(x)

    def grad_x(self, g: Value, y: Value) -> Value:
        if not recorded(g, y):
            return Slope("tanh_input")(g, y)
        return g * (1 - y * y)


class Mish(Elementwise):
    """y = x t, where t = tanh(ln(1 + eˣ)).

    dt/dx = (1 − t²) σ(x), so ∂L/∂x = g · (t + x (1 − t²) σ(x)).
    """

    def forward(self, x: Value) -> Value:
        return x * np.tanh(np.logaddexp(x, 0))

    def grad_x(self, g: Value, x: Value) -> Value:
        t = Tanh()(Softplus()(x))
        return g * (t + x * (1 - t * t) * Sigmoid()(x))


class Hardtanh(Clip):
    """y = min(max(a, low), high); −1 and 1 in `lenet`.

    ∂L/∂a = g · [low < a < high]. At the two corners it is 0 as in PyTorch; the `lenet`
    document counts them in.
    """

    low: float = -1.0
    high: float = 1.0
    adjusts = False
    flat_slope = True
    keeps = ("inside",)

    def forward(self, a: Value) -> tuple[Value, Value]:
        return super().forward(a), ~((a <= self.low) | (a >= self.high))

    def grad_a(self, g: Value, inside: Value) -> Value:
        return Keep()(g, inside)


class Atan(Elementwise):
    """y = arctan x (`numpy-cnn` §1.3).   dy/dx = 1 / (1 + x²).   ∂L/∂x = g / (1 + x²)."""

    def forward(self, x: Value) -> Value:
        return np.arctan(x)

    def grad_x(self, g: Value, x: Value) -> Value:
        return g / (1 + x * x)
