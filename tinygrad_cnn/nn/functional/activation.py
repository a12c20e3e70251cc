"""Activations: any shape in, the same shape out; formulas in `ops.activation`."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

from ...core.engine import Tensor
from ...core.generator import default_generator, uniform
from ...core.methods.base import float_only
from ...errors import ArgumentError, ShapeError
from ...ops import Op, activation
from ...ops import gelu as ops_gelu
from ...ops.normalization import per_channel

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""Those of which `selu` leaves mean 0 and variance 1 as they are."""


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x)."""
    return input.relu_() if inplace else input.relu()


def leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor:
    """x for x > 0, else negative_slope · x."""
    return _apply(activation.LeakyReLU(negative_slope), input, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x between min_val and max_val; floats only."""
    if min_val > max_val:
        raise ArgumentError(f"min_val {min_val} is larger than max_val {max_val}")
    return _apply(activation.Hardtanh(min_val, max_val), input, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(0, x), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """x / 6 + 1/2 between 0 and 1."""
    result = hardtanh(input, -3.0, 3.0) / 6 + 0.5
    return input.become(result) if inplace else result


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · min(max(0, x + 3), 6) / 6."""
    x = float_only(input, "hardswish()")
    x = x.clone() if inplace else x
    result = x * hardtanh(x + 3, 0.0, 6.0) / 6
    return input.become(result) if inplace else result


def threshold(
    input: Tensor, threshold: float, value: float, inplace: bool = False
) -> Tensor:
    """x where x > threshold, else value."""
    op = activation.Threshold(threshold, value)
    return input.become(op(input.clone())) if inplace else op(input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x for x > 0, else alpha (eˣ − 1)."""
    return _apply(activation.ELU(alpha), input, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """SELU_SCALE · elu(x, SELU_ALPHA)."""
    return _apply(activation.ELU(SELU_ALPHA, SELU_SCALE), input, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x for x > 0, else alpha (e^(x / alpha) − 1)."""
    if alpha == 0:
        raise ArgumentError("celu() divides by alpha, which cannot be 0")
    return _apply(activation.ELU(alpha, rate=1 / alpha), input, inplace)


def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """x times the share of a normal distribution below x; approximate: "none" or "tanh"."""
    kinds = {"none": ops_gelu.GELU, "tanh": ops_gelu.TanhGELU}
    if approximate not in kinds:
        raise ArgumentError(
            f"approximate argument must be either none or tanh, got {approximate!r}"
        )
    return _apply(kinds[approximate](), input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · σ(x)."""
    return _apply(activation.SiLU(), input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(ln(1 + eˣ))."""
    return _apply(activation.Mish(), input, inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(beta x)) / beta; x itself where beta x > threshold."""
    return _apply(activation.Softplus(beta, threshold), input)


def logsigmoid(input: Tensor) -> Tensor:
    """ln σ(x)."""
    return _apply(activation.LogSigmoid(), input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (1 + input.abs())


def tanhshrink(input: Tensor) -> Tensor:
    """x − tanh x."""
    return input - input.tanh()


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x nearer to 0 by lambd, and 0 where |x| ≤ lambd."""
    if lambd < 0:
        raise ArgumentError(
            f"lambda must be greater or equal to 0, but found to be {lambd}"
        )
    return _apply(activation.Softshrink(lambd), input)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x, and 0 where |x| ≤ lambd."""
    return _apply(activation.Hardshrink(lambd), input)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x for x > 0, else weight · x, weight being one number, or one for each channel."""
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ShapeError(
            f"prelu() takes one weight, or one for each of {channels} channels, got "
            f"{list(weight.shape)}"
        )
    slopes = weight.reshape(()) if weight.numel() == 1 else weight
    slopes = per_channel(slopes, input.ndim) if slopes.ndim else slopes
    return activation.PReLU()(float_only(input, "prelu()"), slopes)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """leaky_relu of slopes drawn from [lower, upper), each its own; their mean else."""
    if lower > upper:
        raise ArgumentError(f"lower {lower} is larger than upper {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    drawn = uniform(default_generator, input.shape, input.dtype)
    op, slopes = activation.PReLU(), lower + (upper - lower) * drawn
    return input.become(op(input.clone(), slopes)) if inplace else op(input, slopes)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · σ(b) of the two halves a and b along `dim`."""
    if input.ndim == 0 or input.shape[dim] % 2:
        raise ShapeError(
            f"glu() halves an even length, got {list(input.shape)} along dim {dim}"
        )
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def _apply(op: Op, input: Tensor, inplace: bool = False) -> Tensor:
    float_only(input, str(op))
    return input.become(op(input.clone())) if inplace else op(input)


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function with inplace=True, which PyTorch has under a name of its own."""

    def changed(*args: Any, **kwargs: Any) -> Tensor:
        return function(*args, **kwargs, inplace=True)

    signature = inspect.signature(function)
    kept = [p for p in signature.parameters.values() if p.name != "inplace"]
    changed.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    changed.__name__ = changed.__qualname__ = f"{function.__name__}_"
    changed.__doc__ = f"`{function.__name__}` in place."
    return changed


celu_ = _in_place(celu)
elu_ = _in_place(elu)
hardtanh_ = _in_place(hardtanh)
leaky_relu_ = _in_place(leaky_relu)
relu_ = _in_place(relu)
rrelu_ = _in_place(rrelu)
selu_ = _in_place(selu)
threshold_ = _in_place(threshold)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """e^x_k / Σ e^x_j along `dim`."""
    axis = _choose_dim("softmax", input.ndim) if dim is None else dim
    return input.softmax(axis, dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The softmax of −x along `dim`."""
    axis = _choose_dim("softmin", input.ndim) if dim is None else dim
    return (-input).softmax(axis, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of the softmax along `dim`."""
    axis = _choose_dim("log_softmax", input.ndim) if dim is None else dim
    return input.log_softmax(axis, dtype)


def _choose_dim(name: str, ndim: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=3,
    )
    return 0 if ndim in (0, 1, 3) else 1
