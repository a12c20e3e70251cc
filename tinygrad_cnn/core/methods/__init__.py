"""What can be done with a Tensor: PyTorch's methods, each a line or two to an operation.

These mixins know operations and arrays, not the engine: `Tensor` derives from them.
"""
