"""Programs of `nn.functional`, to be run by this library and by PyTorch."""

import numpy as np
from methods import agreement
from methods.agreement import library


def functional(name, **options):
    """The function of that name with these options, in the library of its Tensors."""

    def program(*tensors):
        return getattr(library(tensors[0]).nn.functional, name)(*tensors, **options)

    return program


def agree(program, *arrays):
    """As `agreement.agree`, whatever the strides, of which PyTorch takes few."""
    agreement.agree(program, *(np.array(x, order="C") for x in arrays))
