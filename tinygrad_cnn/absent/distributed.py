"""`torch.distributed`: this is the only process."""

from . import answering, refusing

_WHY = "this package runs in one process; PyTorch distributes the same file"

is_available = is_initialized = is_torchelastic_launched = answering(False)
init_process_group = destroy_process_group = refusing("torch.distributed", _WHY)
get_rank = get_world_size = barrier = refusing("torch.distributed", _WHY)
DistributedSampler = refusing("DistributedSampler", _WHY)
all_reduce = all_gather = broadcast = reduce = refusing("torch.distributed", _WHY)
