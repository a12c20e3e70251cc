"""Automatic differentiation under PyTorch's names."""

from ..core.gradients import backward, detect_anomaly, grad, set_detect_anomaly
from ..core.recording import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)
from ..missing import teach
from .function import Function
from .gradcheck import gradcheck, gradgradcheck
from .variables import Variable

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

teach(__name__)
