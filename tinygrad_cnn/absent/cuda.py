"""`torch.cuda` as on a machine without a GPU: it says so, and has nothing to empty."""

from . import amp as amp
from . import answering, refusing

is_available = is_initialized = is_bf16_supported = answering(False)
device_count = answering(0)
init = empty_cache = ipc_collect = answering(None)
manual_seed = manual_seed_all = seed = seed_all = answering(None)
memory_allocated = max_memory_allocated = answering(0)
memory_reserved = max_memory_reserved = answering(0)
reset_peak_memory_stats = reset_max_memory_allocated = answering(None)
synchronize = current_device = set_device = refusing("a GPU")
get_device_name = get_device_properties = get_device_capability = refusing("a GPU")
device = stream = current_stream = Stream = Event = refusing("a GPU")
get_rng_state = set_rng_state = mem_get_info = refusing("a GPU")
