"""tinygrad_cnn: autograd on NumPy for learning, teaching and checking how a CNN gets its
gradients. PyTorch's names; not affiliated with tinygrad.
"""

from . import autograd, errors
from .autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .tensor import Tensor
