"""Initial values: functions that fill a Tensor in place and return it.

Names, arguments and distributions are PyTorch's; `generator` None draws from the
process-wide one (`manual_seed`). None of them is recorded.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..core.generator import Generator, default_generator
from ..core.recording import no_grad
from ..errors import ArgumentError
from ..missing import teach


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """By what a layer's values should grow to keep their variance through this function.

    param: the negative slope of "leaky_relu" (0.01).
    """
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity in gains:
        return gains[nonlinearity]
    if re.fullmatch(r"linear|sigmoid|conv(_transpose)?[123]d", nonlinearity):
        return 1.0
    if nonlinearity != "leaky_relu":
        raise ArgumentError(f"Unsupported nonlinearity {nonlinearity}")
    slope = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, int | float):
        raise ArgumentError(f"negative_slope {param} not a valid number")
    return math.sqrt(2 / (1 + slope**2))


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many values a cell is computed from, and how many are computed from a cell.

    A weight (out, in, k_y, k_x) has in · k_y · k_x and out · k_y · k_x.
    """
    if tensor.ndim < 2:
        raise ArgumentError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 "
            f"dimensions; this one has shape {tensor.shape}"
        )
    taps = math.prod(tensor.shape[2:])
    return tensor.shape[1] * taps, tensor.shape[0] * taps


@no_grad()
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from U(a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(mean, std²)."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(mean, std²), again where the value lies outside [a, b].

    ArgumentError where less than a thousandth of the distribution lies inside.
    """
    low, high = (math.erf((v - mean) / (std * math.sqrt(2))) / 2 for v in (a, b))
    if high - low < 1e-3:
        raise ArgumentError(f"N({mean}, {std}²) hardly ever falls into [{a}, {b}]")
    draw = (generator or default_generator).numpy
    values = draw.standard_normal(tensor.shape) * std + mean
    while (outside := (values < a) | (values > b)).any():
        values[outside] = draw.standard_normal(outside.sum()) * std + mean
    return tensor.copy_(values)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set every value."""
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Set every value to 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Set every value to 0."""
    return constant_(tensor, 0.0)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from U(−b, b), b = gain √(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from N(0, s²), s = gain √(2 / (fan_in + fan_out))."""
    std = gain * math.sqrt(2 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from U(−b, b), b = gain √(3 / fan) (He et al., 2015).

    The gain is that of `nonlinearity`, a its negative slope; fan is `mode`'s, "fan_in" or
    "fan_out". The default weights of linear and convolution layers have a = √5, which
    makes b = 1/√fan_in.
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(0, s²), s = gain / √fan; arguments as `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if tensor.numel() == 0:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return 0.0
    modes = ["fan_in", "fan_out"]
    if mode.lower() not in modes:
        raise ArgumentError(f"Mode {mode} not supported, please use one of {modes}")
    fan = _calculate_fan_in_and_fan_out(tensor)[modes.index(mode.lower())]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


@no_grad()
def orthogonal_(
    tensor: Tensor, gain: float = 1, generator: Generator | None = None
) -> Tensor:
    """Rows (or columns, whichever are fewer) orthogonal and of length gain.

    Axes after the first count as one. Uniform among such matrices (Saxe et al., 2013).
    """
    if tensor.ndim < 2:
        raise ArgumentError("Only tensors with 2 or more dimensions are supported")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    tall = max(rows, columns), min(rows, columns)
    q, r = np.linalg.qr((generator or default_generator).numpy.standard_normal(tall))
    q *= np.sign(np.diag(r))
    q = q if rows >= columns else q.T
    return tensor.copy_(gain * q.reshape(tensor.shape))


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """The identity: 1 on the diagonal of a matrix, else 0."""
    if tensor.ndim != 2:
        raise ArgumentError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    return tensor.copy_(np.eye(rows, columns))


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Kernels (out, in, …) that leave channel d as it is, as many as there are of both.

    1 in the middle of kernel d for input channel d, in each of the groups, else 0.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ArgumentError("Only tensors with 3, 4, or 5 dimensions are supported")
    outputs, inputs, *taps = tensor.shape
    if outputs % groups:
        raise ArgumentError("dim 0 must be divisible by groups")
    values = np.zeros(tensor.shape)
    each = values.reshape(groups, outputs // groups, *tensor.shape[1:])
    d = np.arange(min(outputs // groups, inputs))
    middle: Any = [n // 2 for n in taps]
    each[(slice(None), d, d, *middle)] = 1
    return tensor.copy_(values)


@no_grad()
def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: Generator | None = None,
) -> Tensor:
    """Draw a matrix from N(0, std²), but 0 in a share `sparsity` of each column's rows."""
    if tensor.ndim != 2:
        raise ArgumentError("Only tensors with 2 dimensions are supported")
    draw, (rows, columns) = (generator or default_generator).numpy, tensor.shape
    values = draw.standard_normal((rows, columns)) * std
    for j in range(columns):
        values[draw.permutation(rows)[: math.ceil(sparsity * rows)], j] = 0
    return tensor.copy_(values)


def _make_deprecated(name: str) -> Callable[..., Tensor]:
    """PyTorch's old name of `name`_."""
    function = globals()[f"{name}_"]

    def deprecated(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.",
            FutureWarning,
            stacklevel=2,
        )
        filled: Tensor = function(*args, **kwargs)
        return filled

    deprecated.__name__ = name
    deprecated.__doc__ = f"`{name}_`, under the name that PyTorch has deprecated."
    return deprecated


uniform = _make_deprecated("uniform")
normal = _make_deprecated("normal")
constant = _make_deprecated("constant")
eye = _make_deprecated("eye")
dirac = _make_deprecated("dirac")
xavier_uniform = _make_deprecated("xavier_uniform")
xavier_normal = _make_deprecated("xavier_normal")
kaiming_uniform = _make_deprecated("kaiming_uniform")
kaiming_normal = _make_deprecated("kaiming_normal")
orthogonal = _make_deprecated("orthogonal")
sparse = _make_deprecated("sparse")

teach(__name__)
