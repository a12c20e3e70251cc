"""`torch.backends`: libraries that PyTorch computes with; none is used here."""

from . import accelerator as mps
from . import cudnn as cudnn

cuda = mkl = mkldnn = openmp = cudnn

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
