"""The layers of patches.py, each with one mistake in `back_prop`."""

import numpy as np
from patches import ConvolutionLayer, PoolingLayer


class NoBias(ConvolutionLayer):
    """The biases are never updated."""

    def back_prop(self, error, alpha):
        kernels, _, image = self.gradients(error)
        self.kernels -= alpha * kernels
        return image


class BiasOfOne(ConvolutionLayer):
    """The bias gets the error of the last position instead of the sum of all."""

    def back_prop(self, error, alpha):
        kernels, _, image = self.gradients(error)
        self.kernels -= alpha * kernels
        self.biases -= alpha * error[:, -1, -1]
        return image


class UpdatedFirst(ConvolutionLayer):
    """The kernels are updated before the image's gradient is computed with them."""

    def back_prop(self, error, alpha):
        kernels, biases, _ = self.gradients(error)
        self.kernels -= alpha * kernels
        self.biases -= alpha * biases
        return self.gradients(error)[2]


class Ascent(ConvolutionLayer):
    """The update goes up the slope."""

    def back_prop(self, error, alpha):
        kernels, biases, image = self.gradients(error)
        self.kernels += alpha * kernels
        self.biases -= alpha * biases
        return image


class Averaged(ConvolutionLayer):
    """The kernels' gradient is divided by the number of patches."""

    def back_prop(self, error, alpha):
        kernels, biases, image = self.gradients(error)
        self.kernels -= alpha * kernels / error[0].size
        self.biases -= alpha * biases
        return image


class Turned(ConvolutionLayer):
    """The kernels' gradient is rotated by 180°, as for a true convolution."""

    def back_prop(self, error, alpha):
        kernels, biases, image = self.gradients(error)
        self.kernels -= alpha * kernels[:, ::-1, ::-1]
        self.biases -= alpha * biases
        return image


class OffByOne(ConvolutionLayer):
    """The image's gradient is put one pixel too low."""

    def back_prop(self, error, alpha):
        image = super().back_prop(error, alpha)
        return np.pad(image, ((1, 0), (0, 0)))[:-1]


class Mean(PoolingLayer):
    """The gradient of the mean in place of that of the maximum."""

    def back_prop(self, error):
        return np.kron(error, np.ones((1, self.size, self.size))) / self.size**2


arguments = (2, 3)
inputs = np.random.rand(6, 6)
inputs_Mean = np.random.rand(2, 4, 6)
arguments_Mean = 2
