"""The kernels compiled by Numba: the names, signatures and results of `reference`.

Which algorithm serves, by what was measured on two cores with AVX-512 and with AVX2:

    convolution and its adjoints    sums over tables, tiles in registers
    dense layers                    the same from 16 images on, these innermost; else BLAS
    matrix products                 the same where two threads gain; else BLAS, see `matrix`
    pooling, activations, losses    one pass; NumPy's below 16,384 values where it has one
    other dtypes, other pools       `reference`
"""

# ruff: noqa: F401  (`kernels.use` looks the kernels up by their names)

from __future__ import annotations

from ..reference import max_pool2d_pick, sum_pool2d, sum_pool2d_input
from .convolution import conv2d, conv2d_input, conv2d_weight
from .elementwise import (
    bend,
    elu,
    elu_input,
    erf,
    gate,
    gelu,
    gelu_input,
    keep,
    relu,
    sigmoid,
    sigmoid_input,
    silu,
    silu_input,
    softplus,
    softplus_input,
    tanh_input,
)
from .matrix import linear, matmul
from .memory import keep_memory
from .normalization import batch_norm, batch_norm_input, batch_norm_scale, moments
from .pooling import max_pool2d, max_pool2d_put
from .reduction import channel_sums, log_softmax, log_softmax_input, mean_nll, place
from .updates import adam_step, momentum_step

keep_memory()
