"""Kernels and patches, and a learning rate: the backward pass updates by itself."""

import numpy as np


class ConvolutionLayer:
    def __init__(self, kernel_count, kernel_size):
        self.size = kernel_size
        self.kernels = np.random.randn(kernel_count, kernel_size, kernel_size)
        self.biases = np.zeros(kernel_count)

    def patches(self, image):
        height, width = image.shape
        for top in range(height - self.size + 1):
            for left in range(width - self.size + 1):
                yield top, left, image[top:, left:][: self.size, : self.size]

    def forward_prop(self, image):
        self.image = image
        height, width = np.array(image.shape) - self.size + 1
        output = np.zeros((len(self.kernels), height, width))
        for top, left, patch in self.patches(image):
            products = self.kernels * patch
            output[:, top, left] = products.sum(axis=(1, 2)) + self.biases
        return output

    def gradients(self, error):
        kernels, image = np.zeros_like(self.kernels), np.zeros_like(self.image)
        for top, left, patch in self.patches(self.image):
            e = error[:, top, left]
            kernels += e[:, None, None] * patch
            image[top : top + self.size, left : left + self.size] += np.tensordot(
                e, self.kernels, 1
            )
        return kernels, error.sum(axis=(1, 2)), image

    def back_prop(self, error, alpha):
        kernels, biases, image = self.gradients(error)
        self.kernels -= alpha * kernels
        self.biases -= alpha * biases
        return image


class PoolingLayer:
    def __init__(self, pool_size):
        self.size = pool_size

    def patches(self, maps):
        _, height, width = maps.shape
        for row in range(height // self.size):
            for column in range(width // self.size):
                top, left = row * self.size, column * self.size
                yield row, column, maps[:, top:, left:][:, : self.size, : self.size]

    def forward_prop(self, maps):
        self.maps = maps
        count, height, width = maps.shape
        output = np.zeros((count, height // self.size, width // self.size))
        for row, column, patch in self.patches(maps):
            output[:, row, column] = patch.max(axis=(1, 2))
        return output

    def back_prop(self, error):
        result = np.zeros_like(self.maps)
        corners = zip(self.patches(self.maps), self.patches(result), strict=True)
        for (row, column, patch), (_, _, target) in corners:
            largest = patch == patch.max(axis=(1, 2), keepdims=True)
            target[largest] = error[:, row, column][np.nonzero(largest)[0]]
        return result


arguments_ConvolutionLayer = {"kernel_count": 2, "kernel_size": 3}
inputs_ConvolutionLayer = np.random.rand(6, 6)
arguments_PoolingLayer = 2


def inputs_PoolingLayer():
    return np.random.rand(2, 4, 6)
