"""PyTorch's place for the loader: `from torch.utils.data.dataloader import …`."""

from ...data import DataLoader, default_collate, get_worker_info

__all__ = ["DataLoader", "default_collate", "get_worker_info"]
