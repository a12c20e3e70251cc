"""The operations as functions, with PyTorch's names, arguments and defaults."""

from .activation import hardtanh, leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from .attention import bilinear, scaled_dot_product_attention
from .convolution import conv2d, conv_transpose2d, linear, pad, true_conv2d
from .embedding import embedding, embedding_bag
from .loss import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from .normalization import batch_norm, dropout, dropout2d, one_hot
from .pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "embedding",
    "embedding_bag",
    "hardtanh",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "scaled_dot_product_attention",
    "sigmoid",
    "softmax",
    "tanh",
    "true_conv2d",
]
