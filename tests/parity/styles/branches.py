"""Inception-style branches joined by cat, dense connections, a hook that collects."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class BasicConv2d(nn.Module):
    def __init__(self, in_channels, out_channels, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x):
        x = self.conv(x)
        x = self.bn(x)
        return F.relu(x, inplace=True)


class Inception(nn.Module):
    def __init__(self, in_channels, ch1x1, ch3x3, pool_proj):
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, ch1x1, kernel_size=1),
            BasicConv2d(ch1x1, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
            BasicConv2d(in_channels, pool_proj, kernel_size=1),
        )

    def _forward(self, x):
        return [self.branch1(x), self.branch2(x), self.branch3(x)]

    def forward(self, x):
        outputs = self._forward(x)
        return torch.cat(outputs, 1)


class DenseLayer(nn.Module):
    def __init__(self, in_channels, growth_rate):
        super().__init__()
        self.add_module("norm", nn.BatchNorm2d(in_channels))
        self.add_module(
            "conv", nn.Conv2d(in_channels, growth_rate, 3, 1, 1, bias=False)
        )

    def forward(self, x):
        return torch.cat((x, self.conv(torch.relu(self.norm(x)))), dim=1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inception = Inception(1, 3, 4, 2)
        self.dense = nn.Sequential()
        for i in range(2):
            self.dense.add_module(f"layer{i + 1}", DenseLayer(9 + 3 * i, 3))
        self.classifier = nn.Linear(15, 10)

    def forward(self, x):
        x = F.avg_pool2d(self.inception(x), kernel_size=2, stride=2)
        x = self.dense(x)
        x = F.adaptive_avg_pool2d(x, 1)
        return self.classifier(x.squeeze(3).squeeze(2))


activation = {}


def get_activation(name):
    def hook(model, input, output):
        activation[name] = output.detach()

    return hook


def build():
    return Net()


def run(model, images, labels):
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    handle = model.inception.register_forward_hook(get_activation("inception"))
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.01)
    history = []
    for _ in range(8):
        optimizer.zero_grad()
        logits = model(x)
        l2 = sum(p.pow(2).sum() for p in model.classifier.parameters())
        loss = F.cross_entropy(logits, y) + 1e-3 * l2
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    handle.remove()
    feature = activation["inception"]
    history += feature.mean(dim=(0, 2, 3)).tolist()

    saliency_input = x[:4].clone().requires_grad_(True)
    model.eval()
    model(saliency_input).max(dim=1)[0].sum().backward()
    saliency, _ = torch.max(saliency_input.grad.data.abs(), dim=1)
    return [*history, *saliency.view(-1).tolist()]
