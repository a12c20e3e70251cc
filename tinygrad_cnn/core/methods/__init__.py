"""What can be done with a Tensor: PyTorch's methods, each a line or two to an operation.

These mixins know operations and arrays, not the engine: `Tensor` derives from them.
"""

from .arithmetic import Arithmetic
from .gradient import Gradient
from .in_place import InPlace
from .memory import Memory
from .reduction import Reduction
from .shape import Shape


class Methods(Arithmetic, Reduction, Shape, Memory, InPlace, Gradient):
    """All methods of a Tensor, by theme."""

    __slots__ = ()


__all__ = ["Methods"]
