"""Parameters: the Tensors of a module that training changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.engine import Tensor


class Parameter(Tensor):
    """A leaf Tensor that a Module it is assigned to counts among its parameters.

    data: a Tensor, whose memory is shared (its history is not); an array or nested lists
    as for `Tensor`; None for no values. It requires a gradient, even when made within
    `no_grad`, unless requires_grad=False.
    """

    __slots__ = ()

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            data = Tensor(np.empty(0, np.float32) if data is None else data)
        Tensor._wrap(data.lie_in_rows(), into=self)
        self._version = data._version
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
