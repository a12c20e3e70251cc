"""What a teacher and a student write, for the tests of `check --pair`."""

TEACHER = """
import numpy as np
inputs_Scale, inputs_Square = np.random.randn(2, 3), np.random.randn(4)
arguments_Scale = 3
"""
SCALE = """
class Scale:
    def __init__(self, count):
        self.w = np.random.randn(count)

    def forward(self, x):
        self.x = x
        return x * self.w

    def backward(self, g):
        self.dw = (g * self.x).sum(axis=0)
        return g * self.w
"""
