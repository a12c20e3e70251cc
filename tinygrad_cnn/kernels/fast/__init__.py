"""The kernels compiled by Numba: the names, signatures and results of `reference`.

Which algorithm serves, by what was measured on two cores with AVX-512 (LeNet-5 and a
VGG-style net, float32, share of the fastest matrix product there is, one thread):

    convolution and its adjoints    sums over tables, tiles in registers: 0.75–1.0
    matrix products                 the same where two threads gain; else BLAS, see `matrix`
    pooling, ReLU, masks            one pass; NumPy's below 16,384 values
    other dtypes, other pools       `reference`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import reference
from . import (
    convolution,
    elementwise,
    matrix,
    normalization,
    pooling,
    reduction,
    updates,
)
from .memory import keep_memory

keep_memory()


def _for_floats(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel for float32 and float64, the reference for everything else."""
    plain = getattr(reference, name)

    def chosen(x: Any, *rest: Any) -> Any:
        return kernel(x, *rest) if x.dtype.char in "fd" else plain(x, *rest)

    chosen.__name__, chosen.__doc__ = name, kernel.__doc__
    return chosen


_COMPILED: dict[str, Callable[..., Any]] = {
    "conv2d": convolution.conv2d,
    "conv2d_input": convolution.conv2d_input,
    "conv2d_weight": convolution.conv2d_weight,
    "matmul": matrix.matmul,
    "max_pool2d": pooling.max_pool2d,
    "max_pool2d_put": pooling.max_pool2d_put,
    "relu": elementwise.relu,
    "gate": elementwise.gate,
    "batch_norm": normalization.batch_norm,
    "batch_norm_input": normalization.batch_norm_input,
    "batch_norm_scale": normalization.batch_norm_scale,
    "moments": normalization.moments,
    "momentum_step": updates.momentum_step,
    "adam_step": updates.adam_step,
    "channel_sums": reduction.channel_sums,
    "log_softmax": reduction.log_softmax,
    "label_sum": reduction.label_sum,
    "keep": elementwise.keep,
}
for _name in reference.KERNELS:
    _plain = getattr(reference, _name)
    _kernel = _COMPILED.get(_name)
    globals()[_name] = _for_floats(_name, _kernel) if _kernel else _plain
