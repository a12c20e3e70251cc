"""Every operation, with the derivation of its gradients; an import registers them all."""

from . import activation as activation
from . import arithmetic as arithmetic
from . import classification as classification
from . import convolution as convolution
from . import linear as linear
from . import normalization as normalization
from . import pooling as pooling
from . import reduction as reduction
from . import selection as selection
from . import shape as shape
from .base import Op as Op
from .base import Operand as Operand
from .base import registry as registry
