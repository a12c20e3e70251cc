"""The five models of models/, written again in PyTorch from the documents."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class MNISTNet(nn.Module):
    """`day2`, `day3`: conv 8@3x3, max pool 2, dense 10; 28x28 to 26x26 to 13x13."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.dense = nn.Linear(13 * 13 * 8, 10)

    def forward(self, x):
        x = torch.max_pool2d(self.conv(x), 2)
        return self.dense(torch.flatten(x, 1))


class NumpyCNN(nn.Module):
    """`numpy-cnn`: conv 8@5x5 twice, max pool 2 with stride 2, dense 128, dense 10."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5)
        self.conv2 = nn.Conv2d(8, 8, 5)
        self.dense1 = nn.Linear(10 * 10 * 8, 128)
        self.dense2 = nn.Linear(128, 10)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        x = torch.max_pool2d(x, 2, 2).reshape(len(x), -1)
        return self.dense2(torch.relu(self.dense1(x)))


class PatchesCNN(nn.Module):
    """`patches`: 32x32 colour made grey by the mean, conv of any kernels, pool, dense."""

    def __init__(self, kernels, kernel_size, pool_size):
        super().__init__()
        side = (32 - kernel_size + 1) // pool_size
        self.conv = nn.Conv2d(1, kernels, kernel_size)
        self.pool = nn.MaxPool2d(pool_size)
        self.dense = nn.Linear(kernels * side**2, 10)

    def forward(self, x):
        red, green, blue = x.split(1, dim=1)
        x = self.pool(self.conv((red + green + blue) / 3))
        return self.dense(x.flatten(1))


class LeNet5(nn.Module):
    """`lenet`: 6@5x5, pool, 16@5x5, pool, 400-120-84-10, log-softmax; normalised or not."""

    def __init__(self, in_channels, batch_norm):
        super().__init__()
        none = nn.Identity()
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.norm1 = nn.BatchNorm2d(6) if batch_norm else none
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.norm2 = nn.BatchNorm2d(16) if batch_norm else none
        self.dense1 = nn.Linear(400, 120)
        self.norm3 = nn.BatchNorm1d(120) if batch_norm else none
        self.dense2 = nn.Linear(120, 84)
        self.norm4 = nn.BatchNorm1d(84) if batch_norm else none
        self.dense3 = nn.Linear(84, 10)

    def forward(self, x):
        x = torch.max_pool2d(self.norm1(self.conv1(x).relu()), 2)
        x = torch.max_pool2d(self.norm2(self.conv2(x).relu()), 2)
        x = self.norm3(self.dense1(x.view(-1, 400)).relu())
        x = self.norm4(self.dense2(x).relu())
        return torch.log_softmax(self.dense3(x), 1)


class MLP(nn.Module):
    """`numpy-cnn` §1: X' = phi(W X + b), layer after layer, on 28x28 pixels in a vector."""

    def __init__(self, hidden, activation):
        super().__init__()
        self.activation = activation
        sizes = [784, *hidden, 10]
        self.layers = nn.ModuleList()
        for i in range(1, len(sizes)):
            self.layers.append(nn.Linear(sizes[i - 1], sizes[i]))

    def forward(self, x):
        x = x.flatten(start_dim=1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)
