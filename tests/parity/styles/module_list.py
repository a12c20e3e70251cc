"""Modules within modules: ModuleList, ModuleDict, Sequential(OrderedDict), buffers."""

from collections import OrderedDict

import torch
import torch.nn as nn


class ConvBlock(nn.Module):
    def __init__(self, in_channels, out_channels, activation="relu"):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.activations = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        self.activation = activation

    def forward(self, x):
        return self.activations[self.activation](self.conv(x))


class Scale(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.register_buffer("shift", torch.zeros(channels, 1, 1))

    def forward(self, x):
        return x * self.gain + self.shift


class Net(nn.Module):
    def __init__(self, widths=(1, 4, 8, 8), num_classes=10):
        super().__init__()
        self.blocks = nn.ModuleList()
        for i in range(len(widths) - 1):
            activation = "relu" if i % 2 == 0 else "tanh"
            self.blocks.append(ConvBlock(widths[i], widths[i + 1], activation))
        self.scales = nn.ModuleList([Scale(width) for width in widths[1:]])
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Sequential(
            OrderedDict(
                [
                    ("flatten", nn.Flatten()),
                    ("hidden", nn.Linear(widths[-1] * 4, 16)),
                    ("act", nn.Sigmoid()),
                    ("out", nn.Linear(16, num_classes)),
                ]
            )
        )

    def forward(self, x):
        for block, scale in zip(self.blocks, self.scales, strict=True):
            x = self.pool(scale(block(x)))
        return self.head(x)


def build():
    return Net()


def run(model, images, labels):
    n_params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    for name, param in model.named_parameters():
        print(name, tuple(param.shape))
    print(f"{n_params:,} parameters in {len(list(model.modules()))} modules")

    inputs, targets = torch.as_tensor(images), torch.as_tensor(labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)
    losses = []
    for _step in range(12):
        loss = loss_fn(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return [*losses, model.head.out.weight.abs().sum().item(), n_params]
