"""See `tinygrad_cnn.replay`."""

from ..replay import as_dtype as as_dtype
from ..replay import leaves_of as leaves_of
from ..replay import nodes_of as nodes_of
from ..replay import replay as replay
