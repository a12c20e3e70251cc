"""`torch.accelerator`, `torch.mps`, `torch.xpu`: there is none."""

from . import answering, refusing

is_available = is_built = answering(False)
device_count = answering(0)
current_accelerator = answering(None)
empty_cache = answering(None)
manual_seed = manual_seed_all = answering(None)
synchronize = refusing("accelerator.synchronize()")
set_device_index = current_device_index = refusing("an accelerator")
