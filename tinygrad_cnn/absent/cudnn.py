"""`torch.backends.cudnn` and its neighbours: what may be set, and switches nothing."""

from types import SimpleNamespace

from . import answering

benchmark = deterministic = False
enabled = allow_tf32 = True
matmul = SimpleNamespace(allow_tf32=False)
is_available = is_built = answering(False)
version = answering(None)
