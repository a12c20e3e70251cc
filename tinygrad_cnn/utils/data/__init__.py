"""`tinygrad_cnn.data` under the names that PyTorch has in `torch.utils.data`."""

from ...data import ConcatDataset as ConcatDataset
from ...data import DataLoader as DataLoader
from ...data import Dataset as Dataset
from ...data import IterableDataset as IterableDataset
from ...data import Subset as Subset
from ...data import TensorDataset as TensorDataset
from ...data import default_collate as default_collate
from ...data import random_split as random_split
