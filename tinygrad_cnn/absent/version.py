"""`torch.version`: built for no GPU."""

from ..importing import TORCH_VERSION

__version__ = TORCH_VERSION
cuda = hip = xpu = None
debug = False
