"""Small nets of all that the page executes; each gives (model, images, labels)."""

import numpy as np

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import manual_seed, tensor
from tinygrad_cnn.nn.loss import default_loss
from tinygrad_cnn.training.model_file import load_class


def computed(model, x, labels):
    """The loss, and the names of what is in it."""
    x = x.requires_grad_()
    loss = default_loss(model)(model(x), labels)
    return loss, {"": model, "input": x, "labels": labels}


def images(*shape, seed=0):
    return tensor(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def from_file(name, size):
    manual_seed(0)
    model = load_class(f"models/{name}.py")()
    return model, images(1, 1, size, size), tensor([3])


class Windows(nn.Module):
    """Strides, padding and dilation that differ by axis; pooling that overlaps."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(
            2, 3, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)
        )
        self.conv2 = nn.Conv2d(3, 4, 3, bias=False)
        self.dense = nn.Linear(8, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, stride=2, padding=1)
        x = F.max_pool2d(self.conv2(x), (1, 2), stride=1)
        return self.dense(x.flatten(1))


class Shared(nn.Module):
    """A residual block, a weight that is used twice, and what broadcasts."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.scale = nn.Parameter(images(2, 1, 1, seed=1))
        self.shift = nn.Parameter(images(6, seed=2))
        self.dense = nn.Linear(72, 4)

    def forward(self, x):
        y = self.conv(F.relu(self.conv(x))) + x
        y = y * self.scale + self.shift
        return self.dense((y * 0.5).flatten(1))


class Products(nn.Module):
    """Matrix products of batches, and softmax along the last axis: attention."""

    def __init__(self):
        super().__init__()
        self.query, self.key = nn.Linear(5, 4), nn.Linear(5, 4)
        self.dense = nn.Linear(30, 3)

    def forward(self, x):
        q, k = self.query(x[0]), self.key(x[1])
        weights = F.softmax(q.reshape(2, 3, 4) @ k.reshape(2, 4, 3), dim=-1)
        y = weights @ x[0].reshape(2, 3, 5)
        return F.log_softmax(self.dense(y.reshape(2, 15).reshape(1, 30)), dim=1)


class Means(nn.Module):
    """Sums, means, pooling by the mean, and a loss that is a mean of squares."""

    loss = staticmethod(lambda y, labels: F.mse_loss(y, y.detach() * 0.5 + 1))

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.dense = nn.Linear(4, 3)

    def forward(self, x):
        y = F.avg_pool2d(self.conv(x), 2)
        y = y - y.mean(dim=1, keepdim=True)
        return self.dense(y.mean(dim=(2, 3)) + y.sum(dim=-1)[:, :, 0])


class Recurrent(nn.Module):
    """Three steps with the same weights, and what only moves values."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(4, 5, batch_first=True)
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


NETS = {
    "mnist_net": lambda: from_file("mnist_net", 28),
    "lenet5": lambda: from_file("lenet5", 32),
    "mlp": lambda: from_file("mlp", 28),
    "windows": lambda: (Windows(), images(2, 2, 10, 8), tensor([1, 4])),
    "shared": lambda: (Shared(), images(2, 2, 6, 6), tensor([0, 3])),
    "means": lambda: (Means(), images(2, 2, 8, 6), tensor([0, 1])),
    "recurrent": lambda: (Recurrent(), images(2, 3, 4), tensor([0, 2])),
    "products": lambda: (Products(), images(2, 6, 5), tensor([2])),
}
