"""`torch.utils.tensorboard` and `torch.profiler`: what this package has instead."""

from . import refusing

SummaryWriter = refusing(
    "TensorBoard", "`fit` and `train --log FILE` write each record"
)
profile = record_function = schedule = refusing(
    "torch.profiler", "`tinygrad-cnn profile MODEL.py` shows where the time goes"
)
