"""The layers of regions.py, each with one mistake in `backward`."""

import numpy as np
import regions


class LastRegion(regions.Conv):
    """The filters' gradient is assigned in the loop: only the last region is left."""

    def backward(self, grad):
        d_image = super().backward(grad)
        for r, c, region in self.regions(self.image):
            for k in range(len(self.filters)):
                self.d_filters[k] = grad[r, c, k] * region
        return d_image


class NotRotated(regions.Conv):
    """The full convolution of the image's gradient, with the filters as they are."""

    def backward(self, grad):
        super().backward(grad)
        padded = np.pad(grad, ((2, 2), (2, 2), (0, 0)))
        d_image = np.zeros_like(self.image)
        for r in range(d_image.shape[0]):
            for c in range(d_image.shape[1]):
                window = padded[r : r + 3, c : c + 3].transpose(2, 0, 1)
                d_image[r, c] = np.vdot(window, self.filters)
        return d_image


class LastFilter(regions.Conv):
    """The image's gradient is assigned for each filter: only the last one is left."""

    def backward(self, grad):
        only = np.zeros_like(grad)
        only[..., -1] = grad[..., -1]
        d_image = super().backward(only)
        super().backward(grad)
        return d_image


class NoFilterGradient(regions.Conv):
    """Only the image's gradient is computed."""

    def backward(self, grad):
        d_image = super().backward(grad)
        del self.d_filters
        return d_image


class Assigned(regions.MaxPool):
    """Where windows overlap, the later one takes the place of the earlier."""

    def backward(self, grad):
        d_maps = np.zeros_like(self.maps)
        for r, c, where in self.regions(self.maps):
            region = self.maps[where]
            chosen = region == region.max(axis=(0, 1))
            d_maps[where] = np.where(chosen, grad[r, c], d_maps[where])
        return d_maps


class Spread(regions.MaxPool):
    """Every entry of the window gets the gradient, not only the largest."""

    def backward(self, grad):
        d_maps = np.zeros_like(self.maps)
        for r, c, where in self.regions(self.maps):
            d_maps[where] += grad[r, c]
        return d_maps


class NoMask(regions.ConvReLU):
    """The gradient passes the ReLU where it was closed."""

    def backward(self, grad):
        return regions.Conv.backward(self, grad)
