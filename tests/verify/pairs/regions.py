"""One grey image, region by region; the filters along the last axis of the output."""

import numpy as np


class Conv:
    """Images (H, W) to (H - 2, W - 2, filters)."""

    inputs = np.random.randn(6, 5)

    def __init__(self, count=3):
        self.filters = np.random.randn(count, 3, 3) / 3

    def regions(self, image):
        rows, columns = image.shape
        for r in range(rows - 2):
            for c in range(columns - 2):
                yield r, c, image[r : r + 3, c : c + 3]

    def forward(self, image):
        self.image = image
        rows, columns = image.shape
        out = np.empty((rows - 2, columns - 2, len(self.filters)))
        for r, c, region in self.regions(image):
            out[r, c] = [np.vdot(f, region) for f in self.filters]
        return out

    def backward(self, grad):
        self.d_filters = np.zeros_like(self.filters)
        d_image = np.zeros_like(self.image)
        for r, c, region in self.regions(self.image):
            for k, f in enumerate(self.filters):
                self.d_filters[k] += grad[r, c, k] * region
                d_image[r : r + 3, c : c + 3] += grad[r, c, k] * f
        return d_image


class MaxPool:
    """Maps (H, W, channels) to the maxima of 3×3 windows, two apart, which overlap."""

    inputs = np.random.randn(7, 5, 2)

    def regions(self, maps):
        rows, columns, _ = maps.shape
        for r in range((rows - 1) // 2):
            for c in range((columns - 1) // 2):
                yield r, c, (slice(2 * r, 2 * r + 3), slice(2 * c, 2 * c + 3))

    def forward(self, maps):
        self.maps = maps
        rows, columns, channels = maps.shape
        out = np.empty(((rows - 1) // 2, (columns - 1) // 2, channels))
        for r, c, where in self.regions(maps):
            out[r, c] = maps[where].max(axis=(0, 1))
        return out

    def backward(self, grad):
        d_maps = np.zeros_like(self.maps)
        for r, c, where in self.regions(self.maps):
            region = self.maps[where]
            d_maps[where] += grad[r, c] * (region == region.max(axis=(0, 1)))
        return d_maps


class ConvReLU(Conv):
    """The convolution with a ReLU after it."""

    def forward(self, image):
        self.out = np.maximum(super().forward(image), 0)
        return self.out

    def backward(self, grad):
        return super().backward(grad * (self.out > 0))
