"""`torch.multiprocessing`: Python's, whose processes share no Tensors."""

from multiprocessing import *  # noqa: F403

from . import answering, refusing

spawn = refusing("multiprocessing.spawn()", "processes share no Tensors here")
set_sharing_strategy = answering(None)
get_sharing_strategy = answering("file_system")
get_all_sharing_strategies = answering({"file_system"})
